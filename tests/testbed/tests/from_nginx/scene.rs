//! Deployments with their Services, and Ingresses as people have written them for ingress-nginx.

use futures::{StreamExt, stream};
use kube::Client;
use serde_json::{Map, Value, json};

use crate::support::kaos::apply;

/// What the annotations of ingress-nginx begin with.
pub(crate) const NGINX: &str = "nginx.ingress.kubernetes.io";
/// Objects that are made at one time.
const AT_ONCE: usize = 16;

/// One Ingress, of one host.
pub(crate) struct Written {
    pub(crate) namespace: String,
    pub(crate) name: String,
    pub(crate) host: String,
    /// Without what all begin with.
    pub(crate) annotations: Vec<(&'static str, &'static str)>,
    /// Path, type, and Service.
    pub(crate) paths: Vec<(String, &'static str, String)>,
}

impl Written {
    /// Number `at` of all: in turn everything that is tried.
    pub(crate) fn new(namespace: &str, at: usize) -> Written {
        let (own, other) = (name(at), name(at ^ 1));
        let path = |path: &str, kind, service: &str| (path.to_owned(), kind, service.to_owned());
        let rest = path("/", "Prefix", &other);
        let all = path("/", "Prefix", &own);
        let (annotations, paths) = match at % 12 {
            0 => (vec![], vec![all]),
            1 => (vec![], vec![path("/api", "Prefix", &own), rest]),
            2 => (vec![], vec![path("/only", "Exact", &own), rest]),
            3 => (
                vec![],
                vec![path("/app", "ImplementationSpecific", &own), path("/app/deep/", "Prefix", &other)],
            ),
            4 => (
                vec![("use-regex", "true"), ("rewrite-target", "/$2")],
                vec![path("/svc(/|$)(.*)", "ImplementationSpecific", &own)],
            ),
            5 => (
                vec![("rewrite-target", "/new")],
                vec![path("/old", "Prefix", &own), path("/only", "Exact", &other)],
            ),
            6 => (vec![("force-ssl-redirect", "true")], vec![path("/api", "Prefix", &own)]),
            7 => (vec![("enable-cors", "true")], vec![all]),
            8 => (vec![("whitelist-source-range", "192.0.2.0/24, 2001:db8::/32")], vec![all]),
            9 => (vec![], vec![path("/", "ImplementationSpecific", &own)]),
            10 => (
                vec![("use-regex", "true")],
                vec![path("/v[0-9]+/(items|things)/", "ImplementationSpecific", &own), rest],
            ),
            _ => (vec![("proxy-body-size", "1k"), ("server-snippet", "# none")], vec![all]),
        };
        let host = if at % 12 == 9 { format!("*.{own}.test") } else { format!("{own}.test") };
        Written { namespace: namespace.to_owned(), name: own, host, annotations, paths }
    }

    /// What the annotation says, if anything.
    pub(crate) fn says(&self, name: &str) -> &str {
        self.annotations.iter().find(|(known, _)| *known == name).map_or("", |(_, value)| value)
    }

    /// A host that it is for.
    pub(crate) fn asked(&self) -> String {
        self.host.replace('*', "any")
    }

    async fn make(&self, client: &Client) {
        let (name, namespace) = (&self.name, &self.namespace);
        let (meta, labels) = (json!({"name": name, "namespace": namespace}), json!({"app": name}));
        let probe = json!({"httpGet": {"path": "/healthz", "port": "http"}, "periodSeconds": 1});
        let container = json!({"name": "app", "image": "registry.local/answer:1", "readinessProbe": probe,
            "ports": [{"containerPort": 8080, "name": "http"}]});
        let deployment = json!({"apiVersion": "apps/v1", "kind": "Deployment", "metadata": meta,
            "spec": {"selector": {"matchLabels": labels}, "template": {"metadata": {"labels": labels},
                "spec": {"containers": [container], "terminationGracePeriodSeconds": 1}}}});
        let service = json!({"apiVersion": "v1", "kind": "Service", "metadata": meta,
            "spec": {"selector": labels, "ports": [{"port": 80, "targetPort": "http"}]}});
        let annotations: Map<String, Value> =
            self.annotations.iter().map(|(name, value)| (format!("{NGINX}/{name}"), json!(value))).collect();
        let path = |(path, kind, service): &(String, &str, String)| json!({"path": path, "pathType": kind, "backend": {"service": {"name": service, "port": {"number": 80}}}});
        let paths: Vec<Value> = self.paths.iter().map(path).collect();
        let ingress = json!({"apiVersion": "networking.k8s.io/v1", "kind": "Ingress",
            "metadata": {"name": name, "namespace": namespace, "annotations": annotations},
            "spec": {"ingressClassName": "nginx", "rules": [{"host": self.host, "http": {"paths": paths}}]}});
        for object in [deployment, service, ingress] {
            apply(client, &object).await;
        }
    }
}

fn name(at: usize) -> String {
    format!("web-{at}")
}

/// Makes all that `all` need.
pub(crate) async fn make(client: &Client, all: &[Written]) {
    stream::iter(all).for_each_concurrent(AT_ONCE, |written| written.make(client)).await;
}
