use proptest::prelude::*;

use super::*;

/// What `bytes` are read as, which must be the same however they come.
fn whole(bytes: &[u8]) -> Result<Option<Header>, &'static str> {
    let read_whole = read(bytes);
    let mut grown = Ok(None);
    for end in 0..=bytes.len() {
        grown = read(&bytes[..end]);
        if grown != Ok(None) {
            break;
        }
    }
    match (read_whole, grown) {
        // What is wrong first may be seen before all is there.
        (Err(_), Err(_)) => {}
        (read_whole, grown) => assert_eq!(read_whole, grown, "{bytes:?}"),
    }
    read_whole
}

fn client(bytes: &[u8]) -> Option<IpAddr> {
    let header = whole(bytes).unwrap().unwrap();
    assert_eq!(header.length, bytes.len());
    let followed = read(&[bytes, b"GET / HTTP/1.1\r\n"].concat());
    assert_eq!(followed, Ok(Some(header)), "what follows changes nothing");
    header.client
}

fn address(text: &str) -> Option<IpAddr> {
    Some(text.parse().unwrap())
}

/// A header of version 2: command, family, what follows.
fn second(command: u8, family: u8, rest: &[u8]) -> Vec<u8> {
    let length = (rest.len() as u16).to_be_bytes();
    [SIGNATURE, &[command, family], &length, rest].concat()
}

fn value(kind: u8, bytes: &[u8]) -> Vec<u8> {
    [&[kind], &(bytes.len() as u16).to_be_bytes()[..], bytes].concat()
}

const V4: &[u8] = &[192, 0, 2, 7, 10, 0, 0, 1, 0x1f, 0x90, 0, 80];

fn v6() -> Vec<u8> {
    let source: Ipv6Addr = "2001:db8::7".parse().unwrap();
    [&source.octets()[..], &[0; 16], &[0, 1, 0, 80]].concat()
}

#[test]
fn a_line_names_the_client() {
    for (line, named) in [
        ("PROXY TCP4 192.0.2.7 10.0.0.1 40000 80\r\n", address("192.0.2.7")),
        ("PROXY TCP4 255.255.255.255 255.255.255.255 65535 65535\r\n", address("255.255.255.255")),
        ("PROXY TCP6 2001:db8::7 ::1 0 80\r\n", address("2001:db8::7")),
        ("PROXY TCP6 ::ffff:192.0.2.7 ::1 1 80\r\n", address("::ffff:192.0.2.7")),
        ("PROXY UNKNOWN\r\n", None),
        ("PROXY UNKNOWN ffff:f...f:ffff ffff:f...f:ffff 65535 65535\r\n", None),
    ] {
        assert_eq!(client(line.as_bytes()), named, "{line}");
    }
}

#[test]
fn a_line_that_breaks_the_rules_is_malformed() {
    for line in [
        "PROXY TCP4 192.0.2.7 10.0.0.1 40000 80\n",
        "PROXY TCP4 192.0.2.7 10.0.0.1 40000 80\r\r\n",
        "PROXY TCP4 192.0.2.7 10.0.0.1 40000 80 \r\n",
        "PROXY TCP4  192.0.2.7 10.0.0.1 40000 80\r\n",
        "PROXY\tTCP4 192.0.2.7 10.0.0.1 40000 80\r\n",
        "PROXY TCP4 192.0.2.7 10.0.0.1 40000\r\n",
        "PROXY TCP4 192.0.2.7 10.0.0.1 40000 080\r\n",
        "PROXY TCP4 192.0.2.7 10.0.0.1 40000 +80\r\n",
        "PROXY TCP4 192.0.2.7 10.0.0.1 65536 80\r\n",
        "PROXY TCP4 192.0.2.07 10.0.0.1 40000 80\r\n",
        "PROXY TCP4 192.0.2 10.0.0.1 40000 80\r\n",
        "PROXY TCP4 ::1 ::1 40000 80\r\n",
        "PROXY TCP6 192.0.2.7 10.0.0.1 40000 80\r\n",
        "PROXY TCP6 fe80::1%eth0 ::1 40000 80\r\n",
        "PROXY TCP6 [::1] ::1 40000 80\r\n",
        "PROXY UDP4 192.0.2.7 10.0.0.1 40000 80\r\n",
        "PROXY UNKNOWNS\r\n",
        "PROXY \r\n",
        "proxy TCP4 192.0.2.7 10.0.0.1 40000 80\r\n",
        "GET / HTTP/1.1\r\n",
        "PRI * HTTP/2.0\r\n",
        "\u{16}\u{3}\u{1}",
    ] {
        assert!(whole(line.as_bytes()).is_err(), "{line:?}");
    }
    assert!(whole(b"PROXY UNKNOWN \xff\r\n").is_err());
}

#[test]
fn a_line_has_107_bytes_at_most() {
    let line = |filler: usize| format!("PROXY UNKNOWN {}\r\n", "x".repeat(filler));
    assert_eq!(client(line(LONGEST_LINE - 16).as_bytes()), None);
    assert!(whole(line(LONGEST_LINE - 15).as_bytes()).is_err());
    assert!(whole("PROXY UNKNOWN ".repeat(10).as_bytes()).is_err(), "no more is waited for");
}

#[test]
fn a_block_names_the_client() {
    assert_eq!(client(&second(0x21, 0x11, V4)), address("192.0.2.7"));
    assert_eq!(client(&second(0x21, 0x21, &v6())), address("2001:db8::7"));
    let values = [value(0x01, b"h2"), value(0x04, &[0; 100]), value(0xea, b"\x01vpce-1")].concat();
    assert_eq!(client(&second(0x21, 0x11, &[V4, &values].concat())), address("192.0.2.7"));
}

#[test]
fn who_has_no_address_of_ours_is_the_peer_itself() {
    for (command, family, rest) in [
        (0x20, 0x00, &[][..]),
        (0x20, 0x11, V4),
        // A local connection's family is ignored (§2.2).
        (0x20, 0xff, &[1, 2, 3]),
        (0x21, 0x00, &[]),
        (0x21, 0x00, V4),
        (0x21, 0x31, &[b'/'; 216]),
        // A client of UDP isn't one of ours.
        (0x21, 0x12, V4),
    ] {
        assert_eq!(client(&second(command, family, rest)), None, "{command:x} {family:x}");
    }
}

#[test]
fn a_block_that_breaks_the_rules_is_malformed() {
    for (command, family, rest) in [
        (0x11, 0x11, V4),
        (0x31, 0x11, V4),
        (0x22, 0x11, V4),
        (0x21, 0x41, V4),
        (0x21, 0x13, V4),
        (0x21, 0x11, &V4[..11]),
        (0x21, 0x21, V4),
        (0x21, 0x11, &[V4, &[1, 0]].concat()),
        (0x21, 0x11, &[V4, &[1, 0, 2, 9]].concat()),
    ] {
        assert!(whole(&second(command, family, rest)).is_err(), "{command:x} {family:x} {rest:?}");
    }
    let mut other = second(0x21, 0x11, V4);
    other[11] = b'\r';
    assert!(whole(&other).is_err());
}

#[test]
fn a_block_is_bounded() {
    let filled = |length: usize| second(0x21, 0x00, &vec![0; length]);
    assert_eq!(client(&filled(LONGEST_BLOCK)), None);
    let longer = filled(LONGEST_BLOCK + 1);
    assert!(read(&longer[..FIXED]).is_err(), "it isn't waited for");
    assert_eq!(read(&filled(LONGEST_BLOCK)[..LONGEST_BLOCK]), Ok(None));
}

#[test]
fn a_checksum_that_is_there_must_be_right() {
    // The check value of this checksum, as catalogues of them have it.
    assert_eq!(crc32c(&[b"1234", b"56789"]), 0xE306_9283);
    let rest =
        |sum: u32| [V4, &value(0x01, b"h2"), &value(CRC32C, &sum.to_be_bytes()), &value(0x04, b"x")].concat();
    let sum = crc32c(&[&second(0x21, 0x11, &rest(0))]);
    assert_eq!(client(&second(0x21, 0x11, &rest(sum))), address("192.0.2.7"));
    assert!(whole(&second(0x21, 0x11, &rest(sum ^ 1))).is_err());
    assert!(whole(&second(0x21, 0x11, &[V4, &value(CRC32C, &[0; 3])].concat())).is_err());
}

proptest! {
    #[test]
    fn any_client_survives_both_versions(octets in any::<[u8; 4]>(), bits in any::<u128>(), ports in any::<[u16; 2]>()) {
        let (four, six) = (Ipv4Addr::from(octets), Ipv6Addr::from_bits(bits));
        let [from, to] = ports;
        prop_assert_eq!(client(format!("PROXY TCP4 {four} 10.0.0.1 {from} {to}\r\n").as_bytes()), Some(four.into()));
        prop_assert_eq!(client(format!("PROXY TCP6 {six} {six} {from} {to}\r\n").as_bytes()), Some(six.into()));
        let rest = [&octets[..], &[10, 0, 0, 1], &from.to_be_bytes(), &to.to_be_bytes()].concat();
        prop_assert_eq!(client(&second(0x21, 0x11, &rest)), Some(four.into()));
        let rest = [&six.octets()[..], &six.octets(), &from.to_be_bytes(), &to.to_be_bytes()].concat();
        prop_assert_eq!(client(&second(0x21, 0x21, &rest)), Some(six.into()));
    }

    /// Whatever comes, also behind a sound beginning: no panic, never more than was there, and the same however it comes.
    #[test]
    fn no_bytes_panic(start in 0usize..4, bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        let start: &[u8] = [&b""[..], LINE, SIGNATURE, b"\r\n\r\n\0\r\nQUIT\n\x21\x11\0"][start];
        let bytes = [start, &bytes].concat();
        if let Ok(Some(header)) = whole(&bytes) {
            prop_assert!(header.length <= bytes.len());
        }
    }

    /// Version 1 in the characters that it is made of.
    #[test]
    fn no_line_panics(line in "PROXY (TCP4|TCP6|UNKNOWN)[ 0-9:.a-f\r\n]{0,110}") {
        let _ = whole(line.as_bytes());
    }
}
