//! Where a value comes from.

use std::{
    ffi::OsString,
    fmt,
    path::{Path, PathBuf},
};

/// Reads an environment variable.
pub(crate) type Lookup<'a> = &'a dyn Fn(&str) -> Option<OsString>;

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

/// The lines of the configuration file.
#[derive(Debug)]
pub(crate) struct Lines<'a> {
    path: &'a Path,
    /// Offsets of the newlines.
    ends: Vec<usize>,
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

impl<'a> Lines<'a> {
    pub(crate) fn new(path: &'a Path, text: &str) -> Self {
        let ends = text.bytes().enumerate().filter(|(_, byte)| *byte == b'\n');
        Self { path, ends: ends.map(|(offset, _)| offset).collect() }
    }

    /// The line that has the byte at `offset`, from 1.
    pub(crate) fn of(&self, offset: usize) -> usize {
        1 + self.ends.partition_point(|end| *end < offset)
    }

    pub(crate) fn place(&self, line: usize) -> Place {
        Place { path: self.path.to_owned(), line }
    }
}

impl fmt::Display for Place {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}, line {}", self.path.display(), self.line)
    }
}
