//! HAProxy: one thread.

use super::Site;

/// Its configuration.
pub(super) fn text(site: Site<'_>) -> String {
    let Site { places, upstream, certificate, .. } = site;
    let fields = "  unique-id-format %{+X}o%ci:%cp_%fi:%fp_%Ts_%rt:%pid\n  unique-id-header X-Request-Id\n  \
                  http-response set-header X-Request-Id %[unique-id]\n  \
                  http-request set-header X-Forwarded-Proto %[ssl_fc,iif(https,http)]\n";
    format!(
        "global\n  nbthread 1\n  maxconn 8192\n  tune.maxaccept 64\n  ssl-default-bind-options ssl-min-ver TLSv1.2\n\
         defaults\n  mode http\n  timeout connect 5s\n  timeout client 60s\n  timeout server 60s\n  http-reuse always\n  option forwardfor\n\
         frontend f\n  bind {} backlog 4096\n  bind {} proto h2 backlog 4096\n  bind {} ssl crt {} alpn h2,http/1.1 backlog 4096\n\
         {fields}  default_backend b\n\
         frontend g\n  bind {} proto h2 backlog 4096\n{fields}  default_backend c\n\
         backend b\n  server u {}\n\
         backend c\n  server u {} proto h2\n",
        places.h1,
        places.h2c,
        places.tls,
        certificate.both.display(),
        places.grpc,
        upstream.address,
        upstream.grpc_address
    )
}
