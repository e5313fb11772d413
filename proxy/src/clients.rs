//! How many connections each client address has, where that is bounded. Touched at accept and at the end alone.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::network::Network;

/// The connections of all clients.
#[derive(Debug)]
pub(crate) struct Clients {
    /// Most of one client; 0: no limit.
    limit: usize,
    trusted: Vec<Network>,
    counts: Mutex<HashMap<IpAddr, usize>>,
}

/// One connection of one client. Given back when dropped.
#[derive(Debug)]
pub(crate) struct Counted {
    clients: Arc<Clients>,
    client: IpAddr,
}

impl Clients {
    pub(crate) fn new(limit: usize, trusted: Vec<Network>) -> Self {
        Clients { limit, trusted, counts: Mutex::default() }
    }

    /// Whether nobody is counted.
    pub(crate) fn is_unbounded(&self) -> bool {
        self.limit == 0
    }

    /// Counts a connection of `client`. `Err`: it has as many as it may have. `Ok(None)`: it isn't counted.
    pub(crate) fn enter(self: &Arc<Self>, client: IpAddr) -> Result<Option<Counted>, ()> {
        if self.is_unbounded() || self.trusted.iter().any(|network| network.contains(client)) {
            return Ok(None);
        }
        let client = one(client);
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
        let clients = Arc::new(Clients::new(2, vec!["10.0.0.0/8".parse().unwrap()]));
        let enter = |text: &str| clients.enter(text.parse().unwrap());
        let held: Vec<_> =
            ["1.1.1.1", "1.1.1.1", "2.2.2.2", "fd00::1", "fd00::2"].map(|one| enter(one).unwrap()).into();
        assert!(enter("1.1.1.1").is_err() && enter("fd00::3").is_err());
        assert!(enter("2.2.2.2").is_ok() && enter("fd00:0:0:1::1").is_ok());
        assert!((0..5).all(|_| matches!(enter("10.1.1.1"), Ok(None))));
        drop(held);
        assert!(clients.counts().is_empty());
        assert!(matches!(Arc::new(Clients::new(0, Vec::new())).enter("1.1.1.1".parse().unwrap()), Ok(None)));
    }
}
