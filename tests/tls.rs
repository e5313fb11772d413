//! `kaos up` over TLS: certificates from files and a folder, read again as they change, kept while they are wrong.

#![allow(clippy::unwrap_used, clippy::panic, reason = "all of this is test code")]

mod support;

use std::fs;
use std::net::SocketAddr;

use support::certificate::made;
use support::{Kaos, answer, eventually, folder, kaos, said};

/// Where a running Kaos takes TLS.
fn secure(kaos: &Kaos) -> SocketAddr {
    kaos.json("/v1/instance")["listen_tls"].as_str().unwrap().parse().unwrap()
}

#[test]
fn named_files_and_a_folder_serve_and_are_read_again() {
    let dir = folder(&format!(
        "listen-tls = \"127.0.0.1:0\"\ntls-cert = [\"one.crt\"]\ntls-key = [\"one.key\"]\ntls-dir = \"more\"\n\
         [[function]]\nname = \"shop\"\ncommand = [\"{}\"]\n",
        answer()
    ));
    let at = |name: &str| dir.path().join(name);
    let (one, two) = (made("one.localhost", 4000), made("two.localhost", 4000));
    one.write(&at("one.crt"), &at("one.key"));
    fs::create_dir_all(at("more/two")).unwrap();
    let (chain, key) = (at("more/two/tls.crt"), at("more/two/tls.key"));
    two.write(&chain, &key);
    fs::write(at("more/broken.crt"), "nothing").unwrap();
    fs::write(at("more/broken.key"), "nothing").unwrap();
    let kaos = Kaos::up_in(dir, &[]);
    let address = secure(&kaos);
    let reply = one.get(address, "one.localhost").unwrap();
    assert!(reply.text().to_lowercase().contains("x-forwarded-proto: https\n"), "{}", reply.text());
    assert_eq!(two.get(address, "two.localhost").unwrap().status, 200);
    eventually("the broken pair is told of", || kaos.stderr().contains("left out: ").then_some(()));

    // A key of another certificate changes nothing.
    let renewed = made("two.localhost", 4001);
    fs::write(&chain, &renewed.chain).unwrap();
    let errors = || kaos.metric("kaos_tls_certificate_errors_total");
    eventually("the wrong pair is counted", || (errors() == 2.0).then_some(()));
    assert_eq!(two.get(address, "two.localhost").unwrap().status, 200);
    fs::write(&key, &renewed.key).unwrap();
    eventually("the whole pair is in force", || renewed.get(address, "two.localhost"));
    // Neither does one that has expired already.
    made("two.localhost", 2001).write(&chain, &key);
    eventually("the expired one is counted", || (errors() >= 3.0).then_some(()));
    assert_eq!(renewed.get(address, "two.localhost").unwrap().status, 200);
    let series = "kaos_tls_certificate_expiry_timestamp_seconds{source=\"more/two/tls.crt\"}";
    assert!(kaos.metric(series) > 64e9, "the year 4001");

    // What is gone from the folder is gone; a name without a certificate gets the first.
    fs::remove_file(&chain).unwrap();
    eventually("the first is shown instead", || {
        renewed.get(address, "two.localhost").is_none().then_some(())
    });
    assert_eq!(one.get(address, "one.localhost").unwrap().status, 200);
    assert!(kaos.metric("kaos_tls_handshakes_total{outcome=\"full\"}") >= 5.0);
}

#[test]
fn what_cant_be_served_is_said_before_anything_is_bound() {
    let dir = tempfile::tempdir().unwrap();
    let (one, two) = (made("one.localhost", 4000), made("two.localhost", 4000));
    one.write(&dir.path().join("one.crt"), &dir.path().join("one.key"));
    two.write(&dir.path().join("two.crt"), &dir.path().join("two.key"));
    let listen = ["--listen-tls", "127.0.0.1:0"];
    let pair = ["--tls-cert", "one.crt", "--tls-key", "one.key"];
    for (flags, why) in [
        (&listen[..], "needs certificates: say --tls-cert and --tls-key, or --tls-dir"),
        (&pair[..], "--listen-tls (KAOS_LISTEN_TLS)"),
        (&[&listen[..], &pair[..2]].concat(), "there are 1 and 0"),
        (
            &[&listen[..], &["--tls-cert", "one.crt", "--tls-key", "two.key"]].concat(),
            "one.crt with two.key: the key isn't the one of this certificate",
        ),
        (&[&listen[..], &["--tls-cert", "no.crt", "--tls-key", "one.key"]].concat(), "no.crt: No such file"),
        (&[&listen[..], &["--tls-dir", "nowhere"]].concat(), "the folder of certificates: No such file"),
    ] {
        let output = kaos(dir.path())
            .args(["up", "--listen", "127.0.0.1:0", "--admin", "127.0.0.1:0"])
            .args(flags)
            .args(["--", "true"])
            .output()
            .unwrap();
        let (code, _, stderr) = said(&output);
        assert_eq!(code, Some(78), "{flags:?}: {stderr}");
        assert!(stderr.contains(why), "{flags:?}: {stderr}");
    }
}
