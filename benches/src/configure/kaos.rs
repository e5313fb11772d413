//! Kaos: `kaos up` with default knobs, but a replica that is always there.

use std::net::SocketAddr;

use super::Site;
use crate::ready::free_address;
use crate::upstream::Upstream;

/// What a build of Kaos is asked to do beyond plain HTTP. One that can't is measured without.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Ability {
    /// A listener with a certificate.
    pub(crate) tls: bool,
    /// HTTP/2 towards replicas.
    pub(crate) grpc: bool,
}

/// `kaos.toml`.
pub(super) fn text(site: Site<'_>, ability: Ability) -> Result<String, String> {
    let mut text = head(site.places.h1)?;
    text.push_str(&function("bench", &site.upstream.replica, "min-scale = 1\n"));
    if ability.grpc {
        text.push_str(&function("grpc", &site.upstream.grpc_replica, "min-scale = 1\nprotocol = \"h2c\"\n"));
    }
    Ok(text)
}

/// The command line after `kaos`.
pub(super) fn words(site: Site<'_>, ability: Ability, path: &str) -> Vec<String> {
    let mut words = super::words(&["up", "--config", path]);
    if ability.tls {
        let certificate = site.certificate;
        words.extend(["--listen-tls".to_owned(), site.places.tls.to_string()]);
        words.extend(["--tls-cert".to_owned(), certificate.chain.to_string_lossy().into_owned()]);
        words.extend(["--tls-key".to_owned(), certificate.key.to_string_lossy().into_owned()]);
    }
    words
}

/// `kaos.toml` of one that is asked by other proxies; where it takes requests itself, and where it is asked.
pub(crate) fn gate(upstream: &Upstream) -> Result<(String, SocketAddr, SocketAddr), String> {
    let (listen, asks) = (free_address()?, free_address()?);
    let mut text = head(listen)?;
    text.push_str(&format!("listen-gate = \"{asks}\"\n"));
    text.push_str(&function("bench", &upstream.replica, "min-scale = 1\n"));
    Ok((text, listen, asks))
}

/// Requests that wait for one function with the default knobs.
const QUEUE_LIMIT: usize = 1000;

/// `kaos.toml` with a function `held` that never listens, so that `count` requests wait for it.
pub(crate) fn held(listen: SocketAddr, admin: SocketAddr, count: usize) -> String {
    let command = ["sleep".to_owned(), "3600".to_owned()];
    let limit = if count > QUEUE_LIMIT { format!("queue-limit = {count}\n") } else { String::new() };
    format!("listen = \"{listen}\"\nadmin = \"{admin}\"\n{}", function("held", &command, &limit))
}

fn head(listen: SocketAddr) -> Result<String, String> {
    Ok(format!("listen = \"{listen}\"\nadmin = \"{}\"\n", free_address()?))
}

/// A function as `kaos.toml` has it.
pub(crate) fn function(name: &str, command: &[String], knobs: &str) -> String {
    // JSON's strings and lists of strings are TOML's.
    let command = serde_json::Value::from(command);
    format!("\n[[function]]\nname = \"{name}\"\ncommand = {command}\n{knobs}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_quoted() {
        let text = function("bench", &["sh".into(), "-c".into(), "a \"b\" $PORT".into()], "");
        assert!(text.contains(r#"command = ["sh","-c","a \"b\" $PORT"]"#), "{text}");
    }
}
