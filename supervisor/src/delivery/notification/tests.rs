use bytes::Bytes;
use cc_link::record::{Lines, PIECE_BYTES_LIMIT, Piece, Stream};
use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;

/// All messages of these records to a client that has those up to `after_seq`.
fn texts_of(frames: Vec<u8>, after_seq: u64, is_batching: bool) -> Vec<String> {
    let mut translator = Translator::new("id".to_owned(), 42, after_seq);
    let mut pending = PendingRecords::new(frames.into());
    let mut all = Vec::new();
    while !pending.is_empty() {
        let mut texts = MessageBuffer::default();
        translator.translate(&mut pending, is_batching, &mut texts).unwrap();
        assert!(texts.bytes() < limits::TEXTS_BYTES + SERVER_MESSAGE_BYTES_LIMIT);
        all.extend(texts.iter().map(str::to_owned));
    }
    all
}

/// The numbers of the events in these messages.
fn seqs_of(texts: &[String]) -> Vec<u64> {
    let messages = texts.iter().map(|text| serde_json::from_str(text).unwrap());
    messages
        .flat_map(|message: Value| match message["params"]["items"].as_array() {
            Some(items) => items.clone(),
            None => vec![message["params"].clone()],
        })
        .map(|item| item["seq"].as_u64().unwrap())
        .collect()
}

fn translate(body: Body) -> Value {
    let mut frames = Vec::new();
    Record { seq: 3, time_ms: 1, body }.encode(&mut frames).unwrap();
    let texts = texts_of(frames, 0, false);
    assert_eq!(texts.len(), 1);
    assert!(texts[0].len() <= SERVER_MESSAGE_BYTES_LIMIT, "{}", texts[0].len());
    serde_json::from_str(&texts[0]).unwrap()
}

#[test]
fn a_line_of_output_has_the_fields_that_every_client_depends_on() {
    let output = Output {
        stream: Stream::Stderr,
        piece: None,
        truncated: false,
        data: Bytes::from_static(b"a\xffb\n"),
    };
    assert_eq!(
        translate(Body::Output(output)),
        json!({"jsonrpc": "2.0", "method": "process.output", "params": {
            "type": "stderr", "data": "a\u{fffd}b\n", "truncated": false, "chunk_index": null,
            "total_chunks": null, "task_id": "id", "seq": 3,
        }})
    );
}

#[test]
fn no_piece_of_output_makes_a_message_over_the_limit_whatever_its_bytes() {
    for byte in [0u8, 0xff, b'"', b'x'] {
        let output = Output {
            stream: Stream::Stdout,
            piece: Some(Piece { index: 1, last: true }),
            truncated: true,
            data: vec![byte; PIECE_BYTES_LIMIT].into(),
        };
        let value = translate(Body::Output(output));
        assert_eq!(value["params"]["last_chunk"], true);
    }
}

#[test]
fn lines_that_are_ready_together_come_together_and_in_order_and_never_over_the_limit() {
    let mut frames = Vec::new();
    let line = |data: Vec<u8>| {
        Body::Output(Output {
            stream: Stream::Stdout,
            piece: None,
            truncated: false,
            data: data.into(),
        })
    };
    let mut bodies: Vec<Body> = (0..3).map(|_| line(b"short\n".to_vec())).collect();
    bodies.push(Body::Event(Event::Paused));
    bodies.extend((0..40).map(|_| line(vec![0; PIECE_BYTES_LIMIT])));
    bodies.extend((0..2 * limits::BATCH_ITEMS).map(|_| line(b"\n".to_vec())));
    let count = bodies.len() as u64;
    for (seq, body) in (1..).zip(bodies) {
        Record { seq, time_ms: 1, body }.encode(&mut frames).unwrap();
    }
    let texts = texts_of(frames, 0, true);
    assert!(texts.iter().all(|text| text.len() <= SERVER_MESSAGE_BYTES_LIMIT));
    let messages: Vec<Value> =
        texts.iter().map(|text| serde_json::from_str(text).unwrap()).collect();
    assert_eq!(messages[0]["params"]["items"].as_array().unwrap().len(), 3);
    assert_eq!(messages[1]["method"], "process.paused");
    assert_eq!(seqs_of(&texts), (1..=count).collect::<Vec<_>>());
}

proptest! {
    #[test]
    fn a_client_that_resumes_in_the_middle_of_packed_lines_gets_each_later_line_once(
        counts in proptest::collection::vec(1u32..6, 1..6),
        is_batching in any::<bool>(),
    ) {
        let (mut frames, mut seq) = (Vec::new(), 1);
        for count in counts {
            let data = "line\n".repeat(count as usize).into();
            let body = Body::Lines(Lines::new(Stream::Stdout, count, data).unwrap());
            Record { seq, time_ms: 1, body }.encode(&mut frames).unwrap();
            seq += u64::from(count);
        }
        for after_seq in 0..seq {
            let texts = texts_of(frames.clone(), after_seq, is_batching);
            prop_assert_eq!(seqs_of(&texts), (after_seq + 1..seq).collect::<Vec<_>>());
        }
    }
}

#[test]
fn very_many_packed_lines_become_texts_bit_by_bit() {
    let count = PIECE_BYTES_LIMIT as u32;
    for is_batching in [false, true] {
        let data = "\n".repeat(count as usize).into();
        let body = Body::Lines(Lines::new(Stream::Stderr, count, data).unwrap());
        let mut frames = Vec::new();
        Record { seq: 1, time_ms: 1, body }.encode(&mut frames).unwrap();
        let texts = texts_of(frames, 0, is_batching);
        assert_eq!(seqs_of(&texts), (1..=u64::from(count)).collect::<Vec<_>>());
    }
}

#[test]
fn lines_that_were_told_are_left_out_where_their_record_is_put_back_and_read_again() {
    let mut frames = Vec::new();
    let lines_a_record = 10_000;
    for first_seq in [1, 10_001, 20_001] {
        let data = "\n".repeat(lines_a_record).into();
        let lines = Lines::new(Stream::Stdout, lines_a_record as u32, data).unwrap();
        Record { seq: first_seq, time_ms: 1, body: Body::Lines(lines) }
            .encode(&mut frames)
            .unwrap();
    }
    let frames = Bytes::from(frames);
    let mut translator = Translator::new("id".to_owned(), 42, 0);
    let (mut told, mut offset, mut reads) = (Vec::new(), 0, 0);
    while offset < frames.len() {
        let mut pending = PendingRecords::new(frames.slice(offset..));
        let mut texts = MessageBuffer::default();
        translator.translate(&mut pending, false, &mut texts).unwrap();
        told.extend(texts.iter().map(str::to_owned));
        offset = frames.len() - pending.whole_bytes();
        reads += 1;
    }
    assert_eq!(seqs_of(&told), (1..=3 * lines_a_record as u64).collect::<Vec<_>>());
    assert!(reads > 10, "only {reads} reads");
}

#[test]
fn a_result_that_grows_over_the_limit_in_json_is_cut_and_says_so() {
    let result =
        ClaudeResult { result: Some("\u{1}".repeat(256 * 1024)), ..ClaudeResult::default() };
    let value = translate(Body::Event(Event::ClaudeResult(Box::new(result))));
    assert_eq!(value["params"]["result_truncated"], true);
    assert!(value["params"]["result"].as_str().unwrap().len() >= 64 * 1024);
}

#[test]
fn pause_resume_and_cancel_carry_the_numbers_that_clients_read() {
    let value = translate(Body::Event(Event::Paused));
    assert_eq!(value["method"], "process.paused");
    assert_eq!(
        value["params"],
        json!({"status": "paused", "pid": 42, "pgid": 42, "exit_code": null, "error": null,
               "task_id": "id", "seq": 3})
    );
}
