//! The policies that can be compared.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use kaos_core::policy::IdleTimeout;
use kaos_core::{Policy, duration};

/// A policy to replay under.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Choice {
    /// Kaos, with the knobs that are set.
    Kaos,
    /// Knative's KPA, with those of the knobs that it has.
    Kpa,
    /// Kaos, with this idle timeout: zero so long after the last request. 300 s is KEDA's default.
    Fixed(Duration),
    /// Knows the future.
    Oracle,
}

impl Choice {
    /// The knobs that it runs with where `policy`'s are set.
    pub(super) fn policy(&self, policy: &Policy) -> Policy {
        match self {
            Choice::Fixed(timeout) => Policy { idle_timeout: IdleTimeout::After(*timeout), ..policy.clone() },
            Choice::Kaos | Choice::Kpa | Choice::Oracle => policy.clone(),
        }
    }
}

impl FromStr for Choice {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "kaos" => Ok(Choice::Kaos),
            "kpa" => Ok(Choice::Kpa),
            "oracle" => Ok(Choice::Oracle),
            _ => text
                .strip_prefix("fixed:")
                .and_then(|span| duration::parse(span).ok())
                .filter(|span| *span >= Duration::from_secs(1))
                .map(Choice::Fixed)
                .ok_or_else(|| {
                    "allowed is kaos, kpa, oracle, or fixed:T with T such as 300s, 1s or more".to_owned()
                }),
        }
    }
}

impl fmt::Display for Choice {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Choice::Kaos => out.write_str("kaos"),
            Choice::Kpa => out.write_str("kpa"),
            Choice::Fixed(timeout) => write!(out, "fixed:{}", duration::format(*timeout)),
            Choice::Oracle => out.write_str("oracle"),
        }
    }
}
