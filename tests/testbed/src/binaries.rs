//! Where the programs that others have written come from, Kubernetes' and those of suites: a folder that the user names, a
//! cache, or Go, which fills the cache once.
//!
//! The versions are those of `build/*/go.mod`. Tests that start at the same time build once, under a lock; what is half
//! built is never seen, because it is built elsewhere and renamed.

use std::env;
use std::fs::{self, File};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::failure::{Failure, Trying};

/// A Go module of `build/` and the commands that are built from it.
struct Module {
    folder: &'static str,
    package: &'static str,
    go_mod: &'static str,
    /// The name of each, and the package within the module; `.` is what is in the folder itself.
    commands: &'static [(&'static str, &'static str)],
}

const KUBERNETES: Module = Module {
    folder: "kubernetes",
    package: "k8s.io/kubernetes",
    go_mod: include_str!("../build/kubernetes/go.mod"),
    commands: &[
        ("kube-apiserver", "/cmd/kube-apiserver"),
        ("kube-controller-manager", "/cmd/kube-controller-manager"),
        ("kube-scheduler", "/cmd/kube-scheduler"),
        ("kubelet", "/cmd/kubelet"),
    ],
};

const ETCD: Module = Module {
    folder: "etcd",
    package: "go.etcd.io/etcd/server/v3",
    go_mod: include_str!("../build/etcd/go.mod"),
    commands: &[("etcd", "")],
};

const GRPC: Module = Module {
    folder: "grpc",
    package: "google.golang.org/grpc",
    go_mod: include_str!("../build/grpc/go.mod"),
    commands: &[("grpc-interop-client", "/interop/client"), ("grpc-interop-server", "/interop/server")],
};

const H2SPEC: Module = Module {
    folder: "h2spec",
    package: "github.com/summerwind/h2spec",
    go_mod: include_str!("../build/h2spec/go.mod"),
    commands: &[("h2spec", "/cmd/h2spec")],
};

const WEBSOCKET: Module = Module {
    folder: "websocket",
    package: "github.com/gorilla/websocket",
    go_mod: include_str!("../build/websocket/go.mod"),
    commands: &[("websocket-echo", "/examples/autobahn")],
};

const HELM: Module = Module {
    folder: "helm",
    package: "helm.sh/helm/v4",
    go_mod: include_str!("../build/helm/go.mod"),
    commands: &[("helm", "/cmd/helm")],
};

const KUSTOMIZE: Module = Module {
    folder: "kustomize",
    package: "sigs.k8s.io/kustomize/kustomize/v5",
    go_mod: include_str!("../build/kustomize/go.mod"),
    commands: &[("kustomize", "")],
};

const GATEWAY: Module = Module {
    folder: "gateway",
    package: "sigs.k8s.io/gateway-api/conformance",
    go_mod: include_str!("../build/gateway/go.mod"),
    commands: &[("gateway-conformance", ".")],
};

const MODULES: [&Module; 8] = [&KUBERNETES, &ETCD, &GRPC, &H2SPEC, &WEBSOCKET, &HELM, &KUSTOMIZE, &GATEWAY];

/// The folders that hold programs, by the names of these.
pub(crate) struct Binaries(Vec<(String, PathBuf)>);

impl Binaries {
    /// Finds `names`: in the folder of `KUBEBUILDER_ASSETS`, in the cache, else builds what is missing. Blocks: building
    /// takes minutes.
    pub(crate) fn find(names: &[&str]) -> Result<Binaries, Failure> {
        let assets = env::var_os("KUBEBUILDER_ASSETS").map(PathBuf::from);
        let mut found = Vec::new();
        for module in MODULES {
            let cache = module.cache()?;
            let wanted: Vec<&str> =
                names.iter().copied().filter(|name| module.path(name).is_some()).collect();
            let place = |name: &str| {
                [assets.as_ref(), Some(&cache)]
                    .into_iter()
                    .flatten()
                    .map(|folder| folder.join(name))
                    .find(|path| path.is_file())
            };
            if wanted.iter().any(|name| place(name).is_none()) {
                module.build(&cache, &wanted, &place)?;
            }
            for name in wanted {
                let path =
                    place(name).ok_or_else(|| Failure::new(format!("{name} was built and is gone")))?;
                found.push((name.to_owned(), path));
            }
        }
        Ok(Binaries(found))
    }

    /// A command that runs the program `name`.
    pub(crate) fn command(&self, name: &str) -> Result<Command, Failure> {
        let path = self.0.iter().find(|(known, _)| known == name).map(|(_, path)| path);
        path.map(Command::new).ok_or_else(|| Failure::new(format!("{name} was not asked for")))
    }
}

impl Module {
    /// The version that `go.mod` requires, as `v1.2.3`.
    fn version(&self) -> &'static str {
        let words = |line: &'static str| line.trim_start_matches("require").trim().split_once(' ');
        let requirement = self.go_mod.lines().filter_map(words).find(|(package, _)| *package == self.package);
        requirement.map_or("", |(_, version)| version.split(' ').next().unwrap_or(version))
    }

    /// The package of the command `name`, within the module.
    fn path(&self, name: &str) -> Option<&'static str> {
        self.commands.iter().find(|(known, _)| *known == name).map(|(_, path)| *path)
    }

    /// Where what is built stays.
    fn cache(&self) -> Result<PathBuf, Failure> {
        Ok(target()?.join("testbed").join(format!("{}-{}", self.folder, self.version())))
    }

    /// Builds those of `wanted` that have no `place` when the lock is ours.
    fn build(
        &self,
        cache: &Path,
        wanted: &[&str],
        place: &dyn Fn(&str) -> Option<PathBuf>,
    ) -> Result<(), Failure> {
        let what = format!("the cache {}", cache.display());
        fs::create_dir_all(cache).trying(&what)?;
        let lock = File::create(cache.join(".lock")).trying(&what)?;
        lock.lock().trying(&what)?;
        let missing: Vec<&str> = wanted.iter().copied().filter(|name| place(name).is_none()).collect();
        if missing.is_empty() {
            return Ok(());
        }
        // Not by eprintln: who waits for minutes should see why, also where tests' output is captured.
        let _ = writeln!(
            std::io::stderr(),
            "testbed: building {} {} with Go, once: minutes",
            missing.join(", "),
            self.version()
        );
        let new = tempfile::tempdir_in(cache).trying(&what)?;
        for name in &missing {
            self.go_build(name, &new.path().join(name))?;
            fs::rename(new.path().join(name), cache.join(name)).trying(&what)?;
        }
        Ok(())
    }

    /// Builds the command `name` to the file `to`.
    fn go_build(&self, name: &str, to: &Path) -> Result<(), Failure> {
        let package = match self.path(name).unwrap_or_default() {
            "." => ".".to_owned(),
            path => format!("{}{path}", self.package),
        };
        let built = Command::new("go")
            .args(["build", "-mod=readonly", "-trimpath", "-ldflags", &self.linker_flags(), "-o"])
            .arg(to)
            .arg(package)
            .current_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join("build").join(self.folder))
            .env("CGO_ENABLED", "0")
            .stdin(Stdio::null())
            .output()
            .map_err(|error| {
                Failure::new(format!(
                    "{name} is missing, and Go can't build it ({error}): install Go 1.26 or newer, or put {name} {} \
                     into the folder that KUBEBUILDER_ASSETS names",
                    self.version()
                ))
            })?;
        if built.status.success() {
            return Ok(());
        }
        let said = String::from_utf8_lossy(&built.stderr).into_owned();
        Err(Failure::new(format!("go build of {name} {} failed ({}):\n{said}", self.version(), built.status)))
    }

    /// Stripped, and with the version that an API server without one takes for an unknown release.
    fn linker_flags(&self) -> String {
        let version = self.version();
        let mut numbers = version.trim_start_matches('v').split('.');
        let (major, minor) = (numbers.next().unwrap_or_default(), numbers.next().unwrap_or_default());
        let package = "k8s.io/component-base/version";
        format!(
            "-s -w -X {package}.gitVersion={version} -X {package}.gitMajor={major} -X {package}.gitMinor={minor}"
        )
    }
}

/// The files in the folder `within` of a Go module, as `build/`'s module in `folder` requires it.
pub(crate) fn go_files(folder: &str, module: &str, within: &str) -> Result<Vec<PathBuf>, Failure> {
    let what = format!("the files of the Go module {module}");
    let list = ["list", "-mod=readonly", "-m", "-f", "{{.Dir}}", module];
    let at = Path::new(env!("CARGO_MANIFEST_DIR")).join("build").join(folder);
    let listed = Command::new("go").args(list).current_dir(at).stdin(Stdio::null()).output().trying(&what)?;
    let root = PathBuf::from(String::from_utf8_lossy(&listed.stdout).trim());
    let files = fs::read_dir(root.join(within)).trying(&what)?;
    let mut files: Vec<PathBuf> =
        files.map(|file| file.map(|file| file.path())).collect::<Result<_, _>>().trying(&what)?;
    files.sort();
    Ok(files)
}

/// Cargo's target folder: that of the running test.
pub(crate) fn target() -> Result<PathBuf, Failure> {
    let test = env::current_exe().trying("the path of this test")?;
    let target = test.ancestors().find(|folder| folder.join("CACHEDIR.TAG").is_file());
    target
        .map(Path::to_owned)
        .ok_or_else(|| Failure::new(format!("{} is in no target folder of Cargo", test.display())))
}

/// A program that Cargo built beside the running test. `hint` says how.
pub(crate) fn program(name: &str, hint: &str) -> Result<PathBuf, Failure> {
    let test = env::current_exe().trying("the path of this test")?;
    let beside = test.ancestors().skip(1).take(2).map(|folder| folder.join(name)).find(|path| path.is_file());
    beside.ok_or_else(|| Failure::new(format!("there is no {name} beside {}: {hint}", test.display())))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_versions_are_those_of_the_go_modules() {
        for module in MODULES {
            let version = module.version();
            assert!(
                version.starts_with('v') && version.split('.').count() == 3,
                "{}: {version:?}",
                module.folder
            );
        }
    }
}
