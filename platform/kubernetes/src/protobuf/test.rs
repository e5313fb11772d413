//! Lists in protobuf are read as those in JSON are, in whatever chunks they come; and bytes of every kind end.

use std::fmt::Debug;

use jiff::Timestamp;
use proptest::prelude::*;
use serde_json::{Value, json};

use super::schema::{Kind, LIST_META, Message, STATUS};
use super::{List, MAGIC, json as written, object};
use crate::fixture::{deployment, enabled, wire};
use crate::ingress::{Class, Ingress};
use crate::list::ListMeta;
use crate::object::{Deployment, Pod, Service, Slice};
use crate::reduce::StatefulSet;
use crate::wire::{Watched, Wire};
use crate::wire_test::{any_deployment, any_pod, any_service, any_slice};

fn varint(mut value: u64, out: &mut Vec<u8>) {
    while value >= 0x80 {
        out.push(value as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

fn number(field: u32, value: u64, out: &mut Vec<u8>) {
    varint(u64::from(field) << 3, out);
    varint(value, out);
}

fn bytes(field: u32, value: &[u8], out: &mut Vec<u8>) {
    varint(u64::from(field) << 3 | 2, out);
    varint(value.len() as u64, out);
    out.extend_from_slice(value);
}

/// `value` as the API server would write it, in a message of this shape.
fn encode(message: &Message, value: &Value) -> Vec<u8> {
    let mut out = Vec::new();
    for field in message.fields {
        let at = field.number;
        if let Kind::Inline(message) = field.kind {
            bytes(at, &encode(message, value), &mut out);
            continue;
        }
        let said = &value[field.name];
        if said.is_null() {
            continue;
        }
        let text = |said: &Value| said.as_str().unwrap().as_bytes().to_vec();
        match field.kind {
            Kind::Text => bytes(at, &text(said), &mut out),
            Kind::Number | Kind::Pointer => number(at, said.as_i64().unwrap().cast_unsigned(), &mut out),
            Kind::Flag => number(at, u64::from(said.as_bool().unwrap()), &mut out),
            Kind::Time => {
                let mut time = Vec::new();
                let moment: Timestamp = said.as_str().unwrap().parse().unwrap();
                number(1, moment.as_second().cast_unsigned(), &mut time);
                number(2, 0, &mut time);
                bytes(at, &time, &mut out);
            }
            Kind::NumberOrText => {
                let mut both = Vec::new();
                number(1, u64::from(said.is_string()), &mut both);
                number(2, said.as_i64().unwrap_or(0).cast_unsigned(), &mut both);
                bytes(3, said.as_str().unwrap_or_default().as_bytes(), &mut both);
                bytes(at, &both, &mut out);
            }
            Kind::Json => {
                let mut raw = Vec::new();
                bytes(1, said.to_string().as_bytes(), &mut raw);
                bytes(at, &raw, &mut out);
            }
            Kind::Message(message) => bytes(at, &encode(message, said), &mut out),
            Kind::Texts => said.as_array().unwrap().iter().for_each(|one| bytes(at, &text(one), &mut out)),
            Kind::Messages(message) => {
                said.as_array().unwrap().iter().for_each(|one| bytes(at, &encode(message, one), &mut out));
            }
            Kind::Map => {
                for (name, value) in said.as_object().unwrap() {
                    let mut entry = Vec::new();
                    bytes(1, name.as_bytes(), &mut entry);
                    bytes(2, &text(value), &mut entry);
                    bytes(at, &entry, &mut out);
                }
            }
            Kind::Inline(_) => unreachable!(),
        }
        // What isn't read comes in between: a number, a text, and both sizes of fixed ones.
        number(90, u64::MAX, &mut out);
        bytes(91, b"{\"", &mut out);
        out.extend_from_slice(&[0x85, 0x06, 1, 2, 3, 4, 0x81, 0x06, 1, 2, 3, 4, 5, 6, 7, 8]);
    }
    out
}

fn list(items: &[Vec<u8>]) -> Vec<u8> {
    let mut list = Vec::new();
    bytes(1, &encode(&LIST_META, &json!({"resourceVersion": "7", "continue": "on"})), &mut list);
    items.iter().for_each(|item| bytes(2, item, &mut list));
    envelope(&list)
}

fn envelope(raw: &[u8]) -> Vec<u8> {
    let mut out = MAGIC.to_vec();
    bytes(1, b"\x0a\x07apps/v1", &mut out);
    bytes(2, raw, &mut out);
    bytes(3, b"", &mut out);
    bytes(4, b"", &mut out);
    out
}

/// Takes `text` apart in chunks of these sizes, over and over.
fn take<T: Watched>(text: &[u8], sizes: &[usize]) -> Result<(Vec<Wire<T>>, ListMeta), String> {
    let (mut list, mut all) = (List::default(), Vec::new());
    let (mut rest, mut sizes) = (text, sizes.iter().cycle());
    while !rest.is_empty() {
        let (chunk, after) = rest.split_at((*sizes.next().unwrap()).min(rest.len()));
        list.take(chunk, &mut |object| all.push(object))?;
        rest = after;
    }
    Ok((all, list.end()?))
}

/// What is read of these in a list of protobuf is what is read of each as JSON.
fn agrees<T: Watched + PartialEq + Debug>(
    objects: &[Value],
    sizes: &[usize],
    but: fn(&mut T),
) -> Result<(), TestCaseError> {
    let text = list(&objects.iter().map(|object| encode(T::MESSAGE.unwrap(), object)).collect::<Vec<_>>());
    let (read, meta) = take::<T>(&text, sizes).unwrap();
    prop_assert_eq!((meta.resource_version.as_deref(), meta.token.as_deref()), (Some("7"), Some("on")));
    prop_assert_eq!(read.len(), objects.len());
    for (read, object) in read.into_iter().zip(objects) {
        let plain = |read: Wire<T>| {
            let mut kept = read.kept.unwrap();
            kept.iter_mut().for_each(but);
            (read.name, kept, read.version)
        };
        prop_assert_eq!(plain(read), plain(wire::<T>(object)), "{}", object);
    }
    // Cut anywhere it is no list, but for what comes after it.
    for end in (0..text.len() - 4).step_by(61) {
        prop_assert!(take::<T>(&text[..end], sizes).is_err(), "{} of {}", end, text.len());
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn protobuf_is_read_as_json_is(
        deployments in prop::collection::vec(any_deployment(), 0..4),
        services in prop::collection::vec(any_service(), 0..4),
        slices in prop::collection::vec(any_slice(), 0..4),
        pods in prop::collection::vec(any_pod(), 0..4),
        sizes in prop::collection::vec(1..300_usize, 1..5),
    ) {
        agrees::<Deployment>(&deployments, &sizes, |it| it.template.hash = 0)?;
        agrees::<StatefulSet>(&deployments, &sizes, |it| it.0.template.hash = 0)?;
        agrees::<Service>(&services, &sizes, |_| {})?;
        agrees::<Slice>(&slices, &sizes, |_| {})?;
        agrees::<Pod>(&pods, &sizes, |_| {})?;
    }

    #[test]
    fn whatever_comes_ends(bytes in prop::collection::vec(any::<u8>(), 0..200), size in 1..50_usize) {
        let _ = take::<Deployment>(&[MAGIC, &bytes].concat(), &[size]);
        let _ = take::<Deployment>(&envelope(&bytes), &[size]);
        let mut out = Vec::new();
        let _ = written::object(Deployment::MESSAGE.unwrap(), &bytes, &mut out);
    }

    #[test]
    fn a_byte_that_is_wrong_hurts_no_more_than_its_list(at in any::<prop::sample::Index>(), to in any::<u8>()) {
        let one = encode(Deployment::MESSAGE.unwrap(), &deployment("shop", &enabled()));
        let mut text = list(&[one.clone(), one]);
        let at = at.index(text.len());
        text[at] = to;
        let _ = take::<Deployment>(&text, &[64]);
    }
}

#[test]
fn an_ingress_and_its_class_are_read_in_protobuf_as_in_json() {
    let service = json!({"service": {"name": "web", "port": {"number": 80}}});
    let named = json!({"service": {"name": "web", "port": {"name": "http"}}});
    let other = json!({"resource": {"kind": "Bucket"}});
    let paths = json!([
        {"path": "/a", "pathType": "Exact", "backend": service}, {"pathType": "Prefix", "backend": named},
        {"path": "/c", "pathType": "ImplementationSpecific", "backend": other},
    ]);
    let ingress = json!({
        "metadata": {"namespace": "prod", "name": "front", "uid": "u", "resourceVersion": "3",
            "creationTimestamp": "2026-01-01T00:00:00Z",
            "annotations": {"nginx.ingress.kubernetes.io/use-regex": "true", "other/x": "y"}},
        "spec": {
            "ingressClassName": "kaos", "defaultBackend": service,
            "rules": [{"host": "a.test", "http": {"paths": paths}}, {"host": "*.a.test"}],
            "tls": [{"hosts": ["a.test", "b.test"], "secretName": "cert"}],
        },
        "status": {"loadBalancer": {"ingress": [{"ip": "192.0.2.1"}, {"hostname": "lb.test"}]}},
    });
    agrees::<Ingress>(&[ingress], &[7], |_| {}).unwrap();
    let class = json!({"metadata": {"name": "kaos", "resourceVersion": "3",
        "annotations": {"ingressclass.kubernetes.io/is-default-class": "true"}},
        "spec": {"controller": "kaos.dev/ingress"}});
    agrees::<Class>(&[class], &[7], |_| {}).unwrap();
}

#[test]
fn one_that_cant_be_read_is_no_reason_not_to_read_the_others() {
    let good = encode(Deployment::MESSAGE.unwrap(), &deployment("shop", &enabled()));
    let broken = [good.clone(), vec![0x0a, 0xff, 0xff]].concat();
    let (read, _) = take::<Deployment>(&list(&[good.clone(), broken, good]), &[1000]).unwrap();
    let said: Vec<bool> = read.iter().map(|object| object.kept.is_ok()).collect();
    assert_eq!(said, [true, false, true]);
}

#[test]
fn a_templates_sum_changes_with_what_isnt_read() {
    let one = encode(Deployment::MESSAGE.unwrap(), &deployment("shop", &enabled()));
    let hash = |one: &[u8]| {
        let (mut read, _) = take::<Deployment>(&list(&[one.to_vec()]), &[1000]).unwrap();
        read.remove(0).kept.unwrap().unwrap().template.hash
    };
    assert_eq!(hash(&one), hash(&one));
    let name = one.windows(4).rposition(|four| four == b"http").unwrap();
    let mut other = one.clone();
    other[name] = b'H';
    assert_ne!(hash(&one), hash(&other));
}

#[test]
fn an_object_that_is_too_long_is_refused_before_it_comes() {
    let mut text = MAGIC.to_vec();
    text.extend_from_slice(&[0x12, 0xff, 0xff, 0xff, 0x7f, 0x12, 0xff, 0xff, 0xff, 0x0f]);
    assert!(take::<Deployment>(&text, &[3]).unwrap_err().contains("16777216 bytes"));
}

#[test]
fn a_refusal_is_read() {
    let said = json!({"status": "Failure", "message": "no", "reason": "Forbidden", "code": 403});
    let text = object(&STATUS, &envelope(&encode(&STATUS, &said))).unwrap();
    assert_eq!(serde_json::from_slice::<Value>(&text).unwrap(), said);
    assert_eq!(object(&STATUS, b"<html>"), None);
}
