//! What was learned on its way to a shelf and back, on a clock that stands still while nothing is awaited.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use kaos_core::form::Kept;
use kaos_core::gaps::Gaps;
use kaos_core::learned::{Learned, Prewarms};
use kaos_core::platform::{Entry, Refusal, Shelf};
use kaos_core::{Moment, WorkloadId};
use tokio::sync::{Notify, mpsc, watch};
use tokio::task::JoinHandle;
use tokio::time::sleep;

use crate::keep::{EVERY, Signals, keep};
use crate::{Journal, Order};

/// What is on a shelf of this test's own, and how it behaves.
#[derive(Default)]
struct Board {
    entries: BTreeMap<WorkloadId, Arc<[u8]>>,
    /// Written by others, and not shown yet.
    news: Vec<Entry>,
    writes: usize,
    refuses: Option<Refusal>,
}

#[derive(Clone, Default)]
struct Own(Arc<Mutex<Board>>);

impl Own {
    /// Somebody else writes an entry.
    fn others(&self, id: &WorkloadId, kept: Arc<[u8]>) {
        let mut board = self.0.lock().unwrap();
        board.entries.insert(id.clone(), kept.clone());
        board.news.push((id.clone(), kept));
    }

    fn gaps(&self, id: &WorkloadId) -> Option<u64> {
        let bytes = self.0.lock().unwrap().entries.get(id)?.clone();
        Some(Kept::read(&bytes).unwrap().learned.gaps().count())
    }

    fn writes(&self) -> usize {
        self.0.lock().unwrap().writes
    }

    fn refuses(&self, why: Option<Refusal>) {
        self.0.lock().unwrap().refuses = why;
    }
}

impl Shelf for Own {
    async fn look(&mut self) -> Result<Vec<Entry>, Refusal> {
        Ok(std::mem::take(&mut self.0.lock().unwrap().news))
    }

    async fn put(&mut self, entries: &[(WorkloadId, Option<Arc<[u8]>>)]) -> Result<(), Refusal> {
        let mut board = self.0.lock().unwrap();
        board.writes += 1;
        if let Some(why) = &board.refuses {
            return Err(why.clone());
        }
        for (id, kept) in entries {
            match kept {
                Some(kept) => board.entries.insert(id.clone(), kept.clone()),
                None => board.entries.remove(id),
            };
        }
        Ok(())
    }
}

fn learned(gaps: u64) -> Arc<[u8]> {
    let mut known = Gaps::default();
    (0..gaps).for_each(|_| known.add(Duration::from_secs(300)));
    let learned = Learned::new(known, 0.0, Prewarms::default(), 0);
    Kept { learned, start_time: Duration::ZERO }.write().into()
}

/// A keeper, and a line that takes what it is told as the real one does.
struct Scene {
    shelf: Own,
    journal: Arc<Journal>,
    lead: watch::Sender<bool>,
    soon: Arc<Notify>,
    end: watch::Sender<bool>,
    keeper: JoinHandle<()>,
}

impl Scene {
    fn new(shelf: Own, leads: bool) -> Self {
        let journal = Arc::new(Journal::default());
        let (orders, mut ordered) = mpsc::channel(4);
        let told = journal.clone();
        tokio::spawn(async move {
            while let Some(order) = ordered.recv().await {
                let Order::Recall(all, done) = order else { continue };
                for (id, kept) in all {
                    told.open(&id).learned(kept, Prewarms::default());
                }
                done.send(()).unwrap();
            }
        });
        let (lead, leading) = watch::channel(leads);
        let ((end, ends), soon) = (watch::channel(false), Arc::new(Notify::new()));
        let signals = Signals { lead: leading, soon: soon.clone(), end: ends };
        let keeper = tokio::spawn(keep(shelf.clone(), journal.clone(), orders, signals));
        Scene { shelf, journal, lead, soon, end, keeper }
    }

    fn learns(&self, id: &WorkloadId, gaps: u64) {
        self.journal.open(id).learned(learned(gaps), Prewarms::default());
    }

    fn knows(&self, id: &WorkloadId) -> u64 {
        let kept = self.journal.open(id).kept();
        kept.map_or(0, |kept| Kept::read(&kept).unwrap().learned.gaps().count())
    }
}

fn shop() -> WorkloadId {
    WorkloadId::new("local", "shop")
}

#[tokio::test(start_paused = true)]
async fn it_is_read_first_and_written_at_most_so_often_and_only_what_is_new() {
    let shelf = Own::default();
    shelf.others(&shop(), learned(7));
    let scene = Scene::new(shelf, true);
    sleep(EVERY / 10).await;
    assert_eq!((scene.knows(&shop()), scene.shelf.writes()), (7, 0), "what it was is not written again");
    for gaps in 8..12 {
        scene.learns(&shop(), gaps);
        sleep(EVERY / 10).await;
    }
    sleep(EVERY).await;
    assert_eq!((scene.shelf.gaps(&shop()), scene.shelf.writes()), (Some(11), 1));
    sleep(EVERY * 10).await;
    assert_eq!(scene.shelf.writes(), 1, "nothing was learned");
}

#[tokio::test(start_paused = true)]
async fn who_doesnt_lead_reads_and_writes_nothing_until_it_does() {
    let scene = Scene::new(Own::default(), false);
    scene.learns(&shop(), 3);
    sleep(EVERY * 3).await;
    assert_eq!(scene.shelf.writes(), 0);
    scene.shelf.others(&shop(), learned(20));
    scene.lead.send_replace(true);
    sleep(EVERY / 10).await;
    assert_eq!(
        (scene.knows(&shop()), scene.shelf.writes()),
        (20, 0),
        "what the last leader kept comes first"
    );
}

#[tokio::test(start_paused = true)]
async fn the_end_is_written_and_asked_for_is_soon() {
    let scene = Scene::new(Own::default(), true);
    sleep(EVERY / 10).await;
    scene.learns(&shop(), 1);
    scene.soon.notify_one();
    sleep(EVERY / 10).await;
    assert_eq!(scene.shelf.gaps(&shop()), Some(1));
    scene.learns(&shop(), 2);
    scene.end.send_replace(true);
    scene.keeper.await.unwrap();
    assert_eq!(scene.shelf.gaps(&shop()), Some(2));
}

#[tokio::test(start_paused = true)]
async fn what_cant_be_written_is_tried_again_and_conflicts_at_once() {
    let scene = Scene::new(Own::default(), true);
    sleep(EVERY / 10).await;
    scene.shelf.refuses(Some(Refusal::Failed("no space left on device".into())));
    scene.learns(&shop(), 1);
    sleep(EVERY * 4).await;
    assert_eq!(scene.shelf.writes(), 4);
    scene.shelf.refuses(Some(Refusal::Conflict));
    sleep(EVERY).await;
    assert_eq!(scene.shelf.writes(), 7);
    scene.shelf.refuses(None);
    sleep(EVERY).await;
    assert_eq!((scene.shelf.gaps(&shop()), scene.shelf.writes()), (Some(1), 8));
}

#[tokio::test(start_paused = true)]
async fn of_what_is_long_gone_nothing_stays() {
    let shelf = Own::default();
    let (gone, back) = (WorkloadId::new("local", "gone"), WorkloadId::new("local", "back"));
    [&shop(), &gone, &back].into_iter().for_each(|id| shelf.others(id, learned(5)));
    let scene = Scene::new(shelf, true);
    sleep(EVERY).await;
    scene.journal.close(&gone);
    scene.journal.close(&back);
    sleep(Duration::from_secs(3000)).await;
    assert_eq!(scene.shelf.gaps(&gone), Some(5), "it may come back");
    scene.learns(&back, 5);
    sleep(Duration::from_secs(3000)).await;
    let left: Vec<_> = scene.shelf.0.lock().unwrap().entries.keys().cloned().collect();
    assert_eq!(left, [back, shop()]);
    assert_eq!(scene.journal.open(&shop()).forgotten(), None::<Moment>);
}
