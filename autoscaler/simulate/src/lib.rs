//! The control line and the admission rules under a virtual clock.
