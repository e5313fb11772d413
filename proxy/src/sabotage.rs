//! A switch for each rule that keeps hostile bytes, clients and replicas within bounds. Tests alone have them (feature
//! `sabotage`): with a rule off a test must fail, or it proves nothing. In every other build each rule is on, and the
//! compiler knows it.
//!
//! `KAOS_SABOTAGE` names the rule that is off, for the whole life of a process.

macro_rules! rules {
    ($($rule:ident = $name:literal,)*) => {
        /// What can be turned off.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub(crate) enum Rule {
            $($rule,)*
        }

        #[cfg(feature = "sabotage")]
        impl Rule {
            fn name(self) -> &'static str {
                match self {
                    $(Rule::$rule => $name,)*
                }
            }
        }

        /// The name of every rule.
        #[cfg(feature = "sabotage")]
        pub const RULES: &[&str] = &[$($name,)*];
    };
}

rules! {
    OneLength = "one_length",
    ChunkGrammar = "chunk_grammar",
    SoundLength = "sound_length",
    HeadBytes = "head_bytes",
    LineEnds = "line_ends",
    OneHost = "one_host",
    SameHost = "same_host",
    TargetHost = "target_host",
    Targets = "targets",
    Methods = "methods",
    HeadSize = "head_size",
    HopByHop = "hop_by_hop",
    Forwarding = "forwarding",
    Upgrades = "upgrades",
    H2c = "h2c",
    Expectations = "expectations",
    Trailers = "trailers",
    Pipelines = "pipelines",
    SoundAnswers = "sound_answers",
    AnswerBytes = "answer_bytes",
    Interim = "interim",
    Contentless = "contentless",
    BytesBehind = "bytes_behind",
    AnswerFields = "answer_fields",
    Downgrade = "downgrade",
    LeaveQueue = "leave_queue",
    LeaveAnswer = "leave_answer",
    HalfClose = "half_close",
    FirstBytes = "first_bytes",
    HeadTime = "head_time",
    IdleTime = "idle_time",
    BodyRate = "body_rate",
    AnswerTime = "answer_time",
    Refused = "refused",
    Stale = "stale",
    Identity = "identity",
    Once = "once",
    RetryBudget = "retry_budget",
    VisibleCut = "visible_cut",
    EarlyAnswer = "early_answer",
    BodySize = "body_size",
    Unprocessed = "unprocessed",
    ServerNames = "server_names",
    Misdirected = "misdirected",
    Reloads = "reloads",
    HandshakeTime = "handshake_time",
    Handshakes = "handshakes",
    Frames = "frames",
    Faults = "faults",
    Sections = "sections",
    Windows = "windows",
    Streams = "streams",
    Age = "age",
    Crowd = "crowd",
    Going = "going",
    Descriptors = "descriptors",
    Memory = "memory",
    Delays = "delays",
    Panics = "panics",
    Strays = "strays",
}

/// Whether `rule` is turned off.
#[cfg(not(feature = "sabotage"))]
#[inline(always)]
pub(crate) const fn is_off(_rule: Rule) -> bool {
    false
}

/// Whether `rule` is turned off.
#[cfg(feature = "sabotage")]
pub(crate) fn is_off(rule: Rule) -> bool {
    static OFF: std::sync::LazyLock<Option<String>> =
        std::sync::LazyLock::new(|| std::env::var("KAOS_SABOTAGE").ok());
    OFF.as_deref() == Some(rule.name())
}

/// A bug of ours, for who asks for it.
#[cfg(not(feature = "sabotage"))]
#[inline(always)]
pub(crate) const fn trip(_target: &[u8]) {}

/// A bug of ours, for who asks for it.
#[cfg(feature = "sabotage")]
pub(crate) fn trip(target: &[u8]) {
    assert_ne!(target, b"/panic");
    if target == b"/stall" {
        std::thread::park_timeout(std::time::Duration::from_millis(300));
    }
}
