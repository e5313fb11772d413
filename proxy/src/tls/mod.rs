//! TLS towards clients, by rustls: which certificate a client gets, and the session between its socket and whoever reads
//! and writes it.
//!
//! Where certificates come from is the owner's business: it hands over pairs that it has read, as often as they change.

mod certificates;
mod handshake;
mod pair;
mod session;

use std::sync::Arc;

use rustls::ServerConfig;
use rustls::crypto::ring;

pub use certificates::Certificates;
pub use handshake::Handshakes;
pub(crate) use handshake::shake;
pub use pair::Pair;
pub(crate) use session::{Agreed, Session};

/// What a client may choose from after the handshake (RFC 7301), the better first.
const PROTOCOLS: [&[u8]; 2] = [b"h2", b"http/1.1"];

/// How sessions are begun: TLS 1.2 or 1.3, resumed by tickets whose keys are this process's own, no early data (it could be
/// sent twice).
pub(crate) fn settings(certificates: Arc<Certificates>) -> Result<Arc<ServerConfig>, rustls::Error> {
    let provider = Arc::new(ring::default_provider());
    let mut settings = ServerConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&rustls::version::TLS13, &rustls::version::TLS12])?
        .with_no_client_auth()
        .with_cert_resolver(certificates);
    settings.alpn_protocols = PROTOCOLS.map(<[u8]>::to_vec).into();
    settings.ticketer = ring::Ticketer::new()?;
    Ok(Arc::new(settings))
}
