//! Names as `kaos.toml` and a cluster have them.

use crate::config::{NAME_ALLOWED, is_label};

pub(super) fn label(text: &str) -> Result<String, String> {
    is_label(text).then(|| text.to_owned()).ok_or_else(|| format!("allowed is {NAME_ALLOWED}"))
}

/// DNS labels with dots between them.
#[cfg(feature = "kubernetes")]
pub(super) fn subdomain(text: &str) -> Result<String, String> {
    let sound = text.len() <= 253 && text.split('.').all(is_label);
    sound.then(|| text.to_owned()).ok_or_else(|| "allowed is a DNS name in lower case".into())
}
