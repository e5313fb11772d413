//! What is said beside annotations: what has no equal, and what there is to do.

/// What came of something that is no annotation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Verdict {
    /// There is nothing in Kaos that does the same.
    NoEqual,
    /// Kaos doesn't allow the value.
    Refused,
    /// The Deployment says otherwise already.
    Stays,
    /// Something to know.
    Note,
    /// Kaos does so anyway.
    Same,
}

impl Verdict {
    /// A stable word.
    pub fn word(self) -> &'static str {
        match self {
            Verdict::NoEqual => "no-equal",
            Verdict::Refused => "refused",
            Verdict::Stays => "stays",
            Verdict::Note => "note",
            Verdict::Same => "same",
        }
    }
}

/// What is no annotation, and why.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Remark {
    /// What came of it.
    pub verdict: Verdict,
    /// Where it stands.
    pub from: String,
    /// A sentence.
    pub why: String,
}

/// Something to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Step {
    /// In words.
    pub say: String,
    /// As commands, lines; may be empty.
    pub paste: String,
}
