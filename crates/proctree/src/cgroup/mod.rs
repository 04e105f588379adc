//! cgroup v2: a leaf for each task, which kills and freezes its members without a race
//! (Documentation/admin-guide/cgroup-v2.rst of the kernel).
//!
//! - `parent`: the supervisor makes one [`Parent`].
//! - `leaf`: each task's worker makes a [`Leaf`] in it. A leaf is never used again after a kill.
//! - `limits`: what its members may use.
//! - `directory`: what both do with directories of a hierarchy.
//! - `error`: why cgroups cannot be used.

mod parent;

mod leaf;

mod limits;

mod directory;

mod error;

pub use error::CgroupError;
pub use leaf::Leaf;
pub use limits::Controllers;
pub use parent::{Parent, Setting, check_hierarchy, find_leaf, remove_abandoned, remove_parent_of};
