//! How a command ends when it doesn't end well: one sentence and an exit code that scripts rely on.

use std::fmt;

/// Why a command failed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Failure {
    /// The command line is wrong: exit code 2.
    Usage(String),
    /// A configuration is wrong: exit code 78, as `sysexits.h` has it.
    Configuration(String),
    /// It was understood and didn't work: exit code 1.
    Failed(String),
    /// The answer was printed, and it is no: exit code 1, and nothing more to say.
    #[cfg_attr(not(feature = "kubernetes"), allow(dead_code, reason = "only `kaos check` answers yes or no"))]
    No,
    /// The answer, yes or no, couldn't be found out: exit code 2.
    #[cfg_attr(not(feature = "kubernetes"), allow(dead_code, reason = "only `kaos check` answers yes or no"))]
    Unanswered(String),
    /// Cut short by a second Ctrl-C: exit code 130.
    Interrupted,
}

impl Failure {
    /// What the process returns.
    pub(crate) fn exit_code(&self) -> u8 {
        match self {
            Failure::Failed(_) | Failure::No => 1,
            Failure::Usage(_) | Failure::Unanswered(_) => 2,
            Failure::Configuration(_) => 78,
            Failure::Interrupted => 130,
        }
    }
}

impl fmt::Display for Failure {
    /// A wrong configuration stands alone, so that `file:line:` begins the line as editors expect it.
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Failure::Configuration(text) => out.write_str(text),
            Failure::Usage(text) | Failure::Failed(text) | Failure::Unanswered(text) => {
                write!(out, "error: {text}")
            }
            Failure::No => Ok(()),
            Failure::Interrupted => out.write_str("interrupted"),
        }
    }
}
