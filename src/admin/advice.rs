//! What was seen of a workload and what to make of it, as JSON: the form that `/v1/advice` promises.

use kaos_autoscaler::{ASSUMED_START, Watched};
use kaos_core::Workload;
use kaos_core::snapshot::Mode;
use serde_json::{Value, json};

use crate::clock::Clock;

/// The advice on a workload; `watched` is null where it isn't watched, as it is switched off or was only just found.
pub(super) fn advice(workload: &Workload, watched: Option<&Watched>, clock: &Clock) -> Value {
    let mode = match workload.mode {
        Mode::Scale => "scale",
        Mode::Observe(_) => "observe",
        Mode::Off => "off",
        Mode::Plain => "plain",
    };
    let idle_timeout =
        workload.policy.knobs().find(|(name, _)| *name == "idle-timeout").map(|(_, text)| text);
    let seen = watched.map(|watched| {
        let advice = watched.advice(workload.policy.cold_start_cost, clock.now());
        let mut seen = json!(advice);
        seen["since"] = clock.rfc3339(advice.since).into();
        seen["slept_share"] = advice.share(advice.slept).into();
        seen["start_seconds"] = watched.start.unwrap_or(ASSUMED_START).as_secs_f64().into();
        seen["start_is_assumed"] = watched.start.is_none().into();
        seen
    });
    json!({
        "namespace": workload.id.namespace(),
        "name": workload.id.name(),
        "mode": mode,
        "idle_timeout": idle_timeout,
        "watched": seen,
    })
}
