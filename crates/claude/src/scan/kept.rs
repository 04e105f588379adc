//! The values of wanted members that one line has brought, within their limits.

use super::paths::Paths;

/// Most values that one line can bring from further in than the line itself, and as many again of its own; those
/// after are passed over.
pub(super) const VALUES_LIMIT: usize = 4_096;
/// Most bytes of values that one line can bring together; a quarter of them from further in than the line itself.
pub(super) const KEPT_BYTES_LIMIT: usize = 4 * 1024 * 1024;
/// Room for values that is kept from one line to the next, bytes.
pub(super) const ROOM_KEPT_BYTES: usize = 4 * 1024;

/// A value that was found.
#[derive(Clone, Copy, Debug)]
pub(super) struct Found {
    node: usize,
    /// In which object, counted from the line's own, 0: what stands in one object belongs together.
    object: u32,
    start: usize,
    end: usize,
    is_whole: bool,
}

/// A value that was found, as it is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Value<'a> {
    pub(crate) path: &'static str,
    pub(crate) object: u32,
    pub(crate) raw: &'a [u8],
    /// Not cut, by its limit or by the end of the line.
    pub(crate) is_whole: bool,
}

/// See the module. What stands in the line itself has room whatever there is of blocks further in.
#[derive(Debug, Default)]
pub(super) struct Kept {
    pub(super) found: Vec<Found>,
    pub(super) bytes: Vec<u8>,
    /// Where the value that is being kept begins, and how much of it may be kept.
    open: Option<(usize, usize)>,
    is_cut: bool,
}

impl Kept {
    /// Forgets the line before, and keeps little of its room.
    pub(super) fn clear(&mut self) {
        self.open = None;
        self.found.clear();
        self.bytes.clear();
        self.bytes.shrink_to(ROOM_KEPT_BYTES);
    }

    /// A value begins of which at most so many bytes are kept; `is_own` says that it stands in the line itself.
    pub(super) fn begin(&mut self, bytes_limit: usize, first: u8, is_own: bool) {
        let values_limit = if is_own { 2 * VALUES_LIMIT } else { VALUES_LIMIT };
        if self.found.len() < values_limit {
            self.is_cut = false;
            self.open = Some((self.bytes.len(), bytes_limit));
            self.extend(&[first], is_own);
        }
    }

    /// The next bytes of the value, if one is being kept.
    pub(super) fn extend(&mut self, bytes: &[u8], is_own: bool) {
        let Some((start, limit)) = self.open else { return };
        let most = if is_own { KEPT_BYTES_LIMIT } else { KEPT_BYTES_LIMIT / 4 };
        let room = (start + limit).min(most).saturating_sub(self.bytes.len());
        self.is_cut |= bytes.len() > room;
        self.bytes.extend_from_slice(&bytes[..bytes.len().min(room)]);
    }

    /// The line ends within the value.
    pub(super) fn cut(&mut self) {
        self.is_cut = true;
    }

    /// The value that is being kept has ended.
    pub(super) fn end(&mut self, node: Option<usize>, object: u32) {
        let Some((start, _)) = self.open.take() else { return };
        let Some(node) = node else { return };
        let end = self.bytes.len();
        self.found.push(Found { node, object, start, end, is_whole: !self.is_cut });
    }

    /// The values in the order of the line.
    pub(super) fn values(
        &self,
        paths: &'static Paths,
    ) -> impl DoubleEndedIterator<Item = Value<'_>> {
        self.found.iter().map(|found| Value {
            path: paths.path(found.node),
            object: found.object,
            raw: &self.bytes[found.start..found.end],
            is_whole: found.is_whole,
        })
    }
}
