//! For what is asked. Each proxy has its own way to say it, and hands on what its client says in the others' ways: so which one
//! counts is part of the path that the operator gives, and nothing is guessed.

use kaos_core::WorkloadId;

use crate::head::Head;
use crate::refuse::Refusal;

/// Where the gate is asked.
const GATE: &[u8] = b"/_kaos/gate/";
/// How a malformed question is answered.
const FORMS: Refusal = Refusal::BadRequest(
    "the gate is asked at /_kaos/gate/host/PATH, /_kaos/gate/forwarded, /_kaos/gate/original-url, or \
     /_kaos/gate/workload/NAMESPACE/NAME",
);
const NO_URL: Refusal = Refusal::BadRequest(
    "X-Original-URL has to be there once, as SCHEME://HOST/PATH, at /_kaos/gate/original-url",
);
const NO_HOST: Refusal = Refusal::BadRequest(
    "X-Forwarded-Host has to be there once, and X-Forwarded-Uri at most once, at /_kaos/gate/forwarded",
);
const NO_NAME: Refusal = Refusal::BadRequest("the workload is named as /_kaos/gate/workload/NAMESPACE/NAME");

/// A request that another proxy has. Of its head only host and target are known.
#[derive(Debug)]
pub(crate) enum Subject {
    /// One for this place.
    Place(Head),
    /// One for this workload, of this path.
    Workload(WorkloadId, Head),
}

impl Subject {
    /// What the question `head` asks for.
    pub(crate) fn of(head: &Head) -> Result<Subject, Refusal> {
        let asked = head.target.strip_prefix(GATE).ok_or(FORMS)?;
        let end = asked.iter().position(|byte| matches!(byte, b'/' | b'?')).unwrap_or(asked.len());
        let (form, rest) = asked.split_at_checked(end).ok_or(FORMS)?;
        match form {
            b"host" => place(&head.host, rest).map(Subject::Place),
            b"forwarded" => {
                let host = value(head, "x-forwarded-host")?.ok_or(NO_HOST)?;
                place(host, value(head, "x-forwarded-uri")?.unwrap_or_default()).map(Subject::Place)
            }
            b"original-url" => {
                let url = value(head, "x-original-url")?.ok_or(NO_URL)?;
                let scheme = url.windows(3).position(|three| three == b"://").ok_or(NO_URL)?;
                let behind = url.get(scheme + 3..).unwrap_or_default();
                let end = behind.iter().position(|byte| matches!(byte, b'/' | b'?')).unwrap_or(behind.len());
                let (host, target) = behind.split_at_checked(end).ok_or(NO_URL)?;
                place(host, target).map(Subject::Place)
            }
            b"workload" => {
                let rest = std::str::from_utf8(rest).map_err(|_| NO_NAME)?;
                let named = rest.split('?').next().unwrap_or_default();
                let mut parts = named.splitn(4, '/').skip(1);
                let (namespace, name) = (parts.next().unwrap_or_default(), parts.next().unwrap_or_default());
                if namespace.is_empty() || name.is_empty() {
                    return Err(NO_NAME);
                }
                let path = format!("/{}", parts.next().unwrap_or_default());
                Ok(Subject::Workload(WorkloadId::new(namespace, name), place(b"", path.as_bytes())?))
            }
            _ => Err(FORMS),
        }
    }
}

/// The request for `target` of `host`, as far as it can be one.
fn place(host: &[u8], target: &[u8]) -> Result<Head, Refusal> {
    let mut head = Head { host: host.to_vec(), ..Head::default() };
    if !target.starts_with(b"/") {
        head.target.push(b'/');
    }
    head.target.extend_from_slice(target);
    head.check()?;
    Ok(head)
}

/// What the field `name` says, which isn't said twice.
fn value<'h>(head: &'h Head, name: &str) -> Result<Option<&'h [u8]>, Refusal> {
    let mut said = head.fields.iter().filter(|known| known.name.eq_ignore_ascii_case(name.as_bytes()));
    let value = said.next().map(|known| known.value.trim_ascii());
    match said.next() {
        Some(_) => Err(Refusal::BadRequest("the field that says what is asked for is there twice")),
        None => Ok(value),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asked(target: &str, fields: &[(&str, &str)]) -> Result<String, Refusal> {
        let mut head = Head { target: target.into(), host: b"a.test:8080".to_vec(), ..Head::default() };
        fields.iter().for_each(|(name, value)| head.fields.push(name.as_bytes(), value.as_bytes()));
        let shown = |head: Head| format!("{}{}", head.routed_host().unwrap(), head.routed_path());
        Subject::of(&head).map(|subject| match subject {
            Subject::Place(head) => shown(head),
            Subject::Workload(id, head) => format!("{id}: {}", shown(head)),
        })
    }

    const ALL: [(&str, &str); 3] = [
        ("X-Forwarded-Host", "b.test"),
        ("X-Forwarded-Uri", "/b?q"),
        ("X-Original-URL", "https://C.test:443/c/../d?q=/e"),
    ];

    #[test]
    fn only_the_way_counts_that_the_path_names() {
        for (target, subject) in [
            ("/_kaos/gate/host", "a.test/"),
            ("/_kaos/gate/host/", "a.test/"),
            ("/_kaos/gate/host/x/y?q=/z", "a.test/x/y"),
            ("/_kaos/gate/host?q", "a.test/"),
            ("/_kaos/gate/forwarded", "b.test/b"),
            ("/_kaos/gate/forwarded/anything?q", "b.test/b"),
            ("/_kaos/gate/original-url", "c.test/d"),
            ("/_kaos/gate/workload/shops/cart", "shops/cart: /"),
            ("/_kaos/gate/workload/shops/cart?q=/a/b", "shops/cart: /"),
            ("/_kaos/gate/workload/shops/cart/x/../y", "shops/cart: /y"),
        ] {
            assert_eq!(asked(target, &ALL).as_deref(), Ok(subject), "{target}");
        }
        assert_eq!(asked("/_kaos/gate/forwarded", &ALL[..1]).as_deref(), Ok("b.test/"));
        let bare = [("x-original-url", "http://c.test?q")];
        assert_eq!(asked("/_kaos/gate/original-url", &bare).as_deref(), Ok("c.test/"));
    }

    #[test]
    fn what_says_nothing_or_two_things_is_refused() {
        for target in ["/", "/_kaos/gate", "/_kaos/gate/", "/_kaos/gate/hostess", "/x/_kaos/gate/host"] {
            assert_eq!(asked(target, &ALL), Err(FORMS), "{target}");
        }
        for target in ["", "/", "/shops", "/shops/", "//cart", "?q=/shops/cart"] {
            assert_eq!(asked(&format!("/_kaos/gate/workload{target}"), &[]), Err(NO_NAME), "{target}");
        }
        assert_eq!(asked("/_kaos/gate/forwarded", &[]), Err(NO_HOST));
        assert_eq!(asked("/_kaos/gate/original-url", &[("X-Original-URL", "/c")]), Err(NO_URL));
        let twice = [("X-Forwarded-Host", "b.test"), ("x-forwarded-host", "c.test")];
        assert!(asked("/_kaos/gate/forwarded", &twice).is_err());
        for (name, value) in [
            ("X-Forwarded-Host", "b.test, c.test"),
            ("X-Forwarded-Host", "b test"),
            ("X-Forwarded-Uri", "/%zz"),
            ("X-Forwarded-Uri", "/a b"),
        ] {
            let mut fields = vec![(name, value)];
            fields.extend(ALL.iter().filter(|(known, _)| *known != name));
            assert!(asked("/_kaos/gate/forwarded", &fields).is_err(), "{name}: {value}");
        }
    }
}
