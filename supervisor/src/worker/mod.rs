//! The processes that run tasks: how a worker is started, adopted and ended.

pub(crate) mod adopt;
pub(crate) mod cgroup;
pub(crate) mod keeper;
pub(crate) mod keepers;
pub(crate) mod link;
pub(crate) mod process;
pub(crate) mod spawner;
mod unix_socket;
