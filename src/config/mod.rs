//! What is to run: read from `kaos.toml` or from the command line, validated whole before anything is bound.
//!
//! Knows nothing of processes, sockets or signals.

mod choose;
mod function;
mod read;
pub(crate) mod settings;
mod source;

use std::path::PathBuf;

use kaos_core::Policy;
use kaos_core::host::HostPattern;

pub(crate) use choose::{Chosen, choose, load};
pub(crate) use read::read;
pub(crate) use settings::{ADMIN, AccessLog, ErrorDetail, LISTEN, Settings};
pub(crate) use source::Wrong;

/// A validated configuration.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Config {
    /// What holds for the whole process.
    pub(crate) settings: Settings,
    /// At least one; names and routes are unique.
    pub(crate) functions: Vec<Function>,
}

/// Something that answers HTTP, and how to run it.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Function {
    /// A DNS label.
    pub(crate) name: String,
    /// Hosts it answers for.
    pub(crate) hosts: Vec<HostPattern>,
    /// Path prefix it answers for.
    pub(crate) path: String,
    /// Program and arguments; `{port}` stands for the port.
    pub(crate) command: Vec<String>,
    /// Where it runs.
    pub(crate) dir: PathBuf,
    /// Added to the environment of `kaos up`.
    pub(crate) env: Vec<(String, String)>,
    /// Its knobs.
    pub(crate) policy: Policy,
}

/// What a name may be.
pub(crate) const NAME_ALLOWED: &str =
    "a DNS label: at most 63 lower-case letters, digits and hyphens, no hyphen at an end";

/// Whether `text` is a DNS label (RFC 1123 §2.1), in lower case.
pub(crate) fn is_label(text: &str) -> bool {
    let name_byte = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    (1..=63).contains(&text.len())
        && text.bytes().all(name_byte)
        && !text.starts_with('-')
        && !text.ends_with('-')
}

/// The host of a function for which none was given.
pub(crate) fn own_host(name: &str) -> HostPattern {
    HostPattern::Exact(format!("{name}.localhost"))
}

/// A single function answers for every host.
pub(crate) fn open_if_alone(functions: &mut [Function]) {
    if let [only] = functions
        && !only.hosts.contains(&HostPattern::Any)
    {
        only.hosts.push(HostPattern::Any);
    }
}
