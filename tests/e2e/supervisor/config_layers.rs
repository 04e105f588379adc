//! Where settings come from: the system's file, the user's, the one that is named, the environment, the command line.

use std::{
    fs,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    process::{Command, Output},
};

use cc_tests::{binaries, processes};
use tempfile::TempDir;

/// A machine with a system's file and a user with one.
struct Machine {
    folder: TempDir,
}

impl Machine {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o755)).unwrap();
        fs::create_dir_all(folder.path().join("xdg/cc-executor")).unwrap();
        Self { folder }
    }

    fn system_file(&self) -> PathBuf {
        self.folder.path().join("system.toml")
    }

    fn user_file(&self) -> PathBuf {
        self.folder.path().join("xdg/cc-executor/config.toml")
    }

    fn given_file(&self) -> PathBuf {
        self.folder.path().join("given.toml")
    }

    fn command(&self, program: &Path) -> Command {
        let mut command = Command::new(program);
        command
            .env_clear()
            .env("PATH", "/usr/bin:/bin")
            .env("HOME", self.folder.path())
            .env("XDG_CONFIG_HOME", self.folder.path().join("xdg"))
            .env("CC_EXECUTOR_SYSTEM_CONFIG", self.system_file())
            .env("CC_EXECUTOR_CGROUP", "off");
        command
    }

    fn check(&self, arguments: &[&str], variables: &[(&str, &str)]) -> Output {
        let mut command = self.command(&binaries::supervisor());
        command.args(["--check-config", "--state-dir", "/dev/shm/nowhere/at/all"]).args(arguments);
        command.envs(variables.iter().copied()).output().unwrap()
    }

    /// The line of a successful check about this setting.
    fn line(&self, name: &str, arguments: &[&str], variables: &[(&str, &str)]) -> String {
        let output = self.check(arguments, variables);
        let text = String::from_utf8(output.stdout).unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        let beginning = format!("{name} = ");
        let line = text.lines().find(|line| line.starts_with(&beginning)).unwrap();
        line[beginning.len()..].to_owned()
    }
}

fn errors(output: Output) -> String {
    assert!(!output.status.success(), "{}", String::from_utf8_lossy(&output.stdout));
    String::from_utf8(output.stderr).unwrap()
}

#[test]
fn each_source_wins_over_the_ones_before_it_and_is_named() {
    let machine = Machine::new();
    let given = machine.given_file().display().to_string();
    let with_file = ["--config", &given];
    let line = |arguments: &[&str], variables: &[(&str, &str)]| {
        machine.line("max-sessions", arguments, variables)
    };
    assert_eq!(line(&[], &[]), "100  # default");
    fs::write(machine.system_file(), "# the system's\nmax-sessions = 1\ngrace = 1\n").unwrap();
    assert_eq!(line(&[], &[]), format!("1  # {}, line 2", machine.system_file().display()));
    fs::write(machine.user_file(), "max-sessions = 2\nlinger = 2\n").unwrap();
    assert_eq!(line(&[], &[]), format!("2  # {}, line 1", machine.user_file().display()));
    fs::write(machine.given_file(), "max-sessions = 3\n").unwrap();
    assert_eq!(line(&with_file, &[]), format!("3  # {given}, line 1"));
    let variable = [("MAX_SESSIONS", "4")];
    assert_eq!(line(&with_file, &variable), "4  # environment variable MAX_SESSIONS");
    let all = [&with_file[..], &["--max-sessions", "5"]].concat();
    assert_eq!(line(&all, &variable), "5  # command line");
    // What only one of them says is in force beside the others.
    let of_system = format!("1  # {}, line 3", machine.system_file().display());
    assert_eq!(machine.line("grace", &all, &variable), of_system);
    let of_user = format!("2  # {}, line 2", machine.user_file().display());
    assert_eq!(machine.line("linger", &all, &variable), of_user);
}

#[test]
fn a_service_has_the_file_of_its_configuration_directory_instead_of_a_users() {
    let machine = Machine::new();
    fs::write(machine.user_file(), "grace = 1\n").unwrap();
    let directory = machine.folder.path().join("service");
    fs::create_dir(&directory).unwrap();
    fs::write(directory.join("config.toml"), "linger = 2\n").unwrap();
    let variable = [("CONFIGURATION_DIRECTORY", directory.to_str().unwrap())];
    assert_eq!(machine.line("grace", &[], &variable), "10  # default");
    assert!(machine.line("linger", &[], &variable).starts_with("2  # "));
}

#[test]
fn without_files_there_are_none_but_the_one_that_is_named() {
    let machine = Machine::new();
    fs::write(machine.system_file(), "no such setting").unwrap();
    fs::write(machine.user_file(), "grace = 1\n").unwrap();
    assert!(errors(machine.check(&[], &[])).contains("system.toml, line 1: "));
    assert_eq!(machine.line("grace", &["--no-config"], &[]), "10  # default");
    let variable = [(binaries::NO_CONFIG, "1")];
    assert_eq!(machine.line("grace", &[], &variable), "10  # default");
    let named = machine.user_file().display().to_string();
    assert!(machine.line("grace", &["--no-config", "--config", &named], &[]).starts_with("1  # "));
}

#[test]
fn mistakes_are_listed_in_the_order_of_the_files_and_their_lines() {
    let machine = Machine::new();
    fs::write(machine.system_file(), "\n\ngrce = 1\n").unwrap();
    fs::write(machine.user_file(), "linger = -1\n").unwrap();
    // That a later file has a good value makes the earlier one no better.
    fs::write(machine.given_file(), "linger = 1\ntimeout = \"x\"\n").unwrap();
    let given = machine.given_file().display().to_string();
    let text = errors(machine.check(&["--config", &given], &[]));
    let lines: Vec<&str> = text.lines().collect();
    let expected = [
        "system.toml, line 3: there is no setting \"grce\"; did you mean grace?",
        "config.toml, line 1: linger is \"-1\"",
        "given.toml, line 2: timeout must be a number",
    ];
    assert_eq!(lines.len(), expected.len(), "{text}");
    for (line, expected) in lines.iter().zip(expected) {
        assert!(line.contains(expected), "{expected}\n{line}");
    }
}

#[test]
fn a_file_that_others_can_change_is_refused_with_what_to_do_unless_it_was_named() {
    let machine = Machine::new();
    for file in [machine.system_file(), machine.user_file()] {
        fs::write(&file, "grace = 1\n").unwrap();
        fs::set_permissions(&file, fs::Permissions::from_mode(0o666)).unwrap();
        let text = errors(machine.check(&[], &[]));
        assert!(text.contains(&format!("chmod go-w {}", file.display())), "{text}");
        let named = file.display().to_string();
        assert!(
            machine.line("grace", &["--no-config", "--config", &named], &[]).starts_with("1  # ")
        );
        fs::set_permissions(&file, fs::Permissions::from_mode(0o644)).unwrap();
    }
    let directory = machine.user_file().parent().unwrap().to_owned();
    fs::set_permissions(&directory, fs::Permissions::from_mode(0o777)).unwrap();
    let text = errors(machine.check(&[], &[]));
    assert!(text.contains(&format!("chmod go-w {}", directory.display())), "{text}");
}

#[test]
fn a_file_of_another_user_is_refused() {
    if !nix::unistd::geteuid().is_root() {
        eprintln!("SKIPPED: only root can give a file to another user");
        return;
    }
    let machine = Machine::new();
    fs::write(machine.user_file(), "grace = 1\n").unwrap();
    std::os::unix::fs::chown(machine.user_file(), Some(65_533), None).unwrap();
    let text = errors(machine.check(&[], &[]));
    assert!(text.contains("belongs to uid 65533") && text.contains("--no-config"), "{text}");
}

#[test]
fn a_supervisor_of_ccx_takes_what_concerns_tasks_and_not_what_concerns_a_service() {
    let machine = Machine::new();
    // As a service it would listen elsewhere and want a token from every client.
    let service = "listen = \"127.0.0.1:1\"\ntoken-file = \"/no/such/file\"\nmax-sessions = 1\n\
                   state-dir = \"/no/such/directory\"\non-stop = \"keep-tasks\"\n";
    fs::write(machine.user_file(), format!("{service}umask = \"077\"\n")).unwrap();
    fs::write(machine.system_file(), "allow-command = [\"umask\"]\nshell = \"sh\"\n").unwrap();
    let run = |words: &[&str]| {
        let mut command = machine.command(&binaries::ccx());
        command.args(["run", "--"]).args(words).output().unwrap()
    };
    let refused = run(&["echo", "hi"]);
    assert!(!refused.status.success());
    assert!(String::from_utf8_lossy(&refused.stderr).contains("echo"), "{refused:?}");
    fs::remove_file(machine.system_file()).unwrap();
    let output = run(&["sh", "-c", "umask"]);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    assert_eq!(String::from_utf8_lossy(&output.stdout), "0077\n");
    let tag = machine.folder.path().display().to_string();
    assert!(processes::with_environment(&tag).is_empty(), "a supervisor is left");
}

#[test]
fn ccx_config_shows_checks_and_begins_a_configuration() {
    let machine = Machine::new();
    fs::write(machine.user_file(), "# mine\nmax-sessions = 7\n").unwrap();
    let config = |words: &[&str], variables: &[(&str, &str)]| {
        let mut command = machine.command(&binaries::ccx());
        command.arg("config").args(words).envs(variables.iter().copied());
        let output = command.output().unwrap();
        let text = |bytes| String::from_utf8(bytes).unwrap();
        (output.status.code(), text(output.stdout), text(output.stderr))
    };
    let secret = "never-to-be-printed";
    let variables = [("MAX_BUFFER_SIZE", "4096"), ("CC_EXECUTOR_TOKEN", secret)];
    let (code, shown, errors) = config(&["show", "--origin"], &variables);
    assert_eq!((code, errors.as_str()), (Some(0), ""));
    for line in [
        &format!("max-sessions = 7  # {}:2", machine.user_file().display()),
        "max-line-bytes = 4096  # environment variable MAX_BUFFER_SIZE",
        "grace = 10  # default",
    ] {
        assert!(shown.lines().any(|found| found == line), "{line}\n{shown}");
    }
    assert!(!shown.contains(secret), "{shown}");
    let (_, shown, _) = config(&["show"], &[]);
    assert!(shown.lines().any(|line| line == "max-sessions = 7"), "{shown}");
    let (code, checked, _) = config(&["check"], &[]);
    assert_eq!(code, Some(0));
    assert_eq!(checked, format!("{}: no mistakes\n", machine.user_file().display()));
    fs::write(machine.given_file(), "max-sesions = 7\n").unwrap();
    let given = machine.given_file().display().to_string();
    let (code, _, errors) = config(&["check", &given], &[]);
    assert_eq!(code, Some(1));
    assert!(
        errors.contains("line 1: there is no setting \"max-sesions\"; did you mean"),
        "{errors}"
    );
    // What it prints to begin with can be used as it is, and changes nothing.
    let (_, default, _) = config(&["default"], &[]);
    fs::write(machine.user_file(), default).unwrap();
    let (code, shown, errors) = config(&["show", "--origin"], &[]);
    assert_eq!((code, errors.as_str()), (Some(0), ""));
    let is_default = |line: &&str| !line.contains(" = ") || line.ends_with("# default");
    let others: Vec<&str> = shown.lines().filter(|line| !is_default(line)).collect();
    assert_eq!(others, ["cgroup = \"off\"  # environment variable CC_EXECUTOR_CGROUP"]);
}
