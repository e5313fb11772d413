//! Sets the knobs of a policy by their names, and shows them.

use std::fmt;

use crate::knob::{self, KNOBS};
use crate::policy::Policy;

impl Policy {
    /// This policy with `knobs` set, in order. Nothing is changed if one of them is wrong.
    pub fn with<'a>(&self, knobs: impl IntoIterator<Item = (&'a str, &'a str)>) -> Result<Policy, KnobError> {
        let mut policy = self.clone();
        let mut last = ("", "");
        for (name, value) in knobs {
            let knob = knob::find(name).ok_or_else(|| KnobError::unknown(name))?;
            (knob.set)(&mut policy, value).map_err(|()| KnobError {
                knob: name.to_owned(),
                value: value.to_owned(),
                allowed: knob.allowed.to_owned(),
            })?;
            last = (name, value);
        }
        policy.agree().map_err(|(_, allowed)| KnobError {
            knob: last.0.to_owned(),
            value: last.1.to_owned(),
            allowed,
        })?;
        Ok(policy)
    }

    /// Every knob with its value, as it would be written.
    pub fn knobs(&self) -> impl Iterator<Item = (&'static str, String)> + '_ {
        KNOBS.iter().map(|knob| (knob.name, (knob.show)(self)))
    }
}

/// A knob that doesn't exist, or a value that it doesn't take.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KnobError {
    /// The knob, as written.
    pub knob: String,
    /// The value, as written.
    pub value: String,
    /// What is allowed.
    pub allowed: String,
}

impl KnobError {
    fn unknown(name: &str) -> Self {
        let allowed = match knob::closest(name) {
            Some(near) => format!("there is no such knob; did you mean {near}?"),
            None => "there is no such knob".to_owned(),
        };
        KnobError { knob: name.to_owned(), value: String::new(), allowed }
    }
}

impl fmt::Display for KnobError {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        if knob::find(&self.knob).is_none() {
            return write!(out, "{}: {}", self.knob, self.allowed);
        }
        write!(out, "{} = {:?}: allowed is {}", self.knob, self.value, self.allowed)
    }
}

impl std::error::Error for KnobError {}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn with(knobs: &[(&str, &str)]) -> Result<Policy, KnobError> {
        Policy::default().with(knobs.iter().copied())
    }

    #[test]
    fn targets_are_knatives() {
        // Knative's resources/target_test.go: (knobs, steered, full).
        for (knobs, steered, full) in [
            (&[("target-utilization-percentage", "100")][..], 100.0, 100.0),
            (&[("target-utilization-percentage", "80")], 80.0, 100.0),
            (&[("container-concurrency", "12"), ("target-utilization-percentage", "75")], 9.0, 12.0),
            (&[("container-concurrency", "1"), ("target-utilization-percentage", "80")], 0.8, 1.0),
            (
                &[("target", "10"), ("container-concurrency", "1"), ("target-utilization-percentage", "100")],
                1.0,
                1.0,
            ),
            (&[("target", "1"), ("target-utilization-percentage", "1")], 0.01, 1.0),
            (&[("metric", "rps")], 140.0, 200.0),
            (&[("metric", "rps"), ("target", "300")], 210.0, 300.0),
        ] {
            let policy = with(knobs).unwrap();
            assert_eq!((policy.steered_target(), policy.full_target()), (steered, full), "{knobs:?}");
        }
    }

    #[test]
    fn every_default_is_what_the_table_says() {
        for knob in KNOBS {
            let shown = (knob.show)(&Policy::default());
            if !knob.default.contains(' ') {
                assert_eq!(shown, knob.default, "{}", knob.name);
            }
            let mut policy = Policy::default();
            assert_eq!((knob.set)(&mut policy, &shown), Ok(()), "{} reads what it shows", knob.name);
            assert_eq!(policy, Policy::default(), "{} sets what it shows", knob.name);
        }
    }

    #[test]
    fn an_error_names_the_knob_what_it_got_and_what_is_allowed() {
        let text = with(&[("max-scale", "-1")]).unwrap_err().to_string();
        assert_eq!(text, r#"max-scale = "-1": allowed is a whole number, 0 to 1000000 (0: no bound)"#);
        let text = with(&[("max-scal", "1")]).unwrap_err().to_string();
        assert_eq!(text, "max-scal: there is no such knob; did you mean max-scale?");
        let text = with(&[("max-scale", "2"), ("min-scale", "3")]).unwrap_err().to_string();
        assert!(text.contains("min-scale (3) must not be above max-scale (2)"), "{text}");
    }

    #[test]
    fn values_out_of_bounds_are_refused() {
        for (knob, values) in [
            ("metric", &["", "cpu", "RPS"][..]),
            ("target", &["0", "-1", "nan", "inf", "", "1e400", "0.001"]),
            ("target-utilization-percentage", &["0", "101", "70%"]),
            ("container-concurrency", &["-1", "1.5", "99999999999"]),
            ("window", &["5s", "61m", "60", "6500ms"]),
            ("panic-window-percentage", &["0.5", "101"]),
            ("panic-threshold-percentage", &["109", "1001"]),
            ("max-scale-up-rate", &["1", "0", "-2"]),
            ("max-scale-down-rate", &["1"]),
            ("initial-scale", &["0"]),
            ("activation-scale", &["0"]),
            ("scale-down-delay", &["2h", "500ms"]),
            ("idle-timeout", &["999ms", "Learned", "0"]),
            ("prewarm", &["on", ""]),
            ("cold-start-cost", &["2h", "150"]),
            (
                "no-wake-paths",
                &[
                    "",
                    "healthz=200",
                    "/healthz",
                    "/healthz=",
                    "/healthz=ok",
                    "/a=199",
                    "/a=600",
                    "/a=304",
                    "/a=-200",
                    "/a?b=200",
                    "/a#b=200",
                    "/a b=200",
                    "/ä=200",
                    "/a=b=200",
                    "/a=200,",
                    ",",
                    "/a=200,none",
                    "/a=200,/b=200,/a=404",
                ],
            ),
            ("start-timeout", &["0s"]),
            ("readiness", &["Probe", "exec", "http", "path", "/a b", "/\n"]),
            ("queue-limit", &["-1"]),
            ("queue-timeout", &["0s"]),
        ] {
            for value in values {
                assert!(with(&[(knob, value)]).is_err(), "{knob} = {value}");
            }
        }
    }

    #[test]
    fn paths_that_dont_wake_are_read_shown_and_found_exactly() {
        let policy = with(&[("no-wake-paths", "/healthz=200, /metrics=404,/=204,/a:b;c&d=599")]).unwrap();
        let shown = policy.knobs().find(|(name, _)| *name == "no-wake-paths").unwrap().1;
        assert_eq!(shown, "/healthz=200,/metrics=404,/=204,/a:b;c&d=599");
        for (path, status) in [
            ("/healthz", Some(200)),
            ("/metrics", Some(404)),
            ("/", Some(204)),
            ("/a:b;c&d", Some(599)),
            ("/healthz/", None),
            ("/Healthz", None),
            ("/healthz/live", None),
            ("/health", None),
            ("", None),
        ] {
            assert_eq!(policy.no_wake(path), status, "{path}");
        }
        assert_eq!(Policy::default().no_wake("/healthz"), None);
    }

    #[test]
    fn paths_that_dont_wake_are_bounded() {
        let list = |count: usize| (0..count).map(|at| format!("/{at}=200")).collect::<Vec<_>>().join(",");
        assert_eq!(with(&[("no-wake-paths", &list(16))]).unwrap().no_wake_paths.len(), 16);
        assert!(with(&[("no-wake-paths", &list(17))]).is_err());
        assert!(with(&[("no-wake-paths", &",".repeat(1 << 20))]).is_err());
        let long = |bytes: usize| format!("/{}=200", "x".repeat(bytes - 1));
        assert!(with(&[("no-wake-paths", &long(256))]).is_ok());
        assert!(with(&[("no-wake-paths", &long(257))]).is_err());
    }

    proptest! {
        #[test]
        fn no_text_panics(name in "[a-z-]{0,30}", value in ".*", at in 0..KNOBS.len()) {
            let _ = with(&[(name.as_str(), value.as_str())]);
            let _ = with(&[(KNOBS[at].name, value.as_str())]);
        }
    }
}
