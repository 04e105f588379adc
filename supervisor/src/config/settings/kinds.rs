//! Where the values of the configuration come from, and what their texts may be.
//!
//! Every parser takes a text and says what it must be; none knows where the text comes from. Called by
//! [`crate::config`] alone.

use std::{path::PathBuf, time::Duration};

use cc_proctree::cgroup::Setting;
use tracing_subscriber::filter::Targets;

use crate::config::{
    error::{ConfigError, Lookup},
    limits,
};

/// Where values come from.
pub struct Sources<'a> {
    /// Reads an environment variable.
    pub lookup: Lookup<'a>,
}

impl Sources<'_> {
    /// The environment variable; an empty one counts as none.
    #[must_use]
    pub fn variable(&self, name: &str) -> Option<String> {
        (self.lookup)(name)
            .map(|value| value.to_string_lossy().into_owned())
            .filter(|value| !value.is_empty())
    }

    /// The argument, else the default.
    ///
    /// # Errors
    /// With the name of the argument that cannot be used.
    pub fn argument<T>(
        &self,
        name: &str,
        argument: &Option<String>,
        default: T,
        parse: impl Fn(&str) -> Result<T, String>,
    ) -> Result<T, ConfigError> {
        self.value(name, argument.as_deref(), None, default, parse)
    }

    /// The argument, else the variable, else the default.
    ///
    /// # Errors
    /// With the origin of the value that cannot be used.
    pub fn value<T>(
        &self,
        argument_name: &str,
        argument: Option<&str>,
        variable_name: Option<&str>,
        default: T,
        parse: impl Fn(&str) -> Result<T, String>,
    ) -> Result<T, ConfigError> {
        let from_variable = || {
            let name = variable_name?;
            Some((format!("the environment variable {name}"), self.variable(name)?))
        };
        let Some((origin, value)) = argument
            .map(|value| (argument_name.to_owned(), value.to_owned()))
            .or_else(from_variable)
        else {
            return Ok(default);
        };
        parse(&value).map_err(|problem| ConfigError::Value { origin, value, problem })
    }
}

/// A whole number from 1 to `most`.
///
/// # Errors
/// What it must be.
pub fn count(text: &str, most: u64) -> Result<u64, String> {
    text.trim()
        .parse()
        .ok()
        .filter(|count| (1..=most).contains(count))
        .ok_or_else(|| format!("must be a whole number from 1 to {most}"))
}

/// A whole number from 0 to `most`.
///
/// # Errors
/// What it must be.
pub fn count_or_none(text: &str, most: u64) -> Result<u64, String> {
    text.trim()
        .parse()
        .ok()
        .filter(|count| *count <= most)
        .ok_or_else(|| format!("must be a whole number from 0 to {most}"))
}

/// Days.
///
/// # Errors
/// What it must be.
pub fn days(text: &str) -> Result<Duration, String> {
    let most = limits::MOST_KEEP_DAYS;
    text.trim()
        .parse::<f64>()
        .ok()
        .filter(|days| (0.0..=most).contains(days))
        .map(|days| Duration::from_secs_f64(days * 86_400.0))
        .ok_or_else(|| format!("must be a number of days from 0 to {most}"))
}

/// More than 0 seconds.
///
/// # Errors
/// What it must be.
pub fn some_time(text: &str) -> Result<Duration, String> {
    any_time(text)?.ok_or_else(|| "must be more than 0 seconds".to_owned())
}

/// Seconds; zero is none.
///
/// # Errors
/// What it must be.
pub fn any_time(text: &str) -> Result<Option<Duration>, String> {
    let seconds = text
        .trim()
        .parse::<f64>()
        .ok()
        .filter(|seconds| (0.0..=limits::MOST_SECONDS).contains(seconds))
        .ok_or_else(|| {
            format!("must be a number of seconds from 0 to {} (a year)", limits::MOST_SECONDS)
        })?;
    Ok((seconds > 0.0).then(|| Duration::from_secs_f64(seconds)))
}

/// In octal digits.
///
/// # Errors
/// What it must be.
pub fn umask(text: &str) -> Result<u32, String> {
    u32::from_str_radix(text.trim(), 8)
        .ok()
        .filter(|mask| *mask <= 0o777)
        .ok_or_else(|| "must be an octal number from 000 to 777".to_owned())
}

/// As a shell would split them; at least one.
///
/// # Errors
/// What it must be.
pub fn words(text: &str) -> Result<Vec<String>, String> {
    let words = shell_words::split(text).map_err(|error| error.to_string())?;
    if words.is_empty() { Err("must name a program".to_owned()) } else { Ok(words) }
}

/// `default` is what the predecessor called its shell of last resort.
///
/// # Errors
/// What it must be.
pub fn shell(text: &str) -> Result<String, String> {
    match text.trim() {
        "" => Err("must be the name or path of a shell".to_owned()),
        "default" => Ok("sh".to_owned()),
        name => Ok(name.to_owned()),
    }
}

/// `auto`, `off` or an absolute path.
///
/// # Errors
/// What it must be.
pub fn cgroup(text: &str) -> Result<Setting, String> {
    match text {
        "auto" => Ok(Setting::Auto),
        "off" => Ok(Setting::Off),
        path if path.starts_with('/') => Ok(Setting::Path(PathBuf::from(path))),
        _ => Err("must be auto, off or an absolute path".to_owned()),
    }
}

/// Reads a level, by this program's words or the predecessor's, or a list of `target=level`.
///
/// # Errors
/// A text that says what is allowed.
pub fn log_filter(text: &str) -> Result<String, String> {
    let text = text.trim();
    let filter = match text.to_ascii_lowercase().as_str() {
        "warning" => "warn",
        "critical" | "fatal" => "error",
        "trace" | "debug" | "info" | "warn" | "error" | "off" => text,
        // A lone unknown word would be taken for a target, and silence everything else.
        _ if !text.contains('=') => return Err(LEVELS.to_owned()),
        _ => text,
    };
    match filter.parse::<Targets>() {
        Ok(_) => Ok(filter.to_owned()),
        Err(error) => Err(format!("{LEVELS} ({error})")),
    }
}

const LEVELS: &str = "must be trace, debug, info, warning, error or off, or a list of target=level";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_level_or_levels_for_targets_are_taken_and_nothing_else_silences_the_log() {
        for text in
            ["info", " WARN ", "off", "cc_supervisor=debug", "info,cc_supervisor::owner=trace"]
        {
            assert_eq!(log_filter(text).as_deref(), Ok(text.trim()));
        }
        assert_eq!(log_filter("Warning").as_deref(), Ok("warn"));
        assert_eq!(log_filter("critical").as_deref(), Ok("error"));
        for text in ["", "loud", "cc_supervisor", "info,cc_supervisor=loud"] {
            assert!(log_filter(text).is_err_and(|error| error.starts_with(LEVELS)), "{text:?}");
        }
    }
}
