//! What happens to replicas, and what that means: the guardian's events, and the notes of those who read and probe.

use std::sync::Arc;
use std::time::Instant;

use kaos_core::WorkloadId;

use super::Supervisor;
use crate::linux::Event;
use crate::machine::Note;
use crate::replica::Stage;

impl Supervisor {
    /// Takes what the guardian tells.
    pub(super) fn hear(&mut self, event: Event) {
        let (Event::Started { replica: serial, .. }
        | Event::Refused { replica: serial, .. }
        | Event::Exited { replica: serial, .. }
        | Event::Gone { replica: serial }) = event
        else {
            // A guardian is there: what could not be started can be.
            return self.settle_all(self.machine.now());
        };
        let now = self.machine.now();
        let Some(id) = self.machine.function_of(serial) else { return };
        let Some(fleet) = self.fleets.get_mut(&id) else { return };
        let Some(replica) = fleet.replicas.get_mut(&serial) else { return };
        match event {
            Event::Started { pid, .. } => {
                replica.pid = Some(pid.unsigned_abs());
                replica.start.started = Some(now);
                if matches!(replica.stage, Stage::Spawning { .. }) {
                    replica.stage = Stage::Starting;
                    replica.probe =
                        Some(self.machine.probe(replica, pid.unsigned_abs(), &fleet.function.policy));
                }
            }
            Event::Refused { because, detail, lasting, .. } => {
                let (begun, current) = (replica.begun, Arc::ptr_eq(&replica.form, &fleet.form));
                tracing::warn!(replica = %replica.uid, "{detail}");
                fleet.replicas.remove(&serial);
                self.machine.forget(serial);
                if current {
                    fleet.failed(&because, detail, lasting, begun, now);
                }
            }
            Event::Exited { exit, .. } => replica.exited(exit),
            Event::Gone { .. } => replica.left(),
            Event::Hello => {}
        }
        fleet.changed();
        self.finish(&id, serial);
    }

    /// Takes what a task tells that reads or probes.
    pub(super) fn note(&mut self, note: Note) {
        let (Note::Ready(serial) | Note::Late(serial, _) | Note::Silent(serial)) = note;
        let now = self.machine.now();
        let Some(id) = self.machine.function_of(serial) else { return };
        let Some(fleet) = self.fleets.get_mut(&id) else { return };
        let current = Arc::clone(&fleet.form);
        let Some(replica) = fleet.replicas.get_mut(&serial) else { return };
        match (note, replica.stage) {
            (Note::Ready(_), Stage::Starting) => {
                replica.stage = Stage::Ready { since: Instant::now() };
                replica.start.ready = Some(now);
                replica.tail.settle();
                if Arc::ptr_eq(&replica.form, &current) {
                    fleet.succeeded();
                }
                fleet.changed();
            }
            (Note::Late(_, reason), Stage::Starting) => {
                let (begun, detail) = (replica.begun, format!("{reason}{}", replica.tail.quote()));
                tracing::warn!(replica = %replica.uid, "{detail}");
                replica.drain(None);
                fleet.failed("start-timeout", detail, true, begun, now);
                fleet.changed();
            }
            (Note::Silent(_), _) => replica.silent = true,
            _ => {}
        }
        self.finish(&id, serial);
    }

    /// Tells what a replica's end means when that is known, forgets it when nothing of it is left, and goes on.
    pub(super) fn finish(&mut self, id: &WorkloadId, serial: u64) {
        let (now, instant) = (self.machine.now(), Instant::now());
        let Some(fleet) = self.fleets.get_mut(id) else { return };
        if let Some(replica) = fleet.replicas.get_mut(&serial)
            && let Some(ending) = replica.verdict(instant)
        {
            fleet.ended(serial, ending, now);
        }
        if fleet.replicas.get(&serial).is_some_and(|replica| replica.is_over(instant)) {
            fleet.replicas.remove(&serial);
            fleet.changed();
            self.machine.forget(serial);
        }
        self.settle(id, &[], now);
    }
}
