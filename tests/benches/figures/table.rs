//! The table, for a terminal and for a page.

use crate::{
    rounds::Sample,
    row::{Figure, Outcome, Row},
};

const HEAD: [&str; 6] = ["measurement", "ours", "baseline", "ratio", "goal", "reached"];

/// Three digits that matter.
pub fn figure(value: f64) -> String {
    let digits = match value.abs() {
        value if value >= 100.0 => 0,
        value if value >= 10.0 => 1,
        value if value >= 1.0 => 2,
        _ => 3,
    };
    format!("{value:.digits$}")
}

/// `median (min–max, n)`.
fn spread(sample: &Sample, unit: &str) -> String {
    let median = figure(sample.median());
    match sample.count() {
        1 => format!("{median}{unit}"),
        count => {
            let (min, max) = (figure(sample.min()), figure(sample.max()));
            format!("{median}{unit} ({min}–{max}, n {count})")
        }
    }
}

fn cells(row: &Row) -> [String; 6] {
    match &row.outcome {
        Outcome::Measured(figure) => measured(&row.what, figure),
        Outcome::LeftOut(why) => with_words(&row.what, format!("left out: {why}")),
        Outcome::Failed(why) => with_words(&row.what, format!("FAILED: {why}")),
    }
}

fn measured(what: &str, figure: &Figure) -> [String; 6] {
    let unit = format!(" {}", figure.unit);
    let baseline = figure.baseline.as_ref();
    let reached = match figure.margin() {
        None => "",
        Some(margin) if margin >= 1.0 => "yes",
        Some(_) => "no",
    };
    let note = figure.note.as_ref().map(|note| format!(" ({note})")).unwrap_or_default();
    [
        format!("{what}{note}"),
        spread(&figure.ours, &unit),
        baseline
            .map(|(name, sample)| format!("{name}: {}", spread(sample, &unit)))
            .unwrap_or_default(),
        figure.ratios().map(|ratios| spread(&ratios, "×")).unwrap_or_default(),
        figure.goals_text(),
        reached.to_owned(),
    ]
}

fn with_words(what: &str, words: String) -> [String; 6] {
    [what.to_owned(), words, String::new(), String::new(), String::new(), String::new()]
}

/// For a terminal: a row is three lines, so that none is longer than one of those.
pub fn text(rows: &[Row]) -> String {
    let mut text = String::new();
    let mut measurement = "";
    for row in rows {
        if row.measurement != measurement {
            measurement = row.measurement;
            text.push_str(&format!("{measurement}\n"));
        }
        let [what, ours, baseline, ratio, goal, reached] = cells(row);
        text.push_str(&format!("  {what}\n    {ours}"));
        if !baseline.is_empty() {
            text.push_str(&format!("; {baseline}"));
        }
        text.push('\n');
        let verdict = match reached.as_str() {
            "yes" => format!("goal {goal}: reached"),
            "no" => format!("goal {goal}: NOT REACHED"),
            _ => String::new(),
        };
        let parts: Vec<String> =
            [ratio, verdict].into_iter().filter(|part| !part.is_empty()).collect();
        if !parts.is_empty() {
            text.push_str(&format!("    {}\n", parts.join("; ")));
        }
    }
    text
}

/// For a page.
pub fn markdown(rows: &[Row]) -> String {
    let line = |cells: &[String]| {
        let cells: Vec<String> = cells.iter().map(|cell| cell.replace('|', "\\|")).collect();
        format!("| {} |\n", cells.join(" | "))
    };
    let mut text = line(&HEAD.map(str::to_owned));
    text.push_str("|---|---|---|---|---|---|\n");
    for row in rows {
        text.push_str(&line(&cells(row)));
    }
    text
}
