//! Texts, and what is read from them: paths, addresses, command lines, words, switches.

use std::{ffi::OsString, fmt, path::PathBuf};

use cc_proctree::cgroup;
use tracing_subscriber::filter::Targets;

use crate::config::{
    error::ValueError,
    settings::kind::{Kind, Shape, unicode},
};

/// Any text, with this name in a help text.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Text(pub(crate) &'static str);

impl Kind for Text {
    type Value = String;

    fn value_name(&self) -> &'static str {
        self.0
    }

    fn parse(&self, text: &str) -> Result<String, ValueError> {
        Ok(text.to_owned())
    }
}

/// Any number of texts. A variable holds them with commas between.
#[derive(Clone, Copy, Debug)]
pub(crate) struct List(pub(crate) &'static str);

impl Kind for List {
    type Value = Vec<String>;

    fn shape(&self) -> Shape {
        Shape::List
    }

    fn value_name(&self) -> &'static str {
        self.0
    }

    fn parse(&self, text: &str) -> Result<Vec<String>, ValueError> {
        Ok(vec![text.to_owned()])
    }

    fn parse_all(&self, texts: &[OsString]) -> Result<Vec<String>, ValueError> {
        texts.iter().map(|text| unicode(text).map(str::to_owned)).collect()
    }

    fn texts_of_variable(&self, text: &str) -> Result<Vec<OsString>, ValueError> {
        let names = text.split(',').map(str::trim).filter(|name| !name.is_empty());
        Ok(names.map(OsString::from).collect())
    }
}

/// Any number of absolute paths.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Directories;

impl Kind for Directories {
    type Value = Vec<PathBuf>;

    fn shape(&self) -> Shape {
        Shape::List
    }

    fn value_name(&self) -> &'static str {
        "DIR"
    }

    fn parse(&self, text: &str) -> Result<Vec<PathBuf>, ValueError> {
        self.parse_all(&[text.into()])
    }

    fn parse_all(&self, texts: &[OsString]) -> Result<Vec<PathBuf>, ValueError> {
        let paths: Vec<PathBuf> = texts.iter().map(PathBuf::from).collect();
        if paths.iter().all(|path| path.is_absolute()) {
            Ok(paths)
        } else {
            Err(ValueError::Relative)
        }
    }
}

#[derive(Clone, Copy, Debug)]
pub(crate) struct Switch;

impl Kind for Switch {
    type Value = bool;

    fn shape(&self) -> Shape {
        Shape::Switch
    }

    fn value_name(&self) -> &'static str {
        ""
    }

    fn parse(&self, text: &str) -> Result<bool, ValueError> {
        match text {
            "true" => Ok(true),
            "false" | "" => Ok(false),
            _ => Err(ValueError::Switch),
        }
    }
}

/// One of a few words, each with its value and what it means.
#[derive(Debug)]
pub(crate) struct Choice<V: 'static> {
    /// What stands for the word in a help text.
    pub(crate) name: &'static str,
    pub(crate) words: &'static [(&'static str, V, &'static str)],
}

// Derived, they would ask for a `V` that can be copied.
impl<V> Copy for Choice<V> {}

impl<V> Clone for Choice<V> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<V: Copy + Sync + fmt::Debug> Kind for Choice<V> {
    type Value = V;

    fn shape(&self) -> Shape {
        Shape::Choice(self.words.iter().map(|(word, _, help)| (*word, *help)).collect())
    }

    fn value_name(&self) -> &'static str {
        self.name
    }

    fn parse(&self, text: &str) -> Result<V, ValueError> {
        let known = self.words.iter().find(|(word, _, _)| *word == text);
        let words = || self.words.iter().map(|(word, _, _)| *word).collect();
        known.map(|(_, value, _)| *value).ok_or_else(|| ValueError::Choice { words: words() })
    }
}

/// A path, with this name in a help text.
#[derive(Clone, Copy, Debug)]
pub(crate) struct FilePath(pub(crate) &'static str);

impl Kind for FilePath {
    type Value = PathBuf;

    fn value_name(&self) -> &'static str {
        self.0
    }

    fn parse(&self, text: &str) -> Result<PathBuf, ValueError> {
        Ok(text.into())
    }

    /// A path need not be UTF-8.
    fn parse_all(&self, texts: &[OsString]) -> Result<PathBuf, ValueError> {
        Ok(texts.last().map(PathBuf::from).unwrap_or_default())
    }
}

/// A directory that a service manager may give. It joins several by colons; the first is the supervisor's.
#[derive(Clone, Copy, Debug)]
pub(crate) struct ServiceDirectory;

impl Kind for ServiceDirectory {
    type Value = PathBuf;

    fn value_name(&self) -> &'static str {
        "DIR"
    }

    fn parse(&self, text: &str) -> Result<PathBuf, ValueError> {
        Ok(text.into())
    }

    fn parse_all(&self, texts: &[OsString]) -> Result<PathBuf, ValueError> {
        FilePath("DIR").parse_all(texts)
    }

    fn texts_of_variable(&self, text: &str) -> Result<Vec<OsString>, ValueError> {
        Ok(vec![text.split(':').next().unwrap_or_default().into()])
    }
}

/// A program and arguments, split as a shell splits words.
#[derive(Clone, Copy, Debug)]
pub(crate) struct CommandLine;

impl Kind for CommandLine {
    type Value = Vec<String>;

    fn value_name(&self) -> &'static str {
        "COMMAND"
    }

    fn parse(&self, text: &str) -> Result<Vec<String>, ValueError> {
        let words = shell_words::split(text)?;
        if words.is_empty() { Err(ValueError::NoProgram) } else { Ok(words) }
    }
}

/// A program and arguments before others: a list, or one text that is split as a shell splits words.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Words;

impl Kind for Words {
    type Value = Vec<String>;

    fn shape(&self) -> Shape {
        Shape::List
    }

    fn value_name(&self) -> &'static str {
        "COMMAND"
    }

    fn parse(&self, text: &str) -> Result<Vec<String>, ValueError> {
        CommandLine.parse(text)
    }

    fn parse_all(&self, texts: &[OsString]) -> Result<Vec<String>, ValueError> {
        match texts {
            [] => Ok(Vec::new()),
            [one] => self.parse(unicode(one)?),
            words => words.iter().map(|text| unicode(text).map(str::to_owned)).collect(),
        }
    }
}

/// The program that runs command lines.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Shell;

impl Kind for Shell {
    type Value = String;

    fn value_name(&self) -> &'static str {
        "SHELL"
    }

    fn parse(&self, text: &str) -> Result<String, ValueError> {
        match text.trim() {
            "" => Err(ValueError::NoShell),
            // The predecessor's word for its shell of last resort.
            "default" => Ok("sh".to_owned()),
            name => Ok(name.to_owned()),
        }
    }
}

/// Where the cgroups of tasks are made.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Cgroup;

impl Kind for Cgroup {
    type Value = cgroup::Setting;

    fn value_name(&self) -> &'static str {
        "auto|off|PATH"
    }

    fn parse(&self, text: &str) -> Result<cgroup::Setting, ValueError> {
        match text {
            "auto" => Ok(cgroup::Setting::Auto),
            "off" => Ok(cgroup::Setting::Off),
            path if path.starts_with('/') => Ok(cgroup::Setting::Path(PathBuf::from(path))),
            _ => Err(ValueError::Cgroup),
        }
    }
}

/// A level of the log, in this program's words or the predecessor's, or a list of `target=level`.
#[derive(Clone, Copy, Debug)]
pub(crate) struct LogLevel;

impl Kind for LogLevel {
    type Value = String;

    fn value_name(&self) -> &'static str {
        "LEVEL"
    }

    fn allowed(&self) -> Option<String> {
        Some("trace, debug, info, warning, error, off, or a list of target=level".to_owned())
    }

    fn parse(&self, text: &str) -> Result<String, ValueError> {
        let text = text.trim();
        let filter = match text.to_ascii_lowercase().as_str() {
            "warning" => "warn",
            "critical" | "fatal" => "error",
            "trace" | "debug" | "info" | "warn" | "error" | "off" => text,
            // A lone unknown word would be taken for a target, and silence everything else.
            _ if !text.contains('=') => return Err(ValueError::LogLevel),
            _ => text,
        };
        filter.parse::<Targets>()?;
        Ok(filter.to_owned())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_level_or_levels_for_targets_are_taken_and_nothing_else_silences_the_log() {
        for text in
            ["info", " WARN ", "off", "cc_supervisor=debug", "info,cc_supervisor::owner=trace"]
        {
            assert_eq!(LogLevel.parse(text).unwrap(), text.trim());
        }
        assert_eq!(LogLevel.parse("Warning").unwrap(), "warn");
        assert_eq!(LogLevel.parse("critical").unwrap(), "error");
        for text in ["", "loud", "cc_supervisor", "info,cc_supervisor=loud"] {
            let error = LogLevel.parse(text).unwrap_err().to_string();
            let levels = "must be trace, debug, info, warning, error or off, or a list of";
            assert!(error.starts_with(levels), "{text:?}: {error}");
        }
    }
}
