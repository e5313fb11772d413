//! What people may set when they install the chart: one table, from which `values.yaml` and `values.schema.json` are made.

use std::fmt::Write;

use serde_json::{Map, Value, json};

use super::COMMAND;

/// One value.
pub(crate) struct Setting {
    /// Its place: a key, or two with a dot between them.
    pub(crate) path: String,
    /// Its default, as YAML: what the manifests have.
    pub(crate) default: &'static str,
    /// What is allowed, as a schema.
    allowed: Value,
    /// What it is, in whole sentences.
    doc: String,
}

/// A label of DNS, as names of namespaces are.
const LABEL: &str = "[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?";
/// Names of everything but `KAOS_…`, in an expression without a look ahead.
const FOREIGN: &str = "^([^K]|K[^A]|KA[^O]|KAO[^S]|KAOS[^_]|K$|KA$|KAO$|KAOS$)";

/// Settings of both parts that no other value sets, by their variables.
const BOTH: [&str; 1] = ["KAOS_LOG_FORMAT"];
/// Settings of the proxies.
const PROXY: [&str; 11] = [
    "KAOS_ACCESS_LOG_SAMPLE",
    "KAOS_DRAIN_TIMEOUT",
    "KAOS_ERROR_DETAIL",
    "KAOS_GATE_SETTLE",
    "KAOS_MAX_CONNECTIONS",
    "KAOS_MAX_CONNECTIONS_PER_CLIENT",
    "KAOS_MAX_HEADER_SIZE",
    "KAOS_PROXY_PROTOCOL",
    "KAOS_QUEUE_BYTES",
    "KAOS_SHUTDOWN_DELAY",
    "KAOS_TRUSTED_PROXIES",
];
/// Settings of the autoscalers.
const AUTOSCALER: [&str; 1] = ["KAOS_MAX_STARTING"];

/// All values, in the order in which they are told.
pub(crate) fn table() -> Vec<Setting> {
    let mut table = image();
    table.extend(cluster());
    table.extend(ways_in());
    table.extend(told());
    table.extend(part("proxy", "proxies", &PROXY));
    table.push(setting(
        "proxy.terminationGracePeriodSeconds",
        "45",
        json!({"type": "integer", "minimum": 1}),
        "What a proxy gets to end: longer than KAOS_SHUTDOWN_DELAY (5s) and KAOS_DRAIN_TIMEOUT (30s) together.",
    ));
    table.extend(part("autoscaler", "autoscalers", &AUTOSCALER));
    table
}

fn setting(
    path: impl Into<String>,
    default: &'static str,
    allowed: Value,
    doc: impl Into<String>,
) -> Setting {
    Setting { path: path.into(), default, allowed, doc: doc.into() }
}

/// What is run.
fn image() -> Vec<Setting> {
    let policies = json!({"enum": ["", "Always", "IfNotPresent", "Never"]});
    let tag = json!({"type": "string", "pattern": "^([A-Za-z0-9_][A-Za-z0-9._-]{0,127})?$"});
    let digest = json!({"type": "string", "pattern": "^(sha256:[0-9a-f]{64})?$"});
    let secrets = list(&format!("^{LABEL}(\\.{LABEL})*$"));
    vec![
        setting(
            "image.repository",
            "kaos",
            json!({"type": "string", "pattern": "^[a-z0-9][A-Za-z0-9._/:-]*[a-z0-9]$"}),
            "Image without its tag. Both together are `kaos install --image`.",
        ),
        setting("image.tag", "\"\"", tag, "Its tag; empty: the version of Kaos that the chart is of."),
        setting(
            "image.digest",
            "\"\"",
            digest,
            "Its digest, sha256:…; empty: the tag alone says which it is.",
        ),
        setting(
            "image.pullPolicy",
            "\"\"",
            policies,
            "When it is pulled; empty: as the cluster does by itself.",
        ),
        setting("image.pullSecrets", "[]", secrets, "Names of Secrets with which it is pulled."),
    ]
}

/// What is served, and to whom.
fn cluster() -> Vec<Setting> {
    let domain = json!({"type": "string", "maxLength": 253, "pattern": format!("^{LABEL}(\\.{LABEL})*$")});
    let allowed = list(&format!("^{LABEL}=(\\*\\.)?{LABEL}(\\.{LABEL})*$"));
    vec![
        setting(
            "domain",
            "localhost",
            domain.clone(),
            "Domain of inferred hosts, NAME.NAMESPACE.DOMAIN: `kaos install --domain`.",
        ),
        setting("clusterDomain", "cluster.local", domain, "Domain of the cluster's own names."),
        setting(
            "anyHost",
            "true",
            json!({"type": "boolean"}),
            "Whether every namespace may claim every host: for clusters of one tenant.",
        ),
        setting(
            "allowHosts",
            "[]",
            allowed,
            "NAMESPACE=SUFFIX: lets a namespace claim hosts below a suffix. Only with anyHost false.",
        ),
        setting(
            "namespaces",
            "[]",
            list(&format!("^{LABEL}$")),
            "Namespaces that are served, with no right in any other and without a ClusterRole; empty: all.",
        ),
    ]
}

/// How requests come in.
fn ways_in() -> Vec<Setting> {
    let mut secrets = list(&format!("^{LABEL}/{LABEL}(\\.{LABEL})*$"));
    secrets["maxItems"] = json!(100);
    let boolean = json!({"type": "boolean"});
    let class = json!({"type": "string", "maxLength": 253, "pattern": format!("^({LABEL}(\\.{LABEL})*)?$")});
    vec![
        setting(
            "tls",
            "false",
            boolean.clone(),
            "Whether proxies take TLS, for certificates that Ingresses name: `kaos install --tls`. With tlsSecrets they do anyway.",
        ),
        setting(
            "tlsSecrets",
            "[]",
            secrets,
            "NAMESPACE/NAME of Secrets with certificates for TLS: `kaos install --tls-secret`.",
        ),
        setting(
            "gate",
            "false",
            boolean.clone(),
            "Whether other proxies may ask, at the Service kaos-gate, whether a request may go that they send on by themselves; \
             from namespaces with the label kaos.dev/gate: \"true\". `kaos install --gate`.",
        ),
        setting(
            "ingressClass.enabled",
            "true",
            boolean.clone(),
            "Whether the IngressClass is made; false where it is there already, or isn't yours to make.",
        ),
        setting(
            "ingressClass.name",
            "\"\"",
            class.clone(),
            "Its name, and the one class that is served. Empty: it is kaos, and without namespaces all of the controller \
             kaos.dev/ingress are served.",
        ),
        setting(
            "ingressClass.default",
            "false",
            boolean.clone(),
            "Whether Ingresses that name no class are of this one.",
        ),
        setting(
            "gatewayClass.enabled",
            "false",
            boolean,
            "Whether the GatewayClass is made; only where Gateway API is installed.",
        ),
        setting(
            "gatewayClass.name",
            "\"\"",
            class,
            "Its name, and the one class that is served. Empty: it is kaos, and without namespaces all of the controller \
             kaos.dev/gateway are served.",
        ),
        setting(
            "service.type",
            "ClusterIP",
            json!({"enum": ["ClusterIP", "NodePort", "LoadBalancer"]}),
            "Type of the Service kaos-proxy, to which requests go.",
        ),
        setting("service.annotations", "{}", words(), "Its annotations, as load balancers want them."),
    ]
}

/// What is told of what happens.
fn told() -> Vec<Setting> {
    vec![
        setting(
            "logLevel",
            "info",
            json!({"enum": ["error", "warn", "info", "debug", "trace"]}),
            "Least level that is logged.",
        ),
        setting(
            "accessLog",
            "\"\"",
            json!({"enum": ["", "json", "combined"]}),
            "Form of the line that a proxy writes for each request; empty: none is written.",
        ),
        setting(
            "externalMetrics",
            "false",
            json!({"type": "boolean"}),
            "Whether HorizontalPodAutoscalers may ask for the load of workloads: in clusters where nobody else serves external metrics. \
             `kaos install --external-metrics`.",
        ),
        setting(
            "podMonitor.enabled",
            "false",
            json!({"type": "boolean"}),
            "Whether there is a PodMonitor, for clusters with the Prometheus operator.",
        ),
        setting(
            "podMonitor.labels",
            "{}",
            words(),
            "More labels of it, by which a Prometheus finds what it scrapes.",
        ),
    ]
}

/// What the two Deployments have alike. `many` is what its pods are called.
fn part(name: &str, many: &str, settings: &[&'static str]) -> Vec<Setting> {
    let quantities = json!({"type": "object", "additionalProperties": {"type": ["string", "number"]}});
    let claims = json!({"type": "array", "items": {"type": "object"}});
    let resources = json!({
        "type": "object",
        "additionalProperties": false,
        "properties": {"requests": quantities, "limits": quantities, "claims": claims},
    });
    let variables = BOTH.iter().chain(settings).map(|name| ((*name).to_owned(), json!({"type": "string"})));
    let env = json!({
        "type": "object",
        "additionalProperties": false,
        "properties": variables.collect::<Map<_, _>>(),
        "patternProperties": {FOREIGN: {"type": "string"}},
    });
    let one =
        |key: &str, default, allowed, doc: String| setting(format!("{name}.{key}"), default, allowed, doc);
    vec![
        one("replicas", "2", json!({"type": "integer", "minimum": 1}), format!("How many {many} run.")),
        one(
            "resources",
            "requests:\n  cpu: 100m\n  memory: 64Mi\nlimits:\n  memory: 512Mi",
            resources,
            format!("What each of the {many} asks for, and may take at most."),
        ),
        one(
            "env",
            "{}",
            env,
            format!(
                "Variables of the {many}, as text: settings of `kaos {name} --help` that no other value sets, and others."
            ),
        ),
        one("nodeSelector", "{}", words(), format!("Labels of the nodes on which the {many} run.")),
        one(
            "tolerations",
            "[]",
            json!({"type": "array", "items": {"type": "object"}}),
            format!("Taints of nodes that the {many} tolerate."),
        ),
        one(
            "affinity",
            "{}",
            json!({"type": "object"}),
            format!("Beside which nodes and pods the {many} run, or never do."),
        ),
    ]
}

/// A list of texts that match a pattern, each once.
fn list(pattern: &str) -> Value {
    json!({"type": "array", "uniqueItems": true, "items": {"type": "string", "pattern": pattern}})
}

/// Texts by their names.
fn words() -> Value {
    json!({"type": "object", "additionalProperties": {"type": "string"}})
}

/// `values.yaml`.
pub(crate) fn page(table: &[Setting]) -> String {
    let mut page = format!(
        "# What may be set, with its default. Generated by `{COMMAND}`. Don't edit: `--set` and files after `-f` say what\n\
         # should be otherwise, and what isn't in here is refused.\n"
    );
    let mut group = "";
    for setting in table {
        let (within, key) = setting.path.split_once('.').unwrap_or(("", &setting.path));
        let pad = if within.is_empty() { "" } else { "  " };
        // Writing to a String can't fail.
        if within != group && !within.is_empty() {
            let _ = write!(page, "\n{within}:\n");
        } else if within.is_empty() {
            page.push('\n');
        }
        group = within;
        let _ = writeln!(page, "{pad}# {}", setting.doc);
        let _ = match setting.default.contains('\n') {
            true => writeln!(page, "{pad}{key}:\n{}", indented(setting.default, pad.len() + 2)),
            false => writeln!(page, "{pad}{key}: {}", setting.default),
        };
    }
    page
}

/// `values.schema.json`: whatever isn't in the table is refused. Draft 7 is what every Helm 3 and 4 reads.
pub(crate) fn schema(table: &[Setting]) -> Result<String, String> {
    let mut root = object("What may be set when Kaos is installed.");
    for Setting { path, default, allowed, doc } in table {
        let mut one = allowed.clone();
        one["description"] = json!(doc);
        one["default"] = serde_saphyr::from_str(default).map_err(|error| format!("{path}: {error}"))?;
        let (within, key) = match path.split_once('.') {
            Some((group, key)) => {
                let groups = &mut root["properties"];
                if groups[group].is_null() {
                    require(&mut root, group, object(&format!("Values `{group}.…`.")));
                }
                (&mut root["properties"][group], key)
            }
            None => (&mut root, path.as_str()),
        };
        require(within, key, one);
    }
    root["$schema"] = json!("http://json-schema.org/draft-07/schema#");
    root["$comment"] = json!(format!("Generated by `{COMMAND}`. Don't edit."));
    // A chart that has this one among its own hands its `global` to it.
    root["properties"]["global"] = json!({"type": "object", "description": "What a chart above this one tells all of its charts: unused here."});
    serde_json::to_string_pretty(&root).map(|text| text + "\n").map_err(|error| error.to_string())
}

fn object(doc: &str) -> Value {
    json!({"type": "object", "description": doc, "additionalProperties": false, "required": [], "properties": {}})
}

/// A property that must be there: `null` takes a default away, and there is no other.
fn require(within: &mut Value, key: &str, one: Value) {
    within["properties"][key] = one;
    if let Some(required) = within["required"].as_array_mut() {
        required.push(json!(key));
    }
}

/// `text` with each line `by` spaces further to the right.
pub(crate) fn indented(text: &str, by: usize) -> String {
    let lines: Vec<String> = text.lines().map(|line| format!("{:by$}{line}", "")).collect();
    lines.join("\n")
}
