//! nginx, as a proxy and as what proxies stand before: one worker.

use std::path::Path;

use super::Site;

/// A whole configuration around the inner part of `http`.
pub(crate) fn nginx_config(folder: &Path, name: &str, inner: &str) -> String {
    let folder = folder.display();
    let temporary: Vec<String> = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"]
        .map(|kind| format!("  {kind}_temp_path {folder}/{name}.{kind};\n"))
        .to_vec();
    let user = if rustix::process::geteuid().is_root() { "user root;\n" } else { "" };
    format!(
        "{user}daemon off;\nworker_processes 1;\nworker_rlimit_nofile 65536;\npid {folder}/{name}.pid;\n\
         error_log stderr warn;\nevents {{ worker_connections 16384; }}\n\
         http {{\n  access_log off;\n  keepalive_requests 100000000;\n{}{inner}}}\n",
        temporary.concat()
    )
}

/// The proxy's configuration. `listen … http2` is how both old and new versions understand it.
pub(super) fn proxy(name: &str, site: Site<'_>) -> String {
    let Site { places, upstream, certificate, asks, .. } = site;
    // As docs/gate.md has it.
    let [asked, question, asks] = asks.map_or_else(Default::default, |asks| {
        [
            "      auth_request /_kaos;\n".to_owned(),
            "    location = /_kaos {\n      internal;\n      proxy_pass http://k/_kaos/gate/host$request_uri;\n      \
             proxy_method GET;\n      proxy_pass_request_body off;\n      proxy_http_version 1.1;\n      \
             proxy_set_header Connection \"\";\n      proxy_set_header Content-Length \"\";\n      \
             proxy_set_header Host $host;\n    }\n"
                .to_owned(),
            format!("  upstream k {{ server {asks}; keepalive 1024; keepalive_requests 100000000; }}\n"),
        ]
    });
    let http = format!(
        "    location / {{\n{asked}      proxy_pass http://u;\n      proxy_http_version 1.1;\n      \
         proxy_set_header Connection \"\";\n      proxy_max_temp_file_size 0;\n{}    }}\n{question}",
        fields("proxy_set_header")
    );
    let grpc = format!("    location / {{\n      grpc_pass grpc://g;\n{}    }}\n", fields("grpc_set_header"));
    let tls = format!(
        "    ssl_certificate {};\n    ssl_certificate_key {};\n    ssl_protocols TLSv1.2 TLSv1.3;\n",
        certificate.chain.display(),
        certificate.key.display()
    );
    let inner = format!(
        "{asks}  upstream u {{ server {}; keepalive 1024; keepalive_requests 100000000; }}\n  \
         upstream g {{ server {}; keepalive 1024; keepalive_requests 100000000; }}\n  \
         server {{\n    listen {} backlog=4096;\n{http}  }}\n  \
         server {{\n    listen {} http2 backlog=4096;\n{http}  }}\n  \
         server {{\n    listen {} ssl http2 backlog=4096;\n{tls}{http}  }}\n  \
         server {{\n    listen {} http2 backlog=4096;\n{grpc}  }}\n",
        upstream.address, upstream.grpc_address, places.h1, places.h2c, places.tls, places.grpc
    );
    nginx_config(site.folder, name, &inner)
}

/// What is handed on besides, by the directive that hands on.
fn fields(set: &str) -> String {
    format!(
        "      {set} Host $host;\n      {set} X-Request-Id $request_id;\n      \
         {set} X-Forwarded-For $proxy_add_x_forwarded_for;\n      {set} X-Forwarded-Proto $scheme;\n      \
         add_header X-Request-Id $request_id always;\n"
    )
}
