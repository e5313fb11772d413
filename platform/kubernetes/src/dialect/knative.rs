//! Knative Serving: its Services, and the annotations of its autoscaler where Kaos doesn't read them by itself.
//!
//! Knative owns the Deployments it makes, so a Service of Knative becomes a Deployment of its user's own.

mod make;

use std::collections::BTreeMap;

use kaos_core::WorkloadId;
use kaos_core::annotation::{self, Asked, PREFIX, Reading};
use kaos_core::knob::KNOBS;
use kaos_core::policy::Policy;
use serde_json::Value;

use super::draft::{Draft, Phase, Source, seconds};
use super::plan::{self, Plan};
use super::remark::Step;
use crate::controller::Controller;
use crate::safety::look;
use crate::safety::subject::Subject;
use crate::safety::{Objects, Survey};

const AUTOSCALING: &str = "autoscaling.knative.dev/";
/// What Knative's Services are kept as.
const KIND: &str = "KnativeService";

pub(super) fn read(subject: &Subject<'_>, draft: &mut Draft) {
    // Knative undoes what is written there.
    if is_owned(subject) {
        return;
    }
    if let Some(service) = subject.objects.get(KIND, subject.namespace, subject.name) {
        self::service(service, subject, subject.objects, draft);
    }
    let native: Vec<&str> = look::entries(subject.raw, "/metadata/annotations")
        .filter_map(|(name, _)| name.starts_with(AUTOSCALING).then_some(name))
        .collect();
    if !native.is_empty() && subject.annotation("kaos.dev/enabled").is_empty() {
        draft.sources.push(format!("{} {AUTOSCALING}…", subject.called()));
        for name in native {
            draft.same(name, "Kaos reads it as it is");
        }
        for note in &subject.adoption.notes {
            draft.note(&subject.called(), note.clone());
        }
    }
    let template = texts(subject.raw, "/spec/template/metadata/annotations");
    if template.keys().any(|name| name.starts_with(AUTOSCALING)) {
        let place = format!("{} spec.template", subject.called());
        draft.sources.push(format!("{place} {AUTOSCALING}…"));
        annotations(&template, &place, draft);
    }
}

/// Whether Knative has made the Deployment.
pub(super) fn is_owned(subject: &Subject<'_>) -> bool {
    subject.read.owner.as_deref().is_some_and(|owner| owner.starts_with("Knative"))
}

/// Knative's Services.
pub(super) fn services(objects: &Objects) -> impl Iterator<Item = &Value> {
    objects.every(KIND)
}

/// A Deployment and a Service that do what a Service of Knative does, and their annotations. `None`: there is a Deployment of
/// its name.
pub(super) fn made(service: &Value, objects: &Objects, system: &str) -> Option<Plan> {
    let (namespace, name) = (look::namespace(service), look::name(service));
    if objects.get("Deployment", namespace, name).is_some() {
        return None;
    }
    let mut make = make::objects(service);
    let mut alone = Objects::default();
    for object in &make {
        alone.take(object.clone(), namespace).ok()?;
    }
    let survey = Survey::new(&alone, system);
    let workload = WorkloadId::new(namespace, name);
    let subject = survey.subject(Controller::Deployment, &workload, &mut Vec::new())?.ok()?;
    let mut draft = Draft::default();
    self::service(service, &subject, objects, &mut draft);
    draft.note(
        &subject.called(),
        format!(
            "is made, with Service/{}: it has PORT in its environment, and none of Knative's K_… variables",
            make::front(name)
        ),
    );
    let mut plan = plan::settle(draft, &subject);
    plan.steps[0] = Step {
        say: "create the Deployment and its Service, with the annotations".into(),
        paste: format!(
            "kaos adopt deployment/{name} -n {namespace} -o yaml | kubectl apply --server-side --field-manager={} -f -",
            super::MANAGER
        ),
    };
    let meta = &mut make[0]["metadata"];
    meta["annotations"] =
        plan.lines.iter().map(|line| (line.name.clone(), Value::from(line.value.as_str()))).collect();
    plan.make = make;
    Some(plan)
}

fn service(service: &Value, subject: &Subject<'_>, objects: &Objects, draft: &mut Draft) {
    let mut source = Source::of(service, subject);
    source.called = format!("Knative {}", source.called);
    draft.sources.push(source.called.clone());
    let (namespace, name) = (look::namespace(service), look::name(service));
    let mut all = texts(service, "/metadata/annotations");
    all.extend(texts(service, "/spec/template/metadata/annotations"));
    annotations(&all, &format!("{} spec.template", source.called), draft);
    mapped(objects, namespace, name, draft);
    for (at, knob, why) in [
        ("/spec/template/spec/containerConcurrency", "container-concurrency", ""),
        ("/spec/template/spec/timeoutSeconds", "request-timeout", "from its dispatch on"),
        ("/spec/template/spec/responseStartTimeoutSeconds", "response-start-timeout", ""),
        ("/spec/template/spec/idleTimeoutSeconds", "stream-idle-timeout", ""),
    ] {
        match source.whole(at) {
            Some(count) if knob == "container-concurrency" => draft.say(knob, count, &source.at(at), why),
            Some(count) => draft.say(knob, seconds(count), &source.at(at), why),
            None => {}
        }
    }
    if make::is_h2c(service) {
        draft.say("protocol", "h2c", &source.at("/spec/template/spec/containers"), "the name of its port");
    }
    let traffic = look::list(service, "/spec/traffic");
    let plain = |one: &Value| {
        look::text(one, "/tag").is_empty() && look::whole(one, "/percent").unwrap_or(100) == 100
    };
    if !traffic.iter().all(plain) {
        draft.none(
            &source.at("/spec/traffic"),
            "a Deployment is one revision: requests aren't split, and there are no tags",
        );
    }
    let say = format!(
        "send its hosts to {}, port 80, where they go to Knative's gateway now; kaos describe {name} -n {namespace} shows when \
         requests come",
        subject.proxy()
    );
    draft.step(Phase::Traffic, say, &[]);
    let remove = [
        format!("kubectl delete services.serving.knative.dev {name} -n {namespace}"),
        format!(
            "kubectl create service externalname {name} -n {namespace} --tcp=80 --external-name=kaos-proxy.{}.svc.cluster.local",
            subject.system
        ),
    ];
    let say = format!(
        "once requests come through Kaos, take Knative's Service away; for clients in the cluster that ask for \
         {name}.{namespace}.svc.cluster.local put a name in its place, and let kaos.dev/host name that host too"
    );
    draft.step(Phase::Remove, say, &remove);
}

/// Hosts that are mapped to it.
fn mapped(objects: &Objects, namespace: &str, name: &str, draft: &mut Draft) {
    let to = |one: &&Value| {
        look::text(one, "/spec/ref/name") == name && look::text(one, "/spec/ref/kind") == "Service"
    };
    let hosts: Vec<&str> = objects.within("DomainMapping", namespace).filter(to).map(look::name).collect();
    if let Some(first) = hosts.first() {
        let why = "in place of the host that is inferred, NAME.NAMESPACE.DOMAIN";
        draft.say("host", hosts.join(","), &format!("DomainMapping/{first}"), why);
    }
}

/// Annotations of Knative's autoscaler, each read as Kaos reads it on a Deployment, and said in Kaos's own spelling.
fn annotations(all: &BTreeMap<&str, &str>, place: &str, draft: &mut Draft) {
    // A bound that no annotation can name: what is said is seen, be it what is usual.
    let usual = Policy { max_scale: u32::MAX, ..Policy::cluster(0) };
    let mut least = 0;
    let mut bounded = false;
    for (name, value) in all.iter().filter(|(name, _)| name.starts_with(AUTOSCALING)) {
        let from = format!("{place} {name}");
        let adoption = match annotation::read([("kaos.dev/enabled", "true"), (name, value)], &usual) {
            Reading::Adopted(adoption) => adoption,
            Reading::Invalid(wrong) => {
                for wrong in wrong {
                    draft.refuse(
                        &from,
                        format!("{:?} isn't allowed: allowed is {}", wrong.value, wrong.allowed),
                    );
                }
                continue;
            }
            Reading::Left => continue,
        };
        let policy = &adoption.policy;
        least = least.max(policy.min_scale).max(policy.initial_scale).max(policy.activation_scale);
        bounded |= policy.max_scale != u32::MAX;
        let mut told = false;
        for knob in KNOBS.iter().filter(|knob| (knob.show)(policy) != (knob.show)(&usual)) {
            draft.say(knob.name, (knob.show)(policy), &from, "");
            told = true;
        }
        if let Asked::Observe(why) = &adoption.mode {
            draft.say("mode", "observe", &from, why);
            told = true;
        }
        for note in &adoption.notes {
            draft.note(&from, note.clone());
            told = true;
        }
        if !told {
            draft.same(&from, "Kaos does so anyway, or it has no effect");
        }
    }
    if !bounded {
        let most = Policy::cluster(0).max_scale;
        let from = format!("{place} {AUTOSCALING}max-scale");
        if least > most {
            draft.say("max-scale", 0, &from, "isn't said: Knative has no bound then");
        } else {
            draft.note(
                &from,
                format!("isn't said: Knative has no bound then, Kaos {most}; {PREFIX}max-scale=0 is none"),
            );
        }
    }
}

fn texts<'v>(object: &'v Value, pointer: &str) -> BTreeMap<&'v str, &'v str> {
    look::entries(object, pointer).filter_map(|(name, value)| Some((name, value.as_str()?))).collect()
}
