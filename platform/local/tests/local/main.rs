//! Real processes, through the whole crate: what a replica sees, how starts fail, how stops end, what is left.

mod cycles;
mod failures;
mod orphans;
mod output;
mod reloads;
mod stage;
mod starts;
mod stops;
