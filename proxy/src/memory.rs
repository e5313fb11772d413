//! How full the memory is that the proxy's cgroup may use, and which measures that calls for.
//!
//! What counts is what the kernel can't give back by itself: the usage without the file cache that nobody has touched for
//! long. Outside of a cgroup with a limit nothing is read and nothing is ever pressed.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Weak};
use std::time::Duration;

use tokio::time::MissedTickBehavior;

use crate::standing::Pressure;
use crate::worker::Shared;

/// Time between two looks.
const EVERY: Duration = Duration::from_secs(1);
/// A level is left this far below the mark at which it was entered, as a share of the limit.
const BACK: f64 = 0.05;

/// Where each level begins, as a share of the limit.
const MARKS: [(Pressure, f64); 3] =
    [(Pressure::NoQueue, 0.85), (Pressure::NoIdle, 0.92), (Pressure::NoConnections, 0.95)];

/// The level at `share` of the limit, after `before`.
fn level(before: Pressure, share: f64) -> Pressure {
    let holds = |(level, mark): &(Pressure, f64)| share >= mark - if *level <= before { BACK } else { 0.0 };
    MARKS.iter().filter(|mark| holds(mark)).map(|(level, _)| *level).max().unwrap_or_default()
}

/// What share of its limit the cgroup at `folder` uses; `None` without a limit. Both versions of cgroups are read; in
/// version 2 the smaller of `memory.max` and `memory.high` counts.
fn share(folder: &Path) -> Option<f64> {
    let number = |file: &str| fs::read_to_string(folder.join(file)).ok()?.trim().parse::<u64>().ok();
    let (limit, usage, cache) = if folder.join("memory.current").exists() {
        let limit = [number("memory.max"), number("memory.high")].into_iter().flatten().min()?;
        (limit, number("memory.current")?, "inactive_file ")
    } else {
        // Version 1 says "none" as a number of pages that no machine has.
        let limit = number("memory.limit_in_bytes").filter(|limit| *limit < 1 << 60)?;
        (limit, number("memory.usage_in_bytes")?, "total_inactive_file ")
    };
    let stat = fs::read_to_string(folder.join("memory.stat")).unwrap_or_default();
    let cache = stat.lines().find_map(|line| line.strip_prefix(cache)?.parse().ok()).unwrap_or(0);
    (limit > 0).then(|| usage.saturating_sub(cache) as f64 / limit as f64)
}

/// The folder of the cgroup of this process, or the nearest one above it, that has a limit of memory.
pub fn cgroup() -> Option<PathBuf> {
    let groups = fs::read_to_string("/proc/self/cgroup").ok()?;
    find(&groups, Path::new("/sys/fs/cgroup"))
}

/// `groups`: as `/proc/self/cgroup` says (cgroups(7)).
fn find(groups: &str, root: &Path) -> Option<PathBuf> {
    let candidates = groups.lines().filter_map(|line| {
        let (controllers, path) = line.split_once(':')?.1.split_once(':')?;
        let root = match controllers {
            "" => root.to_owned(),
            named if named.split(',').any(|one| one == "memory") => root.join("memory"),
            _ => return None,
        };
        // Within a namespace of its own the path may lie outside of what is mounted: its end is then the root.
        let below = Path::new(path.trim_start_matches('/'));
        let plain = below.components().all(|part| matches!(part, std::path::Component::Normal(_)));
        let own = if plain { root.join(below) } else { root.clone() };
        let above: Vec<_> =
            own.ancestors().take_while(|above| above.starts_with(&root)).map(PathBuf::from).collect();
        Some(above)
    });
    candidates.flatten().find(|folder| share(folder).is_some())
}

/// Looks each second, until the proxy is gone.
pub(crate) async fn watch(folder: PathBuf, shared: Weak<Shared>) {
    let mut tick = tokio::time::interval(EVERY);
    tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tick.tick().await;
        let Some(shared) = shared.upgrade() else { return };
        look(&folder, &shared);
    }
}

fn look(folder: &Path, shared: &Arc<Shared>) {
    let before = shared.standing.pressure();
    // What can't be read says nothing: it presses nobody.
    let share = share(folder).unwrap_or(0.0);
    let after = level(before, share);
    if after == before {
        return;
    }
    let percent = (share * 100.0).round();
    if after > before {
        tracing::warn!("memory is {percent} % full: {}", measure(after));
    } else {
        tracing::info!("memory is {percent} % full: {}", measure(after));
    }
    shared.standing.press(after);
    shared.queue_bytes.close(after >= Pressure::NoQueue);
}

fn measure(pressure: Pressure) -> &'static str {
    match pressure {
        Pressure::None => "everything is served as usual",
        Pressure::NoQueue => "requests that would have to wait are refused",
        Pressure::NoIdle => "idle connections are closed too",
        Pressure::NoConnections => "new connections are refused too",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn levels_are_entered_at_their_marks_and_left_below_them() {
        use Pressure::{NoConnections, NoIdle, NoQueue, None};
        let mut now = None;
        for (percent, wanted) in [
            (84, None),
            (85, NoQueue),
            (81, NoQueue),
            (79, None),
            (84, None),
            (92, NoIdle),
            (88, NoIdle),
            (86, NoQueue),
            (91, NoQueue),
            (99, NoConnections),
            (91, NoConnections),
            (89, NoIdle),
            (10, None),
        ] {
            now = level(now, f64::from(percent) / 100.0);
            assert_eq!(now, wanted, "{percent} %");
        }
    }

    fn folder(files: &[(&str, &str)]) -> tempfile::TempDir {
        let folder = tempfile::tempdir().unwrap();
        for (name, text) in files {
            fs::write(folder.path().join(name), text).unwrap();
        }
        folder
    }

    #[test]
    fn both_versions_are_read_without_the_cache_that_can_go() {
        let stat = "anon 5\ninactive_file 20\ntotal_inactive_file 10\n";
        for (files, wanted) in [
            (&[("memory.current", "70\n"), ("memory.max", "100\n"), ("memory.stat", stat)][..], Some(0.5)),
            (
                &[
                    ("memory.current", "70"),
                    ("memory.max", "max\n"),
                    ("memory.high", "200"),
                    ("memory.stat", stat),
                ],
                Some(0.25),
            ),
            (&[("memory.current", "70"), ("memory.max", "100"), ("memory.high", "max")], Some(0.7)),
            (&[("memory.current", "70"), ("memory.max", "max"), ("memory.high", "max")], None),
            (
                &[("memory.usage_in_bytes", "60"), ("memory.limit_in_bytes", "100"), ("memory.stat", stat)],
                Some(0.5),
            ),
            (&[("memory.usage_in_bytes", "60"), ("memory.limit_in_bytes", "9223372036854771712")], None),
            (&[("memory.current", "x"), ("memory.max", "100")], None),
            (&[("memory.current", "5"), ("memory.max", "0")], None),
            (&[], None),
        ] {
            assert_eq!(share(folder(files).path()), wanted, "{files:?}");
        }
    }

    #[test]
    fn the_nearest_limit_is_found() {
        let root = tempfile::tempdir().unwrap();
        let inner = root.path().join("a/b");
        fs::create_dir_all(&inner).unwrap();
        assert_eq!(find("0::/a/b\n", root.path()), None);
        for file in ["memory.current", "memory.max"] {
            fs::write(root.path().join("a").join(file), "10").unwrap();
        }
        assert_eq!(find("0::/a/b\n", root.path()), Some(root.path().join("a")));
        assert_eq!(find("0::/../x\n", root.path()), None);
        let old = root.path().join("memory/x");
        fs::create_dir_all(&old).unwrap();
        for file in ["memory.usage_in_bytes", "memory.limit_in_bytes"] {
            fs::write(old.join(file), "10").unwrap();
        }
        assert_eq!(find("4:cpu:/x\n3:memory:/x\n", root.path()), Some(old));
        assert_eq!(find("nonsense\n::\n", root.path()), None);
    }
}
