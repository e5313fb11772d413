//! What was learned of functions, in one file of a state folder: a line per function, written whole, beside, and put in the old
//! one's place.
//!
//! A thread of its own reads and writes: a slow or full disk delays nobody. The folder is locked while a Kaos uses it.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, ErrorKind, Read, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};

use kaos_core::WorkloadId;
use kaos_core::platform::{Entry, Refusal, Shelf};
use rustix::fs::{FlockOperation, flock};
use tokio::sync::oneshot;
use tracing::warn;

/// The first line: what it is, and its version.
const HEAD: &str = "kaos learned 1";
/// Longest file that is read, in bytes. A line has at most some 2,200.
const LONGEST: u64 = 16 << 20;

/// The file `learned` of a state folder.
#[derive(Debug)]
pub struct StateFile {
    asks: SyncSender<Ask>,
    path: PathBuf,
    /// What is in it; `None` before it was read.
    entries: Option<Entries>,
}

type Entries = BTreeMap<WorkloadId, Arc<[u8]>>;

enum Ask {
    Read(oneshot::Sender<io::Result<Option<String>>>),
    Write(String, oneshot::Sender<io::Result<()>>),
}

impl StateFile {
    /// That of the folder `dir`, which is made if it isn't there. `Err` says why it can't be used.
    pub fn open(dir: &Path) -> Result<StateFile, String> {
        let told = |why: String| format!("the state folder {}: {why}", dir.display());
        let failed = |error: io::Error| told(error.to_string());
        DirBuilder::new().recursive(true).mode(0o700).create(dir).map_err(failed)?;
        let mut options = OpenOptions::new();
        options.write(true).create(true).truncate(false).mode(0o600);
        let lock = options.open(dir.join("lock")).map_err(failed)?;
        match flock(&lock, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => {}
            Err(rustix::io::Errno::WOULDBLOCK) => {
                return Err(told("another Kaos uses it; give this one another with --state DIR".into()));
            }
            Err(error) => return Err(failed(error.into())),
        }
        let path = dir.join("learned");
        let (asks, asked) = sync_channel(1);
        let of = path.clone();
        let serve = move || serve(&of, &asked, &lock);
        std::thread::Builder::new().name("state".into()).spawn(serve).map_err(failed)?;
        Ok(StateFile { asks, path, entries: None })
    }

    async fn ask<T>(&self, ask: impl FnOnce(oneshot::Sender<io::Result<T>>) -> Ask) -> io::Result<T> {
        let (answer, answered) = oneshot::channel();
        // One is asked at a time: there is no room only while the one before is given up.
        self.asks.try_send(ask(answer)).map_err(|error| match error {
            TrySendError::Full(_) => io::Error::new(ErrorKind::TimedOut, "the disk doesn't answer"),
            TrySendError::Disconnected(_) => io::Error::other("the thread that writes is gone"),
        })?;
        answered.await.unwrap_or_else(|_| Err(io::Error::other("the thread that writes is gone")))
    }

    fn refusal(&self, error: &io::Error) -> Refusal {
        Refusal::Failed(format!("{}: {error}", self.path.display()))
    }
}

impl Shelf for StateFile {
    /// The first time what is in the file. One that can't be read is told, and counts as empty.
    async fn look(&mut self) -> Result<Vec<Entry>, Refusal> {
        if self.entries.is_some() {
            return Ok(Vec::new());
        }
        let file = self.path.display();
        let anew = "what was learned begins anew";
        let entries = match self.ask(Ask::Read).await {
            Ok(text) => text.map_or_else(|| Ok((BTreeMap::new(), 0)), |text| read(&text)),
            Err(error) => Err(error.to_string()),
        };
        let entries = match entries {
            Ok((entries, 0)) => entries,
            Ok((entries, bad)) => {
                warn!("{file}: {bad} lines can't be read: of those functions {anew}");
                entries
            }
            Err(why) => {
                warn!("{file}: {why}: {anew}");
                BTreeMap::new()
            }
        };
        let all = entries.iter().map(|(id, kept)| (id.clone(), kept.clone())).collect();
        self.entries = Some(entries);
        Ok(all)
    }

    async fn put(&mut self, changes: &[(WorkloadId, Option<Arc<[u8]>>)]) -> Result<(), Refusal> {
        let entries = self.entries.get_or_insert_default();
        for (id, kept) in changes {
            match kept {
                Some(kept) => entries.insert(id.clone(), kept.clone()),
                None => entries.remove(id),
            };
        }
        let text = written(entries);
        self.ask(|answer| Ask::Write(text, answer)).await.map_err(|error| self.refusal(&error))
    }
}

/// Does what is asked until nobody can ask any more. The lock is held until then.
fn serve(path: &Path, asked: &Receiver<Ask>, _lock: &File) {
    while let Ok(ask) = asked.recv() {
        // Who asked may have given up.
        match ask {
            Ask::Read(answer) => drop(answer.send(load(path))),
            Ask::Write(text, answer) => drop(answer.send(store(path, &text))),
        }
    }
}

fn load(path: &Path) -> io::Result<Option<String>> {
    let file = match File::open(path) {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
        opened => opened?,
    };
    let mut text = String::new();
    file.take(LONGEST + 1).read_to_string(&mut text)?;
    if text.len() as u64 > LONGEST {
        return Err(io::Error::other("it is longer than 16 MiB"));
    }
    Ok(Some(text))
}

/// Whatever happens meanwhile, the file is the old one or the new one.
fn store(path: &Path, text: &str) -> io::Result<()> {
    let draft = path.with_extension("draft");
    let mut file = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&draft)?;
    file.write_all(text.as_bytes())?;
    file.sync_all()?;
    fs::rename(&draft, path)
}

fn written(entries: &Entries) -> String {
    let mut text = format!("{HEAD}\n");
    for (id, kept) in entries {
        // Writing to a String can't fail.
        let _ = write!(text, "{}/{} ", id.namespace(), id.name());
        let _ = kept.iter().try_for_each(|byte| write!(text, "{byte:02x}"));
        text.push('\n');
    }
    text
}

/// The entries, and how many lines aren't one.
fn read(text: &str) -> Result<(Entries, usize), String> {
    let (head, lines) = text.split_once('\n').unwrap_or((text, ""));
    if head != HEAD {
        let found: String = head.chars().take(40).collect();
        return Err(format!("its first line is {found:?}; allowed is {HEAD:?}"));
    }
    let (mut entries, mut bad) = (BTreeMap::new(), 0);
    for line in lines.lines() {
        match entry(line) {
            Some((id, kept)) => drop(entries.insert(id, kept)),
            None => bad += 1,
        }
    }
    Ok((entries, bad))
}

fn entry(line: &str) -> Option<Entry> {
    let (id, hex) = line.split_once(' ')?;
    let (namespace, name) = id.split_once('/')?;
    let pairs = hex.as_bytes().chunks(2);
    let digit = |byte: u8| char::from(byte).to_digit(16);
    let byte = |pair: &[u8]| match pair {
        [high, low] => u8::try_from(digit(*high)? << 4 | digit(*low)?).ok(),
        _ => None,
    };
    Some((WorkloadId::new(namespace, name), pairs.map(byte).collect::<Option<_>>()?))
}

#[cfg(test)]
#[path = "shelf_test.rs"]
mod tests;
