//! The Markdown report: how it went, a table, and for each task without success what happened and
//! what to do. Short at the top, because it is read on a telephone in the morning.

use std::time::Duration;

use cc_protocol::Verdict;

use super::{
    Account, Entry,
    entry::{Attempt, timestamp},
    totals,
};
use crate::text;

/// The whole file.
pub(super) fn render(account: &Account) -> String {
    let mut page = match account.end.as_ref().and_then(|end| end.stopped.as_ref()) {
        // Who looks at a telephone in the morning sees why before anything else.
        Some(stopped) => format!("**Stopped: {}**\n\n", escaped(stopped)),
        None => String::new(),
    };
    page.push_str(&format!("# {}\n\n{}\n\n", escaped(&account.name), headline(account)));
    page.push_str(&numbers(account));
    page.push_str(&table(account));
    let failed: Vec<&Entry> = account.entries.iter().filter(|entry| !entry.is_success).collect();
    if !failed.is_empty() {
        page.push_str("\n## What did not succeed, and why\n");
        for entry in failed {
            page.push_str(&explanation(entry));
        }
    }
    if account.succeeded() + account.done.len() < account.tasks()
        && let Some(command) = account.resume_command()
    {
        page.push_str(&format!(
            "\n## To go on\n\n{}\nruns what has not succeeded and nothing that has.\n",
            indented(&command)
        ));
    }
    page
}

/// `**3 of 5 tasks succeeded**; 1 failed, 1 did not run. Stopped: …`
fn headline(account: &Account) -> String {
    let succeeded = account.succeeded() + account.done.len();
    let failed = account.entries.len() - account.succeeded();
    let open = account.open_tasks().count();
    let mut line = format!("**{succeeded} of {} succeeded**", text::count(account.tasks(), "task"));
    if failed > 0 {
        line.push_str(&format!(", {failed} did not"));
    }
    match &account.end {
        None => line.push_str(&format!(
            ". **The batch runs, or was ended before it could say so**: {open} to go."
        )),
        Some(_) => {
            if open > 0 {
                line.push_str(&format!(", {open} did not run"));
            }
            line.push('.');
        }
    }
    line
}

fn numbers(account: &Account) -> String {
    let totals = &account.totals;
    let mut rows = vec![("started", timestamp(account.begun_at))];
    if let Some(end) = &account.end {
        rows.push(("took", text::duration(end.elapsed)));
    }
    rows.push(("time of the tasks themselves", text::duration(totals.task_time)));
    if totals.is_anything_spent() {
        rows.push(("cost", totals.cost()));
        rows.push(("tokens", totals.token_counts()));
    }
    rows.push(("tried again", totals.retries.to_string()));
    rows.push(("leftover processes killed", totals.killed_leftovers.to_string()));
    if let Some(end) = &account.end {
        let left = end.left_behind.map_or("not counted".to_owned(), |count| count.to_string());
        rows.push(("processes left behind", left));
    }
    if !account.done.is_empty() {
        rows.push(("succeeded in earlier runs", account.done.len().to_string()));
    }
    let mut lines = "| | |\n|---|---|\n".to_owned();
    for (name, value) in rows {
        line(&mut lines, &[name.to_owned(), value]);
    }
    lines
}

fn table(account: &Account) -> String {
    let mut lines =
        "\n## Tasks\n\n| # | task | verdict | time | cost | turns |\n|--:|---|---|--:|--:|--:|\n"
            .to_owned();
    let none = || "-".to_owned();
    let mut rows: Vec<(usize, [String; 5])> = Vec::new();
    for done in &account.done {
        let verdict = "succeeded earlier".to_owned();
        let cells = [escaped(&done.title), verdict, text::duration(done.duration), none(), none()];
        rows.push((done.number, cells));
    }
    for entry in &account.entries {
        let verdict = if entry.is_success {
            entry.verdict.to_owned()
        } else {
            format!("**{}**", entry.verdict)
        };
        let cells = [
            escaped(&entry.title),
            verdict,
            text::duration(duration(entry)),
            entry.answer.total_cost_usd.map_or_else(none, totals::cost),
            entry.answer.num_turns.map_or_else(none, |turns| turns.to_string()),
        ];
        rows.push((entry.number, cells));
    }
    for (number, title) in account.open_tasks() {
        let verdict = match account.why_not.get(number) {
            Some(why) => format!("not run: {}", escaped(why)),
            None => "not run".to_owned(),
        };
        rows.push((*number, [escaped(title), verdict, none(), none(), none()]));
    }
    rows.sort_by_key(|(number, _)| *number);
    for (number, cells) in rows {
        let mut row = vec![number.to_string()];
        row.extend(cells);
        line(&mut lines, &row);
    }
    lines
}

fn explanation(entry: &Entry) -> String {
    let mut part = format!(
        "\n### {}. {}\n\n**{}** after {}: {}\n",
        entry.number,
        escaped(&entry.title),
        entry.verdict,
        text::duration(duration(entry)),
        sentence(&escaped(&entry.cause()))
    );
    if let Some(remedy) = entry.remedy {
        part.push_str(&format!("\nWhat to do: {remedy}.\n"));
    }
    if let Some(result) = &entry.answer.result {
        part.push_str(&format!("\nIts last words:\n\n{}", indented(result)));
    }
    let mut facts = vec![format!("`{}`", entry.command.replace('`', "'"))];
    if let Some(task_id) = &entry.task_id {
        facts.push(format!("task {task_id}"));
    }
    if let Some(session) = &entry.answer.claude_session_id {
        facts.push(format!("its conversation: `claude --resume {session}`"));
    }
    facts.extend(attempts_before(entry));
    match entry.killed_leftovers {
        0 => {}
        1 => facts.push("a leftover process killed".to_owned()),
        killed => facts.push(format!("{killed} leftover processes killed")),
    }
    part.push('\n');
    for fact in facts {
        part.push_str(&format!("- {fact}\n"));
    }
    part
}

/// A line for each attempt but the last, which is the task's own end.
fn attempts_before(entry: &Entry) -> Vec<String> {
    let others = entry.attempts.len().saturating_sub(1);
    let line = |attempt: &Attempt| {
        let verdict = attempt.verdict.map_or("unknown", Verdict::as_str);
        let then = match &attempt.wait_until {
            Some(until) => format!("; waited until {until}"),
            None => String::new(),
        };
        format!("attempt {}: {verdict}{then}", attempt.number)
    };
    entry.attempts.iter().take(others).map(line).collect()
}

fn duration(entry: &Entry) -> Duration {
    entry.duration_ms.map_or(entry.elapsed, Duration::from_millis)
}

fn line(lines: &mut String, cells: &[String]) {
    lines.push_str(&format!("| {} |\n", cells.join(" | ")));
}

/// With a full stop, unless it has one.
fn sentence(text: &str) -> String {
    let text = text.trim_end();
    let is_ended = text.ends_with(['.', '!', '?']);
    format!("{text}{}", if is_ended { "" } else { "." })
}

/// As a block of code, in which nothing means anything.
fn indented(text: &str) -> String {
    text.trim_end()
        .lines()
        .map(|line| {
            let line: String = line.chars().filter(|letter| !letter.is_control()).collect();
            format!("    {line}\n")
        })
        .collect()
}

/// One line in which no character has a meaning for Markdown.
fn escaped(text: &str) -> String {
    let mut line = String::with_capacity(text.len());
    for letter in text.chars() {
        match letter {
            '\\' | '`' | '*' | '_' | '{' | '}' | '[' | ']' | '<' | '>' | '#' | '|' | '&' | '~' => {
                line.push('\\');
                line.push(letter);
            }
            letter if letter.is_control() => line.push(' '),
            letter => line.push(letter),
        }
    }
    line
}
