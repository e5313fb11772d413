//! Who asks: whose word about its clients is believed, how many connections one of them may have, and what none of them can
//! have written.

#![allow(clippy::unwrap_used, clippy::panic, reason = "all of this is test code")]

mod support;

use std::io::{Read, Write};
use std::net::TcpStream;

use support::{Kaos, Reply, answer, eventually, folder, raw};

#[test]
fn a_trusted_proxy_says_for_whom_it_asks_and_anybody_else_doesnt() {
    let told = |kaos: &Kaos| {
        let request = "GET /headers HTTP/1.1\r\nHost: shop.localhost\r\nX-Forwarded-For: 192.0.2.7\r\n\
                       X-Forwarded-Proto: https\r\nConnection: close\r\n\r\n";
        Reply::parse(&raw(kaos.listen, request.as_bytes())).unwrap().text().to_lowercase()
    };
    let trusting = Kaos::shop(&["--trusted-proxies", "10.0.0.0/8,127.0.0.0/8"], &[]);
    let text = told(&trusting);
    assert!(text.contains("x-forwarded-for: 192.0.2.7, 127.0.0.1\n"), "{text}");
    assert!(text.contains("x-forwarded-proto: https\n"), "{text}");
    let kaos = Kaos::shop(&[], &[]);
    for _ in 0..3 {
        let text = told(&kaos);
        assert!(text.contains("x-forwarded-for: 127.0.0.1\n"), "{text}");
        assert!(text.contains("x-forwarded-proto: http\n"), "{text}");
    }
    let warnings = || kaos.stderr().matches("X-Forwarded-Proto was dropped").count();
    eventually("it is warned of", || (warnings() > 0).then_some(()));
    assert!(kaos.stderr().contains("--trusted-proxies"), "the flag is named");
    assert_eq!(told(&kaos).matches("x-forwarded-proto: http\n").count(), 1);
    assert_eq!(warnings(), 1, "once");
    assert!(!trusting.stderr().contains("X-Forwarded-Proto"));
}

#[test]
fn a_balancer_names_its_clients_in_a_header_of_the_proxy_protocol() {
    let configuration =
        format!("proxy-protocol = true\n[[function]]\nname = \"shop\"\ncommand = [\"{}\"]\n", answer());
    let kaos = Kaos::up_in(folder(&configuration), &["--trusted-proxies", "127.0.0.0/8"]);
    let request =
        "GET /headers HTTP/1.1\r\nHost: shop\r\nX-Forwarded-For: 1.2.3.4\r\nConnection: close\r\n\r\n";
    let named = format!("PROXY TCP4 192.0.2.7 10.0.0.1 40000 80\r\n{request}");
    let text = Reply::parse(&raw(kaos.listen, named.as_bytes())).unwrap().text().to_lowercase();
    assert!(text.contains("x-forwarded-for: 192.0.2.7\n"), "{text}");
    assert_eq!(raw(kaos.listen, request.as_bytes()), b"", "without a header it is closed");
    eventually("it is warned of", || kaos.stderr().contains("--proxy-protocol").then_some(()));
    let flags = ["--trusted-proxies", "127.0.0.0/8", "--proxy-protocol=false"];
    let kaos = Kaos::up_in(folder(&configuration), &flags);
    assert_eq!(Reply::parse(&raw(kaos.listen, request.as_bytes())).unwrap().status, 200);
}

#[test]
fn one_client_has_as_many_connections_as_it_may_have() {
    let configuration = format!(
        "max-connections-per-client = 2\n[[function]]\nname = \"shop\"\ncommand = [\"{}\"]\n",
        answer()
    );
    let is_served = |stream: &mut TcpStream| {
        stream.set_read_timeout(Some(support::PATIENCE)).unwrap();
        // A connection that is closed already may refuse the write.
        let _ = stream.write_all(b"GET / HTTP/1.1\r\nHost: shop\r\n\r\n");
        matches!(stream.read(&mut [0; 4096]), Ok(count) if count > 0)
    };
    for (flags, most) in
        [(&[][..], 2), (&["--trusted-proxies", "127.0.0.1"], 5), (&["--max-connections-per-client", "0"], 5)]
    {
        let kaos = Kaos::up_in(folder(&configuration), flags);
        let mut held: Vec<TcpStream> = (0..5).map(|_| TcpStream::connect(kaos.listen).unwrap()).collect();
        let served = held.iter_mut().map(is_served).filter(|served| *served).count();
        assert_eq!(served, most, "{flags:?}");
    }
}

/// Frames cost a client nothing: were one a line of the log, the log would be a client's to fill.
#[test]
fn odd_frames_of_a_client_write_no_lines() {
    const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0";
    let ping = |flags: u8, payload: &[u8; 8]| [&[0, 0, 8, 6, flags, 0, 0, 0, 0], &payload[..]].concat();
    let kaos = Kaos::shop(&["--log-level", "debug"], &[]);
    let mut stream = TcpStream::connect(kaos.listen).unwrap();
    stream.set_read_timeout(Some(support::PATIENCE)).unwrap();
    // Answers to pings that nobody sent, and a ping: its answer says that they were read.
    let odd = ping(1, b"unasked!").repeat(100);
    stream.write_all(&[PREFACE, &odd, &ping(0, b"the last")].concat()).unwrap();
    let (answer, mut read) = (ping(1, b"the last"), Vec::new());
    while !read.windows(answer.len()).any(|window| window == answer) {
        let mut bytes = [0; 1024];
        let count = stream.read(&mut bytes).unwrap();
        assert!(count > 0, "it ended after {read:?}");
        read.extend_from_slice(&bytes[..count]);
    }
    // What is written next comes behind what would have been written.
    assert_eq!(kaos.get("/").status, 200);
    eventually("the wake is told", || kaos.stderr().contains("scaled").then_some(()));
    assert!(!kaos.stderr().contains("PING"), "{}", kaos.stderr());
}
