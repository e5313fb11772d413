//! Manifests as Helm, kustomize and `kaos install` print them, as objects that can be compared.

#![allow(unreachable_pub, reason = "a module of a test")]
#![allow(clippy::unwrap_used, clippy::panic, reason = "all of this is test code")]

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use serde_json::{Map, Value, json};

/// The namespace that the manifests have.
pub const SYSTEM: &str = "kaos-system";

/// Objects by kind, namespace and name.
pub type Objects = BTreeMap<String, Value>;

fn manifests() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../manifests").canonicalize().unwrap()
}

/// The chart's folder.
pub fn chart() -> String {
    manifests().join("chart").display().to_string()
}

/// What a program prints, or why it refuses to.
fn printed(command: &mut Command) -> Result<String, String> {
    let ended = command.stdin(Stdio::null()).output().unwrap();
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    if ended.status.success() {
        Ok(text(ended.stdout))
    } else {
        Err(text(ended.stderr) + &text(ended.stdout))
    }
}

/// What `helm` prints, with no settings of whoever runs the test.
pub fn helm(arguments: &[&str]) -> Result<String, String> {
    let home = tempfile::tempdir().unwrap();
    let mut helm = kaos_testbed::helm().unwrap();
    for variable in ["HELM_CACHE_HOME", "HELM_CONFIG_HOME", "HELM_DATA_HOME"] {
        helm.env(variable, home.path());
    }
    printed(helm.env_remove("KUBECONFIG").env("HOME", home.path()).args(arguments))
}

/// A value, and what is said of it.
pub type Set = (String, Value);

/// `value` at the path `path`.
pub fn set(path: &str, value: Value) -> Set {
    (path.to_owned(), value)
}

/// The chart with these values.
pub fn rendered(values: &[Set]) -> Objects {
    let mut arguments = ["template", "kaos", &chart(), "-n", SYSTEM].map(str::to_owned).to_vec();
    for (path, value) in values {
        arguments.extend(["--set-json".to_owned(), format!("{path}={value}")]);
    }
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    objects(&helm(&arguments).unwrap_or_else(|error| panic!("{values:?}: {error}")))
}

/// What kustomize makes of an overlay beside the manifests' folders.
pub fn kustomize(overlay: &Value) -> Objects {
    let folder = tempfile::tempdir().unwrap();
    for name in ["base", "namespaced", "podmonitor"] {
        std::fs::create_dir(folder.path().join(name)).unwrap();
        for entry in std::fs::read_dir(manifests().join(name)).unwrap() {
            let path = entry.unwrap().path();
            std::fs::copy(&path, folder.path().join(name).join(path.file_name().unwrap())).unwrap();
        }
    }
    let at = folder.path().join("overlay");
    std::fs::create_dir(&at).unwrap();
    std::fs::write(at.join("kustomization.yaml"), overlay.to_string()).unwrap();
    objects(&printed(kaos_testbed::kustomize().unwrap().arg("build").arg(at)).unwrap())
}

/// What `kaos install` prints.
pub fn kaos(flags: &[&str]) -> Objects {
    let mut install = Command::new(kaos_testbed::kaos().unwrap());
    objects(&printed(install.arg("install").args(flags)).unwrap())
}

/// A stream of YAML as objects, none of which comes twice.
pub fn objects(text: &str) -> Objects {
    let all: Vec<Value> =
        serde_saphyr::from_multiple(text).unwrap_or_else(|error| panic!("{error}:\n{text}"));
    let mut objects = Objects::new();
    for object in all.into_iter().filter(|object| !object.is_null()) {
        let word = |path: &str| object.pointer(path).and_then(Value::as_str);
        let name = word("/metadata/name").unwrap();
        let place = word("/metadata/namespace").map_or_else(String::new, |namespace| format!("{namespace}/"));
        let key = format!("{} {place}{name}", word("/kind").unwrap());
        assert!(objects.insert(key.clone(), object).is_none(), "twice: {key}");
    }
    objects
}

/// What is otherwise in `after`: fields with what they have there, fields and whole objects that are gone with `null`.
pub fn changes(before: &Objects, after: &Objects) -> Value {
    let mut changes = Map::new();
    let names: BTreeSet<&String> = before.keys().chain(after.keys()).collect();
    for name in names {
        match (before.get(name), after.get(name)) {
            (Some(before), Some(after)) => {
                let (before, after) = (fields(before), fields(after));
                let paths: BTreeSet<&String> = before.keys().chain(after.keys()).collect();
                for path in paths.into_iter().filter(|path| before.get(*path) != after.get(*path)) {
                    let value = after.get(path).cloned().unwrap_or_default();
                    changes.insert(format!("{name} {path}"), value);
                }
            }
            (_, after) => {
                changes.insert(name.clone(), after.cloned().unwrap_or_default());
            }
        }
    }
    Value::Object(changes)
}

/// Every field that has no others in it, by its JSON pointer.
fn fields(value: &Value) -> BTreeMap<String, Value> {
    let inner: Vec<(String, &Value)> = match value {
        Value::Object(map) => {
            map.iter().map(|(key, value)| (key.replace('~', "~0").replace('/', "~1"), value)).collect()
        }
        Value::Array(list) => list.iter().enumerate().map(|(at, value)| (at.to_string(), value)).collect(),
        _ => Vec::new(),
    };
    if inner.is_empty() {
        return BTreeMap::from([(String::new(), value.clone())]);
    }
    let below = |(key, value): (String, &Value)| {
        fields(value)
            .into_iter()
            .map(move |(path, value)| (format!("/{key}{path}"), value))
            .collect::<Vec<_>>()
    };
    inner.into_iter().flat_map(below).collect()
}

/// The paths of all values that the schema has.
pub fn values() -> BTreeSet<String> {
    let text = std::fs::read_to_string(manifests().join("chart/values.schema.json")).unwrap();
    let schema: Value = serde_json::from_str(&text).unwrap();
    let mut values = BTreeSet::new();
    for (key, one) in schema["properties"].as_object().unwrap() {
        match one["required"].is_array() {
            true => values
                .extend(one["properties"].as_object().unwrap().keys().map(|inner| format!("{key}.{inner}"))),
            false => drop(values.insert(key.clone())),
        }
    }
    // Helm's own.
    values.remove("global");
    assert_ne!(json!(values), json!([]));
    values
}
