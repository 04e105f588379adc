//! What the command line asks for.

use crate::measurements::MEASUREMENTS;

/// The text of `--help`.
pub const HELP: &str = "\
Measures cc-executor against its baselines, in turns in one run.

usage: cargo bench -p cc-tests [-- OPTION…]

  --quick         a few minutes (the default)
  --thorough      more rounds, longer windows, 10,000 connections and tasks
  --only NAME…    only these measurements
  --list          what there is to measure
  --help          this text
";

/// How much time the figures are worth.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Effort {
    /// About two minutes in all.
    Quick,
    /// As long as it takes.
    Thorough,
}

impl Effort {
    /// The one or the other.
    pub fn pick<T>(self, quick: T, thorough: T) -> T {
        match self {
            Self::Quick => quick,
            Self::Thorough => thorough,
        }
    }

    /// Its name.
    pub fn name(self) -> &'static str {
        self.pick("quick", "thorough")
    }
}

/// What to measure.
#[derive(Debug)]
pub struct Arguments {
    /// How much of it.
    pub effort: Effort,
    only: Vec<String>,
}

impl Arguments {
    /// Whether this measurement is wished for.
    pub fn wants(&self, name: &str) -> bool {
        self.only.is_empty() || self.only.iter().any(|wanted| wanted == name)
    }
}

/// What to do.
#[derive(Debug)]
pub enum Wish {
    /// To measure.
    Measure(Arguments),
    /// To say what can be measured.
    List,
    /// To say how this is used.
    Help,
    /// To be a peer in a process of its own; this program starts itself so.
    Peer,
}

/// Reads the arguments after the program's name.
///
/// # Errors
/// A text that names what cannot be understood.
pub fn parse(arguments: impl Iterator<Item = String>) -> Result<Wish, String> {
    let mut effort = Effort::Quick;
    let mut only: Option<Vec<String>> = None;
    let mut takes_names = false;
    for argument in arguments {
        match argument.as_str() {
            // What `cargo bench` adds of its own accord.
            "--bench" => continue,
            "--quick" => effort = Effort::Quick,
            "--thorough" => effort = Effort::Thorough,
            "--only" => {
                only.get_or_insert_default();
                takes_names = true;
                continue;
            }
            "--list" => return Ok(Wish::List),
            "--help" | "-h" => return Ok(Wish::Help),
            "--peer-tungstenite" => return Ok(Wish::Peer),
            name if takes_names && !name.starts_with('-') => {
                known(name)?;
                only.get_or_insert_default().push(name.to_owned());
                continue;
            }
            unknown => return Err(format!("unknown argument {unknown:?}; see --help")),
        }
        takes_names = false;
    }
    if only.as_ref().is_some_and(Vec::is_empty) {
        return Err("--only needs at least one name; --list shows them".to_owned());
    }
    Ok(Wish::Measure(Arguments { effort, only: only.unwrap_or_default() }))
}

fn known(name: &str) -> Result<(), String> {
    if MEASUREMENTS.iter().any(|measurement| measurement.name == name) {
        return Ok(());
    }
    let names: Vec<&str> = MEASUREMENTS.iter().map(|measurement| measurement.name).collect();
    Err(format!("no measurement {name:?}; there are: {}", names.join(", ")))
}

/// A line a measurement.
pub fn list() -> String {
    let line = |name: &str, about: &str| format!("{name:<16} {about}\n");
    MEASUREMENTS.iter().map(|measurement| line(measurement.name, measurement.about)).collect()
}
