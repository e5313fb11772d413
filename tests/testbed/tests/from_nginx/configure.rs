//! What ingress-nginx makes of Ingresses, for a real nginx: a server for each host, a location for each path.
//!
//! As its own documentation has it: <https://kubernetes.github.io/ingress-nginx/user-guide/ingress-path-matching/> and the pages
//! beside it. `Prefix` is a prefix by whole elements, `Exact` the path alone, `ImplementationSpecific` whatever begins so; as soon as one path of a
//! host is a pattern or is rewritten, all of that host's are patterns, in capital letters or small, of which the longest is tried first.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::path::Path;

use super::scene::Written;

/// The configuration of a nginx at `address` that has its files in `folder`; `upstream` says where a Service's pod is.
pub(crate) fn configuration(
    folder: &Path,
    address: &str,
    all: &[Written],
    upstream: impl Fn(&str, &str) -> String,
) -> String {
    let mut hosts: BTreeMap<&str, Vec<&Written>> = BTreeMap::new();
    for written in all {
        hosts.entry(&written.host).or_default().push(written);
    }
    let mut servers = String::new();
    for (host, of) in hosts {
        let patterns = of
            .iter()
            .any(|written| written.says("use-regex") == "true" || !written.says("rewrite-target").is_empty());
        let _ = writeln!(servers, "  server {{\n    listen {address};\n    server_name {host};");
        let mut paths: Vec<_> =
            of.iter().flat_map(|written| written.paths.iter().map(move |path| (*written, path))).collect();
        paths.sort_by_key(|(_, (path, ..))| std::cmp::Reverse(path.len()));
        for (written, (path, kind, service)) in &paths {
            let body = location(written, path, &upstream(&written.namespace, service));
            for place in places(path, kind, patterns) {
                let _ = writeln!(servers, "    location {place} {{\n{body}    }}");
            }
        }
        if !paths.iter().any(|(_, (path, ..))| path == "/") {
            servers.push_str("    location / { return 404; }\n");
        }
        servers.push_str("  }\n");
    }
    let folder = folder.display();
    let temporary: String = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"]
        .map(|kind| format!("  {kind}_temp_path {folder}/{kind};\n"))
        .concat();
    let user = if rustix::process::geteuid().is_root() { "user root;\n" } else { "" };
    format!(
        "{user}daemon off;\nworker_processes 1;\npid {folder}/nginx.pid;\nerror_log stderr warn;\n\
         events {{ worker_connections 512; }}\n\
         http {{\n  access_log off;\n  server_names_hash_max_size 4096;\n  server_names_hash_bucket_size 128;\n\
         {temporary}  proxy_http_version 1.1;\n  proxy_set_header Connection \"\";\n  proxy_set_header Host $host;\n\
         server {{ listen {address} default_server; return 404; }}\n{servers}}}\n"
    )
}

/// The locations of one path.
fn places(path: &str, kind: &str, patterns: bool) -> Vec<String> {
    match kind {
        _ if patterns => vec![format!("~* \"^{path}\"")],
        "Exact" => vec![format!("= {path}")],
        "Prefix" if path != "/" => {
            let path = path.trim_end_matches('/');
            vec![format!("{path}/"), format!("= {path}")]
        }
        _ => vec![path.to_owned()],
    }
}

/// What one location does.
fn location(written: &Written, path: &str, upstream: &str) -> String {
    let mut body = String::new();
    let mut say = |line: String| body.push_str(&format!("      {line}\n"));
    if written.says("force-ssl-redirect") == "true" {
        say("return 308 https://$host$request_uri;".to_owned());
    }
    let ranges = written.says("whitelist-source-range");
    for range in ranges.split(',').map(str::trim).filter(|range| !range.is_empty()) {
        say(format!("allow {range};"));
    }
    if !ranges.is_empty() {
        say("deny all;".to_owned());
    }
    match written.says("proxy-body-size") {
        "" => {}
        size => say(format!("client_max_body_size {size};")),
    }
    match written.says("rewrite-target") {
        "" => {}
        target => say(format!("rewrite \"(?i){path}\" {target} break;")),
    }
    if written.says("enable-cors") == "true" {
        let fields = [
            ("Origin", "*"),
            ("Credentials", "true"),
            ("Methods", "GET, PUT, POST, DELETE, PATCH, OPTIONS"),
            (
                "Headers",
                "DNT,Keep-Alive,User-Agent,X-Requested-With,If-Modified-Since,Cache-Control,Content-Type,Range,Authorization",
            ),
        ];
        for (name, value) in fields {
            say(format!("add_header Access-Control-Allow-{name} \"{value}\" always;"));
        }
        say("add_header Access-Control-Max-Age 1728000 always;".to_owned());
        say("if ($request_method = OPTIONS) { return 204; }".to_owned());
    }
    say(format!("proxy_pass http://{upstream};"));
    body
}
