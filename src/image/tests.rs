use std::collections::BTreeMap;
use std::io::Read;

use super::*;

/// The head of a program for `machine` with one program header of `kind`, and some more bytes.
fn program(machine: u16, kind: u32) -> Vec<u8> {
    let mut binary = vec![0; 200];
    binary[..6].copy_from_slice(b"\x7fELF\x02\x01");
    binary[18..20].copy_from_slice(&machine.to_le_bytes());
    binary[32..40].copy_from_slice(&64u64.to_le_bytes());
    binary[54..56].copy_from_slice(&56u16.to_le_bytes());
    binary[56..58].copy_from_slice(&1u16.to_le_bytes());
    binary[64..68].copy_from_slice(&kind.to_le_bytes());
    binary
}

fn entries(tar: &[u8]) -> BTreeMap<String, (u32, u64, Vec<u8>)> {
    let mut archive = tar::Archive::new(tar);
    let read = |entry: std::io::Result<tar::Entry<'_, &[u8]>>| {
        let mut entry = entry.unwrap();
        let mut content = Vec::new();
        entry.read_to_end(&mut content).unwrap();
        let header = entry.header();
        assert_eq!((header.uid().unwrap(), header.gid().unwrap()), (0, 0));
        let told = (header.mode().unwrap(), header.mtime().unwrap(), content);
        (entry.path().unwrap().to_str().unwrap().to_owned(), told)
    };
    archive.entries().unwrap().map(read).collect()
}

#[test]
fn the_same_binary_gives_the_same_bytes_and_another_gives_others() {
    let image = |binary: &[u8]| layout(binary, "amd64", "kaos:1").unwrap();
    assert_eq!(image(b"one"), image(b"one"));
    assert_ne!(image(b"one"), image(b"two"));
}

/// Follows the layout as a runtime does: index, manifest, configuration, layer; each blob by its digest.
#[test]
fn a_runtime_finds_one_layer_with_one_program_that_isnt_roots() {
    let binary = program(0x3e, 1);
    let whole = entries(&layout(&binary, "amd64", "kaos:1").unwrap());
    assert!(whole.values().all(|(_, time, _)| *time == 0));
    let blob = |described: &Value| {
        let named = described["digest"].as_str().unwrap();
        let (_, _, content) = &whole[&format!("blobs/{}", named.replace(':', "/"))];
        assert_eq!(digest(content), named);
        assert_eq!(described["size"], content.len());
        content.clone()
    };
    assert_eq!(whole["oci-layout"].2, br#"{"imageLayoutVersion":"1.0.0"}"#);
    let index: Value = serde_json::from_slice(&whole["index.json"].2).unwrap();
    let entry = &index["manifests"][0];
    assert_eq!(entry["annotations"]["io.containerd.image.name"], "docker.io/library/kaos:1");
    let manifest: Value = serde_json::from_slice(&blob(entry)).unwrap();
    let config: Value = serde_json::from_slice(&blob(&manifest["config"])).unwrap();
    assert_eq!(
        (&config["config"]["User"], &config["config"]["Entrypoint"]),
        (&json!(USER), &json!(["/kaos"]))
    );
    assert_eq!(manifest["layers"].as_array().unwrap().len(), 1);
    let layer = blob(&manifest["layers"][0]);
    assert_eq!(config["rootfs"]["diff_ids"], json!([digest(&layer)]));
    assert_eq!(entries(&layer), BTreeMap::from([("kaos".to_owned(), (0o755, 0, binary))]));
}

#[test]
fn only_a_static_program_for_linux_gets_in() {
    assert_eq!(elf::architecture(&program(0x3e, 1)), Ok("amd64"));
    assert_eq!(elf::architecture(&program(0xb7, 1)), Ok("arm64"));
    assert!(elf::architecture(&program(0x28, 1)).unwrap_err().contains("processor"));
    assert!(elf::architecture(&program(0x3e, 3)).unwrap_err().contains("crt-static"));
    assert!(elf::architecture(b"#!/bin/sh").is_err());
    let whole = program(0x3e, 1);
    for end in 0..68 {
        assert!(elf::architecture(&whole[..end]).is_err(), "{end}");
    }
    let mut far = whole.clone();
    far[32..40].copy_from_slice(&u64::MAX.to_le_bytes());
    assert!(elf::architecture(&far).is_err());
}

#[test]
fn a_name_is_told_in_full() {
    assert_eq!(full_name("kaos:1"), "docker.io/library/kaos:1");
    assert_eq!(full_name("me/kaos:1"), "docker.io/me/kaos:1");
    assert_eq!(full_name("registry.example.com/kaos:1"), "registry.example.com/kaos:1");
    assert_eq!(full_name("localhost/kaos"), "localhost/kaos");
}
