//! cgroup v2: a leaf for each task, which kills and freezes its members without a race
//! (Documentation/admin-guide/cgroup-v2.rst of the kernel).
//!
//! A supervisor makes one [`Parent`]; each task's worker makes a [`Leaf`] in it. A leaf is never used again after a kill.

mod parent;

mod leaf;

mod directory;

mod error;

pub use error::CgroupError;
pub use leaf::Leaf;
pub use parent::{Parent, Setting, find_leaf, remove_abandoned, remove_parent_of};
