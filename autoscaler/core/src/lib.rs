//! The vocabulary of Kaos and every pure rule.
//!
//! Both lines of Kaos speak in these words: the data line (`kaos-proxy`) and the control line (`kaos-autoscaler`), and
//! the platforms that fill the seam between them. Nothing here does I/O, reads a clock, draws a random number or logs:
//! `now` is an argument, so that every rule can be simulated, replayed and explained.

pub mod advice;
pub mod annotation;
#[cfg(test)]
mod annotation_test;
pub mod average;
pub mod budget;
pub mod condition;
pub mod contest;
pub mod decide;
#[cfg(test)]
mod decide_any_test;
#[cfg(test)]
mod decide_test;
pub mod decision;
pub mod duration;
pub mod form;
pub mod gaps;
pub mod habit;
pub mod host;
pub mod id;
pub mod idle;
pub mod knob;
pub mod kpa;
pub mod learned;
pub mod lease;
pub mod load;
pub mod moment;
pub mod network;
pub mod observation;
pub mod pattern;
pub mod pick;
pub mod platform;
pub mod policy;
pub mod recover;
pub mod report;
pub mod route;
#[cfg(test)]
mod route_test;
pub mod rule;
pub mod snapshot;
pub mod split;
pub mod tune;
pub mod warm;
pub mod window;
pub mod zero;
#[cfg(test)]
mod zero_test;

pub use decide::{Memory, decide};
pub use decision::Decision;
pub use id::{EndpointUid, HoldId, ProxyId, WorkloadId};
pub use moment::Moment;
pub use observation::Observation;
pub use policy::Policy;
pub use report::{Reading, Report, Sums};
pub use snapshot::{Endpoint, Snapshot, Workload};
