//! An API server that lists and watches, over plain HTTP/1: as much as is needed to be read by the real client.

use std::collections::HashMap;
use std::io::{BufRead, BufReader, Result, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex, PoisonError};

use crate::objects::{self, ADOPTED, OBJECTS, numbered};

/// Streams of those who watch, by what they watch.
type Watches = Arc<Mutex<HashMap<String, TcpStream>>>;

/// Serves for as long as the process lives. Of the kinds that aren't in `has` there are no objects.
pub(crate) fn serve(has: &str) -> Result<SocketAddr> {
    let listener = TcpListener::bind("127.0.0.1:0")?;
    let at = listener.local_addr()?;
    let (has, watches) = (has.to_owned(), Watches::default());
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let (has, watches) = (has.clone(), watches.clone());
            std::thread::spawn(move || answer(stream, &has, &watches));
        }
    });
    Ok(at)
}

/// Asks the server at `at` to say to those who watch that a pod of the object of this number isn't ready any more.
pub(crate) fn change(at: SocketAddr, number: usize) -> Result<()> {
    TcpStream::connect(at)?.write_all(format!("GET /change/{number} HTTP/1.1\r\n\r\n").as_bytes())
}

fn answer(mut stream: TcpStream, has: &str, watches: &Watches) -> Result<()> {
    stream.set_nodelay(true)?;
    let mut from = BufReader::new(stream.try_clone()?);
    let (mut line, mut head) = (String::new(), String::new());
    while from.read_line(&mut line)? > 0 {
        if line.trim().is_empty() {
            let target = head.split(' ').nth(1).unwrap_or_default();
            let (path, query) = target.split_once('?').unwrap_or((target, ""));
            let resource = path.rsplit('/').next().unwrap_or_default();
            let mut watches = watches.lock().unwrap_or_else(PoisonError::into_inner);
            if path.starts_with("/change/") {
                let object = numbered(&objects::slice(2), resource.parse().unwrap_or(0));
                let event = format!("{{\"type\":\"MODIFIED\",\"object\":{object}}}\n");
                if let Some(to) = watches.get_mut("endpointslices") {
                    to.write_all(format!("{:x}\r\n{event}\r\n", event.len()).as_bytes())?;
                }
            } else if query.contains("watch=true") {
                stream.write_all(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")?;
                watches.insert(resource.to_owned(), stream.try_clone()?);
            } else {
                drop(watches);
                let page = page(resource, query, if has.contains(resource) { OBJECTS } else { 0 });
                stream.write_all(
                    format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n", page.len()).as_bytes(),
                )?;
                stream.write_all(page.as_bytes())?;
            }
            head.clear();
        } else if head.is_empty() {
            head.clone_from(&line);
        }
        line.clear();
    }
    Ok(())
}

fn page(resource: &str, query: &str, all: usize) -> String {
    let from = number(query, "continue").unwrap_or(0);
    let to = (from + number(query, "limit").unwrap_or(all)).min(all);
    let more = if to < all { to.to_string() } else { String::new() };
    let (one, other) = match resource {
        "deployments" => (objects::deployment(true), objects::deployment(false)),
        "services" => (objects::service(), objects::service()),
        _ => (objects::slice(3), objects::slice(3)),
    };
    let mut page =
        format!("{{\"metadata\":{{\"resourceVersion\":\"9\",\"continue\":\"{more}\"}},\"items\":[");
    for at in from..to {
        page.push_str(if at > from { "," } else { "" });
        page.push_str(&numbered(if at < ADOPTED { &one } else { &other }, at));
    }
    page.push_str("]}");
    page
}

fn number(query: &str, name: &str) -> Option<usize> {
    query.split('&').find_map(|part| part.strip_prefix(name)?.strip_prefix('=')?.parse().ok())
}

/// Bytes of the list of all objects of one kind.
pub(crate) fn bytes(resource: &str) -> usize {
    page(resource, "", OBJECTS).len()
}
