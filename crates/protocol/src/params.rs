//! Reads the named parameters of a call one by one, so that every mistake names its parameter.
//!
//! Unknown parameters are an error that suggests the nearest known one: a misspelt position must
//! never be silently "from the beginning".

use serde_json::{Map, Value};

use crate::error::{ErrorCode, ErrorObject};

/// Parameters that are not read yet.
#[derive(Debug)]
pub(crate) struct Params {
    values: Map<String, Value>,
}

impl Params {
    /// Refuses every parameter that is not among `known`; null counts as absent.
    pub(crate) fn new(params: &Map<String, Value>, known: &[&str]) -> Result<Self, ErrorObject> {
        let mut values = params.clone();
        values.retain(|_, value| !value.is_null());
        for name in values.keys() {
            if !known.contains(&name.as_str()) {
                return Err(unknown(name, known));
            }
        }
        Ok(Self { values })
    }

    pub(crate) fn required_text(&mut self, name: &str) -> Result<String, ErrorObject> {
        self.text(name)?.ok_or_else(|| invalid(name, "is missing"))
    }

    pub(crate) fn text(&mut self, name: &str) -> Result<Option<String>, ErrorObject> {
        match self.values.remove(name) {
            None => Ok(None),
            Some(Value::String(text)) => Ok(Some(text)),
            Some(_) => Err(invalid(name, "must be a string")),
        }
    }

    pub(crate) fn count(&mut self, name: &str) -> Result<Option<u64>, ErrorObject> {
        match self.values.remove(name) {
            None => Ok(None),
            Some(value) => {
                value.as_u64().map(Some).ok_or_else(|| invalid(name, "must be a whole number"))
            }
        }
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
}

/// An error that names the parameter.
pub(crate) fn invalid(field: &str, what: &str) -> ErrorObject {
    ErrorObject::new(ErrorCode::InvalidParams, format!("Invalid params: {field} {what}"))
        .with("field", field)
}

fn unknown(name: &str, known: &[&str]) -> ErrorObject {
    let nearest = known
        .iter()
        .map(|known| (strsim::damerau_levenshtein(name, known), *known))
        .min()
        .filter(|(distance, _)| *distance <= 3);
    match nearest {
        Some((_, known)) => {
            invalid(name, &format!("is unknown; did you mean {known:?}?")).with("suggestion", known)
        }
        None if known.is_empty() => invalid(name, "is unknown; this method takes none"),
        None => invalid(name, &format!("is unknown; known are {}", known.join(", "))),
    }
}
