//! Bounds of output: what fits arrives byte for byte, what does not is counted and announced, and the
//! last line always comes.

use cc_tests::{
    Client, Options, Supervisor, Transcript, binaries::misbehave_argv, fifo::Fifo, processes,
    transcript::text_of,
};
use serde_json::{Value, json};

const PIECE_BYTES_LIMIT: usize = 64 * 1024;

fn run(client: &mut Client, arguments: &[&str]) -> Transcript {
    client.run_to_end(&json!({"argv": misbehave_argv(arguments)}))
}

/// The letters that `misbehave long-line` prints.
fn letters(count: usize) -> String {
    ('a'..='z').cycle().take(count).collect()
}

fn texts(transcript: &Transcript) -> Vec<&str> {
    transcript.outputs().map(text_of).collect()
}

/// Checks the numbers of the pieces of one line; returns its text.
fn joined_line(pieces: &[&Value]) -> String {
    for (index, piece) in pieces.iter().enumerate() {
        assert_eq!(piece["chunk_index"], index, "{index}");
        assert_eq!(piece["last_chunk"], index + 1 == pieces.len(), "{index}");
        assert!(text_of(piece).len() <= PIECE_BYTES_LIMIT + "\n".len());
    }
    pieces.iter().map(|piece| text_of(piece)).collect()
}

#[test]
fn a_line_is_one_notification_with_its_newline() {
    let supervisor = Supervisor::start_default();
    let mut client = supervisor.connect();
    let transcript = run(&mut client, &["lines", "1000"]);
    let expected: Vec<String> = (0..1000).map(|number| format!("line {number}\n")).collect();
    assert_eq!(texts(&transcript), expected);
    assert_eq!(transcript.completed()["output"]["lines"], 1000);
}

#[test]
fn an_unfinished_last_line_comes_without_a_newline() {
    let supervisor = Supervisor::start_default();
    let mut client = supervisor.connect();
    let transcript = client.run_shell("echo one; printf two");
    assert_eq!(transcript.stdout(), "one\ntwo");
    assert_eq!(transcript.completed()["output"]["lines"], 2);
}

#[test]
fn carriage_returns_and_nul_bytes_pass_as_they_are() {
    let supervisor = Supervisor::start_default();
    let mut client = supervisor.connect();
    let transcript = client.run_shell(r"printf 'a\r\nb\000c\n\r\n\n\rd\r'");
    assert_eq!(transcript.stdout(), "a\r\nb\0c\n\r\n\n\rd\r");
}

#[test]
fn bytes_that_are_no_utf8_become_replacement_characters() {
    let supervisor = Supervisor::start_default();
    let mut client = supervisor.connect();
    let transcript = client.run_shell(r"printf 'a\377b\n\303\nend\n'");
    assert_eq!(texts(&transcript), ["a\u{fffd}b\n", "\u{fffd}\n", "end\n"]);
    assert_eq!(transcript.completed()["output"]["bytes"], 10);
}

/// A character in two writes, with an empty pipe between them: the first half is not shown as broken.
#[test]
fn a_character_that_is_written_in_two_halves_arrives_whole() {
    let supervisor = Supervisor::start_default();
    let mut client = supervisor.connect();
    let mut fifo = Fifo::create();
    let answer = client.execute(&json!({"argv": ["cat", fifo.path()]})).unwrap();
    fifo.write(b"abc\xc3");
    // What can be shown is shown although the line is unfinished.
    let events = client.recv_until_output("abc");
    fifo.write(b"\xa9 \xf0\x9f");
    fifo.write(b"\xa6\x80\n");
    drop(fifo);
    let transcript = client.collect_after(answer, events);
    assert_eq!(transcript.stdout(), "abc\u{e9} \u{1f980}\n");
}

#[test]
fn dots_without_a_newline_are_shown_while_the_task_runs() {
    let supervisor = Supervisor::start_default();
    let mut client = supervisor.connect();
    let mut fifo = Fifo::create();
    let answer = client.execute(&json!({"argv": ["cat", fifo.path()]})).unwrap();
    let mut events = Vec::new();
    for _ in 0..3 {
        fifo.write(b".");
        // The next dot is written only when this one has been seen.
        events.extend(client.recv_until_output("."));
    }
    fifo.write(b" done\n");
    drop(fifo);
    let transcript = client.collect_after(answer, events);
    assert_eq!(transcript.stdout(), "... done\n");
    let pieces: Vec<&Value> = transcript.outputs().collect();
    assert_eq!(joined_line(&pieces), "... done\n");
    assert_eq!(transcript.completed()["output"]["lines"], 1);
}

#[test]
fn both_streams_arrive_whole_and_each_in_its_order() {
    let supervisor = Supervisor::start_default();
    let mut client = supervisor.connect();
    let transcript = run(&mut client, &["interleave", "2000"]);
    let expect =
        |word: &str| (0..2000).map(|number| format!("{word} {number}\n")).collect::<String>();
    assert_eq!(transcript.stdout(), expect("out"));
    assert_eq!(transcript.stderr(), expect("err"));
}

#[test]
fn a_long_line_comes_in_pieces_of_at_most_64_kib() {
    let supervisor = Supervisor::start_default();
    let mut client = supervisor.connect();
    for bytes in [65_535, 65_536, 65_537, 131_072, 1_000_000] {
        let transcript = run(&mut client, &["long-line", &bytes.to_string(), "newline"]);
        let outputs: Vec<&Value> = transcript.outputs().collect();
        let line = match outputs.as_slice() {
            [whole] if whole["chunk_index"].is_null() => text_of(whole).to_owned(),
            pieces => joined_line(pieces),
        };
        assert_eq!(line, letters(bytes) + "\n");
        assert_eq!(transcript.completed()["output"]["lines"], 1);
        assert_eq!(transcript.completed()["output"]["truncated_lines"], 0);
    }
}

#[test]
fn lines_of_the_limit_and_one_less_are_whole_and_one_more_is_cut() {
    let supervisor = Supervisor::start_default();
    let mut client = supervisor.connect();
    for (limit, end) in [(1000, "more"), (100_000, "more"), (1000, "bare"), (100_000, "bare")] {
        for bytes in [limit - 1, limit, limit + 1] {
            let argv = misbehave_argv(&["long-line", &bytes.to_string(), end]);
            let transcript = client.run_to_end(&json!({"argv": argv, "max_line_bytes": limit}));
            let is_cut = bytes > limit;
            let flags = transcript.outputs().filter(|output| output["truncated"] == true).count();
            assert_eq!(flags, usize::from(is_cut), "{bytes} of {limit}");
            assert_eq!(transcript.completed()["output"]["truncated_lines"], u64::from(is_cut));
            assert_eq!(transcript.completed()["output"]["bytes"], counted(bytes, end));
            let stdout = transcript.stdout();
            assert!(stdout.starts_with(&letters(bytes.min(limit))), "{bytes} of {limit}");
            assert_eq!(stdout.contains("[TRUNCATED]"), is_cut, "{bytes} of {limit}, {end}");
            // The next line is unharmed.
            assert_eq!(texts(&transcript).last() == Some(&"after the long line\n"), end == "more");
        }
    }
}

fn counted(bytes: usize, end: &str) -> usize {
    bytes + if end == "more" { "\nafter the long line\n".len() } else { 0 }
}

#[test]
fn a_cut_line_ends_with_the_mark_of_the_predecessor() {
    let supervisor = Supervisor::start(&Options::new().env("MAX_BUFFER_SIZE", 100));
    let mut client = supervisor.connect();
    let transcript = run(&mut client, &["long-line", "5000", "more"]);
    let cut: Vec<&Value> =
        transcript.outputs().filter(|output| output["truncated"] == true).collect();
    assert_eq!(cut.len(), 1);
    assert!(text_of(cut[0]).ends_with("[TRUNCATED]"), "{}", cut[0]);
    assert_eq!(texts(&transcript).last(), Some(&"after the long line\n"));
}

#[test]
fn a_line_of_a_hundred_megabytes_costs_no_memory() {
    let supervisor = Supervisor::start_default();
    let mut client = supervisor.connect();
    let (mut printed, mut go) = (Fifo::create(), Fifo::create());
    let long_line = misbehave_argv(&["long-line", "100000000", "more"]).join(" ");
    let command =
        format!("{long_line}; echo printed > {}; read go < {}", printed.path(), go.path());
    let answer = client.execute(&json!({ "command": command })).unwrap();
    assert_eq!(printed.read(), "printed\n");
    let main = i32::try_from(answer["pid"].as_i64().unwrap()).unwrap();
    let peak = peak_kib(processes::parent(main).unwrap());
    assert!(peak < 64 * 1024, "the worker needed {peak} KiB");
    let peak = peak_kib(supervisor.pid());
    assert!(peak < 96 * 1024, "the supervisor needed {peak} KiB");
    go.release();
    let transcript = client.collect(answer);
    assert_eq!(transcript.completed()["output"]["truncated_lines"], 1);
    assert_eq!(transcript.completed()["output"]["bytes"], 100_000_000 + 21);
    assert_eq!(texts(&transcript).last(), Some(&"after the long line\n"));
}

/// The largest resident set of a process so far.
fn peak_kib(pid: i32) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
    line.trim().trim_end_matches(" kB").parse().unwrap()
}

#[test]
fn too_much_output_keeps_head_and_tail_and_announces_the_middle_where_it_is_missing() {
    let supervisor = Supervisor::start_default();
    let mut client = supervisor.connect();
    let argv = misbehave_argv(&["flood", "5000000"]);
    let transcript = client.run_to_end(&json!({"argv": argv, "max_output_bytes": 100_000}));
    assert_eq!(transcript.end(), ("exit", 0));
    let texts = texts(&transcript);
    assert!(texts[0].starts_with("0000000000 x"), "{}", texts[0]);
    assert_eq!(texts.last(), Some(&"the last line\n"));
    let counts = &transcript.completed()["output"];
    assert_eq!(counts["bytes"], 5_000_000 + 14);
    assert_eq!(counts["lines"], 50_001);
    let arrived: usize = texts.iter().map(|text| text.len()).sum();
    assert!(arrived <= 100_000, "{arrived} bytes arrived");
    assert!(arrived >= 50_000, "only {arrived} bytes arrived");

    let dropped: Vec<&Value> = transcript.params_of("output.dropped").collect();
    let sum = |field: &str| dropped.iter().map(|drop| drop[field].as_u64().unwrap()).sum::<u64>();
    assert_eq!(sum("bytes"), counts["dropped_bytes"].as_u64().unwrap());
    assert_eq!(sum("lines"), counts["dropped_lines"].as_u64().unwrap());
    assert_eq!(arrived as u64 + sum("bytes"), 5_000_014);
    assert_numbers_jump_only_at_the_announcement(&transcript);
}

/// The lines of a flood are numbered: between two that are not neighbours stands `output.dropped`.
fn assert_numbers_jump_only_at_the_announcement(transcript: &Transcript) {
    let mut expected = 0_u64;
    let mut may_jump = false;
    for event in &transcript.events {
        if event["method"] == "output.dropped" {
            may_jump = true;
        }
        let Some(text) = event["params"]["data"].as_str() else { continue };
        let Some(number) = text.get(..10).and_then(|number| number.parse::<u64>().ok()) else {
            continue;
        };
        assert!(number == expected || may_jump, "{number} instead of {expected}");
        may_jump = false;
        expected = number + 1;
    }
}

#[test]
fn output_of_exactly_the_limit_is_whole() {
    let supervisor = Supervisor::start_default();
    let mut client = supervisor.connect();
    for (limit, is_whole) in [(8013, false), (8014, true), (8015, true)] {
        let argv = misbehave_argv(&["flood", "8000"]);
        let transcript = client.run_to_end(&json!({"argv": argv, "max_output_bytes": limit}));
        let dropped = transcript.params_of("output.dropped").count();
        assert_eq!(dropped == 0, is_whole, "limit {limit}: {}", transcript.completed());
        assert!(transcript.stdout().ends_with("the last line\n"));
    }
}

#[test]
fn the_last_line_arrives_of_a_flood_of_a_hundred_megabytes() {
    let supervisor = Supervisor::start_default();
    let mut client = supervisor.connect();
    let transcript = run(&mut client, &["flood", "100000000"]);
    assert!(transcript.stdout().ends_with("the last line\n"));
    assert_eq!(transcript.completed()["output"]["bytes"], 100_000_014);
    assert!(transcript.stdout().len() <= 10 * 1024 * 1024);
}

#[test]
fn the_last_line_arrives_also_when_it_is_long_and_the_limit_is_not() {
    let supervisor = Supervisor::start_default();
    let mut client = supervisor.connect();
    // The result of a Claude task can be as long as this; half of the limit is kept for the tail.
    let flood = misbehave_argv(&["flood", "3000000"]).join(" ");
    let result = misbehave_argv(&["long-line", "300000", "newline"]).join(" ");
    let params =
        json!({"argv": ["sh", "-c", format!("{flood}; {result}")], "max_output_bytes": 1_000_000});
    let transcript = client.run_to_end(&params);
    assert!(transcript.stdout().ends_with(&(letters(300_000) + "\n")));
}

#[test]
fn where_the_policy_is_to_kill_too_much_output_ends_the_task() {
    let options = Options::new().flag("--on-output-limit", "kill").flag("--grace", 1);
    let supervisor = Supervisor::start(&options);
    let mut client = supervisor.connect();
    let transcript =
        client.run_to_end(&json!({"argv": ["yes", "too much"], "max_output_bytes": 100_000}));
    let completed = transcript.completed();
    assert_eq!(completed["reason"], "output_limit");
    assert_eq!(completed["verdict"], "output_limit");
    assert!(completed["error"].is_string(), "{completed}");
}

/// The client reads nothing while the task prints ten times what the pipes between them hold.
#[test]
fn a_client_that_does_not_read_delays_neither_its_task_nor_others() {
    let supervisor = Supervisor::start_default();
    let (mut slow, mut other) = (supervisor.connect(), supervisor.connect());
    let mut fifo = Fifo::create();
    let flood = misbehave_argv(&["flood", "9000000"]).join(" ");
    let command = format!("{flood}; echo gone > {}", fifo.path());
    let id = slow.send_request("execute", &json!({ "command": command }));
    // The task itself says that it has printed everything, although no client has read it.
    let params = json!({"argv": ["sh", "-c", format!("read word < {}; echo $word", fifo.path())]});
    assert_eq!(other.run_to_end(&params).stdout(), "gone\n");
    fifo.release();
    let response = slow.recv_json();
    assert_eq!(response["id"], id);
    let transcript = slow.collect(response["result"].clone());
    assert_eq!(transcript.stdout().len(), 9_000_014);
}

#[test]
fn a_client_that_does_not_read_costs_no_memory() {
    let supervisor = Supervisor::start_default();
    let mut slow = supervisor.connect();
    let mut printed = Fifo::create();
    let flood = misbehave_argv(&["flood", "100000000"]).join(" ");
    let command = format!("{flood}; echo printed > {}", printed.path());
    let params = json!({"argv": ["sh", "-c", command], "max_output_bytes": 200_000_000});
    slow.send_request("execute", &params);
    assert_eq!(printed.read(), "printed\n");
    let peak = peak_kib(supervisor.pid());
    assert!(peak < 64 * 1024, "the supervisor needed {peak} KiB");
}

#[test]
fn control_characters_and_quotes_pass_as_they_are() {
    let supervisor = Supervisor::start_default();
    let mut client = supervisor.connect();
    let transcript = client.run_shell(r#"printf '\033[1m"\\\\" \001 \177\n'"#);
    assert_eq!(transcript.stdout(), "\u{1b}[1m\"\\\\\" \u{1} \u{7f}\n");
}

/// Every byte becomes six in JSON: still no message is over the limit (the client checks each).
#[test]
fn lines_that_grow_in_json_do_not_make_messages_too_long() {
    let supervisor = Supervisor::start_default();
    let mut client = supervisor.connect();
    let transcript = client.run_shell(r"head -c 500000 /dev/zero | tr '\000' '\001'");
    assert_eq!(transcript.stdout(), "\u{1}".repeat(500_000));
}
