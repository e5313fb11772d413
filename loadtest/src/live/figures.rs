//! What became of recorded traffic: live, by Kaos's own metrics, and simulated; and how far the two are apart.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// What became of one function, or of all.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Figures {
    /// Requests that were answered.
    pub requests: u64,
    /// Those that waited for a start.
    pub cold_requests: u64,
    /// Time of replicas in seconds: starting, busy or kept.
    pub replica_seconds: f64,
    /// That with requests.
    pub busy_seconds: f64,
    /// Replicas that were started before anybody asked.
    pub prewarms: u64,
    /// Those of them that a request found.
    pub prewarms_used: u64,
}

/// How far live may be from simulated, as a share.
const NEAR: f64 = 0.1;
/// So many cold requests are no difference.
const FEW: u64 = 10;

impl Figures {
    /// All together.
    pub fn sum<'a>(all: impl IntoIterator<Item = &'a Figures>) -> Figures {
        all.into_iter().fold(Figures::default(), |sum, one| Figures {
            requests: sum.requests + one.requests,
            cold_requests: sum.cold_requests + one.cold_requests,
            replica_seconds: sum.replica_seconds + one.replica_seconds,
            busy_seconds: sum.busy_seconds + one.busy_seconds,
            prewarms: sum.prewarms + one.prewarms,
            prewarms_used: sum.prewarms_used + one.prewarms_used,
        })
    }

    /// What of this, which is live, is too far from `simulated`: cold requests by more than a tenth and ten, or replica time by
    /// more than a tenth.
    pub fn far(&self, simulated: &Figures) -> Vec<String> {
        let far = |live: f64, simulated: f64| (live - simulated).abs() > NEAR * simulated;
        let mut unmet = Vec::new();
        let (live, other) = (self.cold_requests, simulated.cold_requests);
        if live.abs_diff(other) > FEW && far(live as f64, other as f64) {
            unmet.push(format!(
                "{live} cold requests against {other} simulated: expected a tenth or {FEW} of difference"
            ));
        }
        let (live, other) = (self.replica_seconds, simulated.replica_seconds);
        if far(live, other) {
            unmet.push(format!(
                "{live:.0} replica seconds against {other:.0} simulated: expected a tenth of difference"
            ));
        }
        unmet
    }
}

/// What a page of Kaos's metrics says of each local function.
pub fn live(page: &str) -> BTreeMap<String, Figures> {
    let mut all: BTreeMap<String, Figures> = BTreeMap::new();
    for line in page.lines() {
        let Some((name, labels, value)) = sample(line) else { continue };
        let Some(workload) = label(labels, "workload") else { continue };
        let figures = all.entry(workload.to_owned()).or_default();
        let count = value as u64;
        match name {
            "kaos_requests_total" => figures.requests += count,
            "kaos_cold_requests_total" => figures.cold_requests += count,
            "kaos_replica_seconds_total" => {
                figures.replica_seconds += value;
                figures.busy_seconds += if label(labels, "use") == Some("busy") { value } else { 0.0 };
            }
            "kaos_prewarms_total" => {
                figures.prewarms += count;
                figures.prewarms_used += if label(labels, "used") == Some("true") { count } else { 0 };
            }
            _ => {}
        }
    }
    all
}

/// `NAME{LABELS} VALUE`.
fn sample(line: &str) -> Option<(&str, &str, f64)> {
    let (name, rest) = line.split_once('{')?;
    let (labels, value) = rest.rsplit_once("} ")?;
    Some((name, labels, value.trim().parse().ok()?))
}

/// The value of a label; those of local functions need no escapes.
fn label<'a>(labels: &'a str, name: &str) -> Option<&'a str> {
    labels.split(',').find_map(|label| label.strip_prefix(name)?.strip_prefix("=\"")?.strip_suffix('"'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_is_read_by_function() {
        let page = r#"# HELP kaos_requests_total Requests.
kaos_requests_total{namespace="local",workload="f000",code="200"} 7
kaos_requests_total{namespace="local",workload="f001",code="200"} 1
kaos_cold_requests_total{namespace="local",workload="f000"} 2
kaos_replica_seconds_total{namespace="local",workload="f000",use="busy"} 1.5
kaos_replica_seconds_total{namespace="local",workload="f000",use="idle"} 2.25
kaos_prewarms_total{namespace="local",workload="f000",used="true"} 3
kaos_prewarms_total{namespace="local",workload="f000",used="false"} 1
kaos_connections{protocol="http1"} 4
"#;
        let all = live(page);
        let expected = Figures {
            requests: 7,
            cold_requests: 2,
            replica_seconds: 3.75,
            busy_seconds: 1.5,
            prewarms: 4,
            prewarms_used: 3,
        };
        assert_eq!(all["f000"], expected);
        assert_eq!(Figures::sum(all.values()).requests, 8);
    }

    #[test]
    fn near_is_a_tenth_or_ten() {
        let figures =
            |cold_requests, replica_seconds| Figures { cold_requests, replica_seconds, ..Figures::default() };
        assert_eq!(figures(30, 109.0).far(&figures(20, 100.0)), Vec::<String>::new());
        assert_eq!(figures(31, 109.0).far(&figures(20, 100.0)).len(), 1);
        assert_eq!(figures(109, 89.0).far(&figures(100, 100.0)).len(), 1);
    }
}
