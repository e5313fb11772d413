//! The load: closed loops, which ask again as soon as they have their answer, and an open loop, which asks when a request is due.
//!
//! Every answer is checked: its status, its length and of a gRPC call its trailers. Written for little CPU of its own.

mod h1;
mod h2;
mod line;

use std::cell::OnceCell;
use std::rc::Rc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use kaos_loadtest::pace::Pace;
use kaos_loadtest::schedule::Arrival;
use kaos_loadtest::tally::Latencies;
use tokio::runtime::{Builder, Runtime};
use tokio::sync::{Semaphore, oneshot};
use tokio::task::JoinSet;
use tokio::time::Sleep;

use crate::case::Case;

pub(crate) use h2::{message as grpc_message, open as open_http2};
pub(crate) use line::{Line, Target, connect, open_all};

/// Longest wait for one answer.
const PATIENCE: Duration = Duration::from_secs(10);

/// In an open loop requests become due at steps of this: a timer for each of 40,000 a second would cost more than asking does,
/// and the load would keep the upstream from its core.
const STEP: Duration = Duration::from_micros(100);

/// What one round of load did.
pub(crate) struct Done {
    /// Answers, all of them right.
    pub(crate) requests: u64,
    /// How long it took, by the clock.
    pub(crate) seconds: f64,
    /// To the last byte of an answer: from its request's write, in an open loop from when it was due.
    pub(crate) latencies: Latencies,
}

/// When to ask.
#[derive(Clone, Copy)]
pub(crate) enum Loop {
    /// As soon as the last answer is there.
    Closed,
    /// Independently, this often a second on average; the seed decides about the gaps.
    Open { rate: f64, seed: u64 },
}

thread_local! {
    static RUNTIME: OnceCell<Rc<Runtime>> = const { OnceCell::new() };
}

/// This thread's event loop: one for all of its life, as the upstream may be on it.
pub(crate) fn runtime() -> Result<Rc<Runtime>, String> {
    RUNTIME.with(|runtime| match runtime.get() {
        Some(runtime) => Ok(Rc::clone(runtime)),
        None => {
            let made = Builder::new_current_thread().enable_all().build();
            let made = Rc::new(made.map_err(|error| format!("no event loop: {error}"))?);
            Ok(Rc::clone(runtime.get_or_init(|| made)))
        }
    })
}

/// Does `work`, which blocks, while this thread's event loop runs.
pub(crate) fn beside<T: Send>(work: impl FnOnce() -> T + Send) -> Result<T, String> {
    let (done, wait) = oneshot::channel();
    std::thread::scope(|threads| {
        threads.spawn(move || done.send(work()).is_ok());
        runtime()?.block_on(wait).map_err(|_failed| "a thread of the benchmark failed".to_owned())
    })
}

/// Asks for `span`. The first wrong answer ends it with an error.
pub(crate) fn ask(target: &Target<'_>, when: Loop, span: Duration) -> Result<Done, String> {
    runtime()?.block_on(async {
        let lines = tokio::time::timeout(PATIENCE, open_all(target)).await;
        let lines = lines.map_err(|_late| format!("no connections within {} s", PATIENCE.as_secs()))??;
        match when {
            Loop::Closed => closed(lines, span).await,
            Loop::Open { rate, seed } => {
                open(lines, on_steps(&Arrival::Poisson { rate, duration: span, seed }.moments(0)?)).await
            }
        }
    })
}

async fn closed(lines: Vec<Line>, span: Duration) -> Result<Done, String> {
    let latencies = Arc::new(Mutex::new(Latencies::default()));
    let begun = Instant::now();
    let mut tasks = JoinSet::new();
    for mut line in lines {
        let latencies = Arc::clone(&latencies);
        tasks.spawn(async move {
            let mut patience = Patience::new();
            let mut asked = Instant::now();
            while asked < begun + span {
                let now = patience.ask(&mut line).await?;
                record(&latencies, now - asked);
                asked = now;
            }
            Ok(())
        });
    }
    done(tasks, begun, &latencies).await
}

/// Requests that are due, in the order in which they are taken.
struct Schedule {
    moments: Vec<Duration>,
    due: Semaphore,
    next: AtomicUsize,
}

/// Every moment, put off to the end of its step.
fn on_steps(moments: &[Duration]) -> Vec<Duration> {
    let step = |moment: &Duration| moment.as_nanos().div_ceil(STEP.as_nanos()) as u32;
    moments.iter().map(|moment| STEP * step(moment)).collect()
}

async fn open(lines: Vec<Line>, moments: Vec<Duration>) -> Result<Done, String> {
    let latencies = Arc::new(Mutex::new(Latencies::default()));
    let schedule = Arc::new(Schedule { moments, due: Semaphore::new(0), next: AtomicUsize::new(0) });
    let (begun, count) = (Instant::now(), lines.len());
    let mut tasks = JoinSet::new();
    for mut line in lines {
        let (latencies, schedule) = (Arc::clone(&latencies), Arc::clone(&schedule));
        tasks.spawn(async move {
            let mut patience = Patience::new();
            loop {
                schedule.due.acquire().await.map_err(|error| error.to_string())?.forget();
                let next = schedule.next.fetch_add(1, Ordering::Relaxed);
                let Some(due) = schedule.moments.get(next) else { return Ok(()) };
                // From when it was due: a request that had to wait for a free connection waited for the proxy.
                let now = patience.ask(&mut line).await?;
                record(&latencies, now.saturating_duration_since(begun + *due));
            }
        });
    }
    let pace = Pace::new(begun).map_err(|error| format!("no timer: {error}"))?;
    for together in schedule.moments.chunk_by(|one, next| one == next) {
        pace.until(together[0]).await.map_err(|error| format!("no timer: {error}"))?;
        schedule.due.add_permits(together.len());
    }
    // One more for each line, which finds nothing left and ends.
    schedule.due.add_permits(count);
    done(tasks, begun, &latencies).await
}

async fn done(
    mut tasks: JoinSet<Result<(), String>>,
    begun: Instant,
    latencies: &Mutex<Latencies>,
) -> Result<Done, String> {
    while let Some(task) = tasks.join_next().await {
        task.map_err(|error| error.to_string())??;
    }
    let seconds = begun.elapsed().as_secs_f64();
    let latencies = std::mem::take(&mut *latencies.lock().unwrap_or_else(PoisonError::into_inner));
    Ok(Done { requests: latencies.len(), seconds, latencies })
}

/// One histogram for all, behind a lock that nobody else ever holds: hundreds would fall out of the cache.
fn record(latencies: &Mutex<Latencies>, span: Duration) {
    latencies.lock().unwrap_or_else(PoisonError::into_inner).record(span);
}

/// The deadline of each request of one line: one timer that is reset only when half is used up, for a reset isn't free.
struct Patience(std::pin::Pin<Box<Sleep>>);

impl Patience {
    fn new() -> Patience {
        Patience(Box::pin(tokio::time::sleep(PATIENCE)))
    }

    /// Asks once. Returns when the last byte was there.
    async fn ask(&mut self, line: &mut Line) -> Result<Instant, String> {
        let begun = tokio::time::Instant::now();
        if self.0.deadline() < begun + PATIENCE / 2 {
            self.0.as_mut().reset(begun + PATIENCE);
        }
        tokio::select! {
            biased;
            asked = line.ask() => asked?,
            () = &mut self.0 => return Err(format!("no answer within {} s", PATIENCE.as_secs() / 2)),
        }
        Ok(Instant::now())
    }
}

/// Asks once on a line of its own: whether what is measured is answered at all.
pub(crate) fn try_once(target: &Target<'_>) -> Result<(), String> {
    let one = Target { case: Case { connections: 1, ..target.case }, ..target.clone() };
    runtime()?.block_on(async {
        let asked = tokio::time::timeout(PATIENCE, async {
            for line in &mut open_all(&one).await? {
                line.ask().await?;
            }
            Ok(())
        });
        asked.await.map_err(|_late| format!("no answer within {} s", PATIENCE.as_secs()))?
    })
}
