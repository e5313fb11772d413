//! Which Secrets of a cluster hold certificates: the same is said to `kaos proxy` and to `kaos install`.

use clap::Args;
use kaos_kubernetes::SecretName;

use super::name::{label, subdomain};
use crate::failure::Failure;

/// Most Secrets: each is a watch of its own. A mounted folder may hold more.
const MOST: usize = 100;

/// Secrets with certificates.
#[derive(Args, Clone, Debug, Default)]
pub(crate) struct Secrets {
    /// Secret of type kubernetes.io/tls with a certificate for TLS; may be repeated
    #[arg(long = "tls-secret", env = "KAOS_TLS_SECRET", value_name = "NAMESPACE/NAME", value_delimiter = ',', value_parser = secret)]
    pub(crate) tls_secrets: Vec<SecretName>,
}

impl Secrets {
    /// Each once, in the order in which they were named first.
    pub(crate) fn named(&self) -> Result<Vec<SecretName>, Failure> {
        let mut named: Vec<SecretName> = Vec::new();
        for secret in &self.tls_secrets {
            if named.contains(secret) {
                continue;
            }
            if named.len() == MOST {
                let all = self.tls_secrets.len();
                return Err(Failure::Configuration(format!(
                    "--tls-secret (KAOS_TLS_SECRET) names {all} Secrets: allowed are {MOST}; mount more as files and say --tls-dir"
                )));
            }
            named.push(secret.clone());
        }
        Ok(named)
    }
}

fn secret(text: &str) -> Result<SecretName, String> {
    let read = text.split_once('/').and_then(|(namespace, name)| {
        Some(SecretName { namespace: label(namespace).ok()?, name: subdomain(name).ok()? })
    });
    read.ok_or_else(|| {
        "allowed is NAMESPACE/NAME of a Secret, both in lower case, such as shops/example.com".into()
    })
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::super::{Cli, Command};
    use super::*;

    fn named(flags: &[&str]) -> Result<Vec<String>, String> {
        let cli =
            Cli::try_parse_from([&["kaos", "proxy"], flags].concat()).map_err(|error| error.to_string())?;
        let Command::Proxy(proxy) = cli.command else { panic!("not proxy") };
        let named = proxy.secrets.named().map_err(|failure| format!("{failure:?}"))?;
        Ok(named.iter().map(ToString::to_string).collect())
    }

    #[test]
    fn secrets_are_named_one_by_one_or_in_a_list() {
        assert_eq!(named(&[]), Ok(vec![]));
        let flags = ["--tls-secret", "shops/b", "--tls-secret", "shops/a.example.com,other/b,shops/b"];
        assert_eq!(named(&flags).unwrap(), ["shops/b", "shops/a.example.com", "other/b"]);
    }

    #[test]
    fn what_names_no_secret_is_told_what_does() {
        for bad in ["", "a", "/a", "a/", "a/b/c", "A/b", "a/B", "a.b/c", "a/b_c", "a b/c", "a/-b", "a/b,"] {
            let error = named(&["--tls-secret", bad]).unwrap_err();
            for part in ["--tls-secret", "'", "allowed is NAMESPACE/NAME"] {
                assert!(error.contains(part), "{bad}: {error}");
            }
        }
    }

    #[test]
    fn secrets_have_a_bound() {
        let list = |count: usize| (0..count).map(|at| format!("a/s{at}")).collect::<Vec<_>>().join(",");
        assert_eq!(named(&["--tls-secret", &list(MOST)]).unwrap().len(), MOST);
        let error = named(&["--tls-secret", &list(MOST + 1)]).unwrap_err();
        assert!(error.contains("names 101 Secrets: allowed are 100"), "{error}");
    }
}
