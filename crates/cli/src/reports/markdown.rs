//! The Markdown report: how it went, a table, and for each task without success what happened and
//! what to do. Short at the top, because it is read on a telephone in the morning.

use std::time::Duration;

use super::{Account, Entry, entry::timestamp, totals};
use crate::text;

/// The whole file.
pub(super) fn render(account: &Account) -> String {
    let mut page = format!("# {}\n\n{}\n\n", escaped(&account.name), headline(account));
    page.push_str(&numbers(account));
    page.push_str(&table(account));
    let failed: Vec<&Entry> = account.entries.iter().filter(|entry| !entry.is_success).collect();
    if !failed.is_empty() {
        page.push_str("\n## What did not succeed, and why\n");
        for entry in failed {
            page.push_str(&explanation(entry));
        }
    }
    if let Some(joblog) = &account.joblog
        && account.succeeded() + account.done.len() < account.tasks()
    {
        let joblog = joblog.display().to_string();
        let joblog = shell_words::quote(&joblog);
        let name = shell_words::quote(&account.name);
        let command = format!("ccx batch {name} --resume {joblog}");
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
        Some(end) => {
            if open > 0 {
                line.push_str(&format!(", {open} did not run"));
            }
            line.push('.');
            if let Some(stopped) = &end.stopped {
                line.push_str(&format!(" Stopped: {}.", escaped(stopped)));
            }
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
    rows.push(("API requests tried again", totals.retries.to_string()));
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
        rows.push((*number, [escaped(title), "not run".to_owned(), none(), none(), none()]));
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
        "\n### {}. {}\n\n**{}** after {}: {}.\n",
        entry.number,
        escaped(&entry.title),
        entry.verdict,
        text::duration(duration(entry)),
        escaped(&entry.cause())
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
    if let Some(killed) = entry.killed_leftovers.filter(|killed| *killed > 0) {
        facts.push(format!(
            "{} killed",
            if killed == 1 {
                "a leftover process".to_owned()
            } else {
                format!("{killed} leftover processes")
            }
        ));
    }
    part.push('\n');
    for fact in facts {
        part.push_str(&format!("- {fact}\n"));
    }
    part
}

fn duration(entry: &Entry) -> Duration {
    entry.duration_ms.map_or(entry.elapsed, Duration::from_millis)
}

fn line(lines: &mut String, cells: &[String]) {
    lines.push_str(&format!("| {} |\n", cells.join(" | ")));
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
