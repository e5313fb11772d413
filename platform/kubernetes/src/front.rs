//! How the API server shows who it is, where it passes on what others ask of it: the ConfigMap
//! `kube-system/extension-apiserver-authentication`, that every API server keeps
//! (<https://kubernetes.io/docs/tasks/extend-kubernetes/configure-aggregation-layer/>).

use std::collections::BTreeMap;

use kube::Client;
use tokio::sync::{mpsc, watch};

use crate::follow::{Follow, Said, Which};
use crate::protobuf::Message;
use crate::task::Task;
use crate::wire::{Meta, Parts, Watched};

/// Where the ConfigMap is.
const NAMESPACE: &str = "kube-system";
/// See [`NAMESPACE`].
const NAME: &str = "extension-apiserver-authentication";

/// Whose certificate an API server shows when it passes something on.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Front {
    /// PEM: who has signed it.
    pub authorities: String,
    /// Its common name is one of these; any, if there are none.
    pub names: Vec<String>,
}

impl Front {
    /// Follows it on the current runtime, for as long as somebody listens. `None`: there is none, or not yet.
    pub fn follow(client: &Client) -> watch::Receiver<Option<Front>> {
        let (tell, told) = watch::channel(None);
        let (out, mut heard) = mpsc::channel(1);
        let follow = Follow::<Kept, _> {
            what: "the API server's own certificates",
            client: client.clone(),
            namespace: Some(NAMESPACE.to_owned()),
            which: Which::Named(NAME.to_owned()),
            change: Box::new(kept),
        };
        let follow = Task::spawn(follow.run(out));
        tokio::spawn(async move {
            let _follow = follow;
            while let Some(front) = heard.recv().await {
                if tell.send(front).is_err() {
                    return;
                }
            }
        });
        told
    }
}

fn kept(said: Said<Kept>) -> Option<Front> {
    match said {
        Said::All(all) => all.into_iter().next().and_then(|(_, kept)| kept),
        Said::One(_, kept) => kept,
    }
    .map(|Kept(front)| front)
}

/// The ConfigMap, as far as it is read.
#[derive(Clone, Debug)]
struct Kept(Front);

impl Watched for Kept {
    const GROUP: &'static str = "";
    const VERSION: &'static str = "v1";
    const PLURAL: &'static str = "configmaps";
    const MESSAGE: Option<&'static Message> = None;

    fn reduce(_: Meta<'_>, parts: &Parts<'_>) -> Result<Option<Self>, String> {
        let mut data: BTreeMap<String, Option<String>> = parts.data()?.unwrap_or_default();
        let mut part = |name: &str| data.remove(name).flatten().filter(|text| !text.is_empty());
        let Some(authorities) = part("requestheader-client-ca-file") else { return Ok(None) };
        let names =
            part("requestheader-allowed-names").map_or_else(|| Ok(Vec::new()), |names| read(&names))?;
        Ok(Some(Kept(Front { authorities, names })))
    }
}

fn read(names: &str) -> Result<Vec<String>, String> {
    serde_json::from_str(names).map_err(|error| format!("requestheader-allowed-names: {error}"))
}
