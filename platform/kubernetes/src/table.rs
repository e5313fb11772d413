//! The table of routes, from what was granted to whom.

use std::sync::Arc;

use kaos_core::WorkloadId;
use kaos_core::condition::Over;
use kaos_core::route::{Matching, Route, RouteTable};
use kaos_core::snapshot::{Mode, Workload};

use crate::plan::Plan;

/// The routes of `plans`, which are sorted by age, and of the workloads' own hosts. `workloads` are sorted by id: places among them
/// are what look-ups return.
pub(crate) fn build(plans: &[Plan], workloads: &[Arc<Workload>]) -> RouteTable {
    let mut table = RouteTable::default();
    let place = |id: &WorkloadId| workloads.binary_search_by(|workload| workload.id.cmp(id)).ok();
    for plan in plans {
        if let Some(route) = plan.route(|id| place(id).map(|at| (at, &*workloads[at].policy))) {
            let for_whom = (plan.over, plan.when.as_deref());
            // Of two that one object asks for the first stands.
            let _ = match &plan.pattern {
                Some(pattern) => table.add_pattern(&plan.host, pattern, for_whom, route),
                None => table.add_for(&plan.host, plan.matching, &plan.path, for_whom, route),
            };
        }
    }
    for (at, workload) in workloads.iter().enumerate().filter(|(_, workload)| workload.mode != Mode::Plain) {
        for host in &workload.hosts {
            // Another object that leads to the same workload says how, be it for some requests.
            let mut add =
                |over| table.add_for(host, Matching::Prefix, &workload.path, (over, None), Route::to(at));
            if add(Over::Either).is_err() {
                let _ = add(Over::Plain);
                let _ = add(Over::Tls);
            }
        }
    }
    table
}
