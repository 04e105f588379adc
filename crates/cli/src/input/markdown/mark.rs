//! The mark at the beginning of an item: `[ ]`, `[x]`, and what other programs put there.

/// What an item begins with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::input) enum Mark {
    None,
    /// `[ ]`.
    Open,
    /// `[x]`, `[X]`.
    Done,
    /// `[-]`, `[~]`, `[/]`, `[>]`: a mark whose meaning is unknown.
    Other(String),
    /// `[1]`, `[wip]`: a mark in a file with check boxes, else words of the item.
    Word(String),
    /// `~~…~~`.
    Struck,
    /// In a quote or a comment.
    Hidden,
}

/// Signs that people put before an item instead of a box.
const DONE_SIGNS: [char; 5] = ['✅', '☑', '✔', '✓', '🗹'];
const OPEN_SIGNS: [char; 11] = ['☐', '⬜', '🔲', '□', '▢', '◻', '◽', '❏', '❐', '❑', '❒'];
const OTHER_SIGNS: [char; 9] = ['❌', '✗', '✘', '☒', '🚫', '⛔', '🚧', '⏳', '🔄'];
/// Those of other states that have the shape of a box.
const MARKED_SHAPES: [char; 3] = ['☑', '🗹', '☒'];
/// Longest word that is taken for a mark, bytes.
const WORD_BYTES_LIMIT: usize = 12;

impl Mark {
    /// The mark, and what follows it.
    pub(super) fn read(content: &str) -> (Self, &str) {
        let content = content.trim_start();
        if is_struck(content) {
            return (Self::Struck, content);
        }
        if let Some(found) = Self::sign(content) {
            return found;
        }
        let Some((inner, rest)) = content.strip_prefix('[').and_then(|rest| rest.split_once(']'))
        else {
            return (Self::None, content);
        };
        // A link, an image's text or a definition.
        let is_link = rest.starts_with(['(', '[', ':']);
        if is_link || inner.contains(['\n', '[', '`']) {
            return (Self::None, content);
        }
        let stands_alone = rest.is_empty() || rest.starts_with(char::is_whitespace);
        let mark = match inner.trim() {
            "" => Self::Open,
            "x" | "X" => Self::Done,
            _ if !stands_alone => return (Self::None, content),
            word if word.chars().count() == 1 && !word.chars().all(char::is_alphanumeric) => {
                Self::Other(word.to_owned())
            }
            word if word.len() <= WORD_BYTES_LIMIT && !word.contains(char::is_whitespace) => {
                Self::Word(word.to_owned())
            }
            _ => return (Self::None, content),
        };
        let rest = rest.trim_start();
        match &mark {
            Self::Open if is_struck(rest) => (Self::Struck, rest),
            Self::Word(_) => (mark, content),
            Self::None | Self::Open | Self::Done | Self::Other(_) | Self::Struck | Self::Hidden => {
                (mark, rest)
            }
        }
    }

    fn sign(content: &str) -> Option<(Self, &str)> {
        let sign = content.chars().next()?;
        let mark = match sign {
            sign if DONE_SIGNS.contains(&sign) => Self::Done,
            sign if OPEN_SIGNS.contains(&sign) => Self::Open,
            sign if OTHER_SIGNS.contains(&sign) => Self::Other(sign.to_string()),
            _ => return None,
        };
        // A variation selector may follow.
        Some((mark, content[sign.len_utf8()..].trim_start_matches('\u{fe0f}').trim_start()))
    }

    /// The mark of a line without a list marker, if it begins with something in the shape of a box: a tick
    /// may stand before any words.
    pub(in crate::input) fn bare(line: &str) -> Option<Self> {
        let is_shape = |sign: char| OPEN_SIGNS.contains(&sign) || MARKED_SHAPES.contains(&sign);
        let mark =
            line.starts_with(|sign| sign == '[' || is_shape(sign)).then(|| Self::read(line).0)?;
        mark.is_box().then_some(mark)
    }

    /// Whether this mark is a check box.
    pub(in crate::input) fn is_box(&self) -> bool {
        match self {
            Self::Open | Self::Done | Self::Other(_) => true,
            Self::None | Self::Word(_) | Self::Struck | Self::Hidden => false,
        }
    }
}

/// Whether the line begins with something struck out.
fn is_struck(content: &str) -> bool {
    let line = content.lines().next().unwrap_or_default();
    let by_tildes = |rest: &str| rest.find("~~").is_some_and(|end| end > 0);
    let by_tag =
        |tag: &str| line.get(..tag.len()).is_some_and(|start| start.eq_ignore_ascii_case(tag));
    line.strip_prefix("~~").is_some_and(by_tildes)
        || ["<s>", "<del>", "<strike>"].into_iter().any(by_tag)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mark_is_what_people_and_programs_put_before_an_item() {
        let other = |word: &str| Mark::Other(word.to_owned());
        let word = |word: &str| Mark::Word(word.to_owned());
        for (content, mark, rest) in [
            ("[ ] a", Mark::Open, "a"),
            ("[] a", Mark::Open, "a"),
            ("[ ]a", Mark::Open, "a"),
            ("[ ]", Mark::Open, ""),
            ("[x] a", Mark::Done, "a"),
            ("[ X ] a", Mark::Done, "a"),
            ("[-] a", other("-"), "a"),
            ("[✓] a", other("✓"), "a"),
            ("[1] a", word("1"), "[1] a"),
            ("[wip] a", word("wip"), "[wip] a"),
            ("[x](y) a", Mark::None, "[x](y) a"),
            ("[a link](b)", Mark::None, "[a link](b)"),
            ("[a][b]", Mark::None, "[a][b]"),
            ("[-]a", Mark::None, "[-]a"),
            ("a [x] b", Mark::None, "a [x] b"),
            ("~~a~~", Mark::Struck, "~~a~~"),
            ("[ ] ~~a~~ (too late)", Mark::Struck, "~~a~~ (too late)"),
            ("<del>a</del>", Mark::Struck, "<del>a</del>"),
            ("~~~", Mark::None, "~~~"),
            ("✅ a", Mark::Done, "a"),
            ("✔️ a", Mark::Done, "a"),
            ("☐ a", Mark::Open, "a"),
            ("▢ a", Mark::Open, "a"),
            ("[ ]\u{a0}a", Mark::Open, "a"),
            ("[\u{3000}] a", Mark::Open, "a"),
            ("🚧 a", other("🚧"), "a"),
            ("about ~~a~~ b", Mark::None, "about ~~a~~ b"),
        ] {
            assert_eq!(Mark::read(content), (mark, rest), "{content:?}");
        }
    }
}
