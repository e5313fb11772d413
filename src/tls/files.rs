//! Which files hold certificates and keys: those that were named, and those that are found in the folder.

use std::fs;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use kaos_proxy::Pair;

use super::kept::Source;
use crate::config::Settings;
use crate::failure::Failure;
use crate::mark::Mark;

/// Longest file that is read: a chain of certificates has a few KiB.
const LONGEST: u64 = 1024 * 1024;
/// Most pairs of one folder.
const MOST: usize = 10_000;
/// What a pair is called where each has a folder of its own: mounted Secrets, certbot.
const FOLDERS: [(&str, &str); 2] = [("tls.crt", "tls.key"), ("fullchain.pem", "privkey.pem")];

/// Everything that was named.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Files {
    given: Vec<(PathBuf, PathBuf)>,
    folder: Option<PathBuf>,
}

/// A pair of files.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Place {
    pub(crate) source: Source,
    chain: PathBuf,
    key: PathBuf,
}

impl Files {
    /// What the settings name. `None`: nothing, there is nothing `elsewhere`, and TLS isn't asked for either.
    pub(crate) fn of(settings: &Settings, elsewhere: bool) -> Result<Option<Files>, Failure> {
        let chains = settings.tls_cert.as_deref().unwrap_or_default();
        let keys = settings.tls_key.as_deref().unwrap_or_default();
        if chains.len() != keys.len() {
            let (chains, keys) = (chains.len(), keys.len());
            return Err(Failure::Configuration(format!(
                "--tls-cert and --tls-key belong together, one key for each certificate: there are {chains} and {keys}"
            )));
        }
        let files = Files {
            given: chains.iter().cloned().zip(keys.iter().cloned()).collect(),
            folder: settings.tls_dir.clone(),
        };
        match (files.is_empty() && !elsewhere, settings.listen_tls) {
            (true, None) => Ok(None),
            (true, Some(address)) => Err(Failure::Configuration(format!(
                "--listen-tls {address} needs certificates: say --tls-cert and --tls-key, or --tls-dir"
            ))),
            (false, _) => Ok(Some(files)),
        }
    }

    /// Whether nothing was named.
    pub(crate) fn is_empty(&self) -> bool {
        self.given.is_empty() && self.folder.is_none()
    }

    /// Every pair that is there now, in order.
    pub(crate) fn places(&self) -> io::Result<Vec<Place>> {
        let given = self.given.iter().enumerate().map(|(at, (chain, key))| Place {
            source: Source::Given(at, chain.clone()),
            chain: chain.clone(),
            key: key.clone(),
        });
        let mut places: Vec<_> = given.collect();
        if let Some(folder) = &self.folder {
            places.extend(found(folder)?);
        }
        Ok(places)
    }
}

/// The pairs in `folder`, sorted by name.
fn found(folder: &Path) -> io::Result<Vec<Place>> {
    let mut names: Vec<PathBuf> =
        fs::read_dir(folder)?.take(4 * MOST).filter_map(|entry| Some(entry.ok()?.path())).collect();
    names.sort_unstable();
    let mut places = Vec::new();
    for path in names {
        // Kubernetes keeps the files of a mounted Secret in folders whose names begin so.
        let hidden = path.file_name().is_none_or(|name| name.as_encoded_bytes().starts_with(b"."));
        if hidden || places.len() >= MOST {
            continue;
        }
        let pair = match path.extension().and_then(|ending| ending.to_str()) {
            Some("crt" | "pem" | "cert") => Some((path.clone(), path.with_extension("key"))),
            _ => FOLDERS
                .iter()
                .map(|(chain, key)| (path.join(chain), path.join(key)))
                .find(|(chain, _)| chain.is_file()),
        };
        if let Some((chain, key)) = pair.filter(|(_, key)| key.is_file()) {
            places.push(Place { source: Source::Found(chain.clone()), chain, key });
        }
    }
    Ok(places)
}

impl Place {
    /// What is there now.
    pub(crate) fn mark(&self) -> Option<[Mark; 2]> {
        Some([Mark::of(&self.chain)?, Mark::of(&self.key)?])
    }

    /// Reads both files. The error names the one that is wrong.
    pub(crate) fn read(&self) -> Result<Pair, String> {
        let (chain, key) = (bounded(&self.chain)?, bounded(&self.key)?);
        let named = |why| format!("{} with {}: {why}", self.chain.display(), self.key.display());
        Pair::read(&chain, &key).map_err(named)
    }
}

fn bounded(file: &Path) -> Result<Vec<u8>, String> {
    let mut bytes = Vec::new();
    let read = fs::File::open(file).and_then(|file| file.take(LONGEST + 1).read_to_end(&mut bytes));
    read.map_err(|error| format!("{}: {error}", file.display()))?;
    if bytes.len() as u64 > LONGEST {
        return Err(format!("{}: it is longer than 1 MiB", file.display()));
    }
    Ok(bytes)
}
