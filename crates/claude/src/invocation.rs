//! The command line for a prompt, and whether a command line is Claude's.
//!
//! The prompt itself goes by standard input: it may be larger than an argument may be, and it does not
//! show in a process listing. Called by the supervisor when it makes a task spec; starts nothing.

/// What a client may say about a Claude task beside its prompt.
#[derive(Clone, Copy, Debug, Default)]
pub struct PromptOptions<'a> {
    /// `--model`.
    pub model: Option<&'a str>,
    /// `--allowedTools`, a rule each, such as `Bash(git *)`.
    pub allowed_tools: &'a [String],
    /// `--permission-mode`.
    pub permission_mode: Option<&'a str>,
    /// `--append-system-prompt`.
    pub append_system_prompt: Option<&'a str>,
    /// `--max-turns`.
    pub max_turns: Option<u64>,
    /// `--resume`: the `claude_session_id` of an earlier result.
    pub resume_claude_session: Option<&'a str>,
    /// Passed on as they are, after everything else.
    pub extra_args: &'a [String],
}

/// The arguments of a task that reads its prompt from standard input and prints a stream of JSON
/// lines. `agent` is the program and the arguments that come first, such as `["claude"]`.
#[must_use]
pub fn argv(agent: &[String], options: &PromptOptions<'_>) -> Vec<String> {
    let mut argv = agent.to_vec();
    let mut push = |words: &[&str]| argv.extend(words.iter().map(|word| (*word).to_owned()));
    push(&["-p"]);
    // This option takes every word up to the next option, so one of ours must follow it, and a rule that looks
    // like an option is bound to it by `=`. Given several times it adds up.
    let (bound, plain): (Vec<&String>, Vec<&String>) =
        options.allowed_tools.iter().partition(|tool| is_option(tool));
    for tool in bound {
        push(&[&format!("--allowedTools={tool}")]);
    }
    if !plain.is_empty() {
        push(&["--allowedTools"]);
        for tool in plain {
            push(&[tool]);
        }
    }
    // The CLI refuses stream-json without --verbose.
    push(&["--output-format", "stream-json", "--verbose"]);
    let max_turns = options.max_turns.map(|turns| turns.to_string());
    // Each of these takes the word that follows, whatever that begins with.
    let valued = [
        ("--model", options.model),
        ("--permission-mode", options.permission_mode),
        ("--append-system-prompt", options.append_system_prompt),
        ("--max-turns", max_turns.as_deref()),
    ];
    for (option, value) in valued {
        if let Some(value) = value {
            push(&[option, value]);
        }
    }
    // This one may stand without a value, so a word that follows it and begins with `-` would be an option.
    if let Some(id) = options.resume_claude_session {
        push(&[&format!("--resume={id}")]);
    }
    argv.extend_from_slice(options.extra_args);
    argv
}

/// Whether a program, with or without its path, is the CLI.
#[must_use]
pub fn is_claude_program(argv0: &str) -> bool {
    argv0.rsplit('/').next() == Some("claude")
}

/// Whether a shell command line starts the CLI as its first program, directly or by `exec`, `env` or
/// `timeout`, after variable assignments.
///
/// A light check by words: quoted assignments with spaces, `cd … && claude` and scripts are not seen
/// through. It only decides whether the output is *observed* as a Claude stream, never success.
#[must_use]
pub fn is_claude_command(command: &str) -> bool {
    let mut words = command.split_whitespace().map(unquoted);
    while let Some(word) = words.next() {
        match word {
            "exec" | "env" => {}
            // Its duration, or an option of it, which is skipped below.
            "timeout" => {
                if words.by_ref().find(|word| !is_option(word)).is_none() {
                    return false;
                }
            }
            _ if is_assignment(word) || is_option(word) => {}
            program => return is_claude_program(program),
        }
    }
    false
}

fn unquoted(word: &str) -> &str {
    let inner = |quote: char| word.strip_prefix(quote).and_then(|rest| rest.strip_suffix(quote));
    inner('\'').or_else(|| inner('"')).unwrap_or(word)
}

fn is_option(word: &str) -> bool {
    word.starts_with('-')
}

fn is_assignment(word: &str) -> bool {
    word.split_once('=').is_some_and(|(name, _)| {
        !name.starts_with(|first: char| first.is_ascii_digit())
            && !name.is_empty()
            && name.chars().all(|letter| letter.is_ascii_alphanumeric() || letter == '_')
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(text: &str) -> Vec<String> {
        text.split_whitespace().map(str::to_owned).collect()
    }

    #[test]
    fn a_bare_prompt_asks_for_a_stream_and_nothing_else() {
        let argv = argv(&words("claude"), &PromptOptions::default());
        assert_eq!(argv, words("claude -p --output-format stream-json --verbose"));
    }

    #[test]
    fn every_option_becomes_its_flag_and_extra_arguments_come_last() {
        let tools = ["Bash(git *)".to_owned(), "Edit".to_owned()];
        let extra = words("--add-dir /srv");
        let argv = argv(
            &words("node cli.js"),
            &PromptOptions {
                model: Some("opus"),
                allowed_tools: &tools,
                permission_mode: Some("acceptEdits"),
                append_system_prompt: Some("be brief"),
                max_turns: Some(3),
                resume_claude_session: Some("abc"),
                extra_args: &extra,
            },
        );
        let expected = [
            "node",
            "cli.js",
            "-p",
            "--allowedTools",
            "Bash(git *)",
            "Edit",
            "--output-format",
            "stream-json",
            "--verbose",
            "--model",
            "opus",
            "--permission-mode",
            "acceptEdits",
            "--append-system-prompt",
            "be brief",
            "--max-turns",
            "3",
            "--resume=abc",
            "--add-dir",
            "/srv",
        ];
        assert_eq!(argv, expected);
    }

    #[test]
    fn tools_are_followed_by_an_option_so_that_they_swallow_no_extra_argument() {
        let tools = ["Edit".to_owned()];
        let extra = words("positional");
        let options =
            PromptOptions { allowed_tools: &tools, extra_args: &extra, ..PromptOptions::default() };
        let argv = argv(&words("claude"), &options);
        let tool = argv.iter().position(|word| word == "Edit").unwrap();
        assert!(argv[tool + 1].starts_with("--"));
    }

    #[test]
    fn values_that_look_like_options_stay_values() {
        let tools = ["-x".to_owned(), "Edit".to_owned(), "--y z".to_owned()];
        let options = PromptOptions {
            allowed_tools: &tools,
            append_system_prompt: Some("--- a"),
            resume_claude_session: Some("-p"),
            ..PromptOptions::default()
        };
        let argv = argv(&words("claude"), &options);
        let place = |word: &str| argv.iter().position(|other| other == word);
        assert!(place("--allowedTools=-x").is_some() && place("--allowedTools=--y z").is_some());
        assert_eq!(argv[place("--allowedTools").unwrap() + 1], "Edit");
        assert_eq!(argv[place("--append-system-prompt").unwrap() + 1], "--- a");
        assert_eq!(argv.last().unwrap(), "--resume=-p");
        assert_eq!(argv.iter().filter(|word| *word == "-p").count(), 1);
    }

    #[test]
    fn a_program_is_claude_by_its_last_path_component() {
        for (program, expected) in [
            ("claude", true),
            ("/usr/local/bin/claude", true),
            ("./claude", true),
            ("claude-wrapper", false),
            ("/opt/claude/run", false),
            ("", false),
        ] {
            assert_eq!(is_claude_program(program), expected, "{program}");
        }
    }

    #[test]
    fn a_command_is_claude_by_its_first_program() {
        for (command, expected) in [
            ("claude -p hi", true),
            ("  claude", true),
            ("HOME=/x A_1=b claude -p hi", true),
            ("exec claude -p hi", true),
            ("env -i A=1 claude -p hi", true),
            ("timeout 10 claude -p hi", true),
            ("timeout -k 5 10 claude", false),
            ("timeout --kill-after=5 10 claude -p", true),
            ("env A=1 timeout 10s exec \"/usr/bin/claude\" -p", true),
            ("'claude' -p", true),
            ("echo claude", false),
            ("cd /srv && claude -p hi", false),
            ("1A=b claude", false),
            ("timeout", false),
            ("timeout 10", false),
            ("A=1", false),
            ("", false),
        ] {
            assert_eq!(is_claude_command(command), expected, "{command}");
        }
    }
}
