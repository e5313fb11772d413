//! `kaos image`: one static binary becomes an image, without a daemon and without a base: an OCI image layout in a tar, as
//! `ctr images import`, `skopeo`, `podman load` and `kind load image-archive` read it.
//!
//! The same bytes come out for the same binary: no time, no user's name, no order of a file system is in it.
//! <https://github.com/opencontainers/image-spec/blob/v1.1.0/image-layout.md>

mod archive;
mod elf;

use std::fs;
use std::io::Write;

use serde_json::{Value, json};

use crate::cli::cluster::Image;
use crate::failure::Failure;
use archive::{Archive, digest};

/// Where the program is in the image.
const PROGRAM: &str = "kaos";
/// The user that it runs as: nobody's, as `manifests/` have it.
const USER: &str = "65532:65532";
/// Largest binary.
const LARGEST: u64 = 1 << 30;

/// Writes the image.
pub(crate) fn image(image: &Image) -> Result<(), Failure> {
    let failed = |path: &std::path::Path, why: &dyn std::fmt::Display| {
        Failure::Failed(format!("{}: {why}", path.display()))
    };
    let size = fs::metadata(&image.binary).map_err(|error| failed(&image.binary, &error))?.len();
    if size > LARGEST {
        return Err(failed(&image.binary, &"it is larger than the 1 GiB that are allowed"));
    }
    let binary = fs::read(&image.binary).map_err(|error| failed(&image.binary, &error))?;
    let architecture = elf::architecture(&binary).map_err(|why| failed(&image.binary, &why))?;
    let name = image.name.clone().unwrap_or_else(crate::install::usual_image);
    let layout = layout(&binary, architecture, &name).map_err(|error| failed(&image.to, &error))?;
    let written = fs::File::create(&image.to).and_then(|mut file| file.write_all(&layout));
    written.map_err(|error| failed(&image.to, &error))
}

/// The layout of an image that holds `binary` and nothing else.
fn layout(binary: &[u8], architecture: &str, name: &str) -> std::io::Result<Vec<u8>> {
    let mut layer = Archive::default();
    layer.file(PROGRAM, 0o755, binary)?;
    let layer = layer.finish()?;
    let config = json!({
        "architecture": architecture,
        "os": "linux",
        "config": {
            "User": USER,
            "Entrypoint": [format!("/{PROGRAM}")],
            "WorkingDir": "/",
        },
        "rootfs": { "type": "layers", "diff_ids": [digest(&layer)] },
        "history": [{ "created_by": "kaos image" }],
    });
    let config = config.to_string().into_bytes();
    let manifest = json!({
        "schemaVersion": 2,
        "mediaType": "application/vnd.oci.image.manifest.v1+json",
        "config": described("application/vnd.oci.image.config.v1+json", &config),
        "layers": [described("application/vnd.oci.image.layer.v1.tar", &layer)],
    });
    let manifest = manifest.to_string().into_bytes();
    let mut entry = described("application/vnd.oci.image.manifest.v1+json", &manifest);
    entry["platform"] = json!({ "architecture": architecture, "os": "linux" });
    entry["annotations"] = json!({
        "io.containerd.image.name": full_name(name),
        "org.opencontainers.image.ref.name": name,
    });
    let index = json!({
        "schemaVersion": 2,
        "mediaType": "application/vnd.oci.image.index.v1+json",
        "manifests": [entry],
    });
    let mut whole = Archive::default();
    whole.file("oci-layout", 0o644, br#"{"imageLayoutVersion":"1.0.0"}"#)?;
    whole.file("index.json", 0o644, index.to_string().as_bytes())?;
    whole.folder("blobs/")?;
    whole.folder("blobs/sha256/")?;
    for blob in [&config, &manifest, &layer] {
        let name = digest(blob).replace(':', "/");
        whole.file(&format!("blobs/{name}"), 0o644, blob)?;
    }
    whole.finish()
}

fn described(kind: &str, blob: &[u8]) -> Value {
    json!({ "mediaType": kind, "digest": digest(blob), "size": blob.len() })
}

/// The name as containerd keeps it, and as a kubelet asks for it: with the registry that Docker's names leave out.
fn full_name(name: &str) -> String {
    match name.split_once('/') {
        Some((first, _)) if first.contains(['.', ':']) || first == "localhost" => name.to_owned(),
        Some(_) => format!("docker.io/{name}"),
        None => format!("docker.io/library/{name}"),
    }
}

#[cfg(test)]
mod tests;
