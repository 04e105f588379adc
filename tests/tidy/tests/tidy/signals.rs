//! Signals are sent by pidfd, from one place: a pid may have been reused, a pidfd never means another process.

use std::collections::BTreeSet;

use proc_macro2::{TokenStream, TokenTree};

use crate::sources::{assert_none, files, text};

/// What sends a signal, by the names that rustix, nix and libc have for it.
const SENDERS: [&str; 11] = [
    "kill_process",
    "kill_process_group",
    "kill_current_process_group",
    "killpg",
    "pidfd_send_signal",
    "sigqueue",
    "tgkill",
    "tkill",
    "SYS_kill",
    "SYS_tkill",
    "SYS_tgkill",
];

/// The files that may.
const ALLOWED: [(&str, &str); 1] =
    [("crates/proctree/src/pidfd.rs", "pidfd_send_signal(2) is called here")];

/// Programs of the product; the tests kill what they have started.
const FOLDERS: [&str; 3] = ["crates", "supervisor/src", "worker/src"];

#[test]
fn a_signal_is_sent_from_one_place() {
    let mut found = Vec::new();
    for file in FOLDERS.iter().flat_map(|folder| files(folder, "rs")) {
        let is_test = file.contains("/tests/") || file.ends_with("/tests.rs");
        if is_test || ALLOWED.iter().any(|(allowed, _)| *allowed == file) {
            continue;
        }
        let tokens: TokenStream = text(&file).parse().unwrap();
        for sender in senders(tokens) {
            found.push(format!("{file} uses {sender}"));
        }
    }
    assert_none("send it by cc_proctree::pidfd", &found);
}

/// The names of senders among these tokens, and `kill` and `raise` where they are functions and no methods.
fn senders(tokens: TokenStream) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    let tokens: Vec<TokenTree> = tokens.into_iter().collect();
    for (place, token) in tokens.iter().enumerate() {
        match token {
            TokenTree::Group(group) => found.extend(senders(group.stream())),
            TokenTree::Ident(ident) => {
                let name = ident.to_string();
                if SENDERS.contains(&name.as_str()) || is_function(&tokens, place) {
                    found.insert(name);
                }
            }
            TokenTree::Punct(_) | TokenTree::Literal(_) => {}
        }
    }
    found
}

/// `kill` or `raise` that comes from `signal::`, `process::` or `libc::`.
fn is_function(tokens: &[TokenTree], place: usize) -> bool {
    let text = |back: usize| place.checked_sub(back).map(|place| tokens[place].to_string());
    ["kill", "raise"].contains(&tokens[place].to_string().as_str())
        && text(1).as_deref() == Some(":")
        && ["signal", "process", "libc"].contains(&text(3).as_deref().unwrap_or_default())
}

#[test]
fn a_kill_by_number_is_found_and_one_of_a_handle_is_not() {
    let in_text = |text: &str| senders(text.parse().unwrap()).len();
    assert_eq!(in_text("fn f() { nix::sys::signal::kill(pid, None); }"), 1);
    assert_eq!(in_text("fn f() { rustix::process::kill_process(pid, TERM); }"), 1);
    assert_eq!(in_text("fn f() { child.kill(); worker.kill().await }"), 0);
}
