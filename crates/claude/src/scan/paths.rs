//! Which members of a line are wanted, as a tree of names.

/// Where in an object a value is wanted: names from the outside to the inside, with dots. Arrays on the way do not
/// count, so `content.type` is the type of each block.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Wanted {
    pub(crate) path: &'static str,
    pub(crate) keep: Keep,
}

/// What is kept of a wanted value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Keep {
    /// A string, number or truth value of at most so many bytes as written.
    Scalar(usize),
    /// The same; of an array each one in it.
    Each(usize),
    /// Any value, as it is written, of at most so many bytes.
    Any(usize),
}

impl Keep {
    pub(super) fn bytes_limit(self) -> usize {
        match self {
            Self::Scalar(limit) | Self::Each(limit) | Self::Any(limit) => limit,
        }
    }
}

/// All wanted members, as a tree of names.
#[derive(Debug)]
pub(crate) struct Paths {
    nodes: Vec<Node>,
    /// Whether a member of the line itself that is not wanted is known all the same.
    is_known: fn(&str) -> bool,
}

#[derive(Debug)]
struct Node {
    name: &'static str,
    path: &'static str,
    keep: Option<Keep>,
    children: Vec<usize>,
}

/// The object of the line itself.
pub(super) const ROOT: usize = 0;

impl Paths {
    pub(crate) fn new(wanted: &[Wanted], is_known: fn(&str) -> bool) -> Self {
        let root = Node { name: "", path: "", keep: None, children: Vec::new() };
        let mut paths = Self { nodes: vec![root], is_known };
        for Wanted { path, keep } in wanted {
            let mut at = ROOT;
            let mut end = 0;
            for name in path.split('.') {
                end += name.len();
                at = paths.child(at, name).unwrap_or_else(|| paths.add(at, name, &path[..end]));
                end += 1;
            }
            paths.nodes[at].keep = Some(*keep);
        }
        paths
    }

    fn add(&mut self, parent: usize, name: &'static str, path: &'static str) -> usize {
        let added = self.nodes.len();
        self.nodes.push(Node { name, path, keep: None, children: Vec::new() });
        self.nodes[parent].children.push(added);
        added
    }

    pub(super) fn child(&self, parent: usize, name: &str) -> Option<usize> {
        let children = &self.nodes[parent].children;
        children.iter().copied().find(|&child| self.nodes[child].name == name)
    }

    pub(super) fn path(&self, node: usize) -> &'static str {
        self.nodes[node].path
    }

    pub(super) fn keep(&self, node: usize) -> Option<Keep> {
        self.nodes[node].keep
    }

    /// Whether something is wanted that stands further in.
    pub(super) fn has_children(&self, node: usize) -> bool {
        !self.nodes[node].children.is_empty()
    }

    pub(super) fn is_known(&self, name: &str) -> bool {
        (self.is_known)(name)
    }
}
