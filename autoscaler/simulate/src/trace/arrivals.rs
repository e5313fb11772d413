//! The requests of a file as they are read, and the trace that they make. Knows no format.

use std::collections::HashMap;

use super::time::{Kind, Stamp};
use super::{ALL, Function, MINUTE, MOST, Request, Trace, Use, stream};

/// Microseconds.
const SECOND: u64 = 1_000_000;

/// One request of a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Arrival<'a> {
    /// Empty or `-`: it names none.
    pub(super) workload: &'a str,
    pub(super) stamp: Stamp,
    /// Microseconds from its arrival to its stamp.
    pub(super) before: u64,
    /// Microseconds that a replica works on it.
    pub(super) takes: u64,
}

/// The requests of a file, by workload.
pub(super) struct Arrivals {
    seed: u64,
    places: HashMap<Box<str>, usize>,
    /// While they are read, a time is microseconds since 1970 with the highest bit turned, so that the order of numbers
    /// without a sign is that of times.
    requests: Vec<Vec<Request>>,
    count: u64,
    /// How times are written, and on which line the first one is.
    kind: Option<(Kind, u64)>,
    /// No time says anything of what is below a second.
    whole: bool,
}

impl Arrivals {
    pub(super) fn new(seed: u64) -> Self {
        Arrivals { seed, places: HashMap::new(), requests: Vec::new(), count: 0, kind: None, whole: true }
    }

    /// Takes the request of a line. The error says what is wrong with it.
    pub(super) fn add(&mut self, line: u64, arrival: Arrival<'_>) -> Result<(), String> {
        let (kind, first) = *self.kind.get_or_insert((arrival.stamp.kind, line));
        if kind != arrival.stamp.kind {
            let (this, other) = match kind {
                Kind::Number => ("a date", "a number of seconds"),
                Kind::Date => ("a number of seconds", "a date"),
            };
            return Err(format!("the time is {this}, but {other} in line {first}; one file has one kind"));
        }
        if self.count >= MOST {
            return Err(format!("more than {MOST} requests"));
        }
        self.count += 1;
        self.whole &= arrival.stamp.whole;
        let came = arrival.stamp.micros.saturating_sub_unsigned(arrival.before);
        let request = Request { at: came.cast_unsigned() ^ (1 << 63), takes: arrival.takes };
        let workload = if matches!(arrival.workload, "" | "-") { ALL } else { arrival.workload };
        let place = match self.places.get(workload) {
            Some(place) => *place,
            None => {
                let place = self.places.len();
                self.places.insert(workload.into(), place);
                self.requests.push(Vec::new());
                place
            }
        };
        if let Some(requests) = self.requests.get_mut(place) {
            requests.push(request);
        }
        Ok(())
    }

    /// The trace; `None` if there was no request.
    pub(super) fn finish(mut self) -> Option<Trace> {
        if self.whole {
            for (place, requests) in self.requests.iter_mut().enumerate() {
                let mut random = stream(self.seed, Use::Arrivals, place);
                for request in requests {
                    request.at = request.at.saturating_add(random.below(SECOND));
                }
            }
        }
        let zero = self.requests.iter().flatten().map(|request| request.at).min()?;
        let mut functions = vec![Function::default(); self.places.len()];
        for (name, place) in self.places {
            if let Some(function) = functions.get_mut(place) {
                function.name = name.into();
            }
        }
        let mut end = 1;
        for (function, mut requests) in functions.iter_mut().zip(self.requests) {
            requests.shrink_to_fit();
            for request in &mut requests {
                request.at -= zero;
                end = end.max(request.at.saturating_add(request.takes));
            }
            requests.sort_unstable_by_key(|request| (request.at, request.takes));
            function.requests = requests;
        }
        Some(Trace { functions, span: end.div_ceil(MINUTE).saturating_mul(MINUTE) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn arrival(workload: &str, micros: i64, takes: u64) -> Arrival<'_> {
        Arrival { workload, stamp: Stamp { micros, kind: Kind::Number, whole: false }, before: 0, takes }
    }

    fn trace(all: &[Arrival<'_>]) -> Option<Trace> {
        let mut arrivals = Arrivals::new(1);
        for (at, one) in all.iter().enumerate() {
            arrivals.add(at as u64 + 1, *one).unwrap();
        }
        arrivals.finish()
    }

    #[test]
    fn requests_are_sorted_and_time_begins_with_the_first() {
        let trace =
            trace(&[arrival("b", 7_000, 3), arrival("", -5_000, 1), arrival("b", -2_000, 2)]).unwrap();
        let names: Vec<&str> = trace.functions.iter().map(|function| function.name.as_str()).collect();
        assert_eq!(names, ["b", "all"]);
        let sorted = [Request { at: 3_000, takes: 2 }, Request { at: 12_000, takes: 3 }];
        assert_eq!(trace.functions[0].requests, sorted);
        assert_eq!(trace.functions[1].requests, [Request { at: 0, takes: 1 }]);
        assert_eq!(trace.span, MINUTE);
    }

    #[test]
    fn it_ends_with_the_minute_in_which_the_last_request_ends() {
        let span = |takes| trace(&[arrival("a", 10, takes), arrival("a", 20, 5)]).unwrap().span / MINUTE;
        assert_eq!([0, 60_000_000, 60_000_001].map(span), [1, 1, 2]);
        assert_eq!(trace(&[]), None);
        assert_eq!(trace(&[arrival("a", 0, 0)]).unwrap().span, MINUTE);
    }

    #[test]
    fn a_request_came_before_its_stamp() {
        let late = Arrival { before: 4_000, ..arrival("a", 5_000, 4_000) };
        let trace = trace(&[late, arrival("a", 3_000, 1)]).unwrap();
        assert_eq!(trace.functions[0].requests[0], Request { at: 0, takes: 4_000 });
        assert_eq!(trace.functions[0].requests[1], Request { at: 2_000, takes: 1 });
    }

    #[test]
    fn whole_seconds_are_spread_unless_one_has_a_fraction() {
        let dated = |micros, whole| Arrival {
            stamp: Stamp { micros, kind: Kind::Date, whole },
            ..arrival("a", 0, 0)
        };
        let spread = trace(&[dated(0, true); 200]).unwrap();
        let last = spread.functions[0].requests.last().unwrap().at;
        assert!((900_000..1_000_000).contains(&last), "{last}");
        let exact = trace(&[dated(0, true), dated(1_000_000, true), dated(1_500_000, false)]).unwrap();
        let at: Vec<u64> = exact.functions[0].requests.iter().map(|request| request.at).collect();
        assert_eq!(at, [0, 1_000_000, 1_500_000]);
    }

    #[test]
    fn there_is_a_bound_and_one_kind_of_time() {
        let mut arrivals = Arrivals::new(1);
        arrivals.add(3, arrival("a", 0, 0)).unwrap();
        let mut dated = arrival("a", 0, 0);
        dated.stamp.kind = Kind::Date;
        let error = arrivals.add(4, dated).unwrap_err();
        assert_eq!(error, "the time is a date, but a number of seconds in line 3; one file has one kind");
        arrivals.count = MOST;
        assert_eq!(arrivals.add(5, arrival("a", 0, 0)), Err("more than 1000000000 requests".into()));
    }
}
