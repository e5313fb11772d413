//! The rules of a Role for those who write.

use kaos_kubernetes::change::{LEASE, configmaps};
use kaos_kubernetes::rights::{self, Right};
use kube::Client;
use serde_json::{Value, json};

/// Makes an object in the collection at `path`.
pub async fn create(client: &Client, path: &str, object: &Value) {
    let request = http::Request::post(path).header("content-type", "application/json");
    client.request::<Value>(request.body(object.to_string().into_bytes()).unwrap()).await.unwrap();
}

/// Every right that writing needs, with or without that to deletion costs.
pub fn rules(with_pods: bool) -> Value {
    let rule = |right: &Right, names: &[String]| {
        let mut rule =
            json!({"apiGroups": [right.group], "resources": [right.resource], "verbs": [right.verb]});
        if !names.is_empty() {
            rule["resourceNames"] = json!(names);
        }
        rule
    };
    let (shards, lease) = (configmaps(), [LEASE.to_owned()]);
    let reads = rights::READ.iter().chain(&rights::READ_SCALERS);
    let mut rules: Vec<Value> = reads.chain(&rights::SCALE).map(|right| rule(right, &[])).collect();
    rules.extend(rights::LEAD.iter().map(|right| rule(right, &lease)));
    rules.extend(rights::KEEP.iter().map(|right| rule(right, &shards)));
    if with_pods {
        rules.extend(rights::CHOOSE.iter().map(|right| rule(right, &[])));
    }
    json!(rules)
}
