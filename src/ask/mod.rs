//! The commands that ask a running Kaos: find it, ask its admin port, print the answer for people or programs.
//!
//! They know the admin port's JSON and nothing of the code behind it.

mod advice;
mod client;
#[cfg(feature = "kubernetes")]
mod cluster;
mod describe;
mod exchange;
mod explain;
mod forget;
mod invoke;
mod logs;
mod ls;
#[cfg(feature = "kubernetes")]
mod pods;
pub(crate) mod print;
mod version;

use serde_json::Value;

pub(crate) use advice::advice;
#[cfg(feature = "kubernetes")]
pub(crate) use client::run;
#[cfg(feature = "kubernetes")]
pub(crate) use cluster::Cluster;
pub(crate) use describe::describe;
#[cfg(feature = "kubernetes")]
pub(crate) use exchange::exchange;
pub(crate) use explain::explain;
pub(crate) use forget::forget;
pub(crate) use invoke::invoke;
pub(crate) use logs::logs;
pub(crate) use ls::ls;
pub(crate) use version::version;

use crate::cli::Ask;
use crate::failure::Failure;
use crate::instance::{Instance, running};
use client::Admin;

/// The namespace of functions on this machine, which nobody types.
const LOCAL: &str = "local";

/// A Kaos that is asked.
struct Kaos {
    admin: Admin,
    /// The namespace of a name that says none.
    namespace: String,
}

/// The Kaos that `ask` means: the one it names, else the only one that runs here, else that of the cluster.
async fn find(ask: &Ask) -> Result<Kaos, Failure> {
    #[cfg(feature = "kubernetes")]
    if ask.admin.is_none() && (ask.cluster.is_said() || running().is_empty() && cluster::has_kubeconfig()) {
        let reached = Cluster::connect(&ask.cluster.kubeconfig).await?;
        let namespace = ask.cluster.namespace.clone().unwrap_or_else(|| reached.namespace().to_owned());
        let leader = cluster::Leader::find(reached, &ask.cluster).await?;
        return Ok(Kaos { admin: Admin::Leader(Box::new(leader)), namespace });
    }
    Ok(Kaos { admin: here(ask)?, namespace: LOCAL.into() })
}

/// The admin port that `ask` names, else that of the only Kaos that runs here.
fn here(ask: &Ask) -> Result<Admin, Failure> {
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

impl Kaos {
    /// `NAME` or `NAMESPACE/NAME` as the path of a resource.
    fn path_of(&self, name: &str) -> Result<String, Failure> {
        let (namespace, name) = name.split_once('/').unwrap_or((&self.namespace, name));
        // A Deployment's name may have dots (RFC 1123 subdomain); a function's hasn't, and isn't found then.
        if crate::config::is_label(namespace) && name.split('.').all(crate::config::is_label) {
            return Ok(format!("{namespace}/{name}"));
        }
        Err(Failure::Usage(format!(
            "{namespace}/{name}: allowed is NAME or NAMESPACE/NAME, each {}",
            crate::config::NAME_ALLOWED
        )))
    }

    /// The answer to GET `path`, or why there is none.
    async fn json(&self, path: &str) -> Result<Value, Failure> {
        self.admin.json(path).await
    }

    /// The workload `name`.
    async fn workload(&self, name: &str) -> Result<Value, Failure> {
        self.json(&format!("/v1/workloads/{}", self.path_of(name)?)).await
    }

    /// Whether it runs on this machine, or at an address that was named.
    fn is_here(&self) -> bool {
        matches!(self.admin, Admin::At(_))
    }
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
