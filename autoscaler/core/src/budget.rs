//! How many replicas may start at once over all workloads, and who is next when more are wanted.
//!
//! One replica each in turn, in order of demand: a workload that wants fifty doesn't keep another from its first one,
//! and a crawler over three hundred sleeping hosts doesn't start three hundred at once.

use std::collections::{HashMap, HashSet, VecDeque};
use std::hash::Hash;

use foldhash::fast::FixedState;

/// Those who were held back, in the order of their turns.
#[derive(Clone, Debug)]
pub struct Budget<K> {
    queue: VecDeque<K>,
}

impl<K> Default for Budget<K> {
    fn default() -> Self {
        Budget { queue: VecDeque::new() }
    }
}

impl<K: Clone + Eq + Hash> Budget<K> {
    /// Those who are held back.
    pub fn held_back(&self) -> impl Iterator<Item = &K> {
        self.queue.iter()
    }

    /// Shares `free` starts among those who wish for some: how many each gets, in the order of `wishes`. Who gets nothing
    /// keeps its place, before all who come later; who gets some and wants more goes to the end.
    pub fn share(&mut self, mut free: u32, wishes: &[(K, u32)]) -> Vec<u32> {
        let mut grants = vec![0; wishes.len()];
        let mut place: HashMap<&K, usize, FixedState> =
            wishes.iter().enumerate().map(|(at, (who, _))| (who, at)).collect();
        let mut turns: VecDeque<usize> = self.queue.iter().filter_map(|who| place.remove(who)).collect();
        turns.extend((0..wishes.len()).filter(|at| place.contains_key(&wishes[*at].0)));
        while free > 0 {
            let Some(at) = turns.pop_front() else { break };
            if grants[at] < wishes[at].1 {
                grants[at] += 1;
                free -= 1;
                turns.push_back(at);
            }
        }
        let served: HashSet<&K, FixedState> =
            (0..wishes.len()).filter(|at| grants[*at] > 0).map(|at| &wishes[at].0).collect();
        self.queue.retain(|who| !served.contains(who));
        let newcomers = turns.iter().filter(|at| grants[**at] == 0 && place.contains_key(&wishes[**at].0));
        let unsatisfied = turns.iter().filter(|at| (1..wishes[**at].1).contains(&grants[**at]));
        self.queue.extend(newcomers.chain(unsatisfied).map(|at| wishes[*at].0.clone()));
        grants
    }

    /// `who` wants nothing any more.
    pub fn withdraw(&mut self, who: &K) {
        self.queue.retain(|queued| queued != who);
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn one_each_in_turn_and_nobody_starves() {
        let mut budget = Budget::default();
        assert_eq!(budget.share(4, &[("a", 50), ("b", 1), ("c", 2)]), [2, 1, 1]);
        // c waited longest: a was served last.
        assert_eq!(budget.held_back().copied().collect::<Vec<_>>(), ["c", "a"]);
        assert_eq!(budget.share(1, &[("a", 48), ("c", 1), ("d", 1)]), [0, 1, 0]);
        assert_eq!(budget.share(1, &[("a", 48), ("d", 1)]), [1, 0]);
        assert_eq!(budget.share(1, &[("a", 47), ("d", 1)]), [0, 1]);
    }

    #[test]
    fn who_wants_no_more_loses_its_place() {
        let mut budget = Budget::default();
        budget.share(0, &[("a", 1), ("b", 1)]);
        budget.withdraw(&"a");
        assert_eq!(budget.share(1, &[("b", 1), ("c", 1)]), [1, 0]);
        assert_eq!(budget.held_back().copied().collect::<Vec<_>>(), ["c"]);
    }

    proptest! {
        #[test]
        fn all_is_given_and_no_more(free in 0u32..40, wants in prop::collection::vec(0u32..9, 0..12)) {
            let wishes: Vec<(usize, u32)> = wants.iter().copied().enumerate().collect();
            let grants = Budget::default().share(free, &wishes);
            prop_assert_eq!(grants.iter().sum::<u32>(), free.min(wants.iter().sum()));
            let short = grants.iter().zip(&wants).filter(|(got, want)| got < want).map(|(got, _)| *got).min();
            let most = grants.iter().copied().max().unwrap_or(0);
            prop_assert!(short.is_none_or(|short| most <= short + 1));
        }
    }
}
