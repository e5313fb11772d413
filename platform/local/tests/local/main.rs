//! Real processes, through the whole crate: what a replica sees, how starts fail, how stops end, what is left.

// Marked so that the lints know all of it as tests.
#[cfg(test)]
mod cycles;
#[cfg(test)]
mod failures;
#[cfg(test)]
mod orphans;
#[cfg(test)]
mod output;
#[cfg(test)]
mod reloads;
#[cfg(test)]
mod stage;
#[cfg(test)]
mod starts;
#[cfg(test)]
mod stops;
