//! Hands a proxy's reports to everyone who reads them: everything first, then each change.
//!
//! The proxy never waits for a reader: one that is slower than what it is to read is cut, and begins again with
//! everything when it comes back.

use std::convert::Infallible;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll};

use bytes::Bytes;
use hyper::body::{Body, Frame};
use kaos_core::Report;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc};

use super::picture::Picture;
use super::write::lines;

/// Reports on their way in; the proxy waits when so many are.
const QUEUED: usize = 64;
/// Most readers at once.
pub(crate) const READERS: usize = 16;
/// Most lines on their way to one reader.
const AHEAD: usize = 1024;
/// Most bytes on their way to one reader, beside what everything is.
const AHEAD_BYTES: usize = 8 * 1024 * 1024;

/// Where readers come in. Cheap to clone.
#[derive(Clone, Debug)]
pub(crate) struct Hub {
    joins: mpsc::Sender<Reader>,
    places: Arc<Semaphore>,
}

#[derive(Debug)]
struct Reader {
    lines: mpsc::Sender<Bytes>,
    /// Bytes on their way.
    ahead: Arc<AtomicUsize>,
    /// Bytes that may be: what everything is comes on top.
    allowed: usize,
    /// Whether it got everything.
    begun: bool,
}

/// Ended by its reader, by the proxy's end, or because the reader is too slow.
#[derive(Debug)]
pub(crate) struct Subscription {
    lines: mpsc::Receiver<Bytes>,
    ahead: Arc<AtomicUsize>,
    _place: OwnedSemaphorePermit,
}

impl Hub {
    /// Begins to hand on what is sent to the returned sender, also to `on`.
    pub(crate) fn start(on: Option<mpsc::Sender<Report>>) -> (Hub, mpsc::Sender<Report>) {
        let (sender, reports) = mpsc::channel(QUEUED);
        let (joins, joined) = mpsc::channel(READERS);
        tokio::spawn(hand_on(reports, joined, on));
        (Hub { joins, places: Arc::new(Semaphore::new(READERS)) }, sender)
    }

    /// A new reader; `None` if there are as many as may be, or the proxy has ended.
    pub(crate) fn subscribe(&self) -> Option<Subscription> {
        let place = self.places.clone().try_acquire_owned().ok()?;
        let (lines, queue) = mpsc::channel(AHEAD);
        let ahead = Arc::new(AtomicUsize::new(0));
        let reader = Reader { lines, ahead: ahead.clone(), allowed: AHEAD_BYTES, begun: false };
        self.joins.try_send(reader).ok()?;
        Some(Subscription { lines: queue, ahead, _place: place })
    }
}

async fn hand_on(
    mut reports: mpsc::Receiver<Report>,
    mut joined: mpsc::Receiver<Reader>,
    on: Option<mpsc::Sender<Report>>,
) {
    let mut picture: Option<Picture> = None;
    let mut readers: Vec<Reader> = Vec::new();
    loop {
        tokio::select! {
            report = reports.recv() => {
                let Some(report) = report else { return };
                match &mut picture {
                    Some(picture) => picture.take(&report),
                    None => picture = Some(Picture::new(&report)),
                }
                let begun = |reader: &Reader| reader.begun;
                let news = if readers.iter().any(begun) { lines(&report) } else { Vec::new() };
                readers.retain(|reader| !reader.begun || reader.give(&news));
                if let Some(on) = &on {
                    // Its end is that of the process.
                    let _ = on.send(report).await;
                }
            }
            Some(reader) = joined.recv() => readers.push(reader),
        }
        begin(&mut readers, picture.as_ref());
    }
}

/// Gives everything to those who have nothing yet, once there is everything.
fn begin(readers: &mut Vec<Reader>, picture: Option<&Picture>) {
    if readers.iter().all(|reader| reader.begun) {
        return;
    }
    let Some(full) = picture.and_then(Picture::full) else { return };
    let everything = lines(&full);
    let size: usize = everything.iter().map(Bytes::len).sum();
    readers.retain_mut(|reader| {
        if reader.begun {
            return true;
        }
        (reader.begun, reader.allowed) = (true, AHEAD_BYTES + size);
        reader.give(&everything)
    });
}

impl Reader {
    /// Whether it keeps up.
    fn give(&self, news: &[Bytes]) -> bool {
        for line in news {
            let ahead = self.ahead.fetch_add(line.len(), Ordering::Relaxed) + line.len();
            if ahead > self.allowed || self.lines.try_send(line.clone()).is_err() {
                return false;
            }
        }
        true
    }
}

impl Body for Subscription {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        if self.lines.is_closed() {
            // It was cut: what is queued is old, and its memory is wanted back.
            return Poll::Ready(None);
        }
        self.lines.poll_recv(context).map(|line| {
            let line = line?;
            self.ahead.fetch_sub(line.len(), Ordering::Relaxed);
            Some(Ok(Frame::data(line)))
        })
    }
}

#[cfg(test)]
mod tests {
    use http_body_util::BodyExt;
    use kaos_core::report::EndpointLoad;
    use kaos_core::{EndpointUid, ProxyId, Reading, WorkloadId};

    use super::super::read::Reader as Lines;
    use super::*;

    fn report(sequence: u64, full: bool, endpoints: usize) -> Report {
        let load = |at| EndpointLoad { uid: EndpointUid::new(&format!("{at:036}")), in_flight: 1 };
        let reading = Reading { endpoints: (0..endpoints).map(load).collect(), ..Reading::default() };
        let workloads = vec![(WorkloadId::new("n", "w"), reading)];
        Report { version: 1, proxy: ProxyId::new("p"), epoch: 1, sequence, at: 1, full, workloads }
    }

    async fn next(subscription: &mut Subscription) -> Option<Vec<Report>> {
        let frame = subscription.frame().await?.unwrap();
        Some(Lines::default().take(frame.data_ref().unwrap()).unwrap())
    }

    #[tokio::test]
    async fn a_reader_gets_everything_first_and_then_each_change() {
        let (hub, sender) = Hub::start(None);
        let mut early = hub.subscribe().unwrap();
        sender.send(report(1, false, 0)).await.unwrap();
        sender.send(report(2, true, 1)).await.unwrap();
        assert_eq!(next(&mut early).await.unwrap(), [report(2, true, 1)]);
        sender.send(report(3, false, 2)).await.unwrap();
        assert_eq!(next(&mut early).await.unwrap(), [report(3, false, 2)]);
        let mut late = hub.subscribe().unwrap();
        assert_eq!(next(&mut late).await.unwrap(), [report(3, true, 2)]);
        sender.send(report(4, false, 0)).await.unwrap();
        assert_eq!(next(&mut late).await.unwrap(), [report(4, false, 0)]);
        assert_eq!(next(&mut early).await.unwrap(), [report(4, false, 0)]);
        drop(sender);
        assert_eq!(next(&mut early).await, None);
    }

    #[tokio::test]
    async fn who_is_slow_is_cut_and_holds_up_nobody() {
        let (on, mut heard) = mpsc::channel(1);
        let (hub, sender) = Hub::start(Some(on));
        let mut slow = hub.subscribe().unwrap();
        // Half a megabyte each: more than may be on its way.
        for sequence in 1..=40 {
            sender.send(report(sequence, sequence == 1, 8000)).await.unwrap();
            assert_eq!(heard.recv().await.unwrap().sequence, sequence);
        }
        assert_eq!(next(&mut slow).await, None);
        let mut again = hub.subscribe().unwrap();
        assert_eq!(next(&mut again).await.unwrap(), [report(40, true, 8000)]);
    }

    #[tokio::test]
    async fn there_are_so_many_places_and_a_reader_that_leaves_gives_its_back() {
        let (hub, _sender) = Hub::start(None);
        let mut readers = Vec::new();
        while let Some(reader) = hub.subscribe() {
            readers.push(reader);
            tokio::task::yield_now().await;
        }
        assert_eq!(readers.len(), READERS);
        drop(readers.pop());
        assert!(hub.subscribe().is_some());
    }
}
