//! Takes certificates from Secrets of a cluster as these change. What is wrong then changes nothing, nor does a Secret that is
//! gone: who replaces one may delete it first.

use std::sync::Arc;
use std::time::Duration;

use kaos_kubernetes::{self as kubernetes, Client, Secret, SecretName};
use kaos_proxy::Pair;
use tokio::sync::watch;
use tokio::time::timeout;

use super::kept::{Kept, Source};

/// Longest wait for what the cluster knows of the Secrets at the start: with plain HTTP alone nobody waits for them.
const FIRST: Duration = Duration::from_secs(3);

/// Secrets that are followed until the process ends.
#[derive(Debug)]
pub(crate) struct Secrets {
    /// Those that nothing was heard of yet.
    unheard: watch::Receiver<Vec<SecretName>>,
}

/// What was last heard of a Secret.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Heard {
    Nothing,
    Absent,
    /// It was there, in this version.
    There(Box<str>),
}

/// Owns what is known.
struct Following {
    kept: Arc<Kept>,
    all: Vec<(SecretName, Heard)>,
    unheard: watch::Sender<Vec<SecretName>>,
}

impl Secrets {
    /// Follows `names` in the cluster behind `client`: what is sound there goes into `kept`.
    pub(crate) fn follow(client: &Client, names: Vec<SecretName>, kept: Arc<Kept>) -> Secrets {
        let mut secrets = kubernetes::Secrets::watch(client, &names);
        let (tell, unheard) = watch::channel(names.clone());
        let all = names.into_iter().map(|name| (name, Heard::Nothing)).collect();
        let mut following = Following { kept, all, unheard: tell };
        tokio::spawn(async move {
            loop {
                let (at, secret) = secrets.next().await;
                following.take(at, secret);
            }
        });
        Secrets { unheard }
    }

    /// Waits until it is known of each whether it is there, and no longer than a moment: nobody may have made one, and what
    /// isn't heard of may be no right of this proxy.
    pub(crate) async fn first(mut self) {
        let heard = timeout(FIRST, self.unheard.wait_for(Vec::is_empty)).await.is_ok();
        if !heard {
            let secrets: Vec<String> = self.unheard.borrow().iter().map(ToString::to_string).collect();
            tracing::error!(
                secrets = secrets.join(", "),
                "these can't be read yet: requests are taken, and their certificates shown as soon as they can"
            );
        }
    }
}

impl Following {
    fn take(&mut self, at: usize, secret: Option<Secret>) {
        let Some((name, heard)) = self.all.get_mut(at) else { return };
        let now = secret.as_ref().map_or(Heard::Absent, |secret| Heard::There(secret.version().into()));
        let before = std::mem::replace(heard, now);
        if before == *heard {
            return;
        }
        match secret {
            Some(secret) => put(&self.kept, &Source::Secret(at, name.to_string()), &secret),
            None if before == Heard::Nothing => tracing::warn!(
                secret = %name,
                "there is no such Secret: its certificate is taken as soon as somebody creates it, with the type \
                 kubernetes.io/tls"
            ),
            None => tracing::warn!(
                secret = %name,
                "this Secret was deleted: the certificate that came from it stays until this proxy ends; create it again to \
                 replace it, or take it out of --tls-secret"
            ),
        }
        if before == Heard::Nothing {
            self.unheard.send_modify(|unheard| unheard.retain(|one| *one != *name));
        }
    }
}

fn put(kept: &Kept, source: &Source, secret: &Secret) {
    let read = secret.pair().and_then(|(chain, key)| Pair::read(chain, key));
    match kept.put(source, read) {
        Ok(()) => tracing::info!(certificate = %source, "a certificate is in force"),
        Err(why) => tracing::error!(
            secret = %source,
            kept = "the certificate that was there, if any",
            "this Secret can't be used: {why}; whoever writes it has to mend it"
        ),
    }
}
