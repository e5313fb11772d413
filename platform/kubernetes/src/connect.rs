//! A client of the API server: from a kubeconfig, or from inside a pod.

use std::path::PathBuf;
use std::time::Duration;

use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::{Client, Config};

/// A connection that takes longer isn't made: the next try is due.
const CONNECT: Duration = Duration::from_secs(2);

/// A connection on which nothing comes for so long is dead: more than the longest silence of a watch.
const READ: Duration = Duration::from_secs(75);

/// Which cluster.
#[derive(Clone, Debug, Default)]
pub struct Access {
    /// A kubeconfig file. `None`: the one that `KUBECONFIG` or the user's folder has, else a pod's own access.
    pub kubeconfig: Option<PathBuf>,
    /// A context of it other than the current one.
    pub context: Option<String>,
}

/// A client for `access`, and the namespace that it means where none is said.
///
/// It tries nothing again by itself: who asks knows how long an answer is of use. Must be called on a runtime.
pub async fn connect(access: &Access) -> Result<(Client, String), String> {
    // Another part of the process may have named the same provider before.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let mut config = configure(access).await?;
    config.connect_timeout = Some(CONNECT);
    config.read_timeout = Some(READ);
    config.reset_reader_on_write = true;
    config.default_retry = false;
    let namespace = config.default_namespace.clone();
    let client =
        Client::try_from(config).map_err(|error| format!("the cluster's access can't be used: {error}"))?;
    Ok((client, namespace))
}

async fn configure(access: &Access) -> Result<Config, String> {
    let options = KubeConfigOptions { context: access.context.clone(), ..KubeConfigOptions::default() };
    if let Some(file) = &access.kubeconfig {
        let wrong = |error| format!("{}: {error}", file.display());
        let kubeconfig = Kubeconfig::read_from(file).map_err(wrong)?;
        return Config::from_custom_kubeconfig(kubeconfig, &options).await.map_err(wrong);
    }
    if access.context.is_some() {
        return Config::from_kubeconfig(&options).await.map_err(|error| format!("kubeconfig: {error}"));
    }
    Config::infer().await.map_err(|error| {
        format!("no cluster is known: {error}; set KUBECONFIG or --kubeconfig, or run inside a pod")
    })
}
