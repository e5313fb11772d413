//! A proxy without a descriptor left. Alone in its process: the limit is the whole process's.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "what breaks here fails the test")]

mod support;

use std::os::fd::AsRawFd;

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use support::{Client, Rig};

const GET: &str = "GET / HTTP/1.1\r\nHost: shop\r\n\r\n";

#[test]
fn when_descriptors_run_out_idle_connections_make_room() {
    let mut rig = Rig::new(&[]);
    rig.withdraw();
    let mut idle: Vec<_> = (0..8).map(|_| rig.connect()).collect();
    idle.iter_mut().for_each(|client| client.get("/").is_problem(404, "no-route"));
    let sockets: Vec<_> = (0..8)
        .map(|_| socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).unwrap())
        .collect();
    // The lowest number that is free: with it as the limit nothing can be opened.
    let free = std::fs::File::open("/dev/null").unwrap().as_raw_fd();
    let before = getrlimit(Resource::Nofile);
    let none = Rlimit { current: Some(free as u64), maximum: before.maximum };
    setrlimit(Resource::Nofile, none).unwrap();
    assert!(std::fs::File::open("/dev/null").is_err(), "no descriptor is left");
    let address = rig.address.into();
    let mut served = Vec::new();
    for socket in sockets {
        socket.connect(&address).unwrap();
        let mut client = Client::of(socket.into());
        client.send(GET);
        client.answer().is_problem(404, "no-route");
        served.push(client);
    }
    setrlimit(Resource::Nofile, before).unwrap();
    drop((idle, served));
    rig.finish();
}
