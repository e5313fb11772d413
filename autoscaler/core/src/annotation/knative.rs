//! Knative's spellings: `autoscaling.knative.dev/…`, in kebab case and camel case, as its users have them already.
//!
//! Kaos's own spelling of the same knob wins; what it overrides isn't looked at. Units and suffixes are the same.

use std::collections::BTreeMap;
use std::time::Duration;

use super::{PREFIX, Read, invalid};
use crate::duration;

/// What the names of the annotations of Knative's autoscaler begin with.
pub(super) const KNATIVE: &str = "autoscaling.knative.dev/";

/// Knative's stable window, if nothing else is said.
const WINDOW: Duration = Duration::from_secs(60);

/// Knobs of the same name and meaning, with their older spelling.
const SAME: [(&str, &str); 11] = [
    ("min-scale", "minScale"),
    ("max-scale", "maxScale"),
    ("initial-scale", "initialScale"),
    ("activation-scale", "activationScale"),
    ("window", "window"),
    ("panic-window-percentage", "panicWindowPercentage"),
    ("panic-threshold-percentage", "panicThresholdPercentage"),
    ("scale-down-delay", "scaleDownDelay"),
    ("metric", "metric"),
    ("target", "target"),
    ("target-utilization-percentage", "targetUtilizationPercentage"),
];

/// Without effect here: the path of every request leads through Kaos, and sums are exact.
const IGNORED: [(&str, &str); 2] = [
    ("target-burst-capacity", "targetBurstCapacity"),
    ("metric-aggregation-algorithm", "metricAggregationAlgorithm"),
];

const RETENTION: (&str, &str) = ("scale-to-zero-pod-retention-period", "scaleToZeroPodRetentionPeriod");

pub(super) fn read(read: &mut Read, all: &BTreeMap<&str, &str>) {
    let find = |(kebab, camel): (&str, &str)| {
        [kebab, camel].into_iter().find_map(|name| {
            let (name, value) = all.get_key_value(format!("{KNATIVE}{name}").as_str())?;
            Some((*name, value.trim()))
        })
    };
    let ours = |knob: &str| all.contains_key(format!("{PREFIX}{knob}").as_str());
    let hpa = find(("class", "class")).is_some_and(|(name, class)| read.class(name, class));
    for names in SAME.into_iter().filter(|(knob, _)| !ours(knob)) {
        match (find(names), names.0) {
            // With this class they are the HPA's, and may name metrics that Kaos doesn't know.
            (Some(_), "metric" | "target" | "target-utilization-percentage") if hpa => {}
            (Some((annotation, value)), knob) => read.knob(annotation, knob, value),
            (None, _) => {}
        }
    }
    if let Some((annotation, value)) = find(RETENTION).filter(|_| !ours("idle-timeout")) {
        read.retention(annotation, value);
    }
    for (annotation, _) in IGNORED.into_iter().filter_map(find) {
        read.adoption
            .notes
            .push(format!("{annotation} has no effect: Kaos is always in the path of requests"));
    }
}

impl Read {
    /// Whether the class is the one that leaves the count above one to a HorizontalPodAutoscaler.
    fn class(&mut self, annotation: &str, class: &str) -> bool {
        match class {
            "kpa.autoscaling.knative.dev" => false,
            "hpa.autoscaling.knative.dev" => {
                self.adoption.above_zero = Some(format!("an HPA, as {annotation} says"));
                true
            }
            _ => {
                let allowed = "kpa.autoscaling.knative.dev or hpa.autoscaling.knative.dev";
                self.wrong.push(invalid(annotation, class, allowed));
                false
            }
        }
    }

    /// The last replica stays at least so long, and not less than Knative's stable window: it begins to count then. What is learned
    /// may be less, so it isn't where this is said.
    fn retention(&mut self, annotation: &str, value: &str) {
        match duration::parse(value) {
            Ok(Duration::ZERO) => {}
            Ok(retention) => self.knob(annotation, "idle-timeout", &duration::format(retention.max(WINDOW))),
            Err(_) => self.wrong.push(invalid(annotation, value, "a duration, such as 90s or 1m30s")),
        }
    }
}
