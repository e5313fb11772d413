//! What a program needs to run, by the head of its file: <https://refspecs.linuxfoundation.org/elf/elf.pdf>

/// Program headers that are looked at.
const MOST: usize = 256;
/// The kind of a program header that names an interpreter: the program isn't static.
const INTERPRETER: u32 = 3;

/// The architecture of `binary` in Go's words, as images name it; or why it can't be alone in an image.
pub(crate) fn architecture(binary: &[u8]) -> Result<&'static str, &'static str> {
    if !binary.starts_with(b"\x7fELF\x02\x01") {
        return Err("it is no program for 64-bit Linux (ELF, little-endian)");
    }
    let half = |at: usize| Some(u16::from_le_bytes(binary.get(at..at + 2)?.try_into().ok()?));
    let cut = "its head is cut off";
    let architecture = match half(18).ok_or(cut)? {
        0x3e => "amd64",
        0xb7 => "arm64",
        _ => return Err("it is for another processor: allowed are x86-64 and AArch64"),
    };
    let long = |at: usize| Some(u64::from_le_bytes(binary.get(at..at.checked_add(8)?)?.try_into().ok()?));
    let table = usize::try_from(long(32).ok_or(cut)?).map_err(|_| cut)?;
    let (size, count) = (usize::from(half(54).ok_or(cut)?), usize::from(half(56).ok_or(cut)?));
    for at in 0..count.min(MOST) {
        let place = table.checked_add(at * size).ok_or(cut)?;
        let kind = binary.get(place..).and_then(|rest| rest.get(..4)).ok_or(cut)?;
        if kind == INTERPRETER.to_le_bytes() {
            return Err(
                "it isn't static: build it with RUSTFLAGS=\"-C target-feature=+crt-static\" and an explicit --target",
            );
        }
    }
    Ok(architecture)
}
