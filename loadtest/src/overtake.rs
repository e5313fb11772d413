//! Order: how many later requests were answered before an earlier one.
//!
//! A request is later than another if it was begun to be written after the kernel had the other: what this program was
//! itself late with is nobody's overtaking.

use std::time::Duration;

/// When one request was written and when its answer began, all since the start of the load.
#[derive(Clone, Copy, Debug)]
pub struct Passage {
    /// Before its first byte was written.
    pub begun: Duration,
    /// When the kernel had it.
    pub sent: Duration,
    /// The head of its answer was there.
    pub answered: Duration,
}

/// The most requests that overtook any one request: begun at least `gap` after it was sent, answered before it.
///
/// n log n: from the last request begun to the first, the answers of those sent late enough are counted in a Fenwick tree
/// over the ranks of the answers.
pub fn most_overtaken(passages: &[Passage], gap: Duration) -> usize {
    let mut by_sending = passages.to_vec();
    by_sending.sort_by_key(|passage| passage.sent);
    let mut by_begin = passages.to_vec();
    by_begin.sort_by_key(|passage| passage.begun);
    let mut answers: Vec<Duration> = passages.iter().map(|passage| passage.answered).collect();
    answers.sort_unstable();
    let rank = |answered: Duration| answers.partition_point(|other| *other < answered);
    let mut tree = Fenwick(vec![0; answers.len()]);
    let (mut most, mut late) = (0, by_begin.len());
    for passage in by_sending.iter().rev() {
        while late > 0 && by_begin[late - 1].begun >= passage.sent + gap {
            late -= 1;
            // With no gap a request may be among those late enough for itself, but it isn't answered before itself.
            tree.add(rank(by_begin[late].answered));
        }
        most = most.max(tree.below(rank(passage.answered)));
    }
    most
}

/// Counts by rank, with the sum of all below a rank in log n.
struct Fenwick(Vec<usize>);

impl Fenwick {
    fn add(&mut self, rank: usize) {
        let mut at = rank + 1;
        while at <= self.0.len() {
            self.0[at - 1] += 1;
            at += at & at.wrapping_neg();
        }
    }

    fn below(&self, rank: usize) -> usize {
        let (mut at, mut sum) = (rank, 0);
        while at > 0 {
            sum += self.0[at - 1];
            at &= at - 1;
        }
        sum
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn passage(begun: u64, sent: u64, answered: u64) -> Passage {
        let [begun, sent, answered] = [begun, sent, answered].map(Duration::from_millis);
        Passage { begun, sent, answered }
    }

    fn passages(pairs: &[(u64, u64)]) -> Vec<Passage> {
        pairs.iter().map(|(sent, answered)| passage(*sent, *sent, *answered)).collect()
    }

    #[test]
    fn what_was_written_at_the_same_time_overtakes_nothing() {
        let gap = Duration::from_millis(5);
        let slow = passage(0, 20, 100);
        assert_eq!(most_overtaken(&[slow, passage(10, 11, 50), passage(24, 24, 50)], gap), 0);
        assert_eq!(most_overtaken(&[slow, passage(10, 11, 50), passage(25, 26, 50)], gap), 1);
    }

    #[test]
    fn counts_later_requests_that_were_answered_earlier() {
        let gap = Duration::from_millis(5);
        for (pairs, most) in [
            (&[][..], 0),
            (&[(0, 10), (5, 20), (10, 30)], 0),
            (&[(0, 100), (5, 20), (10, 30)], 2),
            // Sent less than the gap later: no overtaking.
            (&[(0, 100), (4, 20), (10, 30)], 1),
            // Answered at the same moment: no overtaking.
            (&[(0, 100), (10, 100)], 0),
            (&[(20, 30), (0, 100), (10, 31), (5, 99)], 3),
        ] {
            assert_eq!(most_overtaken(&passages(pairs), gap), most, "{pairs:?}");
        }
    }

    #[test]
    fn agrees_with_counting_each_pair() {
        let mut random = fastrand::Rng::with_seed(5);
        for round in 0..200 {
            let all: Vec<(u64, u64)> = (0..round % 40)
                .map(|_| {
                    let sent = random.u64(0..50);
                    (sent, sent + random.u64(0..60))
                })
                .collect();
            for gap in [0, 1, 5, 20] {
                let overtook = |(sent, answered): (u64, u64)| {
                    all.iter().filter(|later| later.0 >= sent + gap && later.1 < answered).count()
                };
                let most = all.iter().map(|pair| overtook(*pair)).max().unwrap_or(0);
                assert_eq!(most_overtaken(&passages(&all), Duration::from_millis(gap)), most);
            }
        }
    }
}
