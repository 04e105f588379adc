//! Small things about text that people read: durations, sizes, cutting to a width.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// `12 ms`, `1.2 s`, `2 min 5 s`, `3 h 4 min`.
pub(crate) fn duration(duration: Duration) -> String {
    let seconds = duration.as_secs();
    match seconds {
        0 => format!("{} ms", duration.as_millis()),
        1..=59 => format!("{:.1} s", duration.as_secs_f64()),
        60..=3599 => format!("{} min {} s", seconds / 60, seconds % 60),
        3600.. => format!("{} h {} min", seconds / 3600, seconds % 3600 / 60),
    }
}

/// Milliseconds since the Unix epoch.
pub(crate) fn now_ms() -> u64 {
    let since_epoch = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since_epoch.as_millis()).unwrap_or(u64::MAX)
}

/// A time from milliseconds since the Unix epoch, at most the end of the year
/// 9999.
pub(crate) fn at(ms: u64) -> SystemTime {
    const LATEST_MS: u64 = 253_402_300_799_000;
    UNIX_EPOCH + Duration::from_millis(ms.min(LATEST_MS))
}

/// `17 B`, `1.2 kB`, `20.0 MB`: powers of 1000.
pub(crate) fn bytes(bytes: u64) -> String {
    match bytes {
        0..=999 => format!("{bytes} B"),
        1_000..=999_949 => format!("{}.{} kB", bytes / 1_000, bytes % 1_000 / 100),
        999_950..=999_949_999 => {
            format!("{}.{} MB", bytes / 1_000_000, bytes % 1_000_000 / 100_000)
        }
        999_950_000.. => {
            format!("{}.{} GB", bytes / 1_000_000_000, bytes % 1_000_000_000 / 100_000_000)
        }
    }
}

/// `1 task`, `2 tasks`.
pub(crate) fn count(count: usize, noun: &str) -> String {
    format!("{count} {noun}{}", if count == 1 { "" } else { "s" })
}

/// `678`, `12.3 k`, `4.5 M`.
pub(crate) fn amount(amount: u64) -> String {
    match amount {
        0..=9_999 => amount.to_string(),
        10_000..=999_999 => format!("{}.{} k", amount / 1_000, amount % 1_000 / 100),
        1_000_000.. => format!("{}.{} M", amount / 1_000_000, amount % 1_000_000 / 100_000),
    }
}

/// The first line that is not empty, without what moves a terminal's cursor, in at most so many
/// columns; `…` where it was cut.
pub(crate) fn one_line(text: &str, columns: usize) -> String {
    let line = text.lines().map(str::trim).find(|line| !line.is_empty()).unwrap_or_default();
    let clean: String = line
        .chars()
        .map(|char| if char == '\t' { ' ' } else { char })
        .filter(|char| !char.is_control())
        .collect();
    console::truncate_str(&clean, columns, "…").into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_read_well_at_every_size() {
        for (ms, expected) in [
            (0, "0 ms"),
            (999, "999 ms"),
            (1_234, "1.2 s"),
            (61_000, "1 min 1 s"),
            (7_260_000, "2 h 1 min"),
        ] {
            assert_eq!(duration(Duration::from_millis(ms)), expected);
        }
    }

    #[test]
    fn sizes_read_well_at_every_size() {
        for (size, expected) in [
            (0, "0 B"),
            (999, "999 B"),
            (1_000, "1.0 kB"),
            (999_949, "999.9 kB"),
            (20_000_000, "20.0 MB"),
            (3_400_000_000, "3.4 GB"),
        ] {
            assert_eq!(bytes(size), expected);
        }
    }

    #[test]
    fn amounts_read_well_at_every_size() {
        for (number, expected) in [
            (0, "0"),
            (9_999, "9999"),
            (12_345, "12.3 k"),
            (999_999, "999.9 k"),
            (4_560_000, "4.5 M"),
        ] {
            assert_eq!(amount(number), expected);
        }
    }

    #[test]
    fn a_line_is_cut_at_its_width_and_carries_no_control_characters() {
        assert_eq!(one_line("\n  a\tb\u{1b}[2J\nmore", 20), "a b[2J");
        assert_eq!(one_line("äöüß", 4), "äöüß");
        assert_eq!(one_line("äöüßx", 4), "äöü…");
        assert_eq!(one_line("日本語", 5), "日本…");
        assert_eq!(one_line("", 4), "");
    }
}
