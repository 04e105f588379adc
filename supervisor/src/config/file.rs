//! The configuration file: a flat TOML table whose keys are the names of the settings.
//!
//! Owns the names and the types. Whether a value is allowed is decided where all sources come together.

use std::{collections::BTreeMap, ffi::OsString, path::Path};

use toml::{
    Spanned,
    de::{DeString, DeTable, DeValue},
};

use crate::config::{
    command_line,
    error::ConfigError,
    limits,
    origin::{Given, Origin, Place},
    settings::{kind::Shape, setting::AnySetting, table},
    text_file,
};

/// The settings of a file, by name, and everything that is wrong with their names and types.
#[derive(Debug, Default)]
pub(crate) struct ConfigFile {
    pub(crate) settings: BTreeMap<&'static str, Given>,
    pub(crate) mistakes: Vec<ConfigError>,
}

impl ConfigFile {
    /// # Errors
    /// When it cannot be read.
    pub(crate) fn read(path: &Path) -> Result<Self, ConfigError> {
        let text = text_file::read_regular(path, limits::CONFIG_FILE_BYTES).map_err(|problem| {
            ConfigError::Path {
                origin: Origin::Argument.of(command_line::CONFIG),
                path: path.to_owned(),
                problem,
            }
        })?;
        Ok(Self::parse(path, &text))
    }

    pub(crate) fn parse(path: &Path, text: &str) -> Self {
        let (table, errors) = DeTable::parse_recoverable(text);
        let mut file = Self::default();
        for error in errors {
            let offset = error.span().map_or(0, |span| span.start);
            let place = Place::at(path, text, offset);
            file.mistakes.push(ConfigError::Syntax { place, message: error.message().to_owned() });
        }
        for (key, value) in table.into_inner() {
            let place = Place::at(path, text, key.span().start);
            match entry(&key, value.get_ref(), place) {
                Ok((name, given)) => drop(file.settings.insert(name, given)),
                Err(mistake) => file.mistakes.push(mistake),
            }
        }
        file.mistakes.sort_by_key(|mistake| mistake.place().map(|place| place.line));
        file
    }
}

fn entry(
    key: &Spanned<DeString<'_>>,
    value: &DeValue<'_>,
    place: Place,
) -> Result<(&'static str, Given), ConfigError> {
    let key = key.get_ref().as_ref();
    let Some(setting) = table::all().find(|setting| setting.about().name == key) else {
        return Err(ConfigError::UnknownSetting {
            place,
            key: key.to_owned(),
            nearest: nearest(key),
        });
    };
    let name = setting.about().name;
    match texts(setting, value) {
        Ok(texts) => Ok((name, Given { origin: Origin::File(place), texts })),
        Err(expected) => Err(ConfigError::Type { place, name, expected, found: value.type_str() }),
    }
}

/// The value's texts, or what it must be.
fn texts(setting: &dyn AnySetting, value: &DeValue<'_>) -> Result<Vec<OsString>, &'static str> {
    match setting.shape() {
        Shape::Text | Shape::Choice(_) => {
            let text = value.as_str().ok_or("a text in quotes")?;
            Ok(vec![text.into()])
        }
        Shape::Number => Ok(vec![number(value).ok_or("a number")?.into()]),
        Shape::Switch => {
            let is_on = value.as_bool().ok_or("true or false")?;
            Ok(vec![is_on.to_string().into()])
        }
        Shape::List => {
            let list = value.as_array().and_then(|values| {
                values.iter().map(|value| Some(value.get_ref().as_str()?.into())).collect()
            });
            list.ok_or("a list of texts in quotes")
        }
    }
}

/// The number in decimal digits.
fn number(value: &DeValue<'_>) -> Option<String> {
    if let Some(float) = value.as_float() {
        return Some(float.as_str().to_owned());
    }
    let integer = value.as_integer()?;
    match integer.radix() {
        10 => Some(integer.as_str().to_owned()),
        radix => i64::from_str_radix(integer.as_str(), radix).ok().map(|number| number.to_string()),
    }
}

/// The setting that was probably meant.
fn nearest(key: &str) -> Option<&'static str> {
    let key = key.to_ascii_lowercase().replace('_', "-");
    table::all()
        .map(|setting| setting.about().name)
        .map(|name| (strsim::damerau_levenshtein(&key, name), name))
        .filter(|(distance, name)| *distance <= (name.len() / 3).max(1))
        .min()
        .map(|(_, name)| name)
}
