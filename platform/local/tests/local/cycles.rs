//! Many starts and stops leave nothing behind. Counted in a process that does nothing else.

use std::process::Command;

use crate::stage::FIXTURE;

/// Descriptors, threads and resident KiB of one process.
type Belongings = [u64; 3];

fn belongings(line: &str) -> Vec<Belongings> {
    let numbers: Vec<u64> = line.split(' ').map(|number| number.parse().unwrap()).collect();
    numbers.chunks(3).map(|three| three.try_into().unwrap()).collect()
}

#[test]
fn two_hundred_starts_and_stops_leave_everything_as_it_was() {
    let output = Command::new(FIXTURE)
        .args(["cycle", "20", "200", FIXTURE, "serve"])
        .output()
        .expect("the fixture runs");
    let said = String::from_utf8(output.stdout).unwrap();
    println!("{said}");
    let rounds: Vec<Vec<Belongings>> = said.lines().map(belongings).collect();
    let [warm, long, closed] = rounds.as_slice() else { panic!("three rounds, not {rounds:?}") };
    // Itself and its guardian; no replica.
    assert_eq!((warm.len(), long.len(), closed.len()), (2, 2, 1));
    for (before, after) in warm.iter().zip(long) {
        assert_eq!(before[..2], after[..2], "descriptors and threads");
        assert!(after[2] < before[2] + 2048, "resident: {} KiB, then {} KiB", before[2], after[2]);
    }
    assert!(closed[0][0] < long[0][0], "the guardian's socket is closed");
}
