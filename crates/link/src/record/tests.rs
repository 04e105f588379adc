use cc_events::{Containment, Started};
use proptest::prelude::*;

use super::*;

fn any_record() -> impl Strategy<Value = Record> {
    let output = (
        any::<bool>(),
        proptest::option::of((any::<u32>(), any::<bool>())),
        any::<bool>(),
        proptest::collection::vec(any::<u8>(), 0..300),
    )
        .prop_map(|(stdout, piece, truncated, data)| {
            Body::Output(Output {
                stream: if stdout { Stream::Stdout } else { Stream::Stderr },
                piece: piece.map(|(index, last)| Piece { index, last }),
                truncated,
                data: data.into(),
            })
        });
    let lines = (any::<bool>(), proptest::collection::vec("[^\n]{0,9}", 2..9)).prop_map(
        |(stdout, lines)| {
            let stream = if stdout { Stream::Stdout } else { Stream::Stderr };
            let data = Bytes::from(lines.join("\n") + "\n");
            Body::Lines(Lines::new(stream, lines.len() as u32, data).unwrap())
        },
    );
    let started = (any::<i32>(), any::<i32>()).prop_map(|(pid, worker_pid)| {
        Body::Event(Event::Started(Started {
            pid,
            worker_pid,
            containment: Containment::Subreaper,
            isolation: Default::default(),
        }))
    });
    let body = prop_oneof![output, lines, started, Just(Body::Event(Event::Paused))];
    (1..SEQ_LIMIT - 9, any::<u64>(), body).prop_map(|(seq, time_ms, body)| Record {
        seq,
        time_ms,
        body,
    })
}

proptest! {
    #[test]
    fn records_come_back_as_they_were_however_the_bytes_arrive(
        records in proptest::collection::vec(any_record(), 1..20),
        cut in 1usize..200,
    ) {
        let mut wire = Vec::new();
        for record in &records {
            record.encode(&mut wire).unwrap();
        }
        let mut buffer = BytesMut::new();
        let mut decoded = Vec::new();
        for piece in wire.chunks(cut) {
            buffer.extend_from_slice(piece);
            while let Some(record) = decode(&mut buffer).unwrap() {
                decoded.push(record);
            }
        }
        prop_assert_eq!(decoded, records);
        prop_assert!(buffer.is_empty());
    }

    #[test]
    fn the_first_and_the_last_seq_can_be_told_without_the_payload(record in any_record()) {
        let mut wire = Vec::new();
        record.encode(&mut wire).unwrap();
        prop_assert_eq!(peek_seqs(&wire[..HEADER_BYTES]), (record.seq, record.last_seq()));
        let singles: Vec<u64> = record.clone().one_by_one().map(|single| single.seq).collect();
        prop_assert_eq!(singles, (record.seq..=record.last_seq()).collect::<Vec<_>>());
    }

    #[test]
    fn a_flipped_bit_never_passes_as_a_record(record in any_record(), bit in any::<prop::sample::Index>()) {
        let mut wire = Vec::new();
        record.encode(&mut wire).unwrap();
        let bit = bit.index(wire.len() * 8);
        wire[bit / 8] ^= 1 << (bit % 8);
        // Either it is refused, or a longer length makes the reader wait for bytes that never come.
        prop_assert!(!matches!(frame_bytes(&wire), Ok(Some(_))));
    }

    #[test]
    fn arbitrary_bytes_never_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
        let mut buffer = BytesMut::from(&bytes[..]);
        drop(decode(&mut buffer));
    }
}

/// A record of eight lines with a valid checksum.
fn eight_lines(first_seq: u64) -> Vec<u8> {
    let lines = Lines::new(Stream::Stdout, 8, Bytes::from_static(b"1\n2\n3\n4\n5\n6\n7\n8\n"));
    let record = Record { seq: first_seq, time_ms: 7, body: Body::Lines(lines.unwrap()) };
    let mut wire = Vec::new();
    record.encode(&mut wire).unwrap();
    wire
}

#[test]
fn a_seq_that_cannot_be_counted_on_from_is_no_record() {
    for first in [SEQ_LIMIT - 6, SEQ_LIMIT + 1, u64::MAX - 7, u64::MAX - 1, u64::MAX] {
        let wire = eight_lines(first);
        assert!(matches!(frame_bytes(&wire), Err(RecordError::Seq(_))), "{first}");
        assert!(matches!(decode(&mut BytesMut::from(&wire[..])), Err(RecordError::Seq(_))));
        assert!(matches!(decode_frame(wire.into()), Err(RecordError::Seq(_))), "{first}");
    }
    let highest = decode(&mut BytesMut::from(&eight_lines(SEQ_LIMIT - 7)[..])).unwrap().unwrap();
    let seqs: Vec<u64> = highest.one_by_one().map(|line| line.seq).collect();
    assert_eq!(seqs, (SEQ_LIMIT - 7..=SEQ_LIMIT).collect::<Vec<_>>());
}
