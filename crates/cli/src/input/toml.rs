//! `.toml`: a batch. `[[tasks]]` with the members of a task, `[defaults]` for all of them, and
//! `[options]` of the command line that belong to the batch.

use serde_json::{Map, Number, Value};
use toml::{
    Spanned,
    de::{DeTable, DeValue},
};

use super::{
    encoding::quote_hint,
    found::{FileTask, Found},
    mistake::Mistake,
    object::{Object, unknown},
    place::{Place, Places},
};

const TABLES: [&str; 3] = ["defaults", "options", "tasks"];
/// A byte offset, and what is wrong there.
type Complaint = (usize, String);

pub(super) fn parse(text: &str) -> Found {
    let places = Places::of(text);
    let (document, errors) = DeTable::parse_recoverable(text);
    let syntax: Vec<Mistake> = errors
        .iter()
        .map(|error| Mistake {
            place: error.span().map_or(Place::START, |span| places.at(span.start)),
            what: format!(
                "is no TOML: {}{}",
                error.message(),
                error.span().map_or("", |span| quote_hint(text, span.start))
            ),
        })
        .collect();
    let mut reader = Reader { places, is_broken: !syntax.is_empty(), found: Found::default() };
    for (name, value) in document.get_ref() {
        match name.get_ref().as_ref() {
            "tasks" => reader.tasks(value),
            "defaults" => reader.found.defaults = reader.object("defaults", value),
            "options" => {
                let options = reader.object("options", value).unwrap_or_default();
                reader.found.set_options(options);
            }
            other => {
                reader.found.lacks_tasks = true;
                reader.mistake((name.span().start, unknown(other, &TABLES)));
            }
        }
    }
    let mut found = reader.found;
    // What the parser recovered from a line that is no TOML may not stand in the file.
    found.doubtful_lines = syntax.iter().map(|mistake| mistake.place.line).collect();
    found.mistakes.extend(syntax);
    found
}

/// What was read so far.
struct Reader<'a> {
    places: Places<'a>,
    /// The file is no TOML somewhere, so anything may be missing anywhere.
    is_broken: bool,
    found: Found,
}

impl Reader<'_> {
    fn tasks(&mut self, value: &Spanned<DeValue<'_>>) {
        let DeValue::Array(tasks) = value.get_ref() else {
            let what = "tasks must be tables: write [[tasks]]".to_owned();
            return self.mistake((value.span().start, what));
        };
        for task in tasks {
            let object = self.object("a task", task);
            let place = self.places.at(task.span().start);
            self.found.tasks.push(FileTask { place, object, is_done: false });
        }
    }

    /// The members of a table as JSON.
    fn object(&mut self, title: &str, value: &Spanned<DeValue<'_>>) -> Option<Object> {
        let DeValue::Table(table) = value.get_ref() else {
            self.mistake((value.span().start, format!("{title} must be a table")));
            return None;
        };
        let mut object = Object { is_remnant: self.is_broken, ..Object::default() };
        for (name, value) in table {
            let place = self.places.at(name.span().start);
            match json(value) {
                Ok(value) => object.insert(name.get_ref().to_string(), place, value),
                Err((offset, what)) => {
                    object.is_remnant = true;
                    self.mistake((offset, format!("{} {what}", name.get_ref())));
                }
            }
        }
        Some(object)
    }

    fn mistake(&mut self, (offset, what): Complaint) {
        self.found.mistake(self.places.at(offset), what);
    }
}

/// The same value as JSON has it.
fn json(value: &Spanned<DeValue<'_>>) -> Result<Value, Complaint> {
    let offset = value.span().start;
    match value.get_ref() {
        DeValue::String(text) => Ok(Value::String(text.to_string())),
        DeValue::Boolean(flag) => Ok(Value::Bool(*flag)),
        DeValue::Integer(number) => i64::from_str_radix(number.as_str(), number.radix())
            .map(Value::from)
            .map_err(|error| (offset, format!("is no number that can be used: {error}"))),
        DeValue::Float(number) => {
            let number = number.as_str().parse().ok().and_then(Number::from_f64);
            number.map(Value::Number).ok_or((offset, "must be a finite number".to_owned()))
        }
        DeValue::Datetime(_) => Err((offset, "must not be a date; quote a text".to_owned())),
        DeValue::Array(values) => {
            values.iter().map(json).collect::<Result<_, _>>().map(Value::Array)
        }
        DeValue::Table(table) => table
            .iter()
            .map(|(name, value)| Ok((name.get_ref().to_string(), json(value)?)))
            .collect::<Result<Map<_, _>, _>>()
            .map(Value::Object),
    }
}
