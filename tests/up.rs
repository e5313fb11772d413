//! `kaos up` from end to end: real processes behind a real proxy, asked as users ask.

#![allow(clippy::unwrap_used, clippy::panic, reason = "all of this is test code")]

mod support;

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::process::Stdio;

use serde_json::Value;
use support::{Kaos, Reply, answer, eventually, file, folder, get, is_alive, kaos, raw, said};

fn json(text: &str) -> Value {
    serde_json::from_str(text).unwrap_or_else(|error| panic!("{error}: {text}"))
}

#[test]
fn a_cold_request_is_answered_counted_and_explained() {
    let kaos = Kaos::shop(&[], &[]);
    assert_eq!(kaos.workload("shop")["state"], "zero");
    let cold = kaos.get("/");
    assert_eq!((cold.status, cold.header("x-kaos-cold-start")), (200, Some("true")));
    let timing = cold.header("server-timing").unwrap();
    let names: Vec<&str> = timing.split(", ").filter_map(|phase| phase.split(';').next()).collect();
    assert_eq!(names, ["cold", "decide", "start", "ready", "first-byte"], "{timing}");
    let warm = kaos.get("/");
    assert_eq!((warm.status, warm.header("x-kaos-cold-start")), (200, None));
    let shop = r#"namespace="local",workload="shop""#;
    eventually("both requests are counted", || {
        (kaos.metric(&format!(r#"kaos_requests_total{{{shop},code="200"}}"#)) == 2.0).then_some(())
    });
    assert_eq!(kaos.metric(&format!("kaos_cold_requests_total{{{shop}}}")), 1.0);
    assert_eq!(kaos.metric(&format!(r#"kaos_decisions_total{{{shop},because="wake"}}"#)), 1.0);
    assert_eq!(kaos.metric(&format!("kaos_requests_in_flight{{{shop}}}")), 0.0);

    let (code, text, _) = said(&kaos.command(&["explain", "shop"]));
    assert_eq!(code, Some(0));
    assert!(text.starts_with("shop: serving, 1 of 1 replica ready; 0 in flight, 0 waiting\n"), "{text}");
    assert!(text.contains("1 replica because ") && text.contains("[wake]"), "{text}");
    let (_, text, _) = said(&kaos.command(&["explain", "local/shop", "--output", "json"]));
    let journal = json(&text)["journal"].clone();
    let wake = journal.as_array().unwrap().iter().find(|entry| entry["because"]["word"] == "wake").unwrap();
    assert_eq!((&wake["decision"], &wake["from"], &wake["to"]), (&"scale".into(), &0.into(), &1.into()));
    assert_eq!(wake["observed"]["waiting"], 1);
}

#[test]
fn ls_describe_invoke_and_version_find_it() {
    let kaos = Kaos::shop(&["--target", "7"], &[]);
    let (code, text, errors) = said(&kaos.command(&["invoke", "shop", "/echo", "-d", "some data"]));
    assert_eq!((code, text.as_str(), errors.as_str()), (Some(0), "some data", ""));
    let (code, text, errors) = said(&kaos.command(&["invoke", "shop", "/status/503", "-o", "json"]));
    assert!(code == Some(1) && errors.contains("503"), "{errors}");
    assert_eq!(json(&text)["status"], 503);

    let (_, text, _) = said(&kaos.command(&["ls"]));
    let mut lines = text.lines().map(|line| line.split_whitespace().collect::<Vec<_>>());
    let header = "NAME STATE READY DESIRED IN-FLIGHT WAITING LAST-REQUEST URL";
    assert_eq!(lines.next().unwrap().join(" "), header);
    let row = lines.next().unwrap();
    assert_eq!(row[..6], ["shop", "serving", "1", "1", "0", "0"]);
    assert_eq!(row.last().copied(), Some(format!("http://{}/", kaos.listen).as_str()));
    let (_, text, _) = said(&kaos.command(&["ls", "--output", "json"]));
    let shop = json(&text)[0].clone();
    for name in "namespace name hosts path state in_flight waiting policy last_request_at last_wake endpoints"
        .split(' ')
    {
        assert!(!shop[name].is_null(), "{name} of {shop}");
    }
    assert_eq!((&shop["policy"]["target"], &shop["replicas"]["ready"]), (&7.into(), &1.into()));

    let (_, text, _) = said(&kaos.command(&["describe", "shop"]));
    assert!(text.contains("last wake") && text.lines().any(|line| line.starts_with("target ")), "{text}");
    let (code, _, errors) = said(&kaos.command(&["describe", "shoe"]));
    assert!(code == Some(1) && errors.contains("local/shoe"), "{errors}");
    let (_, text, _) = said(&kaos.command(&["version", "--output", "json"]));
    assert_eq!(json(&text)["running"]["pid"], kaos.child.id());
}

#[test]
fn idle_replicas_end_and_the_next_request_wakes_again() {
    // Longer than a report may take: else zero may be decided before anybody could announce it.
    let kaos = Kaos::shop(&["--idle-timeout", "3s"], &[]);
    let pid = pid_of(&kaos.get("/"));
    let next = kaos.workload("shop")["next"]["then"].clone();
    eventually("zero comes next", || {
        (kaos.workload("shop")["next"]["then"] == "zero unless a request comes").then_some(())
    });
    eventually("zero", || (kaos.workload("shop")["state"] == "zero").then_some(()));
    eventually("the replica is gone", || (!is_alive(pid)).then_some(()));
    let (_, text, _) = said(&kaos.command(&["explain", "shop"]));
    assert!(text.contains("No replica because ") && text.contains("[idle]"), "{next}: {text}");
    let again = kaos.get("/");
    assert_eq!(again.header("x-kaos-cold-start"), Some("true"));
    assert_ne!(pid_of(&again), pid);
}

fn pid_of(reply: &Reply) -> u32 {
    reply.header("x-answer-pid").unwrap().parse().unwrap()
}

/// A health check from outside, as often as it likes.
#[test]
fn a_path_that_wakes_nothing_is_polled_and_it_sleeps_all_the_same() {
    let kaos = Kaos::shop(&["--idle-timeout", "3s", "--no-wake-paths", "/healthz=204,/status/418=404"], &[]);
    let own = |path: &str, status: u16| {
        let reply = kaos.get(path);
        assert_eq!(
            (reply.status, reply.body.len(), reply.header("x-answer-pid")),
            (status, 0, None),
            "{path}"
        );
        assert_eq!(
            (reply.header("cache-control"), reply.header("x-kaos-cold-start")),
            (Some("no-store"), None)
        );
    };
    own("/healthz", 204);
    own("/status/418?a=b", 404);
    assert_eq!(kaos.workload("shop")["state"], "zero");
    assert_eq!(kaos.workload("shop")["policy"]["no-wake-paths"], "/healthz=204,/status/418=404");
    let pid = pid_of(&kaos.get("/"));
    eventually("zero, asked again and again", || {
        let check = kaos.get("/healthz");
        assert!(matches!(check.status, 200 | 204), "{}", check.status);
        (kaos.workload("shop")["state"] == "zero").then_some(())
    });
    eventually("the replica is gone", || (!is_alive(pid)).then_some(()));
    own("/healthz", 204);
    let shop = r#"namespace="local",workload="shop""#;
    assert_eq!(kaos.metric(&format!(r#"kaos_decisions_total{{{shop},because="wake"}}"#)), 1.0);
    assert_eq!(kaos.metric(&format!("kaos_cold_requests_total{{{shop}}}")), 1.0);
    assert_eq!(kaos.metric(&format!(r#"kaos_requests_total{{{shop},code="404"}}"#)), 1.0);
    let own_answers = kaos.metric(&format!(r#"kaos_rejected_requests_total{{{shop},reason="no-wake"}}"#));
    let checks = kaos.metric(&format!(r#"kaos_requests_total{{{shop},code="204"}}"#));
    assert!(checks >= 2.0 && own_answers == checks + 1.0, "{checks} checks, {own_answers} own answers");
}

#[test]
fn what_replicas_write_is_on_stderr_and_in_the_logs() {
    let script = format!("echo begun; {} & while read line; do echo $line; done <words; wait", answer());
    let dir = tempfile::tempdir().unwrap();
    assert!(std::process::Command::new("mkfifo").arg(dir.path().join("words")).status().unwrap().success());
    let kaos = Kaos::up_in(dir, &["--name", "shop", "--", "sh", "-c", &script]);
    assert_eq!(kaos.get("/").status, 200);
    let prefixed =
        |text: &str| kaos.stderr().lines().any(|line| line.starts_with("shop ") && line.ends_with(text));
    eventually("the line is on stderr", || prefixed(" | begun").then_some(()));
    let (_, text, _) = said(&kaos.command(&["logs", "shop"]));
    assert!(text.lines().any(|line| line.starts_with("shop-") && line.ends_with(" | begun")), "{text}");

    let mut follow = support::kaos(kaos.dir.path());
    let mut follow =
        follow.args(["logs", "shop", "--follow", "-o", "json"]).stdout(Stdio::piped()).spawn().unwrap();
    let mut lines = BufReader::new(follow.stdout.take().unwrap()).lines().map(|line| json(&line.unwrap()));
    let first = lines.next().unwrap();
    assert_eq!((&first["line"], &first["stream"]), (&"begun".into(), &"stdout".into()));
    std::fs::write(kaos.dir.path().join("words"), "later\n").unwrap();
    assert!(lines.any(|line| line["line"] == "later"), "what is written later follows");
    follow.kill().unwrap();
    follow.wait().unwrap();
}

#[test]
fn a_changed_file_is_taken_into_force_and_a_wrong_one_is_not() {
    let function = |name: &str| format!("[[function]]\nname = \"{name}\"\ncommand = [\"{}\"]\n", answer());
    let kaos = Kaos::up_in(folder(&function("shop")), &[]);
    let status = |host: &str| get(kaos.listen, host, "/").status;
    assert_eq!(status("anything.example"), 200, "one function alone answers for every host");
    let two = format!("{}{}", function("shop"), function("blog"));
    std::fs::write(file(&kaos.dir), &two).unwrap();
    eventually("both are routed", || {
        (status("blog.localhost") == 200 && status("x.example") == 404).then_some(())
    });
    assert_eq!(status("shop.localhost"), 200);

    let wrong = format!("{two}max-scale = -1\n");
    std::fs::write(file(&kaos.dir), &wrong).unwrap();
    let line = "kaos.toml:7: max-scale = -1: allowed is a whole number, 0 to 1000000 (0: no bound)";
    eventually("the refusal is logged", || kaos.stderr().contains(line).then_some(()));
    assert_eq!((status("shop.localhost"), status("blog.localhost")), (200, 200));

    let said = kaos.stderr().matches(line).count();
    kaos.signal("HUP");
    eventually("SIGHUP reads it again", || (kaos.stderr().matches(line).count() > said).then_some(()));
    std::fs::write(file(&kaos.dir), format!("listen = \"127.0.0.1:1\"\nmax-starting = 3\n{two}")).unwrap();
    let restart = "kaos.toml: max-starting has changed: that takes a restart";
    eventually("what takes a restart is said", || kaos.stderr().contains(restart).then_some(()));
}

#[test]
fn a_reload_that_changes_the_command_lets_requests_finish() {
    // Without time between SIGTERM and SIGKILL, only waiting for the request saves it.
    let shop = |flag: &str| {
        let command = format!("command = [\"{}\"{flag}]", answer());
        format!("[[function]]\nname = \"shop\"\n{command}\nstop-timeout = \"0s\"\nmax-scale = 1\n")
    };
    let kaos = Kaos::up_in(folder(&shop("")), &[]);
    let before = pid_of(&kaos.get("/"));
    let listen = kaos.listen;
    let slow = std::thread::spawn(move || get(listen, "shop.localhost", "/delay/1500ms"));
    eventually("it is under way", || (kaos.workload("shop")["in_flight"] == 1).then_some(()));
    std::fs::write(file(&kaos.dir), shop(", \"--hard-limit\", \"9\"")).unwrap();
    eventually("the new one answers", || (pid_of(&kaos.get("/")) != before).then_some(()));
    assert!(is_alive(before), "it isn't stopped while it has a request");
    let reply = slow.join().unwrap();
    assert_eq!((reply.status, pid_of(&reply)), (200, before));
    eventually("the old one is gone", || (!is_alive(before)).then_some(()));
}

#[test]
fn a_port_that_is_taken_is_named() {
    let first = Kaos::shop(&[], &[]);
    for (flag, address) in [("--listen", first.listen), ("--admin", first.admin)] {
        let other = if flag == "--listen" { "--admin" } else { "--listen" };
        let mut up = kaos(first.dir.path());
        let up =
            up.args(["up", flag, &address.to_string(), other, "127.0.0.1:0", "--", "true"]).output().unwrap();
        let (code, out, errors) = said(&up);
        assert_eq!((code, out.as_str()), (Some(1), ""));
        let owner =
            format!("{address} is in use by another program (the Kaos of process {})", first.child.id());
        assert!(errors.contains(&owner) && errors.contains(flag), "{errors}");
    }
}

#[test]
fn an_admin_port_that_nobody_asked_for_may_be_taken() {
    // Whoever comes second finds the usual port taken, by the first or by somebody else.
    let mut both = [(); 2].map(|()| {
        let dir = tempfile::tempdir().unwrap();
        let mut up = kaos(dir.path());
        let up = up.args(["up", "--listen", "127.0.0.1:0", "-o", "json", "--", "true"]);
        (up.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap(), dir)
    });
    let admins = [0, 1].map(|at| {
        let mut line = String::new();
        BufReader::new(both[at].0.stdout.take().unwrap()).read_line(&mut line).unwrap();
        json(&line)["admin"].as_str().unwrap().to_owned()
    });
    assert_ne!(admins[0], admins[1]);
    for (up, _) in &mut both {
        support::signal(up.id(), "TERM");
        assert_eq!(up.wait().unwrap().code(), Some(0));
    }
}

#[test]
fn sigterm_finishes_what_is_under_way_and_leaves_nothing() {
    let mut kaos = Kaos::shop(&["--stop-timeout", "500ms"], &["--spawn-orphan"]);
    kaos.get("/");
    let mut slow = TcpStream::connect(kaos.listen).unwrap();
    slow.set_read_timeout(Some(support::PATIENCE)).unwrap();
    slow.write_all(b"GET /delay/700ms HTTP/1.1\r\nHost: shop\r\n\r\n").unwrap();
    eventually("it is under way", || (kaos.workload("shop")["in_flight"] == 1).then_some(()));
    let processes = kaos.descendants();
    assert!(processes.len() >= 3, "guardian, replica, orphan: {processes:?}");
    kaos.signal("TERM");
    eventually("it isn't ready any more", || (kaos.ask("/readyz").status == 503).then_some(()));
    assert_eq!(kaos.ask("/livez").status, 200);
    let mut bytes = Vec::new();
    slow.read_to_end(&mut bytes).unwrap();
    assert_eq!(Reply::parse(&bytes).unwrap().status, 200);
    assert_eq!(kaos.ended(), Some(0));
    assert_eq!(alive(&processes), Vec::<u32>::new(), "nothing is left when kaos has ended");
    assert_eq!(std::fs::read_dir(kaos.dir.path().join("kaos")).unwrap().count(), 0, "its file is gone");
}

fn alive(processes: &[u32]) -> Vec<u32> {
    processes.iter().copied().filter(|pid| is_alive(*pid)).collect()
}

#[test]
fn sigkill_leaves_nothing() {
    let mut kaos = Kaos::shop(&[], &["--ignore-term", "--spawn-orphan"]);
    kaos.get("/");
    let processes = kaos.descendants();
    assert!(processes.len() >= 3, "guardian, replica, orphan: {processes:?}");
    kaos.signal("KILL");
    assert_eq!(kaos.ended(), None);
    eventually("all are gone", || alive(&processes).is_empty().then_some(()));
    let (code, _, errors) = said(&kaos.command(&["ls"]));
    assert!(code == Some(1) && errors.contains("no Kaos"), "a left-over file is no Kaos: {errors}");
}

#[test]
fn a_second_ctrl_c_ends_it_at_once() {
    let mut kaos = Kaos::shop(&["--drain-timeout", "10m"], &["--ignore-term"]);
    kaos.get("/");
    let mut slow = TcpStream::connect(kaos.listen).unwrap();
    slow.write_all(b"GET /delay/10m HTTP/1.1\r\nHost: shop\r\n\r\n").unwrap();
    eventually("it is under way", || (kaos.workload("shop")["in_flight"] == 1).then_some(()));
    let processes = kaos.descendants();
    kaos.signal("INT");
    eventually("it drains", || (kaos.ask("/readyz").status == 503).then_some(()));
    kaos.signal("TERM");
    kaos.signal("INT");
    assert_eq!(kaos.ended(), Some(130));
    eventually("all are gone", || alive(&processes).is_empty().then_some(()));
}

#[test]
fn without_anything_said_there_is_a_page_that_says_hello() {
    let kaos = Kaos::up(&[]);
    let text = get(kaos.listen, "x", "/");
    assert!(
        text.text().contains("a cold start") && text.text().contains("kaos explain hello"),
        "{}",
        text.text()
    );
    let request = "GET / HTTP/1.1\r\nHost: x\r\nAccept: text/html\r\nConnection: close\r\n\r\n";
    let page = Reply::parse(&raw(kaos.listen, request.as_bytes())).unwrap();
    assert_eq!(page.header("content-type"), Some("text/html; charset=utf-8"));
    assert!(page.text().contains("getEntriesByType(\"navigation\")"));
}

#[test]
fn a_command_that_isnt_there_fails_at_once_and_is_explained() {
    let kaos = Kaos::up(&["--name", "shop", "--", "/no/such/program"]);
    let reply = kaos.get("/");
    assert_eq!((reply.status, reply.header("content-type")), (503, Some("application/problem+json")));
    let problem = json(&reply.text());
    assert_eq!(problem["type"], "https://kaos.dev/problems/start-failed");
    assert!(problem["detail"].as_str().unwrap().contains("/no/such/program"), "{problem}");
    assert!(reply.header("retry-after").is_some());
    assert_eq!(kaos.workload("shop")["state"], "failed");
    let (_, text, _) = said(&kaos.command(&["explain", "shop"]));
    assert!(text.contains("failed start") && text.contains("/no/such/program"), "{text}");
    let rejected = r#"kaos_rejected_requests_total{namespace="local",workload="shop",reason="start-failed"}"#;
    assert_eq!(kaos.metric(rejected), 1.0);
}

#[test]
fn the_admin_port_is_read_only_and_knows_its_name() {
    let kaos = Kaos::shop(&[], &[]);
    let ask = |head: &str| {
        Reply::parse(&raw(kaos.admin, format!("{head}\r\nConnection: close\r\n\r\n").as_bytes())).unwrap()
    };
    for (head, status, word) in [
        ("POST /v1/workloads HTTP/1.1\r\nHost: localhost\r\nContent-Length: 0", 405, "method-not-allowed"),
        ("GET /metrics HTTP/1.1\r\nHost: evil.example", 421, "misdirected"),
        ("GET /metrics HTTP/1.1\r\nHost: a b", 400, "bad-request"),
        ("GET /v2 HTTP/1.1\r\nHost: localhost", 404, "no-route"),
        ("GET /v1/workloads/local/shoe HTTP/1.1\r\nHost: localhost", 404, "no-workload"),
        ("GET /v1/logs/local/shoe?follow HTTP/1.1\r\nHost: localhost", 404, "no-workload"),
    ] {
        let reply = ask(head);
        assert_eq!(
            (reply.status, reply.header("content-type")),
            (status, Some("application/problem+json")),
            "{head}"
        );
        assert_eq!(json(&reply.text())["type"], format!("https://kaos.dev/problems/{word}"));
    }
    let head = ask("HEAD /metrics HTTP/1.1\r\nHost: localhost");
    assert!(head.status == 200 && head.body.is_empty());
    for (path, text) in [
        ("/livez", "ok\n"),
        ("/readyz", "ok\n"),
        ("/readyz?verbose", "[+]proxy ok\n[+]platform ok\n[+]autoscaler ok\nreadyz check passed\n"),
    ] {
        assert_eq!((kaos.ask(path).status, kaos.ask(path).text().as_str()), (200, text), "{path}");
    }
    let open = ask("GET /metrics HTTP/1.1\r\nHost: localhost\r\nAccept: application/openmetrics-text");
    assert!(open.header("content-type").unwrap().starts_with("application/openmetrics-text"));
    assert!(open.text().ends_with("# EOF\n"));
}

#[test]
fn of_several_one_must_be_chosen() {
    let first = Kaos::shop(&[], &[]);
    let mut second = kaos(first.dir.path());
    second.args(["up", "--listen", "127.0.0.1:0", "--admin", "127.0.0.1:0", "-o", "json", "--", "true"]);
    let mut second = second.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
    let mut line = String::new();
    BufReader::new(second.stdout.take().unwrap()).read_line(&mut line).unwrap();
    let (code, _, errors) = said(&first.command(&["ls"]));
    assert!(
        code == Some(1)
            && errors.contains("choose with --admin")
            && errors.contains(&first.admin.to_string())
    );
    let (code, text, _) = said(&first.command(&["ls", "--admin", &format!("http://{}", first.admin)]));
    assert!(code == Some(0) && text.contains("shop"), "{text}");
    second.kill().unwrap();
    second.wait().unwrap();
    eventually("the other is forgotten", || first.command(&["ls"]).status.success().then_some(()));
}
