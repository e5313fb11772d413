//! A place in the queue, as who waits has it.

use std::sync::Arc;

use tokio::sync::oneshot;

use super::{Gate, Grant};
use crate::refuse::Refusal;

/// A place in the queue was refused.
#[derive(Debug)]
pub(crate) struct TurnedAway {
    pub(crate) refusal: Refusal,
    /// Whether the control line should hear of it at once.
    pub(crate) announce: bool,
}

/// A place in the queue. Left when dropped.
#[derive(Debug)]
pub(crate) struct Ticket {
    pub(super) gate: Arc<Gate>,
    pub(super) arrival: u64,
    pub(super) answer: oneshot::Receiver<Result<Grant, Refusal>>,
    /// Whether the control line should hear of it at once.
    pub(crate) announce: bool,
    /// It wakes nothing: the control line hears nothing of it.
    pub(super) no_wake: bool,
    pub(super) has_left: bool,
}

impl Ticket {
    /// Waits for a slot, or for the reason why there is none.
    pub(crate) async fn wait(&mut self) -> Result<Grant, Refusal> {
        (&mut self.answer).await.unwrap_or(Err(Refusal::NoEndpoint))
    }

    /// Gives the place up. Returns whether nobody waits any more, of which the control line should hear at once: it adds
    /// what other proxies say to what this one said last.
    pub(crate) fn leave(mut self) -> bool {
        self.has_left = true;
        self.gate.leave(self.arrival) && !self.no_wake
    }
}

impl Drop for Ticket {
    fn drop(&mut self) {
        if !self.has_left {
            self.gate.leave(self.arrival);
        }
    }
}
