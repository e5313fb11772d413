//! Ingresses and routes, of whatever maker, that send requests straight to a Service: past Kaos.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::finding::{Finding, Fix, Topic, Verdict};
use super::objects::Objects;
use super::subject::Subject;
use super::{kinds, look};
use crate::ingress::CONTROLLER;

/// What Kaos's own classes of Ingresses and Gateways are called, where the classes themselves aren't seen.
const CLASS: &str = "kaos";
/// What named an Ingress's class before `spec.ingressClassName`.
const OLD_CLASS: &str = "kubernetes.io/ingress.class";
/// Where ingress-nginx asks whether a request may go.
const ASKS: &str = "nginx.ingress.kubernetes.io/auth-url";
/// Whether it sends requests to the Service's own address.
const TO_SERVICE: &str = "nginx.ingress.kubernetes.io/service-upstream";
/// What is in the URL of Kaos's gate.
const GATE: &str = "/_kaos/gate/";

/// Which routes lead to which Service, by its namespace and name.
pub(super) struct Routes<'a>(BTreeMap<(String, String), Vec<Way<'a>>>);

/// One place where a route names a Service.
struct Way<'a> {
    route: &'a Value,
    pointer: String,
}

impl<'a> Routes<'a> {
    pub(super) fn index(objects: &'a Objects) -> Self {
        let mut all: BTreeMap<_, Vec<Way<'a>>> = BTreeMap::new();
        for kind in kinds::KINDS.iter().filter(|kind| !kind.services.is_empty()) {
            for route in objects.every(kind.kind).filter(|route| !is_ours(route, objects)) {
                let places = kind.services.iter().flat_map(|pattern| look::all(route, pattern));
                for (pointer, backend) in places {
                    if let Some(service) = service(backend, look::namespace(route)) {
                        all.entry(service).or_default().push(Way { route, pointer });
                    }
                }
            }
        }
        Routes(all)
    }

    pub(super) fn examine(&self, subject: &Subject<'_>, found: &mut Vec<Finding>) {
        for (_, read) in &subject.services {
            let at = (subject.namespace.to_owned(), read.name.to_string());
            found.extend(self.0.get(&at).into_iter().flatten().map(|way| way.finding(subject, &read.name)));
        }
    }
}

/// Whether Kaos itself reads it.
fn is_ours(route: &Value, objects: &Objects) -> bool {
    if look::kind(route) == "Ingress" {
        let class = look::text(route, "/spec/ingressClassName");
        let asked = asks(route) && look::annotation(route, TO_SERVICE) == "true";
        return asked || is_our_class(or(class, look::annotation(route, OLD_CLASS)), objects);
    }
    let parents = look::list(route, "/spec/parentRefs");
    !parents.is_empty()
        && parents.iter().all(|parent| {
            let namespace = or(look::text(parent, "/namespace"), look::namespace(route));
            let gateway = objects.get("Gateway", namespace, look::text(parent, "/name"));
            gateway.is_some_and(|gateway| look::text(gateway, "/spec/gatewayClassName") == CLASS)
        })
}

/// Whether Kaos is asked before a request goes this way.
fn asks(route: &Value) -> bool {
    look::annotation(route, ASKS).contains(GATE)
}

/// Whether a class of Ingresses is Kaos's; of no name is the one that is the cluster's default.
fn is_our_class(name: &str, objects: &Objects) -> bool {
    let mut classes = objects.every("IngressClass");
    let class = match name {
        "" => {
            classes.find(|one| look::annotation(one, "ingressclass.kubernetes.io/is-default-class") == "true")
        }
        name => classes.find(|one| look::name(one) == name),
    };
    class.map_or(name == CLASS, |class| look::text(class, "/spec/controller") == CONTROLLER)
}

fn or<'t>(text: &'t str, other: &'t str) -> &'t str {
    if text.is_empty() { other } else { text }
}

/// The Service that a backend names, with its namespace: `name`, `service`, or a host such as `shop.prod.svc`.
fn service(backend: &Value, namespace: &str) -> Option<(String, String)> {
    let kind = look::text(backend, "/kind");
    if !kind.is_empty() && kind != "Service" {
        return None;
    }
    let said = ["/name", "/service", "/host"].map(|member| look::text(backend, member));
    let said = said.into_iter().find(|text| !text.is_empty())?;
    let mut labels = said.split('.');
    let name = labels.next()?;
    let namespace = labels.next().unwrap_or(or(look::text(backend, "/namespace"), namespace));
    Some((namespace.to_owned(), name.to_owned()))
}

impl Way<'_> {
    fn finding(&self, subject: &Subject<'_>, service: &str) -> Finding {
        let hosts = self.hosts();
        let from = if hosts.is_empty() { String::new() } else { format!("{} goes to ", hosts.join(", ")) };
        if asks(self.route) {
            return self.asked_too_late(subject, service);
        }
        let finding = Finding::new(Verdict::Unsafe, Topic::WaysIn, "route")
            .at(look::called(self.route, subject.namespace), look::field(&self.pointer))
            .found(format!("{from}Service/{service}"))
            .why("requests go past Kaos: they neither wake it nor keep it awake, and asleep they fail");
        let Fix { say, paste } = self.fix(subject, &hosts);
        finding.fix(say, paste)
    }

    /// It asks Kaos, but not while there is nothing to send a request to.
    fn asked_too_late(&self, subject: &Subject<'_>, service: &str) -> Finding {
        let (name, namespace) = (look::name(self.route), look::namespace(self.route));
        Finding::new(Verdict::Unsafe, Topic::WaysIn, "route")
            .at(look::called(self.route, subject.namespace), look::field(&self.pointer))
            .found(format!("it asks Kaos, and goes to the endpoints of Service/{service}"))
            .why("ingress-nginx answers 503 before it asks while a Service has no endpoint, so asleep nothing wakes it")
            .fix(
                "let it go to the Service's own address".to_owned(),
                format!("kubectl annotate ingress {name} -n {namespace} {TO_SERVICE}=true --overwrite"),
            )
    }

    /// The hosts whose requests come this way, where that is easily told.
    fn hosts(&self) -> Vec<&str> {
        let rule = self.pointer.strip_prefix("/spec/rules/").and_then(|rest| rest.split('/').next());
        let rule =
            rule.map(|nth| look::text(self.route, &format!("/spec/rules/{nth}/host"))).unwrap_or_default();
        let one =
            [rule, look::text(self.route, "/spec/host"), look::text(self.route, "/spec/virtualhost/fqdn")];
        let several =
            ["/spec/hostnames", "/spec/hosts"].into_iter().flat_map(|at| look::list(self.route, at));
        one.into_iter().chain(several.filter_map(Value::as_str)).filter(|host| !host.is_empty()).collect()
    }

    fn fix(&self, subject: &Subject<'_>, hosts: &[&str]) -> Fix {
        let proxy = subject.proxy();
        let mut lines = self.send_on(subject.system);
        lines.extend(claim(subject, hosts));
        if look::kind(self.route) != "Ingress" {
            return Fix { say: format!("send it to {proxy}, and claim its host"), paste: lines.join("\n") };
        }
        // One way or the other: pasted as it is, this is the first.
        let other: String = lines.iter().map(|line| format!("\n# {line}")).collect();
        let class = self.change_class(subject.objects);
        Fix {
            say: format!("let Kaos serve it: change its class, and point its hosts at {proxy}"),
            paste: format!("{class}\n# or leave it as it is, and have it send requests to Kaos:{other}"),
        }
    }

    /// Commands that have a route send requests to the proxies of the Kaos in `system`; none where it isn't known how.
    fn send_on(&self, system: &str) -> Vec<String> {
        let (kind, name, namespace) =
            (look::kind(self.route), look::name(self.route), look::namespace(self.route));
        let step = |value: Value| {
            let step = json!({"op": "replace", "path": self.pointer, "value": value});
            let kind = kind.to_lowercase();
            format!("kubectl patch {kind} {name} -n {namespace} --type=json -p '[{step}]'")
        };
        match kind {
            "Ingress" => vec![
                format!(
                    "kubectl create service externalname kaos-proxy -n {namespace} --tcp=80 --external-name=kaos-proxy.{system}.svc.cluster.local"
                ),
                step(json!({"name": "kaos-proxy", "port": {"number": 80}})),
            ],
            "HTTPRoute" | "GRPCRoute" => vec![
                step(json!({"name": "kaos-proxy", "namespace": system, "port": 80})),
                grant(kind, namespace, system),
            ],
            _ => Vec::new(),
        }
    }

    /// A command that gives an Ingress the class that Kaos serves. Others go by the annotation first, so it goes.
    fn change_class(&self, objects: &Objects) -> String {
        let (name, namespace) = (look::name(self.route), look::namespace(self.route));
        let mut patch = json!({"spec": {"ingressClassName": our_class(objects)}});
        if !look::annotation(self.route, OLD_CLASS).is_empty() {
            patch["metadata"] = json!({"annotations": {OLD_CLASS: null}});
        }
        format!("kubectl patch ingress {name} -n {namespace} --type=merge -p '{patch}'")
    }
}

/// What the class that Kaos serves is called.
fn our_class(objects: &Objects) -> &str {
    let ours =
        objects.every("IngressClass").find(|class| look::text(class, "/spec/controller") == CONTROLLER);
    ours.map_or(CLASS, look::name)
}

/// What lets routes of one namespace name a Service of another.
fn grant(kind: &str, namespace: &str, system: &str) -> String {
    let grant = json!({
        "apiVersion": "gateway.networking.k8s.io/v1beta1", "kind": "ReferenceGrant",
        "metadata": {"name": format!("kaos-proxy-{namespace}"), "namespace": system},
        "spec": {
            "from": [{"group": "gateway.networking.k8s.io", "kind": kind, "namespace": namespace}],
            "to": [{"group": "", "kind": "Service", "name": "kaos-proxy"}],
        },
    });
    format!("kubectl apply -f - <<'EOF'\n{grant}\nEOF")
}

/// The annotation that claims these hosts beside those that it claims already; none if it does, or if there are none.
fn claim(subject: &Subject<'_>, hosts: &[&str]) -> Option<String> {
    let claimed = subject.annotation("kaos.dev/host");
    let claimed: Vec<&str> = claimed.split(',').map(str::trim).filter(|host| !host.is_empty()).collect();
    let mut all = claimed.clone();
    all.extend(hosts.iter().copied().filter(|host| *host != "*" && !claimed.contains(host)));
    (all.len() > claimed.len()).then(|| subject.annotate(&format!("kaos.dev/host={}", all.join(","))))
}
