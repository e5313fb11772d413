//! What `kaos install --gate` prints more: where other proxies ask, and who of them may.
//!
//! They ask at a Service of its own, which no load balancer leads to: whoever asks there wakes what he likes, past what routes
//! say of who may.

/// Where the proxies' containers are asked: a port that needs no rights.
const PORT: u16 = 8081;

/// `text`, the manifests, with what the proxies of the Kaos in `system` need.
pub(super) fn with(text: &str, system: &str) -> String {
    // The proxies come before the autoscalers, which are told the same.
    let text = text.replacen(ENV, &format!("{ENV}{}", listens()), 1);
    format!("{text}---\n{}", objects(system))
}

/// The variable by which proxies are told to listen for questions, lines of YAML.
pub(super) fn listens() -> String {
    format!("            - name: KAOS_LISTEN_GATE\n              value: \"0.0.0.0:{PORT}\"\n")
}

/// The last of the variables that proxies are told alike.
pub(super) const ENV: &str = "            - name: KAOS_SYSTEM_NAMESPACE
              valueFrom:
                fieldRef:
                  fieldPath: metadata.namespace
";

/// The Service where other proxies ask, and the policy that says from which namespaces.
pub(super) fn objects(system: &str) -> String {
    let metadata = |name: &str| {
        format!(
            "metadata:
  name: {name}
  namespace: {system}
  labels:
    app.kubernetes.io/name: kaos
    app.kubernetes.io/component: proxy
    app.kubernetes.io/part-of: kaos
"
        )
    };
    format!(
        "# Where other proxies ask whether a request may go.
apiVersion: v1
kind: Service
{}spec:
  selector:
    app.kubernetes.io/name: kaos
    app.kubernetes.io/component: proxy
  ports:
    - name: http
      port: 80
      targetPort: {PORT}
---
# They ask from namespaces that carry the label kaos.dev/gate: \"true\".
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
{}spec:
  podSelector:
    matchLabels:
      app.kubernetes.io/name: kaos
      app.kubernetes.io/component: proxy
  policyTypes: [Ingress]
  ingress:
    - from:
        - namespaceSelector:
            matchLabels:
              kaos.dev/gate: \"true\"
      ports:
        - port: {PORT}
",
        metadata("kaos-gate"),
        metadata("kaos-gate")
    )
}
