//! What each command does, one file or folder a command; `finish` is the end of those that ran a batch.

pub(crate) mod run;

pub(crate) mod batch;
pub(crate) mod demo;
mod finish;

pub(crate) mod attach;
pub(crate) mod control;
pub(crate) mod gates;
pub(crate) mod workers;
pub(crate) mod ps;
pub(crate) mod status;
pub(crate) mod token;

pub(crate) mod config;
pub(crate) mod drain;
pub(crate) mod reload;

pub(crate) mod doctor;
