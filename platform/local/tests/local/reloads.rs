//! reloads
