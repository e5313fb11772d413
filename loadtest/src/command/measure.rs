//! `loadtest cold` and `loadtest cycles`: one request at a time to functions at zero.

use clap::Args;

use super::{Output, Place, Stop, met, print_json};
use crate::admin::Admin;
use crate::cold::{Measured, Subject, measure};
use crate::cycles::cycle;
use crate::run::resolve;

/// How functions are named when their names are their start-ups.
const SLOWEST: &str = "cold-5s";

#[derive(Debug, Args)]
pub(super) struct Cold {
    #[command(flatten)]
    place: Place,
    /// Cold starts of each function; a tenth of them for `cold-5s`
    #[arg(long, default_value_t = 200, value_parser = clap::value_parser!(u32).range(1..=100_000))]
    rounds: u32,
    /// The functions, each the program `answer`
    #[arg(long, value_name = "NAME", default_values = ["cold-5ms", "cold-50ms", "cold-200ms", SLOWEST])]
    function: Vec<String>,
}

impl Cold {
    pub(super) async fn run(self) -> Result<(), Stop> {
        let target = resolve(&self.place.target).map_err(Stop::Usage)?;
        let admin = Admin::new(&self.place.admin).map_err(Stop::Usage)?;
        let human = self.place.output == Output::Human;
        if human {
            println!(
                "milliseconds; added = total - own start-up; before, after, own: medians; ratio = total / own"
            );
            println!("{}", Measured::header());
        }
        let (mut all, mut unmet) = (Vec::new(), Vec::new());
        for name in self.function {
            let rounds = if name == SLOWEST { self.rounds.div_ceil(10) } else { self.rounds };
            let measured = measure(target, &admin, &Subject { name, rounds }).await.map_err(Stop::Failed)?;
            if human {
                println!("{}", measured.row());
            }
            unmet.extend(measured.unmet(rounds));
            all.push(measured);
        }
        if !human {
            print_json(&all)?;
        }
        met(&unmet)
    }
}

#[derive(Debug, Args)]
pub(super) struct Cycles {
    #[command(flatten)]
    place: Place,
    /// Cycles of each function
    #[arg(long, default_value_t = 100, value_parser = clap::value_parser!(u64).range(1..=1_000_000))]
    count: u64,
    /// The functions, each the program `answer`; they cycle at the same time
    #[arg(long, value_name = "NAME", default_values = ["cold-5ms"])]
    function: Vec<String>,
}

impl Cycles {
    pub(super) async fn run(self) -> Result<(), Stop> {
        let target = resolve(&self.place.target).map_err(Stop::Usage)?;
        let mut tasks = Vec::new();
        for name in self.function {
            let admin = Admin::new(&self.place.admin).map_err(Stop::Usage)?;
            tasks.push(tokio::spawn(async move { cycle(target, &admin, &name, self.count).await }));
        }
        let (mut all, mut unmet) = (Vec::new(), Vec::new());
        for task in tasks {
            match task.await.map_err(|error| Stop::Failed(error.to_string()))? {
                Ok(cycled) => {
                    let (name, not_cold) = (&cycled.name, cycled.not_cold);
                    if not_cold > 0 {
                        unmet.push(format!(
                            "{name}: {not_cold} answers from zero weren't marked as cold starts"
                        ));
                    }
                    all.push(cycled);
                }
                Err(why) => unmet.push(why),
            }
        }
        match self.place.output {
            Output::Json => print_json(&all)?,
            Output::Human => {
                for cycled in &all {
                    let spans = &cycled.first_byte_ms;
                    // Only `answer` says which process it is.
                    let by = match cycled.processes {
                        0 => String::new(),
                        processes => format!(" by {processes} processes, none left"),
                    };
                    println!(
                        "{}: {} cycles{by}; first byte p50 {:.2} ms, p99 {:.2} ms, max {:.2} ms",
                        cycled.name, cycled.cycles, spans.p50, spans.p99, spans.max
                    );
                }
            }
        }
        met(&unmet)
    }
}
