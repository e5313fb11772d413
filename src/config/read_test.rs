use std::path::Path;
use std::time::Duration;

use kaos_core::Policy;
use kaos_core::host::HostPattern;
use kaos_core::policy::Protocol;

use super::super::{Config, Wrong};
use super::{Source, parse};

fn read(text: &str) -> Result<Config, Wrong> {
    parse(&Source { file: Path::new("kaos.toml"), text }, &Policy::local(4))
}

const SHOP: &str = "[[function]]\nname = \"shop\"\ncommand = [\"true\"]\n";

#[test]
fn reads_every_key() {
    let config = read(
        r#"
listen = "127.0.0.1:8081"
admin = "127.0.0.1:9091"
max-starting = 2
max-header-size = "16KiB"
max-connections-per-client = 20
trusted-proxies = ["10.0.0.0/8", "fd00::/8"]
proxy-protocol = true

[defaults]
idle-timeout = "30s"
target = 5

[[function]]
name = "shop"
host = ["shop.localhost", "*.shop.test"]
path = "/cart"
command = ["python3", "-m", "http.server", "{port}"]
dir = "/"
env = { GREETING = "hi", COUNT = 3 }
readiness = "/healthz"
no-wake-paths = "/healthz=200,/metrics=404"
protocol = "h2c"
target = 10
target-utilization-percentage = 62.5

[[function]]
name = "blog"
command = ["blog"]
max-scale = "1"
"#,
    )
    .unwrap();
    assert_eq!(config.settings.listen, "127.0.0.1:8081".parse().ok());
    assert_eq!(config.settings.max_starting, Some(2));
    assert_eq!(config.settings.max_header_size, Some(16 * 1024));
    assert_eq!(config.settings.max_connections_per_client, Some(20));
    assert_eq!(config.settings.trusted_proxies.as_ref().map(|trusted| trusted.len()), Some(2));
    assert_eq!(config.settings.proxy_protocol, Some(true));
    let [shop, blog] = &config.functions[..] else { panic!("two functions") };
    assert_eq!((shop.name.as_str(), shop.path.as_str()), ("shop", "/cart"));
    let spoken = [shop, blog].map(|function| function.policy.protocol);
    assert_eq!(spoken, [Protocol::H2c, Protocol::Http1]);
    assert_eq!(
        shop.hosts.iter().map(ToString::to_string).collect::<Vec<_>>(),
        ["shop.localhost", "*.shop.test"]
    );
    assert_eq!(shop.command, ["python3", "-m", "http.server", "{port}"]);
    assert_eq!(shop.dir, Path::new("/"));
    assert_eq!(shop.env, [("GREETING".into(), "hi".into()), ("COUNT".into(), "3".into())]);
    assert_eq!((shop.policy.target, shop.policy.target_utilization_percentage), (Some(10.0), 62.5));
    assert_eq!(shop.policy.idle_timeout.fixed(), Some(Duration::from_secs(30)));
    assert_eq!(shop.policy.no_wake("/metrics"), Some(404));
    assert_eq!(blog.hosts, [HostPattern::Exact("blog.localhost".into())]);
    assert_eq!((blog.policy.target, blog.policy.max_scale), (Some(5.0), 1));
    assert_eq!(blog.dir, Path::new("."));
}

#[test]
fn one_function_alone_answers_for_every_host() {
    let config = read(SHOP).unwrap();
    assert_eq!(config.functions[0].hosts, [HostPattern::Exact("shop.localhost".into()), HostPattern::Any]);
}

#[test]
fn a_refusal_is_one_line_with_file_line_key_value_and_what_is_allowed() {
    for (text, line) in [
        ("", "kaos.toml:1: there is no [[function]]; allowed is one or more".to_owned()),
        ("a = ", "kaos.toml:1: ".to_owned()),
        ("listen = 8080", "kaos.toml:1: listen = 8080: allowed is an address and a port, ".into()),
        ("trusted-proxies = true", "kaos.toml:1: trusted-proxies = true: allowed is a list of addr".into()),
        ("proxy-protocol = 1", "kaos.toml:1: proxy-protocol = 1: allowed is true or false".into()),
        ("max-starting = true", "kaos.toml:1: max-starting = true: allowed is a whole number, 1 ".into()),
        ("trusted-proxies = []", "kaos.toml:1: trusted-proxies = []: allowed is a list of addr".into()),
        ("listen = [\"127.0.0.1:1\"]", "kaos.toml:1: listen = [\"127.0.0.1:1\"]: allowed is an addr".into()),
        ("lsten = \"x\"", "kaos.toml:1: lsten = \"x\": there is no such key; allowed are listen, ".into()),
        (
            "target = 5",
            "kaos.toml:1: target = 5: a knob belongs under [defaults] or in a [[function]]".into(),
        ),
        ("defaults = 1", "kaos.toml:1: defaults = 1: allowed is a table: [defaults]".into()),
        (
            "[defaults]\n\nmax-scale = -1",
            "kaos.toml:3: max-scale = -1: allowed is a whole number, 0 to 1000000 (0: no bound)".into(),
        ),
        ("[defaults]\nname = \"a\"", "kaos.toml:2: name = \"a\": there is no such key; ".into()),
        (
            "[defaults]\nmax-scal = 4",
            "kaos.toml:2: max-scal = 4: there is no such key; did you mean max-scale?".into(),
        ),
        ("[function]\nname = \"a\"", "kaos.toml:1: function: allowed is [[function]], once for each".into()),
        ("[[function]]\nname = \"a\"", "kaos.toml:1: function: command is missing".into()),
        ("\n[[function]]\ncommand = [\"a\"]", "kaos.toml:2: function: name is missing".into()),
        (&format!("{SHOP}name = \"b\""), "kaos.toml:4: duplicate key".into()),
    ] {
        let wrong = read(text).unwrap_err().to_string();
        assert!(
            wrong.starts_with(&line) && !wrong.contains('\n'),
            "{text:?}\n gives {wrong:?}\n not {line:?}"
        );
    }
}

#[test]
fn a_wrong_key_of_a_function_is_named() {
    for (key, line) in [
        ("idle-timeout = 30", "kaos.toml:4: idle-timeout = 30: allowed is a duration, 1s to 24h, or learned"),
        (
            "idle-timeout = true",
            "kaos.toml:4: idle-timeout = true: allowed is a duration, 1s to 24h, or learned",
        ),
        ("readiness = \"probe\"", "kaos.toml:4: readiness = \"probe\": allowed is tcp, or a path"),
        ("protocol = \"grpc\"", "kaos.toml:4: protocol = \"grpc\": allowed is http1 or h2c"),
        ("host = []", "kaos.toml:4: host = []: allowed is a list of hosts"),
        ("host = [\"a b\"]", "kaos.toml:4: host = [\"a b\"]: allowed is a list of hosts"),
        ("path = \"cart\"", "kaos.toml:4: path = \"cart\": allowed is a path that begins with /"),
        ("dir = \"/no/such\"", "kaos.toml:4: dir = \"/no/such\": allowed is a directory that exists"),
        ("env = 1", "kaos.toml:4: env = 1: allowed is a table of strings"),
        ("env = { PORT = \"1\" }", "kaos.toml:4: PORT = \"1\": PORT and HOST are set by Kaos"),
        ("env = { A = [\n1] }", "kaos.toml:4: A = [ 1]: allowed is a variable's name and a string"),
        ("colour = \"red\"", "kaos.toml:4: colour = \"red\": there is no such key; allowed are name, "),
        ("min-scale = 9", "kaos.toml:4: min-scale = 9: min-scale (9) must not be above max-scale (4)"),
    ] {
        let wrong = read(&format!("{SHOP}{key}")).unwrap_err().to_string();
        assert!(wrong.starts_with(line) && !wrong.contains('\n'), "{key:?}\n gives {wrong:?}\n not {line:?}");
    }
}

#[test]
fn names_routes_and_commands_are_checked() {
    let blog = "[[function]]\nname = \"blog\"\ncommand = [\"true\"]\n";
    for (name, line) in [
        ("\"Shop\"", "kaos.toml:2: name = \"Shop\": allowed is a DNS label"),
        ("\"-a\"", "kaos.toml:2: name = \"-a\": allowed is a DNS label"),
        ("7", "kaos.toml:2: name = 7: allowed is a DNS label"),
    ] {
        let wrong = read(&format!("[[function]]\nname = {name}\ncommand = [\"a\"]")).unwrap_err().to_string();
        assert!(wrong.starts_with(line), "{wrong}");
    }
    for (text, line) in [
        (format!("{SHOP}{SHOP}"), "kaos.toml:5: name = \"shop\": another function has this name"),
        (
            format!("{SHOP}{blog}host = \"SHOP.localhost\""),
            "kaos.toml:7: host = \"SHOP.localhost\": shop.localhost/ belongs to function shop already",
        ),
        (
            format!("{blog}host = \"shop.localhost\"\n{SHOP}"),
            "kaos.toml:5: function shop: shop.localhost/ belongs to function blog already",
        ),
        (format!("{SHOP}command = \"true\""), "kaos.toml:4: duplicate key"),
        (
            "[[function]]\ncommand = \"true\"".into(),
            "kaos.toml:2: command = \"true\": allowed is a list of a",
        ),
        ("[[function]]\ncommand = [\"\"]".into(), "kaos.toml:2: command = [\"\"]: allowed is a list of a"),
    ] {
        assert_eq!(read(&text).unwrap_err().to_string().get(..line.len()), Some(line), "{text}");
    }
}

#[test]
fn knobs_that_bound_each_other_are_refused_at_the_last_one_written() {
    let wrong = read(&format!("[defaults]\nmin-scale = 3\n{SHOP}max-scale = 2")).unwrap_err().to_string();
    assert_eq!(wrong, "kaos.toml:6: max-scale = 2: min-scale (3) must not be above max-scale (2)");
}

#[test]
fn functions_that_others_wake_with_exist() {
    let blog = "[[function]]\nname = \"blog\"\ncommand = [\"true\"]\n";
    let config = read(&format!("{SHOP}wake-with = \"blog\"\n{blog}")).unwrap();
    assert_eq!(config.functions[0].policy.wake_with, ["blog".into()].into());
    let wrong = read(&format!("{SHOP}wake-with = \"blog,cart\"\n{blog}")).unwrap_err();
    let wrong = wrong.to_string();
    assert!(
        wrong.contains("kaos.toml:1: function shop: wake-with names cart") && wrong.contains("shop, blog"),
        "{wrong}"
    );
}
