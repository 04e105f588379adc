//! The product's programs under their real names in one directory, as an installation has them.

use std::{
    ffi::OsStr,
    fs, io,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    sync::OnceLock,
};

/// Programs of the product: name when installed, name in this package.
const PROGRAMS: [(&str, &str); 3] =
    [("cc-supervisor", "test-cc-supervisor"), ("cc-worker", "test-cc-worker"), ("ccx", "test-ccx")];

/// The variable that keeps the programs from reading this machine's configuration files.
pub const NO_CONFIG: &str = "CC_EXECUTOR_NO_CONFIG";

/// Where cargo puts the binaries of the profile that runs.
#[must_use]
pub fn target_directory() -> PathBuf {
    let own = std::env::current_exe().unwrap();
    let parent = own.parent().unwrap();
    if parent.file_name() == Some(OsStr::new("deps")) { parent.parent().unwrap() } else { parent }
        .to_owned()
}

/// The directory that holds `cc-supervisor`, `cc-worker` and `ccx`.
///
/// Hard links and not symbolic ones: a program that looks beside itself must find its siblings.
pub fn directory() -> &'static Path {
    static DIRECTORY: OnceLock<PathBuf> = OnceLock::new();
    DIRECTORY.get_or_init(|| {
        let target = target_directory();
        let directory = target.join("installed-for-tests");
        fs::create_dir_all(&directory).unwrap();
        for (name, built_as) in PROGRAMS {
            // Other test processes do the same at the same time: only whole steps.
            let fresh = directory.join(format!(".{name}.{}", std::process::id()));
            fs::hard_link(target.join(built_as), &fresh).unwrap();
            fs::rename(&fresh, directory.join(name)).unwrap();
            // A rename between two names of one file does nothing and leaves both.
            match fs::remove_file(&fresh) {
                Ok(()) => {}
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                Err(error) => panic!("cannot remove {}: {error}", fresh.display()),
            }
        }
        directory
    })
}

#[must_use]
pub fn supervisor() -> PathBuf {
    directory().join("cc-supervisor")
}

/// Puts a `cc-worker` in this place in one step, so that it is another program than before.
pub fn install_worker(program: &Path) {
    let fresh = program.with_extension("fresh");
    copy_program(&directory().join("cc-worker"), &fresh);
    fs::rename(&fresh, program).unwrap();
}

pub fn install_script(path: &Path, text: &str) {
    let source = path.with_extension("source");
    fs::write(&source, text).unwrap();
    copy_program(&source, path);
    fs::remove_file(&source).unwrap();
}

/// Copies a program, which is then executable.
///
/// Another process writes the file. A child that another test of this process starts at that moment would inherit the
/// open file until its `execve`, and a program that is open for writing cannot be executed (`ETXTBSY`).
pub fn copy_program(from: &Path, to: &Path) {
    let status = Command::new("install").args(["-m", "755"]).arg(from).arg(to).status().unwrap();
    assert!(status.success(), "cannot copy {} to {}", from.display(), to.display());
}

#[must_use]
pub fn ccx() -> PathBuf {
    directory().join("ccx")
}

/// `ccx` for the supervisor at this URL, with an environment that holds nothing that changes a test.
#[must_use]
pub fn ccx_command(url: &str) -> Command {
    let mut command = ccx_with_own_environment();
    command.arg("--url").arg(url);
    command
}

/// `ccx` with a private supervisor, without a cgroup, and with such an environment.
#[must_use]
pub fn private_ccx_command() -> Command {
    let mut command = ccx_with_own_environment();
    command.env("CC_EXECUTOR_CGROUP", "off");
    command
}

fn ccx_with_own_environment() -> Command {
    let mut command = Command::new(ccx());
    command.stdin(Stdio::null());
    command.env(NO_CONFIG, "1");
    for name in ["CC_EXECUTOR_URL", "CC_EXECUTOR_TOKEN", "ANTHROPIC_API_KEY"] {
        command.env_remove(name);
    }
    command
}

/// The fixture program; see `src/bin/misbehave/`.
#[must_use]
pub fn misbehave() -> String {
    target_directory().join("misbehave").into_os_string().into_string().unwrap()
}

/// An argument list that runs the fixture program.
#[must_use]
pub fn misbehave_argv(arguments: &[&str]) -> Vec<String> {
    let mut argv = vec![misbehave()];
    argv.extend(arguments.iter().map(|argument| (*argument).to_owned()));
    argv
}
