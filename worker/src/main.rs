//! The worker's program; everything is in the library.

use std::process::ExitCode;

fn main() -> ExitCode {
    cc_worker::main()
}
