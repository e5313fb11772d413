//! `/v1/reports`: what this proxy reports, for autoscalers, as lines that go on.

use http_body_util::BodyExt;
use hyper::Response;
use kaos_core::report::REPORT_VERSION;

use super::Desk;
use super::problem::Problem;
use super::response::{Answer, stream};
use crate::report::READERS;

/// Everything, then each change. Who wants another version says so with `?version=N` and is told that there is none.
pub(crate) fn follow(desk: &Desk, query: Option<&str>) -> Result<Response<Answer>, Problem> {
    let pairs = || query.unwrap_or_default().split('&');
    if let Some(version) = pairs().find_map(|pair| pair.strip_prefix("version="))
        && version.parse() != Ok(REPORT_VERSION)
    {
        return Err(Problem::NoSuchVersion(version.chars().take(20).collect()));
    }
    let hub = desk.hub.as_ref().ok_or(Problem::Elsewhere("reports", "a proxy"))?;
    let lines = hub.subscribe().ok_or(Problem::TooManyReaders(READERS))?;
    Ok(stream(lines.boxed()))
}
