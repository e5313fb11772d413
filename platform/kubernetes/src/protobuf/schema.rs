//! The numbers of the fields that are read, by the `generated.proto` of k8s.io/api and k8s.io/apimachinery: they never
//! change their meaning.

/// A kind of messages, as far as it is read.
#[derive(Debug)]
pub(crate) struct Message {
    pub(super) fields: &'static [Field],
    /// Whether a member `sum` is to change with anything in it, what isn't read included.
    pub(super) sum: bool,
}

/// One field that is read.
#[derive(Debug)]
pub(super) struct Field {
    pub(super) number: u32,
    /// Its name in JSON.
    pub(super) name: &'static str,
    pub(super) kind: Kind,
}

/// What a field is.
#[derive(Clone, Copy, Debug)]
pub(super) enum Kind {
    Text,
    /// Left out at zero.
    Number,
    /// A number that may be missing: zero is something that was said.
    Pointer,
    Flag,
    Time,
    NumberOrText,
    /// A message of one field, which is JSON already.
    Json,
    Message(&'static Message),
    /// A message whose fields are, in JSON, those of the one it is in.
    Inline(&'static Message),
    Texts,
    Map,
    Messages(&'static Message),
}

impl Kind {
    /// Whether there may be several.
    pub(super) fn repeats(self) -> bool {
        matches!(self, Kind::Texts | Kind::Map | Kind::Messages(_))
    }
}

const fn field(number: u32, name: &'static str, kind: Kind) -> Field {
    Field { number, name, kind }
}

const fn text(number: u32, name: &'static str) -> Field {
    field(number, name, Kind::Text)
}

const fn message(fields: &'static [Field]) -> Message {
    Message { fields, sum: false }
}

const OWNER: Message = message(&[text(1, "kind"), text(3, "name"), text(5, "apiVersion")]);

const WRITER: Message = message(&[
    text(1, "manager"),
    field(4, "time", Kind::Time),
    field(7, "fieldsV1", Kind::Json),
    text(8, "subresource"),
]);

const META: Message = message(&[
    text(1, "name"),
    text(3, "namespace"),
    text(5, "uid"),
    text(6, "resourceVersion"),
    field(7, "generation", Kind::Number),
    field(8, "creationTimestamp", Kind::Time),
    field(9, "deletionTimestamp", Kind::Time),
    field(11, "labels", Kind::Map),
    field(12, "annotations", Kind::Map),
    field(13, "ownerReferences", Kind::Messages(&OWNER)),
    field(17, "managedFields", Kind::Messages(&WRITER)),
]);

/// Of a list itself.
pub(super) const LIST_META: Message = message(&[text(2, "resourceVersion"), text(3, "continue")]);

/// What is answered instead of what was asked for.
pub(crate) const STATUS: Message =
    message(&[text(2, "status"), text(3, "message"), text(4, "reason"), field(6, "code", Kind::Number)]);

const REQUIREMENT: Message = message(&[text(1, "key"), text(2, "operator"), field(3, "values", Kind::Texts)]);

const SELECTOR: Message = message(&[
    field(1, "matchLabels", Kind::Map),
    field(2, "matchExpressions", Kind::Messages(&REQUIREMENT)),
]);

const PORT: Message =
    message(&[text(1, "name"), field(3, "containerPort", Kind::Number), text(4, "protocol")]);

const HEADER: Message = message(&[text(1, "name"), text(2, "value")]);

const HTTP_GET: Message = message(&[
    text(1, "path"),
    field(2, "port", Kind::NumberOrText),
    text(3, "host"),
    text(4, "scheme"),
    field(5, "httpHeaders", Kind::Messages(&HEADER)),
]);

const TCP_SOCKET: Message = message(&[field(1, "port", Kind::NumberOrText), text(2, "host")]);

const GRPC: Message = message(&[field(1, "port", Kind::Number), text(2, "service")]);

const HANDLER: Message = message(&[
    field(2, "httpGet", Kind::Message(&HTTP_GET)),
    field(3, "tcpSocket", Kind::Message(&TCP_SOCKET)),
    field(4, "grpc", Kind::Message(&GRPC)),
]);

const PROBE: Message = message(&[
    field(1, "", Kind::Inline(&HANDLER)),
    field(3, "timeoutSeconds", Kind::Number),
    field(5, "successThreshold", Kind::Number),
]);

const CONTAINER: Message = message(&[
    text(1, "name"),
    field(6, "ports", Kind::Messages(&PORT)),
    field(11, "readinessProbe", Kind::Message(&PROBE)),
    field(22, "startupProbe", Kind::Message(&PROBE)),
    text(24, "restartPolicy"),
]);

const GATE: Message = message(&[]);

const POD_TEMPLATE_SPEC: Message = message(&[
    field(2, "containers", Kind::Messages(&CONTAINER)),
    field(20, "initContainers", Kind::Messages(&CONTAINER)),
    field(28, "readinessGates", Kind::Messages(&GATE)),
]);

const LABELS: Message = message(&[field(11, "labels", Kind::Map)]);

const POD_TEMPLATE: Message = Message {
    fields: &[
        field(1, "metadata", Kind::Message(&LABELS)),
        field(2, "spec", Kind::Message(&POD_TEMPLATE_SPEC)),
    ],
    sum: true,
};

const DEPLOYMENT_SPEC: Message = message(&[
    field(1, "replicas", Kind::Pointer),
    field(2, "selector", Kind::Message(&SELECTOR)),
    field(3, "template", Kind::Message(&POD_TEMPLATE)),
]);

const DEPLOYMENT_CONDITION: Message =
    message(&[text(1, "type"), text(2, "status"), text(4, "reason"), text(5, "message")]);

const DEPLOYMENT_STATUS: Message = message(&[
    field(1, "observedGeneration", Kind::Number),
    field(2, "replicas", Kind::Number),
    field(3, "updatedReplicas", Kind::Number),
    field(6, "conditions", Kind::Messages(&DEPLOYMENT_CONDITION)),
]);

/// `apps/v1` Deployment.
pub(crate) const DEPLOYMENT: Message = message(&[
    field(1, "metadata", Kind::Message(&META)),
    field(2, "spec", Kind::Message(&DEPLOYMENT_SPEC)),
    field(3, "status", Kind::Message(&DEPLOYMENT_STATUS)),
]);

const STATEFUL_SET_STATUS: Message = message(&[
    field(1, "observedGeneration", Kind::Number),
    field(2, "replicas", Kind::Number),
    field(5, "updatedReplicas", Kind::Number),
    field(10, "conditions", Kind::Messages(&DEPLOYMENT_CONDITION)),
]);

/// `apps/v1` StatefulSet: what is read of its spec has the numbers that it has in a Deployment's.
pub(crate) const STATEFUL_SET: Message = message(&[
    field(1, "metadata", Kind::Message(&META)),
    field(2, "spec", Kind::Message(&DEPLOYMENT_SPEC)),
    field(3, "status", Kind::Message(&STATEFUL_SET_STATUS)),
]);

const SERVICE_PORT: Message = message(&[
    text(1, "name"),
    text(2, "protocol"),
    field(3, "port", Kind::Number),
    field(4, "targetPort", Kind::NumberOrText),
    text(6, "appProtocol"),
]);

const SERVICE_SPEC: Message = message(&[
    field(1, "ports", Kind::Messages(&SERVICE_PORT)),
    field(2, "selector", Kind::Map),
    text(3, "clusterIP"),
    text(4, "type"),
]);

/// `v1` Service.
pub(crate) const SERVICE: Message =
    message(&[field(1, "metadata", Kind::Message(&META)), field(2, "spec", Kind::Message(&SERVICE_SPEC))]);

const CONDITIONS: Message = message(&[field(1, "ready", Kind::Flag), field(3, "terminating", Kind::Flag)]);

const TARGET: Message = message(&[text(1, "kind"), text(2, "namespace"), text(3, "name"), text(4, "uid")]);

const ENDPOINT: Message = message(&[
    field(1, "addresses", Kind::Texts),
    field(2, "conditions", Kind::Message(&CONDITIONS)),
    field(4, "targetRef", Kind::Message(&TARGET)),
]);

const SLICE_PORT: Message = message(&[text(1, "name"), text(2, "protocol"), field(3, "port", Kind::Pointer)]);

/// `discovery.k8s.io/v1` EndpointSlice.
pub(crate) const SLICE: Message = message(&[
    field(1, "metadata", Kind::Message(&META)),
    field(2, "endpoints", Kind::Messages(&ENDPOINT)),
    field(3, "ports", Kind::Messages(&SLICE_PORT)),
    text(4, "addressType"),
]);

const BACKEND_PORT: Message = message(&[text(1, "name"), field(2, "number", Kind::Number)]);

const SERVICE_BACKEND: Message = message(&[text(1, "name"), field(2, "port", Kind::Message(&BACKEND_PORT))]);

const RESOURCE_BACKEND: Message = message(&[text(2, "kind")]);

const BACKEND: Message = message(&[
    field(3, "resource", Kind::Message(&RESOURCE_BACKEND)),
    field(4, "service", Kind::Message(&SERVICE_BACKEND)),
]);

const HTTP_PATH: Message =
    message(&[text(1, "path"), field(2, "backend", Kind::Message(&BACKEND)), text(3, "pathType")]);

const HTTP_RULE: Message = message(&[field(1, "paths", Kind::Messages(&HTTP_PATH))]);

const RULE_VALUE: Message = message(&[field(1, "http", Kind::Message(&HTTP_RULE))]);

const INGRESS_RULE: Message = message(&[text(1, "host"), field(2, "", Kind::Inline(&RULE_VALUE))]);

const INGRESS_TLS: Message = message(&[field(1, "hosts", Kind::Texts), text(2, "secretName")]);

const INGRESS_SPEC: Message = message(&[
    field(1, "defaultBackend", Kind::Message(&BACKEND)),
    field(2, "tls", Kind::Messages(&INGRESS_TLS)),
    field(3, "rules", Kind::Messages(&INGRESS_RULE)),
    text(4, "ingressClassName"),
]);

const BALANCER_POINT: Message = message(&[text(1, "ip"), text(2, "hostname")]);

const BALANCER_STATUS: Message = message(&[field(1, "ingress", Kind::Messages(&BALANCER_POINT))]);

const INGRESS_STATUS: Message = message(&[field(1, "loadBalancer", Kind::Message(&BALANCER_STATUS))]);

/// `networking.k8s.io/v1` Ingress.
pub(crate) const INGRESS: Message = message(&[
    field(1, "metadata", Kind::Message(&META)),
    field(2, "spec", Kind::Message(&INGRESS_SPEC)),
    field(3, "status", Kind::Message(&INGRESS_STATUS)),
]);

const CLASS_SPEC: Message = message(&[text(1, "controller")]);

/// `networking.k8s.io/v1` IngressClass.
pub(crate) const INGRESS_CLASS: Message =
    message(&[field(1, "metadata", Kind::Message(&META)), field(2, "spec", Kind::Message(&CLASS_SPEC))]);

const POD_SPEC: Message = message(&[field(2, "containers", Kind::Messages(&CONTAINER))]);

const POD_CONDITION: Message =
    message(&[text(1, "type"), text(2, "status"), text(5, "reason"), text(6, "message")]);

const WAITING: Message = message(&[text(1, "reason"), text(2, "message")]);

const TERMINATED: Message = message(&[field(1, "exitCode", Kind::Number)]);

const STATE: Message = message(&[
    field(1, "waiting", Kind::Message(&WAITING)),
    field(3, "terminated", Kind::Message(&TERMINATED)),
]);

const CONTAINER_STATUS: Message = message(&[
    text(1, "name"),
    field(2, "state", Kind::Message(&STATE)),
    field(3, "lastState", Kind::Message(&STATE)),
    field(5, "restartCount", Kind::Number),
    text(6, "image"),
]);

const POD_STATUS: Message = message(&[
    text(1, "phase"),
    field(2, "conditions", Kind::Messages(&POD_CONDITION)),
    text(6, "podIP"),
    field(8, "containerStatuses", Kind::Messages(&CONTAINER_STATUS)),
    field(10, "initContainerStatuses", Kind::Messages(&CONTAINER_STATUS)),
    text(11, "nominatedNodeName"),
]);

/// `v1` Pod.
pub(crate) const POD: Message = message(&[
    field(1, "metadata", Kind::Message(&META)),
    field(2, "spec", Kind::Message(&POD_SPEC)),
    field(3, "status", Kind::Message(&POD_STATUS)),
]);
