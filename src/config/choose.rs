//! Which functions run: those of a file, the one given after `--`, or the built-in `hello`.

use std::path::{Path, PathBuf};

use kaos_core::Policy;

use super::function::{READINESS_ALLOWED, suits_one_machine};
use super::{Config, Function, Settings, open_if_alone, own_host, read};
use crate::cli::{HELLO, Up};
use crate::failure::Failure;

/// The file that is looked for when nothing is said.
const FILE: &str = "kaos.toml";

/// Where a configuration came from.
#[derive(Clone, Debug)]
pub(crate) struct Chosen {
    /// What is to run.
    pub(crate) config: Config,
    /// The file, if it came from one: it may change.
    pub(crate) file: Option<PathBuf>,
    /// What flags and the environment say; it comes before the file.
    pub(crate) flags: Settings,
}

/// What `kaos up` was asked to run. `base` holds where nothing is said.
pub(crate) fn choose(up: &Up, base: &Policy) -> Result<Chosen, Failure> {
    let alone = !up.cmd.is_empty();
    let file = match &up.config {
        Some(file) => Some(file.clone()),
        None if !alone && Path::new(FILE).exists() => Some(PathBuf::from(FILE)),
        None => None,
    };
    let flags = up.settings.clone();
    let Some(file) = file else {
        let function = if alone { from_command(up, base)? } else { hello(up, base)? };
        let config = Config { settings: flags.clone(), functions: vec![function] };
        return Ok(Chosen { config, file: None, flags });
    };
    if let Some(flag) = only_for_one(up) {
        return Err(Failure::Usage(format!(
            "--{flag} (or {}) is for the one function given after --; for {} say it there",
            crate::cli::variable(flag),
            file.display()
        )));
    }
    let config = load(&file, base, &flags).map_err(|wrong| Failure::Configuration(wrong.to_string()))?;
    Ok(Chosen { config, file: Some(file), flags })
}

/// A flag that was given and says something of one function alone.
fn only_for_one(up: &Up) -> Option<&'static str> {
    let knob = up.knobs.0.first().map(|(knob, _)| *knob);
    let name = up.name.as_ref().map(|_| "name");
    let host = (!up.host.is_empty()).then_some("host");
    name.or(host).or(knob)
}

/// Reads `file`; `flags` come before what it says.
pub(crate) fn load(file: &Path, base: &Policy, flags: &Settings) -> Result<Config, super::Wrong> {
    let mut config = read(file, base)?;
    config.settings = flags.or(&config.settings);
    Ok(config)
}

fn from_command(up: &Up, base: &Policy) -> Result<Function, Failure> {
    let name = up.name.clone().unwrap_or_else(|| name_of(&up.cmd));
    function(up, base, name, up.cmd.clone())
}

fn hello(up: &Up, base: &Policy) -> Result<Function, Failure> {
    let program = std::env::current_exe()
        .map_err(|error| Failure::Failed(format!("the path of this program isn't known: {error}")))?;
    let program = program.to_str().map(str::to_owned);
    let program = program.ok_or_else(|| Failure::Failed("the path of this program isn't UTF-8".into()))?;
    let name = up.name.clone().unwrap_or_else(|| "hello".into());
    let mut function = function(up, base, name, vec![program, HELLO.into()])?;
    function.env.push((crate::hello::NAME.into(), function.name.clone()));
    Ok(function)
}

fn function(up: &Up, base: &Policy, name: String, command: Vec<String>) -> Result<Function, Failure> {
    let knobs = up.knobs.0.iter().map(|(name, value)| (*name, value.as_str()));
    let policy = base
        .with(knobs)
        .map_err(|error| Failure::Usage(format!("--{} {}: {}", error.knob, error.value, error.allowed)))?;
    if !suits_one_machine(&policy) {
        let value = up.knobs.0.iter().find(|(name, _)| *name == "readiness").map_or("", |(_, value)| value);
        let text = format!("--readiness {value} (or KAOS_READINESS): allowed is {READINESS_ALLOWED}");
        return Err(Failure::Configuration(text));
    }
    let dir = std::env::current_dir()
        .map_err(|error| Failure::Failed(format!("the current directory isn't known: {error}")))?;
    let hosts = if up.host.is_empty() { vec![own_host(&name)] } else { up.host.clone() };
    let function = Function { name, hosts, path: "/".into(), command, dir, env: Vec::new(), policy };
    let mut functions = [function];
    open_if_alone(&mut functions);
    let [function] = functions;
    Ok(function)
}

/// A DNS label from the program's file name, without its ending: `./My_app.py` is `my-app`.
fn name_of(command: &[String]) -> String {
    let stem = command.first().map(Path::new).and_then(Path::file_stem).unwrap_or_default().to_string_lossy();
    let letter =
        |letter: char| if letter.is_ascii_alphanumeric() { letter.to_ascii_lowercase() } else { '-' };
    let label: String = stem.chars().map(letter).take(63).collect();
    let label = label.trim_matches('-');
    if label.is_empty() { "app".into() } else { label.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_program_gives_its_name() {
        for (program, name) in [
            ("python3", "python3"),
            ("./My_app.py", "my-app"),
            ("/usr/bin/node", "node"),
            ("...", "app"),
            ("", "app"),
            ("/opt/größe", "gr--e"),
        ] {
            assert_eq!(name_of(&[program.to_owned()]), name);
            assert!(crate::config::is_label(name));
        }
    }
}
