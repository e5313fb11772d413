//! The commands that ask a running Kaos: find it, ask its admin port, print the answer for people or programs.
//!
//! They know the admin port's JSON and nothing of the code behind it.

mod client;
mod describe;
mod explain;
mod invoke;
mod logs;
mod ls;
mod print;
mod version;

use serde_json::Value;

#[cfg(feature = "kubernetes")]
pub(crate) use client::exchange;
pub(crate) use describe::describe;
pub(crate) use explain::explain;
pub(crate) use invoke::invoke;
pub(crate) use logs::logs;
pub(crate) use ls::ls;
pub(crate) use version::version;

use crate::cli::Ask;
use crate::failure::Failure;
use crate::instance::{Instance, running};
use client::Admin;

/// The namespace of a name that says none.
const NAMESPACE: &str = "local";

/// The admin port that `ask` means: the one it names, else that of the only Kaos that runs here.
fn find(ask: &Ask) -> Result<Admin, Failure> {
    if let Some(url) = &ask.admin {
        return Admin::parse(url);
    }
    match &running()[..] {
        [] => Err(Failure::Failed(
            "no Kaos of this user runs on this machine; `kaos up` starts one, --admin URL names another"
                .into(),
        )),
        [only] => Ok(Admin::at(only.admin)),
        several => Err(Failure::Failed(format!(
            "several Kaos run here: choose with --admin URL\n{}",
            listed(several)
        ))),
    }
}

fn listed(instances: &[Instance]) -> String {
    let row = |instance: &Instance| {
        let listen = instance.listen.map_or_else(String::new, |at| format!(", requests at {at}"));
        format!("  http://{} (process {}{listen})", instance.admin, instance.pid)
    };
    instances.iter().map(row).collect::<Vec<_>>().join("\n")
}

/// `NAME` or `NAMESPACE/NAME` as the path of a resource.
fn path_of(name: &str) -> Result<String, Failure> {
    let (namespace, name) = name.split_once('/').unwrap_or((NAMESPACE, name));
    if crate::config::is_label(namespace) && crate::config::is_label(name) {
        return Ok(format!("{namespace}/{name}"));
    }
    Err(Failure::Usage(format!(
        "{namespace}/{name}: allowed is NAME or NAMESPACE/NAME, each {}",
        crate::config::NAME_ALLOWED
    )))
}

/// The workload `name`.
async fn workload(admin: &Admin, name: &str) -> Result<Value, Failure> {
    admin.json(&format!("/v1/workloads/{}", path_of(name)?)).await
}

/// A member of an object as text; empty if it isn't there.
fn text<'v>(value: &'v Value, path: &str) -> &'v str {
    value.pointer(path).and_then(Value::as_str).unwrap_or_default()
}

/// A member of an object as a count; zero if it isn't there.
fn count(value: &Value, path: &str) -> u64 {
    value.pointer(path).and_then(Value::as_u64).unwrap_or_default()
}

/// The members of a list; none if it isn't one.
fn list<'v>(value: &'v Value, path: &str) -> &'v [Value] {
    value.pointer(path).and_then(Value::as_array).map_or(&[], Vec::as_slice)
}
