//! What the Rust client reads of a server's message.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| cc_client::event::fuzz_event(text.to_owned()));
