//! The JUnit report: a test suite that is the batch, a test case a task.
//!
//! A task that did not run is an error and not skipped: a run that looks green has to be whole.

use std::collections::HashMap;

use chrono::{DateTime, Utc};
use quick_junit::{NonSuccessKind, Property, Report, TestCase, TestCaseStatus, TestSuite};

use super::{
    account::Account,
    entry::{Attempt, Entry},
    remedy,
    resume::Done,
};

pub(super) fn render(account: &Account) -> String {
    let mut names = Names::of(account);
    let mut suite = TestSuite::new(&account.name);
    suite.set_timestamp(DateTime::<Utc>::from(account.begun_at));
    suite.set_time(account.totals.task_time);
    let (cost_usd, unknown_costs) = (account.totals.cost_usd, account.totals.unknown_costs);
    if cost_usd > 0.0 || unknown_costs == 0 {
        suite.add_property(Property::new("total_cost_usd", cost_usd.to_string()));
    }
    if unknown_costs > 0 {
        suite.add_property(Property::new("unknown_costs", unknown_costs.to_string()));
    }
    suite.add_property(Property::new("retries", account.totals.retries.to_string()));
    suite.add_property(Property::new(
        "killed_leftovers",
        account.totals.killed_leftovers.to_string(),
    ));
    let warned = account.entries.iter().filter(|entry| !entry.warnings.is_empty()).count();
    suite.add_property(Property::new("with_warnings", warned.to_string()));
    for done in &account.done {
        suite.add_test_case(done_case(done, names.of_task(done.number, &done.title), account));
    }
    for entry in &account.entries {
        suite.add_test_case(case(entry, names.of_task(entry.number, &entry.title), account));
    }
    for (number, title) in account.open_tasks() {
        let mut status = TestCaseStatus::non_success(NonSuccessKind::Error);
        let why = account.why_not.get(number).map_or(remedy::OF_NOT_RUN, String::as_str);
        status.set_type("not run").set_message(why);
        suite.add_test_case(named(names.of_task(*number, title), status, account));
    }
    let mut report = Report::new("ccx batch");
    report.set_timestamp(DateTime::<Utc>::from(account.begun_at));
    if let Some(end) = &account.end {
        report.set_time(end.elapsed);
    }
    report.add_test_suite(suite);
    // Written to memory, of texts that the crate has made fit for XML.
    report.to_string().unwrap_or_default()
}

fn case(entry: &Entry, name: String, account: &Account) -> TestCase {
    let status = if entry.is_success {
        TestCaseStatus::success()
    } else {
        let kind =
            if entry.is_own_failure { NonSuccessKind::Failure } else { NonSuccessKind::Error };
        let mut status = TestCaseStatus::non_success(kind);
        status.set_type(entry.verdict).set_message(entry.cause());
        if let Some(remedy) = entry.remedy {
            status.set_description(format!(
                "{}: {}\nwhat to do: {remedy}",
                entry.verdict,
                entry.cause()
            ));
        }
        status
    };
    let mut case = named(name, status, account);
    case.set_time(entry.elapsed);
    if let Some(begun_at) = entry.begun_at {
        case.set_timestamp(DateTime::<Utc>::from(begun_at));
    }
    if let Some(text) = system_out(entry) {
        case.set_system_out(text);
    }
    let stderr = of_attempts(entry, |attempt| attempt.stderr_tail.as_deref());
    if let Some(text) = stderr {
        case.set_system_err(text);
    }
    for warning in &entry.warnings {
        let value = format!("{}: {}", warning.kind.as_str(), warning.message);
        case.add_property(Property::new("warning", value));
    }
    let unknown_costs = Some(entry.answer.unknown_costs).filter(|count| *count > 0);
    for (name, value) in [
        ("task_id", entry.task_id.clone()),
        ("claude_session_id", entry.answer.claude_session_id.clone()),
        ("startup_failure_reason", entry.answer.startup_failure_reason.clone()),
        ("api_error", entry.answer.api_error.clone()),
        ("cli_version", entry.answer.cli_version.clone()),
        ("total_cost_usd", entry.answer.total_cost_usd.map(|usd| usd.to_string())),
        ("unknown_costs", unknown_costs.map(|count| count.to_string())),
    ] {
        if let Some(value) = value {
            case.add_property(Property::new(name, value));
        }
    }
    case
}

/// Its warnings, which not everything that shows test results looks for among the properties; then the answer of a
/// success, else the end of what was printed.
fn system_out(entry: &Entry) -> Option<String> {
    let warnings: String =
        entry.warnings.iter().map(|warning| format!("warning: {}\n", warning.message)).collect();
    let answer = entry.answer.result.clone();
    let tail = of_attempts(entry, |attempt| attempt.stdout_tail.as_deref());
    // Of a Claude task without a result that is its stream.
    let is_stream = |text: &str| text.trim_start().starts_with('{');
    let words = if entry.is_success {
        answer
    } else {
        tail.or_else(|| answer.filter(|answer| !is_stream(answer)))
    };
    let words = words.filter(|words| !words.trim().is_empty());
    match (words, warnings.is_empty()) {
        (words, true) => words,
        (None, false) => Some(warnings),
        (Some(words), false) => Some(format!("{warnings}\n{words}")),
    }
}

/// What the attempts printed last on a stream, with headings where there were several.
fn of_attempts<'a>(
    entry: &'a Entry,
    tail: impl Fn(&'a Attempt) -> Option<&'a str>,
) -> Option<String> {
    let tails = entry.attempts.iter().filter_map(|attempt| Some((attempt, tail(attempt)?)));
    let parts: Vec<String> = match entry.attempts.as_slice() {
        [_] => tails.map(|(_, tail)| tail.to_owned()).collect(),
        _ => tails
            .map(|(attempt, tail)| {
                format!("attempt {} ({}):\n{tail}", attempt.number, attempt.word())
            })
            .collect(),
    };
    (!parts.is_empty()).then(|| parts.join("\n\n"))
}

fn done_case(done: &Done, name: String, account: &Account) -> TestCase {
    let mut case = named(name, TestCaseStatus::success(), account);
    case.set_time(done.duration).set_system_out("succeeded in an earlier run");
    case
}

fn named(name: String, status: TestCaseStatus, account: &Account) -> TestCase {
    let mut case = TestCase::new(name, status);
    case.set_classname(&account.name);
    case
}

/// Titles, made unique: what shows test results keeps one history a name.
struct Names<'a> {
    uses: HashMap<&'a str, usize>,
}

impl<'a> Names<'a> {
    fn of(account: &'a Account) -> Self {
        let mut uses = HashMap::new();
        let titles =
            account.planned.iter().chain(&account.left_out).map(|(_, title)| title.as_str());
        for title in titles.chain(account.done.iter().map(|done| done.title.as_str())) {
            *uses.entry(title).or_default() += 1;
        }
        Self { uses }
    }

    fn of_task(&mut self, number: usize, title: &str) -> String {
        match self.uses.get(title) {
            Some(2..) => format!("{title} (#{number})"),
            Some(0 | 1) | None => title.to_owned(),
        }
    }
}
