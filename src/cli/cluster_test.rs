use clap::Parser;

use super::super::{Cli, Command};
use super::*;

#[test]
fn peers_are_a_service_or_a_list() {
    assert_eq!(peers("a"), Ok(Peers::Service(None, "a".into())));
    assert_eq!(peers("n/a"), Ok(Peers::Service(Some("n".into()), "a".into())));
    assert_eq!(peers(""), Ok(Peers::Fixed(BTreeMap::new())));
    let two = peers("a=127.0.0.1:1,b=[::1]:2").unwrap();
    let Peers::Fixed(two) = two else { panic!("not a list") };
    assert_eq!(two.len(), 2);
    for bad in ["A", "n/a/b", "a=1", "a=127.0.0.1:1,", "/a", "a b"] {
        assert!(peers(bad).is_err(), "{bad}");
    }
}

#[test]
fn a_host_may_be_allowed_to_a_namespace() {
    assert_eq!(allowed("shops=*.example.com"), Ok(("shops".into(), "example.com".into())));
    for bad in ["shops", "=example.com", "shops=", "Shops=a.b", "shops=a..b"] {
        assert!(allowed(bad).is_err(), "{bad}");
    }
}

#[test]
fn the_limits_of_one_client_reach_the_proxy() {
    let flags =
        ["--max-connections-per-client", "7", "--trusted-proxies", "10.0.0.0/8,::1", "--proxy-protocol"];
    let cli = Cli::try_parse_from([&["kaos", "proxy"][..], &flags].concat()).unwrap();
    let Command::Proxy(proxy) = cli.command else { panic!("not proxy") };
    let limits = crate::process::ports::limits(&proxy.settings());
    assert_eq!((limits.connections_per_client, limits.trusted.len(), limits.proxy_protocol), (7, 2, true));
    let cli = Cli::try_parse_from(["kaos", "proxy"]).unwrap();
    let Command::Proxy(proxy) = cli.command else { panic!("not proxy") };
    let limits = crate::process::ports::limits(&proxy.settings());
    assert_eq!((limits.connections_per_client, limits.trusted.len(), limits.proxy_protocol), (0, 0, false));
    for wrong in [["--max-connections-per-client", "many"], ["--trusted-proxies", "everybody"]] {
        let error = Cli::try_parse_from([&["kaos", "proxy"][..], &wrong].concat()).unwrap_err().to_string();
        let parts = [wrong[0], wrong[1], "allowed is "];
        assert!(parts.iter().all(|part| error.contains(part)), "{error}");
    }
}

#[test]
fn both_parts_are_told_the_same_way() {
    let flags = ["--namespace", "a", "-n", "b", "--domain", "example.com", "--any-host", "--peers", "x/y"];
    for part in ["proxy", "autoscaler"] {
        let cli = Cli::try_parse_from([&["kaos", part][..], &flags].concat()).unwrap();
        let member = match cli.command {
            Command::Proxy(proxy) => proxy.member,
            Command::Autoscaler(autoscaler) => autoscaler.member,
            _ => panic!("not {part}"),
        };
        assert_eq!(member.namespaces, ["a", "b"]);
        assert_eq!(member.peers, Peers::Service(Some("x".into()), "y".into()));
        assert_eq!((member.inferred.domain.as_str(), member.any_host), ("example.com", true));
    }
}
