//! Deadlines and leaving clients: one look at everything that waits, every 50 ms.
//!
//! A timer per request costs more than the request's own bookkeeping, and a client that leaves while bytes of it lie
//! unread tells nobody. So each worker goes round all its watches instead: a comparison for each, and a look at the
//! socket's state where a request waits. What is late by up to one round is a timeout of seconds, or the 100 ms within
//! which a client's leaving must be noticed.

use std::cell::{Cell, RefCell};
use std::future::{Future, poll_fn};
use std::rc::{Rc, Weak};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use kaos_core::Moment;
use tokio::sync::Notify;

use crate::socket::Socket;

/// Time between two rounds.
pub(crate) const PERIOD: Duration = Duration::from_millis(50);

/// Longest time for an alarm to be taken.
const UNHEARD: Duration = Duration::from_secs(1);

/// Why a watched piece of work was ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Alarm {
    /// Its deadline has passed.
    Deadline,
    /// The client has closed the connection.
    ClientGone,
}

/// One connection or stream that is looked after. Taken from the rounds when dropped.
#[derive(Debug)]
pub(crate) struct Watch {
    /// Weak, so that a connection closes when its owner lets go of it, not a round later.
    client: Weak<Socket>,
    deadline: Cell<Moment>,
    mind_client: Cell<bool>,
    resting: Cell<Option<Moment>>,
    /// Something was under way before.
    known: Cell<bool>,
    raised: Cell<Option<Alarm>>,
    waker: RefCell<Option<Waker>>,
}

impl Watch {
    /// Sets the moment at which the work is ended. It replaces the one before.
    pub(crate) fn until(&self, deadline: Moment) {
        self.deadline.set(deadline);
    }

    /// Whether the client's leaving ends the work.
    pub(crate) fn mind_client(&self, mind: bool) {
        self.mind_client.set(mind);
    }

    /// Since when nothing is under way, so that the connection may be ended when connections are to go.
    pub(crate) fn rest(&self, since: Option<Moment>) {
        self.known.set(self.known.get() || since.is_none());
        self.resting.set(since);
    }

    /// Runs `work` until it is done or an alarm is raised.
    pub(crate) async fn over<T>(&self, work: impl Future<Output = T>) -> Result<T, Alarm> {
        let mut work = std::pin::pin!(work);
        poll_fn(|cx| {
            if let Poll::Ready(alarm) = self.poll_alarm(cx) {
                return Poll::Ready(Err(alarm));
            }
            work.as_mut().poll(cx).map(Ok)
        })
        .await
    }

    /// Ready when an alarm is raised.
    pub(crate) fn poll_alarm(&self, cx: &mut Context<'_>) -> Poll<Alarm> {
        if let Some(alarm) = self.raised.take() {
            return Poll::Ready(alarm);
        }
        let mut waker = self.waker.borrow_mut();
        match &mut *waker {
            Some(known) => known.clone_from(cx.waker()),
            None => *waker = Some(cx.waker().clone()),
        }
        Poll::Pending
    }

    fn look(&self, now: Moment, idle_before: Moment) {
        if self.raised.get().is_some() {
            return self.cut_unheard(now);
        }
        let alarm = if self.mind_client.get() && self.client.upgrade().is_none_or(|client| client.is_gone()) {
            Alarm::ClientGone
        } else if self.deadline.get() <= now || self.resting.get().is_some_and(|since| since < idle_before) {
            Alarm::Deadline
        } else {
            return;
        };
        self.raise(alarm, now);
    }

    fn raise(&self, alarm: Alarm, now: Moment) {
        self.resting.set(None);
        // From now on the deadline is that of the alarm itself.
        self.deadline.set(now + UNHEARD);
        self.mind_client.set(false);
        self.raised.set(Some(alarm));
        let waker = self.waker.borrow_mut().take();
        if let Some(waker) = waker {
            waker.wake();
        }
    }
}

impl Watch {
    /// Nobody has taken the alarm: a stream whose client doesn't read isn't asked for more of its body. Then only the end
    /// of the connection ends it.
    fn cut_unheard(&self, now: Moment) {
        if self.deadline.get() <= now {
            self.deadline.set(Moment::NEVER);
            if let Some(client) = self.client.upgrade() {
                client.cut();
            }
        }
    }
}

/// All watches of one worker.
#[derive(Debug, Default)]
pub(crate) struct Rounds {
    watches: RefCell<Vec<Rc<Watch>>>,
    begun: Notify,
    /// Nothing was idle when it was last looked for, in this round.
    barren: Cell<bool>,
}

/// Keeps a watch in the rounds.
#[derive(Debug)]
pub(crate) struct Watched {
    watch: Rc<Watch>,
}

impl std::ops::Deref for Watched {
    type Target = Watch;

    fn deref(&self) -> &Watch {
        &self.watch
    }
}

impl Rounds {
    /// Watches over what is done for `client`, without a deadline at first.
    pub(crate) fn watch(&self, client: &Rc<Socket>) -> Watched {
        let watch = Rc::new(Watch {
            client: Rc::downgrade(client),
            deadline: Cell::new(Moment::NEVER),
            mind_client: Cell::new(false),
            resting: Cell::new(None),
            known: Cell::new(false),
            raised: Cell::new(None),
            waker: RefCell::new(None),
        });
        let mut watches = self.watches.borrow_mut();
        if watches.is_empty() {
            self.begun.notify_one();
        }
        watches.push(watch.clone());
        Watched { watch }
    }

    /// One round; what has been idle since before `idle_before` is ended. A watch that nobody holds any more is let go.
    pub(crate) fn go(&self, now: Moment, idle_before: Moment) {
        self.barren.set(false);
        self.watches.borrow_mut().retain(|watch| {
            let held = Rc::strong_count(watch) > 1;
            if held {
                watch.look(now, idle_before);
            }
            held
        });
    }

    /// Ends `count` idle connections: first those that nothing was ever heard on, then those that have been idle longest.
    /// Returns how many there were. Where there were none, it isn't looked for them again in the same round.
    pub(crate) fn shed(&self, count: usize, now: Moment) -> usize {
        if self.barren.get() {
            return 0;
        }
        let watches = self.watches.borrow();
        let mut idle: Vec<_> = watches
            .iter()
            .filter(|watch| Rc::strong_count(watch) > 1 && watch.raised.get().is_none())
            .filter_map(|watch| Some(((watch.known.get(), watch.resting.get()?), watch)))
            .collect();
        if count < idle.len() {
            idle.select_nth_unstable_by_key(count, |(order, _)| *order);
            idle.truncate(count);
        }
        for (_, watch) in &idle {
            watch.raise(Alarm::Deadline, now);
        }
        self.barren.set(idle.is_empty());
        idle.len()
    }

    /// Goes round for ever, resting while there is nothing to watch. `go` hears how late each round is.
    pub(crate) async fn run(&self, go: impl Fn(Duration)) {
        let mut tick = tokio::time::interval(PERIOD);
        tick.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            if self.watches.borrow().is_empty() {
                self.begun.notified().await;
                // A rest is no delay.
                tick.reset_immediately();
            }
            let due = tick.tick().await;
            go(due.elapsed());
        }
    }
}

#[cfg(test)]
mod tests {
    use tokio::net::{TcpListener, TcpStream};

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_rest_is_no_delay() {
        const HOUR: Duration = Duration::from_secs(3600);
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let stream = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
        let socket = Rc::new(Socket::new(stream));
        let (rounds, late) = (Rounds::default(), RefCell::new(Vec::new()));
        let going = rounds.run(|span| {
            late.borrow_mut().push(span);
            rounds.go(Moment::ZERO, Moment::ZERO);
        });
        let watching = async {
            for _ in 0..2 {
                tokio::time::sleep(HOUR).await;
                let _watched = rounds.watch(&socket);
                tokio::time::sleep(PERIOD * 3).await;
            }
        };
        tokio::select! {
            () = going => {}
            () = watching => {}
        }
        let late = late.into_inner();
        assert!(late.len() >= 6 && late.iter().all(|span| *span < PERIOD), "{late:?}");
    }
}
