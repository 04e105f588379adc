//! `/metrics`: every family by the conventions, in the document, and counted when it happens.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::Path,
    process::Command,
};

use cc_tests::{Supervisor, http, wait_until};
use serde_json::json;

fn page(supervisor: &Supervisor) -> String {
    http::get(supervisor.address(), "/metrics", &["Accept: application/openmetrics-text"]).body
}

/// The type of each family.
fn families(page: &str) -> BTreeMap<&str, &str> {
    page.lines().filter_map(|line| line.strip_prefix("# TYPE ")?.split_once(' ')).collect()
}

/// The value of a sample, by its name with labels.
fn value(page: &str, sample: &str) -> f64 {
    let line =
        page.lines().find(|line| line.rsplit_once(' ').is_some_and(|(name, _)| name == sample));
    let line = line.unwrap_or_else(|| panic!("no {sample} in {page}"));
    line.rsplit_once(' ').unwrap().1.parse().unwrap()
}

fn document() -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/monitoring.md");
    fs::read_to_string(path).unwrap()
}

#[test]
fn every_family_has_a_help_a_type_and_a_name_by_the_conventions() {
    let supervisor = Supervisor::start_default();
    drop(supervisor.connect().run_shell("true"));
    let page = page(&supervisor);
    assert!(page.ends_with("# EOF\n"), "{page}");
    let families = families(&page);
    assert!(families.len() > 40, "{families:?}");
    for (family, kind) in &families {
        let help = format!("# HELP {family} ");
        assert!(page.lines().any(|line| line.starts_with(&help)), "{family} has no help");
        assert!(family.starts_with("cc_executor_") || family.starts_with("process_"), "{family}");
        let is_kind = ["counter", "gauge", "histogram", "info"].contains(kind);
        assert!(is_kind, "{family} is a {kind}");
        for unit in ["_ms", "_kb", "_mb", "_minutes", "_milliseconds", "_count", "_total"] {
            assert!(!family.ends_with(unit), "{family}: base units, and no suffix of the format");
        }
        if *kind == "histogram" {
            assert!(family.ends_with("_seconds"), "{family}");
        }
    }
    for line in page.lines().filter(|line| !line.starts_with('#')) {
        let name = line.split(['{', ' ']).next().unwrap();
        let of_family = |family: &&str| name.starts_with(*family);
        let family = families.keys().copied().filter(of_family).max_by_key(|name| name.len());
        let family = family.unwrap_or_else(|| panic!("{name} has no family"));
        if families[family] == "counter" {
            assert_eq!(name, format!("{family}_total"));
        }
    }
}

#[test]
fn labels_are_words_from_closed_lists() {
    let supervisor = Supervisor::start_default();
    let mut client = supervisor.connect();
    for command in ["true", "exit 3", "kill -9 $$"] {
        drop(client.run_shell(command));
    }
    let page = page(&supervisor);
    let names: BTreeSet<&str> = page
        .lines()
        .filter(|line| !line.starts_with('#'))
        .filter_map(|line| line.split_once('{')?.1.split_once('}'))
        .flat_map(|(labels, _)| labels.split(','))
        .filter_map(|label| label.split_once('='))
        .map(|(name, value)| {
            let word = value.trim_matches('"');
            let is_word = word.len() <= 24
                && word.bytes().all(|byte| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'_' | b'.' | b'+' | b'-' | b'I'));
            assert!(is_word, "{name}={value}");
            name
        })
        .collect();
    for name in &names {
        let text = document();
        assert!(
            *name == "le" || text.contains(&format!("`{name}`")),
            "{name} is not in the document"
        );
    }
    let session = client.connected()["session_id"].as_str().unwrap().to_owned();
    assert!(!page.contains(&session), "an id is on the page");
}

#[test]
fn the_document_has_every_family_and_no_other() {
    let supervisor = Supervisor::start_default();
    // A family whose labels are those of ends is not on the page before the first one.
    drop(supervisor.connect().run_shell("true"));
    wait_until("the end is counted", || page(&supervisor).contains("_tasks_completed_total{"));
    let page = page(&supervisor);
    let on_page: BTreeMap<String, String> = families(&page)
        .into_iter()
        .map(|(name, kind)| {
            let name = match kind {
                "counter" => format!("{name}_total"),
                "info" => format!("{name}_info"),
                _ => name.to_owned(),
            };
            (name, kind.to_owned())
        })
        .collect();
    let help = |name: &str| {
        let family = name.trim_end_matches("_total").trim_end_matches("_info");
        let start = format!("# HELP {family} ");
        let line = page.lines().find_map(|line| line.strip_prefix(&start));
        line.unwrap_or_default().trim_end_matches('.').to_owned()
    };
    let expected: Vec<String> = on_page
        .iter()
        .map(|(name, kind)| format!("| `{name}` | {kind} | {} |", help(name)))
        .collect();
    let document = document();
    let rows: BTreeSet<&str> = document
        .lines()
        .filter(|line| line.starts_with("| `cc_executor_") || line.starts_with("| `process_"))
        .collect();
    let missing: Vec<&String> =
        expected.iter().filter(|row| !rows.contains(row.as_str())).collect();
    let is_known = |row: &&&str| expected.iter().any(|known| known == *row);
    let stale: Vec<&&str> = rows.iter().filter(|row| !is_known(row)).collect();
    assert!(
        missing.is_empty() && stale.is_empty(),
        "docs/monitoring.md: these rows are missing:\n{}\nand these are stale:\n{stale:#?}",
        missing.iter().map(|row| row.as_str()).collect::<Vec<_>>().join("\n")
    );
}

#[test]
fn what_happens_is_counted() {
    let supervisor = Supervisor::start_default();
    let mut client = supervisor.connect();
    drop(client.run_shell("printf 12345"));
    drop(client.run_shell("exit 3"));
    drop(client.run_to_end(&json!({"argv": ["sleep", "60"], "timeout": 0.3})));
    assert_eq!(http::get(supervisor.address(), "/ws/mcp", &["Host: evil.example"]).status, 403);
    // It is counted when its worker is gone, a moment after its end.
    wait_until("the last end is counted", || {
        page(&supervisor).contains("cc_executor_task_duration_seconds_count 3")
    });
    let page = page(&supervisor);
    let of = |sample: &str| value(&page, &format!("cc_executor_{sample}"));
    assert_eq!(of(r#"tasks_completed_total{verdict="succeeded",reason="exit"}"#) as u64, 1);
    assert_eq!(of(r#"tasks_completed_total{verdict="failed",reason="exit"}"#) as u64, 1);
    assert_eq!(of(r#"tasks_completed_total{verdict="timed_out",reason="timeout"}"#) as u64, 1);
    assert_eq!(of("tasks_started_total") as u64, 3);
    assert_eq!(of("task_duration_seconds_count") as u64, 3);
    assert_eq!(of("task_start_seconds_count") as u64, 3);
    assert_eq!(of("task_queue_seconds_count") as u64, 3);
    assert_eq!(of("task_output_bytes_total") as u64, 5);
    assert_eq!(of(r#"timeouts_total{kind="total"}"#) as u64, 1);
    assert_eq!(of(r#"handshake_failures_total{cause="forbidden"}"#) as u64, 1);
    assert_eq!(of(r#"sessions{state="connected"}"#) as u64, 1);
    assert_eq!(of("connections_opened_total") as u64, 1);
    assert!(value(&page, "process_resident_memory_bytes") > 1e6);
    assert!(value(&page, "process_open_fds") > 3.0);
    assert!(value(&page, "process_cpu_seconds_total") > 0.0);
    assert!(value(&page, "process_max_fds") > 3.0);
    assert!(of("state_free_bytes") > 0.0);
}

#[test]
fn who_does_not_ask_for_openmetrics_gets_the_text_format_of_prometheus() {
    let supervisor = Supervisor::start_default();
    // It stays: its end would be counted between the two pages.
    let mut client = supervisor.connect();
    drop(client.run_shell("true"));
    let plain = http::get(supervisor.address(), "/metrics", &[]);
    assert!(plain.head.contains("text/plain; version=0.0.4"), "{}", plain.head);
    let newer = http::get(
        supervisor.address(),
        "/metrics",
        &["Accept: application/openmetrics-text;q=0.5,*/*"],
    );
    assert!(newer.head.contains("application/openmetrics-text; version=1.0.0"), "{}", newer.head);
    for line in plain.body.lines() {
        let is_newer = line == "# EOF" || line.starts_with("# UNIT") || line.ends_with(" info");
        assert!(!is_newer, "{line}");
    }
    // The samples are the same, and each family is named as its samples are.
    let names = |page: &str| -> BTreeSet<String> {
        let samples = page.lines().filter(|line| !line.starts_with('#'));
        samples.map(|line| line.split(['{', ' ']).next().unwrap().to_owned()).collect()
    };
    assert_eq!(names(&plain.body), names(&newer.body));
    let families = families(&plain.body);
    for name in names(&plain.body) {
        let of_histogram =
            ["_bucket", "_sum", "_count"].iter().find_map(|part| name.strip_suffix(part));
        let is_known = families.contains_key(name.as_str())
            || of_histogram.is_some_and(|family| families.get(family) == Some(&"histogram"));
        assert!(is_known, "{name} has no family of its own");
    }
}

#[test]
fn promtool_finds_nothing_on_the_page_that_it_gets() {
    let supervisor = Supervisor::start_default();
    drop(supervisor.connect().run_shell("true"));
    let page = supervisor.scratch().join("page");
    fs::write(&page, http::get(supervisor.address(), "/metrics", &[]).body).unwrap();
    let mut promtool = Command::new("promtool");
    promtool.args(["check", "metrics"]).stdin(fs::File::open(&page).unwrap());
    match promtool.output() {
        Ok(output) => {
            let found = String::from_utf8_lossy(&output.stderr);
            assert!(output.status.success() && found.is_empty(), "{found}");
        }
        Err(error) => eprintln!("SKIPPED: promtool: {error}"),
    }
}
