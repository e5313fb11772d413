//! One `[[function]]` of `kaos.toml`.

use std::ops::Range;

use kaos_core::host::HostPattern;
use kaos_core::knob::{self, KNOBS};
use kaos_core::policy::Readiness;
use kaos_core::{Policy, knob::Knob};
use toml::de::{DeTable, DeValue};

use super::source::{Entry, Source, Wrong, in_order, scalar, strings};
use super::{Function, NAME_ALLOWED, is_label, own_host};

/// A function with the places of what later checks may refuse.
pub(crate) struct Placed<'t, 'i> {
    /// What was read.
    pub(crate) function: Function,
    /// Where it begins.
    pub(crate) header: Range<usize>,
    /// Its `name`.
    pub(crate) name: Entry<'t, 'i>,
    /// What claims its route: `host` or `path`, whichever is written first.
    pub(crate) claim: Option<Entry<'t, 'i>>,
}

/// Knobs as they were written.
pub(crate) type Knobs<'t, 'i> = Vec<(&'static Knob, String, Entry<'t, 'i>)>;

/// Reads `table`, whose knobs come after `defaults` on top of `base`.
pub(crate) fn read<'t, 'i>(
    source: &Source<'_>,
    table: &'t DeTable<'i>,
    header: Range<usize>,
    defaults: &Knobs<'t, 'i>,
    base: &Policy,
) -> Result<Placed<'t, 'i>, Wrong> {
    let mut name = None;
    let mut knobs = defaults.clone();
    let mut function = Function {
        name: String::new(),
        hosts: Vec::new(),
        path: "/".into(),
        command: Vec::new(),
        dir: source
            .file
            .parent()
            .filter(|dir| !dir.as_os_str().is_empty())
            .unwrap_or(".".as_ref())
            .to_owned(),
        env: Vec::new(),
        policy: base.clone(),
    };
    let mut claim = None;
    for entry in in_order(table) {
        let refuse = |allowed: &str| source.wrong(entry, &format!("allowed is {allowed}"));
        let key: &str = entry.0.get_ref();
        match key {
            "name" => {
                function.name = label(entry.1.get_ref()).ok_or_else(|| refuse(NAME_ALLOWED))?;
                name = Some(entry);
            }
            "host" => function.hosts = hosts(entry.1.get_ref()).map_err(|allowed| refuse(&allowed))?,
            "path" => function.path = path(entry.1.get_ref()).ok_or_else(|| refuse(PATH_ALLOWED))?,
            "command" => {
                function.command = command(entry.1.get_ref()).ok_or_else(|| refuse(COMMAND_ALLOWED))?;
            }
            "dir" => {
                let dir = entry.1.get_ref().as_str().map(|dir| function.dir.join(dir));
                function.dir = dir
                    .filter(|dir| dir.is_dir())
                    .ok_or_else(|| refuse("a directory that exists, relative to this file"))?;
            }
            "env" => function.env = environment(source, entry)?,
            _ => knobs.push(one_knob(source, entry, "name, host, path, command, dir, env and the knobs")?),
        }
        if matches!(key, "host" | "path") {
            claim = claim.or(Some(entry));
        }
    }
    let missing = |key: &str| source.at(&header, format!("function: {key} is missing"));
    let name = name.ok_or_else(|| missing("name"))?;
    if function.command.is_empty() {
        return Err(missing("command"));
    }
    if function.hosts.is_empty() {
        function.hosts.push(own_host(&function.name));
    }
    function.policy = policy(source, &header, &knobs, base)?;
    Ok(Placed { function, header, name, claim })
}

/// Reads a table of nothing but knobs.
pub(crate) fn defaults<'t, 'i>(source: &Source<'_>, table: &'t DeTable<'i>) -> Result<Knobs<'t, 'i>, Wrong> {
    in_order(table).into_iter().map(|entry| one_knob(source, entry, "the knobs")).collect()
}

fn one_knob<'t, 'i>(
    source: &Source<'_>,
    entry: Entry<'t, 'i>,
    keys: &str,
) -> Result<(&'static Knob, String, Entry<'t, 'i>), Wrong> {
    let key: &str = entry.0.get_ref();
    let Some(knob) = knob::find(key) else {
        return Err(source.wrong(entry, &unknown(key, keys)));
    };
    let mut scratch = Policy::default();
    match scalar(entry.1.get_ref()).filter(|text| (knob.set)(&mut scratch, text).is_ok()) {
        Some(_) if !suits_one_machine(&scratch) => {
            Err(source.wrong(entry, &format!("allowed is {READINESS_ALLOWED}")))
        }
        Some(text) => Ok((knob, text, entry)),
        None => Err(source.wrong(entry, &format!("allowed is {}", knob.allowed))),
    }
}

/// What `readiness` takes where no cluster is.
pub(crate) const READINESS_ALLOWED: &str = "tcp, or a path that begins with / and is answered with 200 to 399; \
     probe and ready are for workloads of a cluster";

/// Whether one machine can do what `policy` asks for.
pub(crate) fn suits_one_machine(policy: &Policy) -> bool {
    !matches!(policy.readiness, Readiness::Probe | Readiness::Ready)
}

/// What to say to a key that doesn't exist.
pub(crate) fn unknown(key: &str, keys: &str) -> String {
    match knob::closest(key) {
        Some(near) if KNOBS.iter().any(|knob| knob.name == near) && keys.contains("knobs") => {
            format!("there is no such key; did you mean {near}?")
        }
        _ => format!("there is no such key; allowed are {keys}"),
    }
}

/// All knobs together: some bound each other.
fn policy(
    source: &Source<'_>,
    header: &Range<usize>,
    knobs: &Knobs<'_, '_>,
    base: &Policy,
) -> Result<Policy, Wrong> {
    let pairs = knobs.iter().map(|(knob, text, _)| (knob.name, text.as_str()));
    base.with(pairs).map_err(|error| match knobs.iter().rev().find(|(knob, _, _)| knob.name == error.knob) {
        Some((_, _, entry)) => source.wrong(*entry, &error.allowed),
        None => source.at(header, format!("function: {error}")),
    })
}

fn label(value: &DeValue<'_>) -> Option<String> {
    value.as_str().filter(|text| is_label(text)).map(str::to_owned)
}

fn hosts(value: &DeValue<'_>) -> Result<Vec<HostPattern>, String> {
    const ALLOWED: &str = "a list of hosts such as shop.example.com, *.example.com, or *";
    let texts = match value {
        DeValue::String(text) => Some(vec![text.to_string()]),
        other => strings(other).filter(|texts| !texts.is_empty()),
    };
    let read = |text: &String| HostPattern::parse(text).map_err(|_| ALLOWED.to_owned());
    texts.ok_or(ALLOWED)?.iter().map(read).collect()
}

const PATH_ALLOWED: &str = "a path that begins with /, without spaces, ? or #";

fn path(value: &DeValue<'_>) -> Option<String> {
    let sound = |text: &&str| {
        text.starts_with('/')
            && text.len() <= 1024
            && text.bytes().all(|byte| byte.is_ascii_graphic() && !matches!(byte, b'?' | b'#'))
    };
    value.as_str().filter(sound).map(str::to_owned)
}

const COMMAND_ALLOWED: &str =
    r#"a list of a program and its arguments, such as ["python3", "-m", "http.server", "{port}"]"#;

fn command(value: &DeValue<'_>) -> Option<Vec<String>> {
    let words = strings(value)?;
    let sound = words.first().is_some_and(|program| !program.is_empty())
        && words.iter().all(|word| !word.contains('\0'));
    sound.then_some(words)
}

fn environment(source: &Source<'_>, entry: Entry<'_, '_>) -> Result<Vec<(String, String)>, Wrong> {
    const ALLOWED: &str = r#"allowed is a table of strings, such as { GREETING = "hi" }"#;
    let table = entry.1.get_ref().as_table().ok_or_else(|| source.wrong(entry, ALLOWED))?;
    let read = |variable: Entry<'_, '_>| {
        let name: &str = variable.0.get_ref();
        if matches!(name, "PORT" | "HOST") {
            return Err(source.wrong(variable, "PORT and HOST are set by Kaos"));
        }
        let sound = !name.is_empty() && !name.contains(['=', '\0']);
        match scalar(variable.1.get_ref()).filter(|text| sound && !text.contains('\0')) {
            Some(text) => Ok((name.to_owned(), text)),
            None => Err(source.wrong(variable, "allowed is a variable's name and a string")),
        }
    };
    in_order(table).into_iter().map(read).collect()
}
