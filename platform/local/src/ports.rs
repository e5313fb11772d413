//! Which port a replica gets: outside the range of outgoing connections, free, and not one that was just used.

use std::hash::{BuildHasher, RandomState};

use crate::linux::sockets;

/// Below are ports that well-known servers listen on by default.
const LOWEST: u16 = 10_240;

/// With fewer ports than this outside the ephemeral range, all are used.
const FEWEST: usize = 256;

/// Most ports that are tried for one replica.
const TRIES: usize = 512;

/// Hands out ports in turn.
pub(crate) struct Ports {
    pool: Vec<u16>,
    next: usize,
}

impl Ports {
    /// Every port outside the range of outgoing connections, from a random one on: two `kaos up` on one machine then
    /// rarely try the same.
    pub(crate) fn of_this_machine() -> Ports {
        let ephemeral = sockets::ephemeral_ports();
        let mut pool: Vec<u16> = (LOWEST..=u16::MAX).filter(|port| !ephemeral.contains(port)).collect();
        if pool.len() < FEWEST {
            pool = (LOWEST..=u16::MAX).collect();
        }
        let next = RandomState::new().hash_one(()) as usize % pool.len();
        Ports { pool, next }
    }

    /// The next port that nobody listens on and that isn't `taken`: given away, though nobody listens there yet.
    pub(crate) fn free(&mut self, taken: impl Fn(u16) -> bool) -> Option<u16> {
        for _ in 0..TRIES.min(self.pool.len()) {
            let port = self.pool.get(self.next).copied()?;
            self.next = (self.next + 1) % self.pool.len();
            if !taken(port) && sockets::is_free(port, true) {
                return Some(port);
            }
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;
    use std::net::TcpListener;

    use super::*;

    #[test]
    fn ports_rotate_outside_the_ephemeral_range() {
        let mut ports = Ports::of_this_machine();
        let ephemeral = sockets::ephemeral_ports();
        let got: Vec<u16> = (0..200).map(|_| ports.free(|_| false).unwrap()).collect();
        assert_eq!(got.iter().collect::<HashSet<_>>().len(), 200);
        assert!(got.iter().all(|port| !ephemeral.contains(port) && *port >= LOWEST));
    }

    #[test]
    fn a_port_that_is_taken_is_passed_over() {
        let first = Ports::of_this_machine().free(|_| false).unwrap();
        let listener = TcpListener::bind(("127.0.0.1", first)).unwrap();
        let mut ports = Ports { pool: vec![first, 1, first], next: 0 };
        assert_eq!(ports.free(|port| port == 1), None);
        drop(listener);
        assert_eq!(ports.free(|port| port == 1), Some(first));
    }
}
