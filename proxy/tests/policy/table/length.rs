//! Where a request ends.

use super::{BAD, Case, Outcome, Section, Seen, http1, shown, test};

/// What an attacker hopes to have read as a request of its own.
const SMUGGLED: &str = "0\r\n\r\nGET /smuggled HTTP/1.1\r\nHost: shop\r\n\r\n";

pub fn sections() -> Vec<Section> {
    let mut doubtful: Vec<Case> = DOUBTFUL.iter().flat_map(|lines| attacks(lines)).collect();
    doubtful.push(http1(
        "`Transfer-Encoding: chunked` of HTTP/1.0",
        "POST / HTTP/1.0\r\nHost: shop\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        BAD,
    ));
    doubtful.push(test(
        "any byte before, behind and within the names, separators and values of the fields that frame and route, beside a sound framing: 10 240 requests",
        "HTTP/1",
        "400, or passed on as one well-formed request",
        "framing::whatever_is_accepted_reaches_the_replica_as_one_well_formed_request",
    ));
    let mut chunks: Vec<Case> = BAD_CHUNKS.iter().map(|bad| chunk(bad)).collect();
    chunks.push(test(
        "a malformed chunk behind a sound one",
        "HTTP/1",
        "400 `bad-request`, and the replica's request is cut, never ended",
        "framing::a_malformed_chunk_is_refused_and_the_replicas_request_never_ends",
    ));
    chunks.push(test(
        "a malformed chunk after the answer has begun",
        "HTTP/1",
        "the answer is cut",
        "framing::a_malformed_chunk_behind_the_beginning_of_the_answer_cuts_it",
    ));
    vec![
        Section {
            rule: "one_length",
            title: "One length, said once",
            why: "Whoever says it twice may be read in two ways, and what lies between the two ends is somebody's smuggled \
                  request. RFC 9112 §6.3 allows to mend some of these; none comes from an honest client.",
            cases: doubtful,
        },
        Section {
            rule: "chunk_grammar",
            title: "Chunks",
            why: "The grammar of RFC 9112 §7.1 to the letter: a size that one reader takes for another number, or a line \
                  that ends elsewhere, moves the end of the request.",
            cases: chunks,
        },
        Section {
            rule: "sound_length",
            title: "Lengths that are mended",
            why: "There is one way to read them, and what a replica gets is written anew.",
            cases: vec![
                length("Content-Length: 005", "Content-Length: 005", "hello", "5"),
                length("Content-Length: 5, with spaces around", "Content-Length: \t5 ", "hello", "5"),
                sound("chunk extensions are dropped", "5 ;x=y; z=\"0\"\r\nhello\r\n0;q\r\n\r\n", "hello"),
                sound("zeros before a size", "00005\r\nhello\r\n000\r\n\r\n", "hello"),
                sound("a body of nothing", "0\r\n\r\n", ""),
                sound("content that looks like an end", "5\r\n0\r\n\r\n\r\n0\r\n\r\n", "0\r\n\r\n"),
                http1(
                    "`Transfer_Encoding` and `Content_Length`",
                    "POST / HTTP/1.1\r\nHost: shop\r\nTransfer_Encoding: chunked\r\nContent_Length: 1\r\nContent-Length: 5\r\n\r\nhello",
                    Outcome::Passed(vec![
                        Seen::Without("Transfer_Encoding"),
                        Seen::Without("Content_Length"),
                        Seen::Body("hello"),
                    ]),
                ),
            ],
        },
    ]
}

fn attacks(lines: &str) -> [Case; 2] {
    ["GET", "POST"].map(|method| {
        let request = format!("{method} /attack HTTP/1.1\r\nHost: shop\r\n{lines}\r\n\r\n{SMUGGLED}");
        http1(&format!("`{}`", shown(lines)), &request, BAD)
    })
}

fn chunk(bad: &str) -> Case {
    let request =
        format!("POST / HTTP/1.1\r\nHost: shop\r\nTransfer-Encoding: chunked\r\n\r\n{bad}{SMUGGLED}");
    http1(&format!("`{}`", shown(bad)), &request, BAD)
}

fn length(what: &str, line: &str, body: &'static str, said: &'static str) -> Case {
    let request = format!("POST / HTTP/1.1\r\nHost: shop\r\n{line}\r\n\r\n{body}");
    let seen = vec![Seen::Field("Content-Length", vec![said]), Seen::Body(body)];
    http1(&format!("`{what}`"), &request, Outcome::Passed(seen))
}

fn sound(what: &str, body: &str, content: &'static str) -> Case {
    let request = format!("POST / HTTP/1.1\r\nHost: shop\r\nTransfer-Encoding: chunked\r\n\r\n{body}");
    http1(&format!("{what}: `{}`", shown(body)), &request, Outcome::Passed(vec![Seen::Body(content)]))
}

/// Field lines that say the length of a body twice, doubtfully or wrongly.
const DOUBTFUL: &[&str] = &[
    // CL.TE, TE.CL
    "Content-Length: 5\r\nTransfer-Encoding: chunked",
    "Transfer-Encoding: chunked\r\nContent-Length: 5",
    "Content-Length: 0\r\nTransfer-Encoding: chunked",
    "Transfer-Encoding: chunked\r\nContent-Length: 0",
    "Content-Length: \r\nTransfer-Encoding: chunked",
    "content-length: 5\r\nTRANSFER-ENCODING: CHUNKED",
    // TE.TE
    "Transfer-Encoding: gzip, chunked",
    "Transfer-Encoding: chunked, gzip",
    "Transfer-Encoding: chunked, chunked",
    "Transfer-Encoding: chunked, identity",
    "Transfer-Encoding: identity, chunked",
    "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked",
    "Transfer-Encoding: identity\r\nTransfer-Encoding: chunked",
    "Transfer-Encoding: chunked\r\nTransfer-Encoding: x",
    "Transfer-Encoding: identity",
    "Transfer-Encoding: x",
    "Transfer-Encoding: xchunked",
    "Transfer-Encoding: chunkedx",
    "Transfer-Encoding: \"chunked\"",
    "Transfer-Encoding: 'chunked'",
    "Transfer-Encoding: chunked;q=1",
    "Transfer-Encoding: chunked,",
    "Transfer-Encoding: ,chunked",
    "Transfer-Encoding: , chunked ,",
    "Transfer-Encoding:",
    "Transfer-Encoding: \u{a0}chunked",
    "Transfer-Encoding: chunked\u{b}",
    "Transfer-Encoding: \u{c}chunked",
    "Transfer-Encoding: chunked\u{0}",
    "Transfer-Encoding: chun\rked",
    "Transfer-Encoding : chunked",
    "Transfer-Encoding\t: chunked",
    "Transfer-Encoding\u{0}: chunked",
    " Transfer-Encoding: chunked",
    "\tTransfer-Encoding: chunked",
    "X: y\r\n Transfer-Encoding: chunked",
    "Transfer-Encoding:\r\n chunked",
    "Transfer-Encoding\r\n : chunked",
    "Transfer-Encoding: chunked\r\n , identity",
    "X: y\rTransfer-Encoding: chunked",
    "X: y\r\rTransfer-Encoding: chunked",
    ": chunked",
    "Transfer-Encoding",
    // CL.CL
    "Content-Length: 5\r\nContent-Length: 6",
    "Content-Length: 5\r\nContent-Length: 5",
    "Content-Length: 5\r\nContent-Length: 0",
    "Content-Length: 5, 5",
    "Content-Length: 5, 6",
    "Content-Length: 5,",
    "Content-Length: ,5",
    "Content-Length: +5",
    "Content-Length: -5",
    "Content-Length: -0",
    "Content-Length: 0x5",
    "Content-Length: 5 5",
    "Content-Length: 5 ;",
    "Content-Length: 5;a",
    "Content-Length: 5.0",
    "Content-Length: 5e0",
    "Content-Length: \"5\"",
    "Content-Length: five",
    "Content-Length: \u{d9}\u{a5}",
    "Content-Length:",
    "Content-Length: 9223372036854775808",
    "Content-Length: 18446744073709551621",
    "Content-Length: 99999999999999999999999999999999999999",
    "Content-Length : 5",
    "Content-Length\t: 5",
    " Content-Length: 5",
    "Content-Length:\r\n 5",
    "Content-Length: 5\r\n 5",
    "Content-Length: 5\u{b}",
    "Content-Length: 5\u{0}",
    "Content-\r\nLength: 5",
];

/// Chunks that are malformed.
const BAD_CHUNKS: &[&str] = &[
    "5\nhello\r\n",
    "5\r\nhello\n0\r\n\r\n",
    "5\r\nhelloo\r\n",
    " 5\r\nhello\r\n",
    "0x5\r\nhello\r\n",
    "+5\r\nhello\r\n",
    "-5\r\nhello\r\n",
    "g\r\n",
    "\r\nhello",
    "5 5\r\nhello\r\n",
    "5;a\rb\r\nhello\r\n",
    "5;a\u{0}\r\nhello\r\n",
    "5 x\r\nhello\r\n",
    "10000000000000000\r\nhello",
    "fffffffffffffffff\r\nhello",
    "5\r\nhello0\r\n\r\n",
    "0\r\nX y: z\r\n\r\n",
    "0\r\n X: y\r\n\r\n",
    "0\r\nX: y\r\n z\r\n\r\n",
    "0\r\nX: \u{0}\r\n\r\n",
];
