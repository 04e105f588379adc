//! The parameters of `execute` become a task spec: program, environment and limits, all resolved.
//!
//! It starts nothing and touches no file. Called by [`crate::session`] and [`crate::batch`].

use std::path::PathBuf;

use cc_claude::invocation::{PromptOptions, argv, is_claude_command, is_claude_program};
use cc_events::ClaudeStream;
use cc_link::{
    LINK_VERSION,
    key::Key,
    spec::{Bounds, CgroupParent, Deadlines, Stdin, TaskSpec},
};
use cc_protocol::{
    CallError, UnfitParam,
    execute::{Execute, Program},
    task::COMMAND_CHARS_LIMIT,
};

use crate::{
    config::{Config, TaskDefaults, environment::Base, limits},
    ops::clock::milliseconds,
    task::{allowed, isolation},
};

/// Makes a Claude CLI report a failure at its start in a result line. Without it, it prints a sentence on standard error.
const STARTUP_FAILURE_RESULTS: &str = "CLAUDE_CODE_STARTUP_FAILURE_RESULTS";

/// The settings that a request is resolved against.
#[derive(Clone, Debug)]
pub(crate) struct Setting<'a> {
    pub config: &'a Config,
    /// The environment before the request's own variables.
    pub environment: &'a Base,
    /// The parent of the tasks' cgroups.
    pub cgroup: Option<&'a CgroupParent>,
    /// Where the task must run, without a symbolic link on the way; `None`: where its request says.
    pub directory: Option<PathBuf>,
    /// What a later supervisor must show to adopt the worker.
    pub adoption_key: Option<&'a Key>,
}

impl Setting<'_> {
    /// # Errors
    /// When the command is not allowed, or a requested limit is too high.
    pub(crate) fn spec(
        &self,
        execute: Execute,
        task_id: &str,
        log_path: PathBuf,
    ) -> Result<TaskSpec, CallError> {
        let bounds = bounds(&execute, &self.config.task)?;
        check_timeouts(&execute, &self.config.task)?;
        let mut program = program(self.config, &execute)?;
        let settings = &self.config.isolation;
        let isolation = isolation::wanted(settings, self.environment, &execute)?;
        program.argv.splice(0..0, settings.wrap.iter().cloned());
        let deadlines = deadlines(&execute, program.claude, &self.config.task);
        let defaults = &self.config.task;
        let env = self.environment_of(&execute, task_id);
        // A relative directory is below the default one.
        let cwd = match (&self.directory, execute.cwd) {
            (Some(directory), _) => directory.clone(),
            (None, Some(cwd)) => defaults.cwd.join(cwd),
            (None, None) => defaults.cwd.clone(),
        };
        Ok(TaskSpec {
            link_version: LINK_VERSION,
            task_id: task_id.to_owned(),
            argv: program.argv,
            cwd: Some(cwd),
            is_cwd_resolved: self.directory.is_some(),
            env,
            stdin: match execute.program {
                Program::Prompt(prompt) => Stdin::Text(prompt.prompt),
                Program::Argv { .. } | Program::Command { .. } => Stdin::Null,
            },
            umask: defaults.umask,
            no_new_privs: defaults.no_new_privs,
            isolation,
            adoption_key: self.adoption_key.cloned(),
            bounds,
            deadlines,
            log_path,
            cgroup: self.cgroup.cloned(),
            claude: program.claude,
            on_supervisor_loss: defaults.on_supervisor_loss,
            fsync: self.config.fsync,
        })
    }

    fn environment_of(&self, execute: &Execute, task_id: &str) -> Vec<(String, String)> {
        let mut variables = self.environment.of_task(&execute.env, task_id);
        let is_prompt = matches!(execute.program, Program::Prompt(_));
        // A request or a configuration that sets or removes the variable is respected.
        let is_wished = execute.env.contains_key(STARTUP_FAILURE_RESULTS)
            || self.environment.get(STARTUP_FAILURE_RESULTS).is_some();
        if is_prompt && !is_wished {
            variables.push((STARTUP_FAILURE_RESULTS.to_owned(), "1".to_owned()));
        }
        if let Some(account) = &self.config.isolation.user {
            isolation::become_account(&mut variables, account, execute);
        }
        variables
    }
}

/// The beginning of what a request runs, for people.
#[must_use]
pub(crate) fn shown(program: &Program) -> String {
    let text = match program {
        Program::Command { command } => command.clone(),
        Program::Argv { argv } => shell_words::join(argv),
        Program::Prompt(prompt) => prompt.prompt.clone(),
    };
    let mut words = text.split_whitespace().flat_map(|word| [" ", word]).skip(1);
    let mut shown = String::new();
    for part in &mut words {
        shown.push_str(part);
        if shown.len() > COMMAND_CHARS_LIMIT * 4 {
            break;
        }
    }
    shown.chars().take(COMMAND_CHARS_LIMIT).collect()
}

/// Whether it runs a Claude CLI, as far as the request shows.
#[must_use]
pub(crate) fn is_claude(program: &Program) -> bool {
    match program {
        Program::Prompt(_) => true,
        Program::Command { command } => is_claude_command(command),
        Program::Argv { argv } => argv.first().is_some_and(|first| is_claude_program(first)),
    }
}

struct Resolved {
    argv: Vec<String>,
    claude: ClaudeStream,
}

fn program(config: &Config, execute: &Execute) -> Result<Resolved, CallError> {
    let resolved = match &execute.program {
        Program::Command { command } if config.allowed_commands.is_empty() => Resolved {
            argv: vec![config.shell.clone(), "-c".to_owned(), command.clone()],
            claude: observed_if(is_claude_command(command)),
        },
        // With a list of allowed commands no shell is used: it could run any command.
        Program::Command { command } => {
            let argv = shell_words::split(command)
                .map_err(|error| UnfitParam::CommandNotSplit { problem: error.to_string() })?;
            if argv.is_empty() {
                return Err(UnfitParam::CommandEmpty.into());
            }
            Resolved { claude: observed_if(is_claude_program(&argv[0])), argv }
        }
        Program::Argv { argv } => Resolved {
            argv: argv.clone(),
            claude: observed_if(argv.first().is_some_and(|first| is_claude_program(first))),
        },
        Program::Prompt(prompt) => Resolved {
            argv: argv(
                &config.agent,
                &PromptOptions {
                    model: prompt.model.as_deref(),
                    allowed_tools: &prompt.allowed_tools,
                    permission_mode: prompt.permission_mode.as_deref(),
                    append_system_prompt: prompt.append_system_prompt.as_deref(),
                    max_turns: prompt.max_turns,
                    resume_claude_session: prompt.resume_claude_session.as_deref(),
                    extra_args: &prompt.extra_args,
                },
            ),
            claude: ClaudeStream::Required,
        },
    };
    allowed::check(config, resolved.argv.first().map_or("", String::as_str), execute)?;
    Ok(resolved)
}

fn observed_if(is_claude: bool) -> ClaudeStream {
    if is_claude { ClaudeStream::Observed } else { ClaudeStream::No }
}

fn bounds(execute: &Execute, defaults: &TaskDefaults) -> Result<Bounds, UnfitParam> {
    let bounded = |field, wish: Option<u64>, default, limit| match wish {
        Some(wish) if wish > limit => Err(UnfitParam::OverLimit { field, limit }),
        Some(wish) => Ok(wish),
        None => Ok(default),
    };
    Ok(Bounds {
        line_bytes_limit: bounded(
            "max_line_bytes",
            execute.max_line_bytes,
            defaults.line_bytes_limit,
            limits::MOST_LINE_BYTES,
        )?,
        output_bytes_limit: bounded(
            "max_output_bytes",
            execute.max_output_bytes,
            defaults.output_bytes_limit,
            limits::MOST_OUTPUT_BYTES,
        )?,
        on_output_limit: defaults.on_output_limit,
    })
}

/// What the operator has chosen as the default may be longer than what a client may ask for.
fn check_timeouts(execute: &Execute, defaults: &TaskDefaults) -> Result<(), UnfitParam> {
    let limit = defaults.timeout_limit.max(defaults.timeout);
    for (field, wish) in [("timeout", execute.timeout), ("idle_timeout", execute.idle_timeout)] {
        if wish.is_some_and(|wish| wish > limit.as_secs_f64()) {
            return Err(UnfitParam::OverLimit { field, limit: limit.as_secs() });
        }
    }
    Ok(())
}

fn deadlines(execute: &Execute, claude: ClaudeStream, defaults: &TaskDefaults) -> Deadlines {
    // The protocol has checked that a wish is more than 0 and at most a year.
    let wish_ms = |seconds: Option<f64>| seconds.map(|seconds| (seconds * 1000.0).ceil() as u64);
    let silence_ms = wish_ms(execute.idle_timeout).or(defaults.idle_timeout.map(milliseconds));
    let first_output_ms = match claude {
        ClaudeStream::Required => defaults
            .first_output_timeout
            .map(milliseconds)
            .filter(|first| silence_ms.is_none_or(|silence| *first < silence)),
        ClaudeStream::No | ClaudeStream::Observed => None,
    };
    Deadlines {
        total_ms: Some(wish_ms(execute.timeout).unwrap_or_else(|| milliseconds(defaults.timeout))),
        silence_ms,
        first_output_ms,
        linger_ms: milliseconds(defaults.linger),
        grace_ms: milliseconds(defaults.grace),
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use cc_protocol::error::ErrorObject;
    use serde_json::{Value, json};

    use super::*;
    use crate::config::command_line::Arguments;

    fn config(allowed: &[&str]) -> Config {
        let mut words = vec!["--worker", "/bin/sh", "--state-dir", "/state", "--cwd", "/"];
        words.extend(["--agent", "claude --debug"]);
        words.extend(allowed.iter().flat_map(|name| ["--allow-command", name]));
        Config::load(Arguments::from_words(words), &|_| None).unwrap()
    }

    fn spec(allowed: &[&str], params: Value) -> Result<TaskSpec, ErrorObject> {
        spec_with(&config(allowed), params)
    }

    fn spec_with(config: &Config, params: Value) -> Result<TaskSpec, ErrorObject> {
        let Value::Object(params) = params else { panic!("no object") };
        let (environment, _) = Base::new(std::iter::empty(), &[], &[]);
        let setting = Setting {
            config,
            environment: &environment,
            cgroup: None,
            directory: None,
            adoption_key: None,
        };
        let execute = Execute::from_params(params).unwrap();
        Ok(setting.spec(execute, "id", PathBuf::from("/log"))?)
    }

    #[test]
    fn a_command_goes_to_the_shell_and_a_claude_command_is_observed() {
        let plain = spec(&[], json!({"command": "echo $HOME | wc"})).unwrap();
        assert_eq!(plain.argv, ["sh", "-c", "echo $HOME | wc"]);
        assert_eq!((plain.claude, plain.stdin), (ClaudeStream::No, Stdin::Null));
        let claude = spec(&[], json!({"command": "claude -p hi"})).unwrap();
        assert_eq!(claude.claude, ClaudeStream::Observed);
    }

    #[test]
    fn a_prompt_goes_by_standard_input_and_must_have_a_result() {
        let spec = spec(&[], json!({"prompt": "hello", "model": "m"})).unwrap();
        assert_eq!(spec.argv[..2], ["claude", "--debug"]);
        assert!(!spec.argv.contains(&"hello".to_owned()));
        assert_eq!(spec.stdin, Stdin::Text("hello".to_owned()));
        assert_eq!(spec.claude, ClaudeStream::Required);
        assert_eq!(spec.deadlines.first_output_ms, Some(120_000));
    }

    #[test]
    fn a_prompt_has_its_failures_at_the_start_end_with_a_result_unless_the_request_says_otherwise()
    {
        let set = |params| {
            let env = spec(&[], params).unwrap().env;
            let mut set = env.into_iter().filter(|(name, _)| name == STARTUP_FAILURE_RESULTS);
            (set.next().map(|(_, value)| value), set.next())
        };
        assert_eq!(set(json!({"prompt": "x"})), (Some("1".to_owned()), None));
        for params in [
            json!({"prompt": "x", "env": {STARTUP_FAILURE_RESULTS: null}}),
            json!({"argv": ["claude", "-p", "x"]}),
            json!({"command": "claude -p x"}),
        ] {
            assert_eq!(set(params.clone()), (None, None), "{params}");
        }
        let off = json!({"prompt": "x", "env": {STARTUP_FAILURE_RESULTS: "0"}});
        assert_eq!(set(off), (Some("0".to_owned()), None));
    }

    #[test]
    fn with_a_list_of_allowed_commands_no_shell_is_involved() {
        let ls = spec(&["ls"], json!({"command": "ls 'a b' ; rm -rf /"})).unwrap();
        assert_eq!(ls.argv, ["ls", "a b", ";", "rm", "-rf", "/"]);
        for params in [
            json!({"command": "rm x"}),
            json!({"argv": ["/bin/ls"]}),
            json!({"command": "lsblk"}),
            json!({"prompt": "hi"}),
        ] {
            assert_eq!(spec(&["ls"], params.clone()).unwrap_err().code, -32001, "{params}");
        }
        assert!(spec(&["ls", "claude"], json!({"prompt": "hi"})).is_ok());
        let elsewhere = json!({"command": "ls", "env": {"LANG": "C", "PATH": "/tmp"}});
        assert_eq!(spec(&["ls"], elsewhere.clone()).unwrap_err().data["field"], "env");
        assert!(spec(&[], elsewhere).is_ok());
    }

    #[test]
    fn a_wish_wins_over_a_default_but_not_over_what_there_is() {
        let wish =
            json!({"argv": ["x"], "timeout": 0.0001, "idle_timeout": 2, "max_output_bytes": 5});
        let spec_of_wish = spec(&[], wish).unwrap();
        assert_eq!(spec_of_wish.deadlines.total_ms, Some(1));
        assert_eq!(spec_of_wish.deadlines.silence_ms, Some(2000));
        assert_eq!(spec_of_wish.bounds.output_bytes_limit, 5);
        let over = json!({"argv": ["x"], "max_line_bytes": limits::MOST_LINE_BYTES + 1});
        assert_eq!(spec(&[], over).unwrap_err().data["field"], "max_line_bytes");
    }

    #[test]
    fn no_wish_is_longer_than_the_operators_limit() {
        let mut config = config(&[]);
        config.task.timeout = Duration::from_secs(60);
        config.task.timeout_limit = Duration::from_secs(100);
        for field in ["timeout", "idle_timeout"] {
            assert!(spec_with(&config, json!({"argv": ["x"], field: 100})).is_ok());
            let error = spec_with(&config, json!({"argv": ["x"], field: 100.5})).unwrap_err();
            assert_eq!((&error.data["field"], &error.data["limit"]), (&json!(field), &json!(100)));
        }
    }

    #[test]
    fn a_relative_directory_is_below_the_default_one() {
        let relative = spec(&[], json!({"argv": ["x"], "cwd": "a/b"})).unwrap();
        assert_eq!(relative.cwd, Some(PathBuf::from("/a/b")));
    }
}
