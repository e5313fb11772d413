//! Reads `kaos.toml`: all of it or nothing.

use std::path::Path;

use kaos_core::route::{Claim, RouteTable};
use kaos_core::{Policy, WorkloadId};
use toml::de::{DeTable, DeValue};

use super::function::{self, Knobs, Placed, unknown};
use super::settings::NAMES;
use super::source::{Entry, Source, Wrong, in_order, scalar, strings};
use super::{Config, Settings, open_if_alone};

/// Longest file that is read.
const LONGEST: u64 = 16 * 1024 * 1024;

/// Reads the file; `base` holds where it says nothing.
pub(crate) fn read(file: &Path, base: &Policy) -> Result<Config, Wrong> {
    let bytes = bounded(file).map_err(|error| Wrong::file(file, format!("can't be read: {error}")))?;
    match String::from_utf8(bytes) {
        Ok(text) => parse(&Source { file, text: &text }, base),
        Err(error) => {
            let good = error.utf8_error().valid_up_to();
            let text = String::from_utf8_lossy(error.as_bytes().get(..good).unwrap_or_default()).into_owned();
            Err(Source { file, text: &text }.at(&(good..good), "allowed is UTF-8 text"))
        }
    }
}

fn bounded(file: &Path) -> std::io::Result<Vec<u8>> {
    use std::io::Read;
    let mut bytes = Vec::new();
    std::fs::File::open(file)?.take(LONGEST + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > LONGEST {
        return Err(std::io::Error::other("it is longer than 16 MiB"));
    }
    Ok(bytes)
}

fn parse(source: &Source<'_>, base: &Policy) -> Result<Config, Wrong> {
    let root = DeTable::parse(source.text).map_err(|error| {
        let message = error.message().lines().collect::<Vec<_>>().join(": ");
        source.at(&error.span().unwrap_or(0..0), message)
    })?;
    let mut settings = Settings::default();
    let mut defaults = Knobs::new();
    let mut tables = Vec::new();
    for entry in in_order(root.get_ref()) {
        let key: &str = entry.0.get_ref();
        match key {
            "defaults" => {
                let table = entry.1.get_ref().as_table();
                let table = table.ok_or_else(|| source.wrong(entry, "allowed is a table: [defaults]"))?;
                defaults = function::defaults(source, table)?;
            }
            "function" => tables = functions_of(source, entry)?,
            name if NAMES.contains(&name) => set(source, &mut settings, entry)?,
            name if kaos_core::knob::find(name).is_some() => {
                return Err(source.wrong(entry, "a knob belongs under [defaults] or in a [[function]]"));
            }
            name => {
                let keys = format!("{}, [defaults] and [[function]]", NAMES.join(", "));
                return Err(source.wrong(entry, &unknown(name, &keys)));
            }
        }
    }
    let mut placed = Vec::new();
    for (table, header) in tables {
        placed.push(function::read(source, table, header, &defaults, base)?);
    }
    unique(source, &placed)?;
    named(source, &placed)?;
    let mut functions: Vec<_> = placed.into_iter().map(|placed| placed.function).collect();
    if functions.is_empty() {
        return Err(source.at(&(0..0), "there is no [[function]]; allowed is one or more"));
    }
    open_if_alone(&mut functions);
    let folder = source.file.parent().unwrap_or(Path::new(""));
    Ok(Config { settings: settings.within(folder), functions })
}

type Tables<'t, 'i> = Vec<(&'t DeTable<'i>, std::ops::Range<usize>)>;

fn functions_of<'t, 'i>(source: &Source<'_>, entry: Entry<'t, 'i>) -> Result<Tables<'t, 'i>, Wrong> {
    let refuse = || source.wrong(entry, "allowed is [[function]], once for each function");
    let DeValue::Array(items) = entry.1.get_ref() else { return Err(refuse()) };
    let table = |item: &'t toml::Spanned<DeValue<'i>>| Some((item.get_ref().as_table()?, item.span()));
    items.iter().map(table).collect::<Option<_>>().ok_or_else(refuse)
}

fn set(source: &Source<'_>, settings: &mut Settings, entry: Entry<'_, '_>) -> Result<(), Wrong> {
    let name: &str = entry.0.get_ref();
    let value = entry.1.get_ref();
    // A setting that is a list may be written as one.
    let list = || strings(value).filter(|_| Settings::LISTS.contains(&name)).map(|items| items.join(","));
    // The one setting that is yes or no, too.
    let word = || value.as_bool().filter(|_| name == "proxy-protocol").map(|on| on.to_string());
    let text = scalar(value).or_else(list).or_else(word).unwrap_or_default();
    settings.set(name, &text).map_err(|allowed| source.wrong(entry, &allowed))
}

/// No two functions share a name or a route.
fn unique(source: &Source<'_>, placed: &[Placed<'_, '_>]) -> Result<(), Wrong> {
    let mut seen = std::collections::HashSet::new();
    for one in placed {
        if !seen.insert(&one.function.name) {
            return Err(source.wrong(one.name, "another function has this name"));
        }
    }
    let ids: Vec<_> = placed.iter().map(|one| WorkloadId::new("local", &one.function.name)).collect();
    let claims: Vec<_> = placed
        .iter()
        .zip(&ids)
        .map(|(one, id)| Claim { id, hosts: &one.function.hosts, path: &one.function.path })
        .collect();
    let (_, conflicts) = RouteTable::build(&claims);
    let Some(conflict) = conflicts.first() else { return Ok(()) };
    let what = format!("{} belongs to function {} already", conflict.route, conflict.winner.name());
    let loser = placed.iter().find(|one| one.function.name == conflict.loser.name());
    Err(match loser {
        Some(Placed { claim: Some(entry), .. }) => source.wrong(*entry, &what),
        Some(loser) => source.at(&loser.header, format!("function {}: {what}", loser.function.name)),
        None => Wrong::file(source.file, what),
    })
}

/// Functions that others wake with exist.
fn named(source: &Source<'_>, placed: &[Placed<'_, '_>]) -> Result<(), Wrong> {
    let known: Vec<&str> = placed.iter().map(|one| one.function.name.as_str()).collect();
    for one in placed {
        let absent = one.function.policy.wake_with.iter().find(|name| !known.contains(&&***name));
        if let Some(absent) = absent {
            let (name, all) = (&one.function.name, known.join(", "));
            let what = format!(
                "function {name}: wake-with names {absent}, and there is no such function; allowed are {all}"
            );
            return Err(source.at(&one.header, what));
        }
    }
    Ok(())
}

#[cfg(test)]
#[path = "read_test.rs"]
mod tests;
