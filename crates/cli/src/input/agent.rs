//! The program that runs prompts, found before anything starts.

use std::env;

use crate::{
    args::{AgentOption, ServerOptions},
    connect::programs,
    error::CommandError,
};

/// The default of `--agent`.
const DEFAULT_AGENT: &str = "claude";
/// The value of `--agent` for the bundled one.
pub(crate) const STAND_IN: &str = "stand-in";

/// The value of the supervisor's `--agent`; its program exists.
pub(crate) fn resolve(wish: Option<&str>) -> Result<String, CommandError> {
    let wish = wish.unwrap_or(DEFAULT_AGENT);
    if wish == STAND_IN {
        return stand_in();
    }
    let words = shell_words::split(wish).map_err(|error| {
        CommandError::usage(format!("--agent {wish:?} cannot be read: {error}"))
    })?;
    let Some(program) = words.first() else {
        return Err(CommandError::usage("--agent is empty; give a program, or stand-in"));
    };
    if programs::find(program).is_some() {
        return Ok(wish.to_owned());
    }
    Err(CommandError::AgentNotFound { program: program.clone() })
}

/// This very program as a supervisor's `--agent`.
pub(crate) fn stand_in() -> Result<String, CommandError> {
    let executable =
        env::current_exe().map_err(CommandError::io("cannot find the stand-in agent"))?;
    let executable = executable.to_str().ok_or_else(|| {
        CommandError::failed(format!("the path of ccx is no UTF-8: {}", executable.display()))
    })?;
    Ok(shell_words::join([executable, "stand-in-agent"]))
}

/// Further arguments of a private supervisor.
pub(crate) fn private_arguments(
    server: &ServerOptions,
    option: &AgentOption,
    is_agent_needed: bool,
) -> Result<Vec<String>, CommandError> {
    match (&server.url, &option.agent) {
        (Some(_), Some(_)) => Err(CommandError::usage(
            "--agent is the server's setting (cc-supervisor --agent); omit it with --url (CC_EXECUTOR_URL)",
        )),
        (Some(_), None) => Ok(Vec::new()),
        (None, _) if !is_agent_needed => Ok(Vec::new()),
        (None, agent) => Ok(vec!["--agent".to_owned(), resolve(agent.as_deref())?]),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::exit_code;

    #[test]
    fn a_missing_agent_is_named_with_what_to_do() {
        let failure = resolve(Some("no-such-agent --flag")).unwrap_err();
        assert_eq!(exit_code::of_error(&failure), 127);
        insta::assert_snapshot!(failure.to_string(), @r#"the agent "no-such-agent" is not found; install Claude Code (npm install -g @anthropic-ai/claude-code) or try --agent stand-in, which calls no model"#);
    }

    #[test]
    fn an_agent_may_have_arguments_and_must_be_readable() {
        assert_eq!(resolve(Some("sh -c 'true'")).unwrap(), "sh -c 'true'");
        assert_eq!(exit_code::of_error(&resolve(Some("sh 'open")).unwrap_err()), 2);
        assert_eq!(exit_code::of_error(&resolve(Some("")).unwrap_err()), 2);
        assert!(resolve(Some("stand-in")).unwrap().ends_with(" stand-in-agent"));
    }
}
