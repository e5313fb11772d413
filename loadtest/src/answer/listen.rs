//! From the start of the process to its end: wait, listen, accept, and leave when told to.

use std::io::Write;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::{TcpListener, TcpSocket};
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::{mpsc, watch};

use super::flags::Flags;
use super::stamp::{Stamp, wall_micros};
use super::{misbehave, serve};

/// Connections that may wait to be accepted; the kernel lowers it to `net.core.somaxconn`.
const BACKLOG: u32 = 16_384;

/// Longest time that open requests are waited for after SIGTERM.
const LAST_ANSWERS: Duration = Duration::from_secs(30);

/// After a failed accept (out of descriptors, mostly), so that it isn't tried in a spin.
const ACCEPT_PAUSE: Duration = Duration::from_millis(10);

/// Listens and answers until told to end. Returns the exit code.
pub(super) async fn run(flags: &Flags, started: u64) -> u8 {
    let (Ok(mut terminate), Ok(mut interrupt)) =
        (signal(SignalKind::terminate()), signal(SignalKind::interrupt()))
    else {
        eprintln!("answer: the machine refused signal handlers");
        return 1;
    };
    if flags.orphan {
        tokio::time::sleep(flags.orphan_life).await;
        return 0;
    }
    let mut exit = tokio::select! {
        begun = begin(flags, started) => match begun {
            Ok(exit) => exit,
            Err(why) => {
                eprintln!("answer: {why}");
                return 1;
            }
        },
        () = told_to_end(&mut terminate, &mut interrupt, flags.ignore_term) => return 0,
    };
    tokio::select! {
        Some(code) = exit.codes.recv() => return code,
        () = told_to_end(&mut terminate, &mut interrupt, flags.ignore_term) => {}
    }
    exit.accepting.abort();
    let _ = exit.ending.send(true);
    tokio::select! {
        Some(code) = exit.codes.recv() => code,
        _ = tokio::time::timeout(LAST_ANSWERS, exit.stamp.quiet()) => 0,
    }
}

/// What ends a program that listens.
struct Exit {
    codes: mpsc::Receiver<u8>,
    ending: watch::Sender<bool>,
    accepting: tokio::task::JoinHandle<()>,
    stamp: Arc<Stamp>,
}

async fn begin(flags: &Flags, started: u64) -> Result<Exit, String> {
    let orphan = flags.spawn_orphan.then(|| misbehave::spawn_orphan(flags)).transpose();
    let orphan = orphan.map_err(|error| format!("can't leave an orphan: {error}"))?;
    if let Some(pid) = orphan {
        eprintln!("answer: orphan {pid}");
    }
    if flags.never_ready {
        std::future::pending::<()>().await;
    }
    if !flags.start_delay.is_zero() {
        tokio::time::sleep(flags.start_delay).await;
    }
    let address = flags.address();
    let listener = listen(address).map_err(|error| format!("can't listen on {address}: {error}"))?;
    let listening = wall_micros();
    let (code, codes) = mpsc::channel(1);
    let (ending, told) = watch::channel(false);
    let stamp = Stamp::new(started, listening, orphan, flags.hard_limit, code);
    if let Ok(address) = listener.local_addr() {
        // Whoever started this may have closed its end: that is no reason to fail.
        let _ = writeln!(std::io::stdout(), "answer: listening on {address}");
    }
    let accepting = tokio::spawn(accept(listener, Arc::clone(&stamp), told));
    Ok(Exit { codes, ending, accepting, stamp })
}

fn listen(address: SocketAddr) -> std::io::Result<TcpListener> {
    let socket = if address.is_ipv4() { TcpSocket::new_v4() } else { TcpSocket::new_v6() }?;
    socket.set_reuseaddr(true)?;
    socket.bind(address)?;
    socket.listen(BACKLOG)
}

async fn accept(listener: TcpListener, stamp: Arc<Stamp>, ending: watch::Receiver<bool>) {
    loop {
        match listener.accept().await {
            Ok((stream, _)) => drop(tokio::spawn(serve::serve(stream, Arc::clone(&stamp), ending.clone()))),
            Err(error) => {
                eprintln!("answer: can't accept: {error}");
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
        }
    }
}

async fn told_to_end(terminate: &mut Signal, interrupt: &mut Signal, ignore: bool) {
    loop {
        tokio::select! {
            _ = terminate.recv() => if ignore { eprintln!("answer: SIGTERM ignored") } else { return },
            _ = interrupt.recv() => return,
        }
    }
}
