//! One request, from the moment it is due to the last byte of its answer, with the client's patience.

use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Method, Request, Uri};
use http_body_util::{BodyExt, Full};
use tokio::time::{sleep_until, timeout_at};

use crate::failure::Failure;
use crate::lines::{Lines, Question, Sent, Turn};
use crate::scenario::{Client, Protocol, Shape};
use crate::written::Write;

/// Bytes of a body that are kept, to tell what an unexpected answer said.
const BEGINNING: usize = 500;

/// A request that is sent again and again: everything but the host is fixed.
pub struct Form {
    method: Method,
    path: String,
    body: Bytes,
    headers: HeaderMap,
    protocol: Protocol,
}

impl Form {
    /// The request of a scenario. The error says what is no HTTP.
    pub fn new(shape: &Shape, protocol: Protocol) -> Result<Form, String> {
        let method: Method = shape.method.parse().map_err(|_| format!("{:?} is no method", shape.method))?;
        if !shape.path.starts_with('/') || shape.path.parse::<Uri>().is_err() {
            return Err(format!("{:?} is no path: expected / and what a URI may hold", shape.path));
        }
        let mut headers = HeaderMap::new();
        for (name, value) in &shape.headers {
            let name: http::HeaderName = name.parse().map_err(|_| format!("{name:?} is no header name"))?;
            let value = HeaderValue::from_str(value).map_err(|_| format!("{value:?} is no header value"))?;
            headers.append(name, value);
        }
        Ok(Form {
            method,
            path: shape.path.clone(),
            body: Bytes::from(vec![b'x'; shape.body]),
            headers,
            protocol,
        })
    }

    /// The request to `host`.
    fn question(&self, host: &str) -> Result<Question, Failure> {
        let mut request = Request::builder().method(&self.method);
        match self.protocol {
            Protocol::H1 => request = request.uri(&self.path).header(http::header::HOST, host),
            Protocol::H2 => request = request.uri(format!("http://{host}{}", self.path)),
        }
        let mut question = request.body(Full::new(self.body.clone())).map_err(|_| Failure::Protocol)?;
        question.headers_mut().extend(self.headers.clone());
        Ok(question)
    }
}

/// What came of one request.
pub struct Outcome {
    /// Attempts made.
    pub attempts: u32,
    /// The answer, or why there is none.
    pub answer: Result<Answer, Failure>,
}

/// A whole answer.
pub struct Answer {
    /// Its status.
    pub status: u16,
    /// Its headers.
    pub headers: HeaderMap,
    /// Bytes of its body.
    pub length: u64,
    /// The beginning of its body.
    pub beginning: Vec<u8>,
    /// When its request was written, if that is known.
    pub write: Option<Write>,
    /// When its head was there.
    pub begun: Instant,
    /// When its last byte was there.
    pub ended: Instant,
}

/// Asks `host` until it has answered or the client's patience is at its end.
pub async fn ask(lines: &Arc<Lines>, first: Turn, form: &Form, host: &str, client: &Client) -> Outcome {
    let begun = tokio::time::Instant::now();
    let deadline = begun + client.timeout;
    let mut turn = Some(first);
    let mut attempts = 0;
    loop {
        attempts += 1;
        let attempt_begun = tokio::time::Instant::now();
        let leave = client.give_up.map_or(deadline, |span| deadline.min(attempt_begun + span));
        let answer = timeout_at(leave, async {
            let turn = match turn.take() {
                Some(turn) => turn,
                None => lines.turn().await.ok_or(Failure::Connect)?,
            };
            attempt(&turn, form.question(host)?).await
        });
        let answer = match answer.await {
            Ok(answer) => answer,
            Err(_late) if leave == deadline => Err(Failure::Timeout),
            Err(_late) => Err(Failure::GaveUp),
        };
        let content = answer.as_ref().is_ok_and(|answer| !client.retry_statuses.contains(&answer.status));
        let again = attempt_begun + client.retry_every.unwrap_or(Duration::ZERO);
        if content || attempts >= client.attempts || again >= deadline {
            return Outcome { attempts, answer };
        }
        sleep_until(again).await;
    }
}

async fn attempt(turn: &Turn, question: Question) -> Result<Answer, Failure> {
    let Sent { response, held, write } = turn.send(question).await?;
    let begun = Instant::now();
    let (head, mut body) = response.into_parts();
    let (mut length, mut beginning) = (0, Vec::new());
    while let Some(frame) = body.frame().await {
        let frame = frame.map_err(|_| Failure::Cut)?;
        let Some(data) = frame.data_ref() else { continue };
        length += data.len() as u64;
        let wanted = data.len().min(BEGINNING - beginning.len());
        beginning.extend_from_slice(&data[..wanted]);
    }
    let ended = Instant::now();
    turn.done(held).await;
    let status = head.status.as_u16();
    Ok(Answer { status, headers: head.headers, length, beginning, write, begun, ended })
}
