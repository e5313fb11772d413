//! Other workloads of the cluster that name a Service in what they are started with: they call it by its cluster address, and
//! so past Kaos.

use std::collections::BTreeMap;

use serde_json::Value;

use super::finding::{Finding, Topic, Verdict};
use super::look;
use super::objects::Objects;
use super::subject::Subject;

/// Most callers of one workload that are named.
const NAMED: usize = 5;

/// Who names which Service, by its namespace and name.
pub(super) struct Callers(BTreeMap<(String, String), Vec<Caller>>);

/// One place where a Service is named.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Caller {
    /// `Deployment/front`.
    object: String,
    namespace: String,
    /// `env[SHOP_URL]`.
    field: String,
    /// As it is called there. Nothing around it is shown: there may be a password.
    host: String,
}

impl Callers {
    pub(super) fn index(objects: &Objects) -> Self {
        let mut all = Callers(BTreeMap::new());
        for kind in ["Deployment", "StatefulSet", "DaemonSet", "CronJob"] {
            let template = if kind == "CronJob" { "spec/jobTemplate/spec/template" } else { "spec/template" };
            for object in objects.every(kind) {
                for part in ["initContainers", "containers"] {
                    for (_, container) in look::all(object, &format!("{template}/spec/{part}/*")) {
                        all.container(object, container, objects);
                    }
                }
            }
        }
        for map in objects.every("ConfigMap") {
            for (key, value) in look::entries(map, "/data") {
                all.read(map, &format!("data[{key}]"), key, value.as_str().unwrap_or_default(), objects);
            }
        }
        all
    }

    fn container(&mut self, object: &Value, container: &Value, objects: &Objects) {
        for variable in look::list(container, "/env") {
            let (name, value) = (look::text(variable, "/name"), look::text(variable, "/value"));
            self.read(object, &format!("env[{name}]"), name, value, objects);
        }
        for field in ["command", "args"] {
            for word in look::list(container, &format!("/{field}")).iter().filter_map(Value::as_str) {
                self.read(object, field, "", word, objects);
            }
        }
    }

    /// Finds every Service of `objects` that `text` names.
    fn read(&mut self, object: &Value, field: &str, key: &str, text: &str, objects: &Objects) {
        let own = look::namespace(object);
        for host in hosts(text, key) {
            let mut labels = host.split('.');
            let (Some(name), namespace) = (labels.next(), labels.next()) else { continue };
            if labels.next().is_some_and(|third| third != "svc") {
                continue;
            }
            let namespace = namespace.unwrap_or(own);
            if objects.get("Service", namespace, name).is_none() {
                continue;
            }
            let place = self.0.entry((namespace.to_owned(), name.to_owned())).or_default();
            let caller = Caller {
                object: format!("{}/{}", look::kind(object), look::name(object)),
                namespace: own.to_owned(),
                field: field.to_owned(),
                host: host.to_owned(),
            };
            if !place.contains(&caller) {
                place.push(caller);
            }
        }
    }

    pub(super) fn examine(&self, subject: &Subject<'_>, found: &mut Vec<Finding>) {
        for (_, read) in &subject.services {
            let at = (subject.namespace.to_owned(), read.name.to_string());
            let itself = subject.called();
            let others = self.0.get(&at).into_iter().flatten();
            let others = others.filter(|one| one.object != itself || one.namespace != subject.namespace);
            found.extend(others.take(NAMED).map(|caller| caller.finding(subject, &read.name)));
        }
    }
}

impl Caller {
    fn finding(&self, subject: &Subject<'_>, service: &str) -> Finding {
        let of =
            if self.namespace == subject.namespace { String::new() } else { format!("{}/", self.namespace) };
        Finding::new(Verdict::Unsafe, Topic::WaysIn, "caller")
            .at(format!("{of}{}", self.object), &self.field)
            .found(format!("names {}", self.host))
            .why(format!("it calls Service/{service} by its cluster address, past Kaos: asleep, its requests fail and wake nobody"))
            .fix(
                format!(
                    "let it ask http://kaos-proxy.{} with the header `Host: {service}.{}`; or keep a replica",
                    subject.system, subject.namespace
                ),
                subject.annotate("kaos.dev/min-scale=1"),
            )
    }
}

/// Hosts that `text` may name, if it is no plain word: in a URL, before a port, or with a namespace; as a whole where `key`
/// says that it is a host.
fn hosts<'t>(text: &'t str, key: &str) -> Vec<&'t str> {
    let key = key.to_ascii_uppercase();
    const HOST: [&str; 9] =
        ["HOST", "HOSTNAME", "ADDR", "ADDRESS", "URL", "URI", "SERVER", "UPSTREAM", "ENDPOINT"];
    let is_host = HOST.iter().any(|word| key.ends_with(word));
    let part = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || matches!(byte, b'-' | b'.');
    let bytes = text.as_bytes();
    let (mut found, mut at) = (Vec::new(), 0);
    while at < bytes.len() {
        if !part(bytes[at]) {
            at += 1;
            continue;
        }
        let end = bytes[at..].iter().position(|byte| !part(*byte)).map_or(bytes.len(), |length| at + length);
        let (before, after) = (&text.as_bytes()[..at], &bytes[end..]);
        // What comes before an @ is a user's name.
        let authority = after.iter().take_while(|byte| byte.is_ascii_graphic() && !b"/?\"',".contains(byte));
        let user = authority.into_iter().any(|byte| *byte == b'@');
        let in_url = before.ends_with(b"//") && !user || before.ends_with(b"@");
        let with_port = after.first() == Some(&b':') && after.get(1).is_some_and(u8::is_ascii_digit);
        let fresh =
            before.last().is_none_or(|byte| !byte.is_ascii_alphanumeric() && !matches!(byte, b'_' | b'/'));
        let whole = before.is_empty() && after.is_empty() && is_host;
        let host = &text[at..end];
        let named = host.contains(".svc") && fresh;
        if in_url || with_port && fresh || whole || named {
            found.push(host.trim_end_matches('.'));
        }
        at = end;
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_host_is_told_from_a_word() {
        for (key, text, expected) in [
            ("SHOP_URL", "http://shop:8080/api", &["shop"][..]),
            ("X", "http://shop.prod.svc.cluster.local", &["shop.prod.svc.cluster.local"]),
            ("X", "postgres://user:secret@db/shop", &["db"]),
            ("PEERS", "shop:80,cart:80", &["shop", "cart"]),
            ("SHOP_HOST", "shop", &["shop"]),
            ("APP", "shop", &[]),
            ("APP", "the shop in the town", &[]),
            ("IMAGE", "registry.local/shop:1", &[]),
            ("TIME", "at 12:30", &["12"]),
            ("X", "--backend=shop.prod.svc", &["shop.prod.svc"]),
            ("PATH", "/usr/local/shop", &[]),
            ("X", "größe http://shop", &["shop"]),
        ] {
            assert_eq!(hosts(text, key), expected, "{key}={text}");
        }
    }
}
