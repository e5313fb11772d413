//! Many starts and stops leave nothing behind: alone in its process, which is what is counted.
