//! The admin port: metrics, health, state and journal. Read-only.

mod exposition;
mod problem;
mod process;
