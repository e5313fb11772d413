//! The control line: collect, window, decide, scale; and the journal that explains it.

mod average;
pub mod collect;
pub mod journal;
pub mod line;
pub mod run;
mod track;

pub use journal::Journal;
pub use line::{Action, Line};
pub use run::{Inputs, Settings, run};
