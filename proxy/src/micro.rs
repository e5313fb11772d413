//! What the micro benchmarks call: the steps of a request that compute and don't wait. Only with the feature `bench`.

use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;
use std::time::Duration;

use http::Method;
use kaos_core::Moment;

use crate::admit::Wait;
use crate::clients::Client;
use crate::gate::{Gate, Terms, sample};
use crate::head::Head;
use crate::http1::{request as reader, respond};
use crate::ledger::Ledger;
use crate::upstream::answer;
use crate::upstream::send::{self, Hop};

const LARGEST: usize = 32 * 1024;
const ID: &str = "0123456789abcdef0123456789abcdef";

/// Reads the head of an HTTP/1 client's request: whether it is a whole one that may be routed.
pub fn read_request(bytes: &[u8]) -> bool {
    let mut head = Head::default();
    matches!(reader::read(bytes, &mut head, LARGEST), Ok(Some(_))) && head.routed_host().is_some()
}

/// The same, and writes it as it goes to a replica.
pub fn pass_request(bytes: &[u8], out: &mut Vec<u8>) -> bool {
    out.clear();
    let mut head = Head::default();
    let read = matches!(reader::read(bytes, &mut head, LARGEST), Ok(Some(_)));
    let client =
        Client { address: IpAddr::V4(Ipv4Addr::LOCALHOST), trusted: false, secure: false, asks: false };
    let hop = Hop {
        client,
        target: &head.target,
        host: &head.host,
        edits: None,
        request_id: ID,
        replica: (Ipv4Addr::LOCALHOST, 80).into(),
        pass: None,
    };
    read && send::head(&head, &hop, out).is_ok()
}

/// Reads the head of a replica's answer: whether it is a whole one.
pub fn read_answer(bytes: &[u8]) -> bool {
    matches!(answer::parse(bytes, &Method::GET), Ok(Some(_)))
}

/// The same, and writes it as it goes to a client.
pub fn pass_answer(bytes: &[u8], out: &mut Vec<u8>) -> bool {
    out.clear();
    let Ok(Some((answer, _))) = answer::parse(bytes, &Method::GET) else { return false };
    respond::answer(&Head::default(), &answer, ID, &Wait::default(), None, true, out);
    true
}

/// Admission to one workload, all of whose replicas are ready.
#[derive(Debug)]
pub struct Admission {
    gate: Arc<Gate>,
    turn: usize,
}

impl Admission {
    /// With so many replicas, each of which takes a hundred requests at once.
    pub fn new(replicas: usize) -> Admission {
        Admission { gate: sample::gate(100, replicas).0, turn: 0 }
    }

    /// A request gets a slot and gives it back: whether it did.
    pub fn request(&mut self) -> bool {
        self.turn += 1;
        self.gate.admit(Moment::ZERO, self.turn, Terms::default()).is_some()
    }
}

/// What is counted of requests.
#[derive(Debug, Default)]
pub struct Metering {
    ledger: Ledger,
    now: u64,
}

impl Metering {
    /// A request gets a slot, gives it back, and has ended.
    pub fn request(&mut self) {
        self.now += 100;
        let [begun, over] = [self.now, self.now + 50].map(Moment::from_micros);
        self.ledger.dispatched(begun);
        self.ledger.released(over, over);
        self.ledger.ended(200, Duration::from_micros(50));
    }
}
