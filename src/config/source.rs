//! The text of a configuration and the places in it: every refusal names file, line, key, value and what is allowed.

use std::fmt;
use std::ops::Range;
use std::path::{Path, PathBuf};

use toml::Spanned;
use toml::de::{DeString, DeTable, DeValue};

/// A file that was read.
pub(crate) struct Source<'a> {
    /// Where it lies, as the user named it.
    pub(crate) file: &'a Path,
    /// What is in it.
    pub(crate) text: &'a str,
}

/// One thing that is wrong in a configuration file. Prints as one line: `file:line: key = value: what is allowed`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Wrong {
    file: PathBuf,
    line: Option<usize>,
    what: String,
}

/// A key and its value with their places.
pub(crate) type Entry<'t, 'i> = (&'t Spanned<DeString<'i>>, &'t Spanned<DeValue<'i>>);

impl Wrong {
    /// A file that is wrong as a whole.
    pub(crate) fn file(file: &Path, what: impl Into<String>) -> Self {
        Wrong { file: file.to_owned(), line: None, what: what.into() }
    }
}

impl Source<'_> {
    /// `entry` isn't allowed: what is, is `allowed`.
    pub(crate) fn wrong(&self, (key, value): Entry<'_, '_>, allowed: &str) -> Wrong {
        let what = match value.get_ref() {
            DeValue::Table(_) => format!("{}: {allowed}", key.get_ref()),
            _ => format!("{} = {}: {allowed}", key.get_ref(), self.excerpt(value.span())),
        };
        self.at(&key.span(), what)
    }

    /// What is wrong at a place.
    pub(crate) fn at(&self, span: &Range<usize>, what: impl Into<String>) -> Wrong {
        let before = self.text.as_bytes().get(..span.start).unwrap_or(self.text.as_bytes());
        let line = 1 + before.iter().filter(|byte| **byte == b'\n').count();
        Wrong { file: self.file.to_owned(), line: Some(line), what: what.into() }
    }

    /// The text there as one line of bounded length.
    fn excerpt(&self, span: Range<usize>) -> String {
        const LONGEST: usize = 80;
        let words: Vec<&str> = self.text.get(span).unwrap_or_default().split_whitespace().collect();
        let line = words.join(" ");
        match line.char_indices().nth(LONGEST) {
            Some((end, _)) => format!("{}…", line.get(..end).unwrap_or_default()),
            None => line,
        }
    }
}

impl fmt::Display for Wrong {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{}:", self.file.display())?;
        if let Some(line) = self.line {
            write!(out, "{line}:")?;
        }
        write!(out, " {}", self.what)
    }
}

/// The entries of a table in the order in which they are written.
pub(crate) fn in_order<'t, 'i>(table: &'t DeTable<'i>) -> Vec<Entry<'t, 'i>> {
    let mut entries: Vec<Entry<'t, 'i>> = table.iter().collect();
    entries.sort_by_key(|(key, _)| key.span().start);
    entries
}

/// A string or a number as text; `None` for anything else.
pub(crate) fn scalar(value: &DeValue<'_>) -> Option<String> {
    match value {
        DeValue::String(text) => Some(text.to_string()),
        DeValue::Integer(number) => {
            i128::from_str_radix(number.as_str(), number.radix()).ok().map(|number| number.to_string())
        }
        DeValue::Float(number) => Some(number.as_str().to_owned()),
        _ => None,
    }
}

/// A list of strings; `None` for anything else.
pub(crate) fn strings(value: &DeValue<'_>) -> Option<Vec<String>> {
    let items = value.as_array()?;
    items.iter().map(|item| item.get_ref().as_str().map(str::to_owned)).collect()
}
