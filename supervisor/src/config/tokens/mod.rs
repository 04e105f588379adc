//! The tokens that clients present: what each allows, and the list of them, which a reload replaces as a whole.
//!
//! Of a secret only its SHA-256 is kept. A token is random and long, so that nobody finds it by trying: a slow hash, as
//! passwords need one, would protect nothing and cost every connection.
//!
//! In reading order:
//! - `cell` is the list in force, and its reload.
//! - `access` is what one client may do now.
//! - `file` reads a token file, `list` finds a token in constant time.
//! - `grant` is one token: name, scopes, limits. `secret` is what it is recognized by.

mod access;
mod cell;
mod file;
mod grant;
mod list;
mod secret;

pub(crate) use self::{
    access::{Access, Presented},
    cell::{TokenSetting, Tokens},
    grant::{Budget, Grant},
};
