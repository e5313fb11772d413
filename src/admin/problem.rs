//! Why the admin port doesn't answer a question: the only file here that knows status codes for that. RFC 9457.

use hyper::StatusCode;
use serde_json::{Value, json};

/// What is wrong with a question.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Problem {
    /// It names no host, or none that can be.
    BadHost,
    /// It names a host that isn't this one, as a web page does that was made to point here (DNS rebinding).
    Misdirected(String),
    /// It wants to change something.
    MethodNotAllowed,
    /// It only asks where orders are given.
    NoOrder,
    /// This process is about to end.
    Ending,
    /// Nothing is there.
    NoSuchPath,
    /// There is no such workload. With its name.
    NoSuchWorkload(String),
    /// As many are following already as may. With the bound.
    TooManyFollowers(usize),
    /// It asks for a form of reports that isn't spoken here.
    NoSuchVersion(String),
    /// As many are reading reports already as may. With the bound.
    TooManyReaders(usize),
    /// This isn't kept here. What, and by whom it is.
    Elsewhere(&'static str, &'static str),
    /// The data line didn't give its figures in time.
    NoFigures,
}

impl Problem {
    fn row(&self) -> (StatusCode, &'static str, &'static str) {
        match self {
            Problem::BadHost => (StatusCode::BAD_REQUEST, "bad-request", "The request is malformed"),
            Problem::Misdirected(_) => {
                (StatusCode::MISDIRECTED_REQUEST, "misdirected", "The request is for another host")
            }
            Problem::MethodNotAllowed | Problem::NoOrder => {
                (StatusCode::METHOD_NOT_ALLOWED, "method-not-allowed", "The method is not allowed")
            }
            Problem::Ending => (StatusCode::SERVICE_UNAVAILABLE, "draining", "This Kaos is about to end"),
            Problem::NoSuchPath => (StatusCode::NOT_FOUND, "no-route", "Nothing is at this path"),
            Problem::NoSuchWorkload(_) => (StatusCode::NOT_FOUND, "no-workload", "There is no such workload"),
            Problem::TooManyFollowers(_) => {
                (StatusCode::SERVICE_UNAVAILABLE, "overloaded", "Too many follow already")
            }
            Problem::NoSuchVersion(_) => {
                (StatusCode::NOT_ACCEPTABLE, "bad-version", "The version is not spoken here")
            }
            Problem::TooManyReaders(_) => {
                (StatusCode::SERVICE_UNAVAILABLE, "overloaded", "Too many read reports already")
            }
            Problem::Elsewhere(..) => (StatusCode::NOT_FOUND, "no-route", "This is not kept here"),
            Problem::NoFigures => {
                (StatusCode::SERVICE_UNAVAILABLE, "overloaded", "The proxy did not answer in time")
            }
        }
    }

    /// The status of the answer.
    pub(crate) fn status(&self) -> StatusCode {
        self.row().0
    }

    /// The body of the answer.
    pub(crate) fn body(&self) -> Value {
        let (status, word, title) = self.row();
        let detail = match self {
            Problem::BadHost => "The Host header is missing or no host.".to_owned(),
            Problem::Misdirected(host) => format!(
                "This port listens on loopback only and answers to its own address and loopback names, not to {host:?}."
            ),
            Problem::MethodNotAllowed => "This port is read-only: GET and HEAD.".to_owned(),
            Problem::NoOrder => "Orders are given with POST.".to_owned(),
            Problem::Ending => "Nothing takes orders any more.".to_owned(),
            Problem::NoSuchPath => {
                "There are /metrics, /livez, /readyz, /v1/instance, /v1/workloads, /v1/journal/NAMESPACE/NAME, \
                 /v1/advice/NAMESPACE/NAME, /v1/logs/NAMESPACE/NAME and /v1/reports."
                    .to_owned()
            }
            Problem::NoSuchWorkload(name) => format!("There is no workload {name:?}; /v1/workloads lists all."),
            Problem::TooManyFollowers(most) => format!("{most} follow logs; end one of them."),
            Problem::NoSuchVersion(version) => format!(
                "Reports of version {version:?} are wanted; allowed is {}: run the same Kaos on both sides.",
                kaos_core::report::REPORT_VERSION
            ),
            Problem::TooManyReaders(most) => format!("{most} read reports; end one of them."),
            Problem::Elsewhere(what, whose) => format!("Ask {whose} for {what}."),
            Problem::NoFigures => "The machine may be overloaded; try again.".to_owned(),
        };
        json!({
            "type": format!("https://kaos.dev/problems/{word}"),
            "title": title,
            "status": status.as_u16(),
            "detail": detail,
        })
    }
}
