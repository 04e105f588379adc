//! `[options]` of a `.toml` file: what the command line can say of a whole batch.

use std::path::PathBuf;

use serde_json::Value;

use super::object::unknown;

const NAMES: [&str; 6] = ["agent", "fail_fast", "joblog", "junit", "report", "results"];

/// The options of a file. The command line's own come before them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct FileOptions {
    /// As `--agent`.
    pub(crate) agent: Option<String>,
    /// As `--fail-fast`.
    pub(crate) is_fail_fast: bool,
    /// As `--joblog`.
    pub(crate) joblog: Option<PathBuf>,
    /// As `--junit`.
    pub(crate) junit: Option<PathBuf>,
    /// As `--report`.
    pub(crate) report: Option<PathBuf>,
    /// As `--results`.
    pub(crate) results: Option<PathBuf>,
}

impl FileOptions {
    /// Takes one option; says what is wrong with it.
    pub(super) fn set(&mut self, name: &str, value: &Value) -> Result<(), String> {
        let text = || {
            let text = value.as_str().filter(|text| !text.is_empty());
            text.ok_or_else(|| format!("{name} must be a string that is not empty"))
        };
        match name {
            "agent" => self.agent = Some(text()?.to_owned()),
            "joblog" => self.joblog = Some(text()?.into()),
            "junit" => self.junit = Some(text()?.into()),
            "report" => self.report = Some(text()?.into()),
            "results" => self.results = Some(text()?.into()),
            "fail_fast" => {
                self.is_fail_fast =
                    value.as_bool().ok_or_else(|| "fail_fast must be true or false".to_owned())?;
            }
            other => return Err(unknown(other, &NAMES)),
        }
        Ok(())
    }
}
