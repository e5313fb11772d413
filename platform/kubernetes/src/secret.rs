//! Secrets that hold a certificate and its key, each followed by its name: with a right to it, and to no other.
//!
//! What becomes of a certificate is another's business. Nothing of a key is kept here, logged, or shown by `Debug`.

use std::fmt;

use k8s_openapi::ByteString;
use kube::Client;
use serde::Deserialize;
use tokio::sync::mpsc;

use crate::follow::{Follow, Said, Which};
use crate::protobuf::Message;
use crate::task::Task;
use crate::wire::{Meta, Parts, Watched, line};

/// The type of a Secret that holds a certificate.
const TYPE: &str = "kubernetes.io/tls";

/// Where a Secret is.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct SecretName {
    /// Its namespace.
    pub namespace: String,
    /// Its name there.
    pub name: String,
}

impl fmt::Display for SecretName {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{}/{}", self.namespace, self.name)
    }
}

/// A Secret, as far as a certificate is read from it.
#[derive(Clone, Default)]
pub struct Secret {
    version: Box<str>,
    kind: Box<str>,
    /// `None`: it can't be read.
    data: Option<Data>,
}

#[derive(Clone, Default, Deserialize)]
struct Data {
    #[serde(rename = "tls.crt")]
    chain: Option<ByteString>,
    #[serde(rename = "tls.key")]
    key: Option<ByteString>,
}

impl fmt::Debug for Secret {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.debug_struct("Secret")
            .field("version", &self.version)
            .field("kind", &self.kind)
            .finish_non_exhaustive()
    }
}

impl Secret {
    /// Changes with anything in it.
    pub fn version(&self) -> &str {
        &self.version
    }

    /// Its chain of certificates and their key. The error says what it lacks.
    pub fn pair(&self) -> Result<(&[u8], &[u8]), String> {
        let data = self.data.as_ref().ok_or("it can't be read")?;
        if *self.kind != *TYPE {
            return Err(format!("its type is {}; allowed is {TYPE}", line(&self.kind)));
        }
        Ok((part("tls.crt", data.chain.as_ref())?, part("tls.key", data.key.as_ref())?))
    }
}

fn part<'a>(name: &str, bytes: Option<&'a ByteString>) -> Result<&'a [u8], String> {
    let bytes = bytes.map(|ByteString(bytes)| bytes.as_slice()).filter(|bytes| !bytes.is_empty());
    bytes.ok_or_else(|| format!("it has nothing under {name}"))
}

/// One that can't be read is there all the same.
impl Watched for Secret {
    const GROUP: &'static str = "";
    const VERSION: &'static str = "v1";
    const PLURAL: &'static str = "secrets";
    const MESSAGE: Option<&'static Message> = None;

    fn reduce(meta: Meta<'_>, parts: &Parts<'_>) -> Result<Option<Self>, String> {
        Ok(Some(Secret {
            version: meta.resource_version.unwrap_or_default(),
            kind: parts.kind().ok().flatten().unwrap_or_default(),
            data: parts.data().map(Option::unwrap_or_default).ok(),
        }))
    }
}

/// What becomes of some Secrets; dropped, they aren't followed any more.
#[derive(Debug)]
pub struct Secrets {
    heard: mpsc::Receiver<(usize, Option<Secret>)>,
    _tasks: Vec<Task>,
}

impl Secrets {
    /// Follows each of `names` on the current runtime.
    pub fn watch(client: &Client, names: &[SecretName]) -> Self {
        let (out, heard) = mpsc::channel(1);
        let follow = |(at, name): (usize, &SecretName)| {
            let follow = Follow::<Secret, _> {
                what: "secrets",
                client: client.clone(),
                namespace: Some(name.namespace.clone()),
                which: Which::Named(name.name.clone()),
                change: Box::new(move |said| (at, secret(said))),
            };
            Task::spawn(follow.run(out.clone()))
        };
        let tasks = names.iter().enumerate().map(follow).collect();
        Secrets { heard, _tasks: tasks }
    }

    /// What is known next of the Secret in this place of the names: at first, and with each change. It may be the same
    /// once more. `None`: there is none of that name.
    pub async fn next(&mut self) -> (usize, Option<Secret>) {
        match self.heard.recv().await {
            Some(news) => news,
            // None is followed.
            None => std::future::pending().await,
        }
    }
}

fn secret(said: Said<Secret>) -> Option<Secret> {
    match said {
        Said::All(all) => all.into_iter().next().map(|(_, secret)| secret.unwrap_or_default()),
        Said::One(_, secret) => secret,
    }
}
