//! Who has which host and path when several claim it: the older Deployment, then the lesser name. A pure rule, so a
//! restart finds the same winner.

use std::collections::HashMap;

use kaos_core::WorkloadId;
use kaos_core::host::HostPattern;
use kaos_core::route::Conflict;

/// What one workload claims.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Claimant<'a> {
    pub(crate) id: &'a WorkloadId,
    /// When it was made, in seconds since 1970.
    pub(crate) created: i64,
    pub(crate) hosts: &'a [HostPattern],
    pub(crate) path: &'a str,
}

/// The hosts that each claimant gets, in the order of `claimants`, and those that it doesn't.
pub(crate) fn settle(claimants: &[Claimant<'_>]) -> (Vec<Vec<HostPattern>>, Vec<Conflict>) {
    let mut by_age: Vec<usize> = (0..claimants.len()).collect();
    by_age.sort_by_key(|at| (claimants[*at].created, claimants[*at].id));
    let mut taken: HashMap<(&HostPattern, &str), &WorkloadId> = HashMap::with_capacity(claimants.len() * 4);
    let mut granted = vec![Vec::new(); claimants.len()];
    let mut conflicts = Vec::new();
    for at in by_age {
        let claimant = &claimants[at];
        let path = claimant.path.trim_end_matches('/');
        for host in claimant.hosts {
            match taken.get(&(host, path)) {
                Some(winner) if *winner == claimant.id => {}
                Some(winner) => conflicts.push(Conflict {
                    route: format!("{host}{path}/"),
                    winner: (*winner).clone(),
                    loser: claimant.id.clone(),
                }),
                None => {
                    taken.insert((host, path), claimant.id);
                    granted[at].push(host.clone());
                }
            }
        }
    }
    (granted, conflicts)
}
