//! The addresses of a slice in few bytes: most slices lead to nobody who concerns Kaos, and are kept for the day they do.

use std::net::IpAddr;
use std::sync::Arc;

use kaos_core::EndpointUid;
use kaos_core::snapshot::Phase;

/// Addresses, in their order.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Addresses {
    each: Box<[Packed]>,
    /// UID and pod of each, one after the other.
    text: Box<str>,
}

/// One address, whose UID and pod are so many bytes long.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Packed {
    ip: IpAddr,
    phase: Phase,
    uid: u16,
    pod: u16,
}

/// One address of one pod; of something that nobody has named, with an empty `pod`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Address {
    pub(crate) uid: EndpointUid,
    pub(crate) pod: Arc<str>,
    pub(crate) ip: IpAddr,
    pub(crate) phase: Phase,
}

/// One address, before it is packed.
pub(crate) struct Loose<'a> {
    pub(crate) uid: &'a str,
    pub(crate) pod: &'a str,
    pub(crate) ip: IpAddr,
    pub(crate) phase: Phase,
}

/// What is longer than any name may be is left out.
impl<'a> FromIterator<Loose<'a>> for Addresses {
    fn from_iter<I: IntoIterator<Item = Loose<'a>>>(all: I) -> Self {
        let (mut each, mut text) = (Vec::new(), String::new());
        for Loose { uid, pod, ip, phase } in all {
            let lengths = (u16::try_from(uid.len()), u16::try_from(pod.len()));
            let (Ok(uid_length), Ok(pod_length)) = lengths else { continue };
            each.push(Packed { ip, phase, uid: uid_length, pod: pod_length });
            text.push_str(uid);
            text.push_str(pod);
        }
        Addresses { each: each.into(), text: text.into() }
    }
}

impl Addresses {
    /// Each of them.
    pub(crate) fn iter(&self) -> impl Iterator<Item = Address> + '_ {
        let mut rest = &*self.text;
        self.each.iter().filter_map(move |packed| {
            let (uid, after) = rest.split_at_checked(packed.uid.into())?;
            let (pod, after) = after.split_at_checked(packed.pod.into())?;
            rest = after;
            let (uid, pod) = (EndpointUid::new(uid), pod.into());
            Some(Address { uid, pod, ip: packed.ip, phase: packed.phase })
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_packed_comes_out_again() {
        let long = "x".repeat(1 << 16);
        let all = [("u1", "pod-a"), (&*long, "left out"), ("", ""), ("ü2", "p"), ("u3", &*long)];
        let packed: Addresses = all
            .iter()
            .enumerate()
            .map(|(at, (uid, pod))| {
                let ip = if at == 3 { "fd00::1" } else { "10.1.0.1" };
                let phase = if at == 0 { Phase::Ready } else { Phase::Starting };
                Loose { uid, pod, ip: ip.parse().unwrap(), phase }
            })
            .collect();
        let found: Vec<_> = packed
            .iter()
            .map(|it| (it.uid.to_string(), it.pod.to_string(), it.ip.to_string(), it.phase))
            .collect();
        let one =
            |uid: &str, pod: &str, ip: &str, phase| (uid.to_owned(), pod.to_owned(), ip.to_owned(), phase);
        let expected = [
            one("u1", "pod-a", "10.1.0.1", Phase::Ready),
            one("", "", "10.1.0.1", Phase::Starting),
            one("ü2", "p", "fd00::1", Phase::Starting),
        ];
        assert_eq!(found, expected);
    }
}
