//! `--check-config`: every setting with its value and where that comes from, or all mistakes.
//!
//! What is printed is a configuration file with the same settings. A secret is never printed.

use std::path::Path;

use crate::config::{
    Config,
    command_line::Arguments,
    error::ConfigError,
    live::Live,
    machine::Machine,
    origin::{Given, Lookup, Origin},
    settings::{
        setting::AnySetting,
        table::{self, GROUPS},
    },
    shown,
    sources::Sources,
    values::Values,
};

/// The effective settings as text.
///
/// # Errors
/// All mistakes: those of the file in the order of its lines, then the others.
pub(crate) fn check(arguments: Arguments, lookup: Lookup<'_>) -> Result<String, Vec<ConfigError>> {
    let mut values = Values::gather(arguments, lookup)?;
    let mut mistakes = values.take_mistakes();
    mistakes.extend(wrong_values(&values));
    let machine = match Machine::examine(&values) {
        Ok(machine) if mistakes.is_empty() => machine,
        Ok(_) => return Err(in_order(&values, mistakes)),
        Err(found) => {
            // A value that cannot be read is among the mistakes.
            mistakes.extend(found.into_iter().filter(|mistake| !mistake.is_of_value()));
            return Err(in_order(&values, mistakes));
        }
    };
    let config = Config::resolve(&values, machine).map_err(|error| vec![error])?;
    effective(&values, &config).map_err(|error| vec![error])
}

/// The same for programs: an object of JSON, as `supervisor.settings` answers.
///
/// # Errors
/// As [`check`].
pub(crate) fn check_json(arguments: Arguments) -> Result<String, Vec<ConfigError>> {
    check(arguments.clone(), &|name| std::env::var_os(name))?;
    let settings = Live::load(Sources::of_process(arguments))?.settings();
    Ok(serde_json::json!(settings).to_string() + "\n")
}

/// Those of the files in the order of files and lines, then the others.
fn in_order(values: &Values<'_>, mut mistakes: Vec<ConfigError>) -> Vec<ConfigError> {
    let files: Vec<&Path> = values.files().collect();
    mistakes.sort_by_key(|mistake| match mistake.place() {
        Some(place) => (files.iter().position(|path| *path == place.path), place.line),
        None => (Some(files.len()), 0),
    });
    mistakes
}

/// The mistakes of single values; those of the files also where another source is used instead.
fn wrong_values(values: &Values<'_>) -> Vec<ConfigError> {
    let mut mistakes = Vec::new();
    for setting in table::all() {
        let of_files: Vec<Given> = values.of_files(setting).cloned().collect();
        let used = match values.given(setting) {
            Ok(used) => used.filter(|used| !of_files.contains(used)),
            Err(mistake) => {
                mistakes.push(mistake);
                None
            }
        };
        for given in of_files.into_iter().chain(used) {
            mistakes.extend(setting.check(&given).err());
        }
    }
    mistakes
}

fn effective(values: &Values<'_>, config: &Config) -> Result<String, ConfigError> {
    let mut lines = Vec::new();
    for (group, settings) in GROUPS {
        if !lines.is_empty() {
            lines.push(String::new());
        }
        lines.push(format!("# {group}"));
        for setting in *settings {
            lines.push(line(*setting, values.given(*setting)?, config));
        }
    }
    Ok(lines.join("\n") + "\n")
}

fn line(setting: &dyn AnySetting, given: Option<Given>, config: &Config) -> String {
    let name = setting.about().name;
    if let Some(given) = given {
        let source = source(&given.origin);
        return match shown::value(setting, &given) {
            Some(value) => format!("{name} = {value}  # {source}"),
            None => format!("# {name}: the {source} has the secret itself"),
        };
    }
    let found = shown::found(setting, config).or_else(|| shown::default(setting));
    match (found, setting.default_text()) {
        (Some(default), _) => format!("{name} = {default}  # default"),
        (None, Some(computed)) => format!("# {name}: {computed}  # default"),
        (None, None) => format!("# {name}: none  # default"),
    }
}

fn source(origin: &Origin) -> String {
    match origin {
        Origin::Argument => "command line".to_owned(),
        Origin::Variable(variable) => format!("environment variable {variable}"),
        Origin::File(place) => place.to_string(),
        Origin::Default => "default".to_owned(),
    }
}

/// A configuration file is checked without a panic: its syntax, its keys and every value.
#[cfg(fuzzing)]
pub fn fuzz_settings(text: &str) {
    let file = crate::config::file::ConfigFile::parse(Path::new("fuzz.toml"), text);
    let mut values = Values::of_file(file);
    let mut mistakes = values.take_mistakes();
    mistakes.extend(wrong_values(&values));
    for mistake in in_order(&values, mistakes) {
        assert!(!mistake.to_string().is_empty());
    }
}
