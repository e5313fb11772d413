//! Patterns of paths, each read once for as long as somebody has it: that costs a thousand times what a route costs.

use std::collections::HashMap;

use kaos_core::pattern::Pattern;

/// Most of them at one time, for each takes memory, however many Ingresses there are.
const MOST: usize = 2000;

/// What was read.
#[derive(Debug, Default)]
pub(crate) struct Patterns {
    known: HashMap<Box<str>, Known>,
}

#[derive(Debug)]
struct Known {
    read: Result<Pattern, String>,
    /// Somebody has asked for it since the last sweep.
    wanted: bool,
}

impl Patterns {
    /// As of [`Pattern::read`].
    pub(crate) fn read(&mut self, text: &str) -> Result<Pattern, String> {
        if let Some(known) = self.known.get_mut(text) {
            known.wanted = true;
            return known.read.clone();
        }
        if self.known.len() == MOST {
            return Err(format!(
                "older Ingresses have {MOST} patterns already: no more are allowed in a cluster"
            ));
        }
        let read = Pattern::read(text);
        self.known.insert(text.into(), Known { read: read.clone(), wanted: true });
        read
    }

    /// Forgets what nobody has asked for since this was called last.
    pub(crate) fn sweep(&mut self) {
        self.known.retain(|_, known| std::mem::take(&mut known.wanted));
    }
}
