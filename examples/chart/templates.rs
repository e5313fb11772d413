//! The chart's templates: the files of the manifests with values in their places.

use std::collections::BTreeMap;
use std::path::Path;

use serde_json::{Value, json};

use super::edits::{self, Edit};
use super::values::Setting;
use super::{CLASS, COMMAND, SYSTEM};

/// An object of a file.
struct Object {
    kind: String,
    name: String,
    text: String,
}

/// The overlay for one namespace.
struct Overlay {
    /// The namespace that stands in its files.
    serves: String,
    /// What it takes away: kind and name.
    removes: Vec<(String, String)>,
    /// Its own files.
    files: Vec<String>,
}

/// All templates, by their paths within the chart.
pub(crate) fn templates(manifests: &Path, table: &[Setting]) -> Result<BTreeMap<String, String>, String> {
    let mut edits = edits::edits(table);
    let overlay = overlay(manifests)?;
    let mut templates = BTreeMap::new();
    let mut put = |name: String, source: &str, text: &str| {
        let origin = format!("{{{{- /* Generated from {source} by `{COMMAND}`. Don't edit. */ -}}}}\n");
        let taken = templates.insert(format!("templates/{name}"), origin + text);
        taken.map_or(Ok(()), |_| Err(format!("two files of the manifests would both be templates/{name}")))
    };
    for file in resources(&manifests.join("base"))? {
        let source = format!("manifests/base/{file}");
        let mut all = objects(&manifests.join("base").join(&file))?;
        // The release's namespace is there before any of its objects.
        all.retain(|object| object.kind != "Namespace");
        if all.is_empty() {
            continue;
        }
        for object in &mut all {
            apply(&mut edits, object).map_err(|error| format!("{source}: {error}"))?;
            for condition in conditions(object, &overlay) {
                object.text = format!("{{{{- if {condition} }}}}\n{}{{{{- end }}}}\n", object.text);
            }
        }
        let texts: Vec<String> = all.into_iter().map(|object| object.text).collect();
        put(file, &source, &released(&texts.join("---\n"), "."))?;
    }
    for file in &overlay.files {
        let text = for_each_namespace(manifests, file, &overlay)?;
        put(format!("namespaced-{file}"), &format!("manifests/namespaced/{file}"), &text)?;
    }
    for (component, value) in [("podmonitor", "podMonitor"), ("gatewayclass", "gatewayClass")] {
        for file in resources(&manifests.join(component))? {
            let source = format!("manifests/{component}/{file}");
            let mut texts = Vec::new();
            for mut object in objects(&manifests.join(component).join(&file))? {
                apply(&mut edits, &mut object).map_err(|error| format!("{source}: {error}"))?;
                texts.push(object.text);
            }
            let text = released(&texts.join("---\n"), ".");
            put(file, &source, &format!("{{{{- if .Values.{value}.enabled }}}}\n{text}{{{{- end }}}}\n"))?;
        }
    }
    put("tls.yaml".into(), "src/install/tls.rs", &released(&edits::secrets(), "$."))?;
    put("gate.yaml".into(), "src/install/gate.rs", &released(&edits::asked(), "."))?;
    put("external-metrics.yaml".into(), "src/install/external.rs", &released(&edits::told(), "."))?;
    match edits.first() {
        None => Ok(templates),
        Some(Edit { kind, name, .. }) => Err(format!("there is no {kind} {name} in the manifests")),
    }
}

/// Makes the edits of the object, and takes them from the list.
fn apply(edits: &mut Vec<Edit>, object: &mut Object) -> Result<(), String> {
    if object.text.contains("{{") {
        return Err(format!("{} {}: {{{{ would be read by Helm", object.kind, object.name));
    }
    let of_it = |edit: &mut Edit| edit.kind == object.kind && edit.name == object.name;
    for edit in edits.extract_if(.., of_it) {
        let times = object.text.matches(&edit.before).count();
        if times != 1 {
            return Err(format!(
                "{} {}: this stands there {times} times, and must once for a value to take its place \
                 (examples/chart):\n{}",
                edit.kind, edit.name, edit.before
            ));
        }
        object.text = object.text.replace(&edit.before, &edit.after);
    }
    Ok(())
}

/// When there is such an object at all.
fn conditions(object: &Object, overlay: &Overlay) -> Vec<String> {
    let mut conditions = Vec::new();
    if overlay.removes.iter().any(|(kind, name)| (kind, name) == (&object.kind, &object.name)) {
        conditions.push("not .Values.namespaces".to_owned());
    }
    if object.kind == "IngressClass" {
        conditions.push(".Values.ingressClass.enabled".to_owned());
    }
    // One that is the only one could never be moved to another node.
    if let ("PodDisruptionBudget", Some(part)) = (object.kind.as_str(), object.name.strip_prefix("kaos-")) {
        conditions.push(format!("gt (int .Values.{part}.replicas) 1"));
    }
    conditions
}

/// A file of the overlay, once for each namespace that is served.
fn for_each_namespace(manifests: &Path, file: &str, overlay: &Overlay) -> Result<String, String> {
    let mut text = "{{- range $namespace := .Values.namespaces }}\n".to_owned();
    let place = format!("  namespace: {}\n", overlay.serves);
    for object in objects(&manifests.join("namespaced").join(file))? {
        let (kind, name) = (&object.kind, &object.name);
        if object.text.matches(&place).count() != 1 {
            return Err(format!("manifests/namespaced/{file}: {kind} {name} isn't in {}", overlay.serves));
        }
        text.push_str("---\n");
        text.push_str(&object.text.replace(&place, "  namespace: {{ $namespace | quote }}\n"));
    }
    Ok(released(&text, "$.") + "{{- end }}\n")
}

/// `text` for the release's namespace. `root` is where Helm's own values are.
fn released(text: &str, root: &str) -> String {
    let namespace = format!("{root}Release.Namespace");
    text.replace(&format!("namespace: {SYSTEM}\n"), &format!("namespace: {{{{ {namespace} | quote }}}}\n"))
        .replace(SYSTEM, &format!("{{{{ {namespace} }}}}"))
}

/// The overlay, whose patches must be of the kinds that are known here.
fn overlay(manifests: &Path) -> Result<Overlay, String> {
    let folder = manifests.join("namespaced");
    let mut overlay = Overlay { serves: String::new(), removes: Vec::new(), files: resources(&folder)? };
    overlay.files.retain(|file| file != "../base");
    let kustomization = kustomization(&folder)?;
    for entry in kustomization["patches"].as_array().into_iter().flatten() {
        let patch: Value = yaml(entry["patch"].as_str().unwrap_or_default())?;
        let serves = &patch[0]["value"]["value"];
        let variable = |name: &str, value: &Value| {
            let path = "/spec/template/spec/containers/0/env/-";
            json!({"op": "add", "path": path, "value": {"name": name, "value": value}})
        };
        let variables = json!([
            variable("KAOS_NAMESPACE", serves),
            variable("KAOS_INGRESS_CLASS", &json!(CLASS)),
            variable("KAOS_GATEWAY_CLASS", &json!(CLASS))
        ]);
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        if entry["target"] == json!({"kind": "Deployment"}) && patch == variables {
            overlay.serves = text(serves);
        } else if entry["target"].is_null() && patch["$patch"] == "delete" {
            overlay.removes.push((text(&patch["kind"]), text(&patch["metadata"]["name"])));
        } else {
            return Err(format!(
                "{}: examples/chart doesn't know what this patch does: {entry}",
                folder.display()
            ));
        }
    }
    Ok(overlay)
}

fn resources(folder: &Path) -> Result<Vec<String>, String> {
    let listed = kustomization(folder)?["resources"].take();
    serde_json::from_value(listed).map_err(|error| format!("{}: resources: {error}", folder.display()))
}

fn kustomization(folder: &Path) -> Result<Value, String> {
    let path = folder.join("kustomization.yaml");
    yaml(&read(&path)?).map_err(|error| format!("{}: {error}", path.display()))
}

fn objects(path: &Path) -> Result<Vec<Object>, String> {
    let text = read(path)?;
    let object = |text: &str| {
        let value: Value = yaml(text)?;
        let word = |value: &Value| value.as_str().map(str::to_owned).ok_or("an object without kind or name");
        let (kind, name) = (word(&value["kind"])?, word(&value["metadata"]["name"])?);
        Ok(Object { kind, name, text: text.to_owned() })
    };
    let all: Result<_, String> = text.split("---\n").map(object).collect();
    all.map_err(|error| format!("{}: {error}", path.display()))
}

fn yaml(text: &str) -> Result<Value, String> {
    serde_saphyr::from_str(text).map_err(|error| error.to_string())
}

fn read(path: &Path) -> Result<String, String> {
    std::fs::read_to_string(path).map_err(|error| format!("{}: {error}", path.display()))
}
