//! Which certificate a client gets: by the name that it asks for, looked up in a table that is swapped whole.

use std::collections::HashMap;
use std::sync::Arc;

use arc_swap::ArcSwap;
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;

use super::Pair;
use crate::sabotage::{Rule, is_off};

/// The certificates in force.
#[derive(Debug, Default)]
pub struct Certificates {
    table: ArcSwap<Table>,
}

/// Certificates by name. `*.example.com` stands under `example.com` among the wildcards.
#[derive(Debug, Default)]
struct Table {
    exact: HashMap<String, Arc<CertifiedKey>>,
    wildcards: HashMap<String, Arc<CertifiedKey>>,
    /// For a client that names no host, or one that no certificate is for.
    fallback: Option<Arc<CertifiedKey>>,
}

impl Table {
    /// The first of `pairs` is the fallback; of two for one name the first counts.
    fn new<'a>(pairs: impl IntoIterator<Item = &'a Pair>) -> Self {
        let mut table = Table::default();
        for pair in pairs {
            table.fallback.get_or_insert_with(|| pair.key.clone());
            for name in pair.names() {
                let (names, name) = match name.strip_prefix("*.") {
                    Some(rest) => (&mut table.wildcards, rest),
                    None => (&mut table.exact, name.as_str()),
                };
                names.entry(name.to_owned()).or_insert_with(|| pair.key.clone());
            }
        }
        table
    }

    /// The certificate for `name`, in lower case. A wildcard stands for one label (RFC 6125 §6.4.3).
    fn find(&self, name: &str) -> Option<&Arc<CertifiedKey>> {
        let wildcard = || self.wildcards.get(name.split_once('.')?.1);
        self.exact.get(name).or_else(wildcard)
    }
}

impl Certificates {
    /// The first of `pairs` is for clients that name no host, or one that none of them is for.
    pub fn new<'a>(pairs: impl IntoIterator<Item = &'a Pair>) -> Self {
        Certificates { table: ArcSwap::from_pointee(Table::new(pairs)) }
    }

    /// Puts `pairs` in the place of all that were there: for handshakes from now on. Connections stay as they are.
    pub fn replace<'a>(&self, pairs: impl IntoIterator<Item = &'a Pair>) {
        if !is_off(Rule::Reloads) {
            self.table.store(Arc::new(Table::new(pairs)));
        }
    }

    /// Whether a client that has asked for `name` in its handshake may ask for `host` over the same connection: it got the
    /// certificate that is for `host` too, or there is none for it.
    pub(crate) fn covers(&self, name: Option<&str>, host: &str) -> bool {
        let table = self.table.load();
        let Some(wanted) = table.find(host) else { return true };
        let got = name.and_then(|name| table.find(name)).or(table.fallback.as_ref());
        is_off(Rule::Misdirected) || got.is_some_and(|got| Arc::ptr_eq(got, wanted))
    }
}

impl ResolvesServerCert for Certificates {
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        let table = self.table.load();
        let name = hello.server_name().filter(|_| !is_off(Rule::ServerNames));
        let named = name.and_then(|name| table.find(name));
        named.or(table.fallback.as_ref()).cloned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pair(names: &[&str]) -> Pair {
        let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
        let made = rcgen::generate_simple_self_signed(names).unwrap();
        Pair::read(made.cert.pem().as_bytes(), made.signing_key.serialize_pem().as_bytes()).unwrap()
    }

    #[test]
    fn the_nearest_name_wins_and_a_wildcard_is_one_label() {
        let (shop, wild) = (pair(&["shop.example.com", "Other.Example.com"]), pair(&["*.example.com"]));
        assert_eq!(shop.names(), ["shop.example.com", "other.example.com"]);
        let table = Table::new([&shop, &wild]);
        let found = |name: &str| table.find(name).map(|key| Arc::ptr_eq(key, &shop.key));
        for (name, is_shop) in [
            ("shop.example.com", Some(true)),
            ("other.example.com", Some(true)),
            ("blog.example.com", Some(false)),
            ("a.b.example.com", None),
            ("example.com", None),
            ("com", None),
            ("", None),
        ] {
            assert_eq!(found(name), is_shop, "{name}");
        }
    }

    #[test]
    fn a_connection_covers_what_its_certificate_is_for_and_what_none_is_for() {
        let (one, two) = (pair(&["one.test", "also.test"]), pair(&["two.test"]));
        let certificates = Certificates::new([&one, &two]);
        for (name, host, covered) in [
            (Some("one.test"), "one.test", true),
            (Some("one.test"), "also.test", true),
            (Some("one.test"), "two.test", false),
            (Some("one.test"), "unknown.test", true),
            (Some("unknown.test"), "one.test", true),
            (None, "one.test", true),
            (None, "two.test", false),
        ] {
            assert_eq!(certificates.covers(name, host), covered, "{name:?} {host}");
        }
        certificates.replace([&two]);
        assert!(certificates.covers(None, "two.test") && certificates.covers(None, "one.test"));
    }

    #[test]
    fn what_is_wrong_with_a_pair_is_said() {
        let (one, two) = (["one.test".to_owned()], ["two.test".to_owned()]);
        let (one, two) = (
            rcgen::generate_simple_self_signed(one).unwrap(),
            rcgen::generate_simple_self_signed(two).unwrap(),
        );
        let key = one.signing_key.serialize_pem();
        let said = |chain: &str, key: &str| Pair::read(chain.as_bytes(), key.as_bytes()).unwrap_err();
        for (chain, key, why) in [
            (two.cert.pem(), key.as_str(), "the key isn't the one of this certificate"),
            (String::new(), &key, "there is no certificate in it"),
            (key.clone(), &key, "there is no certificate in it"),
            (one.cert.pem(), "", "the key is no PEM of a private key"),
            (one.cert.pem().replace('M', "%"), &key, "the certificate is no PEM"),
            (
                "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n".into(),
                &key,
                "the certificate can't be read",
            ),
        ] {
            assert!(said(&chain, key).starts_with(why), "{}", said(&chain, key));
        }
    }

    /// A key without its line breaks, or without its end, is a common mistake; so is one in the place of the certificate.
    #[test]
    fn what_is_wrong_with_a_key_is_said_without_it() {
        let made = rcgen::generate_simple_self_signed(["one.test".to_owned()]).unwrap();
        let (chain, key) = (made.cert.pem(), made.signing_key.serialize_pem());
        let secret = key.lines().nth(1).unwrap();
        for broken in [
            key.replace('\n', ""),
            key.replace('\n', " "),
            key.replacen("KEY-----\n", "KEY-----", 1),
            key.replacen("KEY-----", "KEY", 1),
            key.split("-----END").next().unwrap().to_owned(),
            key.replacen(secret, &format!("{secret}%"), 1),
        ] {
            for (chain, key, which) in
                [(&chain, &broken, "the key is no PEM"), (&broken, &key, "certificate")]
            {
                let said = Pair::read(chain.as_bytes(), key.as_bytes()).unwrap_err();
                let bytes = format!("{:?}", secret.as_bytes());
                assert!(said.contains(which) && !said.contains(&secret[..8]), "{said}");
                assert!(!said.contains(&bytes[1..24]) && said.len() < 120, "{said}");
            }
        }
        let pair = Pair::read(chain.as_bytes(), key.as_bytes()).unwrap();
        assert!(!format!("{pair:?}").contains(&secret[..8]));
    }
}
