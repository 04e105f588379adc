//! What the CLI reports to be running, and how it ended.
//!
//! Tool calls run from the answer that asks for them to their result; work in the background from its announcement to
//! its end. While either runs, the CLI may be silent. Owns what is counted of both. Called by [`crate::stream`].
//!
//! Work is announced in the foreground, too (a command of more than three seconds, a subagent that is waited for): there
//! a tool call is open for it, and it is not *background*. An ambient task, such as a watcher, is no work at all.

use std::collections::{BTreeMap, BTreeSet};

use crate::line::Line;

/// Most tool calls, and tasks of the CLI, that are followed at once. More than these prolong nothing.
pub(crate) const FOLLOWED_LIMIT: usize = 256;
/// Most ids of calls, and of denied ones, that are remembered.
const DENIALS_LIMIT: usize = 1_024;
/// Longest id that is followed, bytes.
const ID_BYTES_LIMIT: usize = 512;
/// Most tasks that are named as unfinished.
const NAMED_LIMIT: usize = 8;
/// A tool that does nothing but hand over the answer.
const ANSWER_TOOL: &str = "StructuredOutput";

#[derive(Clone, Debug, Default)]
pub(crate) struct Activity {
    /// Open tool calls, with the call of the subagent that made them.
    calls: BTreeMap<String, Option<String>>,
    /// The message of the main conversation whose calls are open.
    message_id: Option<String>,
    /// The calls that were asked for; more than are remembered count as some that ran.
    asked: BTreeSet<String>,
    is_more_asked: bool,
    denied: BTreeSet<String>,
    denied_tools: Vec<String>,
    tasks: BTreeMap<String, Task>,
    unfinished: Vec<Unfinished>,
    has_result: bool,
    /// Hooks of the user's that run.
    hooks: BTreeSet<String>,
    /// The conversation is being summed up, which takes minutes.
    is_compacting: bool,
}

#[derive(Clone, Debug)]
struct Task {
    work: Unfinished,
    call: Option<String>,
    is_backgrounded: Option<bool>,
}

/// Work in the background that has not ended by itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Unfinished {
    /// As the CLI describes it.
    pub(crate) description: String,
    /// A shell command or a watcher, which may be meant to be ended with the CLI; else an agent, or work of a kind
    /// that is not known, whose outcome is waited for.
    pub(crate) is_command: bool,
}

impl Activity {
    /// An answer of the model's: it may ask for tools.
    pub(crate) fn answer(&mut self, line: &Line<'_>) {
        let parent = line.text("parent_tool_use_id");
        let message_id = line.text("message.id");
        if parent.is_none() && message_id != self.message_id {
            // The main conversation continues, so its earlier calls have been answered.
            self.calls.retain(|_, caller| caller.is_some());
            self.message_id = message_id;
        }
        for (block, kind) in line.texts("message.content.type") {
            let is_answer =
                line.text_in(block, "message.content.name").as_deref() == Some(ANSWER_TOOL);
            if !kind.ends_with("tool_use") || is_answer {
                continue;
            }
            let id = line.text_in(block, "message.content.id").filter(|id| is_short(id));
            let Some(id) = id.filter(|_| self.asked.len() < DENIALS_LIMIT) else {
                self.is_more_asked = true;
                continue;
            };
            if self.calls.len() < FOLLOWED_LIMIT {
                self.calls.insert(id.clone(), parent.clone());
            }
            self.asked.insert(id);
        }
    }

    /// What tools did, as the CLI tells the model.
    pub(crate) fn tool_results(&mut self, line: &Line<'_>) {
        for (_, id) in line.texts("message.content.tool_use_id") {
            self.calls.remove(&id);
        }
    }

    /// A call was denied.
    pub(crate) fn denied(&mut self, id: Option<String>, tool: Option<String>) {
        let tool = tool.unwrap_or_else(|| "a tool".to_owned());
        let id = id.unwrap_or_else(|| format!("{tool} {}", self.denied.len()));
        if self.denied.len() < DENIALS_LIMIT && is_short(&id) && self.denied.insert(id) {
            self.denied_tools.push(tool);
        }
    }

    /// A result came: the main conversation has stopped waiting for its calls.
    pub(crate) fn result(&mut self) {
        self.hooks.clear();
        self.is_compacting = false;
        self.calls.retain(|_, caller| caller.is_some());
        self.has_result = true;
    }

    /// What the CLI is at, beside the conversation.
    pub(crate) fn status(&mut self, line: &Line<'_>) {
        self.is_compacting = line.is("status", "compacting");
    }

    /// A hook of the user's begins, or has ended.
    pub(crate) fn hook(&mut self, line: &Line<'_>, runs: bool) {
        let Some(id) = line.text("hook_id").filter(|id| is_short(id)) else { return };
        if !runs {
            self.hooks.remove(&id);
        } else if self.hooks.len() < FOLLOWED_LIMIT {
            self.hooks.insert(id);
        }
    }

    /// The conversation was summed up and continues.
    pub(crate) fn compacted(&mut self) {
        self.is_compacting = false;
    }

    /// Another turn has begun: it has no result yet.
    pub(crate) fn turn(&mut self) {
        self.has_result = false;
    }

    /// A task of the CLI's began.
    pub(crate) fn started(&mut self, line: &Line<'_>) {
        if line.boolean("ambient") == Some(true) || line.boolean("skip_transcript") == Some(true) {
            return;
        }
        let Some(id) = line.text("task_id") else { return };
        let task = Task {
            work: unfinished(line.text("description"), line.text("task_type")),
            call: line.text("tool_use_id"),
            is_backgrounded: line.boolean("is_backgrounded"),
        };
        self.follow(id, task);
    }

    /// A task of the CLI's has changed.
    pub(crate) fn updated(&mut self, line: &Line<'_>) {
        let Some(id) = line.text("task_id") else { return };
        if let Some(is_backgrounded) = line.boolean("patch.is_backgrounded")
            && let Some(task) = self.tasks.get_mut(&id)
        {
            task.is_backgrounded = Some(is_backgrounded);
        }
        let status = line.text("patch.status");
        if let Some(status) = status.filter(|status| is_end(status)) {
            self.ended(&id, &status);
        }
    }

    /// The CLI notifies the model of a task's end.
    pub(crate) fn notified(&mut self, line: &Line<'_>) {
        if let Some(id) = line.text("task_id") {
            let status = line.text("status");
            self.ended(&id, status.as_deref().unwrap_or("completed"));
        }
    }

    /// The CLI names all that is in the background: what is not among it has ended, whatever was missed.
    pub(crate) fn background(&mut self, line: &Line<'_>) {
        let named: Vec<(u32, String)> = line.texts("tasks.task_id").collect();
        self.tasks.retain(|id, task| {
            task.is_backgrounded != Some(true) || named.iter().any(|(_, named)| named == id)
        });
        for (entry, id) in named {
            if line.is_true_in(entry, "tasks.ambient") {
                self.tasks.remove(&id);
            } else if let Some(task) = self.tasks.get_mut(&id) {
                task.is_backgrounded = Some(true);
            } else {
                let text = |path| line.text_in(entry, path);
                let work = unfinished(text("tasks.description"), text("tasks.task_type"));
                self.follow(id, Task { work, call: None, is_backgrounded: Some(true) });
            }
        }
    }

    fn follow(&mut self, id: String, task: Task) {
        if is_short(&id) && (self.tasks.len() < FOLLOWED_LIMIT || self.tasks.contains_key(&id)) {
            self.tasks.insert(id, task);
        }
    }

    /// What is ended after the result, and not by itself, was cut off by the CLI's own end.
    fn ended(&mut self, id: &str, status: &str) {
        let Some(task) = self.tasks.remove(id) else { return };
        let was_cut_off = matches!(status, "killed" | "stopped") && self.has_result;
        if was_cut_off && self.is_in_background(&task) && self.unfinished.len() < FOLLOWED_LIMIT {
            self.unfinished.push(task.work);
        }
    }

    fn is_in_background(&self, task: &Task) -> bool {
        let is_waited_for = || task.call.as_ref().is_some_and(|call| self.calls.contains_key(call));
        task.is_backgrounded.unwrap_or_else(|| !is_waited_for())
    }

    /// A tool call runs, or work in the background.
    pub(crate) fn is_working(&self) -> bool {
        let is_at_work = !self.calls.is_empty() || !self.hooks.is_empty() || self.is_compacting;
        is_at_work || self.is_background_in_flight()
    }

    /// Work in the background runs: another result may follow.
    pub(crate) fn is_background_in_flight(&self) -> bool {
        self.tasks.values().any(|task| self.is_in_background(task))
    }

    /// Work in the background that has not ended by itself.
    pub(crate) fn unfinished(&self) -> Vec<Unfinished> {
        let in_flight = self.tasks.values().filter(|task| self.is_in_background(task));
        self.unfinished.iter().chain(in_flight.map(|task| &task.work)).cloned().collect()
    }

    /// The tools whose calls were denied, one a call.
    pub(crate) fn denied_tools(&self) -> &[String] {
        &self.denied_tools
    }

    /// Tools were asked for, and none of them ran.
    pub(crate) fn is_all_denied(&self) -> bool {
        !self.denied.is_empty() && !self.is_more_asked && self.asked.is_subset(&self.denied)
    }

    #[cfg(test)]
    pub(crate) fn tasks(&self) -> usize {
        self.tasks.len()
    }
}

/// The first few of them, named.
pub(crate) fn named(work: &[Unfinished]) -> String {
    let mut names: Vec<String> =
        work.iter().take(NAMED_LIMIT).map(|work| format!("“{}”", work.description)).collect();
    if work.len() > NAMED_LIMIT {
        names.push(format!("{} more", work.len() - NAMED_LIMIT));
    }
    names.join(", ")
}

fn unfinished(description: Option<String>, kind: Option<String>) -> Unfinished {
    let kind = kind.unwrap_or_default();
    let is_command = ["bash", "shell", "monitor"].iter().any(|word| kind.contains(word));
    let description = description.unwrap_or_else(|| "without a description".to_owned());
    Unfinished { description: description.chars().take(80).collect(), is_command }
}

fn is_end(status: &str) -> bool {
    matches!(status, "completed" | "failed" | "killed" | "stopped")
}

fn is_short(id: &str) -> bool {
    id.len() <= ID_BYTES_LIMIT
}
