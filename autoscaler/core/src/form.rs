//! What was learned of one workload in few bytes, to outlive the process that learned it.
//!
//! There is no time in it: what passed while nobody looked is neither known nor guessed, so no clock can do harm.
//! Weights are kept by their square root in twelve bits, within a third of a per cent where they matter; a form that is read
//! and written again stays as it is.
//!
//! Version 1, numbers as LEB128 unless said otherwise: version · how often it was forgotten · gaps · kind of the last gap (0:
//! none) · mean, variance (f32, little endian) · record (f64, little endian) · pre-warms used, unused · start-up time in
//! ms · the four histograms, each a bit for each bin and for what is beyond, and twelve bits for each that isn't zero · FNV-1a of
//! all before (u32, little endian).

use std::fmt;
use std::time::Duration;

use crate::gaps::{BINS, Gaps, Histogram, MOST};
use crate::learned::{Learned, Prewarms};

/// Longest form, in bytes.
pub const LONGEST: usize = 1024;
/// The only version that is spoken.
const VERSION: u8 = 1;
/// Largest weight that can be said. None is more than [`MOST`].
const LARGEST: f32 = 128.0;
/// Largest code of a weight: twelve bits.
const CODES: f32 = 4095.0;
/// Bytes of a histogram's bits.
const MARKS: usize = (BINS + 1).div_ceil(8);
/// Longest start-up time: that of the knob `start-timeout`.
const LONGEST_START: u64 = 86_400_000;
/// Longest mean gap in seconds, and the largest record in replica-seconds: a gap counts for an hour saved or some hours spent,
/// and fades by a twentieth with each.
const LONGEST_GAP: f32 = 1e10;
const LARGEST_RECORD: f64 = 1e7;

/// Why a form isn't read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unreadable {
    /// It has more than [`LONGEST`] bytes, or none.
    Length(usize),
    /// It is of another version.
    Version(u8),
    /// It isn't what was written.
    Damaged,
    /// It says what can't be. What.
    Nonsense(&'static str),
}

impl fmt::Display for Unreadable {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Unreadable::Length(length) => write!(out, "it has {length} bytes; allowed are 1 to {LONGEST}"),
            Unreadable::Version(version) => {
                write!(out, "it is of version {version}; allowed is {VERSION}: another Kaos wrote it")
            }
            Unreadable::Damaged => out.write_str("it isn't what Kaos wrote: it was damaged or edited"),
            Unreadable::Nonsense(what) => write!(out, "it says what can't be: {what}"),
        }
    }
}

impl std::error::Error for Unreadable {}

/// What is kept of a workload.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Kept {
    /// What was learned; the gap that it is in isn't kept.
    pub learned: Learned,
    /// What its last start took.
    pub start_time: Duration,
}

impl Kept {
    /// What is left of what was forgotten so often: that, and nothing else.
    pub fn forgotten(times: u32) -> Kept {
        let learned = Learned::new(Gaps::default(), 0.0, Prewarms::default(), times);
        Kept { learned, start_time: Duration::ZERO }
    }

    /// As bytes, at most [`LONGEST`].
    pub fn write(&self) -> Box<[u8]> {
        let (gaps, prewarms) = (self.learned.gaps(), self.learned.prewarms());
        let mut out = vec![VERSION];
        number(&mut out, self.learned.forgotten().into());
        number(&mut out, gaps.count);
        out.push(gaps.last.map_or(0, |last| last as u8 + 1));
        out.extend(gaps.mean.to_le_bytes());
        out.extend(gaps.variance.to_le_bytes());
        out.extend(self.learned.record().to_le_bytes());
        number(&mut out, prewarms.used);
        number(&mut out, prewarms.unused);
        number(&mut out, u64::try_from(self.start_time.as_millis()).unwrap_or(u64::MAX).min(LONGEST_START));
        for histogram in [&gaps.common].into_iter().chain(&gaps.kinds) {
            weights(&mut out, histogram);
        }
        let sum = fnv(&out);
        out.extend(sum.to_le_bytes());
        out.into()
    }

    /// Reads what [`Kept::write`] has written.
    pub fn read(bytes: &[u8]) -> Result<Kept, Unreadable> {
        use Unreadable::Nonsense;
        if bytes.len() > LONGEST {
            return Err(Unreadable::Length(bytes.len()));
        }
        let version = *bytes.first().ok_or(Unreadable::Length(0))?;
        if version != VERSION {
            return Err(Unreadable::Version(version));
        }
        let (said, sum) = bytes.split_last_chunk::<4>().ok_or(Unreadable::Damaged)?;
        if fnv(said) != u32::from_le_bytes(*sum) {
            return Err(Unreadable::Damaged);
        }
        let mut reader = Reader(said.get(1..).unwrap_or_default());
        let forgotten = u32::try_from(reader.number()?).map_err(|_| Nonsense("forgotten too often"))?;
        let mut gaps = Gaps { count: reader.number()?, ..Gaps::default() };
        gaps.last = usize::from(reader.byte()?).checked_sub(1);
        if gaps.last.is_some() != (gaps.count > 0) || gaps.last.is_some_and(|kind| kind >= gaps.kinds.len()) {
            return Err(Nonsense("the kind of the last gap"));
        }
        (gaps.mean, gaps.variance) = (reader.single()?, reader.single()?);
        let spread = 0.0..=LONGEST_GAP * LONGEST_GAP;
        if !(0.0..=LONGEST_GAP).contains(&gaps.mean) || !spread.contains(&gaps.variance) {
            return Err(Nonsense("the length of gaps"));
        }
        let record = f64::from_le_bytes(reader.take()?);
        if !(-LARGEST_RECORD..=LARGEST_RECORD).contains(&record) {
            return Err(Nonsense("the record of pre-warms"));
        }
        let prewarms = Prewarms { used: reader.number()?, unused: reader.number()? };
        let start_time = reader.number()?;
        if start_time > LONGEST_START {
            return Err(Nonsense("the start-up time"));
        }
        let none = gaps.count == 0;
        for histogram in [&mut gaps.common].into_iter().chain(&mut gaps.kinds) {
            *histogram = reader.weights()?;
            // A little more than the most: what was rounded.
            if histogram.total() > if none { 0.0 } else { MOST * 1.01 } {
                return Err(Nonsense("more weight than gaps have"));
            }
        }
        if !reader.0.is_empty() {
            return Err(Nonsense("more than there is to say"));
        }
        let learned = Learned::new(gaps, record, prewarms, forgotten);
        Ok(Kept { learned, start_time: Duration::from_millis(start_time) })
    }
}

fn number(out: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        out.push(value as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

/// Which weights aren't zero, and those.
fn weights(out: &mut Vec<u8>, histogram: &Histogram) {
    let code = |weight: f32| ((weight / LARGEST).sqrt() * CODES).round().min(CODES) as u16;
    let bins = (0..BINS).map(|at| histogram.bins.get(at).copied().unwrap_or_default());
    let codes: Vec<u16> = bins.chain([histogram.beyond]).map(code).collect();
    let mut marks = [0_u8; MARKS];
    for (at, _) in codes.iter().enumerate().filter(|(_, code)| **code > 0) {
        marks[at / 8] |= 1 << (at % 8);
    }
    out.extend(marks);
    let some: Vec<u16> = codes.into_iter().filter(|code| *code > 0).collect();
    for pair in some.chunks(2) {
        let (one, other) = (pair[0], pair.get(1).copied().unwrap_or_default());
        out.extend([one as u8, (one >> 8) as u8 | (other << 4) as u8, (other >> 4) as u8]);
    }
}

/// FNV-1a, 32 bits.
fn fnv(bytes: &[u8]) -> u32 {
    bytes.iter().fold(0x811c_9dc5, |hash, byte| (hash ^ u32::from(*byte)).wrapping_mul(0x0100_0193))
}

/// What is left to read.
struct Reader<'b>(&'b [u8]);

impl Reader<'_> {
    fn take<const N: usize>(&mut self) -> Result<[u8; N], Unreadable> {
        let (taken, rest) = self.0.split_first_chunk().ok_or(Unreadable::Nonsense("an early end"))?;
        self.0 = rest;
        Ok(*taken)
    }

    fn byte(&mut self) -> Result<u8, Unreadable> {
        self.take::<1>().map(|[byte]| byte)
    }

    fn single(&mut self) -> Result<f32, Unreadable> {
        self.take().map(f32::from_le_bytes)
    }

    fn number(&mut self) -> Result<u64, Unreadable> {
        let mut value = 0_u64;
        for shift in (0..u64::BITS).step_by(7) {
            let byte = self.byte()?;
            let bits = u64::from(byte & 0x7f);
            if bits << shift >> shift != bits {
                break;
            }
            value |= bits << shift;
            if byte < 0x80 {
                return Ok(value);
            }
        }
        Err(Unreadable::Nonsense("a number without end"))
    }

    fn weights(&mut self) -> Result<Histogram, Unreadable> {
        let marks: [u8; MARKS] = self.take()?;
        if marks[MARKS - 1] >> ((BINS + 1) % 8) != 0 {
            return Err(Unreadable::Nonsense("a bin that isn't there"));
        }
        if marks == [0; MARKS] {
            return Ok(Histogram::default());
        }
        let mut bins = vec![0.0; BINS + 1];
        let mut second = None;
        for (at, weight) in bins.iter_mut().enumerate() {
            if marks[at / 8] >> (at % 8) & 1 == 0 {
                continue;
            }
            let code = match second.take() {
                Some(code) => code,
                None => {
                    let [low, middle, high] = self.take()?.map(u16::from);
                    second = Some(middle >> 4 | high << 4);
                    low | (middle & 0xf) << 8
                }
            };
            if code == 0 {
                return Err(Unreadable::Nonsense("a weight of nothing"));
            }
            *weight = (f32::from(code) / CODES).powi(2) * LARGEST;
        }
        let beyond = bins.pop().unwrap_or_default();
        Ok(Histogram { bins, beyond })
    }
}

#[cfg(test)]
#[path = "form_test.rs"]
mod tests;
