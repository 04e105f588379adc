//! Panics of any thread. A panic is a mistake of this program: it is counted, logged as a line of the log with its place
//! in the source, and shown by health for an hour.
//!
//! What a panic must not do is skip a clean-up. A connection gives its session back by the `Drop` of its handler, a task
//! has the lifeline of its owner, a batch is taken up again from its stored state, and what must run as long as the
//! supervisor does is begun anew by [`forever`].

use std::{
    panic::{self, AssertUnwindSafe},
    sync::LazyLock,
    thread,
};

use futures_util::FutureExt as _;
use tokio::sync::watch;

use crate::{
    config::limits,
    ops::{
        health::{Condition, Health},
        uptime,
    },
};

#[derive(Clone, Debug, Default)]
struct Panics {
    count: u64,
    /// Where the last one happened, and its text.
    last: String,
}

static PANICS: LazyLock<watch::Sender<Panics>> = LazyLock::new(watch::Sender::default);

/// Has every panic of this process counted and logged, instead of printed.
pub(crate) fn install() {
    panic::set_hook(Box::new(|panic| {
        let text = panic.payload_as_str().unwrap_or("without a text");
        let place = panic.location().map(ToString::to_string).unwrap_or_default();
        let thread = thread::current().name().unwrap_or_default().to_owned();
        tracing::error!(place, thread, "a panic, which is a mistake of this program: {text}");
        PANICS.send_modify(|panics| {
            panics.count += 1;
            panics.last = format!("{place}: {text}");
        });
    }));
}

/// How many there have been since the start.
#[must_use]
pub(crate) fn count() -> u64 {
    PANICS.borrow().count
}

/// Shows panics in `health` for as long as it is polled.
pub(crate) async fn show(health: &Health) {
    let mut panics = PANICS.subscribe();
    // The sender is never dropped, so there is no error.
    while panics.changed().await.is_ok() {
        let Panics { count, last } = panics.borrow_and_update().clone();
        let text = format!(
            "{count} since the start, the last at {last}: this is a mistake of this program, please report it with the \
             lines of the log; what it has hit was ended or begun anew, and a restart is not needed"
        );
        health.raise(Condition::Panicked, text);
        let is_newer = uptime::timeout(limits::PANIC_SHOWN, panics.changed()).await.is_ok();
        if is_newer {
            panics.mark_changed();
        } else {
            health.clear(Condition::Panicked);
        }
    }
}

/// Runs what must run as long as the supervisor does. After a panic it is begun anew, at most once a second; it ends
/// when the future does.
pub(crate) async fn forever<F: Future>(what: &str, mut begin: impl FnMut() -> F) -> F::Output {
    loop {
        if let Ok(output) = AssertUnwindSafe(begin()).catch_unwind().await {
            return output;
        }
        tracing::error!("{what} has panicked: it is begun anew");
        tokio::time::sleep(limits::PANIC_RETRY).await;
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU32, Ordering};

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn what_must_run_is_begun_anew_after_a_panic_until_it_ends_by_itself() {
        let begun = AtomicU32::new(0);
        forever("a loop", || async {
            assert!(begun.fetch_add(1, Ordering::Relaxed) >= 2, "a mistake");
        })
        .await;
        assert_eq!(begun.into_inner(), 3);
    }
}
