//! TLS towards clients: which certificate, which protocol, which host, and what is refused.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "what breaks here fails the test")]

mod support;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use http::Request;
use kaos_proxy::{Certificates, Handshakes, Limits, Patience};
use rustls::pki_types::CertificateDer;
use rustls::{ClientConfig, HandshakeKind, ProtocolVersion};
use support::http2::{empty, is_problem, open, open_securely, rest, send};
use support::tls::{Made, Session, client, made, of_shop};
use support::{Client, Replica, Rig, until};

/// A proxy with one replica that shows these certificates, the first to who asks for none.
fn showing(shown: &[&Made], replica: &Replica) -> (Rig, Arc<Certificates>) {
    let certificates = Arc::new(Certificates::new(shown.iter().map(|made| &made.pair)));
    let mut rig = Rig::showing(certificates.clone());
    rig.add("a", replica.address);
    (rig, certificates)
}

fn rig(replica: &Replica) -> Rig {
    let mut rig = Rig::new(&[]);
    rig.add("a", replica.address);
    rig
}

/// A client that asks for the host `to`, and believes those in `believed`.
fn asking(rig: &Rig, to: &'static str, believed: &[&Made]) -> Client {
    let believed: Vec<_> = believed.iter().map(|made| &made.certificate).collect();
    Client::connect(rig.tls_address).secure(Session::new(Arc::new(client(&believed, &[])), to))
}

fn status(client: &mut Client, host: &str) -> u16 {
    client.send(format!("GET / HTTP/1.1\r\nHost: {host}\r\n\r\n"));
    client.answer().status()
}

fn shown(client: &Client) -> CertificateDer<'static> {
    client.session.as_ref().unwrap().with(|tls| tls.peer_certificates().unwrap()[0].clone())
}

#[test]
fn a_request_is_answered_and_the_replica_is_told_how_it_came() {
    let replica = Replica::hello();
    let rig = rig(&replica);
    let mut client = rig.connect_securely();
    let answer = client.get("/");
    assert_eq!((answer.status(), answer.text().as_str()), (200, "hello"));
    let seen = replica.saw_one();
    assert_eq!(seen.values("x-forwarded-proto"), ["https"]);
    assert_eq!(seen.values("forwarded"), ["for=127.0.0.1;host=\"shop\";proto=https"]);
    assert_eq!(
        client.session.as_ref().unwrap().with(|tls| tls.protocol_version()),
        Some(ProtocolVersion::TLSv1_3)
    );
    client.send("GET https://shop/a HTTP/1.1\r\nHost: shop\r\n\r\n");
    assert_eq!(client.answer().status(), 200);
    drop(client);
    rig.finish();
}

#[test]
fn tls_1_2_is_spoken_too() {
    let (replica, shop) = (Replica::hello(), made(&["shop"]));
    let (rig, _) = showing(&[&shop], &replica);
    let mut roots = rustls::RootCertStore::empty();
    roots.add(shop.certificate.clone()).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ClientConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&rustls::version::TLS12])
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    let mut client = Client::connect(rig.tls_address).secure(Session::new(Arc::new(config), "shop"));
    assert_eq!((client.get("/").status(), client.get("/").status()), (200, 200));
    assert_eq!(
        client.session.as_ref().unwrap().with(|tls| tls.protocol_version()),
        Some(ProtocolVersion::TLSv1_2)
    );
    drop(client);
    rig.finish();
}

#[test]
fn what_is_no_hello_or_too_old_a_one_ends_with_an_alert() {
    let replica = Replica::hello();
    let rig = rig(&replica);
    // A hello for TLS 1.1 (RFC 4346 §7.4.1.2).
    let mut old = vec![22, 3, 1, 0, 45, 1, 0, 0, 41, 3, 2];
    old.extend([7; 32]);
    old.extend([0, 0, 2, 0xc0, 0x13, 1, 0]);
    let plain = b"GET / HTTP/1.1\r\nHost: shop\r\n\r\n".to_vec();
    let garbage = vec![22, 3, 1, 0xff, 0xff, 1];
    for (failed, bytes) in (1..).zip([old, plain, garbage]) {
        let mut client = Client::connect(rig.tls_address);
        client.send(&bytes);
        let said = client.read_to_end();
        assert!(said.is_empty() || said.first() == Some(&21), "{said:?}");
        until("it is counted", || rig.totals().handshakes.failed == failed);
    }
    assert_eq!(replica.accepted(), 0);
    rig.finish();
}

#[test]
fn each_name_gets_its_certificate_and_any_other_the_first() {
    let replica = Replica::hello();
    let (shop, wild) = (made(&["shop.test"]), made(&["*.apps.test"]));
    let (rig, _) = showing(&[&shop, &wild], &replica);
    for (to, certificate) in [("shop.test", &shop), ("a.apps.test", &wild), ("SHOP.test", &shop)] {
        let mut client = asking(&rig, to, &[&shop, &wild]);
        assert_eq!(status(&mut client, to), 200);
        assert_eq!(shown(&client), certificate.certificate, "{to}");
    }
    // Who asks for a name that there is no certificate for, or by address, is shown the first, and refuses it.
    for to in ["unknown.test", "a.b.apps.test", "127.0.0.1"] {
        let mut client = asking(&rig, to, &[&shop, &wild]);
        assert!(!client.try_send("GET / HTTP/1.1\r\nHost: x\r\n\r\n"), "{to}");
    }
    rig.finish();
}

#[test]
fn a_host_of_another_certificate_is_misdirected_and_one_of_none_is_not() {
    let replica = Replica::hello();
    let (one, two) = (made(&["one.test", "also.test"]), made(&["two.test"]));
    let (rig, _) = showing(&[&one, &two], &replica);
    let mut client = asking(&rig, "one.test", &[&one, &two]);
    for (host, wanted) in [
        ("one.test", 200),
        ("also.test:8443", 200),
        ("two.test", 421),
        ("TWO.test.", 421),
        ("unknown.test", 200),
        ("one.test", 200),
    ] {
        assert_eq!(status(&mut client, host), wanted, "{host}");
    }
    client.send("GET / HTTP/1.1\r\nHost: two.test\r\n\r\n");
    client.answer().is_problem(421, "misdirected");
    drop(client);
    rig.finish();
}

#[test]
fn http_2_is_agreed_on_and_misdirected_streams_harm_no_other() {
    let replica = Replica::hello();
    let rig = rig(&replica);
    let sender = open_securely(&rig);
    let get = |uri: &str| Request::get(uri).body(empty()).unwrap();
    let response = send(&rig, &sender, get("https://shop/"));
    assert_eq!(&rest(&rig, response).0[..], b"hello");
    assert_eq!(replica.saw_one().values("x-forwarded-proto"), ["https"]);
    assert_eq!(rig.totals().http2_connections, 1);
    drop(sender);
    rig.finish();

    let replica = Replica::hello();
    let other = made(&["other.test"]);
    let certificates = support::tls::certificates_and(&[&other.pair]);
    let mut rig = Rig::showing(certificates);
    rig.add("a", replica.address);
    let sender = open_securely(&rig);
    is_problem(&rig, send(&rig, &sender, get("https://other.test/")), 421, "misdirected");
    assert_eq!(send(&rig, &sender, get("https://shop/")).status(), 200);
    drop(sender);
    rig.finish();
}

#[test]
fn an_https_target_over_plain_http_is_misdirected_but_from_a_trusted_proxy() {
    let replica = Replica::hello();
    let limits = || Limits { trusted: vec!["127.0.0.0/8".parse().unwrap()], ..Limits::default() };
    for (limits, wanted) in [(Limits::default(), 421), (limits(), 200)] {
        let mut rig = Rig::with(&[], |_| {}, limits);
        rig.add("a", replica.address);
        let mut client = Client::connect(rig.address);
        client.send("GET https://shop/ HTTP/1.1\r\nHost: shop\r\n\r\n");
        assert_eq!(client.answer().status(), wanted);
        drop(client);
        let sender = open(&rig);
        let response = send(&rig, &sender, Request::get("https://shop/").body(empty()).unwrap());
        assert_eq!(response.status(), wanted);
        drop(sender);
        rig.finish();
    }
}

#[test]
fn a_session_is_resumed_by_its_ticket() {
    let replica = Replica::hello();
    let rig = rig(&replica);
    let config = of_shop(&[]);
    let kinds = [HandshakeKind::Full, HandshakeKind::Resumed, HandshakeKind::Resumed].map(|wanted| {
        let mut client = Client::connect(rig.tls_address).secure(Session::new(config.clone(), "shop"));
        assert_eq!(client.get("/").status(), 200);
        (wanted, client.session.as_ref().unwrap().with(|tls| tls.handshake_kind()))
    });
    assert!(kinds.iter().all(|(wanted, kind)| Some(*wanted) == *kind), "{kinds:?}");
    assert_eq!(rig.totals().handshakes, Handshakes { full: 1, resumed: 2, failed: 0 });
    rig.finish();
}

#[test]
fn a_new_certificate_is_for_new_connections_and_the_old_ones_stay() {
    let replica = Replica::hello();
    let (old, new) = (made(&["shop"]), made(&["shop"]));
    let (rig, certificates) = showing(&[&old], &replica);
    let mut before = asking(&rig, "shop", &[&old]);
    assert_eq!(before.get("/").status(), 200);
    certificates.replace([&new.pair]);
    let mut after = asking(&rig, "shop", &[&new]);
    assert_eq!((after.get("/").status(), shown(&after)), (200, new.certificate.clone()));
    assert_eq!(before.get("/").status(), 200);
    certificates.replace([]);
    let mut none = asking(&rig, "shop", &[&new]);
    assert!(!none.try_send("GET / HTTP/1.1\r\nHost: shop\r\n\r\n"));
    drop((before, after));
    rig.finish();
}

#[test]
fn a_thousand_new_certificates_fail_no_handshake() {
    let replica = Replica::hello();
    let made = [made(&["shop"]), made(&["shop"])];
    let (rig, certificates) = showing(&[&made[0]], &replica);
    let config = {
        let believed: Vec<_> = made.iter().map(|made| made.certificate.clone()).collect();
        Arc::new(client(&believed.iter().collect::<Vec<_>>(), &[]))
    };
    let over = AtomicBool::new(false);
    std::thread::scope(|threads| {
        let clients = [(); 3].map(|()| {
            threads.spawn(|| {
                let mut asked = 0;
                while !over.load(Ordering::Relaxed) || asked == 0 {
                    let session = Session::new(config.clone(), "shop");
                    let mut client = Client::connect(rig.tls_address).secure(session);
                    assert_eq!(client.get("/").status(), 200);
                    asked += 1;
                }
                asked
            })
        });
        let mut steady = asking(&rig, "shop", &[&made[0], &made[1]]);
        for at in 0..1000 {
            certificates.replace([&made[at % 2].pair]);
            assert_eq!(steady.get("/").status(), 200);
        }
        over.store(true, Ordering::Relaxed);
        assert!(clients.into_iter().all(|client| client.join().unwrap() > 0));
    });
    assert_eq!(rig.totals().handshakes.failed, 0);
    rig.finish();
}

#[test]
fn a_handshake_must_come_in_time() {
    let replica = Replica::hello();
    let patience = Patience { first_bytes: Duration::from_millis(200), ..Patience::default() };
    let mut rig = Rig::with(&[], |_| {}, Limits { patience, ..Limits::default() });
    rig.add("a", replica.address);
    for begun in [&[][..], &[22], &[22, 3, 1, 2, 0, 1]] {
        let mut client = Client::connect(rig.tls_address);
        client.send(begun);
        assert!(client.is_ended(), "{begun:?}");
    }
    until("they are counted", || rig.totals().handshakes.failed == 3);
    rig.finish();
}

#[test]
fn large_bodies_pass_whole_both_ways() {
    let replica = Replica::strict(|request, client| {
        let body = &request.body;
        client.send(format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n", body.len()));
        client.try_send(body);
    });
    let rig = rig(&replica);
    let mut body = vec![0; 5_000_003];
    let mut state = 1u32;
    for byte in &mut body {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        *byte = (state >> 24) as u8;
    }
    let mut client = rig.connect_securely();
    client.send(format!("POST / HTTP/1.1\r\nHost: shop\r\nContent-Length: {}\r\n\r\n", body.len()));
    client.send(&body);
    assert!(client.answer().body == body, "it came back otherwise");
    drop(client);
    rig.finish();
}

#[test]
fn a_head_that_comes_in_many_records_is_one_head() {
    let replica = Replica::hello();
    let rig = rig(&replica);
    let mut client = rig.connect_securely();
    for byte in b"GET / HTTP/1.1\r\nHost: shop\r\n\r\nGET / HTTP/1.1\r\nHost: shop\r\n\r\n" {
        client.send([*byte]);
    }
    assert_eq!((client.answer().status(), client.answer().status()), (200, 200));
    drop(client);
    rig.finish();
}

#[test]
fn the_end_of_an_answer_that_the_end_of_the_connection_ends_is_told_within_the_session() {
    let replica = Replica::new(|mut client| {
        client.next_request();
        client.send("HTTP/1.0 200 OK\r\n\r\nall of it");
    });
    let rig = rig(&replica);
    let mut client = rig.connect_securely();
    client.send("GET / HTTP/1.0\r\n\r\n");
    let answer = client.answer();
    assert_eq!((answer.text().as_str(), client.was_reset), ("all of it", false));
    drop(client);
    rig.finish();
}

#[test]
fn handshakes_that_stall_make_room_for_others() {
    let replica = Replica::hello();
    // None of them ends by itself.
    let patience = Patience { first_bytes: Duration::from_secs(3600), ..Patience::default() };
    let limits = Limits { patience, ..Limits::default() };
    let mut rig = Rig::with(&[], |config| config.workers = 1, limits);
    rig.add("a", replica.address);
    let mut busy = rig.connect_securely();
    assert_eq!(busy.get("/").status(), 200);
    // More than may be under way at once (proxy/src/tls/handshake.rs).
    let mut stalled: Vec<_> = (0..600)
        .map(|_| {
            let mut client = Client::connect(rig.tls_address);
            client.send([22, 3, 1]);
            client
        })
        .collect();
    assert!(stalled[0].is_ended());
    let mut honest = rig.connect_securely();
    assert_eq!((honest.get("/").status(), busy.get("/").status()), (200, 200));
    stalled.clear();
    drop((busy, honest));
    rig.finish();
}
