//! NetworkPolicies: whether Kaos's proxies can reach the pods at all.

use serde_json::{Value, json};

use super::finding::{Finding, Topic, Verdict};
use super::look;
use super::subject::Subject;
use crate::object::Pairs;

pub(super) fn examine(subject: &Subject<'_>, found: &mut Vec<Finding>) {
    let policies = subject.objects.within("NetworkPolicy", subject.namespace);
    let guards = |policy: &&Value| {
        let selector = policy.pointer("/spec/podSelector").unwrap_or(&Value::Null);
        let types = look::list(policy, "/spec/policyTypes");
        look::selects(selector, subject.labels())
            && (types.is_empty() || types.iter().any(|kind| kind == "Ingress"))
    };
    let guarding: Vec<&Value> = policies.filter(guards).collect();
    if guarding.is_empty() || guarding.iter().any(|policy| lets_in(policy, subject.system)) {
        return;
    }
    let names: Vec<&str> = guarding.iter().map(|policy| look::name(policy)).collect();
    let policy = json!({
        "apiVersion": "networking.k8s.io/v1", "kind": "NetworkPolicy",
        "metadata": {"name": format!("{}-from-kaos", subject.name), "namespace": subject.namespace},
        "spec": {
            "podSelector": {"matchLabels": subject.raw.pointer("/spec/selector/matchLabels")},
            "policyTypes": ["Ingress"],
            "ingress": [{"from": [{"namespaceSelector": {"matchLabels": {NAMESPACE: subject.system}}}]}],
        },
    });
    found.push(
        Finding::new(Verdict::Unsafe, Topic::WaysIn, "network-policy")
            .at(format!("NetworkPolicy/{}", names.join(", ")), "spec.ingress")
            .found(format!("nobody from the namespace {} is let in", subject.system))
            .why("Kaos's proxies can't send it any request")
            .fix("let them in", format!("kubectl apply -f - <<'EOF'\n{policy}\nEOF")),
    );
}

/// The label that every namespace has its own name in.
const NAMESPACE: &str = "kubernetes.io/metadata.name";

/// Whether one of its rules lets in pods of the namespace `system`. Of its labels only its name is known, and of addresses
/// nothing: whoever is let in by either may be a proxy.
fn lets_in(policy: &Value, system: &str) -> bool {
    let labels: Pairs = Box::from([(Box::from(NAMESPACE), Box::from(system))]);
    look::list(policy, "/spec/ingress").iter().any(|rule| {
        let from = look::list(rule, "/from");
        let peer = |peer: &Value| match (peer.get("namespaceSelector"), peer.get("ipBlock")) {
            (Some(namespaces), _) => {
                let by_name = look::entries(namespaces, "/matchLabels").all(|(name, _)| name == NAMESPACE)
                    && look::list(namespaces, "/matchExpressions")
                        .iter()
                        .all(|one| look::text(one, "/key") == NAMESPACE);
                !by_name || look::selects(namespaces, &labels)
            }
            (None, block) => block.is_some(),
        };
        from.is_empty() || from.iter().any(peer)
    })
}
