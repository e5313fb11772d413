//! Kaos behind an nginx that ends TLS, and an application that sends everybody to https who isn't there yet: with nginx
//! trusted nobody is sent in a circle, and nobody else is believed.

#![allow(clippy::unwrap_used, clippy::panic, reason = "all of this is test code")]

mod support;

use std::fs::{self, File};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};

use serde_json::Value;
use support::certificate::{Made, made};
use support::{Kaos, Reply, eventually, raw};

const HOST: &str = "shop.localhost";

/// An application as people write them: one that asks `X-Forwarded-Proto` whether a client came by https, and says whom it
/// takes for its client.
const APPLICATION: &str = r#"
import http.server, json, sys

class Application(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self):
        seen = {name: self.headers.get_all(name) for name in
                ["Host", "X-Forwarded-For", "X-Forwarded-Proto", "X-Forwarded-Host", "Forwarded", "X-Real-IP"]}
        body = json.dumps(seen).encode()
        secure = self.headers.get("X-Forwarded-Proto") == "https"
        self.send_response(200 if secure else 301)
        if not secure:
            self.send_header("Location", "https://" + self.headers["Host"] + self.path)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass

http.server.ThreadingHTTPServer(("127.0.0.1", int(sys.argv[1])), Application).serve_forever()
"#;

fn application(flags: &[&str]) -> Kaos {
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("application.py"), APPLICATION).unwrap();
    let command = ["--", "python3", "application.py", "{port}"];
    Kaos::up_in(dir, &[&["--name", "shop"], flags, &command].concat())
}

/// A running nginx that ends TLS and passes everything on. Killed when dropped.
struct Nginx {
    child: Child,
    address: SocketAddr,
    certificate: Made,
    _dir: tempfile::TempDir,
}

impl Nginx {
    fn before(kaos: &Kaos) -> Nginx {
        let dir = tempfile::tempdir().unwrap();
        let at = |name: &str| dir.path().join(name);
        let certificate = made(HOST, 4000);
        certificate.write(&at("tls.crt"), &at("tls.key"));
        // A port that is free may be another's a moment later: nginx can't be told to take any.
        for _ in 0..16 {
            let address = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
            fs::write(at("nginx.conf"), configuration(dir.path(), address, kaos.listen)).unwrap();
            let mut child = nginx(dir.path());
            let has_begun = eventually("nginx listens, or ends", || {
                let ended = child.try_wait().unwrap().is_some();
                // Written once its ports are bound.
                let pid = fs::read_to_string(at("nginx.pid")).unwrap_or_default();
                (ended || pid.trim() == child.id().to_string()).then_some(!ended)
            });
            if has_begun {
                return Nginx { child, address, certificate, _dir: dir };
            }
            let said = fs::read_to_string(at("nginx.log")).unwrap();
            assert!(said.contains("Address already in use"), "{said}");
        }
        panic!("no port stays free");
    }

    /// The answer to a client at the address `from`, which says `fields` too.
    fn get(&self, from: [u8; 4], fields: &str) -> Reply {
        let request = format!("GET /cart HTTP/1.1\r\nHost: {HOST}\r\n{fields}Connection: close\r\n\r\n");
        self.certificate.ask(connect(from, self.address), HOST, &request).unwrap()
    }
}

impl Drop for Nginx {
    fn drop(&mut self) {
        // Its worker ends with it.
        support::signal(self.child.id(), "TERM");
        let _ = self.child.wait();
    }
}

/// As nginx's own documentation has it.
fn configuration(dir: &Path, address: SocketAddr, kaos: SocketAddr) -> String {
    let dir = dir.display();
    let temporary: String = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"]
        .map(|kind| format!("  {kind}_temp_path {dir}/{kind};\n"))
        .concat();
    let user = if rustix::process::geteuid().is_root() { "user root;\n" } else { "" };
    format!(
        "{user}daemon off;\nworker_processes 1;\npid {dir}/nginx.pid;\nerror_log stderr warn;\n\
         events {{ worker_connections 64; }}\n\
         http {{\n  access_log off;\n{temporary}  server {{\n    listen {address} ssl;\n    \
         ssl_certificate {dir}/tls.crt;\n    ssl_certificate_key {dir}/tls.key;\n    location / {{\n      \
         proxy_pass http://{kaos};\n      proxy_http_version 1.1;\n      proxy_set_header Connection \"\";\n      \
         proxy_set_header Host $host;\n      proxy_set_header X-Forwarded-Host $host;\n      \
         proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for;\n      \
         proxy_set_header X-Forwarded-Proto $scheme;\n    }}\n  }}\n}}\n"
    )
}

fn nginx(dir: &Path) -> Child {
    // Debian has it where only root looks.
    let path = format!("{}:/usr/sbin", std::env::var("PATH").unwrap_or_default());
    let log = File::create(dir.join("nginx.log")).unwrap();
    Command::new("env")
        .arg("nginx")
        .env("PATH", path)
        .args(["-e", "stderr", "-c"])
        .arg(dir.join("nginx.conf"))
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(log)
        .spawn()
        .unwrap()
}

/// A connection of a client at `from`.
fn connect(from: [u8; 4], to: SocketAddr) -> TcpStream {
    let socket = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).unwrap();
    socket.bind(&SocketAddr::from((from, 0)).into()).unwrap();
    socket.connect(&to.into()).unwrap();
    socket.into()
}

/// What the application saw of one field; all its lines.
fn seen(reply: &Reply, name: &str) -> Vec<String> {
    let seen: Value = serde_json::from_slice(&reply.body).unwrap();
    serde_json::from_value(seen[name].clone()).unwrap_or_default()
}

const CLIENT: [u8; 4] = [127, 0, 0, 2];

fn warnings(kaos: &Kaos) -> usize {
    kaos.stderr().matches("X-Forwarded-Proto was dropped").count()
}

#[test]
fn behind_a_trusted_nginx_the_application_sees_its_client_and_https() {
    let kaos = application(&["--trusted-proxies", "127.0.0.1/32"]);
    let nginx = Nginx::before(&kaos);
    for _ in 0..3 {
        let reply = nginx.get(CLIENT, "");
        assert_eq!((reply.status, reply.header("location")), (200, None), "{}", reply.text());
        assert_eq!(seen(&reply, "X-Forwarded-For"), ["127.0.0.2, 127.0.0.1"]);
        assert_eq!(seen(&reply, "X-Forwarded-Proto"), ["https"]);
        assert_eq!(seen(&reply, "X-Forwarded-Host"), [HOST]);
        assert_eq!(seen(&reply, "Host"), [HOST]);
    }
    // What a client invents stands where nobody looks who counts trusted proxies from the end.
    let reply = nginx.get(CLIENT, "X-Forwarded-For: 192.0.2.7\r\nX-Forwarded-Proto: http\r\n");
    assert_eq!(seen(&reply, "X-Forwarded-For"), ["192.0.2.7, 127.0.0.2, 127.0.0.1"]);
    assert_eq!((reply.status, seen(&reply, "X-Forwarded-Proto")), (200, vec!["https".to_owned()]));
    assert_eq!(warnings(&kaos), 0, "{}", kaos.stderr());

    // Whoever comes past nginx is nobody's proxy.
    let spoofed = format!(
        "GET /cart HTTP/1.1\r\nHost: {HOST}\r\nX-Forwarded-Proto: https\r\nX-Forwarded-For: 192.0.2.7\r\n\
         Forwarded: for=192.0.2.7;proto=https\r\nX-Real-IP: 192.0.2.7\r\nConnection: close\r\n\r\n"
    );
    for _ in 0..3 {
        let mut stream = connect(CLIENT, kaos.listen);
        let reply = Reply::parse(&support::ask(&mut stream, spoofed.as_bytes())).unwrap();
        let place = format!("https://{HOST}/cart");
        assert_eq!((reply.status, reply.header("location")), (301, Some(place.as_str())), "{}", reply.text());
        assert_eq!(seen(&reply, "X-Forwarded-For"), ["127.0.0.2"]);
        assert_eq!(seen(&reply, "X-Forwarded-Proto"), ["http"]);
        assert!(!reply.text().contains("192.0.2.7"), "{}", reply.text());
    }
    eventually("it is told of", || (warnings(&kaos) > 0).then_some(()));
    assert!(kaos.stderr().lines().any(|line| line.contains("was dropped") && line.contains("127.0.0.2")));
    // What is written next shows that nothing more came before it.
    assert_eq!(kaos.command(&["ls"]).status.code(), Some(0));
    assert_eq!(warnings(&kaos), 1, "{}", kaos.stderr());
}

/// The circle in which an operator finds himself, and what tells him of the way out.
#[test]
fn behind_an_nginx_that_isnt_trusted_every_answer_leads_back_and_kaos_says_why() {
    let kaos = application(&[]);
    let nginx = Nginx::before(&kaos);
    for _ in 0..3 {
        let reply = nginx.get(CLIENT, "");
        let place = format!("https://{HOST}/cart");
        assert_eq!((reply.status, reply.header("location")), (301, Some(place.as_str())));
        assert_eq!(seen(&reply, "X-Forwarded-For"), ["127.0.0.1"]);
        assert_eq!(seen(&reply, "X-Forwarded-Proto"), ["http"]);
    }
    eventually("it is told of", || (warnings(&kaos) > 0).then_some(()));
    let told = kaos.stderr();
    let line = told.lines().find(|line| line.contains("was dropped")).unwrap();
    assert!(line.contains("--trusted-proxies") && line.contains("127.0.0.1"), "{line}");
    let direct =
        format!("GET / HTTP/1.1\r\nHost: {HOST}\r\nX-Forwarded-Proto: https\r\nConnection: close\r\n\r\n");
    assert_eq!(Reply::parse(&raw(kaos.listen, direct.as_bytes())).unwrap().status, 301);
    assert_eq!(warnings(&kaos), 1, "once in a process's life");
}
