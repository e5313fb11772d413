//! `kaos version`: this command's, and that of the Kaos that runs.

use serde_json::{Value, json};

use super::print::{json, print};
use super::{client, find, text};
use crate::cli::{Ask, Form};
use crate::failure::Failure;
use crate::instance::{REVISION, VERSION};

/// Runs the command. That none runs is no failure unless one was named.
pub(crate) fn version(ask: &Ask) -> Result<(), Failure> {
    let asked = client::run(async { find(ask).await?.json("/v1/instance").await });
    let running = match asked {
        Ok(instance) => instance,
        Err(failure) if ask.admin.is_some() => return Err(failure),
        Err(_) => Value::Null,
    };
    if ask.output.form == Form::Json {
        return json(&json!({ "version": VERSION, "revision": REVISION, "running": running }));
    }
    let mut lines = format!("kaos {VERSION} ({REVISION})\n");
    if !running.is_null() {
        lines.push_str(&format!(
            "running: {} ({}), process {}, http://{}\n",
            text(&running, "/version"),
            text(&running, "/revision"),
            super::count(&running, "/pid"),
            text(&running, "/admin"),
        ));
    }
    print(&lines)
}
