//! The data line: accept, route, admit, forward, observe.
