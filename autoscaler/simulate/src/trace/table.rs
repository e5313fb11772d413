//! A table with a header: comma-separated values (RFC 4180), one row a line. Knows no column.

use std::collections::HashSet;
use std::io::{self, Read};

use csv::{ErrorKind, Reader, ReaderBuilder, StringRecord};

use super::lines::Lines;
use super::{TraceError, excerpt};

/// Bytes that are parsed at once.
const BUFFER: usize = 1 << 16;

/// Most columns that an error names.
const TOLD: usize = 5;

/// A table, row by row.
pub(super) struct Table<'a> {
    reader: Reader<Feed<'a>>,
    header: StringRecord,
    row: StringRecord,
    rows: u64,
}

impl<'a> Table<'a> {
    /// Reads the header.
    pub(super) fn new(lines: Lines<'a>) -> Result<Self, TraceError> {
        let given = lines.bytes().len();
        let feed = Feed { lines, given, begun: false, failed: None };
        let mut settings = ReaderBuilder::new();
        settings.has_headers(false).flexible(true).buffer_capacity(BUFFER);
        let row = StringRecord::new();
        let mut table = Table { reader: settings.from_reader(feed), header: row.clone(), row, rows: 0 };
        if !table.next_row()? {
            return Err(table.feed().whole("is empty"));
        }
        table.header = std::mem::take(&mut table.row);
        table.header.trim();
        match twice(&table.header) {
            Some(name) => Err(table.wrong("is there twice").within(&name)),
            None => Ok(table),
        }
    }

    /// The names of the columns.
    pub(super) fn columns(&self) -> impl Iterator<Item = &str> {
        self.header.iter()
    }

    /// The place of a column.
    pub(super) fn place(&self, column: &str) -> Option<usize> {
        self.columns().position(|name| name == column)
    }

    /// The place of a column that has to be there.
    pub(super) fn required(&self, column: &str) -> Result<usize, TraceError> {
        self.place(column).ok_or_else(|| self.wrong("is missing").within(column))
    }

    /// Refuses columns that aren't `allowed`, with a `hint` for people.
    pub(super) fn only(&self, allowed: &[&str], hint: &str) -> Result<(), TraceError> {
        let mut unknown = self.columns().filter(|name| !allowed.contains(name));
        let mut told: Vec<String> = unknown.by_ref().take(TOLD).map(excerpt).collect();
        match unknown.count() {
            0 if told.is_empty() => return Ok(()),
            0 => {}
            more => told.push(format!("and {more} more")),
        }
        let (told, allowed) = (told.join(", "), allowed.join(", "));
        Err(self.wrong(format!("unknown columns {told}; allowed are {allowed}{hint}")))
    }

    /// Goes to the next row, which has as many cells as the header. `false`: there is none, but there were some.
    pub(super) fn advance(&mut self) -> Result<bool, TraceError> {
        if !self.next_row()? {
            return if self.rows > 0 {
                Ok(false)
            } else {
                Err(self.feed().whole("has a header, but no rows"))
            };
        }
        self.rows += 1;
        let (cells, columns) = (self.row.len(), self.header.len());
        if cells != columns {
            return Err(
                self.wrong(format!("the number of cells is {cells}; expected {columns}, as in the header"))
            );
        }
        Ok(true)
    }

    /// The cell of this row at `place`, without blanks around it.
    pub(super) fn cell(&self, place: usize) -> &str {
        self.row.get(place).unwrap_or_default().trim()
    }

    /// What `read` makes of the cell at `place`; the error says what was `expected` where it makes nothing.
    pub(super) fn read<T>(
        &self,
        place: usize,
        expected: &str,
        read: impl FnOnce(&str) -> Option<T>,
    ) -> Result<T, TraceError> {
        let cell = self.cell(place);
        read(cell).ok_or_else(|| {
            let column = self.header.get(place).unwrap_or_default();
            self.wrong(format!("got {}; expected {expected}", excerpt(cell))).within(column)
        })
    }

    /// The number of this row's line.
    pub(super) fn line(&self) -> u64 {
        self.feed().number()
    }

    /// What is wrong with this row; before the first, with the header.
    pub(super) fn wrong(&self, what: impl Into<String>) -> TraceError {
        self.feed().wrong(what)
    }

    fn feed(&self) -> &Lines<'a> {
        &self.reader.get_ref().lines
    }

    fn next_row(&mut self) -> Result<bool, TraceError> {
        self.reader.get_mut().begun = false;
        let error = match self.reader.read_record(&mut self.row) {
            Ok(more) => return Ok(more),
            Err(error) => error,
        };
        if let Some(failed) = self.reader.get_mut().failed.take() {
            return Err(failed);
        }
        Err(match error.kind() {
            ErrorKind::Utf8 { err, .. } => {
                let wrong = self.wrong(format!("byte {} of the cell isn't UTF-8", err.valid_up_to() + 1));
                match self.header.get(err.field()) {
                    Some(column) => wrong.within(column),
                    None => wrong,
                }
            }
            _ => self.wrong(error.to_string()),
        })
    }
}

/// A name that is there twice.
fn twice(names: &StringRecord) -> Option<String> {
    let mut seen = HashSet::new();
    names.iter().find(|name| !seen.insert(*name)).map(str::to_owned)
}

/// Hands lines to the parser, which asks for one at a time: so the last one asked for is where it is. A row that asks for a
/// second one has an open quote.
struct Feed<'a> {
    lines: Lines<'a>,
    /// Bytes of this line that the parser has.
    given: usize,
    /// The parser has asked for a line since the row began.
    begun: bool,
    failed: Option<TraceError>,
}

impl Read for Feed<'_> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        if self.given >= self.lines.bytes().len() {
            let more = if self.begun {
                Err(self.lines.wrong("a quoted cell doesn't end in its line"))
            } else {
                self.lines.advance()
            };
            match more {
                Ok(true) => (self.begun, self.given) = (true, 0),
                Ok(false) => return Ok(0),
                Err(failed) => {
                    self.failed = Some(failed);
                    return Err(io::Error::other("the line is wrong"));
                }
            }
        }
        let mut rest = self.lines.bytes().get(self.given..).unwrap_or_default();
        let read = rest.read(out)?;
        self.given += read;
        Ok(read)
    }
}
