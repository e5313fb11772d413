//! Kaos's writes against a real API server, with the rights of `kaos_kubernetes::rights` and no others.

#![allow(clippy::unwrap_used, reason = "all of this is test code")]

mod support;

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::sync::atomic::Ordering;

use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::{ConfigMap, Pod};
use k8s_openapi::api::events::v1::Event;
use kaos_core::platform::{Expected, Platform, Refusal, Scale};
use kaos_core::snapshot::{Hold, Mode, Targets};
use kaos_core::{EndpointUid, HoldId, Snapshot, WorkloadId};
use kaos_kubernetes::change::{
    Changing, Clock, LEASE, SHARDS, Settings, Sources, Uninstall, configmaps, shard_name,
};
use kaos_kubernetes::controller::Controller;
use kaos_kubernetes::directory::Entry;
use kaos_kubernetes::{Directory, Notes};
use kaos_testbed::{AuditEntry, Behaviour, ControlPlane, Kubelet, PATIENCE, eventually};
use kube::api::{Patch, PatchParams};
use kube::{Api, Client};
use serde_json::{Value, json};
use support::rules::{create, rules};
use support::{pods, ready, shop};
use tokio::sync::watch;

/// A namespace with `shop`, what Kaos's manifests bring, and Kaos's own identity.
struct Scene<'a> {
    plane: &'a ControlPlane,
    namespace: String,
    admin: Client,
    token: String,
    directory: Arc<Directory>,
    snapshots: watch::Sender<Arc<Snapshot>>,
    synced: watch::Sender<bool>,
    notes: watch::Sender<Notes>,
}

impl<'a> Scene<'a> {
    async fn new(name: &str, replicas: u32, with_pods: bool) -> Scene<'a> {
        Scene::on(ControlPlane::shared().await, name, replicas, with_pods).await
    }

    async fn on(plane: &'a ControlPlane, name: &str, replicas: u32, with_pods: bool) -> Scene<'a> {
        let admin = plane.client(plane.admin()).await.unwrap();
        let namespace = plane.namespace(name).await.unwrap();
        let rbac = format!("/apis/rbac.authorization.k8s.io/v1/namespaces/{namespace}");
        let role = json!({"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "Role",
            "metadata": {"name": "kaos"}, "rules": rules(with_pods)});
        create(&admin, &format!("{rbac}/roles"), &role).await;
        let binding = json!({"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "RoleBinding",
            "metadata": {"name": "kaos"},
            "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": "kaos"},
            "subjects": [{"kind": "ServiceAccount", "name": "kaos", "namespace": namespace}]});
        create(&admin, &format!("{rbac}/rolebindings"), &binding).await;
        let token = plane.service_account(&namespace, "kaos").await.unwrap();
        let lease =
            json!({"apiVersion": "coordination.k8s.io/v1", "kind": "Lease", "metadata": {"name": LEASE}});
        create(&admin, &format!("/apis/coordination.k8s.io/v1/namespaces/{namespace}/leases"), &lease).await;
        for name in configmaps() {
            let map = json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name}});
            create(&admin, &format!("/api/v1/namespaces/{namespace}/configmaps"), &map).await;
        }
        shop(&admin, &namespace, replicas, json!({})).await;
        let snapshots = watch::channel(Arc::default()).0;
        let (synced, notes) = (watch::channel(true).0, watch::channel(Notes::default()).0);
        let scene =
            Scene { plane, namespace, admin, token, directory: Arc::default(), snapshots, synced, notes };
        scene.show(Mode::Scale).await;
        scene
    }

    fn id(&self) -> WorkloadId {
        WorkloadId::new(&self.namespace, "shop")
    }

    async fn shop(&self) -> Deployment {
        Api::namespaced(self.admin.clone(), &self.namespace).get("shop").await.unwrap()
    }

    async fn count(&self) -> i32 {
        self.shop().await.spec.replicas.unwrap()
    }

    /// What the reading side would show.
    async fn show(&self, mode: Mode) {
        let found = self.shop().await;
        let entry = Entry {
            controller: Controller::Deployment,
            uid: found.metadata.uid.unwrap().into(),
            version: found.metadata.resource_version.unwrap().parse().unwrap(),
            generation: found.metadata.generation.unwrap(),
            replicas: u32::try_from(found.spec.replicas.unwrap()).unwrap(),
            rolling: false,
            adopted: true,
            mode,
            hold: None,
            marked: false,
            contender: None,
            target: None,
            handed_to: None,
            namesake: None,
            invalid: Arc::default(),
            pods: Arc::default(),
        };
        self.directory.replace(HashMap::from([(self.id(), Arc::new(entry))]));
        self.snapshots.send_modify(|snapshot| *snapshot = Arc::default());
    }

    /// One more autoscaler.
    async fn changing(&self, pod: &str) -> Changing {
        let sources = Sources {
            directory: self.directory.clone(),
            snapshots: self.snapshots.subscribe(),
            synced: self.synced.subscribe(),
            notes: self.notes.subscribe(),
            statuses: watch::channel(Arc::default()).1,
        };
        let settings = Settings {
            namespace: self.namespace.clone(),
            lease: LEASE.into(),
            pod: pod.into(),
            clock: Clock::boot(),
        };
        Changing::start(self.plane.client(&self.token).await.unwrap(), sources, settings)
    }

    /// One that leads and has kept the count.
    async fn leader(&self) -> Changing {
        let changing = self.changing("kaos-0").await;
        eventually("the count is kept", async || self.originals().await.into_values().next()).await;
        changing
    }

    async fn originals(&self) -> BTreeMap<String, String> {
        let maps: Api<ConfigMap> = Api::namespaced(self.admin.clone(), &self.namespace);
        let mut all = BTreeMap::new();
        for shard in 0..SHARDS {
            all.extend(maps.get(&shard_name(shard)).await.unwrap().data.unwrap_or_default());
        }
        all
    }

    async fn reasons(&self) -> Vec<String> {
        let events: Api<Event> = Api::namespaced(self.admin.clone(), &self.namespace);
        let all = events.list(&Default::default()).await.unwrap().items;
        let ours = |event: &Event| event.reporting_controller.as_deref() == Some("kaos.dev/autoscaler");
        all.into_iter().filter(ours).filter_map(|event| event.reason).collect()
    }

    async fn patch(&self, patch: Value) {
        let deployments: Api<Deployment> = Api::namespaced(self.admin.clone(), &self.namespace);
        deployments.patch("shop", &PatchParams::default(), &Patch::Merge(patch)).await.unwrap();
    }

    /// The codes of Kaos's patches of the scale, in order.
    fn patches(&self) -> Vec<u16> {
        let entries = self.plane.audit(|entry| {
            entry.verb == "patch"
                && entry.request_uri.contains(&format!("/{}/deployments/shop/scale", self.namespace))
                && entry.user.username.ends_with(":kaos")
        });
        entries.iter().map(AuditEntry::code).collect()
    }
}

fn wake(to: u32) -> Scale {
    Scale { to, victims: vec![], expected: Expected::Replicas(0) }
}

fn hold(id: &str, targets: Targets) -> Option<Hold> {
    Some(Hold { id: HoldId::new(id), by: "kaos-0".into(), targets })
}

#[tokio::test]
async fn a_wake_is_one_patch_and_loses_only_to_another_count() {
    let scene = Scene::new("wake", 0, false).await;
    let changing = scene.leader().await;
    let platform = changing.platform();
    let first = platform.scale(&scene.id(), wake(2)).await.unwrap();
    assert_eq!(scene.count().await, 2);
    eventually("one patch", async || (scene.patches() == [200]).then_some(())).await;

    // The test in the patch fails with 422; the count decides what that means.
    let again = platform.scale(&scene.id(), wake(2)).await.unwrap();
    assert!(again >= first);
    assert_eq!(platform.scale(&scene.id(), wake(3)).await, Err(Refusal::Conflict));
    eventually("two tests that failed", async || (scene.patches() == [200, 422, 422]).then_some(())).await;
    assert_eq!(scene.count().await, 2);

    let more = Scale { to: 3, victims: vec![], expected: Expected::Replicas(2) };
    platform.scale(&scene.id(), more).await.unwrap();
    assert_eq!(scene.count().await, 3);
    eventually("people are told", async || {
        let reasons = scene.reasons().await;
        ["Adopted", "ScaledFromZero", "ScaledUp"]
            .iter()
            .all(|word| reasons.iter().any(|is| is == word))
            .then_some(())
    })
    .await;
    let by: Vec<String> = scene
        .shop()
        .await
        .metadata
        .managed_fields
        .unwrap()
        .into_iter()
        .filter(|entry| entry.subresource.as_deref() == Some("scale"))
        .filter_map(|entry| entry.manager)
        .collect();
    assert_eq!(by, ["kaos"]);
}

#[tokio::test]
async fn a_hold_is_an_annotation_and_nothing_else() {
    let scene = Scene::new("hold", 1, false).await;
    let changing = scene.leader().await;
    let platform = changing.platform();
    let before = scene.shop().await;
    let held = platform.hold(&scene.id(), hold("a-1", Targets::All)).await.unwrap();
    assert_eq!(platform.hold(&scene.id(), hold("a-1", Targets::All)).await, Ok(held), "twice is once");
    let after = scene.shop().await;
    assert_eq!(after.metadata.generation, before.metadata.generation);
    assert_eq!(after.spec, before.spec);
    let text = &after.metadata.annotations.unwrap()["kaos.dev/hold"];
    assert_eq!(serde_json::from_str::<Hold>(text).ok(), hold("a-1", Targets::All));
    platform.hold(&scene.id(), None).await.unwrap();
    assert!(!scene.shop().await.metadata.annotations.unwrap_or_default().contains_key("kaos.dev/hold"));

    // With the same token: an image through the status is dropped, and the Deployment itself is out of reach.
    let kaos = scene.plane.client(&scene.token).await.unwrap();
    let deployments: Api<Deployment> = Api::namespaced(kaos, &scene.namespace);
    let image = json!({"metadata": {"annotations": {"kaos.dev/hold": "x"}},
        "spec": {"replicas": 9, "template": {"spec": {"containers": [{"name": "shop", "image": "evil"}]}}}});
    deployments.patch_status("shop", &PatchParams::default(), &Patch::Merge(&image)).await.unwrap();
    let now = scene.shop().await;
    assert_eq!((now.spec, now.metadata.generation), (before.spec, before.metadata.generation));
    assert_eq!(now.metadata.annotations.unwrap()["kaos.dev/hold"], "x");
    let refused =
        deployments.patch("shop", &PatchParams::default(), &Patch::Merge(&image)).await.unwrap_err();
    assert!(matches!(refused, kube::Error::Api(status) if status.code == 403));
}

#[tokio::test]
async fn zero_goes_against_the_holds_version() {
    let scene = Scene::new("zero", 2, false).await;
    let changing = scene.leader().await;
    let platform = changing.platform();
    let zero = |version| Scale { to: 0, victims: vec![], expected: Expected::Version(version) };

    // A new spec, or a hold that is gone: 409, and the count stays.
    let held = platform.hold(&scene.id(), hold("a-1", Targets::All)).await.unwrap();
    scene.patch(json!({"spec": {"minReadySeconds": 1}})).await;
    assert_eq!(platform.scale(&scene.id(), zero(held)).await, Err(Refusal::Conflict));
    let held = platform.hold(&scene.id(), hold("a-2", Targets::All)).await.unwrap();
    scene.patch(json!({"metadata": {"annotations": {"kaos.dev/hold": null}}})).await;
    assert_eq!(platform.scale(&scene.id(), zero(held)).await, Err(Refusal::Conflict));
    assert_eq!(scene.count().await, 2);
    eventually("stale versions", async || (scene.patches() == [409, 409]).then_some(())).await;

    // A write of the status is looked through. (Anybody's annotation on the Deployment itself grows its generation.)
    let held = platform.hold(&scene.id(), hold("a-3", Targets::All)).await.unwrap();
    let deployments: Api<Deployment> = Api::namespaced(scene.admin.clone(), &scene.namespace);
    let condition = json!({"status": {"conditions": [{"type": "Tested", "status": "True"}]}});
    deployments.patch_status("shop", &PatchParams::default(), &Patch::Merge(condition)).await.unwrap();
    platform.scale(&scene.id(), zero(held)).await.unwrap();
    assert_eq!(scene.count().await, 0);

    // And it comes back when it leaves.
    scene.show(Mode::Off).await;
    eventually("it is put back", async || (scene.count().await == 2).then_some(())).await;
    eventually("it is forgotten", async || scene.originals().await.is_empty().then_some(())).await;
    assert!(!scene.shop().await.metadata.annotations.unwrap_or_default().contains_key("kaos.dev/hold"));
}

#[tokio::test]
async fn one_leads_and_hands_over_when_it_stops() {
    let scene = Scene::new("lead", 1, false).await;
    let one = scene.changing("kaos-0").await;
    let mut leading = one.leading();
    leading.wait_for(|leads| *leads).await.unwrap();
    let two = scene.changing("kaos-1").await;
    eventually("the second has looked", async || {
        let looks = scene.plane.audit(|entry| {
            entry.verb == "get" && entry.is_about("leases") && entry.request_uri.contains(&scene.namespace)
        });
        (looks.len() >= 2).then_some(())
    })
    .await;
    assert!(*one.leading().borrow() && !*two.leading().borrow());
    one.stop().await;
    two.leading().wait_for(|leads| *leads).await.unwrap();
}

#[tokio::test]
async fn the_pod_that_was_chosen_goes() {
    let scene = Scene::new("victim", 3, true).await;
    let _kubelet = Kubelet::start(scene.plane, &scene.namespace, Behaviour::default()).await.unwrap();
    ready(&scene.admin, &scene.namespace, 3).await;
    eventually("the rollout is over", async || {
        let status = scene.shop().await.status?;
        (status.available_replicas == Some(3)).then_some(())
    })
    .await;
    scene.show(Mode::Scale).await;
    let changing = scene.leader().await;
    let platform = changing.platform();
    // The oldest: Kubernetes' own order would rather take another.
    let mut all: Vec<Pod> = pods(&scene.admin, &scene.namespace).await;
    all.sort_by_key(|pod| pod.metadata.name.clone());
    let victim = all[1].metadata.uid.clone().unwrap();
    let uids = vec![EndpointUid::new(&victim)];
    let held = platform.hold(&scene.id(), hold("a-1", Targets::Endpoints(uids.clone()))).await.unwrap();
    let scale = Scale { to: 2, victims: uids, expected: Expected::Version(held) };
    platform.scale(&scene.id(), scale).await.unwrap();
    eventually("it is compared", async || {
        (platform.choices().hits.load(Ordering::Relaxed) == 1).then_some(())
    })
    .await;
    eventually("it is gone", async || {
        let left = pods(&scene.admin, &scene.namespace).await;
        (left.len() == 2 && left.iter().all(|pod| pod.metadata.uid.as_ref() != Some(&victim))).then_some(())
    })
    .await;
    assert_eq!(platform.choices().misses.load(Ordering::Relaxed), 0);
    for pod in pods(&scene.admin, &scene.namespace).await {
        assert!(!pod.metadata.annotations.unwrap_or_default().contains_key("kaos.dev/retired"));
    }
}

#[tokio::test]
async fn without_the_right_to_choose_the_count_is_lowered_all_the_same() {
    let scene = Scene::new("unchosen", 2, false).await;
    let _kubelet = Kubelet::start(scene.plane, &scene.namespace, Behaviour::default()).await.unwrap();
    ready(&scene.admin, &scene.namespace, 2).await;
    eventually("the rollout is over", async || {
        (scene.shop().await.status?.available_replicas == Some(2)).then_some(())
    })
    .await;
    let changing = scene.leader().await;
    let platform = changing.platform();
    let uid = pods(&scene.admin, &scene.namespace).await[0].metadata.uid.clone().unwrap();
    let uids = vec![EndpointUid::new(&uid)];
    let held = platform.hold(&scene.id(), hold("a-1", Targets::Endpoints(uids.clone()))).await.unwrap();
    let scale = Scale { to: 1, victims: uids, expected: Expected::Version(held) };
    platform.scale(&scene.id(), scale).await.unwrap();
    assert_eq!(scene.count().await, 1);
}

#[tokio::test]
async fn uninstalling_puts_everything_back() {
    let scene = Scene::new("uninstall", 2, false).await;
    let changing = scene.leader().await;
    let platform = changing.platform();
    let held = platform.hold(&scene.id(), hold("a-1", Targets::All)).await.unwrap();
    let zero = Scale { to: 0, victims: vec![], expected: Expected::Version(held) };
    platform.scale(&scene.id(), zero).await.unwrap();
    changing.stop().await;
    let mut uninstall = Uninstall::new(scene.admin.clone(), &scene.namespace);
    let plan = uninstall.plan().await.unwrap();
    assert_eq!(plan.to_string(), format!("{}: 0 to 2 replicas, without its hold\n", scene.id()));
    assert_eq!(scene.count().await, 0, "a plan changes nothing");
    uninstall.lead(PATIENCE).await.unwrap();
    assert_eq!(uninstall.apply(&plan).await, []);
    assert_eq!(scene.count().await, 2);
    assert!(scene.originals().await.is_empty());
}

#[tokio::test]
async fn a_leader_whose_api_server_is_gone_stops_and_comes_back_with_it() {
    let plane = ControlPlane::start().await.unwrap();
    let scene = Scene::on(&plane, "outage", 1, false).await;
    let changing = scene.leader().await;
    let platform = changing.platform();
    plane.stop_api_server();
    changing.leading().wait_for(|leads| !leads).await.unwrap();
    // Nothing is lowered on one's own, and a wake fails soon enough to be tried again.
    let refused = platform.hold(&scene.id(), hold("a-1", Targets::All)).await;
    assert!(matches!(refused, Err(Refusal::Failed(_))), "{refused:?}");
    let refused = platform.scale(&scene.id(), wake(1)).await;
    assert!(matches!(refused, Err(Refusal::Failed(_))), "{refused:?}");
    plane.start_api_server().await.unwrap();
    changing.leading().wait_for(|leads| *leads).await.unwrap();
    eventually("it writes again", async || platform.hold(&scene.id(), hold("a-2", Targets::All)).await.ok())
        .await;
}
