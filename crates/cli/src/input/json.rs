//! `.json`: a list of tasks, or an object that has one, as the queues and plans of other programs have it.
//!
//! A task has the members of a line of `.jsonl`, and some more (see [`super::queue`]). What else stands there belongs to
//! the other program: it is noted and not used.

use serde_json::value::RawValue;

use super::{
    found::{FileTask, Found},
    jsonl::{Line, Members, offset_in},
    note::Note,
    object::unknown,
    place::{Place, Places},
    queue::{self, Manner},
};

/// Where an object has its tasks.
const LISTS: [&str; 4] = ["tasks", "userStories", "user_stories", "stories"];
/// What it may have beside them, as a `.toml` file has it.
const TABLES: [&str; 2] = ["defaults", "options"];
/// Members by which an object is a task itself.
const OF_TASKS: [&str; 4] = ["prompt", "command", "argv", "title"];

pub(super) fn parse(text: &str) -> Found {
    let mut reader = Reader { text, places: Places::of(text), found: Found::default() };
    match serde_json::from_str::<&RawValue>(text) {
        Err(error) => {
            reader.line(text).no_json(0, text, &error);
            reader.found.lacks_tasks = true;
            let first_line = text.trim_start().lines().next().unwrap_or_default();
            let is_of_lines = first_line.starts_with('{')
                && serde_json::from_str::<&RawValue>(first_line).is_ok();
            if let (true, Some(mistake)) = (is_of_lines, reader.found.mistakes.last_mut()) {
                mistake
                    .what
                    .push_str("; a file with an object a line is a .jsonl file (--format jsonl)");
            }
        }
        Ok(value) => match value.get().chars().next() {
            Some('[') => reader.list(value.get()),
            Some('{') => reader.object(value.get()),
            Some(_) | None => reader.no_tasks(),
        },
    }
    queue::settle(reader.found, Manner::Foreign)
}

struct Reader<'a> {
    text: &'a str,
    places: Places<'a>,
    found: Found,
}

impl<'a> Reader<'a> {
    fn line<'r>(&'r mut self, part: &'r str) -> Line<'r> {
        let offset = offset_in(self.text, part);
        Line { line: part, offset, places: &self.places, mistakes: &mut self.found.mistakes }
    }

    fn place(&self, part: &str) -> Place {
        self.places.at(offset_in(self.text, part))
    }

    fn no_tasks(&mut self) {
        self.found.lacks_tasks = true;
        let what = format!(
            "must be a list of tasks, or an object that has one as {}",
            LISTS[..2].join(" or ")
        );
        self.found.mistake(Place::START, what);
    }

    fn object(&mut self, text: &'a str) {
        let members = match serde_json::from_str::<Members<'a>>(text) {
            Ok(Members(members)) => members,
            Err(error) => return self.line(text).no_json(0, text, &error),
        };
        let name_of = |name: &RawValue| serde_json::from_str::<String>(name.get());
        let has = |known: &[&str]| {
            let is_known = |name: String| known.contains(&name.as_str());
            members.iter().any(|(name, _)| name_of(name).is_ok_and(is_known))
        };
        if !has(&LISTS) {
            if has(&OF_TASKS) {
                return self.element(text);
            }
            if has(&["requests"]) || has(&["custom_id"]) {
                // Perhaps of a batch API.
                let requests =
                    members.iter().find(|(name, _)| name_of(name).is_ok_and(|it| it == "requests"));
                return match requests {
                    Some((_, list)) => self.list(list.get()),
                    None => self.element(text),
                };
            }
            return self.no_tasks();
        }
        let mut has_list = false;
        for (name, value) in &members {
            let place = self.place(name.get());
            let Ok(name) = name_of(name) else { continue };
            if LISTS.contains(&name.as_str()) {
                if has_list {
                    self.found
                        .mistake(place, format!("{name} is a second list of tasks; give one"));
                }
                has_list = true;
                self.list(value.get());
            } else if TABLES.contains(&name.as_str()) {
                self.table(&name, value.get());
            } else {
                self.beside(&name, place);
            }
        }
    }

    /// A member that is none of ours, unless it is one with a typing error.
    fn beside(&mut self, name: &str, place: Place) {
        let known: Vec<&str> = LISTS.into_iter().chain(TABLES).collect();
        if queue::is_misspelt(name, known.iter().copied()) {
            self.found.mistake(place, unknown(name, &known));
        } else {
            self.found.notes.push(Note::new(place, &format!("{name} is not used"), ""));
        }
    }

    fn table(&mut self, name: &str, text: &str) {
        let object = self.line(text).object().unwrap_or_default();
        match name {
            "defaults" => self.found.defaults = Some(object),
            _ => self.found.set_options(object),
        }
    }

    fn list(&mut self, text: &'a str) {
        match serde_json::from_str::<Vec<&'a RawValue>>(text) {
            Ok(elements) => elements.into_iter().for_each(|element| self.element(element.get())),
            Err(_) => {
                let place = self.place(text);
                self.found.lacks_tasks = true;
                self.found.mistake(place, "must be a list of tasks");
            }
        }
    }

    fn element(&mut self, text: &str) {
        let place = self.place(text);
        if text.starts_with('"')
            && let Ok(prompt) = serde_json::from_str::<String>(text)
        {
            return self.found.prompt(place, prompt, None);
        }
        let object = self.line(text).object();
        self.found.tasks.push(FileTask { place, object, is_done: false });
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    #[test]
    fn a_broken_file_is_named_with_its_line_and_nothing_else_is_said() {
        let found = parse("[\n {\"prompt\": \"a\"},\n {\"prompt\": }\n]");
        let [mistake] = found.mistakes.as_slice() else { panic!("{:?}", found.mistakes) };
        assert_eq!((mistake.place.line, mistake.what.as_str()), (3, "is no JSON: expected value"));
    }

    #[test]
    fn what_is_no_list_is_refused() {
        for value in
            [json!(5), json!("a"), json!({"name": "x"}), json!({"tasks": {}}), json!({"taks": []})]
        {
            let found = parse(&value.to_string());
            assert_eq!(found.mistakes.len(), 1, "{value}: {:?}", found.mistakes);
        }
    }

    #[test]
    fn a_value_keeps_its_kind() {
        let found = parse(r#"[{"prompt":"a","timeout":1.5,"env":{"A":null}}]"#);
        let members = &found.tasks[0].object.as_ref().unwrap().members;
        assert_eq!(
            Value::Object(members.clone()),
            json!({"prompt":"a","timeout":1.5,"env":{"A":null}})
        );
    }
}
