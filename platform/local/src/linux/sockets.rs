//! Who listens where, and which ports the kernel hands out by itself: read from `/proc`.
//!
//! Knows processes by id alone.

use std::collections::HashSet;
use std::fs;
use std::io::{self, BufRead, BufReader};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::ops::RangeInclusive;

use rustix::net::{AddressFamily, SocketFlags, SocketType, ipproto, sockopt};
use rustix::process::Pid;

use super::tree;

/// Most listening sockets that are looked at in one table.
const MOST_LISTENERS: usize = 50_000;

/// Read at once, in bytes: about four lines. The kernel then makes no more than that, and doesn't walk through its table
/// of connections to fill a page.
const READ: usize = 600;

/// One socket that listens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Listener {
    /// Where.
    pub(crate) address: SocketAddr,
    inode: u64,
}

/// Whose a listening socket is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Owner {
    /// A process of the tree has it.
    Tree,
    /// No process of the tree has it.
    Another,
    /// Nobody can be seen to listen there, or a process of the tree can't be looked into.
    Unknown,
}

/// Ports that connections out get by themselves (`net.ipv4.ip_local_port_range`).
pub(crate) fn ephemeral_ports() -> RangeInclusive<u16> {
    let text = fs::read_to_string("/proc/sys/net/ipv4/ip_local_port_range").unwrap_or_default();
    let mut bounds = text.split_ascii_whitespace().map(str::parse);
    match (bounds.next(), bounds.next()) {
        (Some(Ok(low)), Some(Ok(high))) => low..=high,
        // Linux's default (ip(7)).
        _ => 32768..=60999,
    }
}

/// Whether a program could listen on `port`, on every address of this machine.
///
/// `lingering` says whether connections that are closing, of an earlier listener, count as an obstacle: they are one
/// for programs that don't set `SO_REUSEADDR`.
pub(crate) fn is_free(port: u16, lingering: bool) -> bool {
    match binds(AddressFamily::INET6, SocketAddr::from((Ipv6Addr::UNSPECIFIED, port)), lingering) {
        Ok(()) => true,
        Err(error) if error == rustix::io::Errno::ADDRINUSE => false,
        // No IPv6 here.
        Err(_) => {
            binds(AddressFamily::INET, SocketAddr::from((Ipv4Addr::UNSPECIFIED, port)), lingering).is_ok()
        }
    }
}

fn binds(family: AddressFamily, address: SocketAddr, lingering: bool) -> rustix::io::Result<()> {
    let socket =
        rustix::net::socket_with(family, SocketType::STREAM, SocketFlags::CLOEXEC, Some(ipproto::TCP))?;
    if family == AddressFamily::INET6 {
        // Both families, whatever net.ipv6.bindv6only says.
        sockopt::set_ipv6_v6only(&socket, false)?;
    }
    sockopt::set_socket_reuseaddr(&socket, !lingering)?;
    rustix::net::bind(&socket, &address)?;
    // Two sockets that set SO_REUSEADDR share a port until one of them listens.
    rustix::net::listen(&socket, 1)
}

/// Whose the socket is that listens on `port` of 127.0.0.1, as seen by the process `root` and all below it.
pub(crate) fn owner(port: u16, root: u32) -> Owner {
    let hears = |listener: &Listener| {
        let ip = listener.address.ip().to_canonical();
        listener.address.port() == port && (ip.is_unspecified() || ip == IpAddr::V4(Ipv4Addr::LOCALHOST))
    };
    let (mut owner, mut blind) = (Owner::Unknown, false);
    for table in TABLES {
        let inodes: Vec<u64> =
            listeners(table).into_iter().filter(hears).map(|listener| listener.inode).collect();
        if inodes.is_empty() {
            continue;
        }
        for pid in processes(root) {
            match sockets_of(pid) {
                Ok(sockets) if sockets.iter().any(|inode| inodes.contains(inode)) => return Owner::Tree,
                Ok(_) => {}
                Err(error) => blind |= error.kind() == io::ErrorKind::PermissionDenied,
            }
        }
        owner = Owner::Another;
    }
    if blind { Owner::Unknown } else { owner }
}

/// Where the process `root` and all below it listen, in order, each address once.
pub(crate) fn listening(root: u32) -> Vec<SocketAddr> {
    let own: HashSet<u64> =
        processes(root).into_iter().filter_map(|pid| sockets_of(pid).ok()).flatten().collect();
    let mut found: Vec<SocketAddr> = TABLES
        .into_iter()
        .flat_map(listeners)
        .filter(|listener| own.contains(&listener.inode))
        .map(|listener| listener.address)
        .collect();
    found.sort_unstable();
    found.dedup();
    found
}

fn processes(root: u32) -> Vec<Pid> {
    let Some(root) = i32::try_from(root).ok().and_then(Pid::from_raw) else { return Vec::new() };
    std::iter::once(root).chain(tree::descendants(root).into_iter().map(|process| process.pid)).collect()
}

/// The inodes of the sockets that the process `pid` has open.
fn sockets_of(pid: Pid) -> io::Result<Vec<u64>> {
    let mut found = Vec::new();
    for entry in fs::read_dir(format!("/proc/{}/fd", pid.as_raw_nonzero()))?.flatten() {
        let Ok(target) = fs::read_link(entry.path()) else { continue };
        let inode = target.to_str().and_then(|text| text.strip_prefix("socket:[")?.strip_suffix(']'));
        found.extend(inode.and_then(|inode| inode.parse::<u64>().ok()));
    }
    Ok(found)
}

const TABLES: [&str; 2] = ["/proc/net/tcp", "/proc/net/tcp6"];

/// The listening sockets of one table. They come first in it, which matters where there are many connections: the rest
/// isn't read (the kernel's `tcp_get_idx`).
fn listeners(table: &str) -> Vec<Listener> {
    let Ok(file) = fs::File::open(table) else { return Vec::new() };
    // The first line is the heading.
    let lines = BufReader::with_capacity(READ, file).lines().skip(1);
    lines.map_while(|line| parse(&line.ok()?)).take(MOST_LISTENERS).collect()
}

/// A line of `/proc/net/tcp` or `tcp6` whose state is LISTEN (0A). Addresses are in hexadecimal, each 32-bit word in
/// the machine's byte order (proc(5), the kernel's `tcp4_seq_show`).
fn parse(line: &str) -> Option<Listener> {
    let mut fields = line.split_ascii_whitespace();
    let local = fields.nth(1)?;
    if fields.nth(1)? != "0A" {
        return None;
    }
    let inode = fields.nth(5)?.parse().ok()?;
    let (ip, port) = local.split_once(':')?;
    let port = u16::from_str_radix(port, 16).ok()?;
    let word = |at: usize| Some(u32::from_str_radix(ip.get(at * 8..at * 8 + 8)?, 16).ok()?.to_ne_bytes());
    let ip = if ip.len() == 8 {
        IpAddr::from(word(0)?)
    } else {
        let mut bytes = [0; 16];
        for (at, chunk) in bytes.chunks_exact_mut(4).enumerate() {
            chunk.copy_from_slice(&word(at)?);
        }
        IpAddr::from(bytes)
    };
    Some(Listener { address: SocketAddr::new(ip, port), inode })
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;
    use std::time::{Duration, Instant};

    use super::*;

    #[test]
    fn lines_of_the_kernel_are_read() {
        let line = "   0: 0100007F:1F90 00000000:0000 0A 00000000:00000000 00:00000000 00000000  1000        0 4711 1 0 100 0 0 10 0";
        let listener = parse(line).unwrap();
        assert_eq!(listener, Listener { address: "127.0.0.1:8080".parse().unwrap(), inode: 4711 });
        assert_eq!(parse(&line.replace(" 0A ", " 01 ")), None);
        let line = "   1: 00000000000000000000000001000000:0050 00000000000000000000000000000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 42 1 0 100 0 0 10 0";
        assert_eq!(parse(line).unwrap().address, "[::1]:80".parse().unwrap());
        for broken in ["", "sl local_address", "0: 0100007F 0 0A a:b c:d 0 0 1", "0: 01:zz 0 0A 0 0 0 0 0 1"]
        {
            assert_eq!(parse(broken), None, "{broken:?}");
        }
    }

    #[test]
    fn an_own_listener_is_found_and_its_port_is_not_free() {
        for address in ["127.0.0.1:0", "0.0.0.0:0", "[::1]:0"] {
            let Ok(listener) = TcpListener::bind(address) else { continue };
            let address = listener.local_addr().unwrap();
            assert!(listening(std::process::id()).contains(&address), "{address}");
            assert!(!is_free(address.port(), true) && !is_free(address.port(), false), "{address}");
        }
    }

    #[test]
    fn a_listener_is_told_from_another_processs() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let mut child = std::process::Command::new("sleep").arg("60").spawn().unwrap();
        assert_eq!(owner(port, std::process::id()), Owner::Tree);
        // The kernel lets a parent go on before it has closed what its child shall not have (`begin_new_exec`).
        let deadline = Instant::now() + Duration::from_secs(20);
        while owner(port, child.id()) == Owner::Tree {
            assert!(Instant::now() < deadline, "the child has the listener");
            std::thread::yield_now();
        }
        assert_eq!(owner(port, child.id()), Owner::Another);
        drop(listener);
        assert_eq!(owner(port, std::process::id()), Owner::Unknown);
        child.kill().unwrap();
        child.wait().unwrap();
    }
}
