//! Reads the file of a shape. What is wrong has its place.

use std::ops::Range;

use serde::Deserialize;
use toml::Spanned;

use super::{Course, Piece, Shape};
use crate::schedule::MOST;
use crate::span;

/// Greatest rate, in requests a second.
const FASTEST: f64 = 100_000.0;
/// Most parts, those that come several times counted as often.
const LONGEST: usize = 100_000;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    about: String,
    parts: Spanned<Vec<Spanned<Part>>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Part {
    rate: Option<Spanned<f64>>,
    from: Option<Spanned<f64>>,
    to: Option<Spanned<f64>>,
    mean: Option<Spanned<f64>>,
    swing: Option<Spanned<f64>>,
    period: Option<Spanned<String>>,
    duration: Option<Spanned<String>>,
    times: Option<Spanned<usize>>,
    parts: Option<Spanned<Vec<Spanned<Part>>>>,
}

/// What is wrong, and where in the text.
type Wrong = (Range<usize>, String);

pub(super) fn shape(file: &str, text: &str) -> Result<Shape, String> {
    read(text).map_err(|(span, what)| {
        let before = text.get(..span.start.min(text.len())).unwrap_or_default();
        let line = before.matches('\n').count() + 1;
        let column = before.rsplit('\n').next().unwrap_or_default().chars().count() + 1;
        // One line, whatever TOML's parser says.
        format!("{file}:{line}:{column}: {}", what.replace('\n', "; "))
    })
}

fn read(text: &str) -> Result<Shape, Wrong> {
    let file: File = toml::from_str(text)
        .map_err(|error| (error.span().unwrap_or_default(), error.message().to_owned()))?;
    let mut pieces = Vec::new();
    for part in file.parts.get_ref() {
        let (span, one) = (part.span(), part.get_ref());
        let count = pieces.len();
        match (&one.times, &one.parts) {
            (None, None) => pieces.push(piece(one, &span)?),
            (Some(times), Some(parts)) if one.is_plain() => {
                let several: Vec<Piece> = parts
                    .get_ref()
                    .iter()
                    .map(|part| piece(part.get_ref(), &part.span()))
                    .collect::<Result<_, _>>()?;
                if *times.get_ref() == 0 || several.len().saturating_mul(*times.get_ref()) > LONGEST - count {
                    let what = format!(
                        "times = {}: expected 1 or more, up to {LONGEST} parts in all",
                        times.get_ref()
                    );
                    return Err((times.span(), what));
                }
                (0..*times.get_ref()).for_each(|_| pieces.extend_from_slice(&several));
            }
            _ => return Err((span, KINDS.to_owned())),
        }
        if pieces.len() >= LONGEST {
            return Err((part.span(), format!("expected fewer than {LONGEST} parts in all")));
        }
    }
    let span = file.parts.span();
    let seconds: f64 = pieces.iter().map(|piece| piece.lasts).sum();
    if seconds > span::LONGEST.as_secs_f64() {
        return Err((span, format!("{seconds} s in all: expected up to 24h")));
    }
    // The sum of nothing is −0.
    let requests = pieces.iter().map(Piece::requests).sum::<f64>() + 0.0;
    if !(requests >= 1.0 && requests <= MOST as f64) {
        return Err((span, format!("about {requests:.0} requests: expected 1 to {MOST}")));
    }
    Ok(Shape { about: file.about, pieces })
}

const KINDS: &str = "expected rate and duration; from, to and duration; mean, swing, period and duration; or times and parts, \
                     of parts that have none themselves";

impl Part {
    /// Whether it says nothing of a rate.
    fn is_plain(&self) -> bool {
        let rates = [&self.rate, &self.from, &self.to, &self.mean, &self.swing];
        rates.iter().all(|rate| rate.is_none()) && self.period.is_none() && self.duration.is_none()
    }
}

/// One that isn't of others.
fn piece(part: &Part, span: &Range<usize>) -> Result<Piece, Wrong> {
    let kinds = || (span.clone(), KINDS.to_owned());
    let Part { rate: level, from, to, mean, swing, period, duration, times: None, parts: None } = part else {
        return Err(kinds());
    };
    let course = match (level, from, to, mean, swing, period) {
        (Some(level), None, None, None, None, None) => {
            let level = rate("rate", level)?;
            Course::Line { from: level, to: level }
        }
        (None, Some(from), Some(to), None, None, None) => {
            Course::Line { from: rate("from", from)?, to: rate("to", to)? }
        }
        (None, None, None, Some(mean), Some(swing), Some(period)) => {
            let course = (rate("mean", mean)?, rate("swing", swing)?, lasts("period", period)?);
            if course.1 > course.0 {
                let what = format!("swing = {}: expected up to the mean, {}", course.1, course.0);
                return Err((swing.span(), what));
            }
            Course::Wave { mean: course.0, swing: course.1, period: course.2 }
        }
        _ => return Err(kinds()),
    };
    let duration = duration.as_ref().ok_or_else(kinds)?;
    Ok(Piece { course, lasts: lasts("duration", duration)? })
}

fn rate(key: &str, given: &Spanned<f64>) -> Result<f64, Wrong> {
    let rate = *given.get_ref();
    let is_allowed = (0.0..=FASTEST).contains(&rate);
    let wrong = || (given.span(), format!("{key} = {rate}: expected requests a second, 0 to {FASTEST}"));
    if is_allowed { Ok(rate) } else { Err(wrong()) }
}

fn lasts(key: &str, given: &Spanned<String>) -> Result<f64, Wrong> {
    let wrong = |what: String| (given.span(), format!("{key}: {what}"));
    let span = span::parse(given.get_ref()).map_err(wrong)?;
    if span.is_zero() {
        return Err(wrong("0: expected a duration above 0, up to 24h".to_owned()));
    }
    Ok(span.as_secs_f64())
}
