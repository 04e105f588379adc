//! `--check-config`: every setting with its value and where that comes from, or all mistakes.
//!
//! What is printed is a configuration file with the same settings. A secret is never printed.

use std::path::Path;

use crate::config::{
    Config,
    command_line::Arguments,
    error::{ConfigError, PathError},
    live::Live,
    machine::{self, Machine},
    origin::{Given, Lookup, Origin},
    programs,
    settings::{
        setting::AnySetting,
        table::{self, GROUPS},
    },
    shown,
    sources::Sources,
    values::Values,
};

/// The effective settings as text.
///
/// # Errors
/// All mistakes: those of the file in the order of its lines, then the others.
pub(crate) fn check(arguments: Arguments, lookup: Lookup<'_>) -> Result<String, Vec<ConfigError>> {
    let mut values = Values::gather(arguments, lookup)?;
    let mut mistakes = values.take_mistakes();
    mistakes.extend(wrong_values(&values));
    let machine = match Machine::examine(&values) {
        Ok(machine) => Some(machine),
        Err(found) => {
            // A value that cannot be read is among the mistakes.
            mistakes.extend(found.into_iter().filter(|mistake| !mistake.is_of_value()));
            None
        }
    };
    mistakes.extend(unusable_state_dir(&values));
    let Some(machine) = machine.filter(|_| mistakes.is_empty()) else {
        return Err(in_order(&values, mistakes));
    };
    let config = Config::resolve(&values, machine).map_err(|error| vec![error])?;
    effective(&values, &config).map_err(|error| vec![error])
}

/// What is not there now and may come later, for a configuration without mistakes: programs that tasks run, and directories
/// in which they may.
pub(crate) fn warnings(arguments: Arguments, lookup: Lookup<'_>) -> Vec<String> {
    let Ok(values) = Values::gather(arguments, lookup) else { return Vec::new() };
    let Ok(machine) = Machine::examine(&values) else { return Vec::new() };
    let Ok(config) = Config::resolve(&values, machine) else { return Vec::new() };
    let search = values.variable("PATH").unwrap_or_default();
    let is_missing = |program: &String| programs::find(program, search.as_ref()).is_none();
    let warning = |setting: &dyn AnySetting, what: String, problem: &str| {
        let name = setting.about().name;
        let origin = values.given(setting).ok()?.map(|given| given.origin.of(name))?;
        Some(format!("warning: {origin}: {what}: {problem}"))
    };
    let not_found = |setting: &dyn AnySetting, program: &String| {
        warning(setting, program.clone(), "is no program that is found now")
    };
    let agent = config.agent.first().filter(|program| is_missing(program));
    let alert = config.alert_command.as_deref().and_then(first_program).filter(&is_missing);
    let commands = config.allowed_commands.iter().filter(|program| is_missing(program));
    let directories = config.allowed_directories.iter().filter(|directory| !directory.is_dir());
    agent
        .and_then(|program| not_found(&table::AGENT, program))
        .into_iter()
        .chain(alert.and_then(|program| not_found(&table::ALERT_COMMAND, &program)))
        .chain(commands.filter_map(|program| not_found(&table::ALLOW_COMMAND, program)))
        .chain(directories.filter_map(|directory| {
            let shown = directory.display().to_string();
            warning(&table::ALLOW_DIR, shown, "is no directory that is there now")
        }))
        .collect()
}

/// The program that a line of the shell begins with, where the first word names one.
fn first_program(line: &str) -> Option<String> {
    const OF_THE_SHELL: [&str; 20] = [
        ".", ":", "case", "cd", "command", "eval", "exec", "export", "for", "if", "read", "set",
        "shift", "trap", "ulimit", "umask", "unset", "until", "wait", "while",
    ];
    let word = line.split_whitespace().next()?;
    let is_plain = |character: char| character.is_alphanumeric() || "/._+-".contains(character);
    let is_program = word.chars().all(is_plain) && !OF_THE_SHELL.contains(&word);
    is_program.then(|| word.to_owned())
}

/// Why the state directory cannot be used, or made: that is tried beside it, and leaves nothing.
fn unusable_state_dir(values: &Values<'_>) -> Option<ConfigError> {
    let path = machine::state_dir(values).ok()?;
    let problem = if path.exists() {
        PathError::from(std::fs::read_dir(&path).err()?)
    } else {
        let parent = path.ancestors().skip(1).find(|parent| parent.exists())?;
        let trial = parent.join(format!(".cc-executor-check-{}", std::process::id()));
        let made = std::fs::create_dir(&trial).and_then(|()| std::fs::remove_dir(&trial));
        PathError::CannotBeMade { parent: parent.to_owned(), error: made.err()? }
    };
    let given = values.given(&table::STATE_DIR).ok()?;
    let origin = given.map_or(Origin::Default, |given| given.origin);
    let origin = origin.of(table::STATE_DIR.about().name);
    Some(ConfigError::Path { origin, path, problem })
}

/// The same for programs: an object of JSON, as `supervisor.settings` answers.
///
/// # Errors
/// As [`check`].
pub(crate) fn check_json(arguments: Arguments) -> Result<String, Vec<ConfigError>> {
    check(arguments.clone(), &|name| std::env::var_os(name))?;
    let settings = Live::load(Sources::of_process(arguments))?.settings();
    Ok(serde_json::json!(settings).to_string() + "\n")
}

/// Those of the files in the order of files and lines, then the others.
fn in_order(values: &Values<'_>, mut mistakes: Vec<ConfigError>) -> Vec<ConfigError> {
    let files: Vec<&Path> = values.files().collect();
    mistakes.sort_by_key(|mistake| match mistake.place() {
        Some(place) => (files.iter().position(|path| *path == place.path), place.line),
        None => (Some(files.len()), 0),
    });
    mistakes
}

/// The mistakes of single values; those of the files also where another source is used instead.
fn wrong_values(values: &Values<'_>) -> Vec<ConfigError> {
    let mut mistakes = Vec::new();
    for setting in table::all() {
        let of_files: Vec<Given> = values.of_files(setting).cloned().collect();
        let used = match values.given(setting) {
            Ok(used) => used.filter(|used| !of_files.contains(used)),
            Err(mistake) => {
                mistakes.push(mistake);
                None
            }
        };
        for given in of_files.into_iter().chain(used) {
            mistakes.extend(setting.check(&given).err());
        }
    }
    mistakes
}

fn effective(values: &Values<'_>, config: &Config) -> Result<String, ConfigError> {
    let mut lines = Vec::new();
    for (group, settings) in GROUPS {
        if !lines.is_empty() {
            lines.push(String::new());
        }
        lines.push(format!("# {group}"));
        for setting in *settings {
            lines.push(line(*setting, values.given(*setting)?, config));
        }
    }
    Ok(lines.join("\n") + "\n")
}

fn line(setting: &dyn AnySetting, given: Option<Given>, config: &Config) -> String {
    let name = setting.about().name;
    if let Some(given) = given {
        let source = source(&given.origin);
        return match shown::value(setting, &given) {
            Some(value) => format!("{name} = {value}  # {source}"),
            None => format!("# {name}: the {source} has the secret itself"),
        };
    }
    let found = shown::found(setting, config).or_else(|| shown::default(setting));
    match (found, setting.default_text()) {
        (Some(default), _) => format!("{name} = {default}  # default"),
        (None, Some(computed)) => format!("# {name}: {computed}  # default"),
        (None, None) => format!("# {name}: none  # default"),
    }
}

fn source(origin: &Origin) -> String {
    match origin {
        Origin::Argument => "command line".to_owned(),
        Origin::Variable(variable) => format!("environment variable {variable}"),
        Origin::File(place) => place.to_string(),
        Origin::Default => "default".to_owned(),
    }
}

/// A configuration file is checked without a panic: its syntax, its keys and every value.
#[cfg(fuzzing)]
pub fn fuzz_settings(text: &str) {
    let file = crate::config::file::ConfigFile::parse(Path::new("fuzz.toml"), text);
    let mut values = Values::of_file(file);
    let mut mistakes = values.take_mistakes();
    mistakes.extend(wrong_values(&values));
    for mistake in in_order(&values, mistakes) {
        assert!(!mistake.to_string().is_empty());
    }
}
