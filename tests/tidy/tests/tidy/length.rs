//! A file has at most 400 lines: one idea fits.

use crate::sources::{assert_none, files, text};

const LINES_LIMIT: usize = 400;

/// Longer files, each with the reason.
const EXCEPTIONS: [(&str, &str); 0] = [];

#[test]
fn a_file_has_at_most_400_lines() {
    let mut long = Vec::new();
    for file in files("", "rs") {
        let lines = text(&file).lines().count();
        let is_exception = EXCEPTIONS.iter().any(|(exception, _)| *exception == file);
        if lines > LINES_LIMIT && !is_exception {
            long.push(format!("{file} has {lines}"));
        }
        assert!(lines > LINES_LIMIT || !is_exception, "{file} needs no exception");
    }
    assert_none("split by idea", &long);
}
