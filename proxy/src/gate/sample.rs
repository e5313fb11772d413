//! A gate as tests and benchmarks take it: all of its replicas are ready.

use std::net::Ipv4Addr;

use kaos_core::snapshot::StartTimes;
use kaos_core::{EndpointUid, Policy, Workload};

use super::*;
use crate::slot::Kind;

/// One with so many replicas, each of which takes `limit` requests at once; and their slots.
pub(crate) fn gate(limit: u32, replicas: usize) -> (Arc<Gate>, Vec<Arc<Slot>>) {
    let policy = Policy { container_concurrency: limit, ..Policy::default() };
    let workload = Workload::new(WorkloadId::new("local", "shop"), policy);
    let slot = |at: usize| {
        let (uid, address) = (EndpointUid::new(&at.to_string()), (Ipv4Addr::LOCALHOST, 1).into());
        let slot = Slot::new(uid, at as u64, address, StartTimes::default(), Kind::Replica(0));
        slot.set_open(true);
        Arc::new(slot)
    };
    let slots: Vec<_> = (0..replicas).map(slot).collect();
    let view = View {
        workload: Arc::new(workload),
        slots: slots.clone().into(),
        removed: false,
        owners: Box::default(),
        starts: Starts::default(),
    };
    let bytes = Arc::new(QueueBytes::new(u64::MAX));
    (Arc::new(Gate::new(0, view, bytes, Instant::now())), slots)
}
