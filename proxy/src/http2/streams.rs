//! The streams of one HTTP/2 connection, counted, and when they let it go.

use std::cell::Cell;
use std::future::poll_fn;
use std::rc::Rc;
use std::time::Duration;

use kaos_core::Moment;
use tokio::sync::Notify;

use crate::mux::budget::Earned;
use crate::rounds::Watched;
use crate::sabotage::{Rule, is_off};
use crate::standing::Stage;
use crate::worker::Worker;

/// So good as never.
const YEAR: Duration = Duration::from_secs(31_536_000);
/// A connection that was asked to go and has no streams is looked at this often: it is cut when nothing was sent to it
/// in between, and after so many times anyway.
const FAREWELL: Duration = Duration::from_secs(3);
const FAREWELLS: u32 = 100;

/// How old a connection may get: about `age`, so that those that began together don't end together.
fn aged(age: Duration, turn: usize) -> Duration {
    if is_off(Rule::Age) { YEAR } else { age + age / 64 * (turn % 16) as u32 }
}

/// The streams of a connection.
pub(super) struct Streams {
    /// Those that are open, and all that were.
    counts: Cell<(usize, u64)>,
    /// The first one has begun.
    begun: Notify,
    earned: Rc<Earned>,
    worker: Rc<Worker>,
    watch: Rc<Watched>,
}

impl Streams {
    pub(super) fn new(worker: &Rc<Worker>, watch: Rc<Watched>, earned: Rc<Earned>) -> Self {
        watch.rest(Some(worker.now()));
        Streams { counts: Cell::default(), begun: Notify::new(), earned, worker: worker.clone(), watch }
    }

    /// Ready when the connection is to end: it is idle or old, room is needed, or the proxy goes away.
    pub(super) async fn end(&self) {
        let worker = &self.worker;
        let patience = worker.patience();
        let old = worker.now() + aged(patience.age, worker.turn());
        let mut stage = worker.shared.standing.subscribe();
        let mut tick = tokio::time::interval(if is_off(Rule::IdleTime) { YEAR } else { patience.idle / 2 });
        let mut before = None;
        loop {
            tokio::select! {
                _ = stage.changed() => {}
                () = self.begun.notified() => {}
                _ = poll_fn(|cx| self.watch.poll_alarm(cx)) => return,
                _ = tick.tick() => {
                    let now = self.counts.get();
                    let idle = now.0 == 0 && before.replace(now) == Some(now);
                    if idle || worker.now() >= old {
                        return;
                    }
                }
            }
            // Who has just connected is served once before it is asked to go.
            let stage = *stage.borrow_and_update();
            if stage == Stage::Draining || stage == Stage::Leaving && self.counts.get().1 > 0 {
                return;
            }
        }
    }

    /// Ready when a client that was asked to go, and has nothing more to hear, doesn't.
    pub(super) async fn farewell(&self) {
        let mut tick = tokio::time::interval(FAREWELL);
        let (mut looks, mut before) = (0, None);
        loop {
            tokio::select! {
                // Streams that are under way go on, idle or not as the connection may seem.
                _ = poll_fn(|cx| self.watch.poll_alarm(cx)) => self.watch.until(Moment::NEVER),
                _ = tick.tick() => {
                    let sent = self.earned.bytes();
                    looks = if self.counts.get().0 == 0 { looks + 1 } else { 0 };
                    if before.replace(sent) == Some(sent) && looks > 1 || looks > FAREWELLS {
                        return;
                    }
                }
            }
        }
    }
}

/// Counts a stream that is open, to the end of its answer.
pub(super) struct Open(Rc<Streams>);

impl Open {
    pub(super) fn new(streams: Rc<Streams>) -> Self {
        let (open, all) = streams.counts.get();
        streams.counts.set((open + 1, all + 1));
        streams.earned.asked();
        streams.watch.rest(None);
        if all == 0 {
            streams.begun.notify_one();
        }
        Open(streams)
    }

    /// A piece of its answer goes to the client.
    pub(super) fn answered(&self) {
        self.0.earned.answered();
    }

    /// How many are open, this one too.
    pub(super) fn among(&self) -> usize {
        self.0.counts.get().0
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        let (open, all) = self.0.counts.get();
        self.0.counts.set((open - 1, all));
        if open == 1 {
            self.0.watch.rest(Some(self.0.worker.now()));
        }
    }
}
