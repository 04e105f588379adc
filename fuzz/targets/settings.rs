//! The configuration file of the supervisor.
#![no_main]

use cc_supervisor::fuzzing::fuzz_settings;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| fuzz_settings(text));
