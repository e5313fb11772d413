//! `/livez` and `/readyz`: whether to restart this process, and whether to send it requests.

use hyper::{Response, StatusCode};

use super::Desk;
use super::answer::{Answer, text};

/// Alive: every part that has to run, runs.
pub(crate) fn live(desk: &Desk, verbose: bool) -> Response<Answer> {
    say("livez", &[("autoscaler", desk.autoscaler.strong_count() > 0)], verbose)
}

/// Ready: requests are taken. False as soon as draining begins.
pub(crate) fn ready(desk: &Desk, verbose: bool) -> Response<Answer> {
    let checks = [
        ("proxy", !*desk.draining.borrow()),
        ("platform", desk.snapshots.borrow().version > 0),
        ("autoscaler", desk.autoscaler.strong_count() > 0),
    ];
    say("readyz", &checks, verbose)
}

fn say(name: &str, checks: &[(&str, bool)], verbose: bool) -> Response<Answer> {
    const TEXT: &str = "text/plain; charset=utf-8";
    let well = checks.iter().all(|(_, well)| *well);
    let status = if well { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    if well && !verbose {
        return text(status, TEXT, "ok\n".into());
    }
    let line = |(name, well): &(&str, bool)| {
        if *well { format!("[+]{name} ok\n") } else { format!("[-]{name} failed\n") }
    };
    let mut lines: String = checks.iter().map(line).collect();
    lines.push_str(&format!("{name} check {}\n", if well { "passed" } else { "failed" }));
    text(status, TEXT, lines)
}
