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
    /// The name of the source in an error about the setting `name`.
    pub(crate) fn of(&self, name: &str) -> String {
        match self {
            Self::Argument => format!("--{name}"),
            Self::Variable(variable) => format!("the environment variable {variable}"),
            Self::File(place) => format!("{place}: {name}"),
            Self::Default => format!("the default of --{name}"),
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
