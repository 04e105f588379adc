//! `ccx config`: the settings of a running supervisor, or of one that would be started from here. The table of settings
//! is the supervisor's: this asks it, over the wire or by its command line.

use std::process::{Output, Stdio};

use cc_protocol::configuration::{SettingOrigin, SettingSummary, SettingsResult};
use tokio::process::Command;

use crate::{
    args::{ConfigCheckArguments, ConfigCommand, ConfigShowArguments, ServerOptions},
    connect::{RunningSupervisor, programs},
    display::terminal,
    error::CommandError,
};

/// The exit code for a configuration with mistakes.
const MISTAKES: u8 = 1;

pub(crate) async fn run(
    options: ServerOptions,
    command: ConfigCommand,
) -> Result<u8, CommandError> {
    match command {
        ConfigCommand::Show(arguments) => show(options, arguments).await,
        ConfigCommand::Check(arguments) => check(arguments).await,
        ConfigCommand::Default => {
            let output = ask_program(&["--print-default-config".into()]).await?;
            terminal::print(&String::from_utf8_lossy(&output.stdout));
            Ok(0)
        }
    }
}

async fn show(options: ServerOptions, arguments: ConfigShowArguments) -> Result<u8, CommandError> {
    let settings = if options.url.is_some() {
        let mut connection = RunningSupervisor::of(&options)?.connect().await?;
        let settings = connection.settings().await?;
        connection.close().await;
        settings
    } else {
        let output = ask_program(&["--check-config=json".into()]).await?;
        if !output.status.success() {
            return Ok(mistakes(&output));
        }
        serde_json::from_slice(&output.stdout)
            .map_err(|error| CommandError::failed(format!("cc-supervisor's settings: {error}")))?
    };
    if arguments.json {
        let line =
            |setting: &SettingSummary| serde_json::to_string(setting).unwrap_or_default() + "\n";
        terminal::print(&settings.settings.iter().map(line).collect::<String>());
    } else {
        terminal::print(&table(&settings, arguments.origin));
    }
    Ok(0)
}

async fn check(arguments: ConfigCheckArguments) -> Result<u8, CommandError> {
    let mut words = vec!["--check-config=json".into()];
    if let Some(file) = arguments.file {
        words.extend(["--config".into(), file.into_os_string()]);
    }
    let output = ask_program(&words).await?;
    // Without mistakes there may be warnings.
    let mistakes = mistakes(&output);
    if !output.status.success() {
        return Ok(mistakes);
    }
    let settings: SettingsResult = serde_json::from_slice(&output.stdout)
        .map_err(|error| CommandError::failed(format!("cc-supervisor's settings: {error}")))?;
    for file in &settings.files {
        terminal::print(&format!("{file}: no mistakes\n"));
    }
    if settings.files.is_empty() {
        terminal::print("there is no configuration file; the environment has no mistakes\n");
    }
    Ok(0)
}

async fn ask_program(words: &[std::ffi::OsString]) -> Result<Output, CommandError> {
    let program = programs::find_companion("cc-supervisor")?;
    let mut command = Command::new(&program);
    command.args(words).stdin(Stdio::null()).kill_on_drop(true);
    command.output().await.map_err(CommandError::io(format!("cannot run {}", program.display())))
}

/// Passes on what cc-supervisor says of the configuration.
fn mistakes(output: &Output) -> u8 {
    for line in String::from_utf8_lossy(&output.stderr).lines() {
        terminal::note(line);
    }
    MISTAKES
}

/// A configuration file with the same settings, but for secrets.
fn table(settings: &SettingsResult, has_origins: bool) -> String {
    let mut text = String::new();
    let mut group = "";
    for setting in &settings.settings {
        if setting.group != group {
            let gap = if group.is_empty() { "" } else { "\n" };
            group = &setting.group;
            text.push_str(&format!("{gap}# {group}\n"));
        }
        let value = match &setting.value {
            Some(value) => format!("{} = {value}", setting.setting),
            None => format!("# {}: not shown, or none", setting.setting),
        };
        let origin =
            if has_origins { format!("  # {}", origin(&setting.origin)) } else { String::new() };
        text.push_str(&format!("{value}{origin}\n"));
    }
    text
}

fn origin(origin: &SettingOrigin) -> String {
    match origin {
        SettingOrigin::Default => "default".to_owned(),
        SettingOrigin::File { path, line } => format!("{path}:{line}"),
        SettingOrigin::Environment { variable } => format!("environment variable {variable}"),
        SettingOrigin::Option { option } => format!("option {option}"),
    }
}
