//! What the outside may tell a running Kaos: end, end at once, read the configuration again.

use std::io::IsTerminal;

use tokio::signal::unix::{Signal, SignalKind, signal};

use crate::failure::Failure;

/// The signals that are listened to.
pub(crate) struct Signals {
    interrupt: Signal,
    terminate: Signal,
    hangup: Signal,
    /// Whether a terminal was there to begin with: its end is ours.
    terminal: bool,
}

/// What a signal means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Told {
    /// Finish what is under way, then end.
    End,
    /// Read the configuration again.
    Reload,
}

impl Signals {
    /// Begins to listen.
    pub(crate) fn listen() -> Result<Signals, Failure> {
        let listen = |kind| signal(kind).map_err(|error| Failure::Failed(format!("signals: {error}")));
        Ok(Signals {
            interrupt: listen(SignalKind::interrupt())?,
            terminate: listen(SignalKind::terminate())?,
            hangup: listen(SignalKind::hangup())?,
            terminal: std::io::stdin().is_terminal(),
        })
    }

    /// The next thing that is told.
    pub(crate) async fn next(&mut self) -> Told {
        tokio::select! {
            _ = self.interrupt.recv() => Told::End,
            _ = self.terminate.recv() => Told::End,
            _ = self.hangup.recv() => if self.terminal && has_hung_up() { Told::End } else { Told::Reload },
        }
    }

    /// Ctrl-C while it ends: nobody wants to wait any longer. A second SIGTERM changes nothing.
    pub(crate) async fn interrupted(&mut self) {
        loop {
            tokio::select! {
                _ = self.interrupt.recv() => return,
                _ = self.terminate.recv() => {}
                _ = self.hangup.recv() => {}
            }
        }
    }
}

/// A terminal that was closed answers nothing any more (EIO, termios(3)).
fn has_hung_up() -> bool {
    rustix::termios::tcgetattr(std::io::stdin()).is_err()
}
