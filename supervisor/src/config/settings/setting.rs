//! What one setting is: the facts that every reader of the table needs, and the type of its value.
//!
//! [`Setting`] has the type, so that a value is read as what it is. [`AnySetting`] has none, so that all settings stand
//! in one list.

use std::{ffi::OsString, fmt};

use crate::config::{
    error::{ConfigError, ValueError},
    origin::{Given, Origin},
    settings::kind::{Kind, Shape},
};

/// One setting. `D` is [`Fixed`] or [`Computed`]: whether there is a value where none is given.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Setting<K, D> {
    about: About,
    kind: K,
    default: D,
}

/// What does not depend on the type.
#[derive(Clone, Copy, Debug)]
pub(crate) struct About {
    /// As in the configuration file; on the command line with `--` before it.
    pub(crate) name: &'static str,
    pub(crate) help: &'static str,
    pub(crate) variable: Option<Variable>,
    /// A reload changes it: who needs it reads [`crate::config::live`] when it is needed, or is told by
    /// `session/reload.rs`. What is not said to be so is read at the start only.
    pub(crate) is_reloadable: bool,
}

/// The environment variable of a setting.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Variable {
    pub(crate) name: &'static str,
    /// What it holds, where that is not what the argument holds.
    pub(crate) note: Option<&'static str>,
    pub(crate) is_secret: bool,
}

/// The value of a setting that is not given. It is read as a given one is.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Fixed {
    Number(u64),
    Text(&'static str),
    /// An empty list, a switch that is off.
    Nothing,
}

/// There is no fixed value. This text says how one is found when the configuration is put together; `None`: none is.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Computed(pub(crate) Option<&'static str>);

impl<K: Copy, D: Copy> Setting<K, D> {
    pub(crate) const fn new(name: &'static str, kind: K, default: D, help: &'static str) -> Self {
        Self { about: About { name, help, variable: None, is_reloadable: false }, kind, default }
    }

    pub(crate) const fn variable(self, name: &'static str) -> Self {
        self.with(Variable { name, note: None, is_secret: false })
    }

    /// The variable holds something else than the argument: what `note` says.
    pub(crate) const fn variable_with(self, name: &'static str, note: &'static str) -> Self {
        self.with(Variable { name, note: Some(note), is_secret: false })
    }

    /// The variable holds a secret, which is never shown.
    pub(crate) const fn secret_variable(self, name: &'static str, note: &'static str) -> Self {
        self.with(Variable { name, note: Some(note), is_secret: true })
    }

    /// A change takes a reload, and no restart.
    pub(crate) const fn reloadable(mut self) -> Self {
        self.about.is_reloadable = true;
        self
    }

    const fn with(mut self, variable: Variable) -> Self {
        self.about.variable = Some(variable);
        self
    }
}

impl<K: Kind, D> Setting<K, D> {
    /// Reads a value of this setting.
    ///
    /// # Errors
    /// With the origin of a text that cannot be used.
    pub(crate) fn read(&self, given: &Given) -> Result<K::Value, ConfigError> {
        let problem = |problem| value_error(&self.about, &given.origin, &given.texts, problem);
        self.kind.parse_all(&given.texts).map_err(problem)
    }
}

impl<K> Setting<K, Fixed> {
    pub(crate) fn default(&self) -> Given {
        Given { origin: Origin::Default, texts: self.default.texts() }
    }
}

impl Fixed {
    fn texts(self) -> Vec<OsString> {
        match self {
            Self::Number(number) => vec![number.to_string().into()],
            Self::Text(text) => vec![text.into()],
            Self::Nothing => Vec::new(),
        }
    }
}

/// The error for a value of this setting. A secret stays out of it.
pub(crate) fn value_error(
    about: &About,
    origin: &Origin,
    texts: &[OsString],
    problem: ValueError,
) -> ConfigError {
    let is_secret = *origin != Origin::Argument && about.variable.is_some_and(|it| it.is_secret);
    let value = match texts.last() {
        Some(_) if is_secret => "…".to_owned(),
        Some(text) => text.to_string_lossy().into_owned(),
        None => String::new(),
    };
    ConfigError::Value { origin: origin.of(about.name), value, problem }
}

/// A setting of any type.
pub(crate) trait AnySetting: Sync + fmt::Debug {
    fn about(&self) -> &About;
    /// How a value is written.
    fn shape(&self) -> Shape;
    /// What stands for a value in a help text.
    fn value_name(&self) -> &'static str;
    /// The values that are allowed, where not every one is.
    fn allowed(&self) -> Option<String>;
    /// The value of the default, where it is fixed.
    fn default_texts(&self) -> Option<Vec<OsString>>;
    /// The default as a help text has it.
    fn default_text(&self) -> Option<String>;
    /// The variable's text as the texts that an argument would have.
    ///
    /// # Errors
    /// What the variable must be.
    fn texts_of_variable(&self, text: &str) -> Result<Vec<OsString>, ValueError>;
    /// Whether a value can be read.
    ///
    /// # Errors
    /// As [`Setting::read`].
    fn check(&self, given: &Given) -> Result<(), ConfigError>;
}

/// What [`AnySetting`] needs to know of a default.
pub(crate) trait DefaultValue: Copy + Sync + fmt::Debug {
    fn value(self) -> Option<Vec<OsString>>;
    fn text(self) -> Option<String>;
}

impl DefaultValue for Fixed {
    fn value(self) -> Option<Vec<OsString>> {
        Some(self.texts())
    }

    fn text(self) -> Option<String> {
        self.texts().first().map(|text| text.to_string_lossy().into_owned())
    }
}

impl DefaultValue for Computed {
    fn value(self) -> Option<Vec<OsString>> {
        None
    }

    fn text(self) -> Option<String> {
        self.0.map(str::to_owned)
    }
}

impl<K: Kind, D: DefaultValue> AnySetting for Setting<K, D> {
    fn about(&self) -> &About {
        &self.about
    }

    fn shape(&self) -> Shape {
        self.kind.shape()
    }

    fn value_name(&self) -> &'static str {
        self.kind.value_name()
    }

    fn allowed(&self) -> Option<String> {
        self.kind.allowed()
    }

    fn default_texts(&self) -> Option<Vec<OsString>> {
        self.default.value()
    }

    fn default_text(&self) -> Option<String> {
        self.default.text()
    }

    fn texts_of_variable(&self, text: &str) -> Result<Vec<OsString>, ValueError> {
        self.kind.texts_of_variable(text)
    }

    fn check(&self, given: &Given) -> Result<(), ConfigError> {
        self.read(given).map(drop)
    }
}
