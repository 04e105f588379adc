//! `.toml`: a batch. `[[tasks]]` with the parameters of `execute`, `[defaults]` for all of them, and
//! `[options]` of the command line that belong to the batch.

use cc_protocol::execute::Execute;
use serde_json::{Map, Number, Value};
use toml::{
    Spanned,
    de::{DeTable, DeValue},
};

use super::{
    Found, Mistake,
    object::{Complaint, Object, Role, unknown},
    options::FileOptions,
    place::{Place, Places},
};

const TABLES: [&str; 3] = ["defaults", "options", "tasks"];

pub(super) fn parse(text: &str) -> Found {
    let places = Places::of(text);
    let (document, errors) = DeTable::parse_recoverable(text);
    let syntax: Vec<Mistake> = errors
        .iter()
        .map(|error| Mistake {
            place: error.span().map_or(Place::START, |span| places.at(span.start)),
            what: format!("is no TOML: {}", error.message()),
        })
        .collect();
    let role = if syntax.is_empty() { Role::Task } else { Role::Remnant };
    let mut found = Found::default();
    for (name, value) in document.get_ref() {
        let outcome = match name.get_ref().as_ref() {
            "tasks" => read_tasks(value, role, &places, &mut found),
            "defaults" => read_defaults(value).map(|defaults| found.defaults = Some(defaults)),
            "options" => read_options(value).map(|options| found.options = options),
            other => Err(vec![(name.span().start, unknown(other, &TABLES))]),
        };
        for (offset, what) in outcome.err().unwrap_or_default() {
            found.mistake(places.at(offset), what);
        }
    }
    // Of a line that is no TOML something may have been read that nobody wrote.
    found
        .mistakes
        .retain(|mistake| !syntax.iter().any(|mistaken| mistaken.place.line == mistake.place.line));
    found.mistakes.extend(syntax);
    found
}

fn read_tasks(
    value: &Spanned<DeValue<'_>>,
    role: Role,
    places: &Places<'_>,
    found: &mut Found,
) -> Result<(), Vec<Complaint>> {
    let DeValue::Array(tasks) = value.get_ref() else {
        return Err(vec![(value.span().start, "tasks must be tables: write [[tasks]]".to_owned())]);
    };
    let mut complaints = Vec::new();
    for task in tasks {
        match object("a task", task)
            .and_then(|(object, unreadable)| object.read_with(role, unreadable))
        {
            Ok(execute) => found.task(places.at(task.span().start), execute),
            Err(of_task) => complaints.extend(of_task),
        }
    }
    if complaints.is_empty() { Ok(()) } else { Err(complaints) }
}

fn read_defaults(value: &Spanned<DeValue<'_>>) -> Result<Execute, Vec<Complaint>> {
    let (object, unreadable) = object("defaults", value)?;
    object.read_with(Role::Defaults, unreadable)
}

fn read_options(value: &Spanned<DeValue<'_>>) -> Result<FileOptions, Vec<Complaint>> {
    let (object, mut complaints) = object("options", value)?;
    let mut options = FileOptions::default();
    for (name, value) in &object.params {
        if let Err(what) = options.set(name, value) {
            complaints.push((object.offset_of(name), what));
        }
    }
    if complaints.is_empty() { Ok(options) } else { Err(complaints) }
}

/// The members of a table, as JSON, with their offsets in the file, and what is wrong with others.
fn object(
    title: &str,
    value: &Spanned<DeValue<'_>>,
) -> Result<(Object, Vec<Complaint>), Vec<Complaint>> {
    let offset = value.span().start;
    let DeValue::Table(table) = value.get_ref() else {
        return Err(vec![(offset, format!("{title} must be a table"))]);
    };
    let mut object = Object::at(offset);
    let mut complaints = Vec::new();
    for (name, value) in table {
        match json(value) {
            Ok(value) => object.insert(name.get_ref().to_string(), name.span().start, value),
            Err((offset, what)) => {
                complaints.push((offset, format!("{} {what}", name.get_ref())));
            }
        }
    }
    Ok((object, complaints))
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
