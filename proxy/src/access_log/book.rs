//! The entries of one worker: those of requests that are under way, and those that have ended and go out together.

use std::cell::{Cell, RefCell};
use std::mem;
use std::rc::Rc;

use kaos_core::Moment;

use super::{Access, Entry};
use crate::clients::Client;
use crate::head::Head;
use crate::worker::scatter;

/// Most entries that go out together. Fewer do when a round is over.
const TOGETHER: usize = 64;

/// The entry of a request that is under way.
#[derive(Debug)]
pub(crate) struct Draft {
    pub(crate) entry: Entry,
    /// Counts the content that comes, where it comes beside.
    pub(crate) meter: Option<Rc<Cell<u64>>>,
}

/// The access log as one worker has it.
#[derive(Debug)]
pub(crate) struct Book {
    access: Option<Access>,
    ended: RefCell<Vec<Entry>>,
    seed: u64,
    drawn: Cell<u64>,
}

impl Book {
    pub(crate) fn new(access: Option<Access>, seed: u64) -> Self {
        Book { access, ended: RefCell::default(), seed, drawn: Cell::new(0) }
    }

    /// Begins the entry of a request, if requests are told of. One that another proxy has passed on is told of there, where
    /// its client is known.
    pub(crate) fn begin(
        &self,
        arrived: Moment,
        client: Client,
        head: Option<&Head>,
    ) -> Option<Box<RefCell<Draft>>> {
        self.access.as_ref()?;
        if head.is_some_and(|head| head.passed.is_some()) {
            return None;
        }
        let entry = Entry::begin(arrived, client, head);
        Some(Box::new(RefCell::new(Draft { entry, meter: None })))
    }

    /// Takes an entry whose request has ended.
    pub(crate) fn end(&self, entry: Entry) {
        let Some(access) = &self.access else { return };
        if !entry.is_error() && !self.draw(access.share) {
            return;
        }
        let mut ended = self.ended.borrow_mut();
        ended.push(entry);
        if ended.len() >= TOGETHER {
            access.log.take(mem::take(&mut *ended));
        }
    }

    /// Lets go of what has ended.
    pub(crate) fn flush(&self) {
        let ended = mem::take(&mut *self.ended.borrow_mut());
        if let Some(access) = self.access.as_ref().filter(|_| !ended.is_empty()) {
            access.log.take(ended);
        }
    }

    /// Whether this one belongs to `share`.
    fn draw(&self, share: f64) -> bool {
        if share >= 1.0 {
            return true;
        }
        let drawn = self.drawn.get();
        self.drawn.set(drawn.wrapping_add(1));
        // 53 bits are what a float holds.
        let unit = (scatter(self.seed, drawn) >> 11) as f64 / (1_u64 << 53) as f64;
        unit < share
    }
}

impl Drop for Book {
    fn drop(&mut self) {
        self.flush();
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use super::super::AccessLog;
    use super::*;

    /// How many came each time.
    #[derive(Debug, Default)]
    struct Log(Mutex<Vec<usize>>);

    impl AccessLog for Log {
        fn take(&self, entries: Vec<Entry>) {
            self.0.lock().unwrap().push(entries.len());
        }

        fn dropped(&self) -> u64 {
            0
        }
    }

    fn entry(status: u16) -> Entry {
        let client = Client { address: [127, 0, 0, 1].into(), trusted: false, secure: false, asks: false };
        Entry { status, cut: false, ..Entry::begin(Moment::ZERO, client, None) }
    }

    #[test]
    fn entries_go_out_together_and_none_is_left_behind() {
        let log = Arc::new(Log::default());
        let book = Book::new(Some(Access { log: log.clone(), share: 1.0 }), 7);
        (0..TOGETHER + 3).for_each(|_| book.end(entry(200)));
        book.flush();
        book.flush();
        book.end(entry(200));
        drop(book);
        assert_eq!(*log.0.lock().unwrap(), [TOGETHER, 3, 1]);
    }

    #[test]
    fn a_share_is_told_of_and_every_error() {
        let log = Arc::new(Log::default());
        for (share, least, most) in [(0.0, 0, 0), (0.25, 2300, 2700), (1.0, 10_000, 10_000)] {
            let book = Book::new(Some(Access { log: log.clone(), share }), 7);
            (0..10_000).for_each(|_| book.end(entry(200)));
            (0..100).for_each(|_| book.end(entry(503)));
            drop(book);
            let told: usize = mem::take(&mut *log.0.lock().unwrap()).iter().sum();
            assert!((least..=most).contains(&(told - 100)), "{told} of {share}");
        }
    }

    #[test]
    fn nothing_begins_where_nobody_is_told() {
        let client = Client { address: [127, 0, 0, 1].into(), trusted: false, secure: false, asks: false };
        assert!(Book::new(None, 7).begin(Moment::ZERO, client, None).is_none());
    }
}
