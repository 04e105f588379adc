//! See the library.

fn main() -> std::process::ExitCode {
    cc_supervisor::main()
}
