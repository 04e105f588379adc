//! How a process of the worker program exits: the codes that a worker or a keeper gives, and that a supervisor reads.

/// The end of a worker or a keeper that ended by itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exit {
    /// The task has ended and its end is recorded, or no task came. A keeper had nothing left to keep.
    Done,
    /// It could not do its work and says why on standard error: a spec of another version, an argument that it does
    /// not know, a system call that failed. What it had started is for others to end.
    Failed,
    /// It has a bug: the code that Rust gives to a process whose main thread has panicked.
    Panicked,
}

impl Exit {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Done, Self::Failed, Self::Panicked];

    /// What the worker passes to `exit`.
    #[must_use]
    pub const fn code(self) -> u8 {
        match self {
            Self::Done => 0,
            Self::Failed => 2,
            Self::Panicked => 101,
        }
    }

    /// What an exit code means; `None` for one that this build does not give.
    #[must_use]
    pub fn of_code(code: i32) -> Option<Self> {
        Self::ALL.into_iter().find(|exit| i32::from(exit.code()) == code)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_code_means_the_end_that_gave_it_and_no_other() {
        for exit in Exit::ALL {
            assert_eq!(Exit::of_code(i32::from(exit.code())), Some(exit));
        }
        for unknown in [-1, 1, 3, 127, 256] {
            assert_eq!(Exit::of_code(unknown), None);
        }
    }
}
