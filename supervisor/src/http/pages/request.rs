//! A request for a page.

use hyper::Method;

/// What is asked for.
#[derive(Clone, Debug)]
pub(in crate::http) struct PageRequest {
    pub(in crate::http) method: Method,
    pub(in crate::http) path: String,
    /// What follows `?`.
    pub(in crate::http) query: Option<String>,
    /// The `Accept` headers, with commas between.
    pub(in crate::http) accept: String,
    /// Whoever asks might have a session too, and may see what clients see.
    pub(in crate::http) is_client: bool,
}
