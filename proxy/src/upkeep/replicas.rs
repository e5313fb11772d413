//! What each replica has in flight, for who asks from outside: whether it may be stopped.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use kaos_core::{EndpointUid, Moment};

use crate::slot::Slot;

/// Every replica that is listed or still has requests. Asked from outside; no request looks here.
#[derive(Debug, Default)]
pub(crate) struct Replicas(Mutex<HashMap<EndpointUid, Weak<Slot>>>);

impl Replicas {
    fn known(&self) -> MutexGuard<'_, HashMap<EndpointUid, Weak<Slot>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn add(&self, slot: &Arc<Slot>) {
        let mut known = self.known();
        known.retain(|_, slot| slot.strong_count() > 0);
        known.insert(slot.uid.clone(), Arc::downgrade(slot));
    }

    /// What a replica has in flight at `now`, also one that isn't listed any more; with one more where some are presumed to be.
    pub(crate) fn in_flight(&self, uid: &EndpointUid, now: Moment) -> u32 {
        let slot = self.known().get(uid).and_then(Weak::upgrade);
        slot.map_or(0, |slot| slot.in_flight() + u32::from(slot.presumed.until() > now))
    }
}
