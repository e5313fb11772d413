//! Kaos behind an nginx that ends TLS, and an application that sends everybody to https who isn't there yet: with nginx
//! trusted nobody is sent in a circle, and nobody else is believed.

#![allow(clippy::unwrap_used, clippy::panic, reason = "all of this is test code")]

mod support;

use std::fs;
use std::net::{SocketAddr, TcpStream};
use std::path::Path;

use serde_json::Value;
use support::certificate::{Made, made};
use support::nginx::Nginx;
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

/// An nginx that ends TLS and passes everything on.
struct Front {
    nginx: Nginx,
    certificate: Made,
}

impl Front {
    fn before(kaos: &Kaos) -> Front {
        let dir = tempfile::tempdir().unwrap();
        let at = |name: &str| dir.path().join(name).display().to_string();
        let (chain, key) = (at("tls.crt"), at("tls.key"));
        let certificate = made(HOST, 4000);
        certificate.write(Path::new(&chain), Path::new(&key));
        let kaos = kaos.listen;
        Front { nginx: Nginx::start(dir, |address| server(address, &chain, &key, kaos)), certificate }
    }

    /// The answer to a client at the address `from`, which says `fields` too.
    fn get(&self, from: [u8; 4], fields: &str) -> Reply {
        let request = format!("GET /cart HTTP/1.1\r\nHost: {HOST}\r\n{fields}Connection: close\r\n\r\n");
        self.certificate.ask(connect(from, self.nginx.address), HOST, &request).unwrap()
    }
}

/// As nginx's own documentation has it.
fn server(address: SocketAddr, chain: &str, key: &str, kaos: SocketAddr) -> String {
    format!(
        "  server {{\n    listen {address} ssl;\n    ssl_certificate {chain};\n    ssl_certificate_key {key};\n    \
         location / {{\n      proxy_pass http://{kaos};\n      proxy_http_version 1.1;\n      \
         proxy_set_header Connection \"\";\n      proxy_set_header Host $host;\n      \
         proxy_set_header X-Forwarded-Host $host;\n      \
         proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for;\n      \
         proxy_set_header X-Forwarded-Proto $scheme;\n    }}\n  }}\n"
    )
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
    let nginx = Front::before(&kaos);
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
    let nginx = Front::before(&kaos);
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
