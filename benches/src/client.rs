//! The load: connections that each ask again as soon as they have their answer (closed loop), and check every answer.
//!
//! Written for little CPU of its own: a fixed request, one write and mostly one read each, no allocation per request.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use kaos_loadtest::tally::Latencies;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// Longest wait for one answer.
const PATIENCE: Duration = Duration::from_secs(10);

/// Bytes that one read takes at most.
const BUFFER: usize = 65_536;

/// What one round of load did.
pub(crate) struct Done {
    /// Answers, all with status 200 and the expected length.
    pub(crate) requests: u64,
    /// How long it took, by the clock.
    pub(crate) seconds: f64,
    /// From a request's write to the last byte of its answer.
    pub(crate) latencies: Latencies,
}

/// Asks for `path` over `connections` for `span`. An answer that isn't 200 with `length` bytes ends it with an error.
pub(crate) fn ask(
    address: SocketAddr,
    path: &str,
    length: usize,
    connections: usize,
    span: Duration,
) -> Result<Done, String> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.map_err(|error| format!("no event loop: {error}"))?;
    runtime.block_on(async {
        let mut lines = Vec::with_capacity(connections);
        for _ in 0..connections {
            let stream = TcpStream::connect(address).await.map_err(|error| format!("{address}: {error}"))?;
            stream.set_nodelay(true).map_err(|error| error.to_string())?;
            lines.push(stream);
        }
        let request = format!("GET {path} HTTP/1.1\r\nHost: bench.localhost\r\n\r\n");
        // One histogram for all, behind a lock that nobody else ever holds: hundreds would fall out of the cache.
        let latencies = Arc::new(Mutex::new(Latencies::default()));
        let begun = Instant::now();
        let mut tasks = tokio::task::JoinSet::new();
        for stream in lines {
            let (request, latencies) = (request.clone(), Arc::clone(&latencies));
            tasks.spawn(async move {
                again_and_again(stream, request.as_bytes(), length, begun + span, &latencies).await
            });
        }
        while let Some(task) = tasks.join_next().await {
            task.map_err(|error| error.to_string())?.map_err(|why| format!("{address}{path}: {why}"))?;
        }
        let seconds = begun.elapsed().as_secs_f64();
        let latencies = std::mem::take(&mut *latencies.lock().unwrap_or_else(PoisonError::into_inner));
        Ok(Done { requests: latencies.len(), seconds, latencies })
    })
}

async fn again_and_again(
    mut stream: TcpStream,
    request: &[u8],
    length: usize,
    end: Instant,
    latencies: &Mutex<Latencies>,
) -> Result<(), String> {
    let mut buffer = vec![0; BUFFER];
    let patience = tokio::time::sleep(PATIENCE);
    tokio::pin!(patience);
    let mut begun = Instant::now();
    while begun < end {
        tokio::select! {
            biased;
            asked = one(&mut stream, request, length, &mut buffer) => asked?,
            () = &mut patience => return Err(format!("no answer within {} s", PATIENCE.as_secs())),
        }
        let now = Instant::now();
        latencies.lock().unwrap_or_else(PoisonError::into_inner).record(now - begun);
        begun = now;
        // Reset only when half is used up: a timer's reset isn't free.
        if patience.deadline() < (now + PATIENCE / 2).into() {
            patience.as_mut().reset((now + PATIENCE).into());
        }
    }
    Ok(())
}

async fn one(stream: &mut TcpStream, request: &[u8], length: usize, buffer: &mut [u8]) -> Result<(), String> {
    stream.write_all(request).await.map_err(|error| error.to_string())?;
    let mut filled = 0;
    let head = loop {
        let read = stream.read(&mut buffer[filled..]).await.map_err(|error| error.to_string())?;
        filled += read;
        if read == 0 {
            return Err("the connection was closed, or the head of the answer is too long".into());
        }
        if let Some(head) = check_head(&buffer[..filled], length)? {
            break head;
        }
    };
    let mut left = (head + length).checked_sub(filled).ok_or("the answer is longer than it says")?;
    while left > 0 {
        let most = left.min(buffer.len());
        match stream.read(&mut buffer[..most]).await.map_err(|error| error.to_string())? {
            0 => return Err("the answer broke off".into()),
            read => left -= read,
        }
    }
    Ok(())
}

/// The head's length once it is whole; an error unless it says 200 and the expected length.
fn check_head(bytes: &[u8], length: usize) -> Result<Option<usize>, String> {
    let mut slots = [httparse::EMPTY_HEADER; 32];
    let mut response = httparse::Response::new(&mut slots);
    let parsed = response.parse(bytes).map_err(|error| format!("no HTTP: {error}"))?;
    let httparse::Status::Complete(head) = parsed else { return Ok(None) };
    if response.code != Some(200) {
        return Err(format!("status {}", response.code.unwrap_or(0)));
    }
    let named = |header: &&httparse::Header<'_>| header.name.eq_ignore_ascii_case("content-length");
    let said = response.headers.iter().find(named).and_then(|header| std::str::from_utf8(header.value).ok());
    if said.and_then(|said| said.parse().ok()) != Some(length) {
        return Err(format!("Content-Length {said:?} instead of {length}"));
    }
    Ok(Some(head))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_expected_head_passes() {
        let good = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";
        assert_eq!(check_head(good, 2), Ok(Some(good.len() - 2)));
        assert_eq!(check_head(&good[..30], 2), Ok(None));
        assert!(check_head(good, 3).is_err());
        assert!(check_head(b"HTTP/1.1 502 Bad\r\nContent-Length: 2\r\n\r\n", 2).is_err());
        assert!(check_head(b"HTTP/1.1 200 OK\r\n\r\n", 0).is_err());
        assert!(check_head(b"nonsense\r\n", 0).is_err());
    }
}
