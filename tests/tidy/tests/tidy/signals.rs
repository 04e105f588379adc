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
        for sender in senders(tokens, None) {
            found.push(format!("{file} uses {sender}"));
        }
    }
    assert_none("send it by cc_proctree::pidfd", &found);
}

/// Where functions come from that are called `kill` and `raise`. A raw system call needs `unsafe`, which a lint denies
/// everywhere but in `crates/proctree`.
const ORIGINS: [&str; 3] = ["signal", "process", "libc"];

/// What sends a signal among these tokens; `origin` is what stands before the group of a `use`.
fn senders(tokens: TokenStream, origin: Option<&str>) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    let tokens: Vec<TokenTree> = tokens.into_iter().collect();
    let word = |place: Option<usize>| {
        place.and_then(|place| tokens.get(place)).map(ToString::to_string).unwrap_or_default()
    };
    for (place, token) in tokens.iter().enumerate() {
        let before = |back| word(place.checked_sub(back));
        let path = if before(1) == ":" { before(3) } else { String::new() };
        match token {
            TokenTree::Group(group) => {
                let is_program = ["kill", "pkill", "killall"]
                    .iter()
                    .any(|program| group.stream().to_string() == format!("\"{program}\""));
                if is_program && before(1) == "new" {
                    found.insert("the program kill".to_owned());
                }
                let origin = ORIGINS.iter().find(|origin| path == **origin).copied();
                found.extend(senders(group.stream(), origin));
            }
            TokenTree::Ident(ident) => {
                let name = ident.to_string();
                let is_listed = origin.is_some() && before(1) != ":";
                let is_from_there = ORIGINS.contains(&path.as_str()) || is_listed;
                let is_function = ["kill", "raise"].contains(&name.as_str()) && is_from_there;
                // Another name would hide where its functions come from.
                let is_origin = name == "libc" || (path == "sys" && name == "signal");
                let is_renamed = is_origin && word(Some(place + 1)) == "as";
                if SENDERS.contains(&name.as_str()) || is_function || is_renamed {
                    found.insert(name);
                }
            }
            TokenTree::Punct(_) | TokenTree::Literal(_) => {}
        }
    }
    found
}

#[test]
fn a_kill_by_number_is_found_and_one_of_a_handle_is_not() {
    let in_text = |text: &str| senders(text.parse().unwrap(), None).len();
    assert_eq!(in_text("use nix::sys::signal::{Signal, kill};"), 1);
    assert_eq!(in_text("use nix::sys::{signal::kill, wait};"), 1);
    assert_eq!(in_text("use nix::sys::signal as s;"), 1);
    assert_eq!(in_text("fn f() { Command::new(\"kill\").arg(pid); }"), 1);
    assert_eq!(in_text("use cc_proctree::{kill::Killed, tree::Tree}; mod kill;"), 0);
    assert_eq!(in_text("fn f() { nix::sys::signal::kill(pid, None); }"), 1);
    assert_eq!(in_text("fn f() { rustix::process::kill_process(pid, TERM); }"), 1);
    assert_eq!(in_text("fn f() { child.kill(); worker.kill().await }"), 0);
}
