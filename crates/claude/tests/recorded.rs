//! The observer and the verdict against what the real CLI printed, in the oldest and the newest version that is tested
//! (`tests/fixtures/streams`, whose README says what each stream shows).

#![expect(clippy::unwrap_used, reason = "a test: a broken assumption ends it where it is noticed")]

use std::{fs, path::PathBuf};

use cc_claude::{Refusal, StreamObserver, Summary, Work, verdict::judge};
use cc_events::{ClaudeStream, EndReason, Event, LimitReport, Verdict, WarningKind};

const VERSIONS: [&str; 2] = ["2.1.197", "2.1.332"];

fn folder() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../tests/fixtures/streams")
}

fn stream(version: &str, name: &str) -> String {
    fs::read_to_string(folder().join(version).join(name).with_extension("jsonl")).unwrap()
}

struct Seen {
    summary: Summary,
    work: Work,
    limits: Vec<LimitReport>,
}

fn observe(stream: &str) -> Seen {
    let mut observer = StreamObserver::new();
    let mut limits = Vec::new();
    for line in stream.split_inclusive('\n') {
        observer.fragment(line.as_bytes(), true, true, false, &mut |event| {
            if let Event::RateLimited(report) = event {
                limits.push(report);
            }
        });
    }
    Seen { summary: observer.summary(), work: observer.work(), limits }
}

fn verdict(seen: &Seen, exit_code: i32) -> Verdict {
    judge(ClaudeStream::Required, EndReason::Exit, exit_code, Some(&seen.summary))
}

fn kinds(seen: &Seen) -> Vec<WarningKind> {
    seen.summary.warnings.iter().map(|warning| warning.kind).collect()
}

fn text(seen: &Seen) -> &str {
    seen.summary.result.as_ref().unwrap().result.as_deref().unwrap_or_default()
}

#[test]
fn every_run_is_judged_by_what_it_did_in_both_versions() {
    use Verdict::{Account, Auth, Denied, Failed, Incomplete, NoResult, RateLimited, Succeeded};
    for (name, exit_code, expected) in [
        ("plain-answer", 0, Succeeded),
        ("login-key", 0, Succeeded),
        ("tool-call", 0, Succeeded),
        ("long-tool-call", 0, Succeeded),
        ("agent", 0, Succeeded),
        ("background-agent", 0, Succeeded),
        ("background-bash-short", 0, Succeeded),
        ("background-bash", 0, Succeeded),
        ("structured-output", 0, Succeeded),
        ("slash-context", 0, Succeeded),
        ("full-disk", 0, Succeeded),
        ("mcp-server-failed", 0, Succeeded),
        ("overage", 0, Succeeded),
        ("near-the-limit", 0, Succeeded),
        ("status-401-once", 0, Succeeded),
        ("status-500-once", 0, Succeeded),
        ("status-529-once", 0, Succeeded),
        ("stream-died", 0, Succeeded),
        ("resumed-session", 0, Succeeded),
        ("denied-tool", 0, Denied),
        ("slash-clear", 0, Incomplete),
        ("slash-compact", 0, Incomplete),
        ("max-turns", 1, Failed),
        ("refusal", 1, Failed),
        ("status-400", 1, Failed),
        ("status-500", 1, Failed),
        ("status-529", 1, Failed),
        ("stream-died-always", 1, Failed),
        ("prompt-too-long", 1, Failed),
        ("unknown-model-404", 1, Failed),
        ("start-bad-resume", 1, Failed),
        ("status-401", 1, Auth),
        ("status-401-with-key", 1, Auth),
        ("status-403", 1, Auth),
        ("token-expired", 1, Auth),
        ("token-revoked", 1, Auth),
        ("org-not-allowed", 1, Auth),
        ("login-none", 1, Auth),
        ("billing", 1, Account),
        ("credit-balance", 1, Account),
        ("status-429", 1, RateLimited),
        ("status-429-with-key", 1, RateLimited),
        ("usage-limit", 1, RateLimited),
        ("usage-limit-opus", 1, RateLimited),
        ("start-bad-option", 1, NoResult),
        ("start-bad-mcp-config", 1, NoResult),
        ("never-answering", 143, NoResult),
    ] {
        for version in VERSIONS {
            let seen = observe(&stream(version, name));
            assert_eq!(verdict(&seen, exit_code), expected, "{version} {name}");
        }
    }
}

#[test]
fn an_unknown_command_does_nothing_and_is_no_success() {
    let [old, new] = VERSIONS.map(|version| observe(&stream(version, "unknown-slash-command")));
    assert_eq!(verdict(&old, 0), Verdict::Incomplete);
    // This version sends it to the model, which answers.
    assert_eq!(verdict(&new, 0), Verdict::Succeeded);
}

#[test]
fn what_was_announced_is_in_flight_until_it_ends_and_a_call_in_the_foreground_is_not_in_the_background()
 {
    for version in VERSIONS {
        let long = stream(version, "long-tool-call");
        let lines: Vec<&str> = long.split_inclusive('\n').collect();
        let started = lines.iter().position(|line| line.contains("task_started")).unwrap();
        let work = observe(&lines[..=started].concat()).work;
        assert!(work.is_working && !work.is_background_in_flight, "{version}");
        assert!(!observe(&long).work.is_working, "{version}");

        let background = stream(version, "background-bash");
        let lines: Vec<&str> = background.split_inclusive('\n').collect();
        let answered = lines.iter().position(|line| line.contains("tool_result")).unwrap();
        let work = observe(&lines[..=answered].concat()).work;
        assert!(work.is_working && work.is_background_in_flight, "{version}");
        assert!(!observe(&background).work.is_working, "{version}");
    }
}

#[test]
fn background_work_that_the_cli_cut_off_is_named_and_what_it_waited_for_is_not() {
    let [old, new] = VERSIONS.map(|version| observe(&stream(version, "background-bash")));
    assert_eq!(kinds(&old), [WarningKind::BackgroundUnfinished]);
    assert!(old.summary.warnings[0].message.contains("as the script says"));
    assert_eq!(kinds(&new), [WarningKind::SeveralResults]);
}

#[test]
fn the_answer_is_there_whether_the_notice_brings_it_or_is_chatter() {
    for version in VERSIONS {
        let brings = observe(&stream(version, "background-agent"));
        assert!(text(&brings).contains("The answer is 4."), "{version}: {}", text(&brings));
        let chatter = observe(&stream(version, "agent"));
        assert!(text(&chatter).contains("The answer is 4."), "{version}: {}", text(&chatter));
    }
}

#[test]
fn a_denial_is_told_by_the_name_of_its_tool_and_counted_once() {
    for version in VERSIONS {
        let seen = observe(&stream(version, "denied-tool"));
        assert_eq!(kinds(&seen), [WarningKind::PermissionDenied], "{version}");
        assert_eq!(seen.summary.result.unwrap().permission_denials, ["Bash"], "{version}");
    }
}

#[test]
fn servers_that_did_not_start_and_writes_that_were_lost_are_told() {
    for version in VERSIONS {
        let seen = observe(&stream(version, "mcp-server-failed"));
        assert_eq!(kinds(&seen), [WarningKind::McpServer], "{version}");
    }
    let seen = observe(&stream("2.1.332", "full-disk"));
    assert_eq!(kinds(&seen), [WarningKind::WritesLost]);
    assert!(seen.summary.warnings[0].message.contains("ENOSPC"));
}

#[test]
fn a_limit_that_extra_usage_bridges_is_no_limit_and_one_that_does_not_has_its_kind_and_its_end() {
    for version in VERSIONS {
        let bridged = observe(&stream(version, "overage"));
        assert_eq!((bridged.limits.len(), bridged.summary.refusal), (0, None), "{version}");
        assert_eq!(kinds(&bridged), [WarningKind::ExtraUsage], "{version}");
        let opus = observe(&stream(version, "usage-limit-opus"));
        let last = opus.limits.last().unwrap();
        assert_eq!(last.kind.as_deref(), Some("seven_day_opus"), "{version}");
        assert!(last.resets_at_s.is_some() && last.blocked_by.is_none(), "{version}");
        assert_eq!(opus.summary.refusal, Some(Refusal::RateLimit), "{version}");
    }
}

#[test]
fn the_words_for_a_failure_are_kept() {
    let api_error =
        |version, name| observe(&stream(version, name)).summary.result.unwrap().api_error;
    for version in VERSIONS {
        assert_eq!(
            api_error(version, "credit-balance").as_deref(),
            Some("billing_error"),
            "{version}"
        );
        assert_eq!(
            api_error(version, "unknown-model-404").as_deref(),
            Some("model_not_found"),
            "{version}"
        );
        let resume = observe(&stream(version, "start-bad-resume")).summary.result.unwrap();
        assert!(resume.errors[0].contains("No conversation found"), "{version}");
    }
    assert_eq!(api_error("2.1.332", "billing").as_deref(), Some("billing_error"));
    let config = observe(&stream("2.1.332", "start-broken-settings")).summary.result.unwrap();
    assert_eq!(config.startup_failure_reason.as_deref(), Some("config_file_invalid"));
}

#[test]
fn a_prompt_that_never_came_to_a_result_has_its_conversation_and_the_version_of_its_cli() {
    for version in VERSIONS {
        let facts = observe(&stream(version, "never-answering")).summary.facts;
        assert!(facts.session_id.is_some(), "{version}");
        assert_eq!(facts.cli_version.as_deref(), Some(version));
    }
}

#[test]
fn nothing_that_was_recorded_is_unknown_and_something_new_is() {
    for version in VERSIONS {
        for entry in fs::read_dir(folder().join(version)).unwrap() {
            let path = entry.unwrap().path();
            if path.extension().is_some_and(|extension| extension == "jsonl") {
                let seen = observe(&fs::read_to_string(&path).unwrap());
                assert!(seen.summary.facts.unknown.is_empty(), "{path:?} {:?}", seen.summary.facts);
            }
        }
    }
    let init = r#"{"type":"system","subtype":"init","session_id":"s","newest":1}"#;
    let lines = format!(
        "{init}\n{}\n{}\n",
        r#"{"type":"dream","of":1}"#, r#"{"type":"system","subtype":"nap"}"#
    );
    let unknown = observe(&lines).summary.facts.unknown;
    let names: Vec<_> = unknown.iter().map(|(name, count)| (name.as_str(), *count)).collect();
    assert_eq!(names, [("dream", 1), ("system/init.newest", 1), ("system/nap", 1)]);
    assert!(
        observe("{\"type\":\"mine\"}\n").summary.facts.unknown.is_empty(),
        "not of another program"
    );
}
