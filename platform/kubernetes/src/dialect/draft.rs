//! What dialects say of one Deployment, before Kaos's own parser has been asked.

use std::time::Duration;

use kaos_core::duration;
use serde_json::Value;

use super::remark::{Remark, Step, Verdict};
use crate::safety::look;
use crate::safety::subject::Subject;

/// What was said so far.
#[derive(Debug, Default)]
pub(super) struct Draft {
    /// What was read: `HTTPScaledObject/shop`.
    pub(super) sources: Vec<String>,
    pub(super) said: Vec<Said>,
    pub(super) remarks: Vec<Remark>,
    pub(super) steps: Vec<(Phase, Step)>,
}

/// An annotation that something comes to.
#[derive(Clone, Debug)]
pub(super) struct Said {
    /// Its name without the prefix.
    pub(super) knob: &'static str,
    pub(super) value: String,
    /// Where it stands.
    pub(super) from: String,
    /// Why it is the same, if that isn't plain.
    pub(super) why: String,
}

/// When something is to be done, so that there is at no time none or two who decide on the count.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Phase {
    /// The other stops deciding on the count, and goes on sending requests.
    LetGo,
    /// There is a replica, whoever started it.
    Wake,
    /// Requests come through Kaos.
    Traffic,
    /// The other goes.
    Remove,
}

impl Draft {
    /// `value` at `from` means that the annotation `knob` is `value`.
    #[expect(clippy::needless_pass_by_value, reason = "texts and numbers as their readers have them")]
    pub(super) fn say(&mut self, knob: &'static str, value: impl ToString, from: &str, why: &str) {
        self.said.push(Said { knob, value: value.to_string(), from: from.to_owned(), why: why.to_owned() });
    }

    /// What stands at `from` has no equal.
    pub(super) fn none(&mut self, from: &str, why: impl Into<String>) {
        self.remark(Verdict::NoEqual, from, why);
    }

    /// Something else to know of what stands at `from`.
    pub(super) fn note(&mut self, from: &str, why: impl Into<String>) {
        self.remark(Verdict::Note, from, why);
    }

    /// What stands at `from` is what Kaos does anyway.
    pub(super) fn same(&mut self, from: &str, why: impl Into<String>) {
        self.remark(Verdict::Same, from, why);
    }

    /// Kaos doesn't allow what stands at `from`.
    pub(super) fn refuse(&mut self, from: &str, why: impl Into<String>) {
        self.remark(Verdict::Refused, from, why);
    }

    fn remark(&mut self, verdict: Verdict, from: &str, why: impl Into<String>) {
        self.remarks.push(Remark { verdict, from: from.to_owned(), why: why.into() });
    }

    /// Something to do: in words, and as commands.
    pub(super) fn step(&mut self, phase: Phase, say: impl Into<String>, paste: &[String]) {
        let (say, paste) = (say.into(), paste.join("\n"));
        match self.steps.iter_mut().find(|(at, step)| *at == phase && step.say == say) {
            Some((_, step)) if step.paste != paste => step.paste = format!("{}\n{paste}", step.paste),
            Some(_) => {}
            None => self.steps.push((phase, Step { say, paste })),
        }
    }

    /// Has a replica run, if none does, and takes the count out of KEDA's books.
    pub(super) fn wake(&mut self, subject: &Subject<'_>) {
        let scale = |count: u32| {
            format!("kubectl scale deployment {} -n {} --replicas={count}", subject.name, subject.namespace)
        };
        let books = subject.raw.pointer("/metadata/managedFields").and_then(Value::as_array);
        let count = subject.read.replicas;
        if books.is_none() {
            let paste = scale(1).replace("--replicas", "--current-replicas=0 --replicas");
            return self.step(Phase::Wake, "if it sleeps, wake it: nobody else does for now", &[paste]);
        }
        if count == 0 {
            return self.step(Phase::Wake, "wake it: nobody else does for now", &[scale(1)]);
        }
        if subject.read.owner.as_deref().is_some_and(|owner| owner.ends_with("(it wrote the count)")) {
            let say = "write the count once, so that it isn't KEDA's any more in the cluster's books: Kaos goes by them";
            self.step(Phase::Wake, say, &[scale(count + 1), scale(count)]);
        }
    }
}

/// One object that tells a scaler what to do.
pub(super) struct Source<'a> {
    pub(super) object: &'a Value,
    /// `HTTPScaledObject/shop`.
    pub(super) called: String,
}

impl<'a> Source<'a> {
    /// As people who think of the subject's namespace call it.
    pub(super) fn of(object: &'a Value, subject: &Subject<'_>) -> Self {
        Source { object, called: look::called(object, subject.namespace) }
    }

    /// Where a field of it is: `HTTPScaledObject/shop spec.hosts`. Takes a JSON pointer.
    pub(super) fn at(&self, pointer: &str) -> String {
        format!("{} {}", self.called, look::field(pointer))
    }

    /// A whole number there.
    pub(super) fn whole(&self, pointer: &str) -> Option<i64> {
        look::whole(self.object, pointer)
    }

    /// A text there, if there is one that isn't empty.
    pub(super) fn text(&self, pointer: &str) -> Option<&'a str> {
        Some(look::text(self.object, pointer)).filter(|text| !text.is_empty())
    }

    /// Texts there.
    pub(super) fn texts(&self, pointer: &str) -> Vec<&'a str> {
        look::list(self.object, pointer).iter().filter_map(Value::as_str).collect()
    }

    /// Whether anything is there.
    pub(super) fn has(&self, pointer: &str) -> bool {
        self.object.pointer(pointer).is_some_and(|value| !value.is_null())
    }
}

/// So many seconds as Kaos writes them. What is no length of time stays as it is, and is refused by the parser.
pub(super) fn seconds(count: i64) -> String {
    u64::try_from(count)
        .map_or_else(|_| format!("{count}s"), |count| duration::format(Duration::from_secs(count)))
}

/// A length of time as Go writes it, as Kaos writes it.
pub(super) fn span(text: &str) -> String {
    duration::parse(text).map_or_else(|_| text.to_owned(), duration::format)
}
