//! The real `ccx`, built here because cargo gives a test package only binaries of its own.
fn main() -> std::process::ExitCode {
    ccx::main()
}
