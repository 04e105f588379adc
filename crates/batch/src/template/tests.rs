use std::collections::BTreeMap;

use cc_protocol::execute::Prompt;
use proptest::prelude::*;

use super::*;

fn prompt(text: &str) -> Execute {
    let program =
        Program::Prompt(Box::new(Prompt { prompt: text.to_owned(), ..Prompt::default() }));
    Execute { program, ..Execute::default() }
}

fn command(line: &str) -> Execute {
    Execute { program: Program::Command { command: line.to_owned() }, ..Execute::default() }
}

fn references(execute: &Execute) -> Result<Vec<Reference>, TemplateError> {
    fields(execute).iter().try_fold(Vec::new(), |mut all, field| {
        all.extend(field.references()?);
        Ok(all)
    })
}

/// Every result is this text.
fn filled(execute: &Execute, result: &str) -> Execute {
    fill(execute, |_| Ok(result)).unwrap()
}

fn filled_prompt(text: &str, result: &str) -> String {
    match filled(&prompt(text), result).program {
        Program::Prompt(prompt) => prompt.prompt,
        Program::Argv { .. } | Program::Command { .. } => panic!("no prompt"),
    }
}

fn filled_command(line: &str, result: &str) -> String {
    match filled(&command(line), result).program {
        Program::Command { command } => command,
        Program::Argv { .. } | Program::Prompt(_) => panic!("no command"),
    }
}

#[test]
fn references_are_found_wherever_they_may_stand() {
    let execute = Execute {
        program: Program::Argv { argv: vec!["a".into(), "x{{tasks.b.c-1.result}}y".into()] },
        env: BTreeMap::from([("V".into(), Some("{{ prev.result }}".into())), ("W".into(), None)]),
        cwd: Some("/srv/{{tasks.dir.result}}".into()),
        ..Execute::default()
    };
    let expected =
        [Reference::Task("b.c-1".into()), Reference::Prev, Reference::Task("dir".into())];
    assert_eq!(references(&execute).unwrap(), expected);
    let names: Vec<String> = fields(&execute).into_iter().map(|field| field.name).collect();
    assert_eq!(names, ["argv[0]", "argv[1]", "env.V", "cwd"]);
    let filled = filled(&execute, "R");
    assert_eq!(filled.program, Program::Argv { argv: vec!["a".into(), "xRy".into()] });
    assert_eq!(filled.env["V"].as_deref(), Some("R"));
    assert_eq!(filled.cwd.as_deref(), Some("/srv/R"));
}

#[test]
fn what_is_no_reference_is_an_error_that_says_what_is_allowed() {
    for text in
        ["{{x}}", "{{tasks.a}}", "{{tasks..result}}", "{{tasks.a b.result}}", "{{}}", "{{{x}}"]
    {
        let error = references(&prompt(text)).unwrap_err().to_string();
        assert!(error.contains("tasks.NAME.result") && error.contains("{{{{"), "{text}: {error}");
    }
    assert_eq!(references(&prompt("a {{ b")), Err(TemplateError::Open));
    assert_eq!(references(&prompt("one { and } and }} are text")), Ok(vec![]));
}

#[test]
fn four_braces_are_two() {
    assert_eq!(filled_prompt("${{{{ github.ref }}", "R"), "${{ github.ref }}");
    assert_eq!(filled_prompt("{{{{{{prev.result}}", "R"), "{{R");
}

#[test]
fn a_result_is_never_read_as_a_template() {
    assert_eq!(
        filled_prompt("{{prev.result}}", "{{tasks.x.result}} {{{{"),
        "{{tasks.x.result}} {{{{"
    );
}

#[test]
fn a_result_in_a_shell_line_is_one_word_whatever_it_holds() {
    for result in ["", "a b", "$(rm -rf ~)", "it's", "a\nb", "\\", "~", "*", "!x", "`id`", "a\0b"] {
        let line = filled_command("printf %s {{prev.result}} | cat", result);
        let words = shell_words::split(&line).unwrap();
        let expected = ["printf", "%s", &result.replace('\0', "\u{fffd}"), "|", "cat"];
        assert_eq!(words, expected, "{line}");
    }
}

#[test]
fn a_reference_inside_quotes_of_a_shell_line_is_refused() {
    let error = references(&command("echo \"{{prev.result}}\"")).unwrap_err();
    assert_eq!(error, TemplateError::Shell(Trouble::Quotes));
    assert!(references(&command("echo {{prev.result}}")).is_ok());
    // A line without references may use whatever a shell knows.
    assert!(references(&command("cat <<END # `x`\n\"a\"\nEND")).is_ok());
}

#[test]
fn no_argument_gets_a_nul_but_a_prompt_may_have_one() {
    let argv = Execute {
        program: Program::Argv { argv: vec!["{{prev.result}}".into()] },
        ..Execute::default()
    };
    let expected = Program::Argv { argv: vec!["a\u{fffd}b".into()] };
    assert_eq!(filled(&argv, "a\0b").program, expected);
    assert_eq!(filled_prompt("{{prev.result}}", "a\0b"), "a\0b");
}

#[test]
fn a_result_that_is_not_there_is_named() {
    let missing = Missing { task: 4 };
    assert_eq!(fill(&prompt("{{prev.result}}"), |_| Err(missing)), Err(missing));
    assert_eq!(missing.to_string(), "task 5 has no result to fill in");
}

/// Runs a line as `sh -c` does, and gives what it prints.
fn shell(line: &str) -> String {
    let output = std::process::Command::new("sh").args(["-c", line]).output().unwrap();
    String::from_utf8(output.stdout).unwrap()
}

#[test]
fn a_real_shell_prints_hostile_results_and_does_nothing_else() {
    for result in [
        "$(echo ran)",
        "`echo ran`",
        "'; echo ran; '",
        "\"; echo ran; \"",
        "a\n echo ran",
        "~",
        "-n",
        "*",
        "{a,b}",
        "!!",
        "if",
    ] {
        for line in [
            "printf '%s' {{prev.result}}",
            "x={{prev.result}}; printf '%s' \"$x\"",
            "printf '%s' \"\"{{prev.result}}''",
        ] {
            assert!(references(&command(line)).is_ok(), "{line}");
            assert_eq!(shell(&filled_command(line, result)), result, "{line}");
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    /// Lines of the characters that matter to a shell, with a result that would leave a mark: if the
    /// scanner takes the line, the mark is never made.
    #[test]
    fn a_shell_line_that_is_taken_never_runs_a_result(
        before in "[ax '\"\\\\#$();{}\n|&]{0,12}",
        after in "[ax '\"\\\\#$();{}\n|&]{0,8}",
        hostile in prop::sample::select(vec![
            "$(echo RAN >&2)", "'; echo RAN >&2; '", "\"; echo RAN >&2; \"", "\n echo RAN >&2 #", "\\'; echo RAN >&2 #",
        ]),
    ) {
        let line = format!("{before}{{{{prev.result}}}}{after}");
        let execute = command(&line);
        if references(&execute).is_ok() {
            let filled = filled_command(&line, hostile);
            for shell in ["sh", "bash"] {
                let Ok(output) = std::process::Command::new(shell)
                    .args(["-c", &filled])
                    .stdin(std::process::Stdio::null())
                    .output()
                else {
                    continue;
                };
                let errors = String::from_utf8_lossy(&output.stderr);
                let ran = errors.lines().any(|line| line.trim() == "RAN");
                prop_assert!(!ran, "{shell}: {filled}");
            }
        }
    }

    #[test]
    fn any_text_can_be_written_by_doubling_its_double_braces(text in "[{}a ]{0,40}") {
        let escaped = text.replace("{{", "{{{{");
        prop_assert_eq!(filled_prompt(&escaped, "R"), text);
    }
}
