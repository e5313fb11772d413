//! What `kaos install --external-metrics` prints more: that the API server passes on to the autoscalers whoever asks for an external metric.
//!
//! A cluster has one place for these, so this is for clusters where nobody else, such as KEDA, serves them.

/// Where the autoscalers' containers are asked: a port that needs no rights.
const PORT: u16 = 6443;

/// `text`, the manifests, with what the autoscalers of the Kaos in `system` need.
pub(super) fn with(text: &str, system: &str) -> String {
    let text = text.replacen(ENV, &format!("{}{ENV}", listens()), 1);
    format!("{text}---\n{}", objects(system))
}

/// The variable by which autoscalers are told to listen for questions, lines of YAML.
pub(super) fn listens() -> String {
    format!("            - name: KAOS_LISTEN_EXTERNAL_METRICS\n              value: \"0.0.0.0:{PORT}\"\n")
}

/// What follows the variables that the autoscalers alone have.
pub(super) const ENV: &str = "            # As the proxies have it.\n";

/// The API service, where it is reached, and the right to know the API server by its certificate.
pub(super) fn objects(system: &str) -> String {
    let labels = "  labels:
    app.kubernetes.io/name: kaos
    app.kubernetes.io/component: autoscaler
    app.kubernetes.io/part-of: kaos
";
    format!(
        "# The API server passes on here what is asked of external metrics, when it has found that who asks may. What it is shown is made
# anew by each autoscaler and signed by nobody; who it is itself, they look at.
apiVersion: apiregistration.k8s.io/v1
kind: APIService
metadata:
  name: v1beta1.external.metrics.k8s.io
{labels}spec:
  group: external.metrics.k8s.io
  version: v1beta1
  groupPriorityMinimum: 100
  versionPriority: 100
  insecureSkipTLSVerify: true
  service:
    name: kaos-external-metrics
    namespace: {system}
---
apiVersion: v1
kind: Service
metadata:
  name: kaos-external-metrics
  namespace: {system}
{labels}spec:
  selector:
    app.kubernetes.io/name: kaos
    app.kubernetes.io/component: autoscaler
  ports:
    - name: https
      port: 443
      targetPort: {PORT}
---
# The API server's address is named by no selector; whoever shows no certificate of its own is hung up on.
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata:
  name: kaos-external-metrics
  namespace: {system}
{labels}spec:
  podSelector:
    matchLabels:
      app.kubernetes.io/name: kaos
      app.kubernetes.io/component: autoscaler
  policyTypes: [Ingress]
  ingress:
    - ports:
        - port: {PORT}
---
# A role that every cluster has: to read one ConfigMap, with no secret in it.
apiVersion: rbac.authorization.k8s.io/v1
kind: RoleBinding
metadata:
  name: kaos-external-metrics.{system}
  namespace: kube-system
{labels}roleRef:
  apiGroup: rbac.authorization.k8s.io
  kind: Role
  name: extension-apiserver-authentication-reader
subjects:
  - kind: ServiceAccount
    name: kaos-autoscaler
    namespace: {system}
"
    )
}
