//! Which sockets of TCP over IPv4 programs have, as the kernel lists them (proc(5), `/proc/net/tcp`).

use std::collections::BTreeSet;

/// The inodes of those whose own port, or else whose peer's, is one of `ports`. What only the kernel still knows (TIME_WAIT and the like) has none.
fn with_port_in(column: usize, ports: &[u16]) -> BTreeSet<u64> {
    let table = std::fs::read_to_string("/proc/self/net/tcp").unwrap();
    let inode = |line: &str| {
        let columns: Vec<&str> = line.split_ascii_whitespace().collect();
        let port = u16::from_str_radix(columns[column].rsplit_once(':').unwrap().1, 16).unwrap();
        ports.contains(&port).then(|| columns[9].parse().unwrap())
    };
    table.lines().skip(1).filter_map(inode).filter(|inode| *inode != 0).collect()
}

/// Those that are bound to one of `ports`.
pub fn bound_to(ports: &[u16]) -> BTreeSet<u64> {
    with_port_in(1, ports)
}

/// Those that are connected to one of `ports`.
pub fn connected_to(ports: &[u16]) -> BTreeSet<u64> {
    with_port_in(2, ports)
}
