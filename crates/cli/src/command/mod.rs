//! What each command does, one file or folder a command.

pub(crate) mod attach;
pub(crate) mod batch;
pub(crate) mod control;
pub(crate) mod demo;
pub(crate) mod doctor;
pub(crate) mod finish;
pub(crate) mod gates;
pub(crate) mod ps;
pub(crate) mod run;
