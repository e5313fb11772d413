//! Requests and answers with random damage: what the other side gets is well-formed, or visibly cut, and nothing stays behind.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "what breaks here fails the test")]

mod support;

use std::sync::Mutex;

use support::{Client, Replica, Rig, until};

/// Numbers that look random and are the same in every run.
struct Chance(u64);

impl Chance {
    fn below(&mut self, bound: usize) -> usize {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) as usize % bound
    }

    fn pick<'a, T: ?Sized>(&mut self, from: &[&'a T]) -> &'a T {
        from[self.below(from.len())]
    }

    /// One of `sound` with one to four places damaged.
    fn damaged(&mut self, sound: &[&str]) -> Vec<u8> {
        const PIECES: &[&str] = &[
            "\r\n",
            "\n",
            "\r",
            "\r\n\r\n",
            ":",
            " ",
            "\t",
            "\0",
            ",",
            ";",
            "0",
            "5",
            "f",
            "0\r\n\r\n",
            "chunked",
            "Content-Length: 5\r\n",
            "Content-Length: 0\r\n",
            "Transfer-Encoding: chunked\r\n",
            "Host: other\r\n",
            "Connection: close\r\n",
            "HTTP/1.0",
            "\u{ff}",
            "GET ",
            "Upgrade: x\r\nConnection: upgrade\r\n",
            "Expect: 100-continue\r\n",
            "HTTP/1.1 200 OK\r\n\r\n",
            "HTTP/1.1 100 Continue\r\n\r\n",
        ];
        let mut bytes = self.pick(sound).as_bytes().to_vec();
        for _ in 0..=self.below(4) {
            let at = self.below(bytes.len() + 1);
            match self.below(5) {
                0 if at < bytes.len() => bytes[at] = self.below(256) as u8,
                1 if at < bytes.len() => {
                    bytes.remove(at);
                }
                2 => bytes.truncate(at),
                3 => {
                    let end = (at + self.below(40)).min(bytes.len());
                    let copied = bytes[at..end].to_vec();
                    let to = self.below(bytes.len() + 1);
                    bytes.splice(to..to, copied);
                }
                _ => {
                    bytes.splice(at..at, self.pick(PIECES).bytes());
                }
            }
        }
        bytes
    }
}

const REQUESTS: &[&str] = &[
    "GET /a HTTP/1.1\r\nHost: shop\r\nX-A: b\r\n\r\nGET /b HTTP/1.1\r\nHost: shop\r\n\r\n",
    "POST /a HTTP/1.1\r\nHost: shop\r\nContent-Length: 38\r\n\r\nGET /smuggled HTTP/1.1\r\nHost: shop\r\n\r\nGET /b HTTP/1.1\r\nHost: shop\r\n\r\n",
    "POST /a HTTP/1.1\r\nHost: shop\r\nTransfer-Encoding: chunked\r\nTrailer: X-T\r\n\r\n5\r\nhello\r\n26;x=y\r\n\
     GET /smuggled HTTP/1.1\r\nHost: shop\r\n\r\n\r\n0\r\nX-T: z\r\n\r\nGET /b HTTP/1.1\r\nHost: shop\r\n\r\n",
    "POST http://shop/a HTTP/1.0\r\nConnection: keep-alive\r\nContent-Length: 5\r\n\r\nhelloHEAD /b HTTP/1.0\r\n\r\n",
];

#[test]
fn damaged_requests_reach_the_replica_well_formed_or_cut() {
    let mut rig = Rig::new(&[("container-concurrency", "50")]);
    let replica = Replica::hello();
    rig.add("a", replica.address);
    let mut chance = Chance(1);
    let (mut whole, mut cut) = (0, 0);
    for case in 0..5000 {
        let request = chance.damaged(REQUESTS);
        let mut client = rig.connect();
        client.try_send(&request);
        // Some stay for an answer.
        if case % 5 == 0 {
            client.is_silent_for(std::time::Duration::from_millis(2));
        }
        drop(client);
        if case % 500 == 499 {
            until("nothing is under way", || rig.in_flight() == 0 && rig.totals().http1_connections == 0);
            for seen in replica.seen() {
                match seen {
                    Ok(_) => whole += 1,
                    Err(why) => {
                        cut += 1;
                        assert!(why.starts_with("cut "), "{why}");
                    }
                }
            }
        }
    }
    eprintln!("{whole} requests reached the replica whole, {cut} cut");
    assert!(whole > 1000, "{whole}");
    assert_eq!(rig.connect().get("/").status(), 200);
    rig.finish();
}

const ANSWERS: &[&str] = &[
    "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nX-A: b\r\n\r\nhello",
    "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTrailer: X-T\r\n\r\n5\r\nhello\r\n3;x=y\r\nyou\r\n0\r\nX-T: z\r\n\r\n",
    "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\nHTTP/1.1 404 Not Found\r\nContent-Length: 2\r\n\r\nno",
    "HTTP/1.0 200 OK\r\nConnection: keep-alive\r\nContent-Length: 5\r\n\r\nhello",
    "HTTP/1.1 200 OK\r\nConnection: close, X-Private\r\nX-Private: y\r\n\r\nhello to the end",
    "HTTP/1.1 204 No Content\r\n\r\n",
];

/// Reads one answer as the strictest client would, to the end of the connection. Whether it was whole.
fn read_strictly(client: &mut Client) -> Result<bool, String> {
    let wire = client.read_to_end();
    let end = wire.windows(4).position(|window| window == b"\r\n\r\n").ok_or("there is no head")?;
    let (head, mut body) = (&wire[..end], &wire[end + 4..]);
    let head: String = head.iter().map(|byte| char::from(*byte)).collect();
    let mut lines = head.split("\r\n");
    let line = lines.next().unwrap_or_default();
    let status = line.strip_prefix("HTTP/1.1 ").and_then(|rest| rest.get(..3)?.parse::<u16>().ok());
    let status = status.filter(|status| *status >= 200).ok_or(format!("status line {line:?}"))?;
    let (mut length, mut chunked) = (None, false);
    for line in lines {
        let (name, value) = line.split_once(": ").ok_or(format!("field line {line:?}"))?;
        if line.contains(['\r', '\n', '\0']) || name.contains(' ') {
            return Err(format!("field line {line:?}"));
        }
        match name.to_ascii_lowercase().as_str() {
            "content-length" if length.is_none() && !chunked => {
                length = Some(value.parse::<usize>().map_err(|error| format!("{line:?}: {error}"))?);
            }
            "transfer-encoding" if length.is_none() && !chunked && value == "chunked" => chunked = true,
            "content-length" | "transfer-encoding" => return Err(format!("length twice in {head:?}")),
            _ => {}
        }
    }
    if matches!(status, 204 | 304) {
        return if body.is_empty() && !chunked { Ok(true) } else { Err(format!("{status} with content")) };
    }
    if let Some(length) = length {
        return if body.len() > length {
            Err("bytes behind the answer".into())
        } else {
            Ok(body.len() == length)
        };
    }
    if !chunked {
        return Err(format!("no length in {head:?}"));
    }
    loop {
        let Some(end) = body.windows(2).position(|window| window == b"\r\n") else { return Ok(false) };
        let size =
            std::str::from_utf8(&body[..end]).ok().and_then(|size| usize::from_str_radix(size, 16).ok());
        let size = size.ok_or(format!("chunk size {:?}", &body[..end]))?;
        body = &body[end + 2..];
        if size == 0 {
            return match body {
                b"\r\n" => Ok(true),
                b"" | b"\r" => Ok(false),
                more => Err(format!("behind the last chunk: {more:?}")),
            };
        }
        if body.len() < size + 2 {
            return Ok(false);
        }
        if &body[size..size + 2] != b"\r\n" {
            return Err("a chunk doesn't end where it says".into());
        }
        body = &body[size + 2..];
    }
}

#[test]
fn damaged_answers_reach_the_client_well_formed_or_cut() {
    let mut rig = Rig::new(&[("stream-idle-timeout", "1s"), ("response-start-timeout", "1s")]);
    let chance = Mutex::new(Chance(2));
    let replica = Replica::new(move |mut client| {
        if client.next_request().is_some() {
            let answer = chance.lock().unwrap().damaged(ANSWERS);
            client.try_send(answer);
        }
    });
    rig.add("a", replica.address);
    let (mut whole, mut cut) = (0, 0);
    for _ in 0..3000 {
        let mut client = rig.connect();
        client.send("GET / HTTP/1.1\r\nHost: shop\r\nConnection: close\r\n\r\n");
        if read_strictly(&mut client).unwrap() {
            whole += 1;
        } else {
            cut += 1;
        }
    }
    eprintln!("{whole} answers reached the client whole, {cut} cut");
    assert!(whole > 1000, "{whole}");
    rig.finish();
}
