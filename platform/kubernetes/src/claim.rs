//! Which hosts a workload answers for: those it says, else the default one, and its Service's names in the cluster.

use kaos_core::WorkloadId;
use kaos_core::host::HostPattern;

/// Which hosts workloads may claim, and what the default one is made of.
#[derive(Clone, Debug)]
pub struct HostRules {
    /// The default host is `<name>.<namespace>.<domain>`; a namespace may claim everything under `<namespace>.<domain>`.
    pub domain: String,
    /// The cluster's own domain: `cluster.local` nearly everywhere.
    pub cluster_domain: String,
    /// Any namespace may claim any host: for clusters of one tenant.
    pub any_host: bool,
    /// Beyond their own, namespaces may claim these: `(namespace, suffix)`, the suffix being a host that is allowed with
    /// all below it.
    pub allowed: Vec<(String, String)>,
}

impl HostRules {
    /// The hosts of `workload`, whose Service is `service`. `Err`: a sentence on those that aren't allowed.
    pub(crate) fn hosts(
        &self,
        workload: &WorkloadId,
        said: &[HostPattern],
        service: &str,
    ) -> Result<Vec<HostPattern>, String> {
        let namespace = workload.namespace();
        let refused: Vec<String> =
            said.iter().filter(|host| !self.allows(namespace, host)).map(ToString::to_string).collect();
        if !refused.is_empty() {
            let allowed = self.allowed_to(namespace);
            return Err(format!("kaos.dev/host = {:?}: {allowed}", refused.join(", ")));
        }
        let mut hosts = said.to_vec();
        if hosts.is_empty() {
            let host = format!("{}.{namespace}.{}", workload.name(), self.domain);
            hosts.push(HostPattern::Exact(host.to_ascii_lowercase()));
        }
        let inside = format!("{service}.{namespace}");
        let cluster = format!("{inside}.svc.{}", self.cluster_domain);
        let cluster = cluster.to_ascii_lowercase();
        let names = [inside.clone(), format!("{inside}.svc"), cluster].map(HostPattern::Exact);
        hosts.extend(names);
        let mut seen = Vec::with_capacity(hosts.len());
        hosts.retain(|host| {
            !seen.contains(host) && {
                seen.push(host.clone());
                true
            }
        });
        Ok(hosts)
    }

    /// What hosts `namespace` may claim, as errors say it.
    pub(crate) fn allowed_to(&self, namespace: &str) -> String {
        format!(
            "allowed is a host below {namespace}.{}, or one that the operator allows this namespace (--allow-hosts \
             {namespace}=SUFFIX, or --any-host)",
            self.domain
        )
    }

    /// Whether `namespace` may claim `host`.
    pub(crate) fn allows(&self, namespace: &str, host: &HostPattern) -> bool {
        // The names of Services inside the cluster are their namespaces' own, whoever may claim what else.
        if self.inside(host).is_some_and(|of| of != namespace) {
            return false;
        }
        let own = format!("{namespace}.{}", self.domain);
        let given = self.allowed.iter().filter(|(to, _)| to == namespace).map(|(_, suffix)| suffix.as_str());
        self.any_host || std::iter::once(own.as_str()).chain(given).any(|suffix| below(host, suffix))
    }

    /// The namespace whose Service has the name `host`, if it is one: `….<namespace>.svc[.<cluster domain>]`.
    fn inside<'a>(&self, host: &'a HostPattern) -> Option<&'a str> {
        let text = match host {
            HostPattern::Exact(text) | HostPattern::Suffix(text) | HostPattern::Label(text) => text.as_str(),
            HostPattern::Any => return None,
        };
        let text = text.strip_suffix(&format!(".{}", self.cluster_domain)).unwrap_or(text);
        text.strip_suffix(".svc")?.rsplit('.').next()
    }
}

/// Whether every host of `pattern` is `suffix` or ends in it.
fn below(pattern: &HostPattern, suffix: &str) -> bool {
    let suffix = suffix.trim_start_matches("*.").trim_start_matches('.').to_ascii_lowercase();
    let suffix = suffix.as_str();
    match pattern {
        HostPattern::Exact(host) => {
            host == suffix || host.strip_suffix(suffix).is_some_and(|rest| rest.ends_with('.'))
        }
        HostPattern::Suffix(tail) | HostPattern::Label(tail) => {
            tail.strip_suffix(suffix).is_some_and(|rest| rest.ends_with('.'))
        }
        HostPattern::Any => false,
    }
}
