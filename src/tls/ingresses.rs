//! Takes certificates from the Secrets that Ingresses and Gateways name, for as long as these name them, and for the hosts that they
//! name there. What is wrong changes nothing, nor does a Secret that is gone: who replaces one may delete it first.
//!
//! Who shows none may judge them by the same rules, for Gateways are told what is wrong.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use kaos_core::host::HostPattern;
use kaos_kubernetes::{self as kubernetes, Client, Object, Secret, SecretName, Served, Verdicts};
use kaos_proxy::Pair;
use tokio::sync::{mpsc, watch};
use tokio::task::AbortHandle;
use tokio::time::{Instant, sleep_until, timeout};

use super::kept::{Kept, Source};

/// Most Secrets that are followed for Ingresses and Gateways: each is a watch of its own. The oldest Ingresses come first.
const MOST: usize = 200;
/// Longest wait at the start for what the cluster knows of them.
const FIRST: Duration = Duration::from_secs(3);
/// News of Secrets on their way.
const NEWS: usize = 16;

/// Secrets of Ingresses and Gateways, followed until the process ends.
#[derive(Debug)]
pub(crate) struct Ingresses {
    /// How many of them nothing was heard of yet.
    unheard: watch::Receiver<usize>,
}

type News = (SecretName, Option<Secret>);

/// Why a Secret is followed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Use {
    /// When the first Ingress that names it was made: of two certificates for a host the older Ingress's is shown.
    created: i64,
    hosts: BTreeSet<HostPattern>,
}

/// One Secret.
struct Followed {
    wanted: Use,
    /// As it was last heard of. `None`: nothing was.
    heard: Option<Option<Secret>>,
    /// What is wrong with what was heard, if something is.
    judged: Result<(), String>,
    since: Instant,
    task: AbortHandle,
}

impl Drop for Followed {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// Owns what is known.
struct Following {
    client: Client,
    kept: Arc<Kept>,
    all: BTreeMap<SecretName, Followed>,
    news: mpsc::Sender<News>,
    unheard: watch::Sender<usize>,
    /// Those that are one too many.
    left_out: BTreeSet<SecretName>,
    /// Who is told what is wrong with which.
    judge: Option<watch::Sender<Verdicts>>,
    /// When that was said last.
    judged: Instant,
}

/// Judges the Secrets that Gateways among `served` name, until the process ends.
pub(crate) fn judge(
    client: &Client,
    served: watch::Receiver<Arc<[Served]>>,
    verdicts: watch::Sender<Verdicts>,
) {
    drop(begin_following(client, served, Arc::default(), Some(verdicts)));
}

impl Ingresses {
    /// Follows what `served` names in the cluster behind `client`: what is sound there goes into `kept`.
    pub(crate) fn follow(
        client: &Client,
        served: watch::Receiver<Arc<[Served]>>,
        kept: Arc<Kept>,
    ) -> Ingresses {
        Ingresses { unheard: begin_following(client, served, kept, None) }
    }

    /// Waits until it is known of each whether it is there, and no longer than a moment.
    pub(crate) async fn first(mut self) {
        if timeout(FIRST, self.unheard.wait_for(|left| *left == 0)).await.is_err() {
            tracing::warn!(
                secrets = *self.unheard.borrow(),
                "Secrets of Ingresses or Gateways can't be read yet: requests are taken, and their certificates shown as soon as they can"
            );
        }
    }
}

/// Begins to follow, and says how many Secrets nothing was heard of yet.
fn begin_following(
    client: &Client,
    mut served: watch::Receiver<Arc<[Served]>>,
    kept: Arc<Kept>,
    judge: Option<watch::Sender<Verdicts>>,
) -> watch::Receiver<usize> {
    let (news, mut heard) = mpsc::channel(NEWS);
    let (tell, unheard) = watch::channel(0);
    let client = client.clone();
    let mut following = Following {
        client,
        kept,
        all: BTreeMap::new(),
        news,
        unheard: tell,
        left_out: BTreeSet::new(),
        judge,
        judged: Instant::now(),
    };
    following.want(&served.borrow_and_update());
    tokio::spawn(async move {
        loop {
            let late = following.late();
            tokio::select! {
                changed = served.changed() => match changed {
                    Ok(()) => following.want(&served.borrow_and_update().clone()),
                    Err(_) => return,
                },
                Some((name, secret)) = heard.recv() => following.take(&name, secret),
                () = sleep_until(late.unwrap_or_else(Instant::now)), if late.is_some() => {}
            }
            following.judge();
        }
    });
    unheard
}

impl Following {
    /// Follows the Secrets that `served` name, and no others.
    fn want(&mut self, served: &[Served]) {
        let mut wanted: BTreeMap<SecretName, Use> = BTreeMap::new();
        let mut left_out = BTreeSet::new();
        let judges = self.judge.is_some();
        for ingress in served.iter().filter(|served| !judges || served.of == Object::Gateway) {
            for (secret, hosts) in &ingress.certificates {
                if wanted.len() == MOST && !wanted.contains_key(secret) {
                    left_out.insert(secret.clone());
                    continue;
                }
                let new = Use { created: ingress.created, hosts: BTreeSet::new() };
                wanted.entry(secret.clone()).or_insert(new).hosts.extend(hosts.iter().cloned());
            }
        }
        let before = std::mem::replace(&mut self.left_out, left_out);
        if let Some(secret) = self.left_out.first().filter(|_| before.is_empty()) {
            tracing::error!(
                %secret,
                "Ingresses and Gateways name more Secrets than the {MOST} that are followed: the certificate of this one and of others \
                 isn't shown; mount it as a file and say --tls-dir"
            );
        }
        let gone: Vec<SecretName> =
            self.all.keys().filter(|name| !wanted.contains_key(*name)).cloned().collect();
        for name in gone {
            if let Some(followed) = self.all.remove(&name) {
                self.kept.remove(&source(&name, &followed.wanted));
                tracing::info!(secret = %name, "no Ingress or Gateway names this Secret any more: its certificate isn't shown");
            }
        }
        for (name, wanted) in wanted {
            match self.all.get_mut(&name) {
                Some(followed) if followed.wanted == wanted => {}
                Some(followed) => {
                    let before = source(&name, &followed.wanted);
                    let moved = before != source(&name, &wanted);
                    followed.wanted = wanted;
                    self.show(&name);
                    if moved {
                        self.kept.remove(&before);
                    }
                }
                None => {
                    let task = begin(&self.client, &name, self.news.clone());
                    self.all.insert(
                        name,
                        Followed { wanted, heard: None, judged: Ok(()), since: Instant::now(), task },
                    );
                }
            }
        }
        self.count();
    }

    fn take(&mut self, name: &SecretName, secret: Option<Secret>) {
        let Some(followed) = self.all.get_mut(name) else { return };
        let version = |secret: &Option<Secret>| secret.as_ref().map(|secret| secret.version().to_owned());
        let same = followed.heard.as_ref().is_some_and(|heard| version(heard) == version(&secret));
        let before = followed.heard.replace(secret);
        if !same {
            if matches!(followed.heard, Some(None)) {
                let kept = before.is_some();
                tracing::warn!(
                    secret = %name, kept,
                    "there is no such Secret, which an Ingress or a Gateway names: its certificate is taken as soon as somebody creates it, \
                     with the type kubernetes.io/tls"
                );
            }
            self.show(name);
        }
        self.count();
    }

    /// When the next Secret is late of which nothing was heard yet.
    fn late(&self) -> Option<Instant> {
        self.judge.as_ref()?;
        let unheard = self.all.values().filter(|followed| followed.heard.is_none());
        unheard.map(|followed| followed.since + FIRST).filter(|late| *late > self.judged).min()
    }

    /// Says what is wrong with which.
    fn judge(&mut self) {
        let Some(judge) = &self.judge else { return };
        let now = Instant::now();
        self.judged = now;
        let verdict = |followed: &Followed| match &followed.heard {
            None if now < followed.since + FIRST => None,
            None => Some(Err(
                "it can't be read: give kaos-proxy and kaos-autoscaler the right to it (list and watch \
                              secrets, by its name)"
                    .to_owned(),
            )),
            Some(None) => Some(Err("it isn't there".to_owned())),
            Some(Some(_)) => Some(followed.judged.clone()),
        };
        let all = self.all.iter().filter_map(|(name, followed)| Some((name.clone(), verdict(followed)?)));
        let too_many = format!(
            "Gateways name more Secrets than the {MOST} that are followed, those of the oldest first: let fewer listeners name more \
             hosts of one certificate each"
        );
        let left_out = self.left_out.iter().map(|name| (name.clone(), Err(too_many.clone())));
        let all: BTreeMap<_, _> = all.chain(left_out).collect();
        judge.send_if_modified(|known| {
            let changed = **known != all;
            if changed {
                *known = Arc::new(all);
            }
            changed
        });
    }

    /// Takes what was heard of a Secret into force.
    fn show(&mut self, name: &SecretName) {
        let Some(followed) = self.all.get_mut(name) else { return };
        let Some(Some(secret)) = &followed.heard else { return };
        let read = secret.pair().and_then(|(chain, key)| Pair::read(chain, key));
        let read = read.and_then(|pair| for_hosts(pair, &followed.wanted.hosts));
        let source = source(name, &followed.wanted);
        followed.judged = self.kept.put(&source, read);
        match &followed.judged {
            // It is in force at the proxies.
            _ if self.judge.is_some() => {}
            Ok(()) => tracing::info!(certificate = %source, "a certificate is in force"),
            Err(why) => tracing::error!(
                secret = %source,
                kept = "the certificate that was there, if any",
                "this Secret, which an Ingress or a Gateway names, can't be used: {why}; whoever writes it has to mend it"
            ),
        }
    }

    fn count(&self) {
        let left = self.all.values().filter(|followed| followed.heard.is_none()).count();
        self.unheard.send_if_modified(|known| std::mem::replace(known, left) != left);
    }
}

fn source(name: &SecretName, wanted: &Use) -> Source {
    Source::Ingress(wanted.created, name.to_string())
}

fn begin(client: &Client, name: &SecretName, news: mpsc::Sender<News>) -> AbortHandle {
    let mut secrets = kubernetes::Secrets::watch(client, std::slice::from_ref(name));
    let name = name.clone();
    let passing = async move {
        loop {
            let (_, secret) = secrets.next().await;
            if news.send((name.clone(), secret)).await.is_err() {
                return;
            }
        }
    };
    tokio::spawn(passing).abort_handle()
}

/// `pair` for those of `hosts` that its certificate is for: an Ingress speaks for no others.
fn for_hosts(pair: Pair, hosts: &BTreeSet<HostPattern>) -> Result<Pair, String> {
    let names = pair.names();
    let has = |name: &str| names.iter().any(|known| known == name);
    let mut shown: Vec<String> = Vec::new();
    for host in hosts {
        match host {
            HostPattern::Any => shown.extend(names.iter().cloned()),
            HostPattern::Exact(host) => {
                let wildcard = host.split_once('.').map(|(_, rest)| format!("*.{rest}"));
                if has(host) || wildcard.is_some_and(|wildcard| has(&wildcard)) {
                    shown.push(host.clone());
                }
            }
            HostPattern::Label(suffix) | HostPattern::Suffix(suffix) => {
                shown.extend(Some(format!("*{suffix}")).filter(|wildcard| has(wildcard)));
            }
        }
    }
    shown.sort();
    shown.dedup();
    // What is for every host may have a certificate for none: it is for who asks for a name that no other is for.
    if shown.is_empty() && !hosts.contains(&HostPattern::Any) {
        let hosts: Vec<String> = hosts.iter().map(ToString::to_string).collect();
        return Err(format!(
            "its certificate is for {}, and for none of the hosts that the Ingress or Gateway may have and names for it: {}",
            if names.is_empty() { "no host".to_owned() } else { names.join(", ") },
            if hosts.is_empty() { "none".to_owned() } else { hosts.join(", ") }
        ));
    }
    Ok(pair.shown_for(shown))
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
    fn a_certificate_is_shown_for_hosts_that_it_is_for_and_that_were_named() {
        let shown = |names: &[&str], hosts: &[HostPattern]| {
            for_hosts(pair(names), &hosts.iter().cloned().collect()).map(|pair| pair.names().to_vec())
        };
        let exact = |host: &str| HostPattern::Exact(host.to_owned());
        let wild = HostPattern::Label(".shop.test".to_owned());
        let all = ["*.shop.test", "a.test"];
        assert_eq!(shown(&all, &[exact("b.shop.test"), exact("c.test")]).unwrap(), ["b.shop.test"]);
        assert_eq!(shown(&all, &[wild, exact("a.test")]).unwrap(), all);
        assert_eq!(shown(&all, &[HostPattern::Any]).unwrap(), all);
        assert_eq!(shown(&[], &[HostPattern::Any]).unwrap(), [""; 0]);
        let wrong = shown(&["a.test"], &[exact("b.test"), exact("x.a.test")]).unwrap_err();
        assert!(wrong.contains("is for a.test,") && wrong.ends_with("b.test, x.a.test"), "{wrong}");
    }
}
