//! What a kind of value is: how it is written, what it may be, and how its text is read.
//!
//! A kind takes a text and says what it must be. It does not know where the text comes from.

use std::{
    ffi::{OsStr, OsString},
    fmt,
};

use crate::config::error::ValueError;

/// How a value is written on the command line and in the configuration file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Shape {
    /// In quotes in the file.
    Text,
    Number,
    /// An argument without a value; `true` or `false` in the file.
    Switch,
    /// An argument that may be repeated; a list of texts in the file.
    List,
    /// One of these words, each with what it means.
    Choice(Vec<(&'static str, &'static str)>),
}

/// The kind of a setting's value.
pub(crate) trait Kind: Copy + Sync + fmt::Debug {
    type Value;

    fn shape(&self) -> Shape {
        Shape::Text
    }

    /// What stands for a value in a help text; nothing for a switch.
    fn value_name(&self) -> &'static str;

    /// The values that are allowed, where not every one is.
    fn allowed(&self) -> Option<String> {
        None
    }

    /// Reads one text.
    ///
    /// # Errors
    /// What it must be.
    fn parse(&self, text: &str) -> Result<Self::Value, ValueError>;

    /// Reads what is given: one text, but for a list.
    ///
    /// # Errors
    /// What it must be.
    fn parse_all(&self, texts: &[OsString]) -> Result<Self::Value, ValueError> {
        self.parse(unicode(texts.last().map_or(OsStr::new(""), OsString::as_os_str))?)
    }

    /// The text of an environment variable as the texts that an argument would have.
    ///
    /// # Errors
    /// What the variable must be.
    fn texts_of_variable(&self, text: &str) -> Result<Vec<OsString>, ValueError> {
        Ok(vec![text.into()])
    }
}

/// # Errors
/// When it is not UTF-8.
pub(super) fn unicode(text: &OsStr) -> Result<&str, ValueError> {
    text.to_str().ok_or(ValueError::NotUnicode)
}
