//! What annotations come to, as tables; and that no text in any of them panics or is half applied.

use proptest::prelude::*;

use crate::annotation::{Adoption, Asked, Invalid, Port, Reading, WRONG, read};
use crate::knob::{self, KNOBS};
use crate::policy::{Policy, Protocol, Readiness};

fn reading(annotations: &[(&str, &str)]) -> Reading {
    read(annotations.iter().copied(), &Policy::cluster(0))
}

fn adopted(annotations: &[(&str, &str)]) -> Adoption {
    let all: Vec<_> = [("kaos.dev/enabled", "true")].iter().chain(annotations).copied().collect();
    match reading(&all) {
        Reading::Adopted(adoption) => adoption,
        other => panic!("{annotations:?}: {other:?}"),
    }
}

fn invalid(annotations: &[(&str, &str)]) -> Vec<Invalid> {
    let all: Vec<_> = [("kaos.dev/enabled", "true")].iter().chain(annotations).copied().collect();
    match reading(&all) {
        Reading::Invalid(wrong) => wrong,
        other => panic!("{annotations:?}: {other:?}"),
    }
}

#[test]
fn only_enabled_opts_in() {
    for annotations in [
        &[][..],
        &[("kaos.dev/enabled", "false")],
        &[("kaos.dev/host", "a.test")],
        &[("kaos.dev/max-scale", "no number")],
        &[("autoscaling.knative.dev/min-scale", "1")],
        &[("kaos.dev/enabled", "false"), ("kaos.dev/max-scale", "no number")],
    ] {
        assert_eq!(reading(annotations), Reading::Left, "{annotations:?}");
    }
    for value in ["", "True", "yes", "1", " true"] {
        let Reading::Invalid(wrong) = reading(&[("kaos.dev/enabled", value)]) else { panic!("{value:?}") };
        assert_eq!(wrong[0].to_string(), format!("kaos.dev/enabled = {value:?}: allowed is true or false"));
    }
}

#[test]
fn a_cluster_has_its_own_defaults() {
    let plain = adopted(&[]);
    assert_eq!((plain.policy.max_scale, plain.policy.start_timeout.as_secs()), (10, 600));
    assert_eq!(plain.policy.readiness, Readiness::Probe);
    assert_eq!((plain.hosts.len(), plain.path.as_str(), plain.mode), (0, "/", Asked::Scale));
    assert_eq!((plain.service, plain.port, plain.says_protocol), (None, None, false));
    assert_eq!(plain.policy.protocol, Protocol::Http1);
    assert_eq!(Policy::cluster(25).max_scale, 25);
    assert_eq!(Policy::cluster(3).max_scale, 10);
}

#[test]
fn everything_that_can_be_said_is_read() {
    let all = adopted(&[
        ("kaos.dev/host", "shop.example.com, *.shop.test"),
        ("kaos.dev/path", "/cart"),
        ("kaos.dev/service", "web"),
        ("kaos.dev/port", "8080"),
        ("kaos.dev/protocol", "h2c"),
        ("kaos.dev/readiness", "ready"),
        ("kaos.dev/mode", "off"),
        ("kaos.dev/accept-risks", "bypass"),
        ("kaos.dev/idle-timeout", " 90s "),
        ("kaos.dev/no-wake-paths", "/healthz=200, /metrics=404"),
        ("kaos.dev/hold", "{ anything"),
        ("kubernetes.io/other", "x"),
    ]);
    let hosts: Vec<String> = all.hosts.iter().map(ToString::to_string).collect();
    assert_eq!(hosts, ["shop.example.com", "*.shop.test"]);
    assert_eq!((all.path.as_str(), all.service.as_deref()), ("/cart", Some("web")));
    assert_eq!(all.port, Some(Port::Number(8080)));
    assert_eq!((all.says_protocol, all.policy.protocol), (true, Protocol::H2c));
    assert_eq!((all.mode, all.accepts_bypass, all.says_readiness), (Asked::Off, true, true));
    assert_eq!(
        (all.policy.idle_timeout.fixed().unwrap().as_secs(), &all.policy.readiness),
        (90, &Readiness::Ready)
    );
    assert_eq!(all.policy.no_wake("/metrics"), Some(404));
    assert_eq!(adopted(&[("kaos.dev/port", "http")]).port, Some(Port::Name("http".into())));
    assert!(matches!(adopted(&[("kaos.dev/mode", "observe")]).mode, Asked::Observe(_)));
}

#[test]
fn knatives_spellings_are_read_and_kaoss_own_win() {
    let policy = |annotations: &[(&str, &str)]| adopted(annotations).policy;
    for prefix in ["autoscaling.knative.dev/min-scale", "autoscaling.knative.dev/minScale"] {
        assert_eq!(policy(&[(prefix, "2")]).min_scale, 2);
    }
    let own = policy(&[("autoscaling.knative.dev/max-scale", "nonsense"), ("kaos.dev/max-scale", "7")]);
    assert_eq!(own.max_scale, 7);
    assert_eq!(
        policy(&[("autoscaling.knative.dev/panicWindowPercentage", "20.0")]).panic_window_percentage,
        20.0
    );
    let idle = |value| policy(&[("autoscaling.knative.dev/scale-to-zero-pod-retention-period", value)]);
    assert_eq!(idle("5m").idle_timeout.fixed().unwrap().as_secs(), 300);
    assert_eq!(idle("5s").idle_timeout.fixed().unwrap().as_secs(), 60);
    assert_eq!(idle("0s").idle_timeout, Policy::default().idle_timeout);
    let ignored = adopted(&[("autoscaling.knative.dev/target-burst-capacity", "-1")]);
    assert!(ignored.notes[0].starts_with("autoscaling.knative.dev/target-burst-capacity has no effect"));
    let hpa = adopted(&[
        ("autoscaling.knative.dev/class", "hpa.autoscaling.knative.dev"),
        ("autoscaling.knative.dev/metric", "cpu"),
    ]);
    assert_eq!(hpa.mode, Asked::Scale);
    assert!(hpa.above_zero.is_some_and(|who| who.contains("autoscaling.knative.dev/class")));
}

/// Forty values that aren't allowed: each is named with what is, and nothing is adopted.
#[test]
fn a_flood_of_garbage_is_named_in_part() {
    let names: Vec<String> = (0..5000).map(|at| format!("kaos.dev/no-such-{at}")).collect();
    let flood = names.iter().map(|name| (name.as_str(), "x")).chain([("kaos.dev/enabled", "true")]);
    let Reading::Invalid(wrong) = read(flood, &Policy::default()) else { panic!("it is garbage") };
    assert_eq!(wrong.len(), WRONG);
}

#[test]
fn garbage_is_named() {
    for (annotation, values) in [
        ("kaos.dev/host", &["", ",", "a b", "http://a", "a:80", "a,,b", "*", "a/b", "*.*.a"][..]),
        ("kaos.dev/path", &["", "cart", "/a b", "//", "/a?b", "/a#b", "/*"]),
        ("kaos.dev/service", &["", "A", "a.b", "-a", "a_b"]),
        ("kaos.dev/port", &["", "0", "65536", "-1", "8080x y", "99999999999999999999"]),
        ("kaos.dev/protocol", &["", "http2", "H2C", "grpc"]),
        ("kaos.dev/mode", &["", "on", "Scale"]),
        ("kaos.dev/accept-risks", &["", "all", "bypass,all"]),
        ("kaos.dev/max-scale", &["", "-1", "ten", "1e9"]),
        ("kaos.dev/idle-timeout", &["30", "-1s"]),
        ("kaos.dev/readiness", &["exec", "GET /"]),
        ("kaos.dev/no-wake-paths", &["", "/healthz", "/a=200,/a=404", "/a=301"]),
        ("kaos.dev/no-such", &["x"]),
        ("kaos.dev/", &["x"]),
        ("autoscaling.knative.dev/class", &["", "mine"]),
        ("autoscaling.knative.dev/metric", &["cpu"]),
        ("autoscaling.knative.dev/scale-to-zero-pod-retention-period", &["60", "soon"]),
    ] {
        for value in values {
            let wrong = invalid(&[(annotation, value)]);
            assert_eq!(
                (wrong.len(), wrong[0].annotation.as_str()),
                (1, annotation),
                "{annotation} = {value:?}"
            );
            assert_eq!(wrong[0].value, value.trim());
            assert!(!wrong[0].allowed.is_empty());
        }
    }
}

#[test]
fn every_wrong_value_is_told_at_once_and_knobs_that_bound_each_other_too() {
    let wrong = invalid(&[("kaos.dev/max-scale", "x"), ("kaos.dev/mode", "y"), ("kaos.dev/max-scal", "1")]);
    let names: Vec<&str> = wrong.iter().map(|wrong| wrong.annotation.as_str()).collect();
    assert_eq!(names, ["kaos.dev/max-scal", "kaos.dev/max-scale", "kaos.dev/mode"]);
    assert!(wrong[0].allowed.contains("did you mean kaos.dev/max-scale?"), "{}", wrong[0]);
    let bound = invalid(&[("kaos.dev/min-scale", "11")]);
    assert_eq!(
        bound[0].to_string(),
        r#"kaos.dev/min-scale = "11": allowed is min-scale (11) must not be above max-scale (10)"#
    );
}

fn name() -> impl Strategy<Value = String> {
    let known: Vec<String> = KNOBS
        .iter()
        .flat_map(|knob| {
            ["kaos.dev/", "autoscaling.knative.dev/"].map(|prefix| format!("{prefix}{}", knob.name))
        })
        .chain(
            ["host", "path", "service", "port", "protocol", "mode", "accept-risks"]
                .map(|name| format!("kaos.dev/{name}")),
        )
        .chain(
            ["class", "minScale", "scaleToZeroPodRetentionPeriod"]
                .map(|name| format!("autoscaling.knative.dev/{name}")),
        )
        .collect();
    prop_oneof![9 => prop::sample::select(known), 1 => "(kaos.dev/)?[a-z-]{0,12}"]
}

fn value() -> impl Strategy<Value = String> {
    prop_oneof![3 => "[0-9]{1,3}", 2 => "[0-9]{1,2}[smh]", 1 => "/[a-z]{0,4}|rps|ready|probe|h2c|off|bypass", 1 => "/[ab]=[2-5]0[04](,/[ab]=[2-5]0[04])?", 2 => ".*"]
}

proptest! {
    #[test]
    fn no_text_panics_and_nothing_is_half_applied(
        said in prop::collection::btree_map(name(), value(), 0..6),
        enabled in prop_oneof![9 => Just("true".to_owned()), 1 => ".*"],
    ) {
        let mut said = said;
        said.insert("kaos.dev/enabled".to_owned(), enabled.clone());
        let reading = read(said.iter().map(|(name, value)| (name.as_str(), value.as_str())), &Policy::cluster(0));
        match reading {
            Reading::Left => prop_assert_eq!(enabled, "false"),
            Reading::Invalid(wrong) => {
                prop_assert!(!wrong.is_empty());
                for wrong in wrong {
                    // A bound between two knobs may name the one that was left to its default.
                    let bound = wrong.allowed.contains("must not be above");
                    prop_assert!(bound || said.contains_key(&wrong.annotation), "{}", wrong);
                }
            }
            Reading::Adopted(adoption) => {
                for (name, value) in &said {
                    let Some(knob) = name.strip_prefix("kaos.dev/").and_then(knob::find) else { continue };
                    let mut alone = Policy::cluster(0);
                    prop_assert_eq!((knob.set)(&mut alone, value.trim()), Ok(()), "{} = {}", name, value);
                    prop_assert_eq!((knob.show)(&adoption.policy), (knob.show)(&alone), "{}", name);
                }
            }
        }
    }
}
