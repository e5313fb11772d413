//! Writes on their way to the platform: each a task of its own with a deadline, in two lanes of bounded width.
//!
//! A raise or a release is what somebody may be waiting for; it never stands behind holds and lower counts, however many
//! of those the platform is slow with. Knows nothing of why anything is written.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use foldhash::fast::FixedState;
use kaos_core::platform::{Expected, Platform, Refusal};
use tokio::task::JoinSet;
use tokio::time::{Instant, timeout_at};

use crate::action::Action;

/// A write that isn't answered in this time, its wait for a turn included, has failed as far as we know.
const DEADLINE: Duration = Duration::from_secs(2);

/// Most raises and releases at once.
const URGENT: usize = 64;

/// Most other writes at once.
const OTHERS: usize = 32;

/// The writes of one autoscaler. The queues are bounded by the line: one write per workload, and a wake beside a release.
pub(crate) struct Writes<P> {
    platform: Arc<P>,
    running: JoinSet<Result<u64, Refusal>>,
    asked: HashMap<tokio::task::Id, Action, FixedState>,
    urgent: Lane,
    others: Lane,
}

/// Writes that wait for each other.
struct Lane {
    queue: VecDeque<(Action, Instant)>,
    running: usize,
    width: usize,
}

impl Lane {
    fn new(width: usize) -> Self {
        Lane { queue: VecDeque::new(), running: 0, width }
    }
}

impl<P: Platform> Writes<P> {
    pub(crate) fn new(platform: Arc<P>) -> Self {
        Writes {
            platform,
            running: JoinSet::new(),
            asked: HashMap::default(),
            urgent: Lane::new(URGENT),
            others: Lane::new(OTHERS),
        }
    }

    fn lane(&mut self, action: &Action) -> &mut Lane {
        match action {
            Action::Release { .. } => &mut self.urgent,
            Action::Scale { scale, .. } if matches!(scale.expected, Expected::Replicas(_)) => {
                &mut self.urgent
            }
            Action::Scale { .. } | Action::Hold { .. } => &mut self.others,
        }
    }

    /// Has `action` written when its turn comes.
    pub(crate) fn ask(&mut self, action: Action) {
        let deadline = Instant::now() + DEADLINE;
        self.lane(&action).queue.push_back((action, deadline));
    }

    /// Starts as many as may run. Returns those whose time was over before their turn.
    pub(crate) fn start(&mut self) -> Vec<Action> {
        let now = Instant::now();
        let (mut late, mut ready) = (Vec::new(), Vec::new());
        for lane in [&mut self.urgent, &mut self.others] {
            while lane.running < lane.width {
                let Some((action, deadline)) = lane.queue.pop_front() else { break };
                if deadline <= now {
                    late.push(action);
                } else {
                    lane.running += 1;
                    ready.push((action, deadline));
                }
            }
        }
        for (action, deadline) in ready {
            let (platform, ask) = (self.platform.clone(), action.clone());
            let task = self.running.spawn(async move { in_time(deadline, write(&*platform, &ask)).await });
            self.asked.insert(task.id(), action);
        }
        late
    }

    /// The next answer; never, while nothing is asked. May be dropped at any time.
    pub(crate) async fn answer(&mut self) -> (Action, Result<u64, Refusal>) {
        loop {
            let (id, result) = match self.running.join_next_with_id().await {
                Some(Ok((id, result))) => (id, result),
                Some(Err(error)) => {
                    (error.id(), Err(Refusal::Failed(format!("the platform's code failed: {error}"))))
                }
                None => std::future::pending().await,
            };
            if let Some(action) = self.asked.remove(&id) {
                self.lane(&action).running -= 1;
                return (action, result);
            }
        }
    }
}

/// The answer to `write`, unless it takes too long. One whose time was over before it began isn't begun: a process that
/// was stopped comes here long after, and what was decided is of old.
async fn in_time(
    deadline: Instant,
    write: impl Future<Output = Result<u64, Refusal>>,
) -> Result<u64, Refusal> {
    let late = || Err(Refusal::Failed("the platform didn't answer in 2 s".into()));
    if Instant::now() >= deadline {
        return late();
    }
    timeout_at(deadline, write).await.unwrap_or_else(|_| late())
}

async fn write<P: Platform>(platform: &P, action: &Action) -> Result<u64, Refusal> {
    match action {
        Action::Scale { workload, scale } => platform.scale(workload, scale.clone()).await,
        Action::Hold { workload, hold } => platform.hold(workload, Some(hold.clone())).await,
        Action::Release { workload } => platform.hold(workload, None).await,
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use kaos_core::platform::Scale;
    use kaos_core::snapshot::{Hold, Targets};
    use kaos_core::{HoldId, WorkloadId};

    use super::*;

    /// A platform that never answers a hold and everything else at once.
    #[derive(Default)]
    struct Slow {
        holds: Mutex<usize>,
    }

    impl Platform for Slow {
        async fn scale(&self, _: &WorkloadId, _: Scale) -> Result<u64, Refusal> {
            Ok(1)
        }

        async fn hold(&self, _: &WorkloadId, hold: Option<Hold>) -> Result<u64, Refusal> {
            if hold.is_some() {
                *self.holds.lock().unwrap() += 1;
                std::future::pending::<()>().await;
            }
            Ok(2)
        }
    }

    fn workload(at: usize) -> WorkloadId {
        WorkloadId::new("local", &format!("w{at}"))
    }

    fn hold(at: usize) -> Action {
        let hold = Hold { id: HoldId::new("h"), by: "a".into(), targets: Targets::All };
        Action::Hold { workload: workload(at), hold }
    }

    #[tokio::test(start_paused = true)]
    async fn who_waits_stands_behind_no_hold() {
        let platform = Arc::new(Slow::default());
        let mut writes = Writes::new(platform.clone());
        (0..200).for_each(|at| writes.ask(hold(at)));
        let scale = Scale { to: 8, victims: Vec::new(), expected: Expected::Replicas(1) };
        let raise = Action::Scale { workload: workload(200), scale };
        let release = Action::Release { workload: workload(201) };
        writes.ask(raise.clone());
        writes.ask(release.clone());
        assert_eq!(writes.start(), []);
        let begun = Instant::now();
        let answers = [writes.answer().await, writes.answer().await];
        assert!(answers.contains(&(raise, Ok(1))) && answers.contains(&(release, Ok(2))), "{answers:?}");
        assert_eq!(begun.elapsed(), Duration::ZERO);
        // Holds have as many places as they had, and those without one fail when their time is over.
        assert_eq!(writes.start(), []);
        assert_eq!(*platform.holds.lock().unwrap(), OTHERS);
        for _ in 0..OTHERS {
            assert!(matches!(writes.answer().await, (_, Err(Refusal::Failed(_)))));
        }
        assert_eq!(begun.elapsed(), DEADLINE);
        assert_eq!(writes.start().len(), 200 - OTHERS);
    }

    #[tokio::test(start_paused = true)]
    async fn a_write_whose_time_is_over_is_not_begun() {
        let asked = Mutex::new(false);
        let write = async {
            *asked.lock().unwrap() = true;
            Ok(1)
        };
        assert!(in_time(Instant::now(), write).await.is_err());
        assert!(!*asked.lock().unwrap());
    }
}
