//! The platform seam over child processes on loopback.
