//! Where a server may listen, and whether it answers there.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::time::{Duration, Instant};

use crate::process::Process;

/// Longest wait for a server to answer.
const PATIENCE: Duration = Duration::from_secs(30);

/// An address on loopback that was free just now.
pub(crate) fn free_address() -> Result<SocketAddr, String> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).and_then(|listener| listener.local_addr());
    listener.map_err(|error| format!("no free port: {error}"))
}

/// Returns once `path` is answered with 200.
pub(crate) fn wait_until_ready(
    process: &mut Process,
    address: SocketAddr,
    path: &str,
    folder: &Path,
) -> Result<(), String> {
    let said = || status(address, path).unwrap_or_else(|| "no answer".into());
    let good = || Some(said()).filter(|line| !line.starts_with("HTTP/1.1 200"));
    wait(process, folder, good).map_err(|why| format!("http://{address}{path}: {why}"))
}

/// Returns once connections are accepted.
pub(crate) fn wait_until_open(
    process: &mut Process,
    address: SocketAddr,
    folder: &Path,
) -> Result<(), String> {
    let connect = || TcpStream::connect_timeout(&address, PATIENCE).err().map(|error| error.to_string());
    wait(process, folder, connect).map_err(|why| format!("{address}: {why}"))
}

/// Returns once nothing is `wrong` any more.
fn wait(process: &mut Process, folder: &Path, wrong: impl Fn() -> Option<String>) -> Result<(), String> {
    let begun = Instant::now();
    loop {
        let Some(why) = wrong() else { return Ok(()) };
        if let Some(ended) = process.ended(folder) {
            return Err(ended);
        }
        if begun.elapsed() > PATIENCE {
            return Err(format!("not ready within {} s: {why}", PATIENCE.as_secs()));
        }
        std::thread::park_timeout(Duration::from_millis(10));
    }
}

fn status(address: SocketAddr, path: &str) -> Option<String> {
    let mut stream = TcpStream::connect_timeout(&address, PATIENCE).ok()?;
    stream.set_read_timeout(Some(PATIENCE)).ok()?;
    let request = format!("GET {path} HTTP/1.1\r\nHost: bench.localhost\r\nConnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).ok()?;
    let mut bytes = vec![0; 256];
    let read = stream.read(&mut bytes).ok()?;
    bytes.truncate(read);
    Some(String::from_utf8_lossy(&bytes).into_owned())
}
