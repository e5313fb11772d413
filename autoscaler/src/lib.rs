//! The control line: collect, window, decide, scale; and the journal that explains it.
