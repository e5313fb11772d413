//! `/livez` and `/readyz`: whether to restart this process, and whether to send it requests.

use hyper::{Response, StatusCode};

use super::Desk;
use super::response::{Answer, text};

/// One thing that health consists of.
pub(crate) struct Check {
    name: &'static str,
    vital: bool,
    well: Box<dyn Fn() -> bool + Send + Sync>,
}

impl Check {
    /// Without it no requests should come here.
    pub(crate) fn ready(name: &'static str, well: impl Fn() -> bool + Send + Sync + 'static) -> Check {
        Check { name, vital: false, well: Box::new(well) }
    }

    /// Without it this process is to be started again.
    pub(crate) fn live(name: &'static str, well: impl Fn() -> bool + Send + Sync + 'static) -> Check {
        Check { name, vital: true, well: Box::new(well) }
    }
}

/// Alive: every part that has to run, runs.
pub(crate) fn live(desk: &Desk, verbose: bool) -> Response<Answer> {
    let vital = desk.checks.iter().filter(|check| check.vital);
    say("livez", &vital.map(|check| (check.name, (check.well)())).collect::<Vec<_>>(), verbose)
}

/// Ready: requests are taken. False as soon as draining begins.
pub(crate) fn ready(desk: &Desk, verbose: bool) -> Response<Answer> {
    let checks: Vec<_> = desk.checks.iter().map(|check| (check.name, (check.well)())).collect();
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
