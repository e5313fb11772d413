//! The commands around a cluster: asking the autoscaler that leads through an API server, manifests, images, and what is
//! said when something is wrong. The API server here answers as told; the real one is in `tests/testbed`.

#![cfg(feature = "kubernetes")]
#![allow(clippy::unwrap_used, clippy::panic, reason = "all of this is test code")]

mod support;

use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::PathBuf;
use std::process::Output;
use std::sync::{Arc, Mutex};

use serde_json::{Value, json};
use support::kaos;

const LEASE: &str = "/apis/coordination.k8s.io/v1/namespaces/kaos-system/leases/kaos-autoscaler";
const LEADER: &str = "/api/v1/namespaces/kaos-system/pods/kaos-autoscaler-7d9f-abcde:9090/proxy";

/// An API server that knows these paths. It ends with the test's process.
struct ApiServer {
    address: SocketAddr,
    asked: Arc<Mutex<Vec<String>>>,
    dir: tempfile::TempDir,
}

impl ApiServer {
    fn start(answers: &[(String, Value)]) -> ApiServer {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let asked = Arc::new(Mutex::new(Vec::new()));
        let answers: BTreeMap<String, Value> = answers.iter().cloned().collect();
        let seen = asked.clone();
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                // A client that leaves early is no matter.
                let _ = answer(stream, &answers, &seen);
            }
        });
        ApiServer { address, asked, dir: tempfile::tempdir().unwrap() }
    }

    fn kubeconfig(&self) -> PathBuf {
        let file = self.dir.path().join("kubeconfig");
        let text = json!({
            "apiVersion": "v1",
            "kind": "Config",
            "current-context": "test",
            "contexts": [{ "name": "test", "context": { "cluster": "test", "user": "test", "namespace": "shops" } }],
            "clusters": [{ "name": "test", "cluster": { "server": format!("http://{}", self.address) } }],
            "users": [{ "name": "test", "user": {} }],
        });
        std::fs::write(&file, text.to_string()).unwrap();
        file
    }

    /// Runs a command with the kubeconfig as a flag.
    fn ask(&self, arguments: &[&str]) -> Output {
        kaos(self.dir.path()).args(arguments).arg("--kubeconfig").arg(self.kubeconfig()).output().unwrap()
    }

    fn asked(&self) -> Vec<String> {
        self.asked.lock().unwrap().clone()
    }
}

fn answer(
    mut stream: TcpStream,
    answers: &BTreeMap<String, Value>,
    asked: &Mutex<Vec<String>>,
) -> std::io::Result<()> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        let mut byte = [0];
        stream.read_exact(&mut byte)?;
        head.push(byte[0]);
    }
    let head = String::from_utf8_lossy(&head).into_owned();
    let line = head.lines().next().unwrap_or_default();
    let mut words = line.split(' ');
    let (method, target) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
    asked.lock().unwrap().push(format!("{method} {target}"));
    let (status, body) = match answers.get(target) {
        Some(Value::String(text)) => ("200 OK", text.clone()),
        Some(value) => ("200 OK", value.to_string()),
        None => {
            let body = json!({ "kind": "Status", "code": 404, "message": format!("{target} not found") });
            ("404 Not Found", body.to_string())
        }
    };
    write!(stream, "HTTP/1.1 {status}\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{body}", body.len())
}

fn shop() -> Value {
    json!({
        "namespace": "shops", "name": "shop", "state": "serving", "url": "http://shop.shops.localhost/",
        "hosts": ["shop.shops.localhost"], "path": "/", "in_flight": 14, "waiting": 5,
        "endpoints": [{"uid": "c57046ef-62cd", "pod": "shop-6d4cf-x7k2p", "address": "10.0.0.7:8080", "phase": "ready"}],
        "replicas": { "desired": 3, "ready": 2, "starting": 1 }, "policy": {},
        "notes": [{ "reason": "Inferred", "warns": false, "text": "its Service is shop-web" }],
    })
}

fn advice() -> Value {
    json!({
        "namespace": "shops", "name": "shop", "mode": "observe", "idle_timeout": "1m",
        "watched": {
            "since": "2026-01-01T00:00:00Z", "watched_seconds": 604_800, "slept_seconds": 429_408,
            "cold_starts": 34, "verdict": { "word": "set", "idle_timeout_seconds": 240 },
            "offers": [{ "idle_timeout_seconds": 240, "slept_seconds": 399_168, "cold_starts": 9 }],
        },
    })
}

fn lease() -> (String, Value) {
    (LEASE.into(), json!({ "spec": { "holderIdentity": "kaos-autoscaler-7d9f-abcde_0123456789" } }))
}

fn served() -> ApiServer {
    let entry = json!({
        "at": "2026-01-01T00:00:00Z", "until": "2026-01-01T00:00:00Z", "count": 1, "decision": "scale",
        "from": 1, "to": 3, "because": { "word": "backlog", "sentence": "14 waiting" }, "outcome": "done",
    });
    let pod = |name: &str| {
        json!({ "metadata": { "name": name }, "status": { "startTime": "2026-01-01T00:00:00Z" },
                "spec": { "containers": [{ "name": "web" }, { "name": "other" }] } })
    };
    let log = |pod: &str| {
        format!("/api/v1/namespaces/shops/pods/{pod}/log?container=web&timestamps=true&tailLines=1000")
    };
    ApiServer::start(&[
        lease(),
        (format!("{LEADER}/v1/workloads"), json!([shop()])),
        (format!("{LEADER}/v1/workloads/shops/shop"), shop()),
        (format!("{LEADER}/v1/journal/shops/shop"), json!([entry])),
        (format!("{LEADER}/v1/advice/shops/shop"), advice()),
        (
            format!("{LEADER}/v1/instance"),
            json!({ "started_at": "2026-01-01T00:00:00Z", "version": "0.1.0" }),
        ),
        (
            "/apis/apps/v1/namespaces/shops/deployments/shop".into(),
            json!({ "spec": { "selector": { "matchLabels": { "app": "shop" } } } }),
        ),
        (
            "/api/v1/namespaces/shops/pods?labelSelector=app%3Dshop".into(),
            json!({ "items": [pod("shop-1"), pod("shop-2")] }),
        ),
        (log("shop-1"), "2026-01-01T00:00:00.5Z hello\n2026-01-01T00:00:01Z there\n".into()),
        (log("shop-2"), "2026-01-01T00:00:02Z without an end".into()),
    ])
}

fn stdout(output: &Output) -> String {
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout.clone()).unwrap()
}

#[test]
fn the_autoscaler_that_leads_is_asked_through_the_api_server() {
    let server = served();
    let listed = stdout(&server.ask(&["ls"]));
    assert!(listed.contains("shops/shop") && listed.contains("serving"), "{listed}");
    // The context's namespace is meant where none is said.
    for name in [&["shop"][..], &["shops/shop"], &["shop", "-n", "shops"]] {
        let described = stdout(&server.ask(&[&["describe"], name].concat()));
        assert!(described.contains("2 of 3 replicas ready; 14 in flight, 5 waiting"), "{described}");
        assert!(described.contains("Inferred: its Service is shop-web"), "{described}");
        assert!(described.contains("\nshop-6d4cf-x7k2p "), "a replica by its pod's name: {described}");
    }
    let explained = stdout(&server.ask(&["explain", "shop"]));
    assert!(explained.contains("3 replicas because 14 waiting [backlog]"), "{explained}");
    assert!(explained.contains("The autoscaler that leads knows this since"), "{explained}");
    let advised = stdout(&server.ask(&["explain", "shop", "--advice"]));
    assert!(advised.starts_with("shops/shop: only observed, nothing is changed; watched since"), "{advised}");
    assert!(advised.contains("Would have slept 71 % of 7d 0h, 34 cold starts"), "{advised}");
    assert!(advised.contains("Suggests idle-timeout 4m in place of 1m"), "{advised}");
    let json: Value = serde_json::from_str(&stdout(&server.ask(&["explain", "shop", "-o", "json"]))).unwrap();
    assert_eq!(json["since"], "2026-01-01T00:00:00Z");
    assert!(server.asked().iter().all(|asked| asked.starts_with("GET ")), "{:?}", server.asked());
}

/// With the user's own rights to what is kept, and from there to the autoscaler: no port takes orders.
#[test]
fn what_was_learned_is_forgotten_where_it_is_kept() {
    let (map, _) = kaos_kubernetes::change::learned_place(&kaos_core::WorkloadId::new("shops", "shop"));
    let map = format!("/api/v1/namespaces/kaos-system/configmaps/{map}");
    let server = ApiServer::start(&[
        lease(),
        // Its idle time is set: whether the autoscaler has taken it isn't told.
        (format!("{LEADER}/v1/workloads/shops/shop"), shop()),
        (map.clone(), json!({ "metadata": { "resourceVersion": "7" }, "binaryData": {} })),
    ]);
    let wrong = server.ask(&["forget", "cart"]);
    assert!(!wrong.status.success() && String::from_utf8_lossy(&wrong.stderr).contains("cart"), "{wrong:?}");
    assert!(server.asked().iter().all(|asked| asked.starts_with("GET ")), "{:?}", server.asked());
    let told = stdout(&server.ask(&["forget", "shop"]));
    assert!(told.starts_with("What was learned of shops/shop is forgotten where it is kept"), "{told}");
    assert!(server.asked().contains(&format!("PATCH {map}")), "{:?}", server.asked());
}

#[test]
fn logs_are_those_of_every_pod() {
    let server = served();
    let text = stdout(&server.ask(&["logs", "shop"]));
    let mut lines: Vec<&str> = text.lines().collect();
    lines.sort_unstable();
    assert_eq!(lines, ["shop-1 | hello", "shop-1 | there", "shop-2 | without an end"]);
    let json = stdout(&server.ask(&["logs", "shop", "-o", "json"]));
    let first = json.lines().find(|line| line.contains("hello")).unwrap();
    let first: Value = serde_json::from_str(first).unwrap();
    assert_eq!((&first["at"], &first["replica"]), (&json!("2026-01-01T00:00:00.5Z"), &json!("shop-1")));
}

/// Without a flag: what runs here first, then the cluster of the kubeconfig, else it is said that there is neither.
#[test]
fn the_cluster_is_asked_where_nothing_runs_here() {
    let server = served();
    let ls = |kubeconfig: bool| {
        let mut command = kaos(server.dir.path());
        if kubeconfig {
            command.env("KUBECONFIG", server.kubeconfig());
        }
        command.arg("ls").output().unwrap()
    };
    assert!(stdout(&ls(true)).contains("shops/shop"));
    let neither = ls(false);
    assert_eq!(neither.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&neither.stderr).contains("no Kaos of this user runs"));
}

#[test]
fn what_is_wrong_is_said() {
    let failing = |server: &ApiServer, arguments: &[&str]| {
        let output = server.ask(arguments);
        assert_eq!(output.status.code(), Some(1));
        String::from_utf8(output.stderr).unwrap()
    };
    let said = failing(&ApiServer::start(&[]), &["ls"]);
    assert!(said.contains("no Kaos is found in the namespace kaos-system") && said.contains("404"), "{said}");
    let nobody = ApiServer::start(&[(LEASE.into(), json!({ "spec": { "holderIdentity": "" } }))]);
    let said = failing(&nobody, &["ls"]);
    assert!(said.contains("no autoscaler leads"), "{said}");
    let said = failing(&ApiServer::start(&[lease()]), &["describe", "shop"]);
    assert!(said.contains("not found"), "{said}");
    let gone = ApiServer { address: "127.0.0.1:1".parse().unwrap(), ..ApiServer::start(&[]) };
    assert!(failing(&gone, &["ls"]).contains("the API server can't be asked"));
}

#[test]
fn without_access_to_a_cluster_nothing_begins() {
    let dir = tempfile::tempdir().unwrap();
    for part in [&["proxy", "--listen", "127.0.0.1:0"][..], &["autoscaler"]] {
        let arguments = [part, &["--admin", "127.0.0.1:0", "--kubeconfig", "nowhere"]].concat();
        let output = kaos(dir.path()).args(arguments).output().unwrap();
        assert_eq!(output.status.code(), Some(78), "{}", String::from_utf8_lossy(&output.stderr));
        assert!(String::from_utf8_lossy(&output.stderr).contains("nowhere"));
    }
}

#[test]
fn manifests_are_printed_with_what_was_asked_for() {
    let dir = tempfile::tempdir().unwrap();
    let install = |arguments: &[&str]| kaos(dir.path()).arg("install").args(arguments).output().unwrap();
    let text =
        stdout(&install(&["--namespace", "here", "--domain", "example.com", "--image", "r.example/kaos:2"]));
    assert!(text.contains("  namespace: here\n") && text.contains("          image: r.example/kaos:2\n"));
    assert!(text.contains("value: \"example.com\"\n") && !text.contains("kaos-system"));
    for wrong in [["--namespace", "A"], ["--domain", "a\nb: c"], ["--image", "a b"]] {
        assert_eq!(install(&wrong).status.code(), Some(2), "{wrong:?}");
    }
}

#[test]
fn secrets_with_certificates_are_named_in_full_and_need_a_place_to_listen() {
    let dir = tempfile::tempdir().unwrap();
    let proxy = ["proxy", "--listen", "127.0.0.1:0", "--admin", "127.0.0.1:0"];
    let listen = ["--listen-tls", "127.0.0.1:0"];
    let many = (0..101).map(|at| format!("a/s{at}")).collect::<Vec<_>>().join(",");
    for (flags, code, why) in [
        (
            &["--tls-secret", "shops/cert"][..],
            78,
            "there are certificates, but --listen-tls (KAOS_LISTEN_TLS)",
        ),
        // Ingresses name Secrets: it is known there whether there are any.
        (&listen, 78, "no cluster is known"),
        (&[&listen[..], &["--tls-secret", &many]].concat(), 78, "names 101 Secrets: allowed are 100"),
        (
            &["--tls-secret", "cert"],
            2,
            "invalid value 'cert' for '--tls-secret <NAMESPACE/NAME>': allowed is NAMESPACE",
        ),
    ] {
        let output = kaos(dir.path()).args(proxy).args(flags).output().unwrap();
        let stderr = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(code), "{flags:?}: {stderr}");
        assert!(stderr.contains(why), "{flags:?}: {stderr}");
    }
    let install = kaos(dir.path()).args(["install"]).env("KAOS_TLS_SECRET", "shops/cert").output().unwrap();
    let text = stdout(&install);
    assert!(text.contains("            - --tls-secret=shops/cert\n"), "{text}");
    let unknown = kaos(dir.path()).args(["up", "--tls-secret", "shops/cert", "--", "true"]).output().unwrap();
    assert_eq!(unknown.status.code(), Some(2));
}

#[test]
fn an_image_is_made_of_a_static_program_and_of_nothing_else() {
    let dir = tempfile::tempdir().unwrap();
    let mut program = vec![0; 200];
    program[..6].copy_from_slice(b"\x7fELF\x02\x01");
    program[18] = 0x3e;
    std::fs::write(dir.path().join("program"), &program).unwrap();
    std::fs::write(dir.path().join("script"), "#!/bin/sh\n").unwrap();
    let image = |of: &str, to: &str| kaos(dir.path()).args(["image", of, "--to", to]).output().unwrap();
    stdout(&image("program", "one.tar"));
    stdout(&image("program", "two.tar"));
    let read = |name: &str| std::fs::read(dir.path().join(name)).unwrap();
    assert_eq!(read("one.tar"), read("two.tar"));
    let refused = image("script", "three.tar");
    assert_eq!(refused.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&refused.stderr).contains("no program for 64-bit Linux"));
    assert!(!dir.path().join("three.tar").exists());
}
