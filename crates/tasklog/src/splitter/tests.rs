use proptest::prelude::*;

use super::*;

/// A piece must have room for the mark and for what a piece before it left over for it.
const SMALLEST_PIECE_LIMIT: usize = 2 * TRUNCATION_MARK.len() + 3;

#[derive(Clone, Debug, PartialEq, Eq)]
struct Owned {
    piece: Option<Piece>,
    truncated: bool,
    data: Vec<u8>,
}

/// What one turn of the worker's loop may do to a splitter.
#[derive(Clone, Debug)]
enum Step {
    Push(usize),
    Flush,
}

/// Runs `input` through a splitter in the given steps, and checks what holds for every fragment.
fn split(splitter: &mut Splitter, input: &[u8], steps: &[Step]) -> Vec<Owned> {
    let mut fragments = Vec::new();
    let piece_bytes_limit = splitter.piece_bytes_limit;
    let mut sink = |fragment: Fragment<'_>| {
        assert!(fragment.data.len() <= piece_bytes_limit);
        assert_eq!(fragment.starts_line, fragment.piece.is_none_or(|piece| piece.index == 0));
        assert_eq!(fragment.ends_line, fragment.piece.is_none_or(|piece| piece.last));
        fragments.push(Owned {
            piece: fragment.piece,
            truncated: fragment.truncated,
            data: fragment.data.to_vec(),
        });
    };
    let mut rest = input;
    for step in steps {
        match step {
            Step::Push(bytes) => {
                let (now, later) = rest.split_at((*bytes).min(rest.len()));
                splitter.push(now, &mut sink);
                rest = later;
            }
            Step::Flush => {
                splitter.flush_partial(&mut sink);
                assert!(!splitter.has_partial());
            }
        }
        assert!(splitter.waiting.len() <= piece_bytes_limit);
        assert!(splitter.waiting.capacity() <= piece_bytes_limit);
    }
    splitter.push(rest, &mut sink);
    splitter.finish(&mut sink);
    splitter.finish(&mut sink);
    assert!(!splitter.has_partial());
    assert_eq!(splitter.counts().bytes, input.len() as u64);
    fragments
}

fn split_at_once(line_bytes_limit: u64, input: &[u8]) -> Vec<Owned> {
    split(&mut Splitter::new(Stream::Stdout, line_bytes_limit), input, &[])
}

/// The fragments of `input` when nothing is flushed, computed from whole lines.
fn reference(input: &[u8], line_bytes_limit: usize, piece_bytes_limit: usize) -> Vec<Owned> {
    let mut fragments = Vec::new();
    for line in input.split_inclusive(|byte| *byte == b'\n') {
        let content = line.strip_suffix(b"\n").unwrap_or(line);
        let truncated = content.len() > line_bytes_limit;
        let kept = if truncated { &content[..line_bytes_limit] } else { line };
        let mut pieces = Vec::new();
        let mut rest = kept;
        while rest.len() > piece_bytes_limit {
            let (piece, after) = rest.split_at(slow_whole_characters(&rest[..piece_bytes_limit]));
            pieces.push(piece.to_vec());
            rest = after;
        }
        if truncated {
            rest = &rest[..slow_whole_characters(rest)];
            let room = piece_bytes_limit - TRUNCATION_MARK.len();
            if rest.len() > room {
                let (piece, after) = rest.split_at(slow_whole_characters(&rest[..room]));
                pieces.push(piece.to_vec());
                rest = after;
            }
            pieces.push([rest, TRUNCATION_MARK].concat());
        } else {
            pieces.push(rest.to_vec());
        }
        let count = pieces.len();
        fragments.extend(pieces.into_iter().enumerate().map(|(index, data)| Owned {
            piece: (count > 1).then_some(Piece { index: index as u32, last: index + 1 == count }),
            truncated: truncated && index + 1 == count,
            data,
        }));
    }
    fragments
}

/// By definition: the end is incomplete when one to three more bytes can make a character of it.
fn slow_whole_characters(bytes: &[u8]) -> usize {
    let is_start_of_character = |start: &[u8]| {
        std::char::from_u32(match *start {
            [a @ 0xC2..=0xDF] => (u32::from(a) & 0x1F) << 6,
            [a @ 0xE0..=0xEF] => ((u32::from(a) & 0xF) << 12) + if a == 0xE0 { 0x800 } else { 0 },
            [a @ 0xE0..=0xEF, b @ 0x80..=0xBF] => {
                let value = ((u32::from(a) & 0xF) << 12) + ((u32::from(b) & 0x3F) << 6);
                if value < 0x800 { u32::MAX } else { value }
            }
            [a @ 0xF0..=0xF4, ref middle @ ..] if middle.len() < 3 => {
                let mut value = u32::from(a) & 7;
                for byte in middle {
                    if !(0x80..=0xBF).contains(byte) {
                        return false;
                    }
                    value = (value << 6) + (u32::from(*byte) & 0x3F);
                }
                let missing = 6 * (3 - middle.len() as u32);
                let lowest = value << missing;
                let highest = lowest + (1 << missing) - 1;
                if highest < 0x10000 { u32::MAX } else { lowest.max(0x10000) }
            }
            _ => u32::MAX,
        })
        .is_some()
    };
    (1..=3.min(bytes.len()))
        .find(|back| is_start_of_character(&bytes[bytes.len() - back..]))
        .map_or(bytes.len(), |back| bytes.len() - back)
}

fn any_input() -> impl Strategy<Value = Vec<u8>> {
    let token = prop_oneof![
        3 => "[a-z]{1,12}".prop_map(String::into_bytes),
        2 => "\\PC{1,8}".prop_map(String::into_bytes),
        2 => Just(b"\n".to_vec()),
        1 => Just(b"\r\n".to_vec()),
        1 => Just(b"\0".to_vec()),
        1 => proptest::collection::vec(any::<u8>(), 1..6),
        1 => proptest::collection::vec(0x80u8..=0xFF, 1..6),
    ];
    proptest::collection::vec(token, 0..40).prop_map(|tokens| tokens.concat())
}

fn any_steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![3 => (0usize..40).prop_map(Step::Push), 1 => Just(Step::Flush)];
    proptest::collection::vec(step, 0..40)
}

fn any_line_limit() -> impl Strategy<Value = u64> {
    prop_oneof![0u64..80, Just(u64::MAX)]
}

proptest! {
    #[test]
    fn any_input_read_in_any_cuts_gives_the_fragments_of_its_lines(
        input in any_input(),
        cuts in proptest::collection::vec(0usize..40, 0..40),
        line_bytes_limit in any_line_limit(),
        piece_bytes_limit in SMALLEST_PIECE_LIMIT..60,
    ) {
        let steps: Vec<Step> = cuts.into_iter().map(Step::Push).collect();
        let mut splitter =
            Splitter::with_piece_limit(Stream::Stderr, line_bytes_limit, piece_bytes_limit);
        let fragments = split(&mut splitter, &input, &steps);
        let limit = usize::try_from(line_bytes_limit).unwrap();
        prop_assert_eq!(&fragments, &reference(&input, limit, piece_bytes_limit));
        let lines = input.split_inclusive(|byte| *byte == b'\n').count() as u64;
        prop_assert_eq!(splitter.counts().lines, lines);
        let truncated = fragments.iter().filter(|fragment| fragment.truncated).count() as u64;
        prop_assert_eq!(splitter.counts().truncated_lines, truncated);
    }

    #[test]
    fn flushing_anywhere_changes_where_lines_are_cut_and_nothing_else(
        input in any_input(),
        steps in any_steps(),
        line_bytes_limit in any_line_limit(),
        piece_bytes_limit in SMALLEST_PIECE_LIMIT..60,
    ) {
        let mut splitter =
            Splitter::with_piece_limit(Stream::Stdout, line_bytes_limit, piece_bytes_limit);
        let fragments = split(&mut splitter, &input, &steps);
        let limit = usize::try_from(line_bytes_limit).unwrap();
        let mut expected = Vec::new();
        for fragment in reference(&input, limit, piece_bytes_limit) {
            expected.extend(fragment.data);
        }
        let sent: Vec<u8> = fragments.iter().flat_map(|fragment| fragment.data.clone()).collect();
        prop_assert_eq!(sent, expected);

        let mut next_index = 0;
        for fragment in &fragments {
            prop_assert_eq!(fragment.piece.map_or(0, |piece| piece.index), next_index);
            next_index = match fragment.piece {
                Some(Piece { index, last: false }) => index + 1,
                Some(Piece { last: true, .. }) | None => 0,
            };
        }
        prop_assert_eq!(next_index, 0, "the last line has no last piece");
        if std::str::from_utf8(&input).is_ok() {
            for fragment in &fragments {
                prop_assert!(std::str::from_utf8(&fragment.data).is_ok());
            }
        }
    }

    #[test]
    fn an_incomplete_character_is_found_as_its_definition_says(
        bytes in proptest::collection::vec(prop_oneof![any::<u8>(), 0x80u8..=0xFF], 0..6),
    ) {
        prop_assert_eq!(whole_characters(&bytes), slow_whole_characters(&bytes));
    }

    #[test]
    fn lines_around_the_real_piece_limit_are_cut_as_their_length_says(
        offset in 0usize..8,
        pieces in 0usize..3,
        unit in prop_oneof![Just("a"), Just("é"), Just("€"), Just("😀")],
        newline in any::<bool>(),
        cuts in proptest::collection::vec(0usize..100_000, 0..6),
    ) {
        let length = pieces * PIECE_BYTES_LIMIT + offset;
        let mut input = unit.repeat(length / unit.len()).into_bytes();
        if newline {
            input.push(b'\n');
        }
        let steps: Vec<Step> = cuts.into_iter().map(Step::Push).collect();
        let mut splitter = Splitter::new(Stream::Stdout, 100_000);
        let fragments = split(&mut splitter, &input, &steps);
        prop_assert!(fragments == reference(&input, 100_000, PIECE_BYTES_LIMIT));
    }
}

#[test]
fn a_line_of_the_limit_is_whole_and_one_byte_more_is_cut() {
    for limit in [1, 10, PIECE_BYTES_LIMIT - 12, PIECE_BYTES_LIMIT, PIECE_BYTES_LIMIT + 1] {
        for (length, truncated) in [(limit - 1, false), (limit, false), (limit + 1, true)] {
            let input = [vec![b'x'; length], b"\n\n"[..].to_vec()].concat();
            let fragments = split_at_once(limit as u64, &input);
            let first_line: Vec<u8> = fragments
                .iter()
                .scan(false, |ended, fragment| {
                    let is_first = !*ended;
                    *ended |= fragment.piece.is_none_or(|piece| piece.last);
                    is_first.then(|| fragment.data.clone())
                })
                .flatten()
                .collect();
            let expected = if truncated {
                [vec![b'x'; limit], TRUNCATION_MARK.to_vec()].concat()
            } else {
                [vec![b'x'; length], b"\n".to_vec()].concat()
            };
            assert!(first_line == expected, "limit {limit}, length {length}");
            assert_eq!(fragments.iter().any(|fragment| fragment.truncated), truncated);
            assert_eq!(
                fragments.last().unwrap().data,
                b"
"
            );
        }
    }
}

#[test]
fn the_mark_goes_out_as_soon_as_the_limit_is_crossed_and_not_before() {
    let mut splitter = Splitter::new(Stream::Stdout, 10);
    let mut fragments = Vec::new();
    splitter.push(b"0123456789", &mut |fragment| fragments.push(fragment.data.to_vec()));
    assert!(fragments.is_empty());
    splitter.push(b"x", &mut |fragment| {
        assert_eq!(fragment.piece, None);
        assert!(fragment.truncated && fragment.ends_line);
        fragments.push(fragment.data.to_vec());
    });
    assert_eq!(fragments, [b"0123456789[TRUNCATED]".to_vec()]);
    splitter.push(b"skipped\nshort\n", &mut |fragment| fragments.push(fragment.data.to_vec()));
    assert_eq!(fragments[1..], [b"short\n".to_vec()]);
    assert_eq!(splitter.counts(), StreamCounts { lines: 2, bytes: 25, truncated_lines: 1 });
}

#[test]
fn a_prompt_without_newline_shows_and_its_character_cut_by_the_read_waits() {
    let mut splitter = Splitter::new(Stream::Stdout, u64::MAX);
    let mut fragments = Vec::new();
    splitter.push("name: €".as_bytes().split_last().unwrap().1, &mut |_| unreachable!());
    assert!(splitter.has_partial());
    splitter
        .flush_partial(&mut |fragment| fragments.push((fragment.piece, fragment.data.to_vec())));
    assert!(!splitter.has_partial());
    splitter
        .push(b"\xAC\n", &mut |fragment| fragments.push((fragment.piece, fragment.data.to_vec())));
    assert_eq!(
        fragments,
        [
            (Some(Piece { index: 0, last: false }), b"name: ".to_vec()),
            (Some(Piece { index: 1, last: true }), "€\n".as_bytes().to_vec()),
        ]
    );
}

#[test]
fn a_line_that_arrives_whole_is_not_copied() {
    let input = b"one\ntwo\n".to_vec();
    let range = input.as_ptr_range();
    Splitter::new(Stream::Stdout, 100).push(&input, &mut |fragment| {
        assert!(range.contains(&fragment.data.as_ptr()));
    });
}
