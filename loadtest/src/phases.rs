//! What Kaos says of a request in its answer: whether it waited for a start, and how long each phase took.

use std::time::Duration;

use http::HeaderMap;

const COLD: &str = "x-kaos-cold-start";
const TIMING: &str = "server-timing";

/// Most phases that are looked at in one answer: what an answer may cost here is bounded.
const MOST: usize = 16;

/// True if the answer says that its request waited for a start.
pub fn is_cold(headers: &HeaderMap) -> bool {
    headers.get(COLD).is_some_and(|value| value.as_bytes() == b"true")
}

/// The phases of `Server-Timing` with their milliseconds, in order.
pub fn phases(headers: &HeaderMap) -> Vec<(String, f64)> {
    let values = headers.get_all(TIMING).into_iter().filter_map(|value| value.to_str().ok());
    values.flat_map(|value| value.split(',')).filter_map(phase).take(MOST).collect()
}

/// From asked for to ready of the start that the request waited for. `None`: it waited for none, or for one that was asked for
/// before it came, of which it has seen only a part.
pub fn start(headers: &HeaderMap) -> Option<Duration> {
    let phases = phases(headers);
    let millis = |name: &str| phases.iter().find(|(phase, _)| phase == name).map(|(_, millis)| *millis);
    let whole = is_cold(headers) && millis("decide")? > 0.0;
    whole.then(|| Duration::try_from_secs_f64((millis("start")? + millis("ready")?) / 1000.0).ok())?
}

fn phase(text: &str) -> Option<(String, f64)> {
    let mut parts = text.split(';').map(str::trim);
    let name = parts.next().filter(|name| !name.is_empty() && name.len() <= 32)?;
    let millis = parts.find_map(|part| part.strip_prefix("dur="))?.trim_matches('"').parse::<f64>().ok()?;
    (millis.is_finite() && millis >= 0.0).then(|| (name.to_owned(), millis))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_the_phases_in_order() {
        let mut headers = HeaderMap::new();
        headers.append(TIMING, "cold;dur=12.5, decide;dur=0.4;desc=\"x\"".parse().unwrap());
        headers.append(
            TIMING,
            "bad, start;desc=y;dur=9, none;dur=x, neg;dur=-1, ready;dur=\"2\"".parse().unwrap(),
        );
        let wanted = [("cold", 12.5), ("decide", 0.4), ("start", 9.0), ("ready", 2.0)];
        assert_eq!(phases(&headers), wanted.map(|(name, millis)| (name.to_owned(), millis)));
        assert!(!is_cold(&headers));
        headers.insert(COLD, "true".parse().unwrap());
        assert!(is_cold(&headers));
        assert_eq!(start(&headers), Some(Duration::from_millis(11)));
        headers.insert(TIMING, "cold;dur=5, decide;dur=0.0, start;dur=0, ready;dur=5".parse().unwrap());
        assert_eq!(start(&headers), None, "it came in the middle of it");
    }
}
