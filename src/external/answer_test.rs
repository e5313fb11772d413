use std::collections::BTreeMap;

use http_body_util::BodyExt;

use super::*;

impl Loads for BTreeMap<WorkloadId, Option<Load>> {
    fn of(&self, id: &WorkloadId) -> Option<Option<Load>> {
        self.get(id).copied()
    }

    fn within(&self, namespace: &str) -> Vec<(WorkloadId, Option<Load>)> {
        let all = self.iter().filter(|(id, _)| id.namespace() == namespace);
        all.map(|(id, load)| (id.clone(), *load)).collect()
    }
}

fn loads() -> BTreeMap<WorkloadId, Option<Load>> {
    let of = |name: &str, load: Option<f64>| (WorkloadId::new("prod", name), load.map(Load::of));
    let other = (WorkloadId::new("test", "shop"), Some(Load::of(99.0)));
    BTreeMap::from([of("shop", Some(12.5)), of("cart", Some(0.0)), of("search", Some(0.000_001)), other])
}

async fn asked(loads: &dyn Loads, method: Method, uri: &str) -> (u16, Value) {
    let request = Request::builder().method(method).uri(uri).body(()).unwrap();
    let response = answer(loads, &request);
    let status = response.status().as_u16();
    let body = response.into_body().collect().await.unwrap().to_bytes();
    (status, serde_json::from_slice(&body).unwrap())
}

/// What is said with this selector, as it stands in a URL.
async fn values(selector: &str) -> (u16, Vec<(String, String)>) {
    let uri = format!("/apis/external.metrics.k8s.io/v1beta1/namespaces/prod/kaos_load{selector}");
    let (status, list) = asked(&loads(), Method::GET, &uri).await;
    let items = list["items"].as_array().cloned().unwrap_or_default();
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    (
        status,
        items.iter().map(|item| (text(&item["metricLabels"]["workload"]), text(&item["value"]))).collect(),
    )
}

#[tokio::test]
async fn a_load_is_told_as_autoscalers_read_it() {
    let one = |name: &str, value: &str| vec![(name.to_owned(), value.to_owned())];
    for (selector, said) in [
        ("?labelSelector=workload%3Dshop", one("shop", "12500m")),
        ("?labelSelector=workload%3D%3Dshop", one("shop", "12500m")),
        ("?labelSelector=workload+in+%28shop%29", one("shop", "12500m")),
        ("?timeout=5s&labelSelector=workload%3Dcart", one("cart", "0m")),
        ("?labelSelector=workload%3Dsearch", one("search", "1m")),
        ("?labelSelector=workload%3Dnobody", Vec::new()),
        (
            "?labelSelector=workload+in+%28cart%2C+shop%29",
            [one("cart", "0m"), one("shop", "12500m")].concat(),
        ),
        ("", [one("cart", "0m"), one("search", "1m"), one("shop", "12500m")].concat()),
        ("?labelSelector=", [one("cart", "0m"), one("search", "1m"), one("shop", "12500m")].concat()),
    ] {
        assert_eq!(values(selector).await, (200, said), "{selector}");
    }
    let uri = "/apis/external.metrics.k8s.io/v1beta1/namespaces/prod/kaos_load?labelSelector=workload%3Dshop";
    let (_, list) = asked(&loads(), Method::GET, uri).await;
    assert_eq!(
        (&list["kind"], &list["apiVersion"], &list["items"][0]["metricName"]),
        (&json!("ExternalMetricValueList"), &json!("external.metrics.k8s.io/v1beta1"), &json!("kaos_load"))
    );
    let at: jiff::Timestamp = list["items"][0]["timestamp"].as_str().unwrap().parse().unwrap();
    assert!(at <= jiff::Timestamp::now());
}

#[tokio::test]
async fn a_load_that_isnt_known_is_no_answer_and_no_zero() {
    let silent = BTreeMap::from([(WorkloadId::new("prod", "shop"), None)]);
    let path = "/apis/external.metrics.k8s.io/v1beta1/namespaces/prod/kaos_load";
    for selector in ["", "?labelSelector=workload%3Dshop"] {
        let (status, said) = asked(&silent, Method::GET, &format!("{path}{selector}")).await;
        assert_eq!((status, &said["kind"], &said["code"]), (503, &json!("Status"), &json!(503)));
        assert!(said["message"].as_str().unwrap().contains("prod/shop isn't known"), "{said}");
    }
}

#[tokio::test]
async fn selectors_that_choose_by_anything_else_are_refused() {
    for selector in [
        "app%3Dshop",
        "workload%21%3Dshop",
        "workload",
        "%21workload",
        "workload%3Dshop%2Capp%3Dx",
        "workload+notin+%28shop%29",
        "workload+in+shop",
        "workload+in+%28%29",
        "workload%3D",
        "workload%3Da%2Fb",
        "workloads%3Dshop",
        "workloadin%28shop%29",
    ] {
        let (status, said) = values(&format!("?labelSelector={selector}")).await;
        assert_eq!((status, said), (400, Vec::new()), "{selector}");
    }
    let long = format!("?labelSelector=workload%3D{}", "x".repeat(5000));
    assert_eq!(values(&long).await.0, 400);
}

#[tokio::test]
async fn what_there_is_is_listed_and_nothing_else_is_there() {
    let all = loads();
    let get = async |path: &str| asked(&all, Method::GET, path).await;
    let (status, list) = get("/apis/external.metrics.k8s.io/v1beta1").await;
    assert_eq!((status, &list["resources"][0]["name"]), (200, &json!("kaos_load")));
    assert_eq!(list["resources"][0]["namespaced"], true);
    let (status, group) = get("/apis/external.metrics.k8s.io").await;
    assert_eq!((status, &group["preferredVersion"]["version"]), (200, &json!("v1beta1")));
    let (status, groups) = get("/apis").await;
    assert_eq!((status, &groups["groups"][0]["name"]), (200, &json!("external.metrics.k8s.io")));
    let of = "/apis/external.metrics.k8s.io/v1beta1/namespaces/prod";
    for (path, says) in [
        ("/", "/apis/external.metrics.k8s.io/v1beta1/namespaces/NAMESPACE/kaos_load"),
        ("/openapi/v2", "/apis/external.metrics.k8s.io/v1beta1/namespaces/NAMESPACE/kaos_load"),
        (of, "/apis/external.metrics.k8s.io/v1beta1/namespaces/NAMESPACE/kaos_load"),
        (&format!("{of}/queue_length"), "no metric \"queue_length\"; there is kaos_load"),
    ] {
        let (status, said) = get(path).await;
        assert_eq!((status, &said["reason"]), (404, &json!("NotFound")), "{path}");
        assert!(said["message"].as_str().unwrap().contains(says), "{said}");
    }
    assert_eq!(asked(&all, Method::POST, &format!("{of}/kaos_load")).await.0, 405);
}
