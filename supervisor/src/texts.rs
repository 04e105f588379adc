//! Messages on their way to a socket, one behind the other in one piece of memory: a flood of short lines costs no
//! allocation for each.
//!
//! Made by [`crate::translate`], sent by [`crate::writer`]. Knows nothing of what they say.

use bytes::Bytes;

/// Messages in their order.
#[derive(Debug, Default)]
pub struct Texts {
    text: String,
    /// Where each message ends.
    ends: Vec<usize>,
}

impl Texts {
    /// Makes room for about so much more.
    pub fn reserve(&mut self, bytes: usize) {
        self.text.reserve(bytes);
    }

    /// Adds a message.
    pub fn push(&mut self, text: &str) {
        self.open().push_str(text);
        self.close();
    }

    /// The message that is being written, behind those that are complete: only to be added to.
    pub fn open(&mut self) -> &mut String {
        &mut self.text
    }

    /// Completes the message that is being written.
    pub fn close(&mut self) {
        self.ends.push(self.text.len());
    }

    /// Of all messages, one that is not complete included.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.text.len()
    }

    /// The complete messages.
    pub fn iter(&self) -> impl Iterator<Item = &str> {
        let mut start = 0;
        self.ends.iter().map(move |end| {
            let text = &self.text[start..*end];
            start = *end;
            text
        })
    }
}

/// The messages of a [`Texts`], to be taken one by one.
#[derive(Debug, Default)]
pub struct TextQueue {
    rest: Bytes,
    /// Of what has been taken.
    taken_bytes: usize,
    ends: std::vec::IntoIter<usize>,
}

impl From<Texts> for TextQueue {
    fn from(texts: Texts) -> Self {
        Self { rest: texts.text.into(), taken_bytes: 0, ends: texts.ends.into_iter() }
    }
}

impl Iterator for TextQueue {
    type Item = Bytes;

    /// The next message, valid UTF-8. Shares the memory of all.
    fn next(&mut self) -> Option<Bytes> {
        let end = self.ends.next()?;
        let text = self.rest.split_to(end - self.taken_bytes);
        self.taken_bytes = end;
        Some(text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_come_out_as_they_went_in() {
        let mut texts = Texts::default();
        texts.push("one");
        texts.push("");
        texts.open().push_str("thr");
        texts.open().push_str("ee");
        assert_eq!((texts.iter().count(), texts.bytes()), (2, 8));
        texts.close();
        assert_eq!(texts.iter().collect::<Vec<_>>(), ["one", "", "three"]);
        assert_eq!(TextQueue::from(texts).collect::<Vec<_>>(), ["one", "", "three"]);
    }
}
