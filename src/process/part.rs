//! Parts of a process that must not end before it does.

use std::sync::Arc;

use tokio::task::{AbortHandle, JoinHandle};

/// Runs a part that must not end before the process does: if it panics, that is said. Also returns whether it still runs.
pub(crate) fn vital(
    name: &'static str,
    part: impl Future<Output = ()> + Send + 'static,
) -> (AbortHandle, impl Fn() -> bool + Send + Sync + 'static) {
    let alive = Arc::new(());
    let running = Arc::downgrade(&alive);
    let task = tokio::spawn(async move {
        let _alive = alive;
        part.await;
    });
    (watch_over(name, task), move || running.strong_count() > 0)
}

fn watch_over(name: &'static str, part: JoinHandle<()>) -> AbortHandle {
    let handle = part.abort_handle();
    tokio::spawn(async move {
        if part.await.is_err_and(|error| error.is_panic()) {
            tracing::error!("{name} has failed: this is a fault of Kaos; /livez says so");
        }
    });
    handle
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_part_is_known_to_run_until_it_ends() {
        let (end, ended) = tokio::sync::oneshot::channel::<()>();
        let (_, runs) = vital("test", async move {
            let _ = ended.await;
        });
        assert!(runs());
        drop(end);
        while runs() {
            tokio::task::yield_now().await;
        }
    }

    #[tokio::test]
    async fn a_part_that_panics_is_known_to_have_ended() {
        let (_, runs) = vital("test", async { panic!("on purpose") });
        while runs() {
            tokio::task::yield_now().await;
        }
    }
}
