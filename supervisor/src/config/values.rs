//! All sources of values, and their order: argument, environment variable, configuration file, default.
//!
//! An empty variable counts as none.

use std::ffi::OsString;

use crate::config::{
    command_line::Arguments,
    error::ConfigError,
    file::ConfigFile,
    origin::{Given, Origin},
    settings::{
        kind::Kind,
        setting::{AnySetting, Computed, Fixed, Setting, value_error},
    },
};

/// Reads an environment variable.
pub(crate) type Lookup<'a> = &'a dyn Fn(&str) -> Option<OsString>;

/// Where values come from.
pub(crate) struct Values<'a> {
    arguments: Arguments,
    lookup: Lookup<'a>,
    file: ConfigFile,
    /// The settings that were asked for: a test finds those that have no effect.
    #[cfg(test)]
    asked: std::cell::RefCell<std::collections::BTreeSet<&'static str>>,
}

impl<'a> Values<'a> {
    /// Takes the command line and reads the file that it names.
    ///
    /// # Errors
    /// When that file cannot be read. What is wrong in it is in [`Self::file`].
    pub(crate) fn gather(arguments: Arguments, lookup: Lookup<'a>) -> Result<Self, ConfigError> {
        let file = arguments.config.as_deref().map(ConfigFile::read).transpose()?;
        Ok(Self {
            arguments,
            lookup,
            file: file.unwrap_or_default(),
            #[cfg(test)]
            asked: std::cell::RefCell::default(),
        })
    }

    pub(crate) fn file(&mut self) -> &mut ConfigFile {
        &mut self.file
    }

    /// Whether the configuration file names the setting without a value that can be used.
    pub(crate) fn is_unusable(&self, setting: &dyn AnySetting) -> bool {
        self.file.unusable.contains(setting.about().name)
    }

    /// A variable that is no setting's, such as the PATH.
    pub(crate) fn variable(&self, name: &str) -> Option<String> {
        (self.lookup)(name)
            .map(|value| value.to_string_lossy().into_owned())
            .filter(|value| !value.is_empty())
    }

    /// What is given for a setting by the first source that has it.
    ///
    /// # Errors
    /// When its variable cannot be read.
    pub(crate) fn given(&self, setting: &dyn AnySetting) -> Result<Option<Given>, ConfigError> {
        let about = setting.about();
        #[cfg(test)]
        self.asked.borrow_mut().insert(about.name);
        if let Some(texts) = self.arguments.settings.get(about.name) {
            return Ok(Some(Given { origin: Origin::Argument, texts: texts.clone() }));
        }
        if let Some(variable) = about.variable
            && let Some(text) = self.variable(variable.name)
        {
            let origin = Origin::Variable(variable.name);
            return match setting.texts_of_variable(&text) {
                Ok(texts) => Ok(Some(Given { origin, texts })),
                Err(problem) => Err(value_error(about, &origin, &[text.into()], problem)),
            };
        }
        Ok(self.file.settings.get(about.name).cloned())
    }

    /// The value of a setting.
    ///
    /// # Errors
    /// With the source of a value that cannot be used.
    pub(crate) fn value<K: Kind>(
        &self,
        setting: &Setting<K, Fixed>,
    ) -> Result<K::Value, ConfigError> {
        setting.read(&self.given(setting)?.unwrap_or_else(|| setting.default()))
    }

    /// The value of a setting, if one is given, and where it comes from.
    ///
    /// # Errors
    /// As [`Self::value`].
    pub(crate) fn optional<K: Kind>(
        &self,
        setting: &Setting<K, Computed>,
    ) -> Result<Option<(K::Value, Origin)>, ConfigError> {
        let Some(given) = self.given(setting)? else { return Ok(None) };
        Ok(Some((setting.read(&given)?, given.origin)))
    }

    /// Whether the setting was asked for.
    #[cfg(test)]
    pub(crate) fn was_asked(&self, name: &str) -> bool {
        self.asked.borrow().contains(name)
    }
}
