//! Who clients are: whose word about others is believed, and how many connections each address has, where that is
//! bounded. Touched at accept and at the end of a connection alone.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use kaos_core::network::Network;

/// Who is at the other end of a connection.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Client {
    pub(crate) address: IpAddr,
    /// It speaks for others: what it says of them is believed.
    pub(crate) trusted: bool,
    /// It came over TLS.
    pub(crate) secure: bool,
    /// It is a proxy that asks whether what it has may go, and sends it itself.
    pub(crate) asks: bool,
}

/// The connections of all clients.
#[derive(Debug)]
pub(crate) struct Clients {
    /// Most of one client; 0: no limit.
    limit: usize,
    trusted: Vec<Network>,
    /// Those who are trusted begin each connection by saying for whom it is.
    proxy_protocol: bool,
    /// It was said already that a stranger's word was dropped.
    warned: AtomicBool,
    /// It was said already that a trusted peer didn't say for whom it connects.
    warned_of_header: AtomicBool,
    counts: Mutex<HashMap<IpAddr, usize>>,
}

/// One connection of one client. Given back when dropped.
#[derive(Debug)]
pub(crate) struct Counted {
    clients: Arc<Clients>,
    client: IpAddr,
}

impl Client {
    /// How the request came here, as `X-Forwarded-Proto` and `Forwarded` spell it.
    pub(crate) fn scheme(&self) -> &'static [u8] {
        if self.secure { b"https" } else { b"http" }
    }
}

impl Clients {
    pub(crate) fn new(limit: usize, trusted: Vec<Network>, proxy_protocol: bool) -> Self {
        Clients {
            limit,
            trusted,
            proxy_protocol,
            warned: AtomicBool::new(false),
            warned_of_header: AtomicBool::new(false),
            counts: Mutex::default(),
        }
    }

    /// Whether nobody is counted.
    pub(crate) fn is_unbounded(&self) -> bool {
        self.limit == 0
    }

    /// The client at `address`.
    pub(crate) fn recognise(&self, address: IpAddr) -> Client {
        let trusted = self.trusted.iter().any(|network| network.contains(address));
        Client { address, trusted, secure: false, asks: false }
    }

    /// Says, once in a process's life, that what `client` said of the scheme wasn't believed: the replica takes a request
    /// for what came here, and one that came to another proxy over TLS it may redirect for ever.
    pub(crate) fn warn_of_dropped_scheme(&self, client: Client) {
        if !self.warned.load(Ordering::Relaxed) && !self.warned.swap(true, Ordering::Relaxed) {
            tracing::warn!(
                client = %client.address,
                "X-Forwarded-Proto was dropped, as from every client that --trusted-proxies doesn't list: if this is a \
                 proxy of yours, list its address there (CIDR,…)"
            );
        }
    }

    /// Whether `peer` has to say for whom it connects.
    pub(crate) fn must_name(&self, peer: Client) -> bool {
        self.proxy_protocol && peer.trusted
    }

    /// Says, once in a process's life, that a connection of `peer` was closed because of its header.
    pub(crate) fn warn_of_header(&self, peer: Client, why: &str) {
        tracing::debug!(peer = %peer.address, why, "a connection was closed");
        if !self.warned_of_header.swap(true, Ordering::Relaxed) {
            tracing::warn!(
                peer = %peer.address,
                "a connection was closed, as all are without a sound PROXY header from whom --trusted-proxies lists while \
                 --proxy-protocol is on: {why}"
            );
        }
    }

    /// Counts a connection of `client`. `Err`: it has as many as it may have. `Ok(None)`: it isn't counted.
    pub(crate) fn enter(self: &Arc<Self>, client: Client) -> Result<Option<Counted>, ()> {
        if self.is_unbounded() || client.trusted || client.asks {
            return Ok(None);
        }
        let client = one(client.address);
        let mut counts = self.counts();
        let count = counts.entry(client).or_default();
        if *count >= self.limit {
            return Err(());
        }
        *count += 1;
        Ok(Some(Counted { clients: self.clone(), client }))
    }

    fn counts(&self) -> MutexGuard<'_, HashMap<IpAddr, usize>> {
        self.counts.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What counts as one client: an IPv4 address, or all that one IPv6 subscriber may choose from.
fn one(client: IpAddr) -> IpAddr {
    match client {
        IpAddr::V6(address) => Ipv6Addr::from_bits(address.to_bits() >> 64 << 64).into(),
        client => client,
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        let mut counts = self.clients.counts();
        if let Some(count) = counts.get_mut(&self.client) {
            *count -= 1;
            if *count == 0 {
                counts.remove(&self.client);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_client_has_as_many_as_it_may_and_no_trace_stays() {
        let clients = Arc::new(Clients::new(2, vec!["10.0.0.0/8".parse().unwrap()], false));
        let enter = |text: &str| clients.enter(clients.recognise(text.parse().unwrap()));
        let held: Vec<_> =
            ["1.1.1.1", "1.1.1.1", "2.2.2.2", "fd00::1", "fd00::2"].map(|one| enter(one).unwrap()).into();
        assert!(enter("1.1.1.1").is_err() && enter("fd00::3").is_err());
        assert!(enter("2.2.2.2").is_ok() && enter("fd00:0:0:1::1").is_ok());
        assert!((0..5).all(|_| matches!(enter("10.1.1.1"), Ok(None))));
        drop(held);
        assert!(clients.counts().is_empty());
        let unbounded = Arc::new(Clients::new(0, Vec::new(), false));
        let anybody = unbounded.recognise("1.1.1.1".parse().unwrap());
        assert!(!anybody.trusted && matches!(unbounded.enter(anybody), Ok(None)));
    }
}
