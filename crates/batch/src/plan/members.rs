//! Takes members out of a JSON object one by one, and notes what is wrong with each.

use std::str::FromStr;

use serde_json::{Map, Value};

use crate::mistake::{Mistakes, Place, nearest};

/// Members that are not read yet, where they stand, and where to say what is wrong with them.
pub(super) struct Members<'a, 'm> {
    pub(super) map: Map<String, Value>,
    pub(super) place: Place<'a>,
    pub(super) mistakes: &'m mut Mistakes,
}

impl Members<'_, '_> {
    pub(super) fn mistake(&mut self, field: &str, what: impl Into<String>) {
        self.mistakes.push(self.place, field, what);
    }

    /// Removes what is none of `known`, and names the nearest that is.
    pub(super) fn refuse_unknown(&mut self, known: &[&str]) {
        let unknown: Vec<String> =
            self.map.keys().filter(|name| !known.contains(&name.as_str())).cloned().collect();
        for name in unknown {
            self.map.remove(&name);
            let what = match nearest(&name, known.iter().copied()) {
                Some(near) => format!("is unknown; did you mean {near:?}?"),
                None => format!("is unknown; known are {}", known.join(", ")),
            };
            self.mistake(&name, what);
        }
    }

    /// A member, unless it is missing or null.
    pub(super) fn take(&mut self, name: &str) -> Option<Value> {
        self.map.remove(name).filter(|value| !value.is_null())
    }

    pub(super) fn text(&mut self, name: &str) -> Option<String> {
        let Value::String(text) = self.take(name)? else {
            self.mistake(name, "must be a string");
            return None;
        };
        Some(text)
    }

    pub(super) fn texts(&mut self, name: &str) -> Option<Vec<String>> {
        let texts = serde_json::from_value(self.take(name)?).ok();
        if texts.is_none() {
            self.mistake(name, "must be a list of strings");
        }
        texts
    }

    pub(super) fn object(&mut self, name: &str) -> Option<Map<String, Value>> {
        let Value::Object(object) = self.take(name)? else {
            self.mistake(name, "must be an object");
            return None;
        };
        Some(object)
    }

    pub(super) fn flag(&mut self, name: &str) -> Option<bool> {
        let flag = self.take(name)?.as_bool();
        if flag.is_none() {
            self.mistake(name, "must be true or false");
        }
        flag
    }

    pub(super) fn whole(&mut self, name: &str, least: u32, most: u32) -> Option<u32> {
        let number = self.take(name)?.as_u64().and_then(|number| u32::try_from(number).ok());
        let number = number.filter(|number| (least..=most).contains(number));
        if number.is_none() {
            self.mistake(name, format!("must be a whole number from {least} to {most}"));
        }
        number
    }

    /// A number greater than 0.
    pub(super) fn amount(&mut self, name: &str, unit: &str) -> Option<f64> {
        let number = self.take(name)?.as_f64().filter(|number| number.is_finite() && *number > 0.0);
        if number.is_none() {
            self.mistake(name, format!("must be a number of {unit} greater than 0"));
        }
        number
    }

    /// A word that its type reads; the type's error says which words there are.
    pub(super) fn word<T: FromStr<Err: ToString>>(&mut self, name: &str) -> Option<T> {
        match self.text(name)?.parse() {
            Ok(word) => Some(word),
            Err(error) => {
                self.mistake(name, error.to_string());
                None
            }
        }
    }
}
