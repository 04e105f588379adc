//! What a token allows: the words of token files, of `ccx token new` and of refusals.

/// A right that a token gives.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Scope {
    /// To see the sessions, tasks and batches that were made with this token, and their output.
    Read,
    /// To start tasks and batches, and to cancel, pause and resume those that were made with this token.
    Run,
    /// To see and to end what was made with any token, and to change how the supervisor works. Does not start tasks.
    Operate,
}

impl Scope {
    /// All of them, in the order of the documents.
    pub const ALL: [Self; 3] = [Self::Read, Self::Run, Self::Operate];

    /// The word.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Read => "read",
            Self::Run => "run",
            Self::Operate => "operate",
        }
    }

    /// The scope with this word.
    #[must_use]
    pub fn from_word(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|scope| scope.as_str() == word)
    }
}
