//! The kinds of objects that are looked at: where they are asked for, what they tell, and where they name Services.

use super::finding::Topic;

/// A kind.
#[derive(Debug)]
pub(crate) struct Kind {
    pub(crate) kind: &'static str,
    /// What it is called among [`Objects`](super::Objects): its kind, unless another group has that too.
    pub(crate) kept: &'static str,
    pub(crate) plural: &'static str,
    /// Empty for the core group.
    pub(crate) group: &'static str,
    /// Those that are asked for, until one is served.
    pub(crate) versions: &'static [&'static str],
    pub(crate) topic: Topic,
    /// Where it names Services that it sends requests to: patterns.
    pub(crate) services: &'static [&'static str],
    pub(crate) place: Place,
}

/// Where objects of a kind are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Place {
    /// In the namespace of what they tell of.
    Beside,
    /// In any namespace. Asked for only if something says that there are some.
    Elsewhere,
    /// In none.
    Cluster,
}

const fn kind(
    named: &'static str,
    plural: &'static str,
    group: &'static str,
    versions: &'static [&'static str],
    topic: Topic,
) -> Kind {
    let (kind, kept) = (named, named);
    Kind { kind, kept, plural, group, versions, topic, services: &[], place: Place::Beside }
}

const fn route(
    named: &'static str,
    plural: &'static str,
    group: &'static str,
    versions: &'static [&'static str],
    services: &'static [&'static str],
) -> Kind {
    Kind { services, ..kind(named, plural, group, versions, Topic::WaysIn) }
}

const GATEWAY: &str = "gateway.networking.k8s.io";

/// All that may speak against a sleep; the first is what is asked about.
pub(crate) const KINDS: [Kind; 25] = [
    kind("Deployment", "deployments", "apps", &["v1"], Topic::Adoption),
    kind("Service", "services", "", &["v1"], Topic::WaysIn),
    route(
        "Ingress",
        "ingresses",
        "networking.k8s.io",
        &["v1"],
        &["spec/defaultBackend/service", "spec/rules/*/http/paths/*/backend/service"],
    ),
    route("HTTPRoute", "httproutes", GATEWAY, &["v1", "v1beta1"], &["spec/rules/*/backendRefs/*"]),
    route("GRPCRoute", "grpcroutes", GATEWAY, &["v1", "v1alpha2"], &["spec/rules/*/backendRefs/*"]),
    route("TLSRoute", "tlsroutes", GATEWAY, &["v1", "v1alpha3", "v1alpha2"], &["spec/rules/*/backendRefs/*"]),
    route("TCPRoute", "tcproutes", GATEWAY, &["v1", "v1alpha2"], &["spec/rules/*/backendRefs/*"]),
    route("IngressRoute", "ingressroutes", "traefik.io", &["v1alpha1"], &["spec/routes/*/services/*"]),
    route(
        "HTTPProxy",
        "httpproxies",
        "projectcontour.io",
        &["v1"],
        &["spec/routes/*/services/*", "spec/tcpproxy/services/*"],
    ),
    route("Route", "routes", "route.openshift.io", &["v1"], &["spec/to", "spec/alternateBackends/*"]),
    route(
        "VirtualService",
        "virtualservices",
        "networking.istio.io",
        &["v1", "v1beta1"],
        &[
            "spec/http/*/route/*/destination",
            "spec/tls/*/route/*/destination",
            "spec/tcp/*/route/*/destination",
        ],
    ),
    route("InterceptorRoute", "interceptorroutes", "http.keda.sh", &["v1beta1"], &["spec/target"]),
    kind("NetworkPolicy", "networkpolicies", "networking.k8s.io", &["v1"], Topic::WaysIn),
    kind("HorizontalPodAutoscaler", "horizontalpodautoscalers", "autoscaling", &["v2", "v1"], Topic::Count),
    kind("ScaledObject", "scaledobjects", "keda.sh", &["v1alpha1"], Topic::Count),
    kind("HTTPScaledObject", "httpscaledobjects", "http.keda.sh", &["v1alpha1"], Topic::Count),
    kind("PersistentVolumeClaim", "persistentvolumeclaims", "", &["v1"], Topic::Volumes),
    kind("StatefulSet", "statefulsets", "apps", &["v1"], Topic::Program),
    kind("DaemonSet", "daemonsets", "apps", &["v1"], Topic::Program),
    kind("CronJob", "cronjobs", "batch", &["v1"], Topic::Program),
    kind("ConfigMap", "configmaps", "", &["v1"], Topic::Program),
    Kind {
        place: Place::Elsewhere,
        ..kind("Application", "applications", "argoproj.io", &["v1alpha1"], Topic::Count)
    },
    Kind {
        place: Place::Elsewhere,
        ..kind("HelmRelease", "helmreleases", "helm.toolkit.fluxcd.io", &["v2"], Topic::Count)
    },
    Kind {
        place: Place::Cluster,
        ..kind("IngressClass", "ingressclasses", "networking.k8s.io", &["v1"], Topic::Adoption)
    },
    kind("Gateway", "gateways", GATEWAY, &["v1", "v1beta1"], Topic::Adoption),
];

/// What else other scalers are told by.
pub(crate) const OTHERS: [Kind; 3] = [
    Kind {
        kept: "KnativeService",
        ..kind("Service", "services", "serving.knative.dev", &["v1"], Topic::Count)
    },
    kind("DomainMapping", "domainmappings", "serving.knative.dev", &["v1beta1", "v1alpha1"], Topic::WaysIn),
    kind("Middleware", "middlewares", "traefik.io", &["v1alpha1"], Topic::WaysIn),
];

/// The kind of this name, of whatever version.
pub(crate) fn find(named: &str, group: &str) -> Option<&'static Kind> {
    KINDS.iter().chain(&OTHERS).find(|kind| kind.kind == named && kind.group == group)
}

impl Kind {
    /// As `kubectl` takes it: `httproutes.gateway.networking.k8s.io`.
    pub(crate) fn resource(&self) -> String {
        if self.group.is_empty() { self.plural.to_owned() } else { format!("{}.{}", self.plural, self.group) }
    }

    /// Where it is asked for in this version; in every namespace if none is named.
    pub(crate) fn path(&self, version: &str, namespace: Option<&str>) -> String {
        let root = if self.group.is_empty() { "/api".to_owned() } else { format!("/apis/{}", self.group) };
        let within = namespace.map(|namespace| format!("namespaces/{namespace}/")).unwrap_or_default();
        format!("{root}/{version}/{within}{}", self.plural)
    }
}
