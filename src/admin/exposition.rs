//! Writes a page of metrics, in Prometheus' text format or in OpenMetrics. Knows no metric's name.
//!
//! <https://prometheus.io/docs/instrumenting/exposition_formats/>, <https://prometheus.io/docs/specs/om/open_metrics_spec/>

use std::fmt::{Display, Write};

/// The format of a page.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Format {
    /// Prometheus' text format 0.0.4.
    Text,
    /// OpenMetrics 1.0.
    OpenMetrics,
}

impl Format {
    /// The one that an `Accept` header asks for.
    pub(crate) fn accepted(accept: Option<&str>) -> Format {
        match accept {
            Some(accept) if accept.contains("application/openmetrics-text") => Format::OpenMetrics,
            _ => Format::Text,
        }
    }

    /// The `Content-Type` of the page.
    pub(crate) fn content_type(self) -> &'static str {
        match self {
            Format::Text => "text/plain; version=0.0.4; charset=utf-8",
            Format::OpenMetrics => "application/openmetrics-text; version=1.0.0; charset=utf-8",
        }
    }
}

/// What a family of samples is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// Only grows. Its name ends in `_total`.
    Counter,
    /// Goes up and down.
    Gauge,
    /// Cumulative buckets.
    Histogram,
    /// A sum and a count.
    Summary,
}

impl Kind {
    fn word(self) -> &'static str {
        match self {
            Kind::Counter => "counter",
            Kind::Gauge => "gauge",
            Kind::Histogram => "histogram",
            Kind::Summary => "summary",
        }
    }
}

/// Labels, a sum and how many it sums up.
pub(crate) type SumRow<'a> = (Vec<(&'a str, &'a str)>, f64, u64);

/// A page that is being written.
pub(crate) struct Page {
    format: Format,
    text: String,
}

/// Labels of a sample: names and values.
pub(crate) type Labels<'a> = &'a [(&'a str, &'a str)];

impl Page {
    /// An empty page.
    pub(crate) fn new(format: Format) -> Self {
        Page { format, text: String::with_capacity(16 * 1024) }
    }

    /// Begins the family `name`; its samples follow.
    pub(crate) fn family<'p>(&'p mut self, name: &'p str, kind: Kind, help: &str) -> Family<'p> {
        self.head(name, kind, help);
        Family { page: self, name }
    }

    /// Begins a family of sums and counts without buckets.
    ///
    /// In the text format these are two counters; OpenMetrics reserves the two endings for summaries.
    pub(crate) fn sums(&mut self, name: &str, help: &str, rows: &[SumRow<'_>]) {
        match self.format {
            Format::OpenMetrics => {
                self.head(name, Kind::Summary, help);
                for (labels, sum, count) in rows {
                    self.sample(name, "_sum", labels, sum);
                    self.sample(name, "_count", labels, count);
                }
            }
            Format::Text => {
                self.head(&format!("{name}_sum"), Kind::Counter, help);
                for (labels, sum, _) in rows {
                    self.sample(name, "_sum", labels, sum);
                }
                self.head(&format!("{name}_count"), Kind::Counter, help);
                for (labels, _, count) in rows {
                    self.sample(name, "_count", labels, count);
                }
            }
        }
    }

    fn head(&mut self, name: &str, kind: Kind, help: &str) {
        // OpenMetrics names a counter's family without the ending of its samples.
        let family = match (self.format, kind) {
            (Format::OpenMetrics, Kind::Counter) => name.strip_suffix("_total").unwrap_or(name),
            _ => name,
        };
        let help = help.replace('\\', "\\\\").replace('\n', "\\n");
        self.line(format_args!("# HELP {family} {help}"));
        self.line(format_args!("# TYPE {family} {}", kind.word()));
    }

    fn sample(&mut self, name: &str, ending: &str, labels: Labels<'_>, value: impl Display) {
        self.text.push_str(name);
        self.text.push_str(ending);
        for (at, (label, value)) in labels.iter().enumerate() {
            self.text.push_str(if at == 0 { "{" } else { "," });
            self.text.push_str(label);
            self.text.push_str("=\"");
            escape(&mut self.text, value);
            self.text.push('"');
        }
        self.text.push_str(if labels.is_empty() { " " } else { "} " });
        self.line(format_args!("{value}"));
    }

    fn line(&mut self, line: std::fmt::Arguments<'_>) {
        // Writing to a String can't fail.
        let _ = writeln!(self.text, "{line}");
    }

    /// The whole page.
    pub(crate) fn finish(mut self) -> String {
        if self.format == Format::OpenMetrics {
            self.text.push_str("# EOF\n");
        }
        self.text
    }
}

/// Label values are any text: backslash, quote and line feed are escaped.
fn escape(text: &mut String, value: &str) {
    for letter in value.chars() {
        match letter {
            '\\' => text.push_str("\\\\"),
            '"' => text.push_str("\\\""),
            '\n' => text.push_str("\\n"),
            other => text.push(other),
        }
    }
}

/// A family whose samples are being written.
pub(crate) struct Family<'p> {
    page: &'p mut Page,
    name: &'p str,
}

/// What a histogram has observed.
pub(crate) struct Observed<'a> {
    /// Upper bounds of the buckets, in microseconds, growing.
    pub(crate) bounds: &'a [u64],
    /// Observations per bucket, not cumulated.
    pub(crate) buckets: &'a [u64],
    /// Observations above the last bound.
    pub(crate) above: u64,
    /// Sum of what was observed, in microseconds.
    pub(crate) sum: u64,
}

impl Family<'_> {
    /// One sample of a counter or a gauge.
    pub(crate) fn sample(&mut self, labels: Labels<'_>, value: impl Display) {
        self.page.sample(self.name, "", labels, value);
    }

    /// All samples of one histogram. OpenMetrics writes whole seconds with a point.
    pub(crate) fn histogram(&mut self, labels: Labels<'_>, observed: &Observed<'_>) {
        let mut row = labels.to_vec();
        let mut total = 0;
        let bounds = observed.bounds.iter().map(|bound| match self.page.format {
            Format::Text => seconds(*bound).to_string(),
            Format::OpenMetrics => format!("{:?}", seconds(*bound)),
        });
        let bounds: Vec<String> = bounds.collect();
        for (bound, count) in bounds.iter().zip(observed.buckets) {
            total += count;
            row.push(("le", bound));
            self.page.sample(self.name, "_bucket", &row, total);
            row.pop();
        }
        total += observed.above;
        row.push(("le", "+Inf"));
        self.page.sample(self.name, "_bucket", &row, total);
        self.page.sample(self.name, "_sum", labels, seconds(observed.sum));
        self.page.sample(self.name, "_count", labels, total);
    }
}

/// Seconds of a count of microseconds.
pub(crate) fn seconds(micros: u64) -> f64 {
    micros as f64 / 1_000_000.0
}

#[cfg(test)]
#[path = "exposition_test.rs"]
pub(crate) mod tests;
