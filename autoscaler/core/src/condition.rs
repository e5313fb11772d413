//! What a route asks of a request beyond its host and path.

/// All of it has to be met.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Condition {
    /// The method. `None`: any.
    pub method: Option<Box<str>>,
    /// Header fields and their values. Names are in lower case, each there once, sorted.
    pub headers: Box<[(Box<str>, Box<str>)]>,
    /// Parameters of the query and their values, decoded. Names are there once, sorted.
    pub query: Box<[(Box<str>, Box<str>)]>,
}

impl Condition {
    /// Of two that are met the larger one counts (Gateway API, `HTTPRouteRule.matches`: method, then the number of header
    /// fields, then that of parameters).
    pub fn rank(&self) -> (bool, usize, usize) {
        (self.method.is_some(), self.headers.len(), self.query.len())
    }
}

/// How requests come.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Over {
    /// With TLS or without.
    #[default]
    Either,
    /// Without TLS.
    Plain,
    /// With TLS.
    Tls,
}

impl Over {
    /// Whether `asked` comes so.
    pub fn has(self, asked: &impl Asked) -> bool {
        match self {
            Over::Either => true,
            Over::Plain => !asked.is_secure(),
            Over::Tls => asked.is_secure(),
        }
    }

    /// Whether a request can come as both say.
    pub fn meets(self, other: Over) -> bool {
        self == Over::Either || other == Over::Either || self == other
    }
}

/// A request, as far as conditions ask about it.
pub trait Asked {
    /// Whether it came with TLS.
    fn is_secure(&self) -> bool;

    /// Whether it is as `condition` asks.
    fn meets(&self, condition: &Condition) -> bool;
}

/// A request that meets no condition, without TLS.
#[derive(Clone, Copy, Debug, Default)]
pub struct Unasked;

impl Asked for Unasked {
    fn is_secure(&self) -> bool {
        false
    }

    fn meets(&self, _: &Condition) -> bool {
        false
    }
}
