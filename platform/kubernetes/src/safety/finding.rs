//! What was found, as data: for people and for programs.

/// What a fact means for a sleep. The worst first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Verdict {
    /// Asleep, it would fail somebody, or somebody would wake it again and again.
    Unsafe,
    /// Each wake takes longer than it has to.
    Slow,
    /// Only whoever wrote the program can know.
    Question,
    /// Nothing speaks against it.
    Fine,
}

impl Verdict {
    /// A stable word.
    pub fn word(self) -> &'static str {
        match self {
            Verdict::Unsafe => "unsafe",
            Verdict::Slow => "slow",
            Verdict::Question => "question",
            Verdict::Fine => "fine",
        }
    }
}

/// What a fact is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Topic {
    /// How Kaos reads it, if it is opted in.
    Adoption,
    /// Other ways in than through Kaos.
    WaysIn,
    /// Who else decides on `spec.replicas`.
    Count,
    /// What only one replica can have.
    Volumes,
    /// How long a replica takes to start.
    Start,
    /// How a replica is stopped.
    Stop,
    /// What no object tells.
    Program,
}

impl Topic {
    /// Those that are fine where nothing is found.
    pub(super) const CLEAR: [Topic; 5] =
        [Topic::WaysIn, Topic::Count, Topic::Volumes, Topic::Start, Topic::Stop];

    /// A stable word.
    pub fn word(self) -> &'static str {
        match self {
            Topic::Adoption => "adoption",
            Topic::WaysIn => "ways-in",
            Topic::Count => "count",
            Topic::Volumes => "volumes",
            Topic::Start => "start",
            Topic::Stop => "stop",
            Topic::Program => "program",
        }
    }

    /// What is said where nothing is found; `reached` if Kaos finds its way to the pods.
    pub(super) fn nothing(self, reached: bool) -> &'static str {
        match self {
            Topic::WaysIn if reached => "no other way in is seen",
            Topic::WaysIn | Topic::Adoption | Topic::Program => "nothing else is seen",
            Topic::Count => "nobody else decides on spec.replicas",
            Topic::Volumes => "no volume that only one replica can have",
            Topic::Start => "its probes and images let it start as fast as it can",
            Topic::Stop => "replicas get the time to finish",
        }
    }
}

/// One fact.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// What it means.
    pub verdict: Verdict,
    /// What it is about.
    pub topic: Topic,
    /// A stable word for this kind of fact, such as `service-open`.
    pub fact: &'static str,
    /// Where it was found: `Service/shop`, or `NAMESPACE/…` in another namespace. Empty: it isn't of one object.
    pub object: String,
    /// The field there, such as `spec.type`. May be empty.
    pub field: String,
    /// What stands there, or what was found.
    pub found: String,
    /// Why it matters, or the question. May be empty.
    pub why: String,
    /// How to mend it.
    pub fix: Option<Fix>,
}

/// How to mend something.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fix {
    /// In words.
    pub say: String,
    /// Commands to run, or a snippet to paste; lines. May be empty.
    pub paste: String,
}

impl Finding {
    pub(super) fn new(verdict: Verdict, topic: Topic, fact: &'static str) -> Self {
        let none = String::new;
        Finding { verdict, topic, fact, object: none(), field: none(), found: none(), why: none(), fix: None }
    }

    pub(super) fn at(mut self, object: impl Into<String>, field: impl Into<String>) -> Self {
        (self.object, self.field) = (object.into(), field.into());
        self
    }

    pub(super) fn found(mut self, found: impl Into<String>) -> Self {
        self.found = crate::wire::line(&found.into());
        self
    }

    pub(super) fn why(mut self, why: impl Into<String>) -> Self {
        self.why = why.into();
        self
    }

    pub(super) fn fix(mut self, say: impl Into<String>, paste: impl Into<String>) -> Self {
        self.fix = Some(Fix { say: say.into(), paste: paste.into() });
        self
    }

    /// It was said that this may be.
    pub(super) fn accept(&mut self) {
        const RISKS: [&str; 9] = [
            "service-open",
            "external-ips",
            "route",
            "host-port",
            "host-network",
            "caller",
            "port-other",
            "keda",
            "knative",
        ];
        if self.verdict == Verdict::Unsafe && RISKS.contains(&self.fact) {
            self.verdict = Verdict::Fine;
            self.why = "kaos.dev/accept-risks=bypass accepts it".to_owned();
            self.fix = None;
        }
    }
}
