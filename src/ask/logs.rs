//! `kaos logs`: what the replicas of a workload have written, and go on to write.

use http_body_util::BodyExt;
use serde_json::Value;

#[cfg(feature = "kubernetes")]
use super::client::Admin;
use super::client::{self, told};
use super::print::raw;
use super::{find, text};
use crate::cli::{Form, Logs};
use crate::failure::Failure;

/// Longest line that is put together.
const LONGEST: usize = 1024 * 1024;

/// Runs the command.
pub(crate) fn logs(logs: &Logs) -> Result<(), Failure> {
    client::run(follow(logs))
}

async fn follow(logs: &Logs) -> Result<(), Failure> {
    let query = if logs.follow { "?follow" } else { "" };
    let kaos = find(&logs.one.ask).await?;
    #[cfg(feature = "kubernetes")]
    if let Admin::Leader(leader) = &kaos.admin {
        let workload = kaos.path_of(&logs.one.name)?;
        let show = |line: &[u8]| show(line, logs.one.ask.output.form);
        return super::pods::logs(leader.cluster(), &workload, logs.follow, show).await;
    }
    let path = format!("/v1/logs/{}{query}", kaos.path_of(&logs.one.name)?);
    let response = kaos.admin.stream(&path).await?;
    let good = response.status().is_success();
    let mut body = response.into_body();
    let mut pending = Vec::new();
    while let Some(frame) = body.frame().await {
        let frame = frame.map_err(|_| Failure::Failed("the Kaos that was followed is gone".into()))?;
        pending.extend_from_slice(frame.data_ref().map_or(&[], |data| data));
        while let Some(end) = pending.iter().position(|byte| *byte == b'\n') {
            let line: Vec<u8> = pending.drain(..=end).collect();
            if good {
                show(&line, logs.one.ask.output.form)?;
            } else {
                return Err(told(&serde_json::from_slice(&line).unwrap_or_default()));
            }
        }
        if pending.len() > LONGEST {
            return Err(Failure::Failed("a line is longer than 1 MiB".into()));
        }
    }
    Ok(())
}

fn show(line: &[u8], form: Form) -> Result<(), Failure> {
    if form == Form::Json {
        return raw(&String::from_utf8_lossy(line));
    }
    let entry: Value = serde_json::from_slice(line)
        .map_err(|error| Failure::Failed(format!("the admin port said what can't be read: {error}")))?;
    // As the replica wrote it, colours and all: that is what was asked for.
    raw(&format!("{} | {}\n", text(&entry, "/replica"), text(&entry, "/line")))
}
