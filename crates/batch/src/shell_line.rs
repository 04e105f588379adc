//! Whether a result can stand in a shell line as one quoted word.
//!
//! Quoting protects only where the shell is not already inside quotes: in `echo "{{prev.result}}"`
//! the quotes around the result would be ordinary characters, and a `$(…)` in the result would run. So
//! a place inside quotes or after a backslash is refused; and so is a line with one of the few
//! constructs that this scanner would have to be a shell for. It may refuse a line that
//! would be safe; it never takes one that is not, as far as the line itself goes. What a program that
//! the line starts makes of its argument (`sh -c`, `eval`, `ssh`) cannot be seen from here.

/// Constructs after which quotes mean something else, and how people call them.
const REFUSED: [(&str, &str); 5] = [
    ("<<", "a here-document"),
    ("`", "backquotes"),
    ("$'", "$'…'"),
    ("((", "arithmetic"),
    ("[[", "[[ … ]]"),
];

/// Why a reference cannot stand where it stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Trouble {
    /// Inside `'…'` or `"…"`.
    #[error(
        "has a reference inside quotes: leave the quotes out, the result is quoted for the shell"
    )]
    Quotes,
    /// After `$`.
    #[error("has a reference after a $, where its quotes would mean something else")]
    Dollar,
    /// After a backslash.
    #[error("has a reference after a backslash")]
    Backslash,
    /// The line uses something that needs a shell to be understood.
    #[error(
        "has a reference in a line with {0}, where a result cannot be quoted safely; pass it by env, \
         as in {{\"env\": {{\"R\": \"{{{{prev.result}}}}\"}}}}, and use \"$R\""
    )]
    Construct(&'static str),
}

/// A line as far as it was read.
#[derive(Debug, Default)]
pub(crate) struct ShellLine {
    state: State,
    before: Before,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum State {
    #[default]
    Plain,
    Backslash,
    Single,
    Double,
    DoubleBackslash,
}

/// What the character before was.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Before {
    /// Here a `#` begins a comment, or after `)` may begin one.
    #[default]
    Boundary,
    Dollar,
    Word,
}

impl ShellLine {
    /// Reads the next piece of the line's own text.
    pub(crate) fn text(&mut self, text: &str) -> Result<(), Trouble> {
        if let Some((_, name)) = REFUSED.iter().find(|(construct, _)| text.contains(construct)) {
            return Err(Trouble::Construct(name));
        }
        text.chars().try_for_each(|letter| self.letter(letter))
    }

    fn letter(&mut self, letter: char) -> Result<(), Trouble> {
        let was = self.state;
        self.state = match (was, letter) {
            // What follows a comment's quotes is anybody's guess.
            (State::Plain, '#') if self.before == Before::Boundary => {
                return Err(Trouble::Construct("a comment"));
            }
            // Quotes inside would be quotes of their own.
            (State::Double, '(' | '{') if self.before == Before::Dollar => {
                return Err(Trouble::Construct("$(…) or ${…} inside double quotes"));
            }
            (State::Plain, '\'') => State::Single,
            (State::Single, '\'') => State::Plain,
            (State::Single, _) => State::Single,
            (State::Plain, '"') => State::Double,
            (State::Plain, '\\') => State::Backslash,
            (State::Plain | State::Backslash, _) => State::Plain,
            (State::Double, '"') => State::Plain,
            (State::Double, '\\') => State::DoubleBackslash,
            (State::Double | State::DoubleBackslash, _) => State::Double,
        };
        self.before = match (was, letter) {
            // A line that goes on: as if neither character were there.
            (State::Plain, '\\') | (State::Backslash, '\n') => self.before,
            (State::Plain | State::Double, '$') => Before::Dollar,
            (State::Plain, letter) if letter.is_whitespace() || ";|&()<>".contains(letter) => {
                Before::Boundary
            }
            _ => Before::Word,
        };
        Ok(())
    }

    /// A result stands here.
    pub(crate) fn word(&mut self) -> Result<(), Trouble> {
        let before = std::mem::replace(&mut self.before, Before::Word);
        match (self.state, before) {
            (State::Plain, Before::Dollar) => Err(Trouble::Dollar),
            (State::Plain, Before::Boundary | Before::Word) => Ok(()),
            (State::Backslash, _) => Err(Trouble::Backslash),
            (State::Single | State::Double | State::DoubleBackslash, _) => Err(Trouble::Quotes),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Reads a line in which `@` stands for a reference.
    fn read(line: &str) -> Result<(), Trouble> {
        let mut shell_line = ShellLine::default();
        for (index, text) in line.split('@').enumerate() {
            if index > 0 {
                shell_line.word()?;
            }
            shell_line.text(text)?;
        }
        Ok(())
    }

    #[test]
    fn a_reference_may_stand_where_a_word_may() {
        for line in [
            "echo @",
            "printf '%s' @ | wc",
            "x=@",
            "echo a@b \"c\" @",
            "echo \"a\\\"b\" @",
            "echo 'it\\' @",
            "echo $(cat @)",
            "echo a#b @",
            "echo \\' @",
            "echo \\\\@",
        ] {
            assert_eq!(read(line), Ok(()), "{line}");
        }
    }

    #[test]
    fn a_reference_where_quoting_would_not_hold_is_refused() {
        for (line, trouble) in [
            ("echo '@'", Trouble::Quotes),
            ("echo \"@\"", Trouble::Quotes),
            ("echo \"$(cat @)\"", Trouble::Construct("$(…) or ${…} inside double quotes")),
            ("echo \"a\\\"@\"", Trouble::Quotes),
            ("true # it's\necho 'x @'", Trouble::Construct("a comment")),
            ("echo $(x)#'\n@'", Trouble::Construct("a comment")),
            ("echo \\\n#'\n'@'", Trouble::Construct("a comment")),
            ("echo \\ #'\n@'", Trouble::Quotes),
            ("echo \"$(echo \"@\")\"", Trouble::Construct("$(…) or ${…} inside double quotes")),
            ("echo \"${x:-\"@\"}\"", Trouble::Construct("$(…) or ${…} inside double quotes")),
            ("echo $@", Trouble::Dollar),
            ("echo \\@", Trouble::Backslash),
            ("cat <<END\n@\nEND", Trouble::Construct("a here-document")),
            ("echo @ `date`", Trouble::Construct("backquotes")),
            ("echo $'it\\'s @'", Trouble::Construct("$'…'")),
            ("echo $((@ + 1))", Trouble::Construct("arithmetic")),
            ("[[ @ -eq 1 ]]", Trouble::Construct("[[ … ]]")),
        ] {
            assert_eq!(read(line), Err(trouble), "{line}");
        }
    }
}
