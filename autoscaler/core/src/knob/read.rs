//! Reads the values of knobs: numbers, durations and paths within bounds. `Err`: it isn't allowed.

use std::time::Duration;

use crate::duration;
use crate::policy::{NoWakePath, Readiness};

const LARGEST_BODY: u64 = 1 << 40;

pub(super) fn whole(text: &str, least: u32, most: u32) -> Result<u32, ()> {
    let plain = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    let number = text.parse().map_err(drop)?;
    if plain && (least..=most).contains(&number) { Ok(number) } else { Err(()) }
}

pub(super) fn bytes(text: &str) -> Result<u64, ()> {
    let plain = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    text.parse().ok().filter(|size| plain && *size <= LARGEST_BODY).ok_or(())
}

pub(super) fn number(text: &str, least: f64, most: f64) -> Result<f64, ()> {
    let number: f64 = text.parse().map_err(drop)?;
    if number >= least && number <= most { Ok(number) } else { Err(()) }
}

pub(super) fn above_one(text: &str) -> Result<f64, ()> {
    number(text, 1.0, 1_000_000.0).and_then(|rate| if rate > 1.0 { Ok(rate) } else { Err(()) })
}

pub(super) fn span(text: &str, least: Duration, most: Duration) -> Result<Duration, ()> {
    let span = duration::parse(text).map_err(drop)?;
    if (least..=most).contains(&span) { Ok(span) } else { Err(()) }
}

pub(super) fn whole_seconds(text: &str, least: u64, most: u64) -> Result<Duration, ()> {
    let span = span(text, Duration::from_secs(least), Duration::from_secs(most))?;
    if span.subsec_nanos() == 0 { Ok(span) } else { Err(()) }
}

pub(super) fn readiness(text: &str) -> Result<Readiness, ()> {
    match text {
        "probe" => Ok(Readiness::Probe),
        "tcp" => Ok(Readiness::Tcp),
        "ready" => Ok(Readiness::Ready),
        path if path.starts_with('/')
            && path.len() <= 1024
            && path.bytes().all(|byte| byte.is_ascii_graphic()) =>
        {
            Ok(Readiness::Path(path.to_owned()))
        }
        _ => Err(()),
    }
}

/// Most paths that don't wake, and the most bytes of one.
const NO_WAKE_PATHS: usize = 16;
const NO_WAKE_PATH_BYTES: usize = 256;

pub(super) fn no_wake_paths(text: &str) -> Result<Box<[NoWakePath]>, ()> {
    if text == "none" {
        return Ok(Box::default());
    }
    if text.split(',').count() > NO_WAKE_PATHS {
        return Err(());
    }
    let paths: Box<[_]> = text.split(',').map(|one| no_wake_path(one.trim())).collect::<Result<_, _>>()?;
    let is_twice =
        |(at, one): (usize, &NoWakePath)| paths.iter().take(at).any(|other| other.path == one.path);
    if paths.iter().enumerate().any(is_twice) { Err(()) } else { Ok(paths) }
}

pub(super) fn no_wake_path(text: &str) -> Result<NoWakePath, ()> {
    let (path, status) = text.split_once('=').ok_or(())?;
    let byte = |byte: u8| byte.is_ascii_graphic() && !matches!(byte, b'=' | b'?' | b'#');
    let sound = path.starts_with('/') && path.len() <= NO_WAKE_PATH_BYTES && path.bytes().all(byte);
    // A redirect has nowhere to go, and a 304 speaks of what the client has: neither can be said blindly.
    let status = whole(status, 200, 599).ok().filter(|status| !(300..400).contains(status));
    let status = status.and_then(|status| u16::try_from(status).ok()).filter(|_| sound).ok_or(())?;
    Ok(NoWakePath { path: path.to_owned(), status })
}

pub(super) fn show_no_wake_paths(paths: &[NoWakePath]) -> String {
    let shown: Vec<String> = paths.iter().map(|one| format!("{}={}", one.path, one.status)).collect();
    if shown.is_empty() { "none".to_owned() } else { shown.join(",") }
}

/// Most workloads that one names.
const NAMES: usize = 16;

pub(super) fn names(text: &str) -> Result<Box<[Box<str>]>, ()> {
    if text == "none" {
        return Ok(Box::default());
    }
    let names: Vec<&str> = text.split(',').map(str::trim).collect();
    let is_twice = |(at, name): (usize, &&str)| names.iter().take(at).any(|other| other == name);
    let sound = names.len() <= NAMES && names.iter().all(|name| is_subdomain(name));
    if !sound || names.iter().enumerate().any(is_twice) {
        return Err(());
    }
    Ok(names.into_iter().map(Box::from).collect())
}

/// What a Deployment, or a function, may be called (RFC 1123 §2.1).
fn is_subdomain(name: &str) -> bool {
    let byte = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    let label = |label: &str| {
        (1..=63).contains(&label.len())
            && label.bytes().all(byte)
            && !label.starts_with('-')
            && !label.ends_with('-')
    };
    name.len() <= 253 && name.split('.').all(label)
}

pub(super) fn show_names(names: &[Box<str>]) -> String {
    if names.is_empty() { "none".to_owned() } else { names.join(",") }
}
