//! The command line: exit codes, what errors say, help. Nothing here gets as far as running anything.

#![allow(clippy::unwrap_used, clippy::panic, reason = "all of this is test code")]

mod support;

use kaos_core::knob::KNOBS;
use support::{file, folder, kaos, said};

/// Runs `kaos` with `arguments` in an empty folder.
fn run(arguments: &[&str]) -> (Option<i32>, String, String) {
    let dir = tempfile::tempdir().unwrap();
    said(&kaos(dir.path()).args(arguments).output().unwrap())
}

#[test]
fn every_command_in_the_help_has_help() {
    let (code, help, _) = run(&["--help"]);
    assert_eq!(code, Some(0));
    let commands = help.lines().skip_while(|line| *line != "Commands:").skip(1);
    let commands: Vec<&str> = commands.map_while(|line| line.split_whitespace().next()).collect();
    let cluster = ["proxy", "autoscaler", "check", "adopt", "install", "uninstall", "image"];
    let here: Vec<&str> = commands.iter().copied().filter(|name| !cluster.contains(name)).collect();
    assert_eq!(here, ["up", "ls", "describe", "explain", "forget", "logs", "invoke", "simulate", "version"]);
    let in_a_cluster = commands.len() - here.len();
    assert_eq!(in_a_cluster, if cfg!(feature = "kubernetes") { cluster.len() } else { 0 });
    for command in commands {
        let (code, help, errors) = run(&[command, "--help"]);
        assert!(code == Some(0) && help.contains("Usage: kaos ") && errors.is_empty(), "{command}: {help}");
        assert!(!help.contains('\x1b'), "no colour where there is no terminal");
    }
    for arguments in [["--version"], ["-V"], ["version"]] {
        let (code, version, _) = run(&arguments);
        assert!(code == Some(0) && version.starts_with("kaos 0.1.0"), "{version}");
    }
}

#[test]
fn the_help_of_up_has_every_knob_with_its_doc_bounds_and_default() {
    let (_, help, _) = run(&["up", "--help"]);
    let help = help.split_whitespace().collect::<Vec<_>>().join(" ");
    for knob in KNOBS {
        for part in [
            &format!("--{} <VALUE>", knob.name),
            knob.doc,
            knob.allowed,
            &format!("[default: {}]", knob.default),
        ] {
            assert!(help.contains(part), "{}: {part}", knob.name);
        }
        let variable = format!("[env: KAOS_{}]", knob.name.to_uppercase().replace('-', "_"));
        assert!(help.contains(&variable), "{variable}");
    }
}

#[test]
fn a_wrong_command_line_is_2_and_says_what_is_allowed() {
    for (arguments, parts) in [
        (
            &["up", "--max-scale", "-1", "--", "true"][..],
            &["--max-scale", "'-1'", "a whole number, 0 to 1000000"][..],
        ),
        (&["up", "--idle-timeout", "30", "--", "true"], &["--idle-timeout", "'30'", "a duration, 1s to 24h"]),
        (&["up", "--min-scale", "9", "--max-scale", "2", "--", "true"], &["min-scale (9)", "max-scale (2)"]),
        (&["up", "--max-scal", "1", "--", "true"], &["--max-scal", "--max-scale"]),
        (&["up", "--listen", "8080"], &["--listen", "'8080'", "an address and a port"]),
        (&["up", "--name", "Shop", "--", "true"], &["--name", "'Shop'", "a DNS label"]),
        (&["up", "--host", "a b", "--", "true"], &["--host", "'a b'", "a host such as"]),
        (&["up", "--error-detail", "some"], &["--error-detail", "'some'", "full or brief"]),
        (&["up", "--max-header-size", "1"], &["--max-header-size", "8KiB to 1MiB"]),
        (
            &["up", "--no-wake-paths", "/a=200,/a=404", "--", "true"],
            &["--no-wake-paths", "'/a=200,/a=404'", "such as /healthz=200,/metrics=404", "each path once"],
        ),
        (
            &["up", "--trusted-proxies", "10.0.0.0/33"],
            &["--trusted-proxies", "'10.0.0.0/33'", "such as 10.0.0.0/8,fd00::/8"],
        ),
        (&["up", "--access-log", "common"], &["--access-log", "'common'", "json, combined or off"]),
        (
            &["up", "--access-log-sample", "50%"],
            &["--access-log-sample", "'50%'", "a share, 0 to 1, or errors"],
        ),
        (&["up", "--proxy-protocol=yes"], &["--proxy-protocol", "'yes'", "allowed is true or false"]),
        (
            &["up", "--max-connections-per-client", "-1"],
            &["--max-connections-per-client", "a whole number, 0 to 1000000 (0: no limit)"],
        ),
        (&["up", "--config", "kaos.toml", "--", "true"], &["--config", "cannot be used with"]),
        (&["up", "true"], &["unexpected argument 'true'"]),
        (&["ls", "--admin", "nowhere"], &["nowhere", "http://127.0.0.1:9090"]),
        (&["describe"], &["<NAME>"]),
        (&["describe", "--admin", "127.0.0.1:1", "a b"], &["local/a b", "NAMESPACE/NAME"]),
        (&["sing"], &["unrecognized subcommand 'sing'"]),
        (&[], &["Usage: kaos"]),
    ] {
        let (code, _, errors) = run(arguments);
        assert_eq!(code, Some(2), "{arguments:?}: {errors}");
        for part in parts {
            assert!(errors.contains(part), "{arguments:?}: {part:?} isn't in\n{errors}");
        }
        assert!(!errors.contains('\x1b'));
    }
}

#[test]
fn the_environment_says_the_same_as_flags_and_comes_after_them() {
    let dir = tempfile::tempdir().unwrap();
    let mut command = kaos(dir.path());
    let (code, _, errors) =
        said(&command.env("KAOS_MAX_SCALE", "many").args(["up", "--", "true"]).output().unwrap());
    assert!(code == Some(2) && errors.contains("'many'") && errors.contains("--max-scale"), "{errors}");
    let mut command = kaos(dir.path());
    let flags = ["up", "--max-scale", "1", "--min-scale", "2", "--", "true"];
    let (code, _, errors) = said(&command.env("KAOS_MAX_SCALE", "many").args(flags).output().unwrap());
    assert!(code == Some(2) && errors.contains("max-scale (1)"), "{errors}");
}

const SHOP: &str = "[[function]]\nname = \"shop\"\ncommand = [\"true\"]\n";

#[test]
fn a_wrong_file_is_78_and_one_line_before_anything_is_bound() {
    // Were the port looked at first, this would be exit code 1.
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let listen = taken.local_addr().unwrap().to_string();
    for (text, line) in [
        (
            format!("{SHOP}max-scale = -1"),
            "kaos.toml:4: max-scale = -1: allowed is a whole number, 0 to 1000000 (0: no bound)",
        ),
        (
            format!("{SHOP}max-scal = 1"),
            "kaos.toml:4: max-scal = 1: there is no such key; did you mean max-scale?",
        ),
        (
            format!("{SHOP}readiness = \"ready\""),
            "kaos.toml:4: readiness = \"ready\": allowed is tcp, or a path that begins with / and is answered with 200 to 399; probe and ready are for workloads of a cluster",
        ),
        (
            format!("trusted-proxies = [\"10.0.0.0/8\", \"all\"]\n{SHOP}"),
            "kaos.toml:1: trusted-proxies = [\"10.0.0.0/8\", \"all\"]: allowed is a list of addresses and ranges, such as 10.0.0.0/8,fd00::/8, at most 100 of them",
        ),
        (
            format!("listen = \"x\"\n{SHOP}"),
            "kaos.toml:1: listen = \"x\": allowed is an address and a port, such as 127.0.0.1:8080 or [::1]:8080",
        ),
        (format!("{SHOP}{SHOP}"), "kaos.toml:5: name = \"shop\": another function has this name"),
        (String::new(), "kaos.toml:1: there is no [[function]]; allowed is one or more"),
    ] {
        let dir = folder(&text);
        let up = kaos(dir.path()).args(["up", "--listen", &listen]).output().unwrap();
        assert_eq!(said(&up), (Some(78), String::new(), format!("{line}\n")));
        let named = kaos(dir.path()).args(["up", "--config"]).arg(file(&dir)).output().unwrap();
        let (code, _, errors) = said(&named);
        assert_eq!(code, Some(78));
        assert_eq!(errors, format!("{}{}\n", file(&dir).display(), line.strip_prefix("kaos.toml").unwrap()));
    }
    let (code, _, errors) = run(&["up", "--proxy-protocol", "--listen", &listen, "--", "true"]);
    assert!(
        code == Some(78) && errors.contains("trusted-proxies") && errors.lines().count() == 1,
        "{errors}"
    );
    let (code, _, errors) = run(&["up", "--config", "absent.toml"]);
    assert_eq!(code, Some(78));
    assert!(errors.starts_with("absent.toml: can't be read: ") && errors.lines().count() == 1, "{errors}");
}

#[test]
fn knobs_of_one_function_are_not_for_a_file_of_several() {
    let dir = folder(SHOP);
    for (flag, value, variable) in
        [("--target", "3", "KAOS_TARGET"), ("--name", "a", "KAOS_NAME"), ("--host", "a", "KAOS_HOST")]
    {
        let (code, _, errors) = said(&kaos(dir.path()).args(["up", flag, value]).output().unwrap());
        assert_eq!(code, Some(2));
        let line = format!(
            "error: {flag} (or {variable}) is for the one function given after --; for kaos.toml say it there\n"
        );
        assert_eq!(errors, line);
    }
}

#[test]
fn asking_where_nothing_runs_is_1_and_says_what_to_do() {
    for arguments in [
        &["ls"][..],
        &["describe", "shop"],
        &["explain", "shop"],
        &["forget", "shop"],
        &["logs", "shop"],
        &["invoke", "shop"],
    ] {
        let (code, out, errors) = run(arguments);
        assert!(code == Some(1) && out.is_empty() && errors.contains("`kaos up` starts one"), "{errors}");
    }
    // The listener is gone by then: refused.
    let closed = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let url = format!("http://{closed}");
    let (code, _, errors) = run(&["ls", "--admin", &url]);
    assert!(code == Some(1) && errors.contains(&url), "{errors}");
}
