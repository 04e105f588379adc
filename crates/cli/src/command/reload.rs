//! `ccx reload`: has a running supervisor read its configuration again, and says what has changed.

use cc_client::Error;
use cc_protocol::{
    configuration::{ReloadResult, SettingChange},
    error::ErrorCode,
};
use serde_json::Value;

use crate::{
    args::{ReloadArguments, ServerOptions},
    connect::RunningSupervisor,
    display::terminal,
    error::CommandError,
};

/// The exit code for a configuration with mistakes.
const MISTAKES: u8 = 1;

pub(crate) async fn run(
    options: ServerOptions,
    arguments: ReloadArguments,
) -> Result<u8, CommandError> {
    let mut connection = RunningSupervisor::of(&options)?.connect().await?;
    let outcome = connection.reload().await;
    connection.close().await;
    match outcome {
        Ok(result) if arguments.json => {
            terminal::print(&(serde_json::to_string(&result).unwrap_or_default() + "\n"));
            Ok(0)
        }
        Ok(result) => {
            terminal::print(&text(&result));
            Ok(0)
        }
        Err(Error::Server(error)) if error.code == ErrorCode::ConfigurationInvalid.code() => {
            let mistakes = error.data.get("mistakes").and_then(Value::as_array);
            for mistake in mistakes.into_iter().flatten().filter_map(Value::as_str) {
                terminal::note(&format!("ccx: {mistake}"));
            }
            terminal::note("ccx: nothing has changed; `ccx config check` finds all mistakes");
            Ok(MISTAKES)
        }
        Err(error) => Err(error.into()),
    }
}

fn text(result: &ReloadResult) -> String {
    let files = match result.files[..] {
        [] => "no configuration file".to_owned(),
        [..] => result.files.join(", "),
    };
    let mut text = format!("read: {files}\n");
    if result.tokens > 0 {
        text.push_str(&format!("tokens: {}\n", result.tokens));
    }
    if result.changed.is_empty() {
        text.push_str("no setting has changed that a reload changes\n");
    }
    for change in &result.changed {
        text.push_str(&format!("{}\n", line(change)));
    }
    for change in &result.needs_restart {
        text.push_str(&format!("{}; takes a restart, the old value is in force\n", line(change)));
    }
    text
}

fn line(change: &SettingChange) -> String {
    let shown = |value: &Option<String>| value.clone().unwrap_or_else(|| "none".to_owned());
    format!("{}: {} -> {}", change.setting, shown(&change.from), shown(&change.to))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_has_changed_and_what_takes_a_restart_is_said_line_by_line() {
        let change = |setting: &str, from: Option<&str>, to: Option<&str>| SettingChange {
            setting: setting.to_owned(),
            from: from.map(str::to_owned),
            to: to.map(str::to_owned),
        };
        let result = ReloadResult {
            files: vec!["/etc/cc-executor/config.toml".to_owned()],
            changed: vec![change("max-tasks", Some("200"), Some("50"))],
            needs_restart: vec![change("cgroup", Some("\"auto\""), None)],
            tokens: 2,
        };
        insta::assert_snapshot!(text(&result), @r#"
        read: /etc/cc-executor/config.toml
        tokens: 2
        max-tasks: 200 -> 50
        cgroup: "auto" -> none; takes a restart, the old value is in force
        "#);
        let unchanged = text(&ReloadResult::default());
        assert!(unchanged.contains("no configuration file"), "{unchanged}");
        assert!(unchanged.contains("no setting has changed"), "{unchanged}");
    }
}
