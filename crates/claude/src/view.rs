//! A view of one JSON object: the fields that are asked for, each as its own raw text.
//!
//! A field is understood when it is read and not before, so one of an unexpected type costs itself
//! and nothing else. The rest of the object is checked to be JSON and thrown away. Called by
//! [`crate::line`]; never copies a value that nobody reads.

use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, IgnoredAny, MapAccess, Visitor};
use serde_json::value::RawValue;

/// The wanted fields of an object that were found. A name that comes twice counts as it came last.
#[derive(Debug, Default)]
pub(crate) struct View<'a> {
    fields: Vec<(&'static str, &'a RawValue)>,
}

impl<'a> View<'a> {
    /// Reads a whole object; `None` if the text is not exactly one.
    pub(crate) fn parse(text: &'a str, wanted: &'static [&'static str]) -> Option<Self> {
        let mut view = Self::default();
        let mut deserializer = serde_json::Deserializer::from_str(text);
        Fill { view: &mut view, wanted }.deserialize(&mut deserializer).ok()?;
        deserializer.end().ok()?;
        Some(view)
    }

    /// Reads the beginning of an object whose rest is missing: the fields that are whole.
    pub(crate) fn parse_prefix(text: &'a str, wanted: &'static [&'static str]) -> Self {
        let mut view = Self::default();
        let mut deserializer = serde_json::Deserializer::from_str(text);
        // That it ends too early is known; what came before stays in the view.
        drop(Fill { view: &mut view, wanted }.deserialize(&mut deserializer));
        view
    }

    /// The field's raw JSON, unless it is missing or null.
    pub(crate) fn raw(&self, name: &str) -> Option<&'a RawValue> {
        let (_, raw) = self.fields.iter().rev().find(|(found, _)| *found == name)?;
        (raw.get() != "null").then_some(raw)
    }

    /// The field as text, if it is text.
    pub(crate) fn text(&self, name: &str) -> Option<String> {
        serde_json::from_str(self.raw(name)?.get()).ok()
    }

    /// Whether the field is exactly this text.
    pub(crate) fn is(&self, name: &str, expected: &str) -> bool {
        self.text(name).as_deref() == Some(expected)
    }

    /// The field as a truth value, if it is one.
    pub(crate) fn boolean(&self, name: &str) -> Option<bool> {
        serde_json::from_str(self.raw(name)?.get()).ok()
    }

    /// The field as a number, also where it is written as text.
    pub(crate) fn number(&self, name: &str) -> Option<f64> {
        let raw = self.raw(name)?.get();
        let number: f64 = raw.trim_matches('"').parse().ok()?;
        number.is_finite().then_some(number)
    }

    /// The field as a count: rounded, because the CLI writes delays with fractions.
    pub(crate) fn count(&self, name: &str) -> Option<u64> {
        let number = self.number(name)?;
        // Beyond 2^53 nothing that the CLI counts is real.
        (0.0..9e15).contains(&number).then(|| number.round() as u64)
    }

    /// The field as an object of its own.
    pub(crate) fn object(&self, name: &str, wanted: &'static [&'static str]) -> Option<View<'a>> {
        View::parse(self.raw(name)?.get(), wanted)
    }
}

/// Fills a view as far as the input is valid, so that it is useful also after an error.
struct Fill<'v, 'a> {
    view: &'v mut View<'a>,
    wanted: &'static [&'static str],
}

impl<'a> DeserializeSeed<'a> for Fill<'_, 'a> {
    type Value = ();

    fn deserialize<D: Deserializer<'a>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_map(self)
    }
}

impl<'a> Visitor<'a> for Fill<'_, 'a> {
    type Value = ();

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("a JSON object")
    }

    fn visit_map<A: MapAccess<'a>>(self, mut map: A) -> Result<(), A::Error> {
        while let Some(wanted) = map.next_key_seed(Name(self.wanted))? {
            match wanted {
                Some(name) => {
                    let raw: &'a RawValue = map.next_value()?;
                    self.view.fields.retain(|(found, _)| *found != name);
                    self.view.fields.push((name, raw));
                }
                None => {
                    map.next_value::<IgnoredAny>()?;
                }
            }
        }
        Ok(())
    }
}

/// Reads a key without keeping it: which of the wanted names it is, if any.
struct Name(&'static [&'static str]);

impl<'a> DeserializeSeed<'a> for Name {
    type Value = Option<&'static str>;

    fn deserialize<D: Deserializer<'a>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_str(self)
    }
}

impl Visitor<'_> for Name {
    type Value = Option<&'static str>;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("a field name")
    }

    fn visit_str<E>(self, key: &str) -> Result<Self::Value, E> {
        Ok(self.0.iter().copied().find(|name| *name == key))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const WANTED: &[&str] = &["a", "b", "c"];

    #[test]
    fn a_field_of_an_unexpected_type_costs_only_itself() {
        let view = View::parse(r#"{"a":[1],"b":"text","c":{"d":1},"x":null}"#, WANTED).unwrap();
        assert_eq!(view.text("a"), None);
        assert_eq!(view.count("a"), None);
        assert_eq!(view.text("b").as_deref(), Some("text"));
        assert_eq!(view.boolean("b"), None);
        assert!(view.object("c", &["d"]).is_some());
    }

    #[test]
    fn null_is_the_same_as_missing_and_the_last_of_two_counts() {
        let view = View::parse(r#"{"a":null,"b":1,"b":2}"#, WANTED).unwrap();
        assert!(view.raw("a").is_none());
        assert!(view.raw("c").is_none());
        assert_eq!(view.count("b"), Some(2));
    }

    #[test]
    fn numbers_are_understood_as_the_cli_and_others_write_them() {
        let view = View::parse(r#"{"a":592.937,"b":"429","c":-1}"#, WANTED).unwrap();
        assert_eq!(view.count("a"), Some(593));
        assert_eq!(view.count("b"), Some(429));
        assert_eq!(view.count("c"), None);
        assert_eq!(View::parse(r#"{"a":1e300}"#, WANTED).unwrap().count("a"), None);
    }

    #[test]
    fn only_exactly_one_object_is_one() {
        for text in ["", "[]", "1", "{", r#"{"a":1} x"#, r#"{"a":1}{"a":1}"#, r#"{"a":}"#] {
            assert!(View::parse(text, WANTED).is_none(), "{text}");
        }
    }

    #[test]
    fn the_whole_fields_of_a_cut_object_are_kept() {
        let view = View::parse_prefix(r#"{"a":true,"b":429,"c":"an answer that is cu"#, WANTED);
        assert_eq!(view.boolean("a"), Some(true));
        assert_eq!(view.count("b"), Some(429));
        assert!(view.raw("c").is_none());
    }

    #[test]
    fn deep_nesting_neither_overflows_nor_spoils_the_other_fields() {
        let deep = "[".repeat(100_000) + &"]".repeat(100_000);
        let text = format!(r#"{{"x":{deep},"a":{deep},"b":1}}"#);
        let view = View::parse(&text, WANTED).unwrap();
        assert_eq!(view.count("b"), Some(1));
        assert_eq!(view.text("a"), None);
    }
}
