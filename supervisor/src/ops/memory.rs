//! Memory that was needed for a while is given back to the machine.
//!
//! The allocator keeps what was freed for the next time. Of a daemon that runs for months the next time may never come, so
//! some seconds after something large was freed the allocator is asked to give back what it can.

use std::{sync::LazyLock, time::Duration};

use cc_proctree::allocator;
use tokio::{sync::Notify, task::spawn_blocking, time::sleep};

static SHRUNK: LazyLock<Notify> = LazyLock::new(Notify::new);

/// What is freed together is given back together.
const SETTLE: Duration = Duration::from_secs(1);
/// At most so often: looking through all free memory takes milliseconds.
const PAUSE: Duration = Duration::from_secs(4);

/// To be called after something large was freed.
pub(crate) fn may_have_shrunk() {
    SHRUNK.notify_one();
}

/// Gives memory back for as long as it is polled.
pub(crate) async fn give_back() {
    // What the start took: the command line and the files of settings, mostly.
    may_have_shrunk();
    loop {
        SHRUNK.notified().await;
        sleep(SETTLE).await;
        // A panic there is logged.
        drop(spawn_blocking(allocator::trim).await);
        sleep(PAUSE).await;
    }
}
