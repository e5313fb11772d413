//! The control line: collect, window, decide, scale; and the journal that explains it.

pub mod action;
#[cfg(test)]
mod burst_test;
pub mod collect;
#[cfg(test)]
mod collect_test;
#[cfg(test)]
mod contest_test;
#[cfg(test)]
mod desk;
pub mod journal;
pub mod keep;
#[cfg(test)]
mod keep_test;
mod learn;
#[cfg(test)]
mod learn_test;
pub mod line;
#[cfg(test)]
mod line_test;
mod retry;
pub mod run;
#[cfg(test)]
mod run_test;
mod shadow;
mod track;
mod untold;
mod watched;
mod write;

pub use action::Action;
pub use journal::Journal;
pub use line::Line;
pub use run::{Inputs, ORDERS, Order, Settings, run};
pub use watched::{ASSUMED_START, Watched};
