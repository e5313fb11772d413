//! The pairs in force, by where they came from. One that is replaced by something wrong stays.

use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use jiff::Timestamp;
use kaos_proxy::{Certificates, Pair};

/// Where a pair comes from. Of two for one name the first in this order counts, and the very first is what a client gets
/// that names no host.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Source {
    /// Given by itself, as the first, second, …
    Given(usize, PathBuf),
    /// Found in the folder.
    Found(PathBuf),
    /// A Secret of the cluster, `NAMESPACE/NAME`, named as the first, second, …
    #[cfg(feature = "kubernetes")]
    Secret(usize, String),
    /// A Secret that an Ingress or a Gateway names which was made then, in seconds since 1970: `NAMESPACE/NAME`.
    #[cfg(feature = "kubernetes")]
    Ingress(i64, String),
}

impl fmt::Display for Source {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Source::Given(_, path) | Source::Found(path) => write!(out, "{}", path.display()),
            #[cfg(feature = "kubernetes")]
            Source::Secret(_, name) | Source::Ingress(_, name) => out.write_str(name),
        }
    }
}

/// The pairs in force.
#[derive(Debug, Default)]
pub(crate) struct Kept {
    certificates: Arc<Certificates>,
    pairs: Mutex<BTreeMap<Source, Pair>>,
    refused: AtomicU64,
}

impl Kept {
    /// What the proxy looks certificates up in.
    pub(crate) fn certificates(&self) -> &Arc<Certificates> {
        &self.certificates
    }

    /// Takes what was read from `source` into force, unless it is wrong, or the certificate has expired and the one that is
    /// there hasn't. The error says why.
    pub(crate) fn put(&self, source: &Source, read: Result<Pair, String>) -> Result<(), String> {
        let now = u64::try_from(Timestamp::now().as_second()).unwrap_or_default();
        let mut pairs = self.pairs();
        let checked = read.and_then(|pair| {
            let has_expired = |pair: &Pair| pair.expires() <= now;
            if has_expired(&pair) && pairs.get(source).is_some_and(|old| !has_expired(old)) {
                return Err(format!("the certificate expired at {}", rfc3339(pair.expires())));
            }
            Ok(pair)
        });
        let pair = checked.inspect_err(|_| {
            self.refused.fetch_add(1, Ordering::Relaxed);
        })?;
        if pair.expires() <= now {
            tracing::warn!(%source, expired = rfc3339(pair.expires()), "this certificate has expired: clients will refuse it");
        }
        pairs.insert(source.clone(), pair);
        self.certificates.replace(pairs.values());
        Ok(())
    }

    /// Forgets what came from `source`.
    pub(crate) fn remove(&self, source: &Source) {
        let mut pairs = self.pairs();
        pairs.remove(source);
        self.certificates.replace(pairs.values());
    }

    /// Whether there is no certificate at all.
    pub(crate) fn is_empty(&self) -> bool {
        self.pairs().is_empty()
    }

    /// When each certificate expires, in seconds since 1970 UTC, by its source.
    pub(crate) fn expiries(&self) -> Vec<(String, u64)> {
        self.pairs().iter().map(|(source, pair)| (source.to_string(), pair.expires())).collect()
    }

    /// How often something was refused.
    pub(crate) fn refused(&self) -> u64 {
        self.refused.load(Ordering::Relaxed)
    }

    fn pairs(&self) -> MutexGuard<'_, BTreeMap<Source, Pair>> {
        self.pairs.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn rfc3339(seconds: u64) -> String {
    let timestamp = i64::try_from(seconds).ok().and_then(|seconds| Timestamp::from_second(seconds).ok());
    timestamp.map_or_else(|| format!("{seconds} s after 1970"), |timestamp| timestamp.to_string())
}
