//! Waits for events, with a deadline that decides nothing but "never".

use std::time::{Duration, Instant};

/// How long a test waits for an event before it fails. Far longer than anything takes and far
/// shorter than a fixture lives, so that it decides nothing but "never".
pub const PATIENCE: Duration = Duration::from_secs(30);

/// A text that no other test of any process uses: goes into the arguments of fixtures, so that they
/// can be counted.
#[must_use]
pub fn unique_tag(name: &str) -> String {
    format!("{name}-{}", uuid::Uuid::new_v4().simple())
}

/// Waits for something that nothing announces: asks again and again.
pub fn wait_until(what: &str, mut is_so: impl FnMut() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !is_so() {
        assert!(Instant::now() < deadline, "never: {what}");
        std::thread::sleep(Duration::from_millis(10));
    }
}
