//! The longer texts of errors.

use crate::{
    call_error::shown::{shown_id, shown_word},
    method::METHODS,
};

pub(super) const SESSION_OVER: &str = "the session is over: it was closed, or had no connection for too long; \
                                       task.list shows what became of its tasks";

pub(super) const STATE_LOST: &str = "the supervisor's state directory was removed or replaced while it ran: it takes no new tasks \
                          and stops when the running ones have ended; start it again";

pub(super) fn tasks_full(limit: usize) -> String {
    let tasks = if limit == 1 { "task runs" } else { "tasks run" };
    format!("{limit} {tasks} already, the most that --max-tasks allows: try again later")
}

pub(super) fn no_such(what: &str, id: &str) -> String {
    format!("no such {what}: {:?}; it may have been removed by retention", shown_id(id))
}

pub(super) fn nearest_method(method: &str) -> Option<&'static str> {
    METHODS
        .into_iter()
        .map(|known| (strsim::damerau_levenshtein(method, known), known))
        .min()
        .filter(|(distance, _)| *distance <= 3)
        .map(|(_, known)| known)
}

pub(super) fn no_such_method(method: &str) -> String {
    let shown = shown_word(method);
    match nearest_method(&shown) {
        Some(known) => format!("Method not found: {shown:?}; did you mean {known:?}?"),
        None => format!("Method not found: {shown:?}; known are {}", METHODS.join(", ")),
    }
}

pub(super) fn drained(what: &str) -> String {
    format!(
        "an operator lets this supervisor run empty: it starts no new {what} until that ends or another supervisor \
         takes its place; try again later"
    )
}

pub(super) fn not_reloaded(mistakes: &[String]) -> String {
    format!("the configuration has mistakes, and the old one is in force: {}", mistakes.join("; "))
}
