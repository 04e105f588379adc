//! Task files of `ccx batch`, in every format: the first byte says which.
#![no_main]

use ccx::fuzzing::fuzz_task_file;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    if let Some((format, bytes)) = bytes.split_first() {
        // A digit, so that a corpus can be written by hand.
        fuzz_task_file(format.wrapping_sub(b'0'), bytes);
    }
});
