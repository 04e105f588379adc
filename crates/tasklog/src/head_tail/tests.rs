use proptest::prelude::*;

use super::*;
use crate::splitter::Splitter;

#[derive(Clone, Debug, PartialEq, Eq)]
struct Item {
    held: HeldFragment,
    line: u64,
    starts_line: bool,
    ends_line: bool,
}

/// The same bound, written as its description reads and as slowly as it likes.
struct Model {
    head_room: Option<u64>,
    tail_limit: u64,
    written: Vec<Item>,
    tail: Vec<Item>,
    dropped: Vec<Item>,
}

impl Model {
    fn new(limit: u64) -> Self {
        let tail_limit = limit / 4;
        let head_room = Some(limit - tail_limit);
        Self { head_room, tail_limit, written: vec![], tail: vec![], dropped: vec![] }
    }

    fn place(&mut self, item: Item, newest: [u64; 2]) -> Placed {
        let bytes = item.held.data.len() as u64;
        if let Some(room) = self.head_room {
            if bytes <= room {
                self.head_room = Some(room - bytes);
                self.written.push(item);
                return Placed::Now;
            }
            self.head_room = None;
            self.tail_limit += room;
        }
        self.tail.push(item);
        while self.tail.iter().map(|item| item.held.data.len() as u64).sum::<u64>()
            > self.tail_limit
        {
            let is_old = |item: &Item| item.line != newest[index(item.held.stream)];
            let Some(oldest) = self.tail.iter().position(is_old) else { break };
            self.dropped.push(self.tail.remove(oldest));
        }
        Placed::Held
    }

    fn dropped(&self) -> Dropped {
        let mut lines: Vec<(usize, u64)> =
            self.dropped.iter().map(|item| (index(item.held.stream), item.line)).collect();
        lines.sort_unstable();
        lines.dedup();
        let bytes = |item: &Item| {
            item.held.data.len() - if item.held.truncated { TRUNCATION_MARK.len() } else { 0 }
        };
        Dropped {
            lines: lines.len() as u64,
            bytes: self.dropped.iter().map(|item| bytes(item) as u64).sum(),
        }
    }
}

/// Reads and flushes of both streams, through real splitters, as numbered fragments.
fn fragments_of(steps: &[(Stream, Vec<u8>, bool)], line_bytes_limit: u64) -> Vec<Item> {
    let mut splitters =
        [Stream::Stdout, Stream::Stderr].map(|stream| Splitter::new(stream, line_bytes_limit));
    let mut items = Vec::new();
    let mut lines = [0u64; 2];
    let mut sink = |fragment: Fragment<'_>, time_ms: u64| {
        let line = &mut lines[index(fragment.stream)];
        *line += u64::from(fragment.starts_line);
        items.push(Item {
            held: HeldFragment {
                stream: fragment.stream,
                piece: fragment.piece,
                truncated: fragment.truncated,
                time_ms,
                data: Bytes::copy_from_slice(fragment.data),
            },
            line: *line,
            starts_line: fragment.starts_line,
            ends_line: fragment.ends_line,
        });
    };
    for (turn, (stream, bytes, flush)) in steps.iter().enumerate() {
        // Two turns share a time, and the clock is set back once.
        let time_ms = if turn < 10 { 1000 + turn as u64 / 2 } else { turn as u64 };
        let splitter = &mut splitters[index(*stream)];
        splitter.push(bytes, &mut |fragment| sink(fragment, time_ms));
        if *flush {
            splitter.flush_partial(&mut |fragment| sink(fragment, time_ms));
        }
    }
    for splitter in &mut splitters {
        splitter.finish(&mut |fragment| sink(fragment, 5000));
    }
    items
}

fn as_fragment(item: &Item) -> Fragment<'_> {
    Fragment {
        stream: item.held.stream,
        piece: item.held.piece,
        truncated: item.held.truncated,
        starts_line: item.starts_line,
        ends_line: item.ends_line,
        data: &item.held.data,
    }
}

fn any_steps() -> impl Strategy<Value = Vec<(Stream, Vec<u8>, bool)>> {
    let bytes = prop_oneof![
        4 => "[a-z]{0,30}\n".prop_map(String::into_bytes),
        2 => "[a-z\n]{0,60}".prop_map(String::into_bytes),
        1 => "[a-z]{200,400}".prop_map(String::into_bytes),
    ];
    let stream = prop_oneof![3 => Just(Stream::Stdout), 1 => Just(Stream::Stderr)];
    proptest::collection::vec((stream, bytes, any::<bool>()), 0..60)
}

proptest! {
    #[test]
    fn what_is_kept_and_what_is_counted_are_as_the_description_says(
        steps in any_steps(),
        output_bytes_limit in 0u64..1500,
        line_bytes_limit in prop_oneof![Just(50u64), Just(u64::MAX)],
    ) {
        let items = fragments_of(&steps, line_bytes_limit);
        let mut model = Model::new(output_bytes_limit);
        let mut bound = HeadTail::new(output_bytes_limit);
        let mut newest = [0; 2];
        for item in &items {
            newest[index(item.held.stream)] = item.line;
            let placed = bound.place(&as_fragment(item), item.held.time_ms);
            prop_assert_eq!(placed, model.place(item.clone(), newest));
            prop_assert_eq!(bound.dropped(), model.dropped());
        }
        let placed_bytes: usize = items.iter().map(|item| item.held.data.len()).sum();
        prop_assert_eq!(bound.is_over(), placed_bytes as u64 > output_bytes_limit);
        let (dropped, tail) = bound.finish();
        prop_assert_eq!(dropped.unwrap_or_default(), model.dropped());
        prop_assert!(dropped.is_none() || bound.is_over());
        let tail: Vec<HeldFragment> = tail.collect();
        let expected: Vec<HeldFragment> = model.tail.iter().map(|item| item.held.clone()).collect();
        prop_assert_eq!(tail, expected);
    }

    #[test]
    fn the_newest_line_of_each_stream_arrives_and_the_rest_keeps_the_limit(
        steps in any_steps(),
        output_bytes_limit in 0u64..1500,
    ) {
        let items = fragments_of(&steps, u64::MAX);
        let mut bound = HeadTail::new(output_bytes_limit);
        let mut kept = Vec::new();
        for item in &items {
            if bound.place(&as_fragment(item), item.held.time_ms) == Placed::Now {
                kept.push(item.held.clone());
            }
        }
        kept.extend(bound.finish().1);
        let mut newest_bytes = 0;
        for stream in [Stream::Stdout, Stream::Stderr] {
            let of_stream = || items.iter().filter(|item| item.held.stream == stream);
            let newest = of_stream().map(|item| item.line).max();
            for item in of_stream().filter(|item| Some(item.line) == newest) {
                prop_assert!(kept.contains(&item.held));
                newest_bytes += item.held.data.len() as u64;
            }
        }
        let kept_bytes: u64 = kept.iter().map(|held| held.data.len() as u64).sum();
        prop_assert!(kept_bytes <= output_bytes_limit + newest_bytes);
        let placed_bytes: u64 = items.iter().map(|item| item.held.data.len() as u64).sum();
        prop_assert_eq!(kept_bytes + bound.dropped().bytes, placed_bytes);
    }
}

fn place_lines(bound: &mut HeadTail, stream: Stream, line: &[u8], count: usize) -> usize {
    let fragment = Fragment {
        stream,
        piece: None,
        truncated: false,
        starts_line: true,
        ends_line: true,
        data: line,
    };
    (0..count).filter(|_| bound.place(&fragment, 7) == Placed::Now).count()
}

#[test]
fn output_of_exactly_the_limit_is_kept_although_the_head_ends_within_a_line() {
    let mut bound = HeadTail::new(700);
    assert_eq!(place_lines(&mut bound, Stream::Stdout, &[b'x'; 100], 7), 5);
    assert!(!bound.is_over());
    let (dropped, tail) = bound.finish();
    assert_eq!((dropped, tail.count()), (None, 2));
}

#[test]
fn a_result_larger_than_the_limit_survives_a_flood_on_the_other_stream() {
    let mut bound = HeadTail::new(1024 * 1024);
    place_lines(&mut bound, Stream::Stdout, &[b'x'; 100], 20_000);
    let mut result = vec![b'r'; 8 * 1024 * 1024];
    result.push(b'\n');
    Splitter::new(Stream::Stdout, u64::MAX).push(&result, &mut |fragment| {
        assert_eq!(bound.place(&fragment, 1), Placed::Held);
    });
    place_lines(&mut bound, Stream::Stderr, b"noise\n", 1_000_000);
    let (dropped, tail) = bound.finish();
    assert!(dropped.is_some());
    let stdout: Vec<u8> =
        tail.filter(|held| held.stream == Stream::Stdout).flat_map(|held| held.data).collect();
    assert!(stdout == result);
}

#[test]
fn a_flood_of_two_byte_lines_is_held_in_a_few_times_its_size() {
    let mut bound = HeadTail::new(8 * 1024 * 1024);
    place_lines(&mut bound, Stream::Stdout, b"y\n", 5_000_000);
    assert_eq!(bound.held_bytes, 2 * 1024 * 1024);
    assert!(bound.queue.memory_bytes() < 8 * 1024 * 1024, "{}", bound.queue.memory_bytes());
    assert_eq!(bound.finish().1.count(), 1024 * 1024);
}
