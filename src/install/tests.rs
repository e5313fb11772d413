use std::collections::BTreeSet;
use std::path::Path;

use kaos_kubernetes::SecretName;
use kaos_kubernetes::change::{LEASE, configmaps};
use kaos_kubernetes::rights::{self, Right};
use serde_json::{Value, json};

use super::*;
use crate::cli::cluster::{Inferred, Place};
use crate::cli::secrets::Secrets;

pub(super) fn install_at(namespace: &str, domain: &str, image: Option<&str>) -> Install {
    let (place, inferred) = (Place { namespace: namespace.into() }, Inferred { domain: domain.into() });
    let image = image.map(str::to_owned);
    Install {
        place,
        inferred,
        tls: false,
        secrets: Secrets::default(),
        gate: false,
        external_metrics: false,
        image,
    }
}

fn usual() -> Install {
    install_at(SYSTEM, DOMAIN, None)
}

pub(super) fn documents(text: &str) -> Vec<Value> {
    serde_saphyr::from_multiple(text).unwrap()
}

fn folder(name: &str) -> std::path::PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("manifests").join(name)
}

fn read(path: &Path) -> String {
    std::fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

pub(super) fn of_kind<'v>(all: &'v [Value], kind: &str) -> Vec<&'v Value> {
    all.iter().filter(|one| one["kind"] == kind).collect()
}

#[test]
fn what_is_printed_is_the_folder() {
    let kustomization: Value = serde_saphyr::from_str(&read(&folder("base/kustomization.yaml"))).unwrap();
    let listed: Vec<String> = serde_json::from_value(kustomization["resources"].clone()).unwrap();
    let files: Vec<String> = listed.iter().map(|name| read(&folder("base").join(name))).collect();
    assert_eq!(manifests(&usual()), files.join("---\n"));
    let present: BTreeSet<String> = std::fs::read_dir(folder("base"))
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .filter(|name| name != "kustomization.yaml")
        .collect();
    assert_eq!(present, listed.into_iter().collect());
}

#[test]
fn every_value_that_is_asked_for_is_put_in_its_place() {
    let image = "registry.example.com/kaos@sha256:0123";
    let asked = install_at("serverless", "apps.example.com", Some(image));
    let text = manifests(&asked);
    assert!(!text.contains(SYSTEM) && !text.contains(&usual_image()) && !text.contains("\"localhost\""));
    let all = documents(&text);
    assert_eq!(all.len(), documents(&manifests(&usual())).len());
    // Its name is for users to write, wherever Kaos is.
    let class = |one: &&Value| one["kind"] == "IngressClass";
    assert_eq!(all.iter().filter(class).map(|one| &one["metadata"]["name"]).collect::<Vec<_>>(), ["kaos"]);
    for one in all.iter().filter(|one| !class(one)) {
        let cluster =
            ["Namespace", "ClusterRole", "ClusterRoleBinding"].contains(&one["kind"].as_str().unwrap());
        let namespace = &one["metadata"]["namespace"];
        assert_eq!(*namespace, if cluster { Value::Null } else { json!("serverless") }, "{one}");
        // Another Kaos in the cluster has its own.
        let name = one["metadata"]["name"].as_str().unwrap();
        assert!(!cluster || name == "serverless" || name.ends_with(".serverless"), "{one}");
    }
    for deployment in of_kind(&all, "Deployment") {
        let container = &deployment["spec"]["template"]["spec"]["containers"][0];
        assert_eq!(container["image"], "registry.example.com/kaos@sha256:0123");
        let env = container["env"].as_array().unwrap();
        let domain = env.iter().find(|one| one["name"] == "KAOS_DOMAIN").unwrap();
        assert_eq!(domain["value"], "apps.example.com");
    }
    assert_eq!(of_kind(&all, "Namespace")[0]["metadata"]["name"], "serverless");
}

/// What a role grants, one line for each verb: to what, and to which by name.
fn granted(role: &Value) -> BTreeSet<String> {
    let words = |value: &Value| -> Vec<String> { serde_json::from_value(value.clone()).unwrap_or_default() };
    let mut rights = BTreeSet::new();
    for rule in role["rules"].as_array().unwrap() {
        for group in words(&rule["apiGroups"]) {
            for resource in words(&rule["resources"]) {
                for verb in words(&rule["verbs"]) {
                    let names = words(&rule["resourceNames"]).join(",");
                    assert!(rights.insert(line(&verb, &group, &resource, &names)), "twice: {rule}");
                }
            }
        }
    }
    rights
}

fn line(verb: &str, group: &str, resource: &str, names: &str) -> String {
    format!("{verb} {group}/{resource} {names}")
}

/// The same of what the code uses.
fn used(rights: &[Right], names: &str) -> BTreeSet<String> {
    rights.iter().map(|right| line(right.verb, right.group, right.resource, names)).collect()
}

/// These and no others: nothing that runs an image, reads a Secret, or writes a spec.
#[test]
fn what_is_granted_is_what_the_code_uses() {
    let all = documents(&manifests(&usual()));
    let role = |kind: &str, name: &str| {
        let found = of_kind(&all, kind).into_iter().find(|role| role["metadata"]["name"] == name);
        granted(found.unwrap_or_else(|| panic!("no {kind} {name}")))
    };
    let shards = configmaps();
    assert_eq!(role("ClusterRole", "kaos-proxy.kaos-system"), used(&rights::READ, ""));
    let autoscaler =
        [&rights::READ[..], &rights::READ_SCALERS, &rights::SCALE, &rights::TELL_CLASSES].concat();
    assert_eq!(role("ClusterRole", "kaos-autoscaler.kaos-system"), used(&autoscaler, ""));
    assert_eq!(role("ClusterRole", "kaos-autoscaler-victims.kaos-system"), used(&rights::CHOOSE, ""));
    let own = &used(&rights::LEAD, LEASE) | &used(&rights::KEEP, &shards.join(","));
    assert_eq!(role("Role", "kaos-autoscaler"), own);
    let both = &used(&rights::PEERS, "") | &used(&rights::ENTRY, crate::cluster::ENTRY);
    assert_eq!(role("Role", "kaos-peers"), both);
    assert_eq!((of_kind(&all, "ClusterRole").len(), of_kind(&all, "Role").len()), (3, 2));
    let shipped: Vec<&Value> =
        of_kind(&all, "ConfigMap").iter().map(|map| &map["metadata"]["name"]).collect();
    assert_eq!(json!(shipped), json!(shards));
    // What others write there must survive a second `apply`.
    assert!(
        of_kind(&all, "ConfigMap").iter().all(|map| map["data"].is_null() && map["binaryData"].is_null())
    );
    assert!(of_kind(&all, "Lease").iter().all(|lease| lease["spec"].is_null()));
}

#[test]
fn for_one_namespace_the_same_rights_are_given_there() {
    let cluster = documents(&manifests(&usual()));
    let there = documents(&read(&folder("namespaced/roles.yaml")));
    assert_eq!(of_kind(&there, "Role").len(), 3);
    for role in of_kind(&there, "Role") {
        let same = of_kind(&cluster, "ClusterRole")
            .into_iter()
            .find(|one| {
                one["metadata"]["name"] == format!("{}.{SYSTEM}", role["metadata"]["name"].as_str().unwrap())
            })
            .unwrap();
        // What belongs to no namespace isn't read.
        let everywhere = &used(&rights::READ_CLASSES, "") | &used(&rights::TELL_CLASSES, "");
        assert_eq!(granted(role), &granted(same) - &everywhere);
        assert_eq!(role["metadata"]["namespace"], "default");
    }
    for binding in of_kind(&there, "RoleBinding") {
        assert_eq!(
            (&binding["roleRef"]["kind"], &binding["metadata"]["namespace"]),
            (&json!("Role"), &json!("default"))
        );
    }
}

#[test]
fn every_binding_gives_a_role_that_exists_to_an_account_that_exists() {
    let all = documents(&manifests(&usual()));
    let exists = |kind: &Value, name: &Value| {
        all.iter().any(|one| one["kind"] == *kind && one["metadata"]["name"] == *name)
    };
    for kind in ["RoleBinding", "ClusterRoleBinding"] {
        for binding in of_kind(&all, kind) {
            assert!(exists(&binding["roleRef"]["kind"], &binding["roleRef"]["name"]), "{binding}");
            for subject in binding["subjects"].as_array().unwrap() {
                assert!(exists(&subject["kind"], &subject["name"]), "{binding}");
                assert_eq!(subject["namespace"], SYSTEM);
            }
        }
    }
}

/// Slots are shared over the proxies that are ready, and a proxy is heard before it is: only without
/// `publishNotReadyAddresses` do EndpointSlices tell the two apart.
#[test]
fn proxies_are_listed_with_whether_they_are_ready() {
    use crate::cli::cluster::PEERS;
    let all = documents(&manifests(&usual()));
    let services = of_kind(&all, "Service");
    let peers = services.iter().find(|service| service["metadata"]["name"] == PEERS).unwrap();
    assert_eq!(peers["spec"]["clusterIP"], "None");
    assert!(peers["spec"]["publishNotReadyAddresses"].is_null());
    assert!(services.iter().any(|service| service["metadata"]["name"] == crate::cluster::ENTRY));
    let ports: Vec<&str> = peers["spec"]["ports"]
        .as_array()
        .unwrap()
        .iter()
        .map(|port| port["name"].as_str().unwrap())
        .collect();
    assert_eq!(ports, [crate::cluster::REQUESTS, crate::cluster::ADMIN]);
}

#[test]
fn pods_may_do_nothing_but_run() {
    let all = documents(&manifests(&usual()));
    let deployments = of_kind(&all, "Deployment");
    assert_eq!(deployments.len(), 2);
    for deployment in deployments {
        assert_eq!(deployment["spec"]["replicas"], 2);
        let pod = &deployment["spec"]["template"]["spec"];
        assert_eq!(
            (&pod["securityContext"]["runAsNonRoot"], &pod["securityContext"]["seccompProfile"]["type"]),
            (&json!(true), &json!("RuntimeDefault"))
        );
        assert!(pod["hostNetwork"].is_null() && pod["volumes"].is_null());
        let containers = pod["containers"].as_array().unwrap();
        assert_eq!(containers.len(), 1);
        let container = &containers[0];
        let security = json!({
            "allowPrivilegeEscalation": false,
            "readOnlyRootFilesystem": true,
            "capabilities": { "drop": ["ALL"] },
        });
        assert_eq!(container["securityContext"], security);
        assert!(container["resources"]["limits"]["memory"].is_string());
        for port in container["ports"].as_array().unwrap() {
            assert!(port["containerPort"].as_u64().unwrap() >= 1024);
        }
    }
}

/// The flags that the manifests give exist, and the time that a pod gets to end is longer than what it takes.
#[test]
fn what_is_given_to_the_processes_is_understood() {
    use clap::CommandFactory;
    let all = documents(&manifests(&usual()));
    let cli = crate::cli::Cli::command();
    for deployment in of_kind(&all, "Deployment") {
        let pod = &deployment["spec"]["template"]["spec"];
        let container = &pod["containers"][0];
        let name = container["args"][0].as_str().unwrap();
        let command = cli.find_subcommand(name).unwrap();
        let known: BTreeSet<String> = command
            .get_arguments()
            .filter_map(|argument| argument.get_env()?.to_str().map(str::to_owned))
            .collect();
        for variable in container["env"].as_array().unwrap() {
            assert!(known.contains(variable["name"].as_str().unwrap()), "{variable}");
        }
        let ports: Vec<(&str, u64)> = container["ports"]
            .as_array()
            .unwrap()
            .iter()
            .map(|port| (port["name"].as_str().unwrap(), port["containerPort"].as_u64().unwrap()))
            .collect();
        for (flag, port) in [("listen", "http"), ("admin", "metrics")] {
            let Some(argument) = command.get_arguments().find(|argument| argument.get_id() == flag) else {
                continue;
            };
            let address = argument.get_default_values()[0].to_str().unwrap();
            let number: u64 = address.rsplit(':').next().unwrap().parse().unwrap();
            assert!(ports.contains(&(port, number)), "{name} --{flag} {address}");
        }
        let seconds = |flag: &str| {
            let argument = command.get_arguments().find(|argument| argument.get_id() == flag);
            let text = argument.map(|argument| argument.get_default_values()[0].to_str().unwrap().to_owned());
            text.map_or(0, |text| kaos_core::duration::parse(&text).unwrap().as_secs())
        };
        let ends = seconds("shutdown_delay") + seconds("drain_timeout");
        assert!(pod["terminationGracePeriodSeconds"].as_u64().unwrap() > ends + 5);
    }
}

#[test]
fn the_class_names_what_serves_it() {
    let all = documents(&manifests(&usual()));
    let classes = of_kind(&all, "IngressClass");
    assert_eq!(classes[0]["spec"]["controller"], kaos_kubernetes::ingress::CONTROLLER);
    let gateways = documents(&read(&folder("gatewayclass/gateway-class.yaml")));
    assert_eq!(gateways[0]["spec"]["controllerName"], kaos_kubernetes::gateway::CONTROLLER);
    let overlay = read(&folder("namespaced/kustomization.yaml"));
    assert!(overlay.contains("name: KAOS_INGRESS_CLASS\n          value: kaos\n"));
    assert!(overlay.contains("name: KAOS_GATEWAY_CLASS\n          value: kaos\n"));
}

/// Two Secrets of one namespace and one of another, whose names are numbers to YAML or the usual namespace of Kaos.
const SECRETS: [(&str, &str); 3] = [("shops", "a.example.com"), (SYSTEM, "1.5"), ("shops", "b")];

/// What is printed for [`SECRETS`].
fn with_secrets(system: &str) -> Vec<Value> {
    let named =
        |(namespace, name): (&str, &str)| SecretName { namespace: namespace.into(), name: name.into() };
    let text = manifests(&install_at(system, DOMAIN, None));
    let none = documents(&tls::with(&text, &[], system));
    assert_eq!(none.len(), documents(&text).len(), "no Role without a Secret");
    assert!(tls::with(&text, &[], system).contains("--listen-tls=0.0.0.0:8443"));
    documents(&tls::with(&text, &SECRETS.map(named), system))
}

#[test]
fn the_right_to_a_secret_is_given_by_its_name_where_it_is() {
    let all = with_secrets("serverless");
    let kinds = ["Role", "RoleBinding"].map(|kind| of_kind(&all, kind));
    for (namespace, names) in [(SYSTEM, "1.5"), ("shops", "a.example.com,b")] {
        let [role, binding] = kinds
            .each_ref()
            .map(|all| all.iter().find(|one| one["metadata"]["namespace"] == namespace).unwrap());
        assert_eq!(granted(role), used(&rights::SECRETS, names));
        assert_eq!(role["metadata"]["name"], "kaos-proxy-tls.serverless");
        assert_eq!(
            (&binding["roleRef"]["kind"], &binding["roleRef"]["name"]),
            (&role["kind"], &role["metadata"]["name"])
        );
        let account = json!([{"kind": "ServiceAccount", "name": "kaos-proxy", "namespace": "serverless"}]);
        assert_eq!(binding["subjects"], account);
    }
    let before = documents(&manifests(&install_at("serverless", DOMAIN, None)));
    assert_eq!(all.len(), before.len() + 4);
}

/// Nothing else is changed: what is added is taken away again, and it is what was there.
#[test]
fn tls_is_taken_by_the_proxies_their_service_and_their_policy() {
    let mut all = with_secrets(SYSTEM);
    all.retain(|one| one["metadata"]["name"] != format!("kaos-proxy-tls.{SYSTEM}").as_str());
    let mut at = |kind: &str, list: &str| -> Vec<Value> {
        let found = all.iter_mut().find(|one| one["kind"] == kind && one["metadata"]["name"] == "kaos-proxy");
        let list = found.unwrap().pointer_mut(list).and_then(Value::as_array_mut).unwrap();
        list.drain(1..).collect()
    };
    let container = "/spec/template/spec/containers/0";
    let args = at("Deployment", &format!("{container}/args"));
    let listens = at("Deployment", &format!("{container}/ports"));
    assert_eq!(listens[0], json!({"name": "https", "containerPort": 8443}));
    let service = at("Service", "/spec/ports");
    assert_eq!(service, [json!({"name": "https", "port": 443, "targetPort": "https"})]);
    let open = at("NetworkPolicy", "/spec/ingress/0/ports");
    assert_eq!(open, [json!({"port": "https"})]);
    let ports = all.iter_mut().find(|one| one["kind"] == "Deployment").unwrap();
    let ports = ports.pointer_mut(&format!("{container}/ports")).and_then(Value::as_array_mut).unwrap();
    ports.extend(listens.into_iter().skip(1));
    assert_eq!(all, documents(&manifests(&usual())));

    let args = args.iter().map(|argument| argument.as_str().unwrap());
    let cli = <crate::cli::Cli as clap::Parser>::try_parse_from(["kaos", "proxy"].into_iter().chain(args));
    let crate::cli::Command::Proxy(proxy) = cli.unwrap().command else { panic!("not proxy") };
    assert_eq!(proxy.listen_tls.unwrap().to_string(), "0.0.0.0:8443");
    let named: Vec<String> = proxy.secrets.named().unwrap().iter().map(ToString::to_string).collect();
    assert_eq!(named, SECRETS.map(|(namespace, name)| format!("{namespace}/{name}")));
}
