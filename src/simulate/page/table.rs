//! What each policy costs, as a table.

use std::fmt::Write;
use std::time::Duration;

use kaos_simulate::replay::{Choice, Figures, Waits};

use super::say::{NONE, count, decimal, escape, hours, share, span};
use super::style::colour;

/// What became of some requests under one policy.
pub(super) struct Row<'a> {
    pub(super) choice: Choice,
    pub(super) figures: &'a Figures,
    waits: Waits,
}

impl<'a> Row<'a> {
    /// Sorts the waits: not for rows that nobody sees.
    pub(super) fn new(choice: Choice, figures: &'a Figures) -> Self {
        Row { choice, figures, waits: figures.waits() }
    }

    fn is_oracle(&self) -> bool {
        self.choice == Choice::Oracle
    }

    pub(super) fn replica_hours(&self) -> f64 {
        hours(self.figures.replica_time())
    }

    fn wait(&self, pick: fn(&Waits) -> Duration) -> String {
        if self.figures.waits.is_empty() { NONE.to_owned() } else { escape(&span(pick(&self.waits))) }
    }
}

struct Column {
    /// Stands over several; empty if it stands alone.
    group: &'static str,
    head: &'static str,
    /// As HTML. The number: decimals of hours.
    cell: fn(&Row<'_>, usize) -> String,
    /// Less is better; none where neither is.
    cost: Option<fn(&Row<'_>) -> f64>,
    /// Whether it is in the tables of single functions.
    small: bool,
}

const COLD: &str = "cold requests";
const PREWARMS: &str = "pre-warms";
const WAIT: &str = "wait of those that waited";
const HOURS: &str = "replica hours";

const COLUMNS: [Column; 13] = [
    Column {
        group: "",
        head: "requests",
        cell: |row, _| count(row.figures.requests),
        cost: None,
        small: false,
    },
    Column {
        group: COLD,
        head: "number",
        cell: |row, _| count(row.figures.cold_requests),
        cost: Some(|row| row.figures.cold_requests as f64),
        small: true,
    },
    Column {
        group: COLD,
        head: "share",
        cell: |row, _| escape(&share(row.figures.cold_requests, row.figures.requests)),
        cost: None,
        small: true,
    },
    Column {
        group: "",
        head: "starts",
        cell: |row, _| count(row.figures.starts),
        cost: Some(|row| row.figures.starts as f64),
        small: true,
    },
    Column {
        group: PREWARMS,
        head: "used",
        cell: |row, _| count(row.figures.prewarms.used),
        cost: None,
        small: true,
    },
    Column {
        group: PREWARMS,
        head: "unused",
        cell: |row, _| count(row.figures.prewarms.unused),
        cost: None,
        small: true,
    },
    Column {
        group: WAIT,
        head: "p50",
        cell: |row, _| row.wait(|waits| waits.p50),
        cost: Some(|row| row.waits.p50.as_secs_f64()),
        small: true,
    },
    Column {
        group: WAIT,
        head: "p95",
        cell: |row, _| row.wait(|waits| waits.p95),
        cost: Some(|row| row.waits.p95.as_secs_f64()),
        small: false,
    },
    Column {
        group: WAIT,
        head: "p99",
        cell: |row, _| row.wait(|waits| waits.p99),
        cost: Some(|row| row.waits.p99.as_secs_f64()),
        small: false,
    },
    Column {
        group: WAIT,
        head: "max",
        cell: |row, _| row.wait(|waits| waits.max),
        cost: Some(|row| row.waits.max.as_secs_f64()),
        small: true,
    },
    Column {
        group: HOURS,
        head: "all",
        cell: |row, decimals| decimal(row.replica_hours(), decimals),
        cost: Some(|row| hours(row.figures.replica_time())),
        small: true,
    },
    Column {
        group: HOURS,
        head: "busy",
        cell: |row, decimals| decimal(hours(row.figures.busy_time()), decimals),
        cost: None,
        small: true,
    },
    Column {
        group: HOURS,
        head: "idle",
        cell: |row, decimals| decimal(hours(row.figures.idle_time()), decimals),
        cost: Some(|row| hours(row.figures.idle_time())),
        small: true,
    },
];

/// A line for each policy. `small`: of a single function.
pub(super) fn table(rows: &[Row<'_>], small: bool) -> String {
    let columns: Vec<&Column> = COLUMNS.iter().filter(|column| column.small || !small).collect();
    let decimals = decimals(rows);
    let best: Vec<_> = columns.iter().map(|column| best(column, rows, decimals)).collect();
    let mut out = format!("<div class=\"wide\"><table>\n{}<tbody>\n", heads(&columns));
    for (at, row) in rows.iter().enumerate() {
        let bound = if row.is_oracle() { " class=\"bound\"" } else { "" };
        let (colour, policy) = (colour(at), escape(&row.choice.to_string()));
        let _ = write!(out, "<tr{bound}><th scope=\"row\"><span class=\"key {colour}\"></span>{policy}</th>");
        for ((column, apart), best) in columns.iter().zip(apart(&columns)).zip(&best) {
            let cell = (column.cell)(row, decimals);
            let is_best = !row.is_oracle() && best.as_ref() == Some(&cell);
            let _ = write!(out, "<td{}>{cell}</td>", class(apart, is_best));
        }
        out.push_str("</tr>\n");
    }
    out.push_str("</tbody>\n</table></div>\n");
    out
}

fn class(apart: bool, is_best: bool) -> &'static str {
    match (apart, is_best) {
        (true, true) => " class=\"apart best\"",
        (true, false) => " class=\"apart\"",
        (false, true) => " class=\"best\"",
        (false, false) => "",
    }
}

/// Two lines: groups, and what they consist of.
fn heads(columns: &[&Column]) -> String {
    let mut out = String::from("<thead>\n<tr><td></td>");
    for group in columns.chunk_by(|one, next| is_together(one, next)) {
        let name = group.first().map_or("", |column| column.group);
        let class = class(group.len() > 1, false);
        let _ = match group.len() {
            1 => write!(out, "<td></td>"),
            span => write!(out, "<th scope=\"colgroup\" colspan=\"{span}\"{class}>{name}</th>"),
        };
    }
    out.push_str("</tr>\n<tr><th scope=\"col\">policy</th>");
    for (column, apart) in columns.iter().zip(apart(columns)) {
        let _ = write!(out, "<th scope=\"col\"{}>{}</th>", class(apart, false), column.head);
    }
    out.push_str("</tr>\n</thead>\n");
    out
}

fn is_together(one: &Column, next: &Column) -> bool {
    !one.group.is_empty() && one.group == next.group
}

/// Whether each column begins something, and is set apart from the one before.
fn apart(columns: &[&Column]) -> Vec<bool> {
    let groups = columns.chunk_by(|one, next| is_together(one, next));
    groups.flat_map(|group| (0..group.len()).map(|at| at == 0)).collect()
}

/// One decimal, or more where all are so small that one would hide them.
fn decimals(rows: &[Row<'_>]) -> usize {
    let most = rows.iter().map(Row::replica_hours).fold(0.0, f64::max);
    match most {
        0.0 | 1.0.. => 1,
        0.1..1.0 => 2,
        _ => 3,
    }
}

/// The cell of the policy that costs least, unless all have the same. What needs the future isn't compared.
fn best(column: &Column, rows: &[Row<'_>], decimals: usize) -> Option<String> {
    let cost = column.cost?;
    let real = || rows.iter().filter(|row| !row.is_oracle());
    let least = real().min_by(|one, other| cost(one).total_cmp(&cost(other)))?;
    let cell = (column.cell)(least, decimals);
    real().any(|row| (column.cell)(row, decimals) != cell).then_some(cell)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn figures(cold_requests: u64, starts: u64) -> Figures {
        let mut figures = Figures::default();
        figures.requests = 1000;
        figures.cold_requests = cold_requests;
        figures.starts = starts;
        figures
    }

    #[test]
    fn the_least_is_set_apart_but_not_what_needs_the_future() {
        let (kaos, kpa, oracle) = (figures(10, 7), figures(43, 7), figures(0, 1));
        let rows =
            [Row::new(Choice::Kaos, &kaos), Row::new(Choice::Kpa, &kpa), Row::new(Choice::Oracle, &oracle)];
        let table = table(&rows, false);
        assert_eq!(table.matches("best").count(), 1, "{table}");
        assert!(table.contains("<td class=\"apart best\">10</td>"), "{table}");
        assert!(table.contains("<tr class=\"bound\">"), "{table}");
    }

    #[test]
    fn a_single_policy_is_the_best_of_none() {
        let kaos = figures(10, 7);
        let rows = [Row::new(Choice::Kaos, &kaos)];
        assert!(!table(&rows, false).contains("best"));
    }

    #[test]
    fn a_single_function_has_fewer_columns_under_the_same_groups() {
        let kaos = figures(10, 7);
        let rows = [Row::new(Choice::Kaos, &kaos)];
        let small = table(&rows, true);
        assert!(small.contains("colspan=\"2\" class=\"apart\">wait"), "{small}");
        assert!(!small.contains("p99"), "{small}");
        assert_eq!(small.matches("<td").count(), 2 + 10, "{small}");
    }
}
