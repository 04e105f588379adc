//! The text format of Prometheus, version 0.0.4, made from an OpenMetrics page: for what does not ask for the newer format,
//! such as curl(1) and promtool(1).
//!
//! Samples are written alike in both. In the older format a family has the name of its samples, so that of a counter ends with
//! `_total`; there are no info metrics, no units, and no mark of the end.

/// The same page in the older format.
#[must_use]
pub(super) fn of_open_metrics(page: &str) -> String {
    let mut plain = String::with_capacity(page.len());
    let mut lines = page.lines().peekable();
    while let Some(line) = lines.next() {
        if line == "# EOF" || line.starts_with("# UNIT ") {
            continue;
        }
        // A family's help comes before its type.
        let family =
            [Some(&line), lines.peek()].into_iter().flatten().find_map(|line| family(line));
        match (line.strip_prefix("# HELP "), line.strip_prefix("# TYPE "), family) {
            (Some(help), _, Some((name, kind))) => {
                let words = help.strip_prefix(name).unwrap_or_default();
                plain.push_str(&format!("# HELP {name}{}{words}\n", suffix(kind)));
            }
            (None, Some(_), Some((name, kind))) => {
                let shown = if kind == "info" { "gauge" } else { kind };
                plain.push_str(&format!("# TYPE {name}{} {shown}\n", suffix(kind)));
            }
            (_, _, _) => {
                plain.push_str(line);
                plain.push('\n');
            }
        }
    }
    plain
}

/// The name and the type of a family, from the line that has them.
fn family(line: &str) -> Option<(&str, &str)> {
    line.strip_prefix("# TYPE ")?.split_once(' ')
}

/// What the samples of a family have behind its name.
fn suffix(kind: &str) -> &'static str {
    match kind {
        "counter" => "_total",
        "info" => "_info",
        _ => "",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_family_is_named_as_its_samples_are_and_what_the_older_format_lacks_is_left_out() {
        let page = "# HELP tasks_started Tasks.\n# TYPE tasks_started counter\ntasks_started_total 1\n\
                    # HELP state_bytes Size.\n# TYPE state_bytes gauge\n# UNIT state_bytes bytes\nstate_bytes 7\n\
                    # HELP build Version.\n# TYPE build info\nbuild_info{version=\"1\"} 1\n# EOF\n";
        let plain = "# HELP tasks_started_total Tasks.\n# TYPE tasks_started_total counter\ntasks_started_total 1\n\
                     # HELP state_bytes Size.\n# TYPE state_bytes gauge\nstate_bytes 7\n\
                     # HELP build_info Version.\n# TYPE build_info gauge\nbuild_info{version=\"1\"} 1\n";
        assert_eq!(of_open_metrics(page), plain);
    }
}
