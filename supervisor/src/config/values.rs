//! All sources of values, and their order: argument, environment variable, configuration files, default.
//!
//! An empty variable counts as none.

use std::{collections::BTreeMap, net::SocketAddr, path::Path};

use crate::config::{
    command_line::Arguments,
    error::ConfigError,
    file::ConfigFile,
    layers,
    listen::ListenAddress,
    origin::{Given, Lookup, Origin},
    settings::{
        kind::Kind,
        setting::{AnySetting, Computed, Fixed, Setting, value_error},
    },
};

/// What is given for each setting.
pub(super) type AllGiven = BTreeMap<&'static str, Option<Given>>;

/// What a reload cannot change.
#[derive(Clone, Copy, Debug)]
pub(super) struct Pinned<'a> {
    /// What was given for each setting at the start.
    pub(super) given: &'a AllGiven,
    /// As configured at the start.
    pub(super) listen: &'a [ListenAddress],
    /// Where the supervisor listens beyond loopback, which an inherited socket may have decided.
    pub(super) listening: Option<SocketAddr>,
    pub(super) state_dir: &'a Path,
    pub(super) worker: &'a Path,
}

/// Where values come from.
pub(crate) struct Values<'a> {
    arguments: Arguments,
    lookup: Lookup<'a>,
    /// The lowest first.
    files: Vec<ConfigFile>,
    /// What a reload cannot change.
    pinned: Option<Pinned<'a>>,
    /// The settings that were asked for: a test finds those that have no effect.
    #[cfg(test)]
    asked: std::cell::RefCell<std::collections::BTreeSet<&'static str>>,
}

impl<'a> Values<'a> {
    /// Takes the command line and reads the configuration files.
    ///
    /// # Errors
    /// The files that cannot be read. What is wrong in the others is in [`Self::take_mistakes`].
    pub(crate) fn gather(
        arguments: Arguments,
        lookup: Lookup<'a>,
    ) -> Result<Self, Vec<ConfigError>> {
        let files = layers::read(&arguments, lookup)?;
        Ok(Self {
            arguments,
            lookup,
            files,
            pinned: None,
            #[cfg(test)]
            asked: std::cell::RefCell::default(),
        })
    }

    /// Takes nothing but a file.
    #[cfg(fuzzing)]
    pub(crate) fn of_file(file: ConfigFile) -> Self {
        let arguments = Arguments::from_words::<std::ffi::OsString>([]);
        Self { arguments, lookup: &|_| None, files: vec![file], pinned: None }
    }

    /// For a reload: what it cannot change is what it was.
    pub(super) fn pin(&mut self, pinned: Pinned<'a>) {
        self.pinned = Some(pinned);
    }

    pub(super) fn pinned(&self) -> Option<Pinned<'a>> {
        self.pinned
    }

    /// What is wrong with the names and types in the files, in the order of the files.
    pub(crate) fn take_mistakes(&mut self) -> Vec<ConfigError> {
        self.files.iter_mut().flat_map(|file| std::mem::take(&mut file.mistakes)).collect()
    }

    /// The files that were read, the lowest first.
    pub(crate) fn files(&self) -> impl Iterator<Item = &Path> {
        self.files.iter().map(|file| file.path.as_path())
    }

    /// What each file has for the setting, also where another source wins.
    pub(crate) fn of_files(&self, setting: &dyn AnySetting) -> impl Iterator<Item = &Given> {
        let name = setting.about().name;
        self.files.iter().filter_map(move |file| file.settings.get(name))
    }

    /// Whether a configuration file names the setting without a value that can be used.
    pub(crate) fn is_unusable(&self, setting: &dyn AnySetting) -> bool {
        self.files.iter().any(|file| file.unusable.contains(setting.about().name))
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
        match self.pinned {
            Some(pinned) if !about.is_reloadable => {
                Ok(pinned.given.get(about.name).cloned().flatten())
            }
            Some(_) | None => self.given_anew(setting),
        }
    }

    /// The same, also where a reload cannot change it.
    ///
    /// # Errors
    /// As [`Self::given`].
    pub(super) fn given_anew(
        &self,
        setting: &dyn AnySetting,
    ) -> Result<Option<Given>, ConfigError> {
        let about = setting.about();
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
        Ok(self.of_files(setting).last().cloned())
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
