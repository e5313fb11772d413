//! Patches to keep: one document for each Deployment, with its name and its annotations, as kustomize and
//! `kubectl apply --server-side` take them. What has no equal stands above it.

use std::fmt::Write;

use kaos_kubernetes::dialect::{MANAGER, Plan, Told, Verdict};
use serde_json::Value;

use super::page::quoted;

/// All of it as YAML.
pub(super) fn written(told: &Told) -> String {
    let mut out = format!(
        "# kubectl apply --server-side --field-manager={MANAGER} -f -, or patches of a kustomization\n"
    );
    for plan in &told.plans {
        out.push_str(&document(plan));
    }
    out
}

/// One Deployment. Writing to a String can't fail.
fn document(plan: &Plan) -> String {
    let mut out = String::from("---\n");
    let _ = writeln!(out, "# {}, by {}", plan.workload, plan.sources.join(", "));
    for remark in plan.remarks.iter().filter(|remark| remark.verdict != Verdict::Same) {
        let _ = writeln!(out, "# {}: {}: {}", remark.verdict.word(), remark.from, remark.why);
    }
    let mut made = plan.make.iter();
    if let Some(deployment) = made.next() {
        out.push_str(&block(deployment, 0));
        for other in made {
            let _ = write!(out, "---\n{}", block(other, 0));
        }
        return out;
    }
    let (namespace, name) = (plan.workload.namespace(), plan.workload.name());
    let _ = writeln!(out, "apiVersion: apps/v1\nkind: Deployment\nmetadata:");
    let _ = writeln!(out, "  name: {}\n  namespace: {}\n  annotations:", quoted(name), quoted(namespace));
    for line in &plan.lines {
        let _ = writeln!(out, "    {}: {}", line.name, quoted(&line.value));
    }
    out
}

/// A value in block style; texts and keys as JSON writes them, which YAML reads the same.
fn block(value: &Value, depth: usize) -> String {
    let indent = "  ".repeat(depth);
    let member = |start: String, value: &Value| match value {
        Value::Object(all) if !all.is_empty() => format!("{start}\n{}", block(value, depth + 1)),
        Value::Array(all) if !all.is_empty() => format!("{start}\n{}", block(value, depth + 1)),
        flat => format!("{start} {flat}\n"),
    };
    match value {
        Value::Object(all) => {
            all.iter().map(|(name, value)| member(format!("{indent}{}:", key(name)), value)).collect()
        }
        Value::Array(all) => all
            .iter()
            .map(|item| match item {
                Value::Object(_) | Value::Array(_) => {
                    // The first line of an item stands behind its dash.
                    let inner = block(item, depth + 1);
                    format!("{indent}- {}", inner.trim_start())
                }
                flat => format!("{indent}- {flat}\n"),
            })
            .collect(),
        flat => format!("{indent}{flat}\n"),
    }
}

/// A key: plain if nothing in it means anything to YAML.
fn key(name: &str) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"./_-".contains(&byte);
    let word =
        name.bytes().next().is_some_and(|first| first.is_ascii_alphabetic()) && name.bytes().all(plain);
    let means = ["true", "false", "null", "yes", "no", "on", "off", "y", "n"];
    if word && !means.contains(&name.to_ascii_lowercase().as_str()) { name.to_owned() } else { quoted(name) }
}
