//! Three hundred Deployments with Ingresses that were written for ingress-nginx come to Kaos by one patch of each class, and
//! requests are answered as a real nginx answers them that is configured as ingress-nginx would.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "all of this is test code")]

#[path = "from_nginx/configure.rs"]
mod configure;
#[path = "from_nginx/scene.rs"]
mod scene;
mod support;

use std::collections::HashMap;
use std::fs::{self, File};
use std::net::{SocketAddr, TcpListener};
use std::path::Path;
use std::process::{Child, Command, Stdio};

use futures::{StreamExt, stream};
use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::discovery::v1::EndpointSlice;
use k8s_openapi::api::events::v1::Event;
use k8s_openapi::api::networking::v1::Ingress;
use kaos_testbed::{Behaviour, ControlPlane, Kubelet, eventually};
use kube::api::{ListParams, Patch, PatchParams};
use kube::{Api, Client};
use scene::{NGINX, Written, make};
use serde_json::json;
use support::kaos::{Answer, Kaos, ask_for};

/// Pods of one played node.
const NODE: usize = 150;
const ALL: usize = 300;
/// Requests at one time.
const AT_ONCE: usize = 16;

/// What is asked of each host: method, path, and bytes of a body.
const ASKED: [(&str, &str, usize); 28] = [
    ("GET", "/", 0),
    ("GET", "/api", 0),
    ("GET", "/api/", 0),
    ("GET", "/api/x?y=1", 0),
    ("GET", "/apis", 0),
    ("GET", "/API/x", 0),
    ("GET", "/only", 0),
    ("GET", "/only/", 0),
    ("GET", "/only/x", 0),
    ("GET", "/ONLY", 0),
    ("GET", "/app", 0),
    ("GET", "/app/", 0),
    ("GET", "/application", 0),
    ("GET", "/App", 0),
    ("GET", "/app/deep", 0),
    ("GET", "/app/deep/er", 0),
    ("GET", "/app/deeper", 0),
    ("GET", "/svc", 0),
    ("GET", "/svc/", 0),
    ("GET", "/svc/a/b?c=d", 0),
    ("GET", "/svcs", 0),
    ("GET", "/old", 0),
    ("GET", "/older/x?y", 0),
    ("GET", "/v12/items/7", 0),
    ("GET", "/v1/nothing", 0),
    ("GET", "/V2/THINGS/", 0),
    ("OPTIONS", "/", 0),
    ("POST", "/", 2000),
];

/// What a client sees of an answer that is the application's or the ingress's.
#[derive(Debug, PartialEq, Eq)]
struct Seen {
    status: u16,
    /// The process that answered, if one did, and what it said.
    by: Option<(String, String)>,
    /// Fields that the ingress has a say in.
    fields: Vec<String>,
}

impl Seen {
    fn of(answer: &Answer) -> Seen {
        let field = |name: &str| {
            let mut lines = answer.head.lines().filter_map(|line| line.split_once(": "));
            lines.find(|(known, _)| *known == name).map(|(_, value)| value.to_owned())
        };
        let mut fields: Vec<String> = answer
            .head
            .lines()
            .filter(|line| line.starts_with("location: ") || line.starts_with("access-control-"))
            .map(str::to_owned)
            .collect();
        fields.sort();
        let by = field("x-answer-pid").map(|pid| (pid, answer.body.clone()));
        Seen { status: answer.status, by, fields }
    }
}

/// Everything that is asked, in order.
async fn table(address: SocketAddr, all: &[Written]) -> Vec<(String, Seen)> {
    let asked = all.iter().flat_map(|written| ASKED.map(|asked| (written, asked)));
    let answers = asked.map(|(written, (method, path, body))| async move {
        let host = written.asked();
        let answer = ask_for(address, method, &host, path, &"x".repeat(body)).await;
        let what = format!("{method} {host}{path}, of {:?} {:?}", written.annotations, written.paths);
        (what, Seen::of(&answer.expect("an answer")))
    });
    stream::iter(answers).buffered(AT_ONCE).collect().await
}

/// The address of the pod of each Service.
async fn pods(client: &Client, namespace: &str) -> HashMap<String, String> {
    let slices: Api<EndpointSlice> = Api::namespaced(client.clone(), namespace);
    eventually("every pod is ready", async || {
        let slices = slices.list(&ListParams::default()).await.ok()?;
        let pods: HashMap<String, String> = slices
            .items
            .into_iter()
            .filter_map(|slice| {
                let service = slice.metadata.labels?.get("kubernetes.io/service-name")?.clone();
                let endpoint = slice.endpoints?.pop()?;
                let is_ready = endpoint.conditions?.ready == Some(true);
                is_ready.then(|| Some((service, format!("{}:8080", endpoint.addresses.first()?))))?
            })
            .collect();
        (pods.len() == NODE).then_some(pods)
    })
    .await
}

/// A real nginx.
struct Nginx {
    child: Child,
    address: SocketAddr,
    _folder: tempfile::TempDir,
}

impl Nginx {
    async fn start(all: &[Written], pods: &HashMap<(String, String), String>) -> Nginx {
        let folder = tempfile::tempdir().unwrap();
        // A port that is free may be another's a moment later: nginx can't be told to take any.
        for _ in 0..16 {
            let address = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
            let upstream =
                |namespace: &str, service: &str| pods[&(namespace.to_owned(), service.to_owned())].clone();
            let configuration = configure::configuration(folder.path(), &address.to_string(), all, upstream);
            fs::write(folder.path().join("nginx.conf"), configuration).unwrap();
            let mut child = run(folder.path());
            let has_begun = eventually("nginx listens, or ends", async || {
                let ended = child.try_wait().unwrap().is_some();
                // Written once its ports are bound.
                let pid = fs::read_to_string(folder.path().join("nginx.pid")).unwrap_or_default();
                (ended || pid.trim() == child.id().to_string()).then_some(!ended)
            })
            .await;
            if has_begun {
                return Nginx { child, address, _folder: folder };
            }
            let said = fs::read_to_string(folder.path().join("nginx.log")).unwrap();
            assert!(said.contains("Address already in use"), "{said}");
        }
        panic!("no port stays free");
    }
}

fn run(folder: &Path) -> Child {
    // Debian has it where only root looks.
    let path = format!("{}:/usr/sbin", std::env::var("PATH").unwrap_or_default());
    Command::new("env")
        .arg("nginx")
        .env("PATH", path)
        .args(["-e", "stderr", "-c"])
        .arg(folder.join("nginx.conf"))
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(File::create(folder.join("nginx.log")).unwrap())
        .spawn()
        .unwrap()
}

impl Drop for Nginx {
    fn drop(&mut self) {
        let pid = rustix::process::Pid::from_raw(i32::try_from(self.child.id()).unwrap()).unwrap();
        // Its worker ends with it.
        let _ = rustix::process::kill_process(pid, rustix::process::Signal::TERM);
        let _ = self.child.wait();
    }
}

#[tokio::test]
async fn what_was_written_for_ingress_nginx_is_answered_as_nginx_answers_it() {
    let plane = ControlPlane::shared().await;
    let client = plane.client(plane.admin()).await.unwrap();
    let (mut all, mut kubelets, mut places) = (Vec::new(), Vec::new(), HashMap::new());
    let mut namespaces = Vec::new();
    for first in (0..ALL).step_by(NODE) {
        let namespace = plane.namespace("fleet").await.unwrap();
        kubelets.push(Kubelet::start(plane, &namespace, Behaviour::default()).await.unwrap());
        all.extend((first..first + NODE).map(|at| Written::new(&namespace, at)));
        namespaces.push(namespace);
    }
    make(&client, &all).await;
    for namespace in &namespaces {
        let pods = pods(&client, namespace).await;
        places.extend(pods.into_iter().map(|(service, pod)| ((namespace.clone(), service), pod)));
    }
    let nginx = Nginx::start(&all, &places).await;
    let kaos = Kaos::start(plane, "", 1, 1).await;
    let proxy = kaos.proxies[0].listen;
    let before = table(nginx.address, &all).await;

    stream::iter(&all)
        .for_each_concurrent(AT_ONCE, |written| async {
            let ingresses: Api<Ingress> = Api::namespaced(client.clone(), &written.namespace);
            let class = Patch::Merge(json!({"spec": {"ingressClassName": "kaos"}}));
            ingresses.patch(&written.name, &PatchParams::default(), &class).await.unwrap();
        })
        .await;
    let last = all.last().unwrap();
    eventually("all are served", async || {
        let answer = ask_for(proxy, "GET", &last.asked(), "/", "").await?;
        (answer.status == 200).then_some(())
    })
    .await;
    same(&before, &table(proxy, &all).await, true);
    unsupported(&client, &all).await;
    asleep(&client, &kaos, &all).await;
    same(&before, &table(proxy, &all).await, false);
}

/// Whether all was answered as before; by the same processes, if they still are the same.
fn same(before: &[(String, Seen)], after: &[(String, Seen)], processes: bool) {
    let differ = |one: &Seen, other: &Seen| {
        let said =
            |seen: &Seen| seen.by.as_ref().map(|(pid, said)| (processes.then(|| pid.clone()), said.clone()));
        (one.status, said(one), &one.fields) != (other.status, said(other), &other.fields)
    };
    let wrong: Vec<String> = before
        .iter()
        .zip(after)
        .filter(|((_, before), (_, after))| differ(before, after))
        .map(|((what, before), (_, after))| format!("{what}\n  nginx: {before:?}\n  Kaos:  {after:?}"))
        .collect();
    assert!(wrong.is_empty(), "{} of {} differ:\n{}", wrong.len(), before.len(), wrong.join("\n"));
}

/// Annotations without equal are named in an Event each.
async fn unsupported(client: &Client, all: &[Written]) {
    for written in all.iter().filter(|written| !written.says("server-snippet").is_empty()) {
        let events: Api<Event> = Api::namespaced(client.clone(), &written.namespace);
        eventually("the annotation without equal is named", async || {
            let events = events.list(&ListParams::default()).await.ok()?;
            let named = events.items.iter().find(|event| {
                event.reason.as_deref() == Some("UnsupportedAnnotation")
                    && event.regarding.as_ref().is_some_and(|of| of.name.as_deref() == Some(&written.name))
            })?;
            named.note.as_deref()?.ends_with(&format!("{NGINX}/server-snippet")).then_some(())
        })
        .await;
    }
}

/// Adopts every seventh, which then falls asleep.
async fn asleep(client: &Client, kaos: &Kaos, all: &[Written]) {
    let adopted: Vec<&Written> = all.iter().step_by(7).collect();
    for written in &adopted {
        let deployments: Api<Deployment> = Api::namespaced(client.clone(), &written.namespace);
        let annotations = json!({"kaos.dev/enabled": "true", "kaos.dev/idle-timeout": "1s"});
        let patch = Patch::Merge(json!({"metadata": {"annotations": annotations}}));
        deployments.patch(&written.name, &PatchParams::default(), &patch).await.unwrap();
    }
    for written in adopted {
        let deployments: Api<Deployment> = Api::namespaced(client.clone(), &written.namespace);
        let own = format!("{}.{}.localhost", written.name, written.namespace);
        // Sleep has to be earned.
        eventually("it is adopted", async || (kaos.get(0, &own, "/").await?.status == 200).then_some(()))
            .await;
        eventually("it sleeps", async || {
            let found = deployments.get(&written.name).await.ok()?;
            (found.spec.replicas == Some(0)).then_some(())
        })
        .await;
    }
}
