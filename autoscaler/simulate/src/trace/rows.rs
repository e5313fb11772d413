//! Requests from a table: one a row.

use super::arrivals::{Arrival, Arrivals};
use super::lines::Lines;
use super::table::Table;
use super::time::{self, Stamp};
use super::{TAKES, TraceError};

const COLUMNS: [&str; 3] = ["time", "workload", "duration"];

/// Reads all requests.
pub(super) fn read(lines: Lines<'_>, arrivals: &mut Arrivals) -> Result<(), TraceError> {
    let mut table = Table::new(lines)?;
    let hint = if table.columns().any(|name| COLUMNS.contains(&name)) {
        ""
    } else {
        " (as it is neither JSON nor the line of an access log, this is read as a table's header)"
    };
    table.only(&COLUMNS, hint)?;
    let at = table.required("time")?;
    let (workload, duration) = (table.place("workload"), table.place("duration"));
    while table.advance()? {
        let stamp = table.read(at, time::TIME, Stamp::read)?;
        let takes = match duration {
            Some(duration) if !table.cell(duration).is_empty() => {
                table.read(duration, time::DURATION, time::seconds)?
            }
            _ => TAKES,
        };
        let workload = workload.map_or("", |workload| table.cell(workload));
        let arrival = Arrival { workload, stamp, before: 0, takes };
        arrivals.add(table.line(), arrival).map_err(|what| table.wrong(what))?;
    }
    Ok(())
}
