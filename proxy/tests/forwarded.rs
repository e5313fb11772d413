//! Whose word about a client is believed: that of trusted proxies is kept and continued, anybody else's is replaced.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "what breaks here fails the test")]

mod support;

use http::Request;
use kaos_proxy::Limits;
use support::http2::{empty, open, rest, send};
use support::{Replica, Rig};

/// A proxy that trusts `trusted`.
fn trusting(trusted: &str) -> Rig {
    let trusted = vec![trusted.parse().unwrap()];
    Rig::with(&[], |_| {}, Limits { trusted, ..Limits::default() })
}

const OWN: &str = "for=127.0.0.8;host=\"shop\";proto=http";

#[test]
fn a_trusted_proxys_words_are_kept_and_continued() {
    let mut rig = trusting("127.0.0.8/32");
    let replica = Replica::hello();
    rig.add("a", replica.address);
    let mut proxy = rig.connect_from(8);
    let forwarded = format!("for=1.2.3.4;proto=https, {OWN}");
    let two = format!("for=\"[fd00::1]\", for=1.2.3.4, {OWN}");
    // What is said; then `X-Forwarded-For`, `-Proto`, `-Host` and `Forwarded` as the replica gets them.
    for (said, told) in [
        ("", ["127.0.0.8", "http", "shop", OWN]),
        (
            "X-Forwarded-For: 1.2.3.4\r\nX-Forwarded-Proto: https\r\nX-Forwarded-Host: shop.example.com\r\n",
            ["1.2.3.4, 127.0.0.8", "https", "shop.example.com", ""],
        ),
        (
            "x-forwarded-for: 1.2.3.4,5.6.7.8\r\nX-Forwarded-For: 9.9.9.9\r\n",
            ["1.2.3.4,5.6.7.8, 9.9.9.9, 127.0.0.8", "http", "shop", ""],
        ),
        ("X-Forwarded-For:\r\nX-Forwarded-Proto: https\r\n", ["127.0.0.8", "https", "shop", ""]),
        ("Forwarded: for=1.2.3.4;proto=https\r\n", ["", "", "", &forwarded]),
        ("Forwarded: for=\"[fd00::1]\"\r\nforwarded: for=1.2.3.4\r\n", ["", "", "", &two]),
        (
            "Forwarded: for=1.2.3.4;proto=https\r\nX-Forwarded-Proto: https\r\n",
            ["127.0.0.8", "https", "shop", &forwarded],
        ),
        ("Connection: x-forwarded-proto\r\nX-Forwarded-Proto: https\r\n", ["127.0.0.8", "https", "shop", ""]),
        ("X_Forwarded_Proto: https\r\n", ["127.0.0.8", "http", "shop", OWN]),
    ] {
        proxy.send(format!("GET / HTTP/1.1\r\nHost: shop\r\n{said}\r\n"));
        assert_eq!(proxy.answer().status(), 200);
        let seen = replica.saw_one();
        for (name, value) in
            ["x-forwarded-for", "x-forwarded-proto", "x-forwarded-host", "forwarded"].into_iter().zip(told)
        {
            let wanted: Vec<&str> = Some(value).filter(|value| !value.is_empty()).into_iter().collect();
            assert_eq!(seen.values(name), wanted, "{name} after {said:?}");
        }
    }
    proxy.send("GET / HTTP/1.1\r\nHost: shop\r\nX-Forwarded-Port: 443\r\nX-Real-IP: 1.2.3.4\r\n\r\n");
    assert_eq!(proxy.answer().status(), 200);
    let seen = replica.saw_one();
    assert_eq!((seen.values("x-forwarded-port"), seen.values("x-real-ip")), (vec!["443"], vec!["1.2.3.4"]));
    drop(proxy);
    rig.finish();
}

#[test]
fn beside_a_trusted_proxy_strangers_are_believed_nothing() {
    let mut rig = trusting("127.0.0.8/32");
    let replica = Replica::hello();
    rig.add("a", replica.address);
    let mut stranger = rig.connect_from(9);
    stranger.send(
        "GET / HTTP/1.1\r\nHost: shop\r\nX-Forwarded-For: 1.2.3.4\r\nX-Forwarded-Proto: https\r\nX-Forwarded-Host: evil\r\n\
         X-Forwarded-Port: 443\r\nX-Real-IP: 1.2.3.4\r\nForwarded: for=1.2.3.4\r\n\r\n",
    );
    assert_eq!(stranger.answer().status(), 200);
    let seen = replica.saw_one();
    for (name, values) in [
        ("x-forwarded-for", &["127.0.0.9"][..]),
        ("x-forwarded-proto", &["http"]),
        ("x-forwarded-host", &["shop"]),
        ("forwarded", &["for=127.0.0.9;host=\"shop\";proto=http"]),
        ("x-forwarded-port", &[]),
        ("x-real-ip", &[]),
    ] {
        assert_eq!(seen.values(name), values, "{name}");
    }
    drop(stranger);
    rig.finish();
}

#[test]
fn over_http_2_it_is_the_same() {
    for (trusted, scheme, clients) in
        [("127.0.0.0/8", "https", "1.2.3.4, 127.0.0.1"), ("10.0.0.0/8", "http", "127.0.0.1")]
    {
        let mut rig = trusting(trusted);
        let replica = Replica::hello();
        rig.add("a", replica.address);
        let sender = open(&rig);
        let request = Request::get("http://shop/")
            .header("x-forwarded-for", "1.2.3.4")
            .header("x-forwarded-proto", "https")
            .body(empty())
            .unwrap();
        let response = send(&rig, &sender, request);
        assert_eq!(&rest(&rig, response).0[..], b"hello");
        let seen = replica.saw_one();
        assert_eq!(seen.values("x-forwarded-proto"), [scheme], "{trusted}");
        assert_eq!(seen.values("x-forwarded-for"), [clients], "{trusted}");
        drop(sender);
        rig.finish();
    }
}
