//! `.jsonl`: an object a line, with the parameters of `execute`.

use std::fmt;

use serde::{
    Deserialize, Deserializer,
    de::{MapAccess, Visitor},
};
use serde_json::value::RawValue;

use super::{
    encoding::quote_hint,
    found::{FileTask, Found},
    mistake::Mistake,
    object::Object,
    place::{Place, Places},
    queue::{self, Manner},
};

pub(super) fn parse(text: &str) -> Found {
    let places = Places::of(text);
    let mut found = Found::default();
    let mut line_start = 0;
    for line in text.split_inclusive('\n') {
        let offset = line_start + (line.len() - line.trim_start().len());
        line_start += line.len();
        let line = line.trim();
        if line.is_empty() {
            continue;
        }
        let mut reader = Line { line, offset, places: &places, mistakes: &mut found.mistakes };
        let object = reader.object();
        found.tasks.push(FileTask { place: places.at(offset), object, is_done: false });
    }
    if !found.mistakes.is_empty() && is_one_value(text) {
        let what = "is one value of JSON over several lines, not an object a line: a list of tasks is a \
                    .json file (--format json)";
        found = Found { lacks_tasks: true, ..Found::default() };
        found.mistake(Place::START, what);
    }
    queue::settle(found, Manner::OnlyKnown)
}

/// Whether all lines together are one list or object.
fn is_one_value(text: &str) -> bool {
    let text = text.trim();
    text.starts_with(['[', '{']) && serde_json::from_str::<&RawValue>(text).is_ok()
}

/// A line, or another part of a file that is an object, and where what is wrong with it is noted.
pub(super) struct Line<'a> {
    pub(super) line: &'a str,
    /// In the file.
    pub(super) offset: usize,
    pub(super) places: &'a Places<'a>,
    pub(super) mistakes: &'a mut Vec<Mistake>,
}

impl Line<'_> {
    /// The readable part of the line, if there is one.
    pub(super) fn object(&mut self) -> Option<Object> {
        if let Err(error) = serde_json::from_str::<&RawValue>(self.line) {
            self.no_json(0, self.line, &error);
            return None;
        }
        if !self.line.starts_with('{') {
            self.mistake(0, "must be an object, such as {\"prompt\": \"...\"}".to_owned());
            return None;
        }
        let members = match serde_json::from_str(self.line) {
            Ok(Members(members)) => members,
            Err(error) => {
                self.no_json(0, self.line, &error);
                return None;
            }
        };
        let mut object = Object::default();
        for (name, value) in members {
            if !self.member(&mut object, name.get(), value.get()) {
                object.is_remnant = true;
            }
        }
        Some(object)
    }

    /// Whether the member could be read.
    fn member(&mut self, object: &mut Object, name: &str, value: &str) -> bool {
        let (name_offset, value_offset) = (offset_in(self.line, name), offset_in(self.line, value));
        let name: String = match serde_json::from_str(name) {
            Ok(name) => name,
            Err(error) => {
                self.no_json(name_offset, name, &error);
                return false;
            }
        };
        if object.members.contains_key(&name) {
            self.mistake(name_offset, format!("{name} is there twice"));
            return false;
        }
        match serde_json::from_str(value) {
            Ok(value) => object.insert(name, self.place(name_offset), value),
            Err(error) => {
                self.no_json(value_offset, value, &error);
                return false;
            }
        }
        true
    }

    fn place(&self, within: usize) -> Place {
        self.places.at(self.offset + within)
    }

    fn mistake(&mut self, within: usize, what: String) {
        let place = self.place(within);
        self.mistakes.push(Mistake { place, what });
    }

    /// The parser's error without its position, which is relative to the part.
    pub(super) fn no_json(&mut self, offset: usize, part: &str, error: &serde_json::Error) {
        let text = error.to_string();
        let what = text.split_once(" at line ").map_or(text.as_str(), |(what, _)| what);
        let lines_before = part.split_inclusive('\n').take(error.line().saturating_sub(1));
        let line_start: usize = lines_before.map(str::len).sum();
        let within = (line_start + error.column().saturating_sub(1)).min(part.len());
        let hint = quote_hint(part, within);
        self.mistake(offset + within, format!("is no JSON: {what}{hint}"));
    }
}

/// Both are parts of one text: the raw values borrow from the line.
pub(super) fn offset_in(line: &str, part: &str) -> usize {
    (part.as_ptr() as usize).saturating_sub(line.as_ptr() as usize)
}

/// Members in the order of the text. A map would lose their places, and duplicates.
pub(super) struct Members<'a>(pub(super) Vec<(&'a RawValue, &'a RawValue)>);

impl<'de: 'a, 'a> Deserialize<'de> for Members<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Entries;

        impl<'de> Visitor<'de> for Entries {
            type Value = Members<'de>;

            fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                formatter.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let mut members = Vec::new();
                while let Some(member) = map.next_entry()? {
                    members.push(member);
                }
                Ok(Members(members))
            }
        }

        deserializer.deserialize_map(Entries)
    }
}
