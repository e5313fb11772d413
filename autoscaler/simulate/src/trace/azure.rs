//! The Azure Functions Trace 2019: counts per function and minute, and how long each function takes.

use std::collections::HashMap;
use std::collections::hash_map::Entry;

use super::lines::Lines;
use super::quantiles::{self, Quantiles};
use super::table::Table;
use super::{Function, MINUTE, MOST, Request, Source, TAKES, Trace, TraceError, Use, stream, time};

/// What names a function: its owner, its app and itself.
const NAMES: [&str; 3] = ["HashOwner", "HashApp", "HashFunction"];
/// Stands between the three: no cell has one.
const BETWEEN: char = '\n';
/// Most requests of a function in a minute.
const CROWD: u64 = 10_000_000;

/// Reads a trace.
pub(super) fn read(
    invocations: Source<'_>,
    durations: Option<Source<'_>>,
    seed: u64,
) -> Result<Trace, TraceError> {
    let durations = durations.map(read_durations).transpose()?.unwrap_or_default();
    let mut table = Table::new(Lines::new(invocations))?;
    let names = names(&table)?;
    let minutes = minutes(&table)?;
    let mut places: HashMap<String, usize> = HashMap::new();
    let mut functions: Vec<Function> = Vec::new();
    let mut counts = Vec::with_capacity(minutes.begins.len());
    let mut total = 0;
    for row in 0.. {
        if !table.advance()? {
            break;
        }
        let key = key(&table, names)?;
        total += minutes.read(&table, &mut counts)?;
        if total > MOST {
            return Err(table.wrong(format!("more than {MOST} requests up to here")));
        }
        let mut requests = minutes.spread(&counts, seed, row);
        if let Some((_, quantiles)) = durations.get(&key) {
            let mut random = stream(seed, Use::Durations, row);
            requests.iter_mut().for_each(|request| request.takes = quantiles.draw(&mut random));
        }
        match places.entry(key) {
            Entry::Vacant(place) => {
                place.insert(functions.len());
                functions.push(Function { name: String::new(), requests });
            }
            Entry::Occupied(place) => {
                if let Some(function) = functions.get_mut(*place.get()) {
                    function.requests.append(&mut requests);
                    function.requests.sort_by_key(|request| request.at);
                }
            }
        }
    }
    name(&mut functions, &places);
    Ok(Trace { functions, span: minutes.span })
}

/// The places of the columns that name a function.
fn names(table: &Table<'_>) -> Result<[usize; 3], TraceError> {
    let [owner, app, function] = NAMES;
    Ok([table.required(owner)?, table.required(app)?, table.required(function)?])
}

/// What tells this row's function from others.
fn key(table: &Table<'_>, names: [usize; 3]) -> Result<String, TraceError> {
    let [owner, app, function] = names;
    let (owner, app) = (table.cell(owner), table.cell(app));
    let read = |name: &str| (!name.is_empty()).then(|| format!("{owner}{BETWEEN}{app}{BETWEEN}{name}"));
    table.read(function, "a name", read)
}

/// Gives each function its name: that of itself if no other has it, else all three.
fn name(functions: &mut [Function], places: &HashMap<String, usize>) {
    let mut sharing: HashMap<&str, u32> = HashMap::new();
    for key in places.keys() {
        *sharing.entry(own(key)).or_default() += 1;
    }
    for (key, place) in places {
        if let Some(function) = functions.get_mut(*place) {
            let own = own(key);
            let is_shared = sharing.get(own).is_some_and(|count| *count > 1);
            function.name = if is_shared { key.replace(BETWEEN, "/") } else { own.to_owned() };
        }
    }
}

/// A function's own name, within its key.
fn own(key: &str) -> &str {
    key.rsplit(BETWEEN).next().unwrap_or_default()
}

/// The minutes of a trace.
struct Minutes {
    /// The place of each one's column, and when it begins: microseconds since the first does.
    begins: Vec<(usize, u64)>,
    /// Microseconds from the beginning of the first to the end of the last.
    span: u64,
}

/// The minutes that the header has.
fn minutes(table: &Table<'_>) -> Result<Minutes, TraceError> {
    let mut begins: Vec<(usize, u64)> = Vec::new();
    let (mut first, mut last) = (None, None);
    for (place, column) in table.columns().enumerate() {
        if NAMES.contains(&column) || column == "Trigger" {
            continue;
        }
        let is_number = column.bytes().all(|byte| byte.is_ascii_digit());
        let Some(minute) = column.parse::<u32>().ok().filter(|_| is_number).map(u64::from) else {
            let what =
                format!("unknown; allowed are {}, Trigger, and the numbers of minutes", NAMES.join(", "));
            return Err(table.wrong(what).within(column));
        };
        if let Some(last) = last
            && minute <= last
        {
            return Err(table.wrong(format!("comes after minute {last}; minutes ascend")).within(column));
        }
        let first = *first.get_or_insert(minute);
        last = Some(minute);
        begins.push((place, (minute - first) * MINUTE));
    }
    match begins.last() {
        Some((_, last)) => Ok(Minutes { span: last + MINUTE, begins }),
        None => Err(table.wrong("there is no column of a minute, such as \"1\"")),
    }
}

impl Minutes {
    /// Reads this row's counts, and returns their sum.
    fn read(&self, table: &Table<'_>, counts: &mut Vec<u64>) -> Result<u64, TraceError> {
        counts.clear();
        for (place, _) in &self.begins {
            let read = |cell: &str| cell.parse().ok().filter(|count| *count <= CROWD);
            counts.push(table.read(*place, "a whole number from 0 to 10000000", read)?);
        }
        Ok(counts.iter().sum())
    }

    /// So many requests in each minute, evenly and at random, in order.
    fn spread(&self, counts: &[u64], seed: u64, row: usize) -> Vec<Request> {
        let mut random = stream(seed, Use::Arrivals, row);
        let mut requests =
            Vec::with_capacity(usize::try_from(counts.iter().sum::<u64>()).unwrap_or_default());
        for (count, (_, begin)) in counts.iter().zip(&self.begins) {
            let before = requests.len();
            let draw = |_| Request { at: begin + random.below(MINUTE), takes: TAKES };
            requests.extend((0..*count).map(draw));
            if let Some(new) = requests.get_mut(before..) {
                new.sort_unstable_by_key(|request: &Request| request.at);
            }
        }
        requests
    }
}

/// By what tells functions apart: how many requests its distribution is of, and that.
type Durations = HashMap<String, (u64, Quantiles)>;

fn read_durations(source: Source<'_>) -> Result<Durations, TraceError> {
    const REST: [&str; 4] = ["Average", "Count", "Minimum", "Maximum"];
    let mut table = Table::new(Lines::new(source))?;
    let allowed: Vec<&str> = NAMES.into_iter().chain(REST).chain(quantiles::COLUMNS).collect();
    table.only(&allowed, "")?;
    let names = names(&table)?;
    let mut columns = [0; quantiles::COLUMNS.len()];
    for (column, name) in columns.iter_mut().zip(quantiles::COLUMNS) {
        *column = table.required(name)?;
    }
    let count = table.place("Count");
    let mut durations = Durations::new();
    while table.advance()? {
        let mut quantiles = Quantiles::default();
        for (value, column) in quantiles.values.iter_mut().zip(columns) {
            *value = table.read(column, time::MILLIS, time::millis)? as f64;
        }
        let count = match count {
            Some(count) => table.read(count, "a whole number", |cell| cell.parse().ok())?,
            None => 0,
        };
        match durations.entry(key(&table, names)?) {
            Entry::Vacant(place) => _ = place.insert((count, quantiles)),
            Entry::Occupied(mut place) if place.get().0 < count => _ = place.insert((count, quantiles)),
            Entry::Occupied(_) => {}
        }
    }
    Ok(durations)
}
