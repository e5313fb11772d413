//! The first bytes of a connection, whatever they are: a header of the PROXY protocol, a preface, a request.

use std::future::poll_fn;

use crate::buffer::{Input, READ_SIZE};
use crate::rounds::{Alarm, Watched};
use crate::socket::Socket;
use crate::worker::Worker;

/// Reads more of what a connection begins with. `None`: nothing came in time, or it has ended.
pub(crate) async fn read_more(
    worker: &Worker,
    socket: &Socket,
    watch: &Watched,
    input: &mut Input,
) -> Option<()> {
    loop {
        let fill = poll_fn(|cx| input.poll_fill(cx, socket, &worker.buffers, READ_SIZE));
        match watch.over(fill).await {
            Ok(Ok(read)) if read > 0 => {
                watch.rest(None);
                return Some(());
            }
            // It had begun already when it was to end for being idle.
            Err(Alarm::Deadline) if input.is_empty() && socket.has_bytes() => {
                watch.until(worker.now() + worker.patience().first_bytes);
            }
            _ => return None,
        }
    }
}
