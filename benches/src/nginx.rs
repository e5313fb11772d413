//! What every configuration of nginx has here, whatever it serves.

use std::path::Path;

/// A whole configuration around the inner part of `http`.
pub(crate) fn nginx_config(folder: &Path, name: &str, inner: &str) -> String {
    let folder = folder.display();
    let temporary: Vec<String> = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"]
        .map(|kind| format!("  {kind}_temp_path {folder}/{name}.{kind};\n"))
        .to_vec();
    let user = if rustix::process::geteuid().is_root() { "user root;\n" } else { "" };
    format!(
        "{user}daemon off;\nworker_processes 1;\npid {folder}/{name}.pid;\nerror_log stderr warn;\n\
         events {{ worker_connections 4096; }}\n\
         http {{\n  access_log off;\n  keepalive_requests 100000000;\n{}{inner}}}\n",
        temporary.concat()
    )
}
