//! The same traffic under `kaos simulate`.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use serde::Deserialize;
use tokio::process::Command;

use super::Setting;
use super::figures::Figures;

/// Longest simulation.
const PATIENCE: Duration = Duration::from_secs(120);

#[derive(Deserialize)]
struct Row {
    function: String,
    #[serde(flatten)]
    figures: Figures,
}

/// What would have become of each function of the file `requests` under `knobs`, where a start takes `start`. The error has what
/// `kaos simulate` said.
pub async fn simulate(
    kaos: &Path,
    requests: &Path,
    start: Duration,
    knobs: &[Setting],
) -> Result<BTreeMap<String, Figures>, String> {
    let mut command = Command::new(kaos);
    command
        .args(["simulate", "--per-function", "--output", "json", "--policy", "kaos", "--requests"])
        .arg(requests);
    // Go's form has no fractions of a microsecond.
    command.arg("--start-time").arg(format!("{}us", start.as_micros()));
    for (knob, value) in knobs {
        command.arg("--set").arg(format!("{knob}={value}"));
    }
    let said = command.stdin(Stdio::null()).kill_on_drop(true).output();
    let said = tokio::time::timeout(PATIENCE, said).await;
    let said = said.map_err(|_late| format!("kaos simulate: not done within {} s", PATIENCE.as_secs()))?;
    let said = said.map_err(|error| format!("{}: {error}", kaos.display()))?;
    if !said.status.success() {
        let why = String::from_utf8_lossy(&said.stderr);
        return Err(format!("kaos simulate ended with {}: {}", said.status, why.trim()));
    }
    let rows: Vec<Row> =
        serde_json::from_slice(&said.stdout).map_err(|error| format!("kaos simulate: {error}"))?;
    Ok(rows.into_iter().map(|row| (row.function, row.figures)).collect())
}
