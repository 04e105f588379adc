//! `.jsonl`: an object a line, with the parameters of `execute`.

use std::fmt;

use serde::{
    Deserialize, Deserializer,
    de::{MapAccess, Visitor},
};
use serde_json::value::RawValue;

use super::{
    Found,
    object::{Complaint, Object, Role},
    place::Places,
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
        match object(line).and_then(|(object, unreadable)| object.read_with(Role::Task, unreadable))
        {
            Ok(execute) => found.task(places.at(offset), execute),
            Err(complaints) => {
                for (within, what) in complaints {
                    found.mistake(places.at(offset + within), what);
                }
            }
        }
    }
    found
}

/// The members of a line, with their offsets in it, and what is wrong with others.
fn object(line: &str) -> Result<(Object, Vec<Complaint>), Vec<Complaint>> {
    serde_json::from_str::<&RawValue>(line).map_err(|error| vec![no_json(0, line, &error)])?;
    if !line.starts_with('{') {
        return Err(vec![(0, "must be an object, such as {\"prompt\": \"...\"}".to_owned())]);
    }
    let Members(members) =
        serde_json::from_str(line).map_err(|error| vec![no_json(0, line, &error)])?;
    let mut object = Object::default();
    let mut complaints = Vec::new();
    for (name, value) in members {
        let (name_offset, value_offset) =
            (offset_in(line, name.get()), offset_in(line, value.get()));
        let name: String = match serde_json::from_str(name.get()) {
            Ok(name) => name,
            Err(error) => {
                complaints.push(no_json(name_offset, name.get(), &error));
                continue;
            }
        };
        if object.params.contains_key(&name) {
            complaints.push((name_offset, format!("{name} is there twice")));
            continue;
        }
        match serde_json::from_str(value.get()) {
            Ok(value) => object.insert(name, name_offset, value),
            Err(error) => complaints.push(no_json(value_offset, value.get(), &error)),
        }
    }
    Ok((object, complaints))
}

/// Both are parts of one text: the raw values borrow from the line.
fn offset_in(line: &str, part: &str) -> usize {
    (part.as_ptr() as usize).saturating_sub(line.as_ptr() as usize)
}

/// The reader's complaint without its place, which is that within a text of one line.
fn no_json(offset: usize, line: &str, error: &serde_json::Error) -> Complaint {
    let text = error.to_string();
    let what = text.split_once(" at line ").map_or(text.as_str(), |(what, _)| what);
    let within = error.column().saturating_sub(1).min(line.len());
    (offset + within, format!("is no JSON: {what}"))
}

/// Members as they stand in the text. A map would forget where, and that one was there twice.
struct Members<'a>(Vec<(&'a RawValue, &'a RawValue)>);

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
