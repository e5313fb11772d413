//! What the proxy as a whole may still do: its stage of life, and how full its memory is. Read on the way of every request.

use std::sync::atomic::{AtomicU8, Ordering};
use std::time::Duration;

use kaos_core::Moment;
use tokio::sync::watch;

use crate::sabotage::{Rule, is_off};

/// A silence that doesn't count as idle while memory is scarce.
const BRIEF: Duration = Duration::from_secs(1);

/// The stages of a proxy's life. They come in this order.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Stage {
    /// It serves.
    #[default]
    Serving,
    /// It serves, and asks every client to go elsewhere next time.
    Leaving,
    /// It accepts nothing more, and ends what is idle.
    Draining,
}

/// How full the memory is that the proxy may use. Each level adds a measure to those before it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Pressure {
    /// There is enough.
    #[default]
    None,
    /// No request may begin to wait.
    NoQueue,
    /// Idle connections are closed, and none is kept after its answer.
    NoIdle,
    /// New connections are refused.
    NoConnections,
}

impl Pressure {
    const LEVELS: [Pressure; 4] =
        [Pressure::None, Pressure::NoQueue, Pressure::NoIdle, Pressure::NoConnections];
}

/// The stage and the pressure.
#[derive(Debug, Default)]
pub(crate) struct Standing {
    stage: watch::Sender<Stage>,
    leaving: AtomicU8,
    pressure: AtomicU8,
}

impl Standing {
    /// The stage, for who waits for the next one.
    pub(crate) fn subscribe(&self) -> watch::Receiver<Stage> {
        self.stage.subscribe()
    }

    /// Enters `stage`. There is no way back.
    pub(crate) fn enter(&self, stage: Stage) {
        self.leaving.fetch_max(stage as u8, Ordering::Relaxed);
        self.stage.send_if_modified(|known| std::mem::replace(known, stage.max(*known)) < stage);
    }

    /// Whether it has been asked to go.
    pub(crate) fn is_leaving(&self) -> bool {
        self.leaving.load(Ordering::Relaxed) >= Stage::Leaving as u8 && !is_off(Rule::Going)
    }

    /// Whether a connection may be kept for another request.
    pub(crate) fn keeps_connections(&self) -> bool {
        !self.is_leaving() && self.pressure() < Pressure::NoIdle
    }

    /// Connections that have been idle since before this moment are to be ended. One that has just come gets its time to
    /// ask, unless the proxy is about to be gone.
    pub(crate) fn ends_idle_before(&self, now: Moment) -> Moment {
        if self.leaving.load(Ordering::Relaxed) >= Stage::Draining as u8 {
            Moment::NEVER
        } else if self.pressure() >= Pressure::NoIdle {
            now.before(BRIEF)
        } else {
            Moment::ZERO
        }
    }

    /// How full the memory is.
    pub(crate) fn pressure(&self) -> Pressure {
        let level = if is_off(Rule::Memory) { 0 } else { self.pressure.load(Ordering::Relaxed).into() };
        Pressure::LEVELS.get(level).copied().unwrap_or_default()
    }

    /// Remembers how full the memory is.
    pub(crate) fn press(&self, pressure: Pressure) {
        self.pressure.store(pressure as u8, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stages_only_go_on() {
        let standing = Standing::default();
        let now = Moment::from_secs(60);
        assert!(standing.keeps_connections());
        assert_eq!(standing.ends_idle_before(now), Moment::ZERO);
        standing.enter(Stage::Draining);
        standing.enter(Stage::Leaving);
        assert_eq!(*standing.subscribe().borrow(), Stage::Draining);
        assert!(!standing.keeps_connections());
        assert_eq!(standing.ends_idle_before(now), Moment::NEVER);
    }

    #[test]
    fn every_level_is_remembered() {
        let standing = Standing::default();
        for pressure in Pressure::LEVELS {
            standing.press(pressure);
            assert_eq!(standing.pressure(), pressure);
            assert_eq!(standing.keeps_connections(), pressure < Pressure::NoIdle);
        }
    }
}
