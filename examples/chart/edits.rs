//! Where values stand in the manifests. Each edit names an object and a text that it has once.

use super::values::{Setting, indented};
use super::{CLASS, SYSTEM, VERSION, external, gate, tls};

/// `before`, which the object has once, becomes `after`.
pub(crate) struct Edit {
    pub(crate) kind: &'static str,
    pub(crate) name: &'static str,
    pub(crate) before: String,
    pub(crate) after: String,
}

fn edit(
    (kind, name): (&'static str, &'static str),
    before: impl Into<String>,
    after: impl Into<String>,
) -> Edit {
    Edit { kind, name, before: before.into(), after: after.into() }
}

/// The last line of every object's labels.
const LABELS: &str = "    app.kubernetes.io/part-of: kaos\nspec:\n";

/// All edits.
pub(crate) fn edits(table: &[Setting]) -> Vec<Edit> {
    let mut edits = part(table, "proxy", "kaos-proxy");
    edits.extend(part(table, "autoscaler", "kaos-autoscaler"));
    let proxy = ("Deployment", "kaos-proxy");
    let grace = |value: &str| format!("      terminationGracePeriodSeconds: {value}\n");
    edits.push(edit(
        proxy,
        grace(default(table, "proxy.terminationGracePeriodSeconds")),
        grace("{{ .Values.proxy.terminationGracePeriodSeconds }}"),
    ));
    let listens =
        format!("            {{{{- if .Values.gate }}}}\n{}            {{{{- end }}}}\n", gate::listens());
    edits.push(edit(proxy, gate::ENV, gate::ENV.to_owned() + &listens));
    let listens = format!(
        "            {{{{- if .Values.externalMetrics }}}}\n{}            {{{{- end }}}}\n",
        external::listens()
    );
    edits.push(edit(("Deployment", "kaos-autoscaler"), external::ENV, listens + external::ENV));
    let service = ("Service", "kaos-proxy");
    let kind = "  {{- if ne .Values.service.type \"ClusterIP\" }}\n  type: {{ .Values.service.type }}\n  {{- end }}\n";
    let annotations = with("service.annotations", 2, "annotations:\n  {{- toYaml . | nindent 4 }}");
    edits.push(edit(service, LABELS, LABELS.replace("spec:\n", &format!("{annotations}spec:\n{kind}"))));
    edits.extend(secure());
    edits.extend(class());
    let labels = with("podMonitor.labels", 4, "{{- toYaml . | nindent 4 }}");
    edits.push(edit(("PodMonitor", "kaos"), LABELS, LABELS.replace("spec:\n", &format!("{labels}spec:\n"))));
    edits
}

/// What the Deployments have alike.
fn part(table: &[Setting], name: &str, deployment: &'static str) -> Vec<Edit> {
    let object = ("Deployment", deployment);
    let place = |key: &str| format!("{name}.{key}");
    let replicas = |value: &str| format!("  replicas: {value}\n");
    let account = format!("      serviceAccountName: {deployment}\n");
    let scheduling = ["nodeSelector", "tolerations", "affinity"]
        .map(|key| with(&place(key), 6, &format!("{key}:\n  {{{{- toYaml . | nindent 8 }}}}")));
    let pulls = "imagePullSecrets:\n  {{- range . }}\n  - name: {{ . | quote }}\n  {{- end }}";
    let image = "          image: {{ include \"kaos.image\" . | quote }}\n";
    let resources = indented(default(table, &place("resources")), 12);
    let domain = |value: &str| format!("            - name: KAOS_DOMAIN\n              value: {value}\n");
    let any = "            - name: KAOS_ANY_HOST\n              value: \"true\"\n";
    vec![
        edit(
            object,
            replicas(default(table, &place("replicas"))),
            replicas(&format!("{{{{ .Values.{name}.replicas }}}}")),
        ),
        edit(object, account.clone(), account + &with("image.pullSecrets", 6, pulls) + &scheduling.concat()),
        edit(
            object,
            format!("          image: {}:{VERSION}\n", default(table, "image.repository")),
            image.to_owned() + &with("image.pullPolicy", 10, "imagePullPolicy: {{ . }}"),
        ),
        edit(
            object,
            domain(&format!("\"{}\"", default(table, "domain"))),
            domain("{{ .Values.domain | quote }}"),
        ),
        edit(
            object,
            any,
            format!(
                "            {{{{- if .Values.anyHost }}}}\n{any}            {{{{- end }}}}\n{}",
                env(table, name)
            ),
        ),
        edit(
            object,
            format!("          resources:\n{resources}\n"),
            with(&place("resources"), 10, "resources:\n  {{- toYaml . | nindent 12 }}"),
        ),
    ]
}

/// Variables that the manifests leave as the commands have them.
fn env(table: &[Setting], name: &str) -> String {
    let listed = |path: &str, variable: &str| {
        with(path, 12, &format!("- name: {variable}\n  value: {{{{ join \",\" . | quote }}}}"))
    };
    let unless = |path: &str, variable: &str| {
        let usual = default(table, path);
        indented(
            &format!(
                "{{{{- if ne .Values.{path} \"{usual}\" }}}}\n- name: {variable}\n  value: {{{{ .Values.{path} | quote }}}}\n{{{{- end }}}}"
            ),
            12,
        ) + "\n"
    };
    let more = format!(
        "{{{{- range $name, $value := .Values.{name}.env }}}}\n- name: {{{{ $name | quote }}}}\n  value: {{{{ $value | quote }}}}\n{{{{- end }}}}"
    );
    // Who has no right outside its namespaces can't read classes.
    let class = [("ingressClass", "KAOS_INGRESS_CLASS"), ("gatewayClass", "KAOS_GATEWAY_CLASS")].map(|(value, variable)| {
        let named = class_name(value);
        let text = format!(
            "{{{{- if or .Values.{value}.name .Values.namespaces }}}}\n- name: {variable}\n  value: {named}\n{{{{- end }}}}"
        );
        indented(&text, 12) + "\n"
    });
    // Requests are logged where they are taken.
    let access = match name {
        "proxy" => with("accessLog", 12, "- name: KAOS_ACCESS_LOG\n  value: {{ . | quote }}"),
        _ => String::new(),
    };
    [
        listed("allowHosts", "KAOS_ALLOW_HOSTS"),
        listed("namespaces", "KAOS_NAMESPACE"),
        class.concat(),
        unless("clusterDomain", "KAOS_CLUSTER_DOMAIN"),
        unless("logLevel", "KAOS_LOG_LEVEL"),
        access,
        indented(&more, 12) + "\n",
    ]
    .concat()
}

/// The name of the IngressClass, or of the GatewayClass.
fn class_name(value: &str) -> String {
    format!("{{{{ .Values.{value}.name | default \"{CLASS}\" | quote }}}}")
}

/// The IngressClass and the GatewayClass under their names, and the first marked as the default.
fn class() -> [Edit; 3] {
    let object = ("IngressClass", CLASS);
    let named = |name: &str| format!("metadata:\n  name: {name}\n");
    let default = "  {{- if .Values.ingressClass.default }}\n  annotations:\n    ingressclass.kubernetes.io/is-default-class: \"true\"\n  {{- end }}\n";
    [
        edit(("GatewayClass", CLASS), named(CLASS), named(&class_name("gatewayClass"))),
        edit(object, named(CLASS), named(&class_name("ingressClass"))),
        edit(object, LABELS, LABELS.replace("spec:\n", &format!("{default}spec:\n"))),
    ]
}

/// What TLS needs, where it is asked for, or a Secret is named.
fn secure() -> Vec<Edit> {
    let flags = indented("{{- range .Values.tlsSecrets }}", 12)
        + "\n"
        + &tls::flag("{{ . }}")
        + &indented("{{- end }}", 12)
        + "\n";
    let objects = ["Deployment", "Deployment", "Service", "NetworkPolicy"];
    let both = objects.into_iter().zip(tls::edits(&flags));
    both.map(|(kind, (plain, secure))| {
        let pad = plain.len() - plain.trim_start().len();
        let line = |text: &str| indented(text, pad) + "\n";
        let (when, end) = (line("{{- if or .Values.tls .Values.tlsSecrets }}"), line("{{- end }}"));
        let after = match secure.strip_prefix(plain) {
            Some(more) => format!("{plain}{when}{more}{end}"),
            None => format!("{when}{secure}{}{plain}{end}", line("{{- else }}")),
        };
        edit((kind, "kaos-proxy"), plain, after)
    })
    .collect()
}

/// Where other proxies ask, if they may.
pub(crate) fn asked() -> String {
    format!("{{{{- if .Values.gate }}}}\n{}{{{{- end }}}}\n", gate::objects(SYSTEM))
}

/// Where autoscalers ask, if they may.
pub(crate) fn told() -> String {
    format!("{{{{- if .Values.externalMetrics }}}}\n{}{{{{- end }}}}\n", external::objects(SYSTEM))
}

/// The roles by which proxies read the Secrets that were named to them, one for each namespace.
pub(crate) fn secrets() -> String {
    let names = "      {{- range $names }}\n      - {{ . | quote }}\n      {{- end }}\n";
    format!(
        "{{{{- $secrets := dict }}}}
{{{{- range .Values.tlsSecrets }}}}
{{{{- $parts := splitList \"/\" . }}}}
{{{{- $names := append (get $secrets (first $parts) | default list) (last $parts) }}}}
{{{{- $_ := set $secrets (first $parts) $names }}}}
{{{{- end }}}}
{{{{- range $namespace, $names := $secrets }}}}
{}{{{{- end }}}}
",
        tls::role("{{ $namespace }}", names, SYSTEM)
    )
}

/// `text`, where the value isn't empty; `.` is the value there.
fn with(path: &str, by: usize, text: &str) -> String {
    indented(&format!("{{{{- with .Values.{path} }}}}\n{text}\n{{{{- end }}}}"), by) + "\n"
}

/// What stands in the manifests where the value isn't said.
fn default<'t>(table: &'t [Setting], path: &str) -> &'t str {
    table.iter().find(|setting| setting.path == path).map_or("", |setting| setting.default)
}
