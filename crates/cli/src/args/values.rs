//! Values of options, from text.

use std::{env::VarError, fmt::Display, str::FromStr};

use cc_batch::plan::{OnAuthRefused, Timeout};
use cc_protocol::execute::TIMEOUT_S_LIMIT;

/// What is wrong with a value; the text follows the name of the option.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum ValueError {
    #[error("must be a number of seconds greater than 0 and at most {TIMEOUT_S_LIMIT}")]
    Seconds,
    #[error("must be a number of seconds greater than 0 and at most {TIMEOUT_S_LIMIT}, or auto")]
    Timeout,
    #[error("is {0:?}; it takes seconds, or a number with s, m, h or d, such as 8h")]
    Duration(String),
    #[error("must be a number greater than 0")]
    Amount,
    #[error("must be NAME=VALUE or NAME")]
    Variable,
    #[error("has no value here; give one with NAME=VALUE")]
    VariableNotSet,
    #[error("has a value that is no UTF-8 here")]
    VariableNotText,
    #[error("is {0:?}; it takes fail-fast and let-cli-retry")]
    Auth(String),
    /// In the words of the plan, which has the same value.
    #[error("{0}")]
    OfPlan(String),
}

pub(super) fn seconds(text: &str) -> Result<f64, ValueError> {
    text.parse()
        .ok()
        .filter(|seconds| *seconds > 0.0 && *seconds <= TIMEOUT_S_LIMIT)
        .ok_or(ValueError::Seconds)
}

pub(super) fn timeout(text: &str) -> Result<Timeout, ValueError> {
    match text {
        "auto" => Ok(Timeout::Auto),
        number => seconds(number).map(Timeout::Seconds).map_err(|_| ValueError::Timeout),
    }
}

/// Seconds from `90`, `90s`, `15m`, `8h` or `2d`.
pub(crate) fn duration(text: &str) -> Result<f64, ValueError> {
    const UNITS: [(char, f64); 4] = [('s', 1.0), ('m', 60.0), ('h', 3_600.0), ('d', 86_400.0)];
    let unit = UNITS.iter().find(|(letter, _)| text.ends_with(*letter));
    let (number, factor) = match unit {
        Some((letter, factor)) => (text.trim_end_matches(*letter), *factor),
        None => (text, 1.0),
    };
    let seconds = number.trim().parse::<f64>().ok().map(|number| number * factor);
    let seconds = seconds.filter(|seconds| seconds.is_finite() && *seconds > 0.0);
    seconds.ok_or_else(|| ValueError::Duration(text.to_owned()))
}

pub(super) fn amount(text: &str) -> Result<f64, ValueError> {
    let number = text.parse().ok().filter(|number: &f64| number.is_finite() && *number > 0.0);
    number.ok_or(ValueError::Amount)
}

/// `NAME=VALUE`, or `NAME` for a variable of this process.
pub(super) fn variable(text: &str) -> Result<(String, String), ValueError> {
    match text.split_once('=') {
        Some((name, value)) if !name.is_empty() => Ok((name.to_owned(), value.to_owned())),
        Some(_) => Err(ValueError::Variable),
        None => match std::env::var(text) {
            Ok(value) => Ok((text.to_owned(), value)),
            Err(VarError::NotPresent) => Err(ValueError::VariableNotSet),
            Err(VarError::NotUnicode(_)) => Err(ValueError::VariableNotText),
        },
    }
}

pub(super) fn auth(text: &str) -> Result<OnAuthRefused, ValueError> {
    text.replace('-', "_").parse().map_err(|_| ValueError::Auth(text.to_owned()))
}

/// A value that a plan writes in the same way.
pub(super) fn word<T: FromStr<Err: Display>>(text: &str) -> Result<T, ValueError> {
    text.parse().map_err(|error: T::Err| ValueError::OfPlan(error.to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_variable_without_a_value_takes_the_one_that_it_has_here() {
        assert_eq!(variable("A=b=c"), Ok(("A".to_owned(), "b=c".to_owned())));
        assert_eq!(variable("A="), Ok(("A".to_owned(), String::new())));
        assert_eq!(variable("PATH"), Ok(("PATH".to_owned(), std::env::var("PATH").unwrap())));
        assert!(variable("=b").is_err());
        assert!(variable("CC_NO_SUCH_VARIABLE").is_err());
    }

    #[test]
    fn a_timeout_is_a_positive_number_of_seconds() {
        assert_eq!(seconds("0.5"), Ok(0.5));
        for text in ["0", "-1", "NaN", "inf", "1e9", "10s", ""] {
            assert!(seconds(text).is_err(), "{text}");
        }
    }
}
