//! A row of the table: what was measured, against what, and whether the goal is reached.

use serde_json::{Value, json};

use crate::rounds::Sample;

/// What a figure should come to. Compared with medians.
#[derive(Clone, Copy, Debug)]
pub enum Goal {
    /// Of the ratio to the baseline.
    RatioAtMost(f64),
    /// Of the ratio to the baseline.
    RatioAtLeast(f64),
    /// Of the figure itself, in its unit.
    AtMost(f64),
}

impl Goal {
    /// How many times better than the goal the row is; below 1 it is not reached. `None` for the goal of
    /// a ratio where there is no baseline.
    fn margin(self, figure: &Figure) -> Option<f64> {
        match self {
            Self::RatioAtMost(most) => Some(most / figure.ratios()?.median()),
            Self::RatioAtLeast(least) => Some(figure.ratios()?.median() / least),
            Self::AtMost(most) => Some(most / figure.ours.median()),
        }
    }

    fn text(self, unit: &str) -> String {
        match self {
            Self::RatioAtMost(most) => format!("≤ {most}×"),
            Self::RatioAtLeast(least) => format!("≥ {least}×"),
            Self::AtMost(most) => format!("≤ {most} {unit}"),
        }
    }
}

/// What came of one measurement of ours.
#[derive(Debug)]
pub struct Figure {
    /// Of all figures of the row.
    pub unit: &'static str,
    /// A value a round.
    pub ours: Sample,
    /// What it is measured against, and its values.
    pub baseline: Option<(String, Sample)>,
    /// All have to be reached; none where nothing was promised.
    pub goals: Vec<Goal>,
    /// What a reader should know besides.
    pub note: Option<String>,
}

impl Figure {
    /// Ours against the baseline, a value a round.
    pub fn ratios(&self) -> Option<Sample> {
        self.baseline.as_ref().map(|(_, baseline)| self.ours.ratios_to(baseline))
    }

    /// How many times better than its hardest goal it is; below 1 that is not reached.
    pub fn margin(&self) -> Option<f64> {
        self.goals.iter().filter_map(|goal| goal.margin(self)).reduce(f64::min)
    }

    /// Whether it is the ratio that a goal is about.
    pub fn has_ratio_goal(&self) -> bool {
        self.goals.iter().any(|goal| match goal {
            Goal::RatioAtMost(_) | Goal::RatioAtLeast(_) => true,
            Goal::AtMost(_) => false,
        })
    }

    /// The goals as a reader wants them.
    pub fn goals_text(&self) -> String {
        let texts: Vec<String> = self.goals.iter().map(|goal| goal.text(self.unit)).collect();
        texts.join(", ")
    }
}

/// What became of a row.
#[derive(Debug)]
pub enum Outcome {
    /// It was measured.
    Measured(Figure),
    /// Something that it needs is not here.
    LeftOut(String),
    /// It broke.
    Failed(String),
}

/// One row.
#[derive(Debug)]
pub struct Row {
    /// Name of the measurement, for `--only`.
    pub measurement: &'static str,
    /// What exactly.
    pub what: String,
    /// What became of it.
    pub outcome: Outcome,
}

impl Row {
    /// A row that was measured.
    pub fn new(
        measurement: &'static str,
        what: impl Into<String>,
        unit: &'static str,
        ours: Sample,
    ) -> Self {
        let figure = Figure { unit, ours, baseline: None, goals: Vec::new(), note: None };
        Self { measurement, what: what.into(), outcome: Outcome::Measured(figure) }
    }

    /// A row for which something is missing here.
    pub fn left_out(
        measurement: &'static str,
        what: impl Into<String>,
        why: impl Into<String>,
    ) -> Self {
        Self { measurement, what: what.into(), outcome: Outcome::LeftOut(why.into()) }
    }

    /// A row that broke.
    pub fn failed(
        measurement: &'static str,
        what: impl Into<String>,
        why: impl Into<String>,
    ) -> Self {
        Self { measurement, what: what.into(), outcome: Outcome::Failed(why.into()) }
    }

    /// With what it is measured against.
    pub fn against(self, name: impl Into<String>, baseline: Sample) -> Self {
        self.with(|figure| figure.baseline = Some((name.into(), baseline)))
    }

    /// With one more goal.
    pub fn goal(self, goal: Goal) -> Self {
        self.with(|figure| figure.goals.push(goal))
    }

    /// With something that a reader should know.
    pub fn note(self, note: impl Into<String>) -> Self {
        self.with(|figure| figure.note = Some(note.into()))
    }

    fn with(mut self, change: impl FnOnce(&mut Figure)) -> Self {
        match &mut self.outcome {
            Outcome::Measured(figure) => change(figure),
            Outcome::LeftOut(_) | Outcome::Failed(_) => {}
        }
        self
    }

    /// Whether it broke.
    pub fn has_failed(&self) -> bool {
        matches!(self.outcome, Outcome::Failed(_))
    }

    /// For `figures.json`.
    pub fn to_json(&self) -> Value {
        let mut row = json!({"measurement": self.measurement, "what": self.what});
        match &self.outcome {
            Outcome::Measured(figure) => {
                row["unit"] = json!(figure.unit);
                row["ours"] = sample(&figure.ours);
                row["goal"] = json!(figure.goals_text());
                row["reached"] = json!(figure.margin().map(|margin| margin >= 1.0));
                row["note"] = json!(figure.note);
                if let Some((name, baseline)) = &figure.baseline {
                    row["baseline"] = json!({"what": name, "values": sample(baseline)});
                    row["ratio"] = sample(&figure.ours.ratios_to(baseline));
                }
            }
            Outcome::LeftOut(why) => row["left_out"] = json!(why),
            Outcome::Failed(why) => row["failed"] = json!(why),
        }
        row
    }
}

fn sample(sample: &Sample) -> Value {
    json!({
        "median": sample.median(), "min": sample.min(), "max": sample.max(), "n": sample.count(),
    })
}
