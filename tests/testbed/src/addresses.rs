//! Networks of this machine: EndpointSlices refuse loopback addresses, so each played kubelet takes a network of
//! 10.222.0.0/16 for its pods, and each control plane for pods one of 10.223.0.0/16 for services.
//!
//! A local route makes this machine answer for the whole network: a program listens on any address of it, and everything
//! on this machine reaches it there. Nothing else sees it. Only a user with CAP_NET_ADMIN may add a route.

use std::collections::VecDeque;
use std::net::Ipv4Addr;
use std::process;
use std::sync::{Arc, Mutex, PoisonError};

use crate::failure::Failure;
use crate::machine::{NET_ADMIN, allows, has};
use crate::process::Undo;

/// Pods of one kubelet at most: the kubelet's own default is 110.
pub(crate) const CAPACITY: usize = 200;

/// A network of this machine; its route is taken back when it is dropped.
pub(crate) struct Network {
    second: u8,
    third: u8,
    // Host numbers that are free, the one that was given back longest ago first.
    free: Mutex<VecDeque<u8>>,
    _route: Undo,
}

/// An address of one pod, given back when dropped.
pub(crate) struct Lease {
    network: Arc<Network>,
    host: u8,
}

impl Network {
    /// Takes a network of 10.`second`.0.0/16 that nobody has.
    pub(crate) fn take(second: u8) -> Result<Arc<Network>, Failure> {
        let route = format!("`ip route add local 10.{second}.N.0/24 dev lo`");
        has(&[("ip", "iproute2")])?;
        allows(&[NET_ADMIN], &route)?;
        let first = u8::try_from(process::id() % 256).unwrap_or_default();
        let mut refused = Failure::new("no network was tried");
        for third in (0..=u8::MAX).map(|step| first.wrapping_add(step)) {
            let network = format!("10.{second}.{third}.0/24");
            // `exact`: a route of the machine's own to this network would be hidden.
            let make = r#"test -z "$(ip route show exact "$1")" && ip route add local "$1" dev lo"#;
            match Undo::start(make, r#"ip route del local "$1" dev lo"#, &[&network]) {
                Ok(route) => {
                    let free = Mutex::new((1..=254).take(CAPACITY).collect());
                    return Ok(Arc::new(Network { second, third, free, _route: route }));
                }
                Err(failure) => refused = failure,
            }
            let taken = refused.to_string();
            if !taken.is_empty() && !taken.contains("File exists") {
                break;
            }
        }
        Err(Failure::new(format!("no network: {route} said {:?}", refused.to_string())))
    }

    /// The number N of 10.x.N.0/24: one of a kind among the networks of the same x.
    pub(crate) fn number(&self) -> u8 {
        self.third
    }

    /// The address with this last number.
    pub(crate) fn address(&self, host: u8) -> Ipv4Addr {
        Ipv4Addr::new(10, self.second, self.third, host)
    }

    /// An address for a pod: the one that was given back last, or the one that nobody has had for longest. None if all
    /// are taken.
    pub(crate) fn lease(self: &Arc<Network>, last: bool) -> Option<Lease> {
        let mut free = self.free.lock().unwrap_or_else(PoisonError::into_inner);
        let host = if last { free.pop_back() } else { free.pop_front() }?;
        Some(Lease { network: Arc::clone(self), host })
    }
}

impl Lease {
    /// The address.
    pub(crate) fn address(&self) -> Ipv4Addr {
        self.network.address(self.host)
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        self.network.free.lock().unwrap_or_else(PoisonError::into_inner).push_back(self.host);
    }
}
