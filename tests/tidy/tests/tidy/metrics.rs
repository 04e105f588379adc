//! The alert rules and the dashboard in `deploy/` name metrics that exist.
//!
//! What exists is in docs/monitoring.md, whose table a black-box test compares with `/metrics`.

use std::collections::BTreeSet;

use crate::sources::{assert_none, text};

#[test]
fn every_metric_of_the_rules_and_the_dashboard_is_in_the_documentation() {
    let table = text("docs/monitoring.md");
    let known: BTreeSet<&str> = table.split('`').skip(1).step_by(2).collect();
    let mut missing = Vec::new();
    for file in ["deploy/prometheus/cc-executor.rules.yml", "deploy/grafana/cc-executor.json"] {
        let text = text(file);
        let named = metrics(&text);
        assert!(named.len() > 5, "{file} names only {named:?}");
        let unknown = named.into_iter().filter(|name| !is_known(name, &known));
        missing.extend(unknown.map(|name| format!("{file} names {name}")));
    }
    assert_none("metrics that /metrics does not have", &missing);
}

/// The words of a text that are names of metrics of the supervisor.
fn metrics(text: &str) -> BTreeSet<&str> {
    text.split(|c: char| !c.is_ascii_alphanumeric() && c != '_')
        .filter(|word| word.starts_with("cc_executor_") || word.starts_with("process_"))
        .collect()
}

/// A histogram is three series, and an info has a suffix already.
fn is_known(name: &str, known: &BTreeSet<&str>) -> bool {
    let series = ["_bucket", "_sum", "_count"];
    known.contains(name)
        || series.iter().any(|end| name.strip_suffix(end).is_some_and(|name| known.contains(name)))
}
