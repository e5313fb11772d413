//! Our own programs: Kaos itself, and static ones for images (what holds a pod's namespaces, what answers as told). Built
//! for this machine, the static ones beside Kubernetes' programs.

use std::env;
use std::fs::{self, File};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::binaries::target;
use crate::failure::{Failure, Trying};

const STATIC: &str = "-Ctarget-feature=+crt-static";

/// Kaos itself, as the sources are: built if it isn't. For tests that run `kaos proxy` and `kaos autoscaler` as processes.
pub fn kaos() -> Result<PathBuf, Failure> {
    let target = target()?;
    run(&mut cargo(&["--package=kaos", "--bin=kaos"], &target))?;
    Ok(target.join("debug/kaos"))
}

/// The program of the pause image.
pub(crate) fn pause() -> Result<PathBuf, Failure> {
    let folder = folder()?;
    let (built, _lock) = (folder.join("pause"), lock(&folder)?);
    if !built.exists() {
        let new = tempfile::tempdir_in(&folder).trying(folder.display())?;
        let mut rustc = Command::new(env::var_os("RUSTC").unwrap_or_else(|| "rustc".into()));
        rustc.args(["--edition=2024", "-Copt-level=s", "-Cpanic=abort", "-Cstrip=symbols", STATIC, "-o"]);
        run(rustc.arg(new.path().join("pause")).arg(source("build/pause.rs")))?;
        fs::rename(new.path().join("pause"), &built).trying(built.display())?;
    }
    Ok(built)
}

/// The program that answers as told.
pub(crate) fn answer() -> Result<PathBuf, Failure> {
    whole("kaos-loadtest", "answer", "a minute or two")
}

/// Kaos itself, as it is in an image.
pub(crate) fn kaos_for_images() -> Result<PathBuf, Failure> {
    whole("kaos", "kaos", "some minutes")
}

/// A static program of the workspace, as it would be released.
fn whole(package: &str, program: &str, lasts: &str) -> Result<PathBuf, Failure> {
    let folder = folder()?;
    let rustc = Command::new("rustc").arg("-vV").output().trying("rustc")?;
    let said = String::from_utf8_lossy(&rustc.stdout).into_owned();
    // Named, although it is this machine: build scripts and macros are then built without the flag.
    let host = said.lines().find_map(|line| line.strip_prefix("host: "));
    let host = host.ok_or_else(|| Failure::new(format!("rustc -vV named no host:\n{said}")))?;
    let _lock = lock(&folder)?;
    let built = folder.join(host).join("release").join(program);
    if !built.exists() {
        let _ = writeln!(std::io::stderr(), "testbed: building a static `{program}`, once: {lasts}");
    }
    let (package, program) = (format!("--package={package}"), format!("--bin={program}"));
    let mut build = cargo(&["--release", &package, &program, "--target", host], &folder);
    run(build.env("RUSTFLAGS", STATIC).env_remove("CARGO_ENCODED_RUSTFLAGS"))?;
    Ok(built)
}

/// Builds something of the workspace into the folder `target`.
fn cargo(what: &[&str], target: &Path) -> Command {
    let mut cargo = Command::new(env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    cargo.arg("build").args(what).arg("--target-dir").arg(target).current_dir(source(""));
    // What the outer Cargo says of the crate under test: build scripts that look at it would be run again each time.
    for (name, _) in env::vars_os() {
        let of_crate =
            ["CARGO_PKG_", "CARGO_MANIFEST_"].iter().any(|of| name.to_string_lossy().starts_with(of));
        if of_crate {
            cargo.env_remove(name);
        }
    }
    cargo
}

/// Something of this crate's folder.
fn source(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(path)
}

fn folder() -> Result<PathBuf, Failure> {
    let folder = target()?.join("testbed/static");
    fs::create_dir_all(&folder).trying(folder.display())?;
    Ok(folder)
}

/// One build at a time; given back when dropped.
fn lock(folder: &Path) -> Result<File, Failure> {
    let file = File::create(folder.join(".lock")).trying(folder.display())?;
    file.lock().trying(folder.display())?;
    Ok(file)
}

/// Runs a command to its end. The failure is what it wrote to stderr.
pub(crate) fn run(command: &mut Command) -> Result<(), Failure> {
    let name = command.get_program().to_string_lossy().into_owned();
    let ended = command.stdin(Stdio::null()).output().trying(&name)?;
    if ended.status.success() {
        return Ok(());
    }
    Err(Failure::new(format!(
        "{name} failed ({}):\n{}",
        ended.status,
        String::from_utf8_lossy(&ended.stderr)
    )))
}
