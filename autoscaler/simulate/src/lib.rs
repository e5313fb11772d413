//! The control line and the admission rules under a virtual clock.
//!
//! A schedule is one seed: it draws proxies, autoscalers, workloads and everything that goes wrong, drives the live
//! `Line` and the live rules of admission through it, and checks after each event what may never happen. The same seed
//! is the same schedule.

mod carry;
mod check;
pub mod compare;
mod event;
pub mod platform;
pub mod proxy;
pub mod queue;
pub mod random;
pub mod replay;
pub mod sabotage;
pub mod scaler;
pub mod schedule;
mod serve;
pub mod setup;
pub mod tally;
pub mod trace;
mod trouble;
pub mod world;

#[cfg(test)]
mod schedule_test;

pub use sabotage::Sabotage;
pub use schedule::{Broken, Summary, run, run_many, tell};
pub use tally::{Kind, Tally};
