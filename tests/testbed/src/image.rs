//! An image of one static program, as a tar of an OCI image layout: one layer with one file. The same program gives the
//! same bytes. No compression: it is read once, on this machine.
//!
//! <https://github.com/opencontainers/image-spec/blob/v1.1.0/image-layout.md>

use std::fs;
use std::path::Path;

use ring::digest::{SHA256, digest};
use serde_json::{Value, json};

use crate::failure::{Failure, Trying};

const BLOCK: usize = 512;

/// Whom a container runs as: nobody in particular.
const USER: &str = "65532:65532";

/// Writes an image called `name` that runs `program` to the file `to`.
pub(crate) fn write(name: &str, program: &Path, to: &Path) -> Result<(), Failure> {
    let bytes = fs::read(program).trying(program.display())?;
    let file = program.file_name().unwrap_or_default().to_string_lossy();
    fs::write(to, layout(name, &file, &bytes)?).trying(to.display())
}

fn layout(name: &str, file: &str, program: &[u8]) -> Result<Vec<u8>, Failure> {
    let mut layer = Archive::default();
    layer.file(file, program)?;
    let layer = Blob::new("application/vnd.oci.image.layer.v1.tar", layer.end());
    let config = Blob::json(
        "application/vnd.oci.image.config.v1+json",
        &json!({
            "architecture": architecture(),
            "os": "linux",
            "config": {"Entrypoint": [format!("/{file}")], "User": USER},
            "rootfs": {"type": "layers", "diff_ids": [layer.digest()]},
        }),
    );
    let manifest = Blob::json(
        "application/vnd.oci.image.manifest.v1+json",
        &json!({
            "schemaVersion": 2,
            "mediaType": "application/vnd.oci.image.manifest.v1+json",
            "config": config.descriptor(),
            "layers": [layer.descriptor()],
        }),
    );
    let mut descriptor = manifest.descriptor();
    descriptor["annotations"] = json!({"io.containerd.image.name": name});
    let index = json!({"schemaVersion": 2, "manifests": [descriptor]});
    let mut archive = Archive::default();
    archive.file("oci-layout", br#"{"imageLayoutVersion":"1.0.0"}"#)?;
    archive.file("index.json", index.to_string().as_bytes())?;
    for blob in [&layer, &config, &manifest] {
        archive.file(&format!("blobs/sha256/{}", blob.sha256), &blob.bytes)?;
    }
    Ok(archive.end())
}

/// As Go calls it.
fn architecture() -> &'static str {
    match std::env::consts::ARCH {
        "x86_64" => "amd64",
        "aarch64" => "arm64",
        other => other,
    }
}

/// Something that is named by its content.
struct Blob {
    media_type: &'static str,
    sha256: String,
    bytes: Vec<u8>,
}

impl Blob {
    fn new(media_type: &'static str, bytes: Vec<u8>) -> Blob {
        let sha256 = digest(&SHA256, &bytes).as_ref().iter().map(|byte| format!("{byte:02x}")).collect();
        Blob { media_type, sha256, bytes }
    }

    fn json(media_type: &'static str, value: &Value) -> Blob {
        Blob::new(media_type, value.to_string().into_bytes())
    }

    fn digest(&self) -> String {
        format!("sha256:{}", self.sha256)
    }

    fn descriptor(&self) -> Value {
        json!({"mediaType": self.media_type, "digest": self.digest(), "size": self.bytes.len()})
    }
}

/// A tar of plain files (POSIX ustar).
#[derive(Default)]
struct Archive(Vec<u8>);

impl Archive {
    /// Adds a file that everyone may run, of root, of the year 1970.
    fn file(&mut self, name: &str, bytes: &[u8]) -> Result<(), Failure> {
        let mut header = [0; BLOCK];
        let mut put = |at: usize, what: &[u8]| header[at..at + what.len()].copy_from_slice(what);
        if name.len() > 100 {
            return Err(Failure::new(format!(
                "{name:?} is too long for a file in an image: 100 bytes are allowed"
            )));
        }
        put(0, name.as_bytes());
        put(100, b"0000755\0");
        put(108, b"0000000\0");
        put(116, b"0000000\0");
        put(124, format!("{:011o}\0", bytes.len()).as_bytes());
        put(136, b"00000000000\0");
        // The checksum counts itself as blanks.
        put(148, b"        ");
        put(156, b"0");
        put(257, b"ustar\x0000");
        let sum: u32 = header.iter().map(|byte| u32::from(*byte)).sum();
        header[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
        self.0.extend_from_slice(&header);
        self.0.extend_from_slice(bytes);
        self.0.resize(self.0.len().next_multiple_of(BLOCK), 0);
        Ok(())
    }

    fn end(mut self) -> Vec<u8> {
        self.0.resize(self.0.len() + 2 * BLOCK, 0);
        self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_program_gives_the_same_image_that_tar_can_read() {
        let folder = tempfile::tempdir().unwrap();
        let program = folder.path().join("program");
        fs::write(&program, "a program").unwrap();
        let images = ["one.tar", "two.tar"].map(|name| folder.path().join(name));
        for image in &images {
            write("registry.local/program:1", &program, image).unwrap();
        }
        assert_eq!(fs::read(&images[0]).unwrap(), fs::read(&images[1]).unwrap());

        let unpack = |archive: &Path, to: &Path| {
            fs::create_dir(to).unwrap();
            let tar =
                std::process::Command::new("tar").arg("-xf").arg(archive).arg("-C").arg(to).output().unwrap();
            assert!(tar.status.success(), "{}", String::from_utf8_lossy(&tar.stderr));
        };
        let (layout, root) = (folder.path().join("layout"), folder.path().join("root"));
        unpack(&images[0], &layout);
        let read = |path: &Path| serde_json::from_slice::<Value>(&fs::read(path).unwrap()).unwrap();
        let blob = |descriptor: &Value| {
            let path = layout.join("blobs").join(descriptor["digest"].as_str().unwrap().replace(':', "/"));
            assert_eq!(fs::metadata(&path).unwrap().len(), descriptor["size"].as_u64().unwrap());
            path
        };
        let manifest = read(&layout.join("index.json"))["manifests"][0].clone();
        assert_eq!(manifest["annotations"]["io.containerd.image.name"], "registry.local/program:1");
        let manifest = read(&blob(&manifest));
        assert_eq!(read(&blob(&manifest["config"]))["config"]["Entrypoint"], json!(["/program"]));
        unpack(&blob(&manifest["layers"][0]), &root);
        assert_eq!(fs::read_to_string(root.join("program")).unwrap(), "a program");
    }
}
