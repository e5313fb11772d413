use std::collections::{HashMap, HashSet};

use super::*;

/// Reads a page as strictly as the formats are written down, and panics at what they don't allow.
/// Returns the families with their types, and every sample.
pub(crate) fn read(text: &str, format: Format) -> (HashMap<String, String>, HashMap<String, f64>) {
    assert!(text.ends_with('\n'), "the last line ends");
    let body = match format {
        Format::Text => text,
        Format::OpenMetrics => text.strip_suffix("# EOF\n").expect("ends with EOF"),
    };
    let (mut families, mut samples) = (HashMap::new(), HashMap::new());
    let mut helped = String::new();
    let mut current = (String::new(), String::new());
    for line in body.lines() {
        if let Some(help) = line.strip_prefix("# HELP ") {
            helped = help.split_once(' ').expect("a help text").0.to_owned();
            assert!(!families.contains_key(&helped), "{helped} appears once");
        } else if let Some(kind) = line.strip_prefix("# TYPE ") {
            let (name, kind) = kind.split_once(' ').expect("a type");
            assert_eq!(name, helped, "HELP comes before TYPE");
            families.insert(name.to_owned(), kind.to_owned());
            current = (name.to_owned(), kind.to_owned());
        } else {
            let (series, value) = line.rsplit_once(' ').expect("a value");
            let name = series.split('{').next().unwrap();
            assert!(belongs(name, &current, format), "{name} under {current:?}");
            assert_labels(series);
            let value: f64 = value.replace("+Inf", "inf").parse().expect("a number");
            assert!(samples.insert(series.to_owned(), value).is_none(), "{series} appears once");
        }
    }
    assert_histograms(&families, body);
    (families, samples)
}

fn belongs(name: &str, (family, kind): &(String, String), format: Format) -> bool {
    let endings: &[&str] = match (kind.as_str(), format) {
        ("counter", Format::OpenMetrics) => &["_total"],
        ("histogram", _) => &["_bucket", "_sum", "_count"],
        ("summary", _) => &["_sum", "_count"],
        _ => &[""],
    };
    endings.iter().any(|ending| format!("{family}{ending}") == name)
}

fn assert_labels(series: &str) {
    let Some((_, labels)) = series.split_once('{') else { return };
    let mut rest = labels.strip_suffix('}').expect("closed");
    let mut seen = HashSet::new();
    while !rest.is_empty() {
        let (name, tail) = rest.split_once("=\"").expect("a label");
        assert!(name.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'_'), "{name}");
        assert!(seen.insert(name), "{name} once in {series}");
        let mut escaped = false;
        let end = tail.find(|letter| {
            let end = letter == '"' && !escaped;
            escaped = letter == '\\' && !escaped;
            end
        });
        rest = &tail[end.expect("a closing quote") + 1..];
        rest = rest.strip_prefix(',').unwrap_or(rest);
    }
}

fn assert_histograms(families: &HashMap<String, String>, body: &str) {
    for (name, _) in families.iter().filter(|(_, kind)| *kind == "histogram") {
        let mut last: HashMap<String, (f64, f64)> = HashMap::new();
        for line in body.lines().filter(|line| line.starts_with(&format!("{name}_bucket"))) {
            let (series, count) = line.rsplit_once(' ').unwrap();
            let (labels, bound) = series.split_once("le=\"").expect("a bound");
            let bound: f64 = bound.trim_end_matches("\"}").replace("+Inf", "inf").parse().unwrap();
            let count: f64 = count.parse().unwrap();
            let labels = labels.replace("_bucket", "").trim_end_matches([',', '{']).to_owned();
            if let Some((before, fewer)) = last.insert(labels, (bound, count)) {
                assert!(before < bound && fewer <= count, "{series}");
            }
        }
        for (labels, (bound, total)) in last {
            assert_eq!(bound, f64::INFINITY, "{labels}");
            let series = labels.replacen(name, &format!("{name}_count"), 1);
            let close = if series.contains('{') { "}" } else { "" };
            assert!(body.contains(&format!("\n{series}{close} {total}\n")), "{series} is {total}");
        }
    }
}

#[test]
fn what_is_written_is_read_strictly() {
    for format in [Format::Text, Format::OpenMetrics] {
        let mut page = Page::new(format);
        page.family("a_total", Kind::Counter, "One \\ two.\nThree.").sample(&[("x", "1\"\\\n")], 3);
        page.family("b", Kind::Gauge, "Nothing.").sample(&[], 0.5);
        let observed = Observed { bounds: &[5_000, 1_000_000], buckets: &[1, 2], above: 4, sum: 2_500_000 };
        let mut family = page.family("c_seconds", Kind::Histogram, "Spans.");
        family.histogram(&[("x", "1")], &observed);
        family.histogram(&[("x", "2")], &observed);
        page.sums("d_seconds", "Phases.", &[(vec![("phase", "start")], 1.5, 2)]);
        let (families, samples) = read(&page.finish(), format);
        assert_eq!(samples[r#"a_total{x="1\"\\\n"}"#], 3.0);
        assert_eq!(samples[r#"c_seconds_bucket{x="1",le="0.005"}"#], 1.0);
        let second = if format == Format::Text { "1" } else { "1.0" };
        assert_eq!(samples[&format!(r#"c_seconds_bucket{{x="1",le="{second}"}}"#)], 3.0);
        assert_eq!(samples[r#"c_seconds_bucket{x="2",le="+Inf"}"#], 7.0);
        assert_eq!(samples[r#"c_seconds_sum{x="1"}"#], 2.5);
        assert_eq!(samples[r#"d_seconds_count{phase="start"}"#], 2.0);
        let counter = if format == Format::Text { "a_total" } else { "a" };
        assert_eq!(families[counter], "counter");
    }
}

#[test]
fn openmetrics_is_written_to_those_who_ask() {
    let prometheus =
        "application/openmetrics-text;version=1.0.0;q=0.5,text/plain;version=0.0.4;q=0.2,*/*;q=0.1";
    assert_eq!(Format::accepted(Some(prometheus)), Format::OpenMetrics);
    assert_eq!(Format::accepted(Some("*/*")), Format::Text);
    assert_eq!(Format::accepted(None), Format::Text);
}
