//! One spelling: *canceled*, as on the wire.

use crate::sources::{assert_none, files, text};

/// Where the other one stands with a reason.
const EXCEPTIONS: [(&str, &str); 3] = [
    ("tests/tidy/tests/tidy/spelling.rs", "it says what is looked for"),
    ("crates/cli/src/input/markdown/words.rs", "people write it either way"),
    ("crates/cli/src/input/queue/state.rs", "other programs write it either way"),
];

#[test]
fn canceled_has_one_l() {
    let mut found = Vec::new();
    for file in files("", "rs").into_iter().chain(files("", "md")) {
        if EXCEPTIONS.iter().any(|(exception, _)| *exception == file) {
            continue;
        }
        for (number, line) in text(&file).lines().enumerate() {
            let line = line.to_lowercase();
            if line.contains("cancelled") || line.contains("cancelling") {
                found.push(format!("{file}:{}: {}", number + 1, line.trim()));
            }
        }
    }
    assert_none("canceled, canceling", &found);
}
