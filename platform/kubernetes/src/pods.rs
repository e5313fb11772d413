//! What is known of the pods of a workload that wakes.

use std::collections::HashMap;

use crate::object::Pod;

/// Pods of a waking workload, by name.
#[derive(Debug)]
pub(crate) enum Pods {
    /// One that can't be read is `None`: it stays as it is known.
    All(HashMap<Box<str>, Option<Pod>>),
    One(Box<str>, Option<Box<Pod>>),
}

impl Pods {
    /// Puts them into `known`. Whether that changed anything.
    pub(crate) fn put(self, known: &mut HashMap<Box<str>, Pod>) -> bool {
        match self {
            Pods::All(all) => {
                let read = |(name, pod): (Box<str>, Option<Pod>)| {
                    let pod = pod.or_else(|| known.get(&name).cloned())?;
                    Some((name, pod))
                };
                let all = all.into_iter().filter_map(read).collect();
                let changed = *known != all;
                *known = all;
                changed
            }
            Pods::One(name, Some(pod)) => {
                let same = known.get(&name) == Some(&*pod);
                known.insert(name, *pod);
                !same
            }
            Pods::One(name, None) => known.remove(&name).is_some(),
        }
    }
}
