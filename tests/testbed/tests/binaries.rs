//! Where the programs come from: what is missing is said, what is built is built once, what is half built doesn't count.
//! Go is played by a script here; the other tests use what the real one built.

#![allow(clippy::unwrap_used, reason = "all of this is test code")]

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use tempfile::TempDir;

/// A target folder of Cargo with nothing but the command `testbed` in it, and a `go` that does as `script` says.
///
/// Neither file is ever open for writing in this process: a child that another thread forks meanwhile would hold it open,
/// and a program that someone may write can't be run (ETXTBSY).
fn empty(script: &str) -> TempDir {
    let program = Path::new(env!("CARGO_BIN_EXE_testbed"));
    let root = tempfile::tempdir_in(program.parent().unwrap()).unwrap();
    let (target, programs) = (root.path().join("target"), root.path().join("bin"));
    for folder in [&target.join("debug"), &programs] {
        fs::create_dir_all(folder).unwrap();
    }
    fs::write(target.join("CACHEDIR.TAG"), "").unwrap();
    fs::hard_link(program, target.join("debug/testbed")).unwrap();
    if !script.is_empty() {
        let write = r#"printf '#!/bin/sh\n%s\n' "$1" >"$2" && chmod +x "$2""#;
        let go = programs.join("go");
        assert!(Command::new("sh").args(["-c", write, "sh", script]).arg(go).status().unwrap().success());
    }
    root
}

fn testbed(root: &Path) -> Command {
    let mut testbed = Command::new(root.join("target/debug/testbed"));
    // The programs of the script first, and no Go behind them.
    testbed
        .env("PATH", format!("{}:/usr/bin:/bin", root.join("bin").display()))
        .env_remove("KUBEBUILDER_ASSETS");
    testbed.env("LOG", root.join("log")).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    testbed
}

fn built(root: &Path) -> Vec<PathBuf> {
    let caches = fs::read_dir(root.join("target/testbed")).unwrap().map(|cache| cache.unwrap().path());
    let files = caches.flat_map(|cache| fs::read_dir(cache).unwrap().map(|file| file.unwrap().path()));
    files.filter(|file| !file.ends_with(".lock")).collect()
}

fn said(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

#[test]
fn what_is_missing_is_said_in_one_line() {
    let root = empty("");
    let ended = testbed(root.path()).env("PATH", root.path().join("bin")).output().unwrap();
    assert_eq!(ended.status.code(), Some(1));
    let said = said(&ended);
    let line = said.lines().last().unwrap();
    assert!(line.contains("install Go") && line.contains("KUBEBUILDER_ASSETS"), "{said}");
}

#[test]
fn tests_that_start_at_once_build_once() {
    // The program is the last argument but one; what it builds ends at once.
    let root = empty(
        r#"while [ "$1" != -o ]; do shift; done; echo "$2" >>"$LOG"; printf '#!/bin/sh\nexit 3\n' >"$2"; chmod +x "$2""#,
    );
    let both = [(); 2].map(|()| testbed(root.path()).spawn().unwrap());
    for testbed in both {
        let ended = testbed.wait_with_output().unwrap();
        assert_eq!(ended.status.code(), Some(1));
        assert!(said(&ended).contains("kube-apiserver ended (exit status: 3)"), "{}", said(&ended));
    }
    let log = fs::read_to_string(root.path().join("log")).unwrap();
    let mut built: Vec<&str> = log.lines().map(|path| path.rsplit_once('/').unwrap().1).collect();
    built.sort_unstable();
    assert_eq!(built, ["etcd", "kube-apiserver", "kube-controller-manager"]);
}

#[test]
fn what_is_half_built_does_not_count() {
    let root =
        empty(r#"while [ "$1" != -o ]; do shift; done; echo half >"$2"; echo "no space left" >&2; exit 1"#);
    let ended = testbed(root.path()).output().unwrap();
    assert_eq!(ended.status.code(), Some(1));
    assert!(said(&ended).contains("no space left"), "{}", said(&ended));
    assert_eq!(built(root.path()), Vec::<PathBuf>::new());
}

#[test]
fn kaos_is_built_as_the_sources_are() {
    let kaos = kaos_testbed::kaos().unwrap();
    let said = Command::new(kaos).arg("--version").output().unwrap();
    assert!(String::from_utf8_lossy(&said.stdout).starts_with("kaos "), "{said:?}");
}
