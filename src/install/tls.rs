//! What `kaos install` prints more for TLS: where it is taken, and for certificates from Secrets how they are named to the
//! proxies, and the rights to them.

use std::collections::BTreeMap;
use std::fmt::Display;

use kaos_kubernetes::SecretName;
use kaos_kubernetes::rights;

/// Where the proxies' containers take TLS: a port that needs no rights.
const PORT: u16 = 8443;

/// `text`, the manifests, with what the proxies of the Kaos in `system` need for TLS, and for these Secrets.
pub(super) fn with(text: &str, secrets: &[SecretName], system: &str) -> String {
    let flags: String = secrets.iter().map(flag).collect();
    let text =
        edits(&flags).iter().fold(text.to_owned(), |text, (plain, secure)| text.replace(plain, secure));
    let mut by_namespace: BTreeMap<&str, Vec<String>> = BTreeMap::new();
    for secret in secrets {
        by_namespace.entry(&secret.namespace).or_default().push(format!("      - \"{}\"\n", secret.name));
    }
    let roles = by_namespace.iter().map(|(namespace, names)| role(namespace, &names.concat(), system));
    roles.fold(text, |text, role| text + &role)
}

/// What stands in `manifests/base`, once, for the proxies, and what stands there with TLS: the command's arguments, the ports of
/// the container, of the Service, and of the policy. `flags` are [`flag`]s.
pub(super) fn edits(flags: &str) -> [(&'static str, String); 4] {
    let command = format!("            - proxy\n            - --listen-tls=0.0.0.0:{PORT}\n");
    let listens = format!("            - name: https\n              containerPort: {PORT}\n");
    let service = SERVICE_PORT.replace("http", "https").replace("80", "443");
    let policy = POLICY_PORT.replace("http", "https");
    [
        (ARGS, format!("          args:\n{command}{flags}")),
        (HTTP_PORT, format!("{HTTP_PORT}{listens}")),
        (SERVICE_PORT, format!("{SERVICE_PORT}{service}")),
        (POLICY_PORT, format!("{POLICY_PORT}{policy}")),
    ]
}

/// The argument that names a Secret, a line of YAML.
pub(super) fn flag(secret: impl Display) -> String {
    format!("            - --tls-secret={secret}\n")
}

/// What the proxies' command is told.
const ARGS: &str = "          args: [proxy]\n";
/// A port of the container, of the Service, and of the policy.
const HTTP_PORT: &str = "            - name: http\n              containerPort: 8080\n";
/// See [`HTTP_PORT`].
const SERVICE_PORT: &str = "    - name: http\n      port: 80\n      targetPort: http\n";
/// See [`HTTP_PORT`].
const POLICY_PORT: &str = "        - port: http\n";

/// The right to the Secrets `names`, lines of YAML, in `namespace`: another Kaos in the cluster has its own. Names are quoted, for
/// they may be numbers.
pub(super) fn role(namespace: &str, names: &str, system: &str) -> String {
    let verbs = rights::SECRETS.map(|right| right.verb).join(", ");
    let metadata = format!(
        "metadata:
  name: kaos-proxy-tls.{system}
  namespace: \"{namespace}\"
  labels:
    app.kubernetes.io/name: kaos
    app.kubernetes.io/component: proxy
    app.kubernetes.io/part-of: kaos
"
    );
    format!(
        "---
# Certificates that the proxies were told to show: these Secrets and no others.
apiVersion: rbac.authorization.k8s.io/v1
kind: Role
{metadata}rules:
  - apiGroups: [\"\"]
    resources: [secrets]
    resourceNames:
{names}    verbs: [{verbs}]
---
apiVersion: rbac.authorization.k8s.io/v1
kind: RoleBinding
{metadata}roleRef:
  apiGroup: rbac.authorization.k8s.io
  kind: Role
  name: kaos-proxy-tls.{system}
subjects:
  - kind: ServiceAccount
    name: kaos-proxy
    namespace: {system}
"
    )
}
