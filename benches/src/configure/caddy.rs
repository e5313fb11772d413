//! Caddy: as many threads as it may use cores, which is one.

use super::Site;

/// Its `Caddyfile`. X-Forwarded-For and X-Forwarded-Proto are set without being asked.
pub(super) fn text(site: Site<'_>) -> String {
    let Site { places, upstream, certificate, .. } = site;
    let proxy = |address: String| {
        format!(
            "\tbind 127.0.0.1\n\theader X-Request-Id {{http.request.uuid}}\n\treverse_proxy {address} {{\n\
             \t\theader_up X-Request-Id {{http.request.uuid}}\n\
             \t\ttransport http {{\n\t\t\tkeepalive_idle_conns_per_host 1024\n\t\t}}\n\t}}\n"
        )
    };
    let (http, grpc) =
        (proxy(upstream.address.to_string()), proxy(format!("h2c://{}", upstream.grpc_address)));
    let [h1, h2c, tls, calls] =
        [places.h1, places.h2c, places.tls, places.grpc].map(|address| address.port());
    format!(
        "{{\n\tadmin off\n\tauto_https off\n\tlog {{\n\t\tlevel WARN\n\t}}\n\
         \tservers {{\n\t\tprotocols h1 h2 h2c\n\t}}\n}}\n\
         http://:{h1} {{\n{http}}}\nhttp://:{h2c} {{\n{http}}}\nhttp://:{calls} {{\n{grpc}}}\n\
         https://:{tls} {{\n\ttls {} {}\n{http}}}\n",
        certificate.chain.display(),
        certificate.key.display()
    )
}
