//! Reads per-minute counts and average durations in the format of the Azure Functions Trace 2019. Pure.
//!
//! A function is a row of the counts, known by its owner, app and function. It takes the average of the durations' row with
//! the same three names; a function without such a row takes the median of all averages. Rows of durations without counts
//! are left out; of two rows for one function the first holds.

use std::collections::BTreeMap;
use std::time::Duration;

/// Columns before the minutes: `HashOwner, HashApp, HashFunction, Trigger`.
const NAMES: usize = 4;

/// One function's traffic.
#[derive(Clone, Debug, PartialEq)]
pub struct Function {
    /// Requests that begin in each minute.
    pub minutes: Vec<u32>,
    /// What each takes.
    pub takes: Duration,
}

/// Reads both files. Errors begin with `invocations` or `durations`, the line and the column.
pub fn read(invocations: &str, durations: &str) -> Result<Vec<Function>, String> {
    let averages = averages(durations).map_err(|error| format!("durations, {error}"))?;
    let mut sorted: Vec<Duration> = averages.values().copied().collect();
    sorted.sort_unstable();
    let median = sorted.get(sorted.len() / 2).copied().unwrap_or(Duration::ZERO);
    let rows = counts(invocations).map_err(|error| format!("invocations, {error}"))?;
    let takes = |key: &Key| averages.get(key).copied().unwrap_or(median);
    Ok(rows.into_iter().map(|(key, minutes)| Function { takes: takes(&key), minutes }).collect())
}

/// Owner, app, function.
type Key = [String; 3];

fn counts(text: &str) -> Result<Vec<(Key, Vec<u32>)>, String> {
    let mut lines = text.lines().enumerate();
    let columns = header(&mut lines, &["HashOwner", "HashApp", "HashFunction", "Trigger"])?;
    if columns.len() == NAMES {
        return Err("line 1: no minutes after the column Trigger".into());
    }
    let mut rows = Vec::new();
    for (at, line) in lines.filter(|(_, line)| !line.is_empty()) {
        let fields = fields(at, line, columns.len())?;
        let minutes = fields[NAMES..].iter().enumerate().map(|(minute, text)| {
            text.parse().map_err(|_| {
                place(at, NAMES + minute, columns[NAMES + minute], text, "a whole number of invocations")
            })
        });
        rows.push((key(&fields), minutes.collect::<Result<_, _>>()?));
    }
    if rows.is_empty() { Err("line 2: expected at least one function".into()) } else { Ok(rows) }
}

fn averages(text: &str) -> Result<BTreeMap<Key, Duration>, String> {
    let mut lines = text.lines().enumerate();
    let columns = header(&mut lines, &["HashOwner", "HashApp", "HashFunction", "Average"])?;
    let mut averages = BTreeMap::new();
    for (at, line) in lines.filter(|(_, line)| !line.is_empty()) {
        let fields = fields(at, line, columns.len())?;
        let millis = fields[3].parse::<f64>().ok().filter(|millis| (0.0..=86_400_000.0).contains(millis));
        let millis =
            millis.ok_or_else(|| place(at, 3, columns[3], fields[3], "milliseconds, 0 to 86400000"))?;
        averages.entry(key(&fields)).or_insert(Duration::from_secs_f64(millis / 1000.0));
    }
    Ok(averages)
}

fn header<'a>(
    lines: &mut impl Iterator<Item = (usize, &'a str)>,
    names: &[&str],
) -> Result<Vec<&'a str>, String> {
    let (_, line) = lines.next().ok_or("line 1: expected a header but the file is empty")?;
    let columns: Vec<&str> = line.trim_end().split(',').collect();
    for (at, name) in names.iter().enumerate() {
        let found = columns.get(at).copied().unwrap_or_default();
        if found != *name {
            return Err(format!("line 1, column {}: expected {name} but got {found:?}", at + 1));
        }
    }
    Ok(columns)
}

fn fields(at: usize, line: &str, columns: usize) -> Result<Vec<&str>, String> {
    let fields: Vec<&str> = line.trim_end().split(',').collect();
    if fields.len() != columns {
        let (line, last) = (at + 1, fields.len().min(columns) + 1);
        return Err(format!(
            "line {line}, column {last}: expected {columns} columns but got {}",
            fields.len()
        ));
    }
    Ok(fields)
}

fn key(fields: &[&str]) -> Key {
    [fields[0].to_owned(), fields[1].to_owned(), fields[2].to_owned()]
}

fn place(at: usize, column: usize, name: &str, got: &str, expected: &str) -> String {
    let got: String = got.chars().take(40).collect();
    format!("line {}, column {} ({name}): expected {expected} but got {got:?}", at + 1, column + 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    const INVOCATIONS: &str = "HashOwner,HashApp,HashFunction,Trigger,480,481\no,a,f,http,1,2\no,a,g,timer,0,3\r\n\no,a,h,http,4,0\n";
    const DURATIONS: &str =
        "HashOwner,HashApp,HashFunction,Average,Count\no,a,g,1500,1\no,a,f,10.5,2\no,a,x,99,1\no,a,f,7,1\n";

    #[test]
    fn rows_are_joined_by_name() {
        let functions = read(INVOCATIONS, DURATIONS).unwrap();
        let wanted = [(vec![1, 2], 10_500), (vec![0, 3], 1_500_000), (vec![4, 0], 99_000)];
        let wanted =
            wanted.map(|(minutes, micros)| Function { minutes, takes: Duration::from_micros(micros) });
        assert_eq!(functions, wanted);
    }

    #[test]
    fn the_samples_read() {
        let functions = read(
            include_str!("../../traces/azure-2019-sample-100-invocations.csv"),
            include_str!("../../traces/azure-2019-sample-100-durations.csv"),
        );
        let functions = functions.unwrap();
        assert_eq!(functions.len(), 100);
        assert!(functions.iter().all(|function| function.minutes.len() == 480));
        let sums = functions.iter().map(|function| function.minutes.iter().sum::<u32>());
        assert_eq!((sums.clone().sum::<u32>(), sums.max()), (339_657, Some(273_379)));
    }

    #[test]
    fn bad_files_are_refused_with_the_place() {
        for (from, to, place) in [
            ("4,0", "4,x", "invocations, line 5, column 6 (481)"),
            ("4,0", "4,-1", "invocations, line 5, column 6 (481)"),
            ("1,2", "1,2,3", "invocations, line 2, column 7"),
            ("1,2", "1", "invocations, line 2, column 6"),
            ("Trigger", "Tigger", "invocations, line 1, column 4"),
            (",480,481", "", "invocations, line 1"),
        ] {
            let error = read(&INVOCATIONS.replacen(from, to, 1), DURATIONS).unwrap_err();
            assert!(error.starts_with(place), "{from} {to}: {error}");
        }
        for (from, to, place) in [
            ("1500", "abc", "durations, line 2, column 4 (Average)"),
            ("10.5", "-1", "durations, line 3, column 4 (Average)"),
            ("10.5", "NaN", "durations, line 3, column 4 (Average)"),
            ("HashOwner", "", "durations, line 1, column 1"),
        ] {
            let error = read(INVOCATIONS, &DURATIONS.replacen(from, to, 1)).unwrap_err();
            assert!(error.starts_with(place), "{from} {to}: {error}");
        }
        assert!(read("", DURATIONS).is_err());
        assert!(read("HashOwner,HashApp,HashFunction,Trigger,1\n", DURATIONS).is_err());
    }
}
