//! Who may come in: the listener, admission, the HTTP upgrade, health and metrics pages.

pub(crate) mod admission;
pub(crate) mod listener;
pub(crate) mod peer;
pub(crate) mod requests;
