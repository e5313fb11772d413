//! Work that many may begin at once is begun a little at a time: so much in each turn of the event loop, and then whatever
//! else has come goes first. Else a client that asks for ten thousand things in one go has everybody wait behind all of them.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::future::poll_fn;
use std::rc::Rc;
use std::task::{Context, Poll, Waker};

use tokio::sync::Notify;

/// What may be begun in one turn, first come first served.
#[derive(Debug)]
pub(crate) struct Turns {
    /// So much in each turn.
    most: usize,
    /// In this one.
    left: Cell<usize>,
    waiting: RefCell<VecDeque<(Waker, Rc<Cell<bool>>)>>,
    /// Something was begun in this turn.
    begun: Notify,
}

/// One that waits from time to time.
#[derive(Debug, Default)]
pub(crate) struct Place {
    /// It is in the row.
    waits: Rc<Cell<bool>>,
}

impl Turns {
    pub(crate) fn new(most: usize) -> Self {
        Turns { most, left: Cell::new(most), waiting: RefCell::default(), begun: Notify::new() }
    }

    /// Ready when one thing may be begun. While others wait, `first` alone may be: whoever has begun something goes to the end of the
    /// row.
    pub(crate) fn poll_begin(&self, cx: &Context<'_>, place: &Place, first: bool) -> Poll<()> {
        let mut waiting = self.waiting.borrow_mut();
        let left = self.left.get();
        if left > 0 && !place.waits.get() && (first || waiting.is_empty()) {
            self.left.set(left - 1);
            if left == self.most {
                self.begun.notify_one();
            }
            return Poll::Ready(());
        }
        if !place.waits.replace(true) {
            waiting.push_back((cx.waker().clone(), place.waits.clone()));
        }
        Poll::Pending
    }

    /// Waits until one thing may be begun.
    pub(crate) async fn begin(&self) {
        let place = Place::default();
        poll_fn(|cx| self.poll_begin(cx, &place, true)).await;
    }

    /// Gives the turns, for ever.
    pub(crate) async fn run(&self) {
        loop {
            if self.waiting.borrow().is_empty() {
                self.begun.notified().await;
            }
            // Back when the event loop has looked for what has come.
            tokio::task::yield_now().await;
            self.left.set(self.most);
            let mut waiting = self.waiting.borrow_mut();
            let next = waiting.len().min(self.most);
            for (waker, waits) in waiting.drain(..next) {
                waits.set(false);
                waker.wake();
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::task::Waker;

    use tokio::task::{LocalSet, yield_now};

    use super::*;

    fn run(work: impl Future<Output = ()>) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        LocalSet::new().block_on(&runtime, work);
    }

    #[test]
    fn everybody_begins_a_few_at_a_time() {
        run(async {
            let (turns, begun) = (Rc::new(Turns::new(3)), Rc::new(Cell::new(0)));
            let pacer = turns.clone();
            tokio::task::spawn_local(async move { pacer.run().await });
            for _ in 0..100 {
                let (turns, begun) = (turns.clone(), begun.clone());
                tokio::task::spawn_local(async move {
                    turns.begin().await;
                    begun.set(begun.get() + 1);
                });
            }
            let mut last = 0;
            while begun.get() < 100 {
                yield_now().await;
                // What runs between two looks may be the end of one turn and the whole of another.
                assert!(begun.get() - last <= 6, "{} after {last}", begun.get());
                last = begun.get();
            }
        });
    }

    #[test]
    fn who_is_gone_keeps_nobody_waiting() {
        run(async {
            let turns = Rc::new(Turns::new(2));
            let cx = Context::from_waker(Waker::noop());
            for _ in 0..20 {
                // They take a turn or wait for one, and are never seen again.
                let _ = turns.poll_begin(&cx, &Place::default(), true);
            }
            let pacer = turns.clone();
            tokio::task::spawn_local(async move { pacer.run().await });
            turns.begin().await;
        });
    }

    #[test]
    fn who_has_begun_lets_others_go_first() {
        let turns = Turns::new(10);
        let cx = Context::from_waker(Waker::noop());
        let (one, other) = (Place::default(), Place::default());
        assert!((0..10).all(|at| turns.poll_begin(&cx, &one, at == 0).is_ready()));
        assert!(turns.poll_begin(&cx, &other, true).is_pending());
        turns.left.set(10);
        assert!(turns.poll_begin(&cx, &one, false).is_pending(), "the other waits");
        assert!(turns.poll_begin(&cx, &one, true).is_pending(), "it is in the row now");
        assert_eq!(turns.waiting.borrow().len(), 2);
    }
}
