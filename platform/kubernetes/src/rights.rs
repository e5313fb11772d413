//! Every right that Kaos uses, in one place: what it asks of the API server names one of these, and the manifests grant
//! these and no others.
//!
//! None of them changes what a workload runs, reads a Secret that wasn't named, or makes an object whose name isn't known
//! beforehand, but for Events.

use std::fmt;

/// One verb on one resource, as roles name them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Right {
    /// Such as `patch`.
    pub verb: &'static str,
    /// Such as `apps`; empty for the core group.
    pub group: &'static str,
    /// In the plural, with its subresource: `deployments/scale`.
    pub resource: &'static str,
}

/// Without the group: people know where Deployments are.
impl fmt::Display for Right {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{} {}", self.verb, self.resource)
    }
}

const fn right(verb: &'static str, group: &'static str, resource: &'static str) -> Right {
    Right { verb, group, resource }
}

/// What the cluster is read by: every proxy and every autoscaler. What is watched is listed first.
pub const READ: [Right; 24] = [
    right("list", "apps", "deployments"),
    right("watch", "apps", "deployments"),
    right("list", "apps", "statefulsets"),
    right("watch", "apps", "statefulsets"),
    right("list", "", "services"),
    right("watch", "", "services"),
    LIST_PODS,
    right("watch", "", "pods"),
    right("list", "discovery.k8s.io", "endpointslices"),
    right("watch", "discovery.k8s.io", "endpointslices"),
    right("list", "networking.k8s.io", "ingresses"),
    right("watch", "networking.k8s.io", "ingresses"),
    right("list", GATEWAY, "gateways"),
    right("watch", GATEWAY, "gateways"),
    right("list", GATEWAY, "httproutes"),
    right("watch", GATEWAY, "httproutes"),
    right("list", GATEWAY, "referencegrants"),
    right("watch", GATEWAY, "referencegrants"),
    LIST_CLASSES,
    WATCH_CLASSES,
    LIST_GATEWAY_CLASSES,
    WATCH_GATEWAY_CLASSES,
    LIST_NAMESPACES,
    WATCH_NAMESPACES,
];

/// Those of [`READ`] that are about no namespace: a role of one can't give them, and who is told the classes needs none.
pub const READ_CLASSES: [Right; 6] = [
    LIST_CLASSES,
    WATCH_CLASSES,
    LIST_GATEWAY_CLASSES,
    WATCH_GATEWAY_CLASSES,
    LIST_NAMESPACES,
    WATCH_NAMESPACES,
];

/// What is found out by where requests come in: the proxies' Service, by its name, in Kaos's own namespace. Proxies and autoscalers.
pub const ENTRY: [Right; 2] = [right("list", "", "services"), right("watch", "", "services")];

/// What proxies are found by, in Kaos's own namespace: proxies and autoscalers.
pub const PEERS: [Right; 2] = [
    right("list", "discovery.k8s.io", "endpointslices"),
    right("watch", "discovery.k8s.io", "endpointslices"),
];

/// What proxies read the certificates by that they are told to, and autoscalers those that Gateways name; each Secret by its name. Where none is named there is no
/// right to any.
pub const SECRETS: [Right; 2] = [right("list", "", "secrets"), right("watch", "", "secrets")];

/// What autoscalers find out by who else decides on counts.
pub const READ_SCALERS: [Right; 2] =
    [LIST_SCALERS, right("watch", "autoscaling", "horizontalpodautoscalers")];

/// What autoscalers do to workloads and routes, beside reading.
pub const SCALE: [Right; 12] = [
    GET_DEPLOYMENT,
    GET_SCALE,
    PATCH_SCALE,
    PATCH_STATUS,
    GET_STATEFULSET,
    GET_STATEFULSET_SCALE,
    PATCH_STATEFULSET_SCALE,
    PATCH_STATEFULSET_STATUS,
    CREATE_EVENT,
    PATCH_INGRESS_STATUS,
    PATCH_GATEWAY_STATUS,
    PATCH_ROUTE_STATUS,
];

/// What autoscalers do to classes of Gateways, which are in no namespace.
pub const TELL_CLASSES: [Right; 1] = [PATCH_GATEWAY_CLASS_STATUS];

/// What autoscalers choose the pods that go by. It can be left out.
pub const CHOOSE: [Right; 1] = [PATCH_POD_STATUS];

/// What autoscalers know the API server by that asks them for external metrics: one ConfigMap, by its name, in `kube-system`. A role that every
/// cluster has gives it.
pub const FRONT: [Right; 2] = [right("list", "", "configmaps"), right("watch", "", "configmaps")];

/// What autoscalers do to the Lease, by its name.
pub const LEAD: [Right; 2] = [GET_LEASE, UPDATE_LEASE];

/// What autoscalers do to the ConfigMaps where counts and what was learned are kept, by their names.
pub const KEEP: [Right; 2] = [GET_CONFIGMAP, PATCH_CONFIGMAP];

const GATEWAY: &str = "gateway.networking.k8s.io";
const LIST_CLASSES: Right = right("list", "networking.k8s.io", "ingressclasses");
const WATCH_CLASSES: Right = right("watch", "networking.k8s.io", "ingressclasses");
const LIST_GATEWAY_CLASSES: Right = right("list", GATEWAY, "gatewayclasses");
const WATCH_GATEWAY_CLASSES: Right = right("watch", GATEWAY, "gatewayclasses");
const LIST_NAMESPACES: Right = right("list", "", "namespaces");
const WATCH_NAMESPACES: Right = right("watch", "", "namespaces");
pub(crate) const PATCH_GATEWAY_CLASS_STATUS: Right = right("patch", GATEWAY, "gatewayclasses/status");
pub(crate) const PATCH_GATEWAY_STATUS: Right = right("patch", GATEWAY, "gateways/status");
pub(crate) const PATCH_ROUTE_STATUS: Right = right("patch", GATEWAY, "httproutes/status");
pub(crate) const PATCH_INGRESS_STATUS: Right = right("patch", "networking.k8s.io", "ingresses/status");
pub(crate) const LIST_PODS: Right = right("list", "", "pods");
pub(crate) const PATCH_POD_STATUS: Right = right("patch", "", "pods/status");
pub(crate) const GET_DEPLOYMENT: Right = right("get", "apps", "deployments");
pub(crate) const GET_SCALE: Right = right("get", "apps", "deployments/scale");
pub(crate) const PATCH_SCALE: Right = right("patch", "apps", "deployments/scale");
pub(crate) const PATCH_STATUS: Right = right("patch", "apps", "deployments/status");
pub(crate) const LIST_SCALERS: Right = right("list", "autoscaling", "horizontalpodautoscalers");
pub(crate) const GET_STATEFULSET: Right = right("get", "apps", "statefulsets");
pub(crate) const GET_STATEFULSET_SCALE: Right = right("get", "apps", "statefulsets/scale");
pub(crate) const PATCH_STATEFULSET_SCALE: Right = right("patch", "apps", "statefulsets/scale");
pub(crate) const PATCH_STATEFULSET_STATUS: Right = right("patch", "apps", "statefulsets/status");
/// On the scale of what a workload's `scale-target` names: given by users, kind by kind.
pub(crate) const TARGET_SCALE: Right = right("get and patch", "*", "scales of scale-targets");
/// What kinds there are: every account has it.
pub(crate) const DISCOVER: Right = right("get", "", "discovery");
pub(crate) const CREATE_EVENT: Right = right("create", "events.k8s.io", "events");
pub(crate) const GET_LEASE: Right = right("get", "coordination.k8s.io", "leases");
pub(crate) const UPDATE_LEASE: Right = right("update", "coordination.k8s.io", "leases");
pub(crate) const GET_CONFIGMAP: Right = right("get", "", "configmaps");
pub(crate) const PATCH_CONFIGMAP: Right = right("patch", "", "configmaps");
