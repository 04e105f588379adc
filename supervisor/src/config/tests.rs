use std::{collections::HashMap, ffi::OsString};

use super::*;

/// Arguments that need nothing of the machine, changed by the test.
fn args() -> Args {
    Args {
        worker: Some(PathBuf::from("/bin/sh")),
        state_dir: Some(PathBuf::from("/state")),
        ..Args::default()
    }
}

fn resolve(args: Args, variables: &[(&str, &str)]) -> Result<Config, ConfigError> {
    let variables: HashMap<&str, &str> = variables.iter().copied().collect();
    Config::resolve(args, &|name| variables.get(name).map(OsString::from))
}

#[test]
fn without_anything_the_documented_defaults_hold() {
    let config = resolve(args(), &[]).unwrap();
    assert_eq!(config.listen.to_string(), "127.0.0.1:8003");
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
        args(),
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
    assert_eq!(config.listen.to_string(), "127.0.0.1:9000");
    assert_eq!(config.sessions_limit, 3);
    assert_eq!(config.task.line_bytes_limit, 4096);
    assert_eq!(config.task.idle_timeout, None);
    assert_eq!(config.allowed_commands, ["ls", "claude"]);
    assert_eq!(config.log_filter, "warn");
    assert_eq!(config.shell, "sh");
}

#[test]
fn an_argument_wins_over_its_variable_and_an_empty_variable_is_none() {
    let both = Args { max_sessions: Some("7".to_owned()), ..args() };
    assert_eq!(resolve(both, &[("MAX_SESSIONS", "3")]).unwrap().sessions_limit, 7);
    assert_eq!(resolve(args(), &[("MAX_SESSIONS", "")]).unwrap().sessions_limit, 100);
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
        let error = resolve(args(), &[(name, value)]).unwrap_err().to_string();
        assert!(error.contains(name) && error.contains(value), "{error}");
    }
    let bad = Args { grace: Some("soon".to_owned()), ..args() };
    assert!(resolve(bad, &[]).unwrap_err().to_string().starts_with("--grace is \"soon\""));
}

#[test]
fn beyond_loopback_takes_a_token_and_the_loud_flag() {
    let remote =
        |insecure_remote| Args { listen: Some("0.0.0.0:0".to_owned()), insecure_remote, ..args() };
    let token = [("CC_EXECUTOR_TOKEN", "0123456789abcdef")];
    assert!(matches!(resolve(remote(false), &[]), Err(ConfigError::Remote(_))));
    assert!(matches!(resolve(remote(true), &[]), Err(ConfigError::Remote(_))));
    assert!(matches!(resolve(remote(false), &token), Err(ConfigError::Remote(_))));
    assert!(resolve(remote(true), &token).is_ok());
}

#[test]
fn a_token_never_shows() {
    let secret = "s3cret-s3cret-s3cret";
    let config = resolve(args(), &[("CC_EXECUTOR_TOKEN", secret)]).unwrap();
    assert!(!format!("{config:?}").contains(secret));
    let error = resolve(args(), &[("CC_EXECUTOR_TOKEN", "s3cret s3cret")]).unwrap_err();
    assert!(!error.to_string().contains("s3cret"), "{error}");
}
