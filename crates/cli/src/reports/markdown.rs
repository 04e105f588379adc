//! The Markdown report: how it went, a table, and for each task without success what happened and
//! what to do. Short at the top, because it is read on a telephone in the morning.

use std::time::Duration;

use cc_protocol::{Warning, batch::usd_at_least};

use super::{
    account::Account,
    entry::{Attempt, Entry, timestamp},
};
use crate::display::text;

/// How many lines of what an attempt printed are shown.
const LAST_WORDS_LINES: usize = 40;

pub(super) fn render(account: &Account) -> String {
    let mut page = match account.end.as_ref().and_then(|end| end.stopped.as_ref()) {
        // Who looks at a telephone in the morning sees why before anything else.
        Some(stopped) => format!("**Stopped: {}**\n\n", escaped(stopped)),
        None => String::new(),
    };
    page.push_str(&format!("# {}\n\n{}\n\n", escaped(&account.name), headline(account)));
    page.push_str(&numbers(account));
    page.push_str(&table(account));
    let warned: Vec<&Entry> = account.warned().collect();
    if !warned.is_empty() {
        page.push_str("\n## What succeeded with warnings\n");
        for entry in warned {
            page.push_str(&caution(entry));
        }
    }
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
    let warned = account.warned().count();
    if warned > 0 {
        line.push_str(&format!(" ({warned} with warnings)"));
    }
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
        let verdict = match entry.warnings.len() {
            0 if entry.is_success => entry.verdict.to_owned(),
            0 => format!("**{}**", entry.verdict),
            count => format!("**{}**, {}", entry.verdict, text::count(count, "warning")),
        };
        let cells = [
            escaped(&entry.title),
            verdict,
            text::duration(duration(entry)),
            entry
                .answer
                .total_cost_usd
                .map_or_else(none, |usd| usd_at_least(usd, entry.answer.unknown_costs)),
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
    // What went wrong may be just that.
    let is_said = |message: &str| entry.error.as_ref().is_some_and(|error| error.contains(message));
    if !entry.warnings.iter().all(|warning| is_said(&warning.message)) {
        part.push_str(&format!("\nWarnings:\n\n{}", warnings(entry)));
    }
    part.push_str(&last_words(entry));
    part.push_str(&format!("\n{}", facts(entry)));
    part
}

/// A success that a person should look at.
fn caution(entry: &Entry) -> String {
    let title = escaped(&entry.title);
    format!("\n### {}. {title}\n\n{}{}", entry.number, warnings(entry), facts(entry))
}

fn warnings(entry: &Entry) -> String {
    let line = |warning: &Warning| {
        format!("- {}: {}\n", warning.kind.as_str(), sentence(&escaped(&warning.message)))
    };
    entry.warnings.iter().map(line).collect()
}

/// The end of what each attempt printed, that of the last one first.
fn last_words(entry: &Entry) -> String {
    let mut part = String::new();
    for (index, attempt) in entry.attempts.iter().enumerate().rev() {
        let whose = match index + 1 == entry.attempts.len() {
            true => "Its last words".to_owned(),
            false => format!("Last words of attempt {} ({})", attempt.number, attempt.word()),
        };
        let tails = [("output", &attempt.stdout_tail), ("error", &attempt.stderr_tail)];
        for (stream, tail) in tails {
            if let Some(tail) = tail.as_ref().filter(|tail| entry.error.as_ref() != Some(*tail)) {
                let lines = indented(last_lines(tail));
                part.push_str(&format!("\n{whose} on standard {stream}:\n\n{lines}"));
            }
        }
    }
    match &entry.answer.result {
        // An older supervisor shows only the beginning.
        Some(result) if part.is_empty() && is_worth_showing(result, entry) => {
            format!("\nIts last words:\n\n{}", indented(result))
        }
        Some(_) | None => part,
    }
}

/// Of a Claude task without a result it is the stream, which is for programs.
fn is_worth_showing(result: &str, entry: &Entry) -> bool {
    let words = result.trim();
    !words.is_empty() && !words.starts_with('{') && entry.error.as_deref() != Some(result)
}

/// At most so many that they are read on a telephone; results and JUnit have all that is known.
fn last_lines(text: &str) -> &str {
    match text.trim_end().rmatch_indices('\n').nth(LAST_WORDS_LINES - 1) {
        Some((at, _)) => &text[at + 1..],
        None => text,
    }
}

/// What a person needs to continue with it, a line each.
fn facts(entry: &Entry) -> String {
    let mut facts = vec![format!("`{}`", entry.command.replace('`', "'"))];
    if let Some(task_id) = &entry.task_id {
        facts.push(format!("task {task_id}"));
    }
    let answer = &entry.answer;
    if let Some(session) = &answer.claude_session_id {
        facts.push(format!("its conversation: `claude --resume {session}`"));
    }
    for (what, word) in [
        ("the CLI could not start", &answer.startup_failure_reason),
        ("the API's word", &answer.api_error),
        ("the CLI's version", &answer.cli_version),
        ("its API key is from", &answer.api_key_source),
    ] {
        facts.extend(word.as_ref().map(|word| format!("{what}: {}", escaped(word))));
    }
    if !answer.permission_denials.is_empty() {
        let tools = escaped(&answer.permission_denials.join(", "));
        facts.push(format!("tools that were denied: {tools}"));
    }
    facts.extend(attempts_before(entry));
    match entry.killed_leftovers {
        0 => {}
        1 => facts.push("a leftover process killed".to_owned()),
        killed => facts.push(format!("{killed} leftover processes killed")),
    }
    facts.into_iter().map(|fact| format!("- {fact}\n")).collect()
}

/// A line for each attempt but the last, which is the task's own end.
fn attempts_before(entry: &Entry) -> Vec<String> {
    let others = entry.attempts.len().saturating_sub(1);
    let line = |attempt: &Attempt| {
        let verdict = attempt.word();
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
            if line.is_empty() { "\n".to_owned() } else { format!("    {line}\n") }
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn last_words_are_the_last_lines_and_all_of_them_where_there_are_few() {
        let long: String = (1..=100).map(|number| format!("{number}\n")).collect();
        let last: Vec<&str> = last_lines(&long).lines().collect();
        assert_eq!((last.len(), last[0], last[39]), (40, "61", "100"));
        assert_eq!(last_lines("a\nb"), "a\nb");
    }
}
