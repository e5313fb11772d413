//! What the API server's refusals mean to a writer, and what they mean to the autoscaler.
//!
//! Classes by status code, as the API conventions say; `Retry-After` from the head, as priority and fairness sends it.

use std::fmt;
use std::time::Duration;

use http::{HeaderMap, StatusCode, header};
use kaos_core::platform::Refusal;
use serde::Deserialize;

/// After a 403 nothing is asked again for so long. Rights come back by a person, but an API server that has just started
/// refuses everybody for a moment, and requests wait.
const FORBIDDEN_PAUSE: Duration = Duration::from_secs(2);

/// A longer `Retry-After` is not believed.
const LONGEST_PAUSE: Duration = Duration::from_secs(60);

/// Longest text of a server's message that is kept, in bytes.
const MESSAGE: usize = 500;

/// Why a call came to nothing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    /// 409: somebody else wrote first.
    Conflict,
    /// 422: the patch's test failed, or the server finds the object invalid.
    Invalid(String),
    /// 404, 410: not there.
    Gone,
    /// 401, 403: no right.
    Forbidden(String),
    /// 429, 503 with a time: ask again after that.
    Later(Duration, String),
    /// The connection broke, or the answer isn't what was asked for.
    Broken(String),
    /// No answer within the deadline, or the leadership was over by then: nobody knows whether it was written.
    Late,
    /// The leadership was over before the write was begun. Nothing was written.
    Deposed,
    /// Anything else that the server says.
    Failed(String),
}

/// The part of Kubernetes' `Status` that is read.
#[derive(Default, Deserialize)]
struct Status {
    #[serde(default)]
    message: String,
}

impl Fault {
    /// The fault that an answer with this head and body tells of.
    pub(crate) fn of(status: StatusCode, headers: &HeaderMap, body: &[u8]) -> Fault {
        let said = serde_json::from_slice::<Status>(body).map(|status| status.message);
        let text = said.unwrap_or_else(|_| String::from_utf8_lossy(body).into_owned());
        let text = format!("{} {}", status.as_u16(), cut(text.trim(), MESSAGE));
        match status {
            StatusCode::CONFLICT => Fault::Conflict,
            StatusCode::UNPROCESSABLE_ENTITY => Fault::Invalid(text),
            StatusCode::NOT_FOUND | StatusCode::GONE => Fault::Gone,
            StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => Fault::Forbidden(text),
            StatusCode::TOO_MANY_REQUESTS => {
                Fault::Later(retry_after(headers).unwrap_or(Duration::from_secs(1)), text)
            }
            StatusCode::SERVICE_UNAVAILABLE | StatusCode::GATEWAY_TIMEOUT => match retry_after(headers) {
                Some(pause) => Fault::Later(pause, text),
                None => Fault::Failed(text),
            },
            _ => Fault::Failed(text),
        }
    }

    /// What the autoscaler is told.
    pub(crate) fn refusal(self) -> Refusal {
        match self {
            Fault::Conflict => Refusal::Conflict,
            Fault::Gone => Refusal::Gone,
            Fault::Later(after, why) => Refusal::Later { after, why },
            Fault::Forbidden(_) => Refusal::Later { after: FORBIDDEN_PAUSE, why: self.to_string() },
            Fault::Invalid(_) | Fault::Broken(_) | Fault::Late | Fault::Deposed | Fault::Failed(_) => {
                Refusal::Failed(self.to_string())
            }
        }
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Fault::Conflict => out.write_str("somebody else wrote first"),
            Fault::Gone => out.write_str("the object is gone"),
            Fault::Invalid(why) => write!(out, "the API server refuses the write: {why}"),
            Fault::Forbidden(why) => {
                write!(out, "Kaos lacks a right: {why}; apply the roles that `kaos install` prints")
            }
            Fault::Later(after, why) => {
                write!(out, "the API server asks to wait {} s: {why}", after.as_secs_f64().ceil())
            }
            Fault::Broken(why) => write!(out, "the connection to the API server broke: {why}"),
            Fault::Late => out.write_str("the API server didn't answer in time"),
            Fault::Deposed => out.write_str("this autoscaler doesn't lead any more"),
            Fault::Failed(why) => write!(out, "the API server failed: {why}"),
        }
    }
}

/// Whole seconds; the form with a date isn't sent by Kubernetes.
fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    let seconds = headers.get(header::RETRY_AFTER)?.to_str().ok()?.trim().parse().ok()?;
    Some(Duration::from_secs(seconds).min(LONGEST_PAUSE))
}

/// The beginning of `text`, at most `bytes` long, at a character's edge.
pub(crate) fn cut(text: &str, bytes: usize) -> &str {
    let mut end = bytes.min(text.len());
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    &text[..end]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fault(code: u16, retry: Option<&str>, body: &str) -> Fault {
        let mut headers = HeaderMap::new();
        if let Some(retry) = retry {
            headers.insert(header::RETRY_AFTER, retry.parse().unwrap());
        }
        Fault::of(StatusCode::from_u16(code).unwrap(), &headers, body.as_bytes())
    }

    #[test]
    fn each_answer_has_its_class() {
        let text = |code: u16| format!("{code} no");
        let said = r#"{"kind":"Status","message":"no","code":1}"#;
        let second = Duration::from_secs(1);
        for (code, retry, expected) in [
            (409, None, Fault::Conflict),
            (422, None, Fault::Invalid(text(422))),
            (404, None, Fault::Gone),
            (401, None, Fault::Forbidden(text(401))),
            (403, None, Fault::Forbidden(text(403))),
            (429, Some("3"), Fault::Later(second * 3, text(429))),
            (429, None, Fault::Later(second, text(429))),
            (429, Some("soon"), Fault::Later(second, text(429))),
            (429, Some("99999"), Fault::Later(second * 60, text(429))),
            (503, Some("2"), Fault::Later(second * 2, text(503))),
            (503, None, Fault::Failed(text(503))),
            (500, Some("2"), Fault::Failed(text(500))),
        ] {
            assert_eq!(fault(code, retry, said), expected, "{code} {retry:?}");
        }
        assert_eq!(fault(500, None, "<html>"), Fault::Failed("500 <html>".into()));
    }

    #[test]
    fn a_long_message_is_cut_between_characters() {
        let Fault::Failed(text) = fault(500, None, &"ü".repeat(10_000)) else { panic!("another class") };
        assert!(text.len() <= MESSAGE + 4, "{}", text.len());
        assert_eq!(cut("aü", 2), "a");
    }
}
