use std::{collections::HashMap, ffi::OsString, fs};

use super::{command_line::Arguments, origin::Given, *};
use crate::config::check::{self, check};

/// Arguments that need nothing of the machine, and these.
fn args(more: &[&str]) -> Arguments {
    Arguments::from_words(
        [&["--worker", "/bin/sh", "--state-dir", "/dev/shm/state"], more].concat(),
    )
}

fn resolve(args: Arguments, variables: &[(&str, &str)]) -> Result<Config, ConfigError> {
    let variables: HashMap<&str, &str> = variables.iter().copied().collect();
    Config::load(args, &|name| variables.get(name).map(OsString::from))
        .map_err(|mistakes| mistakes.into_iter().next().unwrap())
}

#[test]
fn without_anything_the_documented_defaults_hold() {
    let config = resolve(args(&[]), &[]).unwrap();
    assert_eq!(config.listen[0].to_string(), "127.0.0.1:8003");
    assert_eq!(config.sessions_limit, 100);
    assert_eq!(config.shell, "sh");
    assert_eq!(config.agent, ["claude"]);
    assert_eq!(config.task.line_bytes_limit, 8 * 1024 * 1024);
    assert_eq!(config.task.output_bytes_limit, 10 * 1024 * 1024);
    assert_eq!(config.task.idle_timeout, Some(Duration::from_secs(300)));
    assert_eq!(config.task.umask, 0o022);
    assert!(config.task.no_new_privs);
    assert!(config.allowed_commands.is_empty());
}

#[test]
fn the_predecessors_variables_work() {
    let config = resolve(
        args(&[]),
        &[
            ("DEFAULT_PORT", "9000"),
            ("MAX_SESSIONS", "3"),
            ("MAX_BUFFER_SIZE", "4096"),
            ("STREAM_TIMEOUT", "0"),
            ("ALLOWED_COMMANDS", "ls, claude,"),
            ("LOG_LEVEL", "WARNING"),
            ("CC_EXECUTOR_SHELL", "default"),
        ],
    )
    .unwrap();
    assert_eq!(config.listen[0].to_string(), "127.0.0.1:9000");
    assert_eq!(config.sessions_limit, 3);
    assert_eq!(config.task.line_bytes_limit, 4096);
    assert_eq!(config.task.idle_timeout, None);
    assert_eq!(config.allowed_commands, ["ls", "claude"]);
    assert_eq!(config.log_filter, "warn");
    assert_eq!(config.shell, "sh");
}

#[test]
fn an_argument_wins_over_its_variable_and_an_empty_variable_is_none() {
    let both = args(&["--max-sessions", "7"]);
    assert_eq!(resolve(both, &[("MAX_SESSIONS", "3")]).unwrap().sessions_limit, 7);
    assert_eq!(resolve(args(&[]), &[("MAX_SESSIONS", "")]).unwrap().sessions_limit, 100);
}

#[test]
fn an_error_names_where_the_value_came_from() {
    for (name, value) in [
        ("DEFAULT_PORT", "70000"),
        ("MAX_SESSIONS", "0"),
        ("MAX_BUFFER_SIZE", "8MB"),
        ("STREAM_TIMEOUT", "-1"),
        ("LOG_LEVEL", "=loud="),
        ("CC_EXECUTOR_CGROUP", "yes"),
    ] {
        let error = resolve(args(&[]), &[(name, value)]).unwrap_err().to_string();
        assert!(error.contains(name) && error.contains(value), "{error}");
    }
    let bad = args(&["--grace", "soon"]);
    assert!(resolve(bad, &[]).unwrap_err().to_string().starts_with("--grace is \"soon\""));
}

#[test]
fn beyond_loopback_takes_a_token_and_the_loud_flag() {
    let remote = |is_insecure| {
        let more = ["--listen", "0.0.0.0:0", "--insecure-remote"];
        args(if is_insecure { &more } else { &more[..2] })
    };
    let token = [("CC_EXECUTOR_TOKEN", "0123456789abcdef")];
    assert!(matches!(resolve(remote(false), &[]), Err(ConfigError::Remote { .. })));
    assert!(matches!(resolve(remote(true), &[]), Err(ConfigError::Remote { .. })));
    assert!(matches!(resolve(remote(false), &token), Err(ConfigError::Remote { .. })));
    assert!(resolve(remote(true), &token).is_ok());
}

#[test]
fn a_token_never_shows() {
    let secret = "s3cret-s3cret-s3cret";
    let config = resolve(args(&[]), &[("CC_EXECUTOR_TOKEN", secret)]).unwrap();
    assert!(!format!("{config:?}").contains(secret));
    let error = resolve(args(&[]), &[("CC_EXECUTOR_TOKEN", "s3cret s3cret")]).unwrap_err();
    assert!(!error.to_string().contains("s3cret"), "{error}");
}

#[test]
fn every_setting_has_an_effect_and_its_default_is_one_of_its_values() {
    let values = Values::gather(args(&[]), &|_| None).unwrap();
    let machine = Machine::examine(&values).unwrap();
    Config::resolve(&values, machine).unwrap();
    for setting in table::all() {
        let name = setting.about().name;
        assert!(values.was_asked(name), "{name} is never read");
        if let Some(texts) = setting.default_texts() {
            setting.check(&Given { origin: Origin::Default, texts }).unwrap();
        }
    }
}

#[test]
fn the_parser_accepts_its_own_definition() {
    command_line::command().debug_assert();
}

/// A configuration file with this text, and arguments that name it.
fn file(text: &str, more: &[&str]) -> (tempfile::NamedTempFile, Arguments) {
    let file = tempfile::NamedTempFile::new().unwrap();
    fs::write(file.path(), text).unwrap();
    let path = file.path().to_str().unwrap();
    let args = args(&[&["--config", path], more].concat());
    (file, args)
}

#[test]
fn a_variable_wins_over_the_file_and_an_argument_over_both() {
    let text = "max-sessions = 5\nidle-timeout = 2.5\nmax-output-bytes = 0x10\numask = \"077\"\n\
                on-stop = \"keep-tasks\"\nallow-command = [\"a b\", \"c\"]\nstop-on-stdin-eof = true\n";
    let (_file, args) = file(text, &[]);
    let config = resolve(args.clone(), &[]).unwrap();
    assert_eq!(config.sessions_limit, 5);
    assert_eq!(config.task.idle_timeout, Some(Duration::from_secs_f64(2.5)));
    assert_eq!(config.task.output_bytes_limit, 16);
    assert_eq!(config.task.umask, 0o077);
    assert_eq!(config.on_stop, OnStop::KeepTasks);
    assert_eq!(config.allowed_commands, ["a b", "c"]);
    assert!(config.stop_on_stdin_eof);
    assert_eq!(resolve(args, &[("MAX_SESSIONS", "3")]).unwrap().sessions_limit, 3);
    let (_file, args) = self::file(text, &["--max-sessions", "7"]);
    assert_eq!(resolve(args, &[("MAX_SESSIONS", "3")]).unwrap().sessions_limit, 7);
}

#[test]
fn a_check_names_all_mistakes_of_a_file_with_their_lines() {
    let text = "# a comment\nmax_sesions = 5\nlisten = 8003\n\ngrace = \"10\"\ntimeout = -1\n\
                fsync = \"sometimes\"\nallow-origin = \"https://example.org\"\n[section]\nx = 1\n";
    let (_file, args) = file(text, &["--max-tasks", "0", "--timeout", "5"]);
    let mistakes = check(args.clone(), &|_| None).unwrap_err();
    let mistakes: Vec<String> = mistakes.iter().map(ToString::to_string).collect();
    for (line, words) in [
        (2, "there is no setting \"max_sesions\"; did you mean max-sessions?"),
        (3, "listen must be a text in quotes, not integer"),
        (5, "grace must be a number of seconds, without quotes or unit, not string"),
        (6, "timeout is \"-1\": must be a number of seconds from 0 to"),
        (7, "fsync is \"sometimes\": must be never or always"),
        (8, "allow-origin must be a list of texts in quotes, not string"),
        (9, "there is no setting \"section\""),
    ] {
        let place = format!(", line {line}: {words}");
        assert!(mistakes.iter().any(|mistake| mistake.contains(&place)), "{place}: {mistakes:#?}");
    }
    assert!(mistakes.iter().any(|mistake| mistake.starts_with("--max-tasks is \"0\"")));
    assert_eq!(mistakes.len(), 8, "{mistakes:#?}");
    assert!(resolve(args, &[]).is_err(), "it does not start with such a file");

    let (_file, args) = file("grace = 10\ngrace = \n", &[]);
    let mistakes = check(args, &|_| None).unwrap_err();
    assert!(mistakes.iter().all(|mistake| mistake.to_string().contains(", line 2: ")));
    assert!(!mistakes.is_empty());
}

#[test]
fn a_check_prints_each_setting_with_its_source_as_a_file_and_no_secret() {
    let secret = "s3cret-s3cret-s3cret";
    let variable = |name: &str| match name {
        "CC_EXECUTOR_TOKEN" => Some(secret.into()),
        "DEFAULT_PORT" => Some("9000".into()),
        "ALLOWED_COMMANDS" => Some("ls, claude".into()),
        _ => None,
    };
    let (found, arguments) = file("grace = 3\n", &["--max-tasks", "9", "--agent", "my \"agent\""]);
    let printed = check(arguments, &variable).unwrap();
    assert!(!printed.contains(secret));
    let place = format!("grace = 3  # {}, line 1\n", found.path().display());
    for line in [
        "max-tasks = 9  # command line\n",
        "agent = \"my \\\"agent\\\"\"  # command line\n",
        "listen = \"127.0.0.1:9000\"  # environment variable DEFAULT_PORT\n",
        "allow-command = [\"ls\", \"claude\"]  # environment variable ALLOWED_COMMANDS\n",
        "state-dir = \"/dev/shm/state\"  # command line\n",
        "insecure-remote = false  # default\n",
        "allow-origin = []  # default\n",
        "umask = \"022\"  # default\n",
        "# before-task: none  # default\n",
        "# token-file: the environment variable CC_EXECUTOR_TOKEN has the secret itself\n",
        &place,
    ] {
        assert!(printed.contains(line), "{line}{printed}");
    }
    let (_file, arguments) = file(&printed, &[]);
    check(arguments, &|_| None).unwrap();
    for setting in table::all() {
        assert!(
            printed.contains(&format!("{} = ", setting.about().name))
                || printed.contains(&format!("# {}: ", setting.about().name))
        );
    }
}

/// What a check says of this file, which is given without other arguments.
fn mistakes(text: &str) -> Vec<String> {
    let found = tempfile::NamedTempFile::new().unwrap();
    fs::write(found.path(), text).unwrap();
    let path = found.path().to_str().unwrap().to_owned();
    let args = Arguments::from_words(["--state-dir", "/dev/shm/state", "--config", &path]);
    let mistakes = check(args, &|_| None).unwrap_err();
    mistakes.iter().map(|mistake| mistake.to_string().replace(&path, "FILE")).collect()
}

#[test]
fn a_check_names_also_all_that_depends_on_the_machine_in_the_order_of_the_lines() {
    let text = "cwd = \"/nope\"\nworker = \"/nope\"\nlisten = \"0.0.0.0:1\"\n\
                max-tasks = 0\ntoken-file = \"/nope\"\n";
    let mistakes = mistakes(text);
    for (mistake, beginning) in mistakes.iter().zip([
        "FILE, line 1: cwd: /nope: No such file or directory",
        "FILE, line 2: worker: /nope: No such file or directory",
        "FILE, line 3: listen: 0.0.0.0:1 is not a loopback address",
        "FILE, line 4: max-tasks is \"0\": must be a whole number",
        "FILE, line 5: token-file: /nope: No such file or directory",
    ]) {
        assert!(mistake.starts_with(beginning), "{beginning}\n{mistake}");
    }
    assert_eq!(mistakes.len(), 5, "{mistakes:#?}");
}

#[test]
fn a_program_that_must_be_there_and_a_state_directory_that_cannot_be_made_are_mistakes() {
    let lookup = |name: &str| (name == "PATH").then(|| "/usr/bin:/bin".into());
    let all = |text: &str| {
        let found = tempfile::NamedTempFile::new().unwrap();
        fs::write(found.path(), text).unwrap();
        let arguments = Arguments::from_words(["--config", found.path().to_str().unwrap()]);
        check(arguments, &lookup).unwrap_err()
    };
    let one = |text: &str| {
        let mistakes = all(text);
        assert_eq!(mistakes.len(), 1, "{mistakes:#?}");
        mistakes[0].to_string()
    };
    let both = all("state-dir = \"/proc/nope\"\nworker = \"/etc/passwd\"\n");
    assert_eq!(both.len(), 2, "all at once: {both:#?}");
    let worker = one("state-dir = \"/dev/shm/state\"\nworker = \"/etc/passwd\"\n");
    assert!(
        worker.ends_with("line 2: worker: /etc/passwd: is no program that can be executed"),
        "{worker}"
    );
    let shell = one("worker = \"/bin/sh\"\nshell = \"nosuchsh\"\n");
    assert!(
        shell.ends_with("line 2: shell: nosuchsh: is no program that can be executed"),
        "{shell}"
    );
    let state = one("worker = \"/bin/sh\"\nstate-dir = \"/proc/nope\"\n");
    assert!(
        state.contains("line 2: state-dir: /proc/nope: is not there, and cannot be made in /proc"),
        "{state}"
    );
}

#[test]
fn what_may_be_installed_later_is_a_warning() {
    let text = "worker = \"/bin/sh\"\nstate-dir = \"/dev/shm/state\"\nagent = \"nonexistent-agent\"\n\
                allow-dir = [\"/nonexist\", \"/\"]\nalert-command = \"nonexist-cmd --now\"\n\
                allow-command = [\"claud\", \"sh\"]\n";
    let (_file, arguments) = file(text, &[]);
    let lookup = |name: &str| (name == "PATH").then(|| "/usr/bin:/bin".into());
    check(arguments.clone(), &lookup).unwrap();
    let warnings = check::warnings(arguments, &lookup);
    let expected = [
        ("line 3: agent", "nonexistent-agent: is no program"),
        ("line 5: alert-command", "nonexist-cmd: is no program"),
        ("line 6: allow-command", "claud: is no program"),
        ("line 4: allow-dir", "/nonexist: is no directory"),
    ];
    assert_eq!(warnings.len(), expected.len(), "{warnings:#?}");
    for (warning, (place, what)) in warnings.iter().zip(expected) {
        assert!(warning.contains(place) && warning.contains(what), "{warning}");
    }
}

#[test]
fn a_token_file_that_cannot_be_used_is_named_with_what_is_wrong() {
    let file = tempfile::NamedTempFile::new().unwrap();
    let token = |path: &str| mistakes(&format!("worker = \"/bin/sh\"\ntoken-file = \"{path}\"\n"));
    for (content, problem) in [
        ("short", "a token must have at least 16 characters"),
        (
            &*"a".repeat(limits::TOKEN_FILE_BYTES + 1),
            "is longer than 65536 bytes; check that this is the file you mean",
        ),
    ] {
        fs::write(file.path(), content).unwrap();
        let path = file.path().to_str().unwrap();
        assert_eq!(token(path), [format!("FILE, line 2: token-file: {path}: {problem}")]);
    }
    assert_eq!(token("/"), ["FILE, line 2: token-file: /: is a directory; name a file"]);
}

#[test]
fn an_error_at_the_start_says_how_to_see_all_mistakes() {
    let mistakes = Config::load(args(&["--max-tasks", "0"]), &|_| None).unwrap_err();
    let text = error::StartError(mistakes).to_string();
    assert!(text.starts_with("--max-tasks is \"0\": "), "{text}");
    assert!(text.ends_with("; --check-config prints all mistakes"), "{text}");
}

#[test]
fn a_line_has_one_mistake() {
    for (text, mistake) in [
        ("max-tasks =\n", "FILE, line 1: there is no value; max-tasks must be a number"),
        (
            "grace = a\n",
            "FILE, line 1: string values must be quoted; grace must be a number of seconds, without quotes or unit",
        ),
        (
            "timeout = \"10m\"\n",
            "FILE, line 1: timeout must be a number of seconds, without quotes or unit, not string",
        ),
        (
            "keep-bytes = \"10 GiB\"\n",
            "FILE, line 1: keep-bytes must be a number of bytes, without quotes or unit, not string",
        ),
        (
            "STREAM_TIMEOUT = 600\n",
            "FILE, line 1: there is no setting \"STREAM_TIMEOUT\"; did you mean idle-timeout?",
        ),
        ("umask = 022\n", "FILE, line 1: unexpected leading zero; umask must be a text in quotes"),
        ("grace = 1\ngrace = 2\n", "FILE, line 2: duplicate key grace"),
    ] {
        assert_eq!(mistakes(&format!("{text}worker = \"/bin/sh\"\n")), [mistake]);
    }
}

#[test]
fn of_a_long_file_with_nothing_but_mistakes_the_first_are_described_and_the_rest_counted() {
    let lines = limits::CONFIG_FILE_BYTES / 10;
    let unknown: String = (0..lines).map(|line| format!("a{line:06}=1\n")).collect();
    for text in ["grace = 1\n".repeat(lines), unknown] {
        let mistakes = mistakes(&text);
        let more = "further mistakes in the configuration file: ";
        assert!(mistakes.iter().any(|mistake| mistake.starts_with(more)), "{mistakes:#?}");
        assert!(mistakes.len() <= limits::CONFIG_MISTAKES + 2, "{}", mistakes.len());
    }
}

#[test]
fn a_value_of_the_wrong_type_causes_no_mistake_elsewhere() {
    let text = "listen = \"0.0.0.0:1\"\ntoken-file = 1\ninsecure-remote = 1\nworker = 1\n";
    let mistakes = mistakes(text);
    for (mistake, line) in mistakes.iter().zip(2..) {
        assert!(mistake.starts_with(&format!("FILE, line {line}: ")), "{mistake}");
    }
    assert_eq!(mistakes.len(), 3, "{mistakes:#?}");
}
