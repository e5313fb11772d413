//! The certificates that clients are shown: read from files, folders and a cluster's Secrets, kept while what replaces them
//! is wrong.
//!
//! Which of them a client gets is the proxy's business.

mod files;
#[cfg(feature = "kubernetes")]
mod ingresses;
mod kept;
#[cfg(feature = "kubernetes")]
mod secrets;
mod watch;

use std::sync::Arc;

use kaos_proxy::Bound;

use crate::config::Settings;
use crate::failure::Failure;
#[cfg(feature = "kubernetes")]
pub(crate) use ingresses::{Ingresses, judge};
pub(crate) use kept::Kept;
#[cfg(feature = "kubernetes")]
pub(crate) use secrets::Secrets;

/// Reads what the settings name, and takes connections with it too, and with what comes from `elsewhere`. `None`: nothing
/// was asked for.
pub(crate) fn listen(
    settings: &Settings,
    elsewhere: bool,
    bound: Bound,
) -> Result<(Bound, Option<Arc<Kept>>), Failure> {
    let Some(files) = files::Files::of(settings, elsewhere)? else { return Ok((bound, None)) };
    let Some(address) = settings.listen_tls else {
        return Err(Failure::Configuration(
            "there are certificates, but --listen-tls (KAOS_LISTEN_TLS) doesn't say where to listen with them".into(),
        ));
    };
    let kept = Arc::new(Kept::default());
    let is_watched = !files.is_empty();
    let watch = watch::Watch::begin(files, kept.clone()).map_err(Failure::Configuration)?;
    if kept.is_empty() && !elsewhere {
        tracing::warn!("there is no certificate yet: connections with TLS will fail");
    }
    let bound = bound
        .with_tls(address, kept.certificates().clone())
        .map_err(|error| Failure::Failed(format!("{error}; choose another with --listen-tls")))?;
    if is_watched {
        tokio::spawn(watch.run());
    }
    Ok((bound, Some(kept)))
}
