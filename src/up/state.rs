//! Where `kaos up` keeps what it has learned: the folder that was named, else one of the user's state folder for this
//! `kaos.toml`, or this directory, alone.

use std::env;
use std::path::{Path, PathBuf};

use kaos_local::StateFile;

use crate::config::Chosen;

/// The file there, if there can be one; else that is said, and nothing is kept.
pub(crate) fn open(chosen: &Chosen) -> Option<StateFile> {
    let opened = folder(chosen).and_then(|dir| StateFile::open(&dir));
    opened.inspect_err(|why| tracing::warn!("{why}: what is learned isn't kept")).ok()
}

/// The folder. `Err`: there is none, and why.
fn folder(chosen: &Chosen) -> Result<PathBuf, String> {
    if let Some(dir) = &chosen.config.settings.state {
        return Ok(dir.clone());
    }
    let absolute = |name: &str| env::var_os(name).map(PathBuf::from).filter(|path| path.is_absolute());
    let user = absolute("XDG_STATE_HOME").or_else(|| Some(absolute("HOME")?.join(".local/state")));
    let user =
        user.ok_or("no state folder: neither XDG_STATE_HOME nor HOME is set; --state DIR names one")?;
    let here = env::current_dir().map_err(|error| format!("no state folder for this directory: {error}"))?;
    let of = chosen.file.as_ref().map_or_else(|| here.clone(), |file| here.join(file));
    Ok(user.join("kaos").join(project(&of)))
}

/// A name that people recognise, and that no other path has.
fn project(path: &Path) -> String {
    let dir = if path.extension().is_some() { path.parent().unwrap_or(path) } else { path };
    let name = dir.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
    let plain = |letter: &char| letter.is_ascii_alphanumeric() || "-_.".contains(*letter);
    let name: String = name.chars().filter(plain).take(40).collect();
    // FNV-1a: the same for ever.
    let bytes = path.as_os_str().as_encoded_bytes();
    let hash = bytes.iter().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
        (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3)
    });
    format!("{name}-{hash:016x}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_project_has_a_folder_of_its_own() {
        let names = ["/home/a/shop/kaos.toml", "/home/a/shop", "/home/b/shop", "/", "/home/a/größe"]
            .map(|path| project(Path::new(path)));
        assert!(
            names[0].starts_with("shop-") && names[3].starts_with('-') && names[4].starts_with("gre-"),
            "{names:?}"
        );
        assert_eq!(names.iter().collect::<std::collections::BTreeSet<_>>().len(), 5);
        assert_eq!(project(Path::new("/home/a/shop")), names[1]);
    }
}
