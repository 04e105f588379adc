//! `ccx`: see the library.

use std::process::ExitCode;

fn main() -> ExitCode {
    ccx::main()
}
