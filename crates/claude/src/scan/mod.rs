//! Finds the wanted members of one JSON object while its bytes come in, wherever they stand.
//!
//! A line of the CLI can be as long as the task's line limit, its members come in any order, and `"type"`, which
//! says whether the line matters, may be the last one. So nothing is decided by place: the scanner walks the object
//! once, byte by byte, keeps the values of the members that [`Paths`] names, each up to its own limit, and passes
//! over everything else without keeping it. A name may be written with escapes; a value that is cut is kept as far
//! as it came. Called by [`crate::line`], which reads the values.
//!
//! Brackets, commas and colons of the objects that are walked must be right; what is passed over is only checked for
//! its quotes and the number of its brackets.

mod kept;
mod paths;

use memchr::memchr2;

use self::{kept::Kept, paths::ROOT};
pub(crate) use self::{
    kept::Value,
    paths::{Keep, Paths, Wanted},
};

/// Most bytes of a member's name, as it is written. A longer one is none that is wanted.
const NAME_BYTES_LIMIT: usize = 128;
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Shape {
    /// One whole object.
    Object,
    /// The beginning of one.
    Beginning,
    Other,
}

/// ```text
///  Start ─{─▶ FirstName ─"─▶ Name ─"─▶ Colon ─:─▶ Value ──▶ Text, Scalar, Passed ──▶ Comma ─,─▶ NextName
///                                                   │ {: FirstName   [: FirstItem      │ } or ]
///                                                   └──────────────◀────────────────────┘ of the outermost: End
/// ```
/// Whatever does not fit leads to `Broken`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Start,
    FirstName,
    NextName,
    Name {
        is_escaped: bool,
    },
    Colon,
    Value,
    FirstItem,
    /// After a value: a comma, or the end of what it stands in.
    Comma,
    Text {
        is_escaped: bool,
    },
    Scalar,
    /// In an object or array in which nothing is wanted.
    Passed {
        depth: u64,
        text: Option<bool>,
    },
    End,
    Broken,
}

#[derive(Clone, Copy, Debug)]
struct Frame {
    node: usize,
    object: u32,
    is_array: bool,
}

/// Walks one line after another.
#[derive(Debug)]
pub(crate) struct Scanner {
    paths: &'static Paths,
    state: State,
    /// The objects and arrays that are open and walked. As deep as the longest path, and its arrays.
    stack: Vec<Frame>,
    name: Vec<u8>,
    /// Whose value comes next or is being read.
    node: Option<usize>,
    objects: u32,
    kept: Kept,
    /// The first names of members of the line itself that are not known.
    unknown: Vec<String>,
}

/// Names of unknown members that are kept of one line.
const UNKNOWN_LIMIT: usize = 8;

impl Scanner {
    pub(crate) fn new(paths: &'static Paths) -> Self {
        Self {
            paths,
            state: State::Start,
            stack: Vec::new(),
            name: Vec::new(),
            node: None,
            objects: 0,
            kept: Kept::default(),
            unknown: Vec::new(),
        }
    }

    pub(crate) fn restart(&mut self) {
        self.state = State::Start;
        self.stack.clear();
        self.objects = 0;
        self.kept.clear();
        self.unknown.clear();
    }

    /// This line is no object: what comes of it need not be walked.
    pub(crate) fn is_broken(&self) -> bool {
        self.state == State::Broken
    }

    /// Takes the next bytes of the line, without its newline.
    pub(crate) fn walk(&mut self, mut bytes: &[u8]) {
        while let Some(&first) = bytes.first() {
            let taken = match self.state {
                State::Text { is_escaped } => self.text(bytes, is_escaped),
                State::Passed { depth, text } => self.passed(bytes, depth, text),
                State::Name { is_escaped } => self.name(bytes, is_escaped),
                State::Scalar => self.scalar(bytes),
                State::Broken => return,
                State::Start
                | State::FirstName
                | State::NextName
                | State::Colon
                | State::Value
                | State::FirstItem
                | State::Comma
                | State::End => {
                    if !matches!(first, b' ' | b'\t' | b'\r') {
                        self.mark(first);
                    }
                    1
                }
            };
            bytes = &bytes[taken..];
        }
    }

    pub(crate) fn finish(&mut self) -> Shape {
        match self.state {
            State::End => Shape::Object,
            State::Start | State::Broken => Shape::Other,
            State::FirstName
            | State::NextName
            | State::Name { .. }
            | State::Colon
            | State::Value
            | State::FirstItem
            | State::Comma
            | State::Text { .. }
            | State::Scalar
            | State::Passed { .. } => {
                self.kept.cut();
                self.keep_value();
                Shape::Beginning
            }
        }
    }

    /// The values that were found, in the order of the line.
    pub(crate) fn values(&self) -> impl DoubleEndedIterator<Item = Value<'_>> {
        self.kept.values(self.paths)
    }

    /// The first few names of the line's own members that are not known.
    pub(crate) fn unknown(&self) -> &[String] {
        &self.unknown
    }

    /// One byte that is no space, between names and values.
    fn mark(&mut self, byte: u8) {
        let is_array = self.stack.last().is_some_and(|frame| frame.is_array);
        self.state = match (self.state, byte) {
            (State::Start, b'{') => {
                self.open(ROOT, false);
                State::FirstName
            }
            (State::FirstName | State::NextName, b'"') => {
                self.name.clear();
                State::Name { is_escaped: false }
            }
            (State::Colon, b':') => State::Value,
            (State::Comma, b',') if is_array => State::Value,
            (State::Comma, b',') => State::NextName,
            (State::FirstName, b'}') => self.close(),
            (State::Comma, b'}') if !is_array => self.close(),
            (State::FirstItem, b']') => self.close(),
            (State::Comma, b']') if is_array => self.close(),
            (State::Value | State::FirstItem, byte) => self.value(byte),
            (_, _) => State::Broken,
        };
    }

    fn open(&mut self, node: usize, is_array: bool) {
        let object = match self.stack.last() {
            Some(frame) if is_array => frame.object,
            Some(_) => {
                self.objects = self.objects.saturating_add(1);
                self.objects
            }
            None => 0,
        };
        self.stack.push(Frame { node, object, is_array });
    }

    fn close(&mut self) -> State {
        self.stack.pop();
        if self.stack.is_empty() { State::End } else { State::Comma }
    }

    /// A value begins with this byte.
    fn value(&mut self, byte: u8) -> State {
        let in_array = self.stack.last().filter(|frame| frame.is_array);
        let node = match in_array {
            Some(frame) => Some(frame.node),
            None => self.node,
        };
        self.node = node;
        let keep = node.and_then(|node| self.paths.keep(node));
        let is_walked = node.is_some_and(|node| self.paths.has_children(node));
        match byte {
            b'"' => {
                self.begin_keeping(keep, byte);
                State::Text { is_escaped: false }
            }
            b'{' | b'[' if matches!(keep, Some(Keep::Any(_))) => {
                self.begin_keeping(keep, byte);
                State::Passed { depth: 1, text: None }
            }
            b'{' if is_walked && let Some(node) = node => {
                self.open(node, false);
                State::FirstName
            }
            // Nothing is wanted of an array in an array.
            b'[' if (is_walked || matches!(keep, Some(Keep::Each(_))))
                && in_array.is_none()
                && let Some(node) = node =>
            {
                self.open(node, true);
                State::FirstItem
            }
            b'{' | b'[' => State::Passed { depth: 1, text: None },
            byte if byte.is_ascii_alphanumeric() || byte == b'-' => {
                self.begin_keeping(keep, byte);
                State::Scalar
            }
            _ => State::Broken,
        }
    }

    fn name(&mut self, bytes: &[u8], is_escaped: bool) -> usize {
        let (length, state) = string_part(bytes, is_escaped);
        let room = NAME_BYTES_LIMIT - self.name.len();
        self.name.extend_from_slice(&bytes[..length.min(room)]);
        match state {
            Some(is_escaped) => {
                self.state = State::Name { is_escaped };
                length
            }
            None => {
                self.name_ended();
                self.state = State::Colon;
                length + 1
            }
        }
    }

    fn name_ended(&mut self) {
        let parent = self.stack.last().map_or(ROOT, |frame| frame.node);
        let is_long = self.name.len() >= NAME_BYTES_LIMIT;
        let escaped;
        let name = match std::str::from_utf8(&self.name) {
            Ok(name) if !name.contains('\\') => name,
            Ok(_) | Err(_) => {
                escaped = crate::json::unescape(&self.name);
                &escaped
            }
        };
        self.node = if is_long { None } else { self.paths.child(parent, name) };
        let is_new = self.stack.len() == 1 && self.node.is_none() && !self.paths.is_known(name);
        if is_new && self.unknown.len() < UNKNOWN_LIMIT {
            self.unknown.push(name.to_owned());
        }
    }

    fn text(&mut self, bytes: &[u8], is_escaped: bool) -> usize {
        let (length, state) = string_part(bytes, is_escaped);
        let taken = length + usize::from(state.is_none());
        self.keep(&bytes[..taken]);
        match state {
            Some(is_escaped) => self.state = State::Text { is_escaped },
            None => {
                self.keep_value();
                self.state = State::Comma;
            }
        }
        taken
    }

    fn scalar(&mut self, bytes: &[u8]) -> usize {
        let is_part =
            |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-' | b'+');
        let length = bytes.iter().position(|byte| !is_part(byte)).unwrap_or(bytes.len());
        self.keep(&bytes[..length]);
        if length < bytes.len() {
            self.keep_value();
            self.state = State::Comma;
        }
        length
    }

    fn passed(&mut self, bytes: &[u8], mut depth: u64, text: Option<bool>) -> usize {
        if let Some(is_escaped) = text {
            let (length, state) = string_part(bytes, is_escaped);
            let taken = length + usize::from(state.is_none());
            self.keep(&bytes[..taken]);
            self.state = State::Passed { depth, text: state };
            return taken;
        }
        for (at, byte) in bytes.iter().enumerate() {
            match byte {
                b'"' => {
                    self.keep(&bytes[..=at]);
                    self.state = State::Passed { depth, text: Some(false) };
                    return at + 1;
                }
                b'{' | b'[' => depth += 1,
                b'}' | b']' => depth -= 1,
                _ => {}
            }
            if depth == 0 {
                self.keep(&bytes[..=at]);
                self.keep_value();
                self.state = State::Comma;
                return at + 1;
            }
        }
        self.keep(bytes);
        self.state = State::Passed { depth, text: None };
        bytes.len()
    }

    fn begin_keeping(&mut self, keep: Option<Keep>, first: u8) {
        if let Some(keep) = keep {
            self.kept.begin(keep.bytes_limit(), first, self.is_own());
        }
    }

    fn keep(&mut self, bytes: &[u8]) {
        self.kept.extend(bytes, self.is_own());
    }

    /// The value that is being kept has ended.
    fn keep_value(&mut self) {
        let object = self.stack.last().map_or(0, |frame| frame.object);
        self.kept.end(self.node, object);
    }

    /// What is read stands in the line itself, and not further in.
    fn is_own(&self) -> bool {
        self.stack.len() == 1
    }
}

/// The part of a string that ends with its quote (which is not counted; `None`) or with the bytes, of which it is
/// then said whether the next one is escaped.
fn string_part(bytes: &[u8], is_escaped: bool) -> (usize, Option<bool>) {
    let mut at = usize::from(is_escaped && !bytes.is_empty());
    while let Some(found) = memchr2(b'"', b'\\', &bytes[at..]) {
        at += found;
        if bytes[at] == b'"' {
            return (at, None);
        }
        if at + 1 == bytes.len() {
            return (bytes.len(), Some(true));
        }
        at += 2;
    }
    (bytes.len(), Some(false))
}

#[cfg(test)]
mod tests;
