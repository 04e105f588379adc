//! The configuration file: a flat TOML table whose keys are the names of the settings.
//!
//! Owns the names and the types. Whether a value is allowed is decided where all sources come together.

use std::{
    collections::{BTreeMap, BTreeSet},
    ffi::OsString,
    path::{Path, PathBuf},
};

use toml::{
    Spanned,
    de::{DeString, DeTable, DeValue},
};

use crate::config::{
    error::{ConfigError, Expected},
    limits,
    origin::{Given, Lines, Origin, Place},
    settings::{kind::Shape, setting::AnySetting, table},
};

/// The settings of a file, by name, and what is wrong with their names and types.
#[derive(Debug, Default)]
pub(crate) struct ConfigFile {
    pub(crate) path: PathBuf,
    pub(crate) settings: BTreeMap<&'static str, Given>,
    /// In the order of the lines; at most [`limits::CONFIG_MISTAKES`], and how many more there are.
    pub(crate) mistakes: Vec<ConfigError>,
    /// Settings that the file names without a value that can be used.
    pub(crate) unusable: BTreeSet<&'static str>,
    uncounted: usize,
}

/// The beginning of what the parser says of a value that is nothing it knows.
const UNQUOTED: &str = "string values must be quoted";

/// A line that is no TOML.
struct Broken {
    message: String,
    /// The setting on that line, and what it must be.
    expected: Option<(&'static str, Expected)>,
}

impl Broken {
    fn new(text: &str, error: &toml::de::Error) -> Self {
        let here = error.span().and_then(|span| text.get(span)).unwrap_or_default();
        let message = match error.message() {
            message @ "duplicate key" => format!("{message} {}", shortened(here)),
            // The parser takes a missing value for a text without quotes.
            message if message.starts_with(UNQUOTED) && here.trim().is_empty() => {
                "there is no value".to_owned()
            }
            message => message.strip_suffix(", expected nothing").unwrap_or(message).to_owned(),
        };
        Self { message, expected: None }
    }

    fn mistake(self, place: Place) -> ConfigError {
        let Self { mut message, expected } = self;
        if expected.is_some()
            && let Some(end) = message.find(", expected ")
        {
            message.truncate(end);
        }
        ConfigError::Syntax { place, message, expected }
    }
}

impl ConfigFile {
    pub(crate) fn parse(path: &Path, text: &str) -> Self {
        let (table, errors) = DeTable::parse_recoverable(text);
        let lines = Lines::new(path, text);
        let mut broken = broken_lines(text, &lines, &errors);
        let mut entries: Vec<_> = table.into_inner().into_iter().collect();
        entries.sort_by_key(|(key, _)| key.span().start);
        let mut file = Self { path: path.to_owned(), ..Self::default() };
        for (key, value) in &entries {
            file.add(key, value, &lines, &mut broken);
        }
        for (line, broken) in broken {
            file.mistakes.push(broken.mistake(lines.place(line)));
        }
        file.mistakes.sort_by_key(|mistake| mistake.place().map(|place| place.line));
        let more = file.uncounted + file.mistakes.len().saturating_sub(limits::CONFIG_MISTAKES);
        file.mistakes.truncate(limits::CONFIG_MISTAKES);
        if more > 0 {
            file.mistakes.push(ConfigError::More { count: more });
        }
        file
    }

    /// Takes an entry, or its mistake. A line that is no TOML has one mistake, whatever its entry is.
    fn add(
        &mut self,
        key: &Spanned<DeString<'_>>,
        value: &Spanned<DeValue<'_>>,
        lines: &Lines<'_>,
        broken: &mut BTreeMap<usize, Broken>,
    ) {
        let line = lines.of(key.span().start);
        let key = key.get_ref().as_ref();
        let Some(setting) = table::all().find(|setting| setting.about().name == key) else {
            if !broken.contains_key(&line) {
                self.add_mistake(|| ConfigError::UnknownSetting {
                    place: lines.place(line),
                    key: shortened(key),
                    nearest: nearest(key),
                });
            }
            return;
        };
        let name = setting.about().name;
        let last = lines.of(value.span().end.saturating_sub(1)).max(line);
        let broken = broken.range_mut(line..=last).next().map(|(_, broken)| broken);
        match (texts(setting, value.get_ref()), broken) {
            (Ok(texts), None) => {
                let origin = Origin::File(lines.place(line));
                self.settings.insert(name, Given { origin, texts });
                return;
            }
            (Ok(_), Some(_)) => {}
            (Err(expected), Some(broken)) => broken.expected = Some((name, expected)),
            (Err(expected), None) => self.add_mistake(|| ConfigError::Type {
                place: lines.place(line),
                name,
                expected,
                found: value.get_ref().type_str(),
            }),
        }
        self.unusable.insert(name);
    }

    /// Finding the setting that was meant takes time, so mistakes beyond the limit are only counted.
    fn add_mistake(&mut self, mistake: impl FnOnce() -> ConfigError) {
        if self.mistakes.len() < limits::CONFIG_MISTAKES {
            self.mistakes.push(mistake());
        } else {
            self.uncounted += 1;
        }
    }
}

/// The lines that are no TOML, each with its first error.
fn broken_lines(
    text: &str,
    lines: &Lines<'_>,
    errors: &[toml::de::Error],
) -> BTreeMap<usize, Broken> {
    let mut broken = BTreeMap::new();
    for error in errors {
        let line = lines.of(error.span().map_or(0, |span| span.start));
        broken.entry(line).or_insert_with(|| Broken::new(text, error));
    }
    broken
}

/// The value's texts.
///
/// # Errors
/// What the value must be.
fn texts(setting: &dyn AnySetting, value: &DeValue<'_>) -> Result<Vec<OsString>, Expected> {
    match setting.shape() {
        Shape::Text | Shape::Choice(_) => {
            let text = value.as_str().ok_or(Expected::Text)?;
            Ok(vec![text.into()])
        }
        Shape::Number => {
            let expected = match setting.value_name() {
                "SECONDS" => Expected::Seconds,
                "BYTES" => Expected::Bytes,
                "DAYS" => Expected::Days,
                _ => Expected::Number,
            };
            Ok(vec![number(value).ok_or(expected)?.into()])
        }
        Shape::Switch => {
            let is_on = value.as_bool().ok_or(Expected::Switch)?;
            Ok(vec![is_on.to_string().into()])
        }
        Shape::List => {
            let list = value.as_array().and_then(|values| {
                values.iter().map(|value| Some(value.get_ref().as_str()?.into())).collect()
            });
            list.ok_or(Expected::List)
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

fn shortened(key: &str) -> String {
    key.chars().take(limits::CONFIG_KEY_CHARS).collect()
}

/// The setting that was probably meant: that of this environment variable, or the one with the most similar name.
fn nearest(key: &str) -> Option<&'static str> {
    let of_variable = table::all().map(|setting| setting.about()).find(|about| {
        about.variable.is_some_and(|variable| variable.name.eq_ignore_ascii_case(key))
    });
    if let Some(about) = of_variable {
        return Some(about.name);
    }
    let key = key.to_ascii_lowercase().replace('_', "-");
    table::all()
        .map(|setting| setting.about().name)
        .filter(|name| key.len() <= 2 * name.len())
        .map(|name| (strsim::damerau_levenshtein(&key, name), name))
        .filter(|(distance, name)| *distance <= (name.len() / 3).max(1))
        .min()
        .map(|(_, name)| name)
}
