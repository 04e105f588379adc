//! What the reports of a batch say, as people and programs read them.

use super::*;

#[test]
fn the_joblog_has_the_columns_of_gnu_parallel() {
    let folder = tempfile::tempdir().unwrap();
    assert!(write(folder.path()).finish(end()));
    insta::assert_snapshot!(read(folder.path(), "joblog").replace('\t', " ⇥ "), @r#"
        Seq ⇥ Host ⇥ Starttime ⇥ JobRuntime ⇥ Send ⇥ Receive ⇥ Exitval ⇥ Signal ⇥ Command
        1 ⇥ : ⇥ 1800000001.000 ⇥      1.234 ⇥ 0 ⇥ 100 ⇥ 0 ⇥ 0 ⇥ prompt: What is 2+2?\n\tin two lines\\
        2 ⇥ : ⇥ 1800000002.000 ⇥      1.234 ⇥ 0 ⇥ 100 ⇥ 0 ⇥ 0 ⇥ yes | head
        3 ⇥ : ⇥ 1800000003.000 ⇥    125.000 ⇥ 0 ⇥ 300 ⇥ 124 ⇥ 15 ⇥ x 'a b'
        4 ⇥ : ⇥ 1800000004.000 ⇥      1.300 ⇥ 0 ⇥ 100 ⇥ 127 ⇥ 0 ⇥ x 'a b'
        "#);
}

/// The lines of the results of the batch.
fn results() -> Vec<Value> {
    let folder = tempfile::tempdir().unwrap();
    assert!(write(folder.path()).finish(end()));
    let text = read(folder.path(), "results");
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

#[test]
fn a_result_is_all_that_is_known_of_a_task() {
    let mut result = results().swap_remove(0);
    result.as_object_mut().unwrap().remove("attempts").unwrap();
    insta::assert_snapshot!(serde_json::to_string_pretty(&result).unwrap(), @r#"
        {
          "api_error": null,
          "api_key_source": null,
          "claude_session_id": "c-1",
          "cli_version": null,
          "command": "prompt: What is 2+2?\\n\\tin two lines\\\\",
          "cwd": null,
          "duration_ms": 1234,
          "ended": "2027-01-15T08:00:02.300Z",
          "error": null,
          "exit_code": 0,
          "form": "prompt",
          "is_error": false,
          "killed_leftovers": 0,
          "label": null,
          "name": null,
          "num_turns": 2,
          "number": 1,
          "parts": [],
          "permission_denials": [],
          "reason": "exit",
          "result": "It is 4.",
          "result_truncated": false,
          "retries": 0,
          "signal": null,
          "started": "2027-01-15T08:00:01.000Z",
          "startup_failure_reason": null,
          "structured_output": null,
          "task_id": "t-0-1",
          "timeout_s": 600.0,
          "timeout_why": "too few earlier runs",
          "title": "What is 2+2?",
          "tokens": {
            "cache_creation": 0,
            "cache_read": 12000,
            "input": 20,
            "output": 5
          },
          "total_cost_usd": 0.0123,
          "type": "task",
          "unknown_costs": 0,
          "usage": {
            "cache_read_input_tokens": 12000,
            "input_tokens": 20,
            "output_tokens": 5
          },
          "verdict": "succeeded",
          "waits": 0,
          "warnings": []
        }
        "#);
}

#[test]
fn every_result_has_every_member() {
    let results = results();
    assert_eq!(results.len(), 4);
    insta::assert_snapshot!(serde_json::to_string_pretty(&results[0]["attempts"]).unwrap(), @r#"
        [
          {
            "class": null,
            "ended": "2027-01-15T08:00:02.300Z",
            "exit_code": 0,
            "number": 1,
            "reason": "exit",
            "started": "2027-01-15T08:00:01.000Z",
            "stderr_tail": null,
            "stdout_tail": null,
            "task_id": "t-0-1",
            "verdict": "succeeded",
            "wait_until": null
          }
        ]
        "#);
    for result in &results {
        let names = |value: &Value| value.as_object().unwrap().keys().cloned().collect::<Vec<_>>();
        assert_eq!(names(result), names(&results[0]));
    }
    assert_eq!((&results[2]["retries"], &results[2]["waits"]), (&json!(1), &json!(1)));
    assert_eq!(results[3]["error"], "program \"x\" was not found");
}

#[test]
fn results_have_the_warnings_of_a_task_and_the_last_words_of_its_attempts() {
    let folder = tempfile::tempdir().unwrap();
    assert!(write(folder.path()).finish(end()));
    let text = read(folder.path(), "results");
    let results: Vec<Value> =
        text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let doubtful = &results[1];
    assert_eq!(
        doubtful["warnings"][0],
        json!({"kind": "permission_denied", "message": "the tool Bash was denied, 2 times"})
    );
    assert_eq!(doubtful["permission_denials"], json!(["Bash", "Bash"]));
    assert_eq!(doubtful["structured_output"], json!({"done": false}));
    assert_eq!(
        (&doubtful["cli_version"], &doubtful["api_key_source"]),
        (&json!("2.1.332"), &json!("none"))
    );
    let attempts = &results[2]["attempts"];
    assert_eq!(attempts[0]["stderr_tail"], "Retry later | <b>");
    assert_eq!(attempts[2]["stdout_tail"], "step 1\n\n# step 2 ```");
}

#[test]
fn junit_counts_failures_and_what_did_not_run_is_an_error() {
    let folder = tempfile::tempdir().unwrap();
    assert!(write(folder.path()).finish(end()));
    insta::assert_snapshot!(read(folder.path(), "junit"), @r#"
        <?xml version="1.0" encoding="UTF-8"?>
        <testsuites name="ccx batch" tests="5" skipped="0" failures="1" errors="2" timestamp="2027-01-15T08:00:00.000+00:00" time="130.000">
            <testsuite name="tasks.toml" tests="5" skipped="0" errors="2" failures="1" timestamp="2027-01-15T08:00:00.000+00:00" time="127.468">
                <properties>
                    <property name="total_cost_usd" value="0.0123"/>
                    <property name="retries" value="1"/>
                    <property name="killed_leftovers" value="2"/>
                    <property name="with_warnings" value="1"/>
                </properties>
                <testcase name="What is 2+2?" classname="tasks.toml" timestamp="2027-01-15T08:00:01.000+00:00" time="1.300">
                    <properties>
                        <property name="task_id" value="t-0-1"/>
                        <property name="claude_session_id" value="c-1"/>
                        <property name="total_cost_usd" value="0.0123"/>
                    </properties>
                    <system-out>It is 4.</system-out>
                </testcase>
                <testcase name="Print much, and then say so in a title that goes on and on" classname="tasks.toml" timestamp="2027-01-15T08:00:02.000+00:00" time="1.300">
                    <properties>
                        <property name="warning" value="permission_denied: the tool Bash was denied, 2 times"/>
                        <property name="warning" value="mcp_server: the MCP server stock_db failed"/>
                        <property name="task_id" value="t-1-1"/>
                        <property name="cli_version" value="2.1.332"/>
                    </properties>
                    <system-out>warning: the tool Bash was denied, 2 times
        warning: the MCP server stock_db failed

        I was not allowed to.</system-out>
                </testcase>
                <testcase name="日本語のタイトル" classname="tasks.toml" timestamp="2027-01-15T08:00:03.000+00:00" time="1.300">
                    <properties>
                        <property name="task_id" value="t-2-2"/>
                    </properties>
                    <failure message="timeout: no end after 125 s | and &lt;more&gt;" type="timed_out">timed_out: timeout: no end after 125 s | and &lt;more&gt;
        what to do: it had to be ended at its deadline: allow more with timeout or idle_timeout, or make the task smaller</failure>
                    <system-out>attempt 2 (timed_out):
        step 1

        # step 2 ```</system-out>
                    <system-err>attempt 1 (rate_limited):
        Retry later | &lt;b&gt;

        attempt 2 (timed_out):
        warning: *slow* &lt;x&gt; &amp; ]]&gt;</system-err>
                </testcase>
                <testcase name="x" classname="tasks.toml" timestamp="2027-01-15T08:00:04.000+00:00" time="1.300">
                    <properties>
                        <property name="task_id" value="t-3-1"/>
                    </properties>
                    <error message="program &quot;x&quot; was not found" type="spawn_failed">spawn_failed: program &quot;x&quot; was not found
        what to do: it could not be started: see that program, cwd and permissions are right</error>
                </testcase>
                <testcase name="later" classname="tasks.toml">
                    <error message="task 4, which it needs, failed" type="not run"/>
                </testcase>
            </testsuite>
        </testsuites>
        "#);
}

/// The Markdown report up to the line that begins the second part, and from there on.
fn markdown_parts(begin_of_second: &str) -> (String, String) {
    let folder = tempfile::tempdir().unwrap();
    assert!(write(folder.path()).finish(end()));
    let text = read(folder.path(), "markdown");
    let text = text.replace(folder.path().to_str().unwrap(), "/reports");
    let (first, second) = text.split_at(text.find(begin_of_second).unwrap());
    (first.to_owned(), second.to_owned())
}

#[test]
fn the_markdown_report_begins_with_how_it_went() {
    let (top, _) = markdown_parts("## What succeeded with warnings");
    insta::assert_snapshot!(top, @r#"
        **Stopped: 2 tasks failed (halt soon,fail=2)**

        # tasks.toml

        **2 of 5 tasks succeeded** (1 with warnings), 2 did not, 1 did not run.

        | | |
        |---|---|
        | started | 2027-01-15T08:00:00.000Z |
        | took | 2 min 10 s |
        | time of the tasks themselves | 2 min 7 s |
        | cost | 0.0123 USD |
        | tokens | 12.0 k in (12.0 k of them cached), 5 out |
        | tried again | 1 |
        | leftover processes killed | 2 |
        | processes left behind | 0 |

        ## Tasks

        | # | task | verdict | time | cost | turns |
        |--:|---|---|--:|--:|--:|
        | 1 | What is 2+2? | succeeded | 1.2 s | 0.0123 USD | 2 |
        | 2 | Print much, and then say so in a title that goes on and on | **succeeded**, 2 warnings | 1.2 s | - | - |
        | 3 | 日本語のタイトル | **timed_out** | 2 min 5 s | - | - |
        | 4 | x | **spawn_failed** | 1.3 s | - | - |
        | 5 | later | not run: task 4, which it needs, failed | - | - | - |
        "#);
}

#[test]
fn the_markdown_report_says_what_failed_why_and_what_to_do() {
    let (_, rest) = markdown_parts("## What succeeded with warnings");
    insta::assert_snapshot!(rest, @r#"
        ## What succeeded with warnings

        ### 2. Print much, and then say so in a title that goes on and on

        - permission_denied: the tool Bash was denied, 2 times.
        - mcp_server: the MCP server stock\_db failed.
        - `yes | head`
        - task t-1-1
        - the CLI's version: 2.1.332
        - its API key is from: none
        - tools that were denied: Bash, Bash

        ## What did not succeed, and why

        ### 3. 日本語のタイトル

        **timed_out** after 2 min 5 s: timeout: no end after 125 s \| and \<more\>.

        What to do: it had to be ended at its deadline: allow more with timeout or idle_timeout, or make the task smaller.

        Its last words on standard output:

            step 1

            # step 2 ```

        Its last words on standard error:

            warning: *slow* <x> & ]]>

        Last words of attempt 1 (rate_limited) on standard error:

            Retry later | <b>

        - `x 'a b'`
        - task t-2-2
        - attempt 1: rate_limited; waited until 2027-01-15T08:15:00.000Z
        - attempt 1: no_result
        - 2 leftover processes killed

        ### 4. x

        **spawn_failed** after 1.3 s: program "x" was not found.

        What to do: it could not be started: see that program, cwd and permissions are right.

        - `x 'a b'`
        - task t-3-1

        ## To go on

            ccx batch tasks.toml --resume /reports/joblog

        runs what has not succeeded and nothing that has.
        "#);
}

#[test]
fn money_and_tokens_are_the_supervisors_own_count_in_every_report() {
    let folder = tempfile::tempdir().unwrap();
    let mut reports = Reports::open(&wanted(folder.path()), "x", &tasks(), &[], None).unwrap();
    let batch_now = BatchSummary {
        cost_usd: 0.015,
        input_tokens: 70,
        output_tokens: 9,
        ..crate::fixtures::summary("b")
    };
    // A message has the summary, and its rows are recorded afterwards.
    reports.settle(&batch_now);
    let (task, row) = batch().swap_remove(0);
    reports.record(Entry::new(&task, &row), &shown(&task, Some(&row)));
    assert!(reports.finish(end()));
    let markdown = read(folder.path(), "markdown");
    assert!(markdown.contains("| cost | 0.015 USD |"), "{markdown}");
    assert!(markdown.contains("| tokens | 70 in, 9 out |"), "{markdown}");
    let junit = read(folder.path(), "junit");
    assert!(junit.contains(r#"name="total_cost_usd" value="0.015""#), "{junit}");
}

#[test]
fn a_cost_that_nobody_said_is_unknown_and_a_sum_without_it_a_lower_bound_in_every_report() {
    let reports_of = |rows: &[(Option<f64>, u64)]| {
        let folder = tempfile::tempdir().unwrap();
        let mut reports = Reports::open(&wanted(folder.path()), "x", &tasks(), &[], None).unwrap();
        for ((task, row), (cost_usd, unknown_costs)) in batch().into_iter().zip(rows) {
            let row = BatchRow { cost_usd: *cost_usd, unknown_costs: *unknown_costs, ..row };
            reports.record(Entry::new(&task, &row), &shown(&task, Some(&row)));
        }
        assert!(reports.finish(end()));
        (read(folder.path(), "markdown"), read(folder.path(), "junit"))
    };
    let (markdown, junit) = reports_of(&[(None, 1)]);
    assert!(markdown.contains("| cost | unknown |"), "{markdown}");
    assert!(markdown.contains("| succeeded | 1.2 s | - | 2 |"), "{markdown}");
    assert!(!junit.contains("total_cost_usd"), "{junit}");
    assert!(junit.contains(r#"name="unknown_costs" value="1""#), "{junit}");
    let (markdown, junit) = reports_of(&[(Some(0.5), 1), (Some(0.25), 0)]);
    let sum = "| cost | at least 0.75 USD (that of 1 attempt is unknown) |";
    assert!(markdown.contains(sum), "{markdown}");
    assert!(markdown.contains("| at least 0.50 USD |"), "{markdown}");
    assert!(junit.contains(r#"name="total_cost_usd" value="0.75""#), "{junit}");
}

#[test]
fn the_tokens_of_a_result_are_those_of_all_attempts_and_not_of_the_last_main_loop() {
    let (task, row) = batch().swap_remove(0);
    let row = BatchRow {
        input_tokens: 20_000,
        output_tokens: 900,
        cache_read_tokens: 15_000,
        cache_creation_tokens: 1_000,
        ..row
    };
    let entry: Value = serde_json::from_str(&Entry::new(&task, &row).json()).unwrap();
    let tokens =
        json!({"input": 4_000, "output": 900, "cache_creation": 1_000, "cache_read": 15_000});
    assert_eq!(entry["tokens"], tokens);
    assert_eq!(shown(&task, Some(&row)).tokens.input, 4_000);
}

#[test]
fn a_long_command_is_cut_and_its_change_still_seen() {
    let cell = |last: char| command(1, &("ä".repeat(5_000) + &last.to_string())).command;
    assert!(cell('a').len() < 4_200);
    assert_ne!(cell('a'), cell('b'));
}
