//! Reads the named parameters of a call one by one, so that every mistake names its parameter.
//!
//! Unknown parameters are an error that suggests the nearest known one: a misspelt position must
//! never be silently "from the beginning", a misspelt limit never silently no limit. Used by every
//! method of the contract; `control`, whose parameters were never checked, reads its own.

use std::collections::BTreeMap;

use serde_json::{Map, Value};

use crate::error::{ErrorCode, ErrorObject};

/// Longest timeout that is accepted: 365 days.
pub const TIMEOUT_S_LIMIT: f64 = 365.0 * 86_400.0;

/// Parameters that are not read yet. Null counts as absent.
#[derive(Debug)]
pub(crate) struct Params {
    values: Map<String, Value>,
}

impl Params {
    /// Refuses every parameter that is not among `known`.
    pub(crate) fn new(params: &Map<String, Value>, known: &[&str]) -> Result<Self, ErrorObject> {
        let params = Self::of_checked_names(params.clone());
        match params.values.keys().find(|name| !known.contains(&name.as_str())) {
            None => Ok(params),
            Some(name) if known.is_empty() => {
                Err(invalid(name, "is unknown; this method takes none"))
            }
            Some(name) => Err(unknown(name, known, &known.join(", "))),
        }
    }

    /// Takes parameters whose names the caller has checked.
    pub(crate) fn of_checked_names(mut values: Map<String, Value>) -> Self {
        values.retain(|_, value| !value.is_null());
        Self { values }
    }

    /// Whether it is there and not read yet.
    pub(crate) fn contains(&self, name: &str) -> bool {
        self.values.contains_key(name)
    }

    /// A string that must be there, without NUL.
    pub(crate) fn required_text(&mut self, name: &str) -> Result<String, ErrorObject> {
        self.text(name)?.ok_or_else(|| invalid(name, "is missing"))
    }

    /// A string without NUL: no path, argument or id can hold one.
    pub(crate) fn text(&mut self, name: &str) -> Result<Option<String>, ErrorObject> {
        let text = self.any_text(name)?;
        if text.as_ref().is_some_and(|text| text.contains('\0')) {
            return Err(invalid(name, "must not contain a NUL character"));
        }
        Ok(text)
    }

    /// A string that may hold anything.
    pub(crate) fn any_text(&mut self, name: &str) -> Result<Option<String>, ErrorObject> {
        match self.values.remove(name) {
            None => Ok(None),
            Some(Value::String(text)) => Ok(Some(text)),
            Some(_) => Err(invalid(name, "must be a string")),
        }
    }

    /// A list of strings without NUL; an absent one is empty.
    pub(crate) fn texts(&mut self, name: &str) -> Result<Vec<String>, ErrorObject> {
        let Some(value) = self.values.remove(name) else { return Ok(Vec::new()) };
        let list: Vec<String> = serde_json::from_value(value)
            .map_err(|_| invalid(name, "must be a list of strings"))?;
        if list.iter().any(|text| text.contains('\0')) {
            return Err(invalid(name, "must not contain a NUL character"));
        }
        Ok(list)
    }

    /// A whole number from 0 on.
    pub(crate) fn count(&mut self, name: &str) -> Result<Option<u64>, ErrorObject> {
        self.number(name, |_| true, "must be a whole number")
    }

    /// A whole number from 1 on.
    pub(crate) fn positive(&mut self, name: &str) -> Result<Option<u64>, ErrorObject> {
        self.number(name, |count| count > 0, "must be a whole number greater than 0")
    }

    fn number(
        &mut self,
        name: &str,
        is_good: impl Fn(u64) -> bool,
        rule: &str,
    ) -> Result<Option<u64>, ErrorObject> {
        let Some(value) = self.values.remove(name) else { return Ok(None) };
        let count = value.as_u64().filter(|count| is_good(*count));
        count.map(Some).ok_or_else(|| invalid(name, rule))
    }

    /// A duration in seconds, greater than 0 and at most [`TIMEOUT_S_LIMIT`].
    pub(crate) fn seconds(&mut self, name: &str) -> Result<Option<f64>, ErrorObject> {
        const RULE: &str =
            "must be a number of seconds greater than 0 and at most 31536000 (a year)";
        let Some(value) = self.values.remove(name) else { return Ok(None) };
        let seconds =
            value.as_f64().filter(|seconds| *seconds > 0.0 && *seconds <= TIMEOUT_S_LIMIT);
        seconds.map(Some).ok_or_else(|| invalid(name, RULE))
    }

    pub(crate) fn flag(&mut self, name: &str) -> Result<Option<bool>, ErrorObject> {
        match self.values.remove(name) {
            None => Ok(None),
            Some(Value::Bool(flag)) => Ok(Some(flag)),
            Some(_) => Err(invalid(name, "must be true or false")),
        }
    }

    pub(crate) fn object(&mut self, name: &str) -> Result<Option<Map<String, Value>>, ErrorObject> {
        match self.values.remove(name) {
            None => Ok(None),
            Some(Value::Object(object)) => Ok(Some(object)),
            Some(_) => Err(invalid(name, "must be an object")),
        }
    }

    /// Environment variables; null removes one.
    pub(crate) fn variables(
        &mut self,
        name: &str,
    ) -> Result<BTreeMap<String, Option<String>>, ErrorObject> {
        const RULE: &str = "must be an object of strings (or null to remove a variable)";
        let Some(value) = self.values.remove(name) else { return Ok(BTreeMap::new()) };
        let variables: BTreeMap<String, Option<String>> =
            serde_json::from_value(value).map_err(|_| invalid(name, RULE))?;
        for (variable, value) in &variables {
            let is_bad_name = variable.is_empty() || variable.contains(['=', '\0']);
            if is_bad_name || value.as_ref().is_some_and(|value| value.contains('\0')) {
                let what = format!(
                    "has the unusable variable {variable:?}: no name may be empty or contain '=', nothing NUL"
                );
                return Err(invalid(name, &what));
            }
        }
        Ok(variables)
    }
}

/// An error that names the parameter.
pub(crate) fn invalid(field: &str, what: &str) -> ErrorObject {
    ErrorObject::new(ErrorCode::InvalidParams, format!("Invalid params: {field} {what}"))
        .with("field", field)
}

/// An error that suggests the nearest known parameter, else lists them as `listed`.
pub(crate) fn unknown(name: &str, known: &[&str], listed: &str) -> ErrorObject {
    let nearest = known
        .iter()
        .map(|known| (strsim::damerau_levenshtein(name, known), *known))
        .min()
        .filter(|(distance, _)| *distance <= 3);
    match nearest {
        Some((_, known)) => {
            invalid(name, &format!("is unknown; did you mean {known:?}?")).with("suggestion", known)
        }
        None => invalid(name, &format!("is unknown; known are {listed}")),
    }
}
