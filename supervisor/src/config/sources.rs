//! Where settings come from over the life of the supervisor: the command line and the environment are those of its
//! start, and what the files say is read again with each reload.

use std::{
    collections::BTreeMap,
    ffi::{OsStr, OsString},
};

use crate::config::{
    Config,
    command_line::Arguments,
    environment::Base,
    error::ConfigError,
    machine::Machine,
    settings::{setting::AnySetting, table},
    values::{AllGiven, Pinned, Values},
};

/// The command line and the environment.
#[derive(Debug)]
pub(crate) struct Sources {
    arguments: Arguments,
    /// As they were at the start: what has a secret may be gone since.
    variables: BTreeMap<OsString, OsString>,
}

impl Sources {
    pub(crate) fn of_process(arguments: Arguments) -> Self {
        Self { arguments, variables: std::env::vars_os().collect() }
    }

    #[cfg(test)]
    pub(crate) fn of_arguments(arguments: Arguments) -> Self {
        Self { arguments, variables: BTreeMap::new() }
    }

    /// The configuration, what is given for each setting, and the files that were read.
    ///
    /// # Errors
    /// The first mistakes.
    pub(super) fn load(
        &self,
        pinned: Option<Pinned<'_>>,
    ) -> Result<(Config, AllGiven, Vec<String>), Vec<ConfigError>> {
        let lookup = |name: &str| self.variables.get(OsStr::new(name)).cloned();
        let mut values = Values::gather(self.arguments.clone(), &lookup)?;
        if let Some(pinned) = pinned {
            values.pin(pinned);
        }
        let mistakes = values.take_mistakes();
        if !mistakes.is_empty() {
            return Err(mistakes);
        }
        let machine = Machine::examine(&values)?;
        let one = |mistake| vec![mistake];
        let config = Config::resolve(&values, machine).map_err(one)?;
        let given =
            |setting: &dyn AnySetting| Ok((setting.about().name, values.given_anew(setting)?));
        let given = table::all().map(given).collect::<Result<_, _>>().map_err(one)?;
        let files = values.files().map(|path| path.display().to_string()).collect();
        Ok((config, given, files))
    }

    /// What tasks get of the environment, and the names of variables that are not UTF-8.
    pub(crate) fn environment(&self, config: &Config) -> (Base, Vec<String>) {
        let variables = self.variables.iter().map(|(name, value)| (name.clone(), value.clone()));
        Base::new(variables, &config.env_allow, &config.env_deny)
    }
}
