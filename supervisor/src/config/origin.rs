//! Where a value comes from.

use std::{
    ffi::OsString,
    fmt,
    path::{Path, PathBuf},
};

/// The source of a value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Origin {
    Argument,
    Variable(&'static str),
    File(Place),
    Default,
}

/// Where the value of a setting comes from, as an error names it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct SettingOrigin {
    origin: Origin,
    setting: &'static str,
}

/// A line of the configuration file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Place {
    pub(crate) path: PathBuf,
    /// From 1.
    pub(crate) line: usize,
}

/// The texts of a setting's value. Only a list has several.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Given {
    pub(crate) origin: Origin,
    pub(crate) texts: Vec<OsString>,
}

impl Origin {
    pub(crate) fn of(&self, setting: &'static str) -> SettingOrigin {
        SettingOrigin { origin: self.clone(), setting }
    }
}

impl SettingOrigin {
    pub(crate) fn place(&self) -> Option<&Place> {
        match &self.origin {
            Origin::File(place) => Some(place),
            Origin::Argument | Origin::Variable(_) | Origin::Default => None,
        }
    }
}

impl fmt::Display for SettingOrigin {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { origin, setting } = self;
        match origin {
            Origin::Argument => write!(formatter, "--{setting}"),
            Origin::Variable(variable) => write!(formatter, "the environment variable {variable}"),
            Origin::File(place) => write!(formatter, "{place}: {setting}"),
            Origin::Default => write!(formatter, "the default of --{setting}"),
        }
    }
}

impl Place {
    /// The line on which the byte at `offset` of `text` stands.
    pub(crate) fn at(path: &Path, text: &str, offset: usize) -> Self {
        let before = text.as_bytes().get(..offset).unwrap_or_default();
        let line = 1 + before.iter().filter(|byte| **byte == b'\n').count();
        Self { path: path.to_owned(), line }
    }
}

impl fmt::Display for Place {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}, line {}", self.path.display(), self.line)
    }
}
