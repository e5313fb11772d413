//! The Helm chart is made from the other manifests, and every value of it is described, bounded and used. What Helm makes of it,
//! beside kustomize, is tried in `tests/testbed/tests/chart.rs`.

#![allow(clippy::unwrap_used, clippy::panic, reason = "all of this is test code")]

#[path = "../examples/chart/main.rs"]
mod chart;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};

fn manifests() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("manifests")
}

/// The chart's files as they are checked in, by their paths within it.
fn written() -> BTreeMap<String, String> {
    let mut files = BTreeMap::new();
    let mut folders = vec![manifests().join("chart")];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
                continue;
            }
            let name = path.strip_prefix(manifests().join("chart")).unwrap().to_str().unwrap().to_owned();
            files.insert(name, std::fs::read_to_string(path).unwrap());
        }
    }
    files
}

fn schema() -> Value {
    serde_json::from_str(&written()["values.schema.json"]).unwrap()
}

/// Every value of `values.yaml` by its path; what the schema leaves open is one value.
fn values(within: &Value, schema: &Value, path: &str) -> Vec<(String, Value)> {
    let mut all = Vec::new();
    for (key, value) in within.as_object().unwrap() {
        let schema = &schema["properties"][key];
        let path = format!("{path}.{key}");
        match schema["required"].is_array() {
            true => all.extend(values(value, schema, &path)),
            false => all.push((path, value.clone())),
        }
    }
    all
}

fn all_values() -> Vec<(String, Value)> {
    values(&serde_saphyr::from_str(&written()["values.yaml"]).unwrap(), &schema(), "")
}

#[test]
fn what_is_checked_in_is_what_the_manifests_make() {
    let mut written = written();
    for name in chart::BY_HAND {
        assert!(written.remove(name).is_some(), "{name}");
    }
    let made = chart::chart(&manifests()).unwrap();
    let differ = |name: &&String| made.get(*name) != written.get(*name);
    let different: Vec<&String> = made.keys().chain(written.keys()).filter(differ).collect();
    assert!(different.is_empty(), "{different:?}: write them anew: {}", chart::COMMAND);
}

#[test]
fn every_value_is_described_and_bounded_and_nothing_else_is_allowed() {
    let schema = schema();
    for (path, value) in all_values() {
        let mut one = &schema;
        for key in path.split('.').skip(1) {
            assert_eq!(one["additionalProperties"], false, "{path}");
            assert!(one["required"].as_array().unwrap().contains(&json!(key)), "{path}");
            one = &one["properties"][key];
        }
        assert_eq!(one["default"], value, "{path}");
        assert!(one["description"].as_str().unwrap().ends_with('.'), "{path}");
        assert!(one["type"].is_string() || one["enum"].is_array(), "{path}");
    }
    // What the schema has more is what Helm itself may add.
    let leaves =
        |schema: &Value| schema["properties"].as_object().unwrap().keys().cloned().collect::<Vec<_>>();
    let mut told = Vec::new();
    for key in leaves(&schema) {
        let one = &schema["properties"][&key];
        match one["required"].is_array() {
            true => told.extend(leaves(one).into_iter().map(|inner| format!(".{key}.{inner}"))),
            false => told.push(format!(".{key}")),
        }
    }
    told.retain(|path| path != ".global");
    let mut known: Vec<String> = all_values().into_iter().map(|(path, _)| path).collect();
    known.sort_unstable();
    told.sort_unstable();
    assert_eq!(told, known);
}

#[test]
fn every_value_has_an_effect_and_whatever_is_used_is_a_value() {
    let known = all_values();
    let templates: String = written()
        .into_iter()
        .filter(|(name, _)| {
            name.starts_with("templates/") && !name.ends_with("NOTES.txt") && !name.ends_with("check.tpl")
        })
        .map(|(_, text)| text)
        .collect();
    let end = |letter: char| !(letter.is_ascii_alphanumeric() || letter == '.');
    let used: Vec<&str> =
        templates.split(".Values").skip(1).map(|rest| rest.split(end).next().unwrap()).collect();
    for (path, _) in &known {
        assert!(used.contains(&path.as_str()), "{path} does nothing");
    }
    for path in used {
        assert!(known.iter().any(|(one, _)| one == path), "{path} is used and is no value");
    }
}

/// A folder with manifests that aren't as they should be is no chart, and the error says where.
#[test]
fn what_has_no_place_in_the_manifests_is_said() {
    let folder = tempfile::tempdir().unwrap();
    let copy = |change: (&str, &str, &str)| {
        for name in ["base", "namespaced", "podmonitor", "gatewayclass"] {
            std::fs::create_dir_all(folder.path().join(name)).unwrap();
            for entry in std::fs::read_dir(manifests().join(name)).unwrap() {
                let path = entry.unwrap().path();
                let file = format!("{name}/{}", path.file_name().unwrap().to_str().unwrap());
                let text = std::fs::read_to_string(path).unwrap();
                let (at, from, to) = change;
                assert!(at != file || text.contains(from), "{file}: {from}");
                let text = if at == file { text.replace(from, to) } else { text };
                std::fs::write(folder.path().join(file), text).unwrap();
            }
        }
        chart::chart(folder.path())
    };
    assert_eq!(copy(("", "", "")), chart::chart(&manifests()));
    for (file, from, to, said) in [
        (
            "base/proxy.yaml",
            "  replicas: 2\n",
            "  replicas: 3\n",
            "manifests/base/proxy.yaml: Deployment kaos-proxy: this stands there 0 times",
        ),
        (
            "base/proxy.yaml",
            "  name: kaos-proxy\n",
            "  name: kaos-gate\n",
            "there is no Deployment kaos-proxy",
        ),
        ("base/own.yaml", "kaos-originals-7", "kaos-{{ 7 }}", "would be read by Helm"),
        ("namespaced/roles.yaml", "namespace: default", "namespace: other", "isn't in default"),
        (
            "namespaced/kustomization.yaml",
            "$patch: delete",
            "$patch: replace",
            "doesn't know what this patch does",
        ),
        (
            "namespaced/kustomization.yaml",
            "KAOS_INGRESS_CLASS",
            "KAOS_INGRESS",
            "doesn't know what this patch does",
        ),
    ] {
        let error = copy((file, from, to)).unwrap_err();
        assert!(error.contains(said), "{error}");
    }
}

/// A file that is new in the manifests needs nobody's doing here.
#[test]
fn a_new_file_of_the_manifests_becomes_a_template() {
    let folder = tempfile::tempdir().unwrap();
    let put = |file: &str, text: &str| {
        std::fs::create_dir_all(folder.path().join(file).parent().unwrap()).unwrap();
        std::fs::write(folder.path().join(file), text).unwrap();
    };
    let all = |name: &str| std::fs::read_to_string(manifests().join(name)).unwrap();
    for file in [
        "namespaced/kustomization.yaml",
        "namespaced/roles.yaml",
        "podmonitor/kustomization.yaml",
        "podmonitor/podmonitor.yaml",
        "gatewayclass/kustomization.yaml",
        "gatewayclass/gateway-class.yaml",
    ] {
        put(file, &all(file));
    }
    let objects: Vec<String> = ["proxy", "autoscaler", "network", "ingress-class"]
        .map(|name| all(&format!("base/{name}.yaml")))
        .into();
    put("base/all.yaml", &objects.join("---\n"));
    put(
        "base/new.yaml",
        "# Why.\nkind: Secret\nmetadata:\n  name: new.kaos-system\n  namespace: kaos-system\n",
    );
    put("base/kustomization.yaml", "resources: [all.yaml, new.yaml]\n");
    let made = chart::chart(folder.path()).unwrap();
    let (_, text) = made["templates/new.yaml"].split_once('\n').unwrap();
    let namespace = "{{ .Release.Namespace | quote }}";
    let name = "new.{{ .Release.Namespace }}";
    assert_eq!(text, format!("# Why.\nkind: Secret\nmetadata:\n  name: {name}\n  namespace: {namespace}\n"));
}
