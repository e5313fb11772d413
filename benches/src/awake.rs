//! Cores that don't fall asleep. One of a virtual machine that has nothing to do is given away, and takes longer to come back
//! than a request takes: a latency is then the host's, and who needs less of its core has more of it. Linux lets a program say
//! how long a wake-up may take, for as long as it holds a file open: for 0 µs, an idle core waits without leaving.
//! Source: Linux, Documentation/power/pm_qos_interface.rst.

use std::fs::{File, OpenOptions};
use std::io::Write;

const FILE: &str = "/dev/cpu_dma_latency";

/// While it lives, no core falls asleep.
pub(crate) struct Awake {
    _held: File,
}

impl Awake {
    /// # Errors
    ///
    /// The file isn't there, or this user may not write to it.
    pub(crate) fn keep() -> Result<Awake, String> {
        let open = || {
            let mut file = OpenOptions::new().write(true).open(FILE)?;
            file.write_all(&0_i32.to_ne_bytes()).map(|()| file)
        };
        let held = open().map_err(|error| format!("cores can't be kept awake: {FILE}: {error}"))?;
        Ok(Awake { _held: held })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cores_are_kept_awake_where_that_is_allowed_or_it_is_said_why_not() {
        match Awake::keep() {
            Ok(_) => assert!(OpenOptions::new().write(true).open(FILE).is_ok()),
            Err(why) => assert!(why.contains(FILE), "{why}"),
        }
    }
}
