//! Sablier: labels and annotations `sablier.…` of a Deployment, and Traefik's middlewares that ask Sablier for a group, as its
//! documentation describes them.

use serde_json::Value;

use super::draft::{Draft, Phase, Source, span};
use crate::safety::look;
use crate::safety::subject::Subject;

const PREFIX: &str = "sablier.";
/// The group of what names none.
const GROUP: &str = "default";

pub(super) fn read(subject: &Subject<'_>, draft: &mut Draft) {
    if !is_enabled(subject.raw) {
        return;
    }
    let group = group(subject.raw);
    let from = format!("{} {PREFIX}group", subject.called());
    draft.sources.push(format!("{} {PREFIX}…", subject.called()));
    together(subject, group, &from, draft);
    for (name, _) in ["/metadata/labels", "/metadata/annotations"]
        .into_iter()
        .flat_map(|at| look::entries(subject.raw, at))
    {
        if name.starts_with(PREFIX) && !["sablier.enable", "sablier.group"].contains(&name) {
            let why = "Kaos has nothing that does the same";
            draft.none(&format!("{} {name}", subject.called()), why);
        }
    }
    let asking =
        subject.objects.every("Middleware").filter_map(|one| Some((one, plugin(one, subject.name, group)?)));
    let mut names: Vec<String> = Vec::new();
    for (middleware, at) in asking {
        let source = Source::of(middleware, subject);
        self::middleware(&source, &at, draft);
        names.push(format!("{} of {}", look::name(middleware), look::namespace(middleware)));
    }
    if names.is_empty() {
        let why = "how long a session is isn't seen, it is said where requests come in: Kaos learns how long is worth it, \
            and kaos.dev/idle-timeout says otherwise";
        draft.note(&from, why);
    }
    let (name, namespace) = (subject.name, subject.namespace);
    let which = if names.is_empty() {
        "without Sablier's middleware".to_owned()
    } else {
        format!("without the middleware {}", names.join(", "))
    };
    let say = format!(
        "send its hosts to {}, port 80, {which}; kaos describe {name} -n {namespace} shows when requests come",
        subject.proxy()
    );
    draft.step(Phase::Traffic, say, &[]);
    let paste = format!("kubectl label deployment {name} -n {namespace} {PREFIX}enable-");
    let say = "Sablier lets go at once; a session that is under way ends with zero replicas once more, and Kaos wakes them at the \
        next request";
    draft.step(Phase::Remove, say, &[paste]);
}

/// Whether Sablier is told to look after it.
pub(super) fn is_enabled(object: &Value) -> bool {
    look::label(object, "sablier.enable") == "true"
}

/// Its group: a label or an annotation.
fn group(object: &Value) -> &str {
    let said = [look::label(object, "sablier.group"), look::annotation(object, "sablier.group")];
    said.into_iter().find(|group| !group.is_empty()).unwrap_or(GROUP)
}

/// The others of its group are woken at the same moment.
fn together(subject: &Subject<'_>, group: &str, from: &str, draft: &mut Draft) {
    let mut others: Vec<&str> = Vec::new();
    let mut elsewhere = false;
    for other in
        subject.objects.every("Deployment").filter(|one| is_enabled(one) && self::group(one) == group)
    {
        match look::namespace(other) == subject.namespace {
            true if look::name(other) != subject.name => others.push(look::name(other)),
            true => {}
            false => elsewhere = true,
        }
    }
    if !others.is_empty() {
        draft.say("wake-with", others.join(","), from, "the others of its group");
    }
    if elsewhere {
        draft.none(
            from,
            "some of its group are in other namespaces: Kaos wakes what is of one namespace together",
        );
    }
}

/// Where a middleware asks Sablier for this Deployment, by its group or by its name.
fn plugin(middleware: &Value, name: &str, group: &str) -> Option<String> {
    let plugins = look::entries(middleware, "/spec/plugin");
    let asks = |settings: &Value| {
        let names = look::text(settings, "/names")
            .split(',')
            .map(str::trim)
            .any(|one| one.split(['_', '/', '.']).any(|part| part == name));
        !look::text(settings, "/sablierUrl").is_empty() && (look::text(settings, "/group") == group || names)
    };
    plugins.into_iter().find(|(_, settings)| asks(settings)).map(|(name, _)| format!("/spec/plugin/{name}"))
}

fn middleware(source: &Source<'_>, at: &str, draft: &mut Draft) {
    let (session, timeout) = (format!("{at}/sessionDuration"), format!("{at}/blocking/timeout"));
    if let Some(text) = source.text(&session) {
        draft.say(
            "idle-timeout",
            span(text),
            &source.at(&session),
            "counted from the end of the last request",
        );
    }
    if let Some(text) = source.text(&timeout) {
        draft.say("queue-timeout", span(text), &source.at(&timeout), "");
    }
    let page = format!("{at}/dynamic");
    if source.has(&page) {
        draft.none(
            &source.at(&page),
            "there is no waiting page: requests wait, and get the replica's own answer",
        );
    }
}
