//! The login that tasks would use, as far as the CLI knows it without asking the API.
//!
//! `claude auth status` opens no connection; it runs as a task, so that it sees the environment of a task. Values of
//! variables are never shown.

use cc_claude::{
    invocation::is_claude_program,
    version::{OLDEST_TESTED, Standing},
};
use serde::Deserialize;

use super::{
    agent::Agent,
    finding::Finding,
    probe::Probe,
    trial::{Ran, Trial},
};

const WHAT: &str = "login";
const KEY: &str = "ANTHROPIC_API_KEY";
/// Either makes the CLI say `oauth_token`.
const TOKENS: [&str; 2] = ["ANTHROPIC_AUTH_TOKEN", "CLAUDE_CODE_OAUTH_TOKEN"];
const LOG_IN: &str =
    "log in with `claude /login`, or set CLAUDE_CODE_OAUTH_TOKEN (`claude setup-token` makes one)";
const NOT_ASKED: &str = "whether the API takes it is not asked here";

/// What `claude auth status` says, as far as it is used.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Status {
    logged_in: bool,
    #[serde(default)]
    auth_method: String,
    #[serde(default)]
    api_provider: String,
    api_key_source: Option<String>,
    subscription_type: Option<String>,
}

/// Checks the login, and the variables that decide which login is used.
pub(crate) async fn check(
    agent: Option<&Agent>,
    probe: Option<&Probe>,
    is_key_here: bool,
    trial: Option<&mut Trial>,
) -> Vec<Finding> {
    let mut findings = Vec::new();
    match (agent, probe, trial) {
        (Some(agent), Some(probe), Some(trial)) => {
            findings.push(match why_not_asked(agent) {
                Some(why) => Finding::skip(WHAT, why),
                None => ask(agent, probe, is_key_here, trial).await,
            });
        }
        (None, _, _) => findings.push(Finding::skip(WHAT, "there is no agent to ask for it")),
        (Some(_), _, _) => findings.push(Finding::skip(WHAT, "no task could be run")),
    }
    findings.extend(probe.and_then(|probe| key(probe, is_key_here)));
    if probe.is_some_and(|probe| probe.has("ANTHROPIC_BASE_URL")) {
        findings.push(Finding::ok(
            "api",
            "ANTHROPIC_BASE_URL is set: tasks ask that address and not Anthropic's",
        ));
    }
    findings
}

/// A program that does not know the question might take it for a prompt, and call a model.
fn why_not_asked(agent: &Agent) -> Option<String> {
    let is_plain = matches!(&agent.words[..], [program] if is_claude_program(program));
    match agent.version {
        Some(_) if !is_plain => Some("not asked: the agent is not plain `claude`".to_owned()),
        Some(version) if version.standing() == Standing::Older => {
            Some(format!("not asked: versions before {OLDEST_TESTED} may not know the question"))
        }
        Some(_) => None,
        None => Some("not asked, as the agent's version is not known".to_owned()),
    }
}

async fn ask(agent: &Agent, probe: &Probe, is_key_here: bool, trial: &mut Trial) -> Finding {
    let mut argv = agent.words.clone();
    argv.extend(["auth".to_owned(), "status".to_owned()]);
    match trial.run(argv).await {
        Ok(ran) => judge(&ran, probe, is_key_here),
        Err(error) => Finding::skip(WHAT, error.to_string()),
    }
}

fn judge(ran: &Ran, probe: &Probe, is_key_here: bool) -> Finding {
    let Ok(status) = serde_json::from_str::<Status>(&ran.stdout) else {
        let why = format!("`claude auth status` cannot be read: {}", ran.last_words());
        return Finding::skip(WHAT, why);
    };
    if !status.logged_in {
        let mut advice = LOG_IN.to_owned();
        if is_key_here && !probe.has(KEY) {
            advice.push_str(&format!("; or give tasks the key that is set here: --env {KEY}"));
        }
        return Finding::fail(WHAT, "tasks would find none", advice);
    }
    let how = match status.auth_method.as_str() {
        "oauth_token" => {
            let tokens: Vec<&str> = TOKENS.into_iter().filter(|name| probe.has(name)).collect();
            match tokens[..] {
                [] => "a token".to_owned(),
                [..] => format!("the token in {}", tokens.join(" or ")),
            }
        }
        "api_key" => {
            let source = status.api_key_source.as_deref().unwrap_or("a place that is not named");
            format!("the key in {source}")
        }
        "claude.ai" => {
            let folder =
                if probe.has("CLAUDE_CONFIG_DIR") { "$CLAUDE_CONFIG_DIR" } else { "~/.claude" };
            let subscription = status.subscription_type.as_deref().unwrap_or("unknown");
            format!("the login in {folder}/.credentials.json, subscription {subscription}")
        }
        "third_party" => format!("that of the provider {}", status.api_provider),
        other => format!("{other:?}, as the CLI calls it"),
    };
    Finding::ok(WHAT, format!("{how}; {NOT_ASKED}"))
}

/// Whether tasks get an API key that is set in this shell.
fn key(probe: &Probe, is_key_here: bool) -> Option<Finding> {
    const WHAT: &str = "api key";
    match (is_key_here, probe.has(KEY)) {
        (true, false) => Some(Finding::ok(
            WHAT,
            format!(
                "{KEY} is set here and is not passed on, so that a stale one does no harm; where it is wanted: --env {KEY}"
            ),
        )),
        (_, true) => Some(Finding::warn(
            WHAT,
            format!("tasks get {KEY}, which outranks a login"),
            "make sure that it is valid: with a stale one tasks only seem to hang",
        )),
        (false, false) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn probe(variables: &[&str]) -> Probe {
        Probe {
            variables: variables.iter().map(|name| (*name).to_owned()).collect(),
            pipe_bytes: None,
            open_files: 1024,
            most_open_files: 4096,
            most_processes: None,
        }
    }

    fn line(stdout: &str, variables: &[&str], is_key_here: bool) -> String {
        let ran = Ran {
            containment: "cgroup".to_owned(),
            stdout: stdout.to_owned(),
            stderr: String::new(),
            is_ended_by_itself: true,
        };
        judge(&ran, &probe(variables), is_key_here).line()
    }

    #[test]
    fn a_login_is_named_by_the_variable_or_the_file_that_it_comes_from() {
        let token =
            r#"{"loggedIn": true, "authMethod": "oauth_token", "apiProvider": "firstParty"}"#;
        let file =
            r#"{"loggedIn":true,"authMethod":"claude.ai","subscriptionType":"max","email":"a@b"}"#;
        let key = r#"{"loggedIn":true,"authMethod":"api_key","apiKeySource":"apiKeyHelper"}"#;
        let cloud = r#"{"loggedIn":true,"authMethod":"third_party","apiProvider":"bedrock"}"#;
        let lines = [
            line(token, &["CLAUDE_CODE_OAUTH_TOKEN"], false),
            line(token, &["ANTHROPIC_AUTH_TOKEN", "CLAUDE_CODE_OAUTH_TOKEN"], false),
            line(file, &[], false),
            line(file, &["CLAUDE_CONFIG_DIR"], false),
            line(key, &[], false),
            line(cloud, &["CLAUDE_CODE_USE_BEDROCK"], false),
            line(r#"{"loggedIn":true,"authMethod":"passkey"}"#, &[], false),
        ];
        insta::assert_snapshot!(lines.concat(), @r#"
        ok    login        the token in CLAUDE_CODE_OAUTH_TOKEN; whether the API takes it is not asked here
        ok    login        the token in ANTHROPIC_AUTH_TOKEN or CLAUDE_CODE_OAUTH_TOKEN; whether the API takes it is not asked here
        ok    login        the login in ~/.claude/.credentials.json, subscription max; whether the API takes it is not asked here
        ok    login        the login in $CLAUDE_CONFIG_DIR/.credentials.json, subscription max; whether the API takes it is not asked here
        ok    login        the key in apiKeyHelper; whether the API takes it is not asked here
        ok    login        that of the provider bedrock; whether the API takes it is not asked here
        ok    login        "passkey", as the CLI calls it; whether the API takes it is not asked here
        "#);
    }

    #[test]
    fn no_login_fails_and_a_key_that_is_not_passed_on_is_mentioned() {
        let none = r#"{"loggedIn": false, "authMethod": "none"}"#;
        assert!(line(none, &[], false).starts_with("fail"));
        assert!(!line(none, &[], false).contains("API_KEY"));
        assert!(line(none, &[], true).contains("--env ANTHROPIC_API_KEY"));
    }

    #[test]
    fn what_cannot_be_read_is_said_and_not_guessed() {
        for text in ["", "Error: unknown command", "[]", r#"{"authMethod":"none"}"#] {
            assert!(line(text, &[], false).starts_with("skip"), "{text}");
        }
    }

    #[test]
    fn a_program_that_might_take_the_question_for_a_prompt_is_not_asked() {
        let agent = |words: &[&str], version: &str| {
            let words = words.iter().map(|word| (*word).to_owned()).collect();
            Agent::of(words, cc_claude::version::Version::read(version))
        };
        assert_eq!(why_not_asked(&agent(&["/opt/bin/claude"], "2.1.332")), None);
        assert!(why_not_asked(&agent(&["/opt/bin/claude"], "2.0.1")).is_some());
        assert!(why_not_asked(&agent(&["/opt/bin/claude"], "")).is_some());
        assert!(why_not_asked(&agent(&["node", "cli.js"], "2.1.332")).is_some());
        assert!(why_not_asked(&agent(&["my-agent"], "2.1.332")).is_some());
    }

    #[test]
    fn a_key_is_only_mentioned_where_there_is_one() {
        assert_eq!(key(&probe(&[]), false), None);
        assert!(key(&probe(&[]), true).unwrap().line().starts_with("ok"));
        assert!(key(&probe(&[KEY]), true).unwrap().line().starts_with("warn"));
    }
}
