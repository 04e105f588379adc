//! What the tasks of a batch note of themselves, in the order in which it happens: each start, with
//! whatever of the batch still lives then, and each end. So the tasks are the witnesses of their order.
//!
//! Called by the fixture's `trace` and `agent`, which write, and by the suites, which read.

use std::{
    collections::BTreeMap,
    fs::{self, OpenOptions},
    io::{ErrorKind, Write},
    path::{Path, PathBuf},
};

use crate::{processes, wait_until};

/// The variable by which everything that a batch's tasks start is known; its value is a
/// [`crate::unique_tag`].
pub const TAG_VARIABLE: &str = "CC_TESTS_BATCH";

/// A file to which every start and end adds a line.
#[derive(Clone, Debug)]
pub struct Ledger {
    path: PathBuf,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Entry {
    Start {
        name: String,
        /// What of the same batch lived at this moment, but for itself; empty where nothing did.
        beside: String,
    },
    /// It is about to end by itself.
    End { name: String },
}

impl Ledger {
    /// The ledger at this path, which need not exist yet.
    #[must_use]
    pub fn at(path: &Path) -> Self {
        Self { path: path.to_owned() }
    }

    /// For the task's command line.
    #[must_use]
    pub fn path(&self) -> &str {
        self.path.to_str().unwrap()
    }

    /// Notes the caller's own start. Returns which start of that name it is, from 1.
    pub fn note_start(&self, name: &str) -> usize {
        let beside = match std::env::var(TAG_VARIABLE) {
            Ok(tag) => {
                let alive = processes::with_environment(&format!("{TAG_VARIABLE}={tag}"));
                processes::describe(&alive)
            }
            Err(_) => String::new(),
        };
        self.append(&format!("start\t{name}\t{}\n", beside.replace(['\t', '\n'], " ")));
        self.starts_of(name)
    }

    /// Notes the caller's own end.
    pub fn note_end(&self, name: &str) {
        self.append(&format!("end\t{name}\n"));
    }

    /// One `write`, so that lines of tasks that run side by side do not mix.
    fn append(&self, line: &str) {
        let mut file = OpenOptions::new().append(true).create(true).open(&self.path).unwrap();
        file.write_all(line.as_bytes()).unwrap();
    }

    /// Everything so far, in its order.
    #[must_use]
    pub fn entries(&self) -> Vec<Entry> {
        let text = match fs::read_to_string(&self.path) {
            Ok(text) => text,
            Err(error) if error.kind() == ErrorKind::NotFound => String::new(),
            Err(error) => panic!("cannot read {}: {error}", self.path.display()),
        };
        let entry = |line: &str| {
            let mut parts = line.splitn(3, '\t');
            let (kind, name) = (parts.next().unwrap(), parts.next().unwrap().to_owned());
            match kind {
                "start" => Entry::Start { name, beside: parts.next().unwrap().to_owned() },
                "end" => Entry::End { name },
                other => panic!("{other:?} is no entry"),
            }
        };
        text.lines().map(entry).collect()
    }

    /// The names of all starts, in their order.
    #[must_use]
    pub fn starts(&self) -> Vec<String> {
        let started = |entry| match entry {
            Entry::Start { name, .. } => Some(name),
            Entry::End { .. } => None,
        };
        self.entries().into_iter().filter_map(started).collect()
    }

    /// How often this one was started.
    #[must_use]
    pub fn starts_of(&self, name: &str) -> usize {
        self.starts().iter().filter(|started| *started == name).count()
    }

    /// Waits until there have been so many starts, of whomever.
    pub fn wait_for_starts(&self, count: usize) {
        wait_until(&format!("{count} starts"), || self.starts().len() >= count);
    }

    /// Checks that these were started, in this order, once each, and that each found nothing alive of
    /// those before it.
    pub fn assert_sequence<S: AsRef<str>>(&self, names: impl IntoIterator<Item = S>) {
        let expected: Vec<String> =
            names.into_iter().map(|name| name.as_ref().to_owned()).collect();
        assert_eq!(self.starts(), expected, "each once, and in this order");
        self.assert_alone();
    }

    /// Checks that every start found nothing alive of the batch.
    pub fn assert_alone(&self) {
        for entry in self.entries() {
            if let Entry::Start { name, beside } = entry {
                assert_eq!(beside, "", "{name} began beside others");
            }
        }
    }

    /// The most tasks that were between their start and their end at once. Tasks that were ended by
    /// somebody count to the end of the ledger.
    #[must_use]
    pub fn most_at_once(&self) -> usize {
        let mut running: BTreeMap<String, usize> = BTreeMap::new();
        let mut most = 0;
        for entry in self.entries() {
            match entry {
                Entry::Start { name, .. } => *running.entry(name).or_default() += 1,
                Entry::End { name } => {
                    let count = running.get_mut(&name).unwrap();
                    *count -= 1;
                }
            }
            most = most.max(running.values().sum());
        }
        most
    }

    /// Where in the ledger this one began.
    #[must_use]
    pub fn start_of(&self, name: &str) -> usize {
        self.place(name, true)
    }

    /// Where in the ledger this one ended.
    #[must_use]
    pub fn end_of(&self, name: &str) -> usize {
        self.place(name, false)
    }

    fn place(&self, name: &str, is_start: bool) -> usize {
        let is_it = |entry: &Entry| match entry {
            Entry::Start { name: other, .. } => is_start && other == name,
            Entry::End { name: other } => !is_start && other == name,
        };
        let place = self.entries().iter().position(is_it);
        place.unwrap_or_else(|| panic!("{name} is not in the ledger: {:?}", self.entries()))
    }
}
