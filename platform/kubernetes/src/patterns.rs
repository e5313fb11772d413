//! Patterns of paths, each read once for as long as somebody has it: that costs a thousand times what a route costs.

use std::collections::HashMap;

use kaos_core::pattern::Pattern;

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
        let read = Pattern::read(text);
        self.known.insert(text.into(), Known { read: read.clone(), wanted: true });
        read
    }

    /// Forgets what nobody has asked for since this was called last.
    pub(crate) fn sweep(&mut self) {
        self.known.retain(|_, known| std::mem::take(&mut known.wanted));
    }
}
