//! Output in batches of lines is the same lines in the same order, and what the log holds.

use cc_tests::{
    Client, Supervisor, Transcript,
    binaries::misbehave_argv,
    client::unbatched,
    fifo::Fifo,
    requests::{assert_spoken, gated, last_seq, speak, task_id},
    spoken_output::{Stream, said, speech},
    task_log::TaskLog,
};
use serde_json::{Value, json};

use super::resume::{SPEECH_BYTES, undisturbed};

#[test]
fn batched_output_is_the_same_lines_in_the_same_order() {
    let supervisor = Supervisor::start_default();
    let mut client = supervisor.connect();
    let configured = client.call("session.configure", &json!({"output_batch": true})).unwrap();
    assert_eq!(configured["output_batch"], true);
    let mut fifo = Fifo::create();
    let talk = misbehave_argv(&["speak", "4", &SPEECH_BYTES.to_string()]).join(" ");
    let answer = client.execute(&gated(&fifo, &talk)).unwrap();
    let mut events = client.recv_until(|event| {
        event["method"] == "process.output" || event["method"] == "process.output_batch"
    });
    fifo.release();
    // Questions in between are answered in their order, and before the end of what is printed.
    let questions: Vec<u64> = (0..20).map(|_| client.send_request("ping", &json!({}))).collect();
    while events.last().unwrap()["method"] != "process.completed" {
        events.push(client.recv_json());
    }
    let answers: Vec<u64> = events.iter().filter_map(|event| event["id"].as_u64()).collect();
    assert_eq!(answers, questions);
    events.retain(|event| event.get("id").is_none());
    let batches = events.iter().filter(|event| event["method"] == "process.output_batch").count();
    let single = unbatched(&events);
    assert!(
        batches > 0 && events.len() < single.len() / 2,
        "{} for {}",
        events.len(),
        single.len()
    );
    let transcript = Transcript::checked(answer, single);
    assert_eq!(transcript.events, undisturbed(&supervisor, transcript.task_id()));
    assert!(transcript.stdout().ends_with(&said(&speech(4, SPEECH_BYTES), Stream::Stdout)));
}

#[test]
fn a_session_may_ask_for_batches_and_for_single_lines_again() {
    let supervisor = Supervisor::start_default();
    let mut client = supervisor.connect();
    for output_batch in [true, false, true, false] {
        client.call("session.configure", &json!({ "output_batch": output_batch })).unwrap();
        let answer = client.execute(&speak(5, SPEECH_BYTES)).unwrap();
        let mut events = Vec::new();
        assert!(client.follow(&mut events));
        let has_batches = events.iter().any(|event| event["method"] == "process.output_batch");
        assert_eq!(has_batches, output_batch);
        assert_spoken(&Transcript::checked(answer, unbatched(&events)), 5, SPEECH_BYTES);
    }
}

#[test]
fn what_was_sent_is_what_the_log_holds() {
    let supervisor = Supervisor::start_default();
    let mut client = supervisor.connect();
    let session = client.session();
    let answer = client.execute(&speak(6, SPEECH_BYTES)).unwrap();
    let events: Vec<Value> = (0..300).map(|_| client.recv_json()).collect();
    client.reset();
    let after = Some((task_id(&answer), last_seq(&events)));
    let mut client = Client::resumed(supervisor.address(), &session, after);
    let transcript = client.collect_after(answer, events);
    assert_spoken(&transcript, 6, SPEECH_BYTES);
    let log = TaskLog::read(&supervisor.task_directory(transcript.task_id()).join("log"));
    assert_eq!(log.records.len(), transcript.events.len());
    assert_eq!(log.completed().exit_code, 0);
}
