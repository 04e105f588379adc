//! The real `cc-supervisor`, built here because cargo gives a test package only binaries of its own.
fn main() -> std::process::ExitCode {
    cc_supervisor::main()
}
