//! Our own errors: whose fault, which status, whether trying again helps. The only file that knows status codes for them.

use std::fmt::Write as _;
use std::time::Duration;

use kaos_core::WorkloadId;

/// Fields of an answer that are ours to say.
pub(crate) type Extra = Vec<(&'static str, String)>;

/// Why Kaos answers a request itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// No workload claims the host and path.
    NoRoute,
    /// The request breaks the rules of HTTP, or asks for what can't be done; with the reason.
    BadRequest(&'static str),
    /// An expectation that nobody can meet.
    ExpectationFailed,
    /// CONNECT and TRACE.
    MethodNotAllowed,
    /// The request's body is larger than the workload takes.
    BodyTooLarge,
    /// The request target is longer than is allowed.
    UriTooLong,
    /// The head of the request is larger than is allowed.
    HeaderTooLarge,
    /// A target that this listener doesn't serve.
    Misdirected,
    /// As many wait as may wait. With the time after which it is worth trying again.
    QueueFull(Duration),
    /// The workload can't start: the reason, and when the next start will be tried.
    StartFailed(String, Duration),
    /// Its route leads to no workload: whoever made it has to mend it.
    NoBackend,
    /// There is no replica, and nobody who would start one.
    NoEndpoint,
    /// Its start, which has been asked for, takes longer than the request may wait. With the time after which it should
    /// be there.
    StartTooLong(Duration),
    /// Another proxy passed it on for a slot that isn't here any more: that one should look anew.
    Elsewhere,
    /// The proxy is going away.
    Draining,
    /// The proxy has no room for more.
    Overloaded,
    /// No replica could be connected to before the deadline.
    UpstreamUnreachable,
    /// The replica broke the rules of HTTP, or the connection; with the reason.
    UpstreamProtocol(&'static str),
    /// It waited too long for a replica.
    QueueTimeout,
    /// The replica didn't answer in time.
    ResponseTimeout,
    /// The client didn't send its request in time.
    RequestTimeout,
    /// Who asks isn't among those who may.
    Forbidden,
    /// It has to be asked for at this URI: with the status that says so. No error.
    Redirect(u16, String),
    /// A browser asks whether a page may ask: with the fields that say so. No error.
    Preflight(Extra),
    /// No replica is ready, and a request for this path wakes none: with the status that the workload's policy has for
    /// it. No error; the answer says nothing else.
    NoWake(u16),
}

/// gRPC's status codes, as far as they are said here.
const DEADLINE_EXCEEDED: u16 = 4;
const PERMISSION_DENIED: u16 = 7;
const RESOURCE_EXHAUSTED: u16 = 8;
const UNIMPLEMENTED: u16 = 12;
const INTERNAL: u16 = 13;
const UNAVAILABLE: u16 = 14;

/// How much of the inside an answer may tell.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Detail {
    /// Everything: for people on the same machine.
    Full,
    /// One fixed sentence; the reason is in the log and in `kaos explain`.
    #[default]
    Brief,
}

/// Why a request got no answer from a replica.
#[derive(Debug)]
pub(crate) enum Ended {
    /// Kaos answers.
    Refused(Refusal),
    /// Nobody is there to be answered.
    ClientGone,
}

impl From<Refusal> for Ended {
    fn from(refusal: Refusal) -> Self {
        Ended::Refused(refusal)
    }
}

impl Refusal {
    /// Status, word and title.
    fn row(&self) -> (u16, &'static str, &'static str) {
        match self {
            Refusal::NoRoute => (404, "no-route", "No workload answers for this host and path"),
            Refusal::BadRequest(_) => (400, "bad-request", "The request is malformed"),
            Refusal::ExpectationFailed => (417, "bad-request", "The expectation can't be met"),
            Refusal::MethodNotAllowed => (405, "method-not-allowed", "The method is not allowed"),
            Refusal::BodyTooLarge => (413, "body-too-large", "The request's body is too large"),
            Refusal::UriTooLong => (414, "uri-too-long", "The request target is too long"),
            Refusal::HeaderTooLarge => (431, "header-too-large", "The request's header is too large"),
            Refusal::Misdirected => (421, "misdirected", "The request was sent to the wrong listener"),
            Refusal::QueueFull(_) => (503, "queue-full", "Too many requests wait for this workload"),
            Refusal::StartFailed(..) => (503, "start-failed", "The workload can't be started"),
            Refusal::NoBackend => (500, "no-backend", "The route leads nowhere"),
            Refusal::NoEndpoint => (503, "no-endpoint", "The workload has no replica"),
            Refusal::Elsewhere => (503, "no-endpoint", "The workload's slots have moved to another proxy"),
            Refusal::StartTooLong(_) => (503, "no-endpoint", "The workload takes long to start"),
            Refusal::Draining => (503, "draining", "This proxy is going away"),
            Refusal::Overloaded => (503, "overloaded", "This proxy has no room for more requests"),
            Refusal::UpstreamUnreachable => (503, "upstream-unreachable", "No replica could be reached"),
            Refusal::UpstreamProtocol(_) => (502, "upstream-protocol", "The replica's answer is unusable"),
            Refusal::QueueTimeout => (504, "queue-timeout", "No replica was ready in time"),
            Refusal::ResponseTimeout => (504, "response-timeout", "The replica did not answer in time"),
            Refusal::RequestTimeout => (408, "request-timeout", "The request did not arrive in time"),
            Refusal::Forbidden => (403, "forbidden", "This address may not ask"),
            Refusal::Redirect(status, _) => (*status, "redirect", "It is asked for elsewhere"),
            Refusal::Preflight(_) => (204, "preflight", "A page may ask, or may not"),
            Refusal::NoWake(status) => (*status, "no-wake", "The workload sleeps"),
        }
    }

    /// As it is told to a proxy that asks whether a request may go. Nobody answers in the place of a replica that sleeps: what
    /// reads as if it might go would be lost.
    pub(crate) fn asked(self) -> Refusal {
        match self {
            Refusal::NoWake(..400) => Refusal::NoWake(503),
            refusal => refusal,
        }
    }

    /// Whether it is an error. Else the answer is its status and what belongs to that.
    pub(crate) fn is_error(&self) -> bool {
        !matches!(self, Refusal::Redirect(..) | Refusal::Preflight(_) | Refusal::NoWake(_))
    }

    /// The fields of the answer that are of this refusal alone.
    pub(crate) fn fields(&self) -> impl Iterator<Item = (&str, &str)> {
        let (location, extra, kind) = match self {
            Refusal::NoWake(_) => (None, &[][..], Some(("Cache-Control", "no-store"))),
            Refusal::Redirect(_, location) => (Some(("Location", location.as_str())), &[][..], None),
            Refusal::Preflight(extra) => (None, extra.as_slice(), None),
            _ => (None, &[][..], Some(("Content-Type", "application/problem+json"))),
        };
        let extra = extra.iter().map(|(name, value)| (*name, value.as_str()));
        kind.into_iter().chain(location).chain(extra)
    }

    /// The status of the answer.
    pub(crate) fn status(&self) -> u16 {
        self.row().0
    }

    /// The stable word: last part of the problem's type, and the metric's label.
    pub fn word(&self) -> &'static str {
        self.row().1
    }

    /// The reason phrase of the answer's status line.
    pub(crate) fn phrase(&self) -> &'static str {
        http::StatusCode::from_u16(self.status())
            .ok()
            .and_then(|status| status.canonical_reason())
            .unwrap_or_default()
    }

    /// When it is worth trying again, where a retry can help.
    pub(crate) fn retry_after(&self) -> Option<u64> {
        let seconds = |span: &Duration| (span.as_secs() + u64::from(span.subsec_nanos() > 0)).max(1);
        match self {
            Refusal::QueueFull(span) | Refusal::StartFailed(_, span) | Refusal::StartTooLong(span) => {
                Some(seconds(span))
            }
            Refusal::NoEndpoint
            | Refusal::Elsewhere
            | Refusal::Draining
            | Refusal::Overloaded
            | Refusal::UpstreamUnreachable
            | Refusal::QueueTimeout => Some(1),
            _ => None,
        }
    }

    /// Whether the connection must not be used for another request: where the next one begins can't be trusted.
    pub(crate) fn closes(&self) -> bool {
        matches!(
            self,
            Refusal::BadRequest(_)
                | Refusal::ExpectationFailed
                | Refusal::MethodNotAllowed
                | Refusal::BodyTooLarge
                | Refusal::UriTooLong
                | Refusal::HeaderTooLarge
                | Refusal::RequestTimeout
                | Refusal::Draining
        )
    }

    /// A sentence for people: what was got, what to do.
    pub(crate) fn detail(&self, detail: Detail, workload: Option<&WorkloadId>) -> String {
        let name = workload.map_or_else(|| "NAME".to_owned(), |id| id.name().to_owned());
        match self {
            Refusal::NoRoute => {
                "Check the Host header and the path; `kaos ls` shows what is routed.".to_owned()
            }
            Refusal::BadRequest(why) => (*why).to_owned(),
            Refusal::ExpectationFailed => {
                "The only expectation that is understood is 100-continue.".to_owned()
            }
            Refusal::MethodNotAllowed => "CONNECT and TRACE are not passed on.".to_owned(),
            Refusal::BodyTooLarge => "The limit is the knob max-request-body.".to_owned(),
            Refusal::UriTooLong => "Shorten the request target, or move the data into the body.".to_owned(),
            Refusal::HeaderTooLarge => "Send fewer or smaller header fields (cookies, mostly).".to_owned(),
            Refusal::Misdirected => {
                "An https target was sent to a listener for plain http, or a host was asked for over a \
                                     connection that was made for another one's certificate: connect anew."
                    .to_owned()
            }
            Refusal::QueueFull(_) => format!(
                "The limit is the knob queue-limit; `kaos explain {name}` tells why replicas are missing."
            ),
            Refusal::StartFailed(why, _) if detail == Detail::Full => why.clone(),
            Refusal::StartFailed(..) => format!("The reason is in the log and in `kaos explain {name}`."),
            Refusal::NoBackend => {
                "Its backend isn't there, or may not be used: the conditions of the HTTPRoute say which."
                    .to_owned()
            }
            // A backend's name is SERVICE:PORT.
            Refusal::NoEndpoint => match name.split_once(':') {
                Some(_) => "No endpoint of the Service is ready, and none is on its way.".to_owned(),
                None => format!("`kaos describe {name}` shows its replicas."),
            },
            Refusal::StartTooLong(_) => format!(
                "It is being started, which takes longer than the knob queue-timeout lets a request wait; `kaos \
                 explain {name}` shows its starts."
            ),
            Refusal::Elsewhere | Refusal::Draining | Refusal::Overloaded => {
                "Try again; another proxy may answer.".to_owned()
            }
            Refusal::UpstreamUnreachable => {
                format!("Connections to its replicas are refused; `kaos logs {name}` shows what they say.")
            }
            Refusal::UpstreamProtocol(why) if detail == Detail::Full => (*why).to_owned(),
            Refusal::UpstreamProtocol(_) => {
                format!("The reason is in the log; `kaos logs {name}` shows what the replica says.")
            }
            Refusal::QueueTimeout => format!(
                "The limit is the knob queue-timeout; `kaos explain {name}` tells why replicas are missing."
            ),
            Refusal::ResponseTimeout => {
                "The limits are the knobs response-start-timeout and request-timeout.".to_owned()
            }
            Refusal::RequestTimeout => {
                "The request's head and body must arrive without long pauses.".to_owned()
            }
            Refusal::Forbidden => {
                "Who may ask is said by the route: whitelist-source-range of its Ingress.".to_owned()
            }
            Refusal::Redirect(_, at) => format!("Ask for {at}."),
            Refusal::Preflight(_) => "What a page may ask is in the header.".to_owned(),
            Refusal::NoWake(_) => "The status is that of the path in the knob no-wake-paths.".to_owned(),
        }
    }

    /// The status of gRPC that says it.
    pub(crate) fn grpc_status(&self) -> u16 {
        match self {
            Refusal::NoRoute | Refusal::MethodNotAllowed | Refusal::Misdirected => UNIMPLEMENTED,
            Refusal::BadRequest(_) | Refusal::ExpectationFailed => INTERNAL,
            Refusal::UriTooLong | Refusal::HeaderTooLarge | Refusal::BodyTooLarge | Refusal::QueueFull(_) => {
                RESOURCE_EXHAUSTED
            }
            Refusal::QueueTimeout | Refusal::ResponseTimeout | Refusal::RequestTimeout => DEADLINE_EXCEEDED,
            Refusal::StartFailed(..)
            | Refusal::NoEndpoint
            | Refusal::NoBackend
            | Refusal::StartTooLong(_)
            | Refusal::Elsewhere
            | Refusal::Draining
            | Refusal::Overloaded
            | Refusal::UpstreamUnreachable
            | Refusal::UpstreamProtocol(_)
            | Refusal::Redirect(..)
            | Refusal::Preflight(_)
            | Refusal::NoWake(_) => UNAVAILABLE,
            Refusal::Forbidden => PERMISSION_DENIED,
        }
    }

    /// What gRPC shows to people, in its percent-encoding.
    pub(crate) fn grpc_message(&self, detail: Detail, workload: Option<&WorkloadId>) -> String {
        let (_, word, title) = self.row();
        let plain = format!("{word}: {title}. {}", self.detail(detail, workload));
        let mut message = String::with_capacity(plain.len());
        for byte in plain.bytes() {
            match byte {
                b'%' | 0..b' ' | 0x7f.. => {
                    // Writing to a String can't fail.
                    let _ = write!(message, "%{byte:02X}");
                }
                _ => message.push(char::from(byte)),
            }
        }
        message
    }

    /// The answer's body: RFC 9457.
    pub(crate) fn problem(&self, detail: Detail, workload: Option<&WorkloadId>, request_id: &str) -> String {
        let (status, word, title) = self.row();
        let mut problem = serde_json::json!({
            "type": format!("https://kaos.dev/problems/{word}"),
            "title": title,
            "status": status,
            "detail": self.detail(detail, workload),
            "request_id": request_id,
        });
        if let (Some(id), Some(members)) = (workload, problem.as_object_mut()) {
            members.insert("workload".to_owned(), id.to_string().into());
        }
        let mut text = String::new();
        // Writing to a String can't fail.
        let _ = writeln!(text, "{problem}");
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_brief_answer_tells_nothing_of_the_inside() {
        let refusal = Refusal::StartFailed("exit status 1: secret".to_owned(), Duration::from_millis(1500));
        let id = WorkloadId::new("local", "shop");
        assert!(!refusal.problem(Detail::Brief, Some(&id), "r").contains("secret"));
        let full: serde_json::Value =
            serde_json::from_str(&refusal.problem(Detail::Full, Some(&id), "r")).unwrap();
        assert_eq!(full["detail"], "exit status 1: secret");
        assert_eq!(full["type"], "https://kaos.dev/problems/start-failed");
        assert_eq!(full["workload"], "local/shop");
        assert_eq!((refusal.status(), refusal.retry_after()), (503, Some(2)));
    }

    #[test]
    fn grpc_is_told_in_its_own_words() {
        let failed = Refusal::StartFailed("50 % ü\n".to_owned(), Duration::from_secs(1));
        assert_eq!(failed.grpc_status(), 14);
        let message = failed.grpc_message(Detail::Full, None);
        assert_eq!(message, "start-failed: The workload can't be started. 50 %25 %C3%BC%0A");
    }

    #[test]
    fn a_status_that_nobody_has_named_has_no_phrase() {
        let phrase = |status| Refusal::NoWake(status).phrase();
        assert_eq!((phrase(204), phrase(404), phrase(299)), ("No Content", "Not Found", ""));
    }
}
