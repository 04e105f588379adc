//! `supervisor.reload` and `supervisor.settings`: what the supervisor's settings are, and reading them again.

use serde::{Deserialize, Serialize};

/// The result of `supervisor.reload`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReloadResult {
    /// The configuration files that were read, the one that wins last.
    pub files: Vec<String>,
    /// What has changed and is in force.
    pub changed: Vec<SettingChange>,
    /// What has changed and takes a restart: the old values are in force.
    pub needs_restart: Vec<SettingChange>,
    /// How many tokens there are; they are read again whatever else has changed.
    pub tokens: u64,
}

/// A setting whose value has changed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SettingChange {
    /// Its name.
    pub setting: String,
    /// The old value, as a configuration file has it; null where there was none.
    pub from: Option<String>,
    /// The new one.
    pub to: Option<String>,
}

/// The result of `supervisor.settings`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SettingsResult {
    /// The configuration files that were read, the one that wins last.
    pub files: Vec<String>,
    /// In the order of the reference.
    pub settings: Vec<SettingSummary>,
}

/// One setting, and where its value comes from.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SettingSummary {
    /// Its name: a key of the configuration file, an option with `--` before it.
    pub setting: String,
    /// What it belongs to.
    pub group: String,
    /// As a configuration file has it; null for none, and for a secret.
    pub value: Option<String>,
    /// Where the value comes from.
    pub origin: SettingOrigin,
    /// Whether a reload changes it.
    pub reloadable: bool,
}

/// Where the value of a setting comes from.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum SettingOrigin {
    /// Nothing gives it.
    Default,
    /// A configuration file.
    File {
        /// Its path.
        path: String,
        /// From 1.
        line: u64,
    },
    /// An environment variable.
    Environment {
        /// Its name.
        variable: String,
    },
    /// The command line.
    Option {
        /// With its `--`.
        option: String,
    },
}
