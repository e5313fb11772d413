//! `loadtest run`: scenario files, one after the other.

use std::path::{Path, PathBuf};

use clap::Args;

use super::{Output, Stop, met, print_json};
use crate::run::run;
use crate::scenario::Scenario;
use crate::summary::Summary;

#[derive(Debug, Args)]
pub(super) struct Run {
    /// The scenarios
    #[arg(required = true, value_name = "FILE")]
    scenarios: Vec<PathBuf>,
    /// Where Kaos listens, instead of where the scenarios say
    #[arg(long, value_name = "URL")]
    target: Option<String>,
    /// How to print the result; JSON: a line for each scenario
    #[arg(long, value_enum, default_value_t = Output::Human)]
    output: Output,
}

impl Run {
    pub(super) async fn run(self) -> Result<(), Stop> {
        let mut unmet = Vec::new();
        for file in &self.scenarios {
            for summary in self.run_file(file).await? {
                let place = |what| format!("{}, {}: {what}", file.display(), summary.name);
                unmet.extend(summary.unmet.iter().map(place));
            }
        }
        met(&unmet)
    }

    /// Runs one scenario file and prints its result.
    async fn run_file(&self, file: &Path) -> Result<Vec<Summary>, Stop> {
        let usage = |why: String| Stop::Usage(format!("{}: {why}", file.display()));
        let text = std::fs::read_to_string(file).map_err(|error| usage(error.to_string()))?;
        let mut scenario = Scenario::parse(&text).map_err(usage)?;
        if let Some(target) = &self.target {
            scenario.target.clone_from(target);
        }
        if self.output == Output::Human {
            println!("{}: {}", file.display(), scenario.about.trim());
        }
        let tallies =
            run(&scenario).await.map_err(|why| Stop::Failed(format!("{}: {why}", file.display())))?;
        let loads = scenario.load.iter().zip(&tallies);
        let summaries: Vec<Summary> = loads.map(|(load, tally)| Summary::new(load, tally)).collect();
        match self.output {
            Output::Human => summaries.iter().for_each(|summary| print!("{}", summary.table())),
            Output::Json => print_json(&summaries)?,
        }
        Ok(summaries)
    }
}
