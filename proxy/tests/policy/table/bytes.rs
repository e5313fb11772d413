//! Bytes that no head holds, and lines that end in an odd way.

use super::{BAD, Case, Outcome, Section, Seen, http1, shown};

pub fn sections() -> Vec<Section> {
    let mut odd: Vec<Case> = LINES.iter().map(|line| request(line, "X: y")).collect();
    odd.extend(FIELDS.iter().map(|line| field(line)));
    vec![
        Section {
            rule: "head_bytes",
            title: "Bytes that no head holds",
            why: "What one program skips, takes for a space or ends a line at, another keeps: with it a field is smuggled past \
                  whoever looks for it. Folded lines are obsolete since 2014 (RFC 9112 §5.2).",
            cases: odd,
        },
        Section {
            rule: "line_ends",
            title: "Line ends",
            why: "RFC 9112 §2.2 lets a reader take a bare LF and skip empty lines before a request. It harms nobody here: what a replica \
                  gets is written anew, with CR LF.",
            cases: SOUND.iter().map(|request| sound(request)).collect(),
        },
    ]
}

fn request(line: &str, field: &str) -> Case {
    http1(&format!("`{}`", shown(line)), &format!("{line}\r\nHost: shop\r\n{field}\r\n\r\n"), BAD)
}

fn field(line: &str) -> Case {
    let Case { sent, outcome, .. } = request("GET / HTTP/1.1", line);
    Case { what: format!("`{}`", shown(line)), sent, outcome }
}

fn sound(request: &str) -> Case {
    let seen = vec![Seen::Target("/a"), Seen::Field("X-A", vec!["b"])];
    http1(&format!("`{}`", shown(request)), request, Outcome::Passed(seen))
}

const SOUND: &[&str] = &[
    "\r\n\r\nGET /a HTTP/1.1\r\nHost: shop\r\nX-A: b\r\n\r\n",
    "\n\nGET /a HTTP/1.1\r\nHost: shop\r\nX-A: b\r\n\r\n",
    "GET /a HTTP/1.1\nHost: shop\nX-A: b\n\n",
    "GET /a HTTP/1.1\r\nHost: shop\nX-A:\tb \t\n\r\n",
    "GET /a HTTP/1.1\nHost:shop\r\nX-A:b\r\n\n",
];

/// Request lines.
const LINES: &[&str] = &[
    "GET  / HTTP/1.1",
    "GET /  HTTP/1.1",
    " GET / HTTP/1.1",
    "GET / HTTP/1.1 ",
    "GET\t/ HTTP/1.1",
    "GET /\tHTTP/1.1",
    "GET / HTTP/1.2",
    "GET / HTTP/2.0",
    "GET / HTTP/0.9",
    "GET / http/1.1",
    "GET / HTTP/1.1x",
    "GET / HTTP/11",
    "GET /",
    "GET",
    "G@T / HTTP/1.1",
    "G\u{c9}T / HTTP/1.1",
    "(GET) / HTTP/1.1",
    "GET /a b HTTP/1.1",
    "GET /\u{0} HTTP/1.1",
    "GET /\u{7f} HTTP/1.1",
    "GET /\u{fc} HTTP/1.1",
    "\u{16}\u{3}\u{1}\u{2}",
    "SSH-2.0-OpenSSH_9.2",
    "PRI * HTTP/2.0",
];

/// Field lines.
const FIELDS: &[&str] = &[
    "X\u{0}: y",
    "X: \u{0}",
    "X: y\rz",
    "X: \u{1}",
    "X: \u{7f}",
    "X: y\u{8}",
    "X y: z",
    "X",
    ":",
    ": y",
    "X: y\r\n folded",
    "X: y\r\n\tfolded",
    "\u{dc}: x",
    "X(y): z",
    "\"X\": z",
    "X,Y: z",
    "X/Y: z",
    "{X}: y",
    "X : y",
];
