//! Everything that one proxy has last said: its reports put together.

use std::collections::{BTreeMap, BTreeSet};

use kaos_core::{Reading, Report, WorkloadId};

/// The last reading of every workload.
#[derive(Debug)]
pub(crate) struct Picture {
    last: Report,
    whole: bool,
    readings: BTreeMap<WorkloadId, Reading>,
}

impl Picture {
    /// Begins with `report`.
    pub(crate) fn new(report: &Report) -> Self {
        let last = Report { workloads: Vec::new(), ..report.clone() };
        let mut picture = Picture { last, whole: false, readings: BTreeMap::new() };
        picture.take(report);
        picture
    }

    /// Takes the next report. One of everything drops what it doesn't name; one of another epoch begins anew.
    pub(crate) fn take(&mut self, report: &Report) {
        if report.epoch != self.last.epoch {
            self.readings.clear();
            self.whole = false;
        }
        if report.full {
            let named: BTreeSet<&WorkloadId> = report.workloads.iter().map(|(id, _)| id).collect();
            self.readings.retain(|id, _| named.contains(id));
            self.whole = true;
        }
        self.readings.extend(report.workloads.iter().cloned());
        self.last = Report { workloads: Vec::new(), ..report.clone() };
    }

    /// All of it as one report, numbered as the last one that is in it. `None` before the first of everything.
    pub(crate) fn full(&self) -> Option<Report> {
        let workloads = || self.readings.iter().map(|(id, reading)| (id.clone(), reading.clone()));
        self.whole.then(|| Report { full: true, workloads: workloads().collect(), ..self.last.clone() })
    }

    /// The last reading of each workload.
    pub(crate) fn readings(&self) -> &BTreeMap<WorkloadId, Reading> {
        &self.readings
    }

    /// When the last report was made, in the proxy's microseconds.
    pub(crate) fn at(&self) -> u64 {
        self.last.at
    }
}

#[cfg(test)]
mod tests {
    use kaos_core::ProxyId;

    use super::*;

    fn report(epoch: u64, sequence: u64, full: bool, names: &[(&str, u64)]) -> Report {
        let reading = |seen| Reading { seen, ..Reading::default() };
        let workloads =
            names.iter().map(|(name, seen)| (WorkloadId::new("n", name), reading(*seen))).collect();
        Report { version: 1, proxy: ProxyId::new("p"), epoch, sequence, at: sequence, full, workloads }
    }

    #[test]
    fn it_is_what_a_reader_from_the_beginning_would_know() {
        let mut picture = Picture::new(&report(1, 1, false, &[("a", 1)]));
        assert_eq!(picture.full(), None);
        picture.take(&report(1, 2, true, &[("a", 1), ("b", 1)]));
        picture.take(&report(1, 3, false, &[("b", 2), ("c", 1)]));
        assert_eq!(picture.full(), Some(report(1, 3, true, &[("a", 1), ("b", 2), ("c", 1)])));
        picture.take(&report(1, 4, true, &[("b", 3)]));
        assert_eq!(picture.full(), Some(report(1, 4, true, &[("b", 3)])));
        picture.take(&report(2, 1, false, &[("b", 1)]));
        assert_eq!(picture.full(), None);
    }
}
