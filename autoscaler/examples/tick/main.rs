//! What a second of the control line costs where ten thousand workloads do what workloads do: prints, judges nothing.
//!
//! `cargo run --release -p kaos-autoscaler --example tick [WORKLOADS [SECONDS]]`
//!
//! Measured is the CPU time of the live code: taking the reports of two proxies (what changed each second, everything each ten),
//! the platform's pictures, and turns until nothing is left to write. The proxies and the platform are played (`world.rs`) and not
//! counted; they answer at once, and a replica is ready in the next second.

mod world;

use std::sync::Arc;
use std::time::Duration;

use kaos_autoscaler::{Action, Journal, Line, line};
use kaos_core::Moment;
use rustix::time::{ClockId, clock_gettime};

use world::World;

/// Seconds before it is measured: workloads that are called each ten minutes have been called six times.
const BEFORE: u64 = 3600;

fn main() {
    let mut numbers = std::env::args().skip(1).filter_map(|text| text.parse().ok());
    let (count, seconds) = (numbers.next().unwrap_or(10_000), numbers.next().unwrap_or(300));
    let settings =
        line::Settings { id: "a".into(), max_starting: u32::MAX, earn_sleep: true, gather: Duration::ZERO };
    let mut tick = Tick { line: Line::new(settings, Arc::new(Journal::default())), spent: Duration::ZERO };
    let mut world = World::new(count as usize);
    tick.line.lead(true);
    let (mut times, mut writes) = (Vec::new(), 0);
    for second in 1..=BEFORE + seconds as u64 {
        let before = std::mem::take(&mut tick.spent);
        if second > BEFORE + 1 {
            times.push(before);
        }
        let wrote = tick.second(&mut world, second);
        writes += if second > BEFORE { wrote } else { 0 };
    }
    times.push(tick.spent);
    println!("{count} workloads: {}", world.told());
    println!("  {writes} writes in {seconds} s");
    times.sort_unstable();
    let [median, longest] = [times.len() / 2, times.len() - 1].map(|at| times[at]);
    println!("  CPU time per second: median {median:.2?}, longest {longest:.2?}");
}

/// The control line, and what it has spent.
struct Tick {
    line: Line,
    spent: Duration,
}

impl Tick {
    fn spend<T>(&mut self, work: impl FnOnce(&mut Line) -> T) -> T {
        let begun = cpu();
        let done = work(&mut self.line);
        self.spent += cpu() - begun;
        done
    }

    /// Everything that happens in a second. Returns the number of writes.
    fn second(&mut self, world: &mut World, second: u64) -> usize {
        let now = Moment::from_secs(second);
        world.second(second);
        let mut writes = 0;
        loop {
            if let Some(picture) = world.picture() {
                self.spend(|line| line.saw(&picture, now));
            }
            for report in world.reports(now) {
                self.spend(|line| line.heard(&report, now));
            }
            let actions: Vec<Action> = self.spend(|line| line.turn(now));
            if actions.is_empty() {
                return writes;
            }
            writes += actions.len();
            for action in actions {
                let version = world.write(&action);
                self.spend(|line| line.done(&action, &Ok(version), now));
            }
        }
    }
}

/// CPU time of this thread.
fn cpu() -> Duration {
    let time = clock_gettime(ClockId::ThreadCPUTime);
    Duration::new(time.tv_sec.unsigned_abs(), time.tv_nsec as u32)
}
