//! `--check-config`: every setting with its value and where that comes from, or all mistakes.
//!
//! What is printed is a configuration file with the same settings. A secret is never printed.

use std::path::Path;

use crate::config::{
    Config,
    command_line::Arguments,
    error::ConfigError,
    machine::Machine,
    origin::{Given, Origin},
    settings::{
        kind::Shape,
        setting::{AnySetting, Computed, Setting},
        table::{self, GROUPS},
    },
    values::{Lookup, Values},
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
        return match given.origin {
            Origin::Variable(variable)
                if setting.about().variable.is_some_and(|it| it.is_secret) =>
            {
                format!("# {name}: the environment variable {variable} has the secret itself")
            }
            Origin::Variable(_) | Origin::Argument | Origin::File(_) | Origin::Default => {
                format!("{name} = {}  # {}", value(setting, &given), source(&given.origin))
            }
        };
    }
    let found = found(setting, config).map(|path| {
        let texts = vec![path.as_os_str().to_owned()];
        Given { origin: Origin::Default, texts }
    });
    let default = || Some(Given { origin: Origin::Default, texts: setting.default_texts()? });
    match (found.or_else(default), setting.default_text()) {
        (Some(default), _) => format!("{name} = {}  # default", value(setting, &default)),
        (None, Some(computed)) => format!("# {name}: {computed}  # default"),
        (None, None) => format!("# {name}: none  # default"),
    }
}

/// What this machine has for a default that depends on it.
fn found<'a>(setting: &dyn AnySetting, config: &'a Config) -> Option<&'a Path> {
    let computed: [(&str, &Path); 3] = [
        (name(&table::STATE_DIR), &config.state_dir),
        (name(&table::WORKER), &config.worker),
        (name(&table::CWD), &config.task.cwd),
    ];
    let found = computed.into_iter().find(|(name, _)| *name == setting.about().name);
    found.map(|(_, path)| path)
}

fn name<K>(setting: &'static Setting<K, Computed>) -> &'static str
where
    Setting<K, Computed>: AnySetting,
{
    setting.about().name
}

/// The value as TOML has it.
fn value(setting: &dyn AnySetting, given: &Given) -> String {
    let text = || given.texts.last().map(|text| text.to_string_lossy()).unwrap_or_default();
    match setting.shape() {
        Shape::Number => text().trim().to_owned(),
        Shape::Switch => if text() == "true" { "true" } else { "false" }.to_owned(),
        Shape::Text | Shape::Choice(_) => quoted(&text()),
        Shape::List => {
            let texts = given.texts.iter().map(|text| quoted(&text.to_string_lossy()));
            format!("[{}]", texts.collect::<Vec<_>>().join(", "))
        }
    }
}

/// A basic string of TOML, whose escapes are those of JSON.
fn quoted(text: &str) -> String {
    serde_json::Value::from(text).to_string().replace('\u{7f}', "\\u007f")
}

fn source(origin: &Origin) -> String {
    match origin {
        Origin::Argument => "command line".to_owned(),
        Origin::Variable(variable) => format!("environment variable {variable}"),
        Origin::File(place) => place.to_string(),
        Origin::Default => "default".to_owned(),
    }
}
