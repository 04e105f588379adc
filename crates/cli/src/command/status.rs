//! `ccx status`: how a supervisor is, on one screen.

use std::{io::IsTerminal as _, time::Duration};

use cc_protocol::{
    Verdict,
    batch::BatchState,
    status::{EndCounts, ServiceState, StatusBatch, StatusProblem, SupervisorStatus},
};

use crate::{
    args::{ServerOptions, StatusArguments},
    connect::RunningSupervisor,
    display::{terminal, text},
    error::CommandError,
    exit_code,
};

/// Moves the cursor to the corner and clears what is below.
const CLEAR: &str = "\u{1b}[H\u{1b}[J";
const LABEL_COLUMNS: usize = 10;

pub(crate) async fn run(
    options: ServerOptions,
    arguments: StatusArguments,
) -> Result<u8, CommandError> {
    let mut connection = RunningSupervisor::of(&options)?.connect().await?;
    loop {
        let status = connection.supervisor_status().await?;
        let screen = if arguments.json {
            serde_json::to_string(&status).unwrap_or_default() + "\n"
        } else {
            screen(&status, text::now_ms())
        };
        let Some(every) = arguments.watch else {
            connection.close().await;
            terminal::print(&screen);
            return Ok(exit_code::of_service(status.state));
        };
        let is_replaced = !arguments.json && std::io::stdout().is_terminal();
        terminal::print(&format!("{}{screen}", if is_replaced { CLEAR } else { "" }));
        tokio::time::sleep(Duration::from_secs_f64(every)).await;
    }
}

fn screen(status: &SupervisorStatus, now_ms: u64) -> String {
    let mut screen = String::from(verdict(status.state));
    screen.push('\n');
    for problem in &status.problems {
        screen.push_str(&problem_line(problem, now_ms));
    }
    screen.push('\n');
    let mut line = |label: &str, text: String| {
        screen.push_str(&format!("{label:<LABEL_COLUMNS$}{text}\n"));
    };
    let uptime = match status.uptime_s {
        0 => "less than 1 s".to_owned(),
        seconds => text::duration(Duration::from_secs(seconds)),
    };
    line("version", format!("{}, pid {}, up {uptime}", status.version, status.pid));
    let tasks = &status.tasks;
    line(
        "tasks",
        format!("{} running of {}, {} waiting", tasks.running, tasks.limit, tasks.waiting),
    );
    line("", format!("last hour: {}", ends(&tasks.ended_last_hour)));
    let counted = Duration::from_millis(now_ms.saturating_sub(tasks.counted_since_ms));
    let since = if counted < Duration::from_secs(86_400) {
        format!(" (counted for {})", text::duration(counted))
    } else {
        String::new()
    };
    line("", format!("last day:  {}{since}", ends(&tasks.ended_last_day)));
    let died = |ends: &EndCounts| ends.get(Verdict::WorkerDied.as_str()).copied().unwrap_or(0);
    let (hour, day) = (died(&tasks.ended_last_hour), died(&tasks.ended_last_day));
    line("workers", format!("{hour} died in the last hour, {day} in the last day"));
    let sessions = &status.sessions;
    let (connected, waiting) = (sessions.connected, sessions.waiting);
    line("sessions", format!("{connected} connected of {}, {waiting} waiting", sessions.limit));
    line("batches", status.batch_count.to_string());
    for batch in &status.batches {
        line("", batch_line(batch));
    }
    line("gates", gates(status, now_ms));
    for (label, text) in resources(status) {
        line(label, text);
    }
    screen
}

fn verdict(state: ServiceState) -> &'static str {
    match state {
        ServiceState::Ok => "ok: everything works",
        ServiceState::Degraded => "DEGRADED: new tasks are started, but something is wrong",
        ServiceState::NotReady => "NOT READY: new tasks cannot be started",
        ServiceState::Draining => "DRAINING: no new tasks are started",
        ServiceState::Stopping => "STOPPING",
    }
}

fn problem_line(problem: &StatusProblem, now_ms: u64) -> String {
    let mark = if problem.is_blocking { "✗" } else { "!" };
    let since = text::duration(Duration::from_millis(now_ms.saturating_sub(problem.since_ms)));
    format!("  {mark} {} ({since}): {}\n", problem.condition, problem.text)
}

fn ends(counts: &EndCounts) -> String {
    if counts.is_empty() {
        return "none ended".to_owned();
    }
    let parts: Vec<String> =
        counts.iter().map(|(verdict, count)| format!("{count} {verdict}")).collect();
    parts.join(", ")
}

fn batch_line(batch: &StatusBatch) -> String {
    let counts = &batch.counts;
    let over = counts.succeeded + counts.failed + counts.skipped;
    let name = batch.name.as_deref().map(|name| text::one_line(name, 40)).unwrap_or_default();
    let waits = match batch.state {
        BatchState::WaitingLimit => ", waits for a limit",
        BatchState::Running | BatchState::Over => "",
    };
    let (tasks, running, failed) = (counts.tasks, counts.running, counts.failed);
    format!(
        "{} {name}: {over} of {tasks} over, {failed} failed, {running} running{waits}",
        batch.batch_id
    )
}

fn gates(status: &SupervisorStatus, now_ms: u64) -> String {
    let closed: Vec<String> = status
        .gates
        .iter()
        .filter_map(|gate| {
            let left_ms = gate.closed_until_ms?.saturating_sub(now_ms);
            let left = text::duration(Duration::from_millis(left_ms));
            Some(format!("{} closed for {left}, {} waiting", gate.gate_id, gate.waiting))
        })
        .collect();
    if closed.is_empty() { "none closed".to_owned() } else { closed.join("; ") }
}

fn resources(status: &SupervisorStatus) -> [(&'static str, String); 3] {
    let resources = &status.resources;
    let bytes = |bytes: Option<u64>| bytes.map_or("?".to_owned(), text::bytes);
    let count = |count: Option<u64>| count.map_or("?".to_owned(), |count| count.to_string());
    let disk = format!(
        "{} free of {}, {} in logs of ended tasks",
        bytes(resources.disk_free_bytes),
        bytes(resources.disk_total_bytes),
        text::bytes(resources.ended_logs_bytes)
    );
    let files =
        format!("{} open of {}", count(resources.open_files), count(resources.open_files_limit));
    [("disk", disk), ("memory", bytes(resources.resident_bytes)), ("files", files)]
}

#[cfg(test)]
mod tests {
    use cc_protocol::{
        batch::BatchCounts,
        status::{StatusResources, StatusSessions, StatusTasks},
    };

    use super::*;

    #[test]
    fn one_screen_says_what_is_wrong_what_runs_and_what_is_left() {
        let ended = EndCounts::from([("failed".to_owned(), 1), ("succeeded".to_owned(), 17)]);
        let status = SupervisorStatus {
            state: ServiceState::Degraded,
            problems: vec![StatusProblem {
                condition: "task_log".to_owned(),
                is_blocking: false,
                text: "a task could not be logged: make room".to_owned(),
                since_ms: 40_000,
            }],
            version: "0.1.0".to_owned(),
            pid: 4711,
            uptime_s: 90,
            tasks: StatusTasks {
                running: 3,
                limit: 20,
                waiting: 12,
                ended_last_hour: ended.clone(),
                ended_last_day: ended,
                counted_since_ms: 10_000,
            },
            sessions: StatusSessions { connected: 2, waiting: 1, limit: 100 },
            batch_count: 1,
            batches: vec![StatusBatch {
                batch_id: "0199f3a0-0001-7abc-9def-0123456789ab".to_owned(),
                name: Some("nightly".to_owned()),
                state: BatchState::Running,
                counts: BatchCounts {
                    tasks: 40,
                    running: 3,
                    succeeded: 24,
                    failed: 1,
                    ..BatchCounts::default()
                },
            }],
            gates: Vec::new(),
            resources: StatusResources {
                resident_bytes: Some(11_534_336),
                open_files: Some(29),
                open_files_limit: Some(1024),
                disk_free_bytes: Some(53_687_091_200),
                disk_total_bytes: None,
                ended_logs_bytes: 7_340_032,
            },
        };
        insta::assert_snapshot!(screen(&status, 100_000), @r"
        DEGRADED: new tasks are started, but something is wrong
          ! task_log (1 min 0 s): a task could not be logged: make room

        version   0.1.0, pid 4711, up 1 min 30 s
        tasks     3 running of 20, 12 waiting
                  last hour: 1 failed, 17 succeeded
                  last day:  1 failed, 17 succeeded (counted for 1 min 30 s)
        workers   0 died in the last hour, 0 in the last day
        sessions  2 connected of 100, 1 waiting
        batches   1
                  0199f3a0-0001-7abc-9def-0123456789ab nightly: 25 of 40 over, 1 failed, 3 running
        gates     none closed
        disk      53.6 GB free of ?, 7.3 MB in logs of ended tasks
        memory    11.5 MB
        files     29 open of 1024
        ");
    }
}
