//! A request for a replica that speaks HTTP/2, passed on by a proxy that has no slot: by HTTP/1, which carries all of it.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "what breaks here fails the test")]

mod support;

use bytes::Bytes;
use http::{HeaderMap, Request};
use http_body_util::BodyExt;
use hyper::body::Frame;
use kaos_core::ProxyId;
use kaos_proxy::Limits;
use support::h2c::Http2;
use support::http2::{Fed, open, send};
use support::{Rig, until};
use tokio::sync::mpsc;

/// Two proxies that share the one slot of `replica`.
fn proxies(replica: &Http2) -> [Rig; 2] {
    let knobs = [("protocol", "h2c"), ("container-concurrency", "1")];
    let mut rigs =
        ["a", "b"].map(|name| Rig::with(&knobs, |config| config.id = ProxyId::new(name), Limits::default()));
    let all = [("a", &rigs[0]), ("b", &rigs[1])].map(|(name, rig)| (ProxyId::new(name), rig.address));
    for rig in &mut rigs {
        rig.peers.send_replace(all.clone().into());
        rig.add("one", replica.address);
    }
    rigs
}

#[test]
fn whoever_has_the_slot_a_conversation_goes_both_ways_with_trailers() {
    let replica = Http2::echo();
    let rigs = proxies(&replica);
    // One of them has the slot, and both are asked.
    for rig in &rigs {
        let sender = open(rig);
        let (feed, fed) = mpsc::channel(4);
        let request = Request::post("http://shop/talk")
            .header("content-type", "application/grpc")
            .header("te", "trailers")
            .body(Fed(fed).boxed())
            .unwrap();
        let response = send(rig, &sender, request);
        assert_eq!(response.status(), 200);
        let mut body = response.into_body();
        rig.runtime.block_on(async {
            for said in ["one", "two", "three"] {
                feed.send(Frame::data(Bytes::from(said))).await.unwrap();
                let heard = body.frame().await.unwrap().unwrap().into_data().unwrap();
                assert_eq!(heard, said);
            }
            let mut trailers = HeaderMap::new();
            trailers.insert("grpc-status", "0".parse().unwrap());
            feed.send(Frame::trailers(trailers.clone())).await.unwrap();
            drop(feed);
            let rest = body.frame().await.unwrap().unwrap().into_trailers().unwrap();
            assert_eq!(rest, trailers);
        });
        drop(sender);
    }
    let finished = || rigs.iter().map(|rig| rig.shop().counts.running.finished).sum::<u64>();
    until("each is counted once", || finished() == 2);
    assert!(rigs.iter().any(|rig| rig.shop().counts.running.finished == 0), "one passed its request on");
    for rig in &rigs {
        rig.peers.send_replace([].into());
    }
    Rig::finish_all(rigs);
}
