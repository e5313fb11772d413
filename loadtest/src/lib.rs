//! An open-loop load generator, its scenarios, and a program that answers as told.
//!
//! Everything here looks at Kaos from outside, as a client, an operator or a replica would: over HTTP, over its admin port and
//! as a child process. It knows no other crate of the workspace, so that what it finds is what people get.

pub mod admin;
pub mod answer;
pub mod ask;
pub mod cold;
pub mod command;
pub mod cycles;
pub mod descriptors;
pub mod exchange;
pub mod failure;
pub mod flood;
pub mod frames;
pub mod lines;
pub mod live;
pub mod overtake;
pub mod pace;
pub mod phases;
pub mod run;
pub mod scenario;
pub mod schedule;
pub mod shape;
pub mod span;
pub mod summary;
pub mod tally;
pub mod trace;
pub mod written;
