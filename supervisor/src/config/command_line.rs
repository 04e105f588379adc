//! The command line, made from the table of settings.
//!
//! Every value stays a text here. It is read where all sources come together, so that an error names its source.

use std::{collections::BTreeMap, ffi::OsString, path::PathBuf};

use clap::{
    Arg, ArgAction, ArgMatches, Command,
    builder::{PossibleValue, PossibleValuesParser},
};

use crate::config::settings::{
    kind::Shape,
    setting::AnySetting,
    table::{self, GROUPS},
};

/// The options that are no settings: they cannot stand in the configuration file.
const CONFIG: &str = "config";
const NO_CONFIG: &str = "no-config";
const PRIVATE: &str = "private";
const CHECK_CONFIG: &str = "check-config";
const PRINT_DEFAULT_CONFIG: &str = "print-default-config";
const TOML: &str = "toml";
const JSON: &str = "json";

/// What can be asked for instead of serving.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Question {
    /// The settings as a configuration file, or all mistakes.
    Check,
    /// The same for programs: an object of JSON.
    CheckJson,
    /// A configuration file with all defaults.
    DefaultFile,
}

/// The command line as typed.
#[derive(Clone, Debug, Default)]
pub(crate) struct Arguments {
    /// The configuration file.
    pub(crate) config: Option<PathBuf>,
    /// The files of the system and of the user are read, where they are there.
    pub(crate) has_default_files: bool,
    /// This supervisor serves one client that has started it: those files have no say about listening, state and stops.
    pub(crate) is_private: bool,
    /// What is asked for instead of serving.
    pub(crate) question: Option<Question>,
    /// The texts of each setting that is given, by its name.
    pub(crate) settings: BTreeMap<&'static str, Vec<OsString>>,
}

impl Arguments {
    /// Reads the command line of this process. Ends the process where it is wrong, or asks for help or the version.
    pub(crate) fn from_process() -> Self {
        Self::of(&command().get_matches())
    }

    #[cfg(any(test, fuzzing))]
    pub(crate) fn from_words<W: Into<OsString> + Clone>(
        words: impl IntoIterator<Item = W>,
    ) -> Self {
        let matches = command()
            .no_binary_name(true)
            .try_get_matches_from(words)
            .unwrap_or_else(|error| error.exit());
        // The files of this machine are no business of a unit test.
        Self { has_default_files: false, ..Self::of(&matches) }
    }

    fn of(matches: &ArgMatches) -> Self {
        let given = |setting: &'static dyn AnySetting| {
            let name = setting.about().name;
            Some((name, texts(matches, name, &setting.shape())?))
        };
        Self {
            config: matches.get_one(CONFIG).cloned(),
            has_default_files: !matches.get_flag(NO_CONFIG),
            is_private: matches.get_flag(PRIVATE),
            question: question(matches),
            settings: table::all().filter_map(given).collect(),
        }
    }
}

fn question(matches: &ArgMatches) -> Option<Question> {
    let form = matches.get_one::<String>(CHECK_CONFIG).map(String::as_str);
    match form {
        Some(JSON) => Some(Question::CheckJson),
        Some(_) => Some(Question::Check),
        None => matches.get_flag(PRINT_DEFAULT_CONFIG).then_some(Question::DefaultFile),
    }
}

fn texts(matches: &ArgMatches, name: &str, shape: &Shape) -> Option<Vec<OsString>> {
    match shape {
        Shape::Switch => matches.get_flag(name).then(|| vec!["true".into()]),
        Shape::Choice(_) => {
            let words: Option<_> = matches.get_many::<String>(name);
            words.map(|words| words.map(OsString::from).collect())
        }
        Shape::Text | Shape::Number | Shape::List => {
            matches.get_many::<OsString>(name).map(|texts| texts.cloned().collect())
        }
    }
}

/// The parser.
pub(crate) fn command() -> Command {
    let file = Arg::new(CONFIG)
        .long(CONFIG)
        .value_name("FILE")
        .value_parser(clap::value_parser!(PathBuf))
        .help("A TOML file with settings, named as these options are, without --; it wins over those of the user and the system");
    let no_config = Arg::new(NO_CONFIG)
        .long(NO_CONFIG)
        .action(ArgAction::SetTrue)
        .help("Do not read the files of the user and the system [environment: CC_EXECUTOR_NO_CONFIG, whatever it holds]");
    let private = Arg::new(PRIVATE).long(PRIVATE).action(ArgAction::SetTrue).help(
        "Of those files take only the settings of tasks and batches; ccx starts a supervisor of its own so",
    );
    let forms = [PossibleValue::new(TOML).hide(true), PossibleValue::new(JSON).hide(true)];
    let check = Arg::new(CHECK_CONFIG)
        .long(CHECK_CONFIG)
        .num_args(0..=1)
        .require_equals(true)
        .value_name("json")
        .default_missing_value(TOML)
        .value_parser(PossibleValuesParser::new(forms))
        .help("Print every setting with its value and where that comes from, or all mistakes, and exit");
    let default_file = Arg::new(PRINT_DEFAULT_CONFIG)
        .long(PRINT_DEFAULT_CONFIG)
        .action(ArgAction::SetTrue)
        .conflicts_with(CHECK_CONFIG)
        .help(
            "Print a configuration file with every setting, its default and its limits, and exit",
        );
    let mut command = Command::new("cc-supervisor")
        .version(env!("CARGO_PKG_VERSION"))
        .about("Runs tasks for its clients: one fresh worker process for every task")
        .args([file, no_config, private, check, default_file]);
    for (group, settings) in GROUPS {
        command = command.next_help_heading(*group);
        command = command.args(settings.iter().map(|setting| argument(*setting)));
    }
    command
}

fn argument(setting: &'static dyn AnySetting) -> Arg {
    let about = setting.about();
    let argument = Arg::new(about.name).long(about.name).help(help(setting));
    let valued = |argument: Arg| argument.value_name(setting.value_name());
    match setting.shape() {
        Shape::Switch => argument.action(ArgAction::SetTrue),
        Shape::List => {
            valued(argument).action(ArgAction::Append).value_parser(clap::value_parser!(OsString))
        }
        Shape::Text | Shape::Number => valued(argument).value_parser(clap::value_parser!(OsString)),
        Shape::Choice(words) => {
            let words = words.into_iter().map(|(word, help)| PossibleValue::new(word).help(help));
            valued(argument).value_parser(PossibleValuesParser::new(words))
        }
    }
}

/// The help text, with the default, the bounds and the variable.
fn help(setting: &dyn AnySetting) -> String {
    let about = setting.about();
    let default = setting.default_text().map(|default| format!("default: {default}"));
    let variable = about.variable.map(|variable| {
        let note = variable.note.map(|note| format!(", {note}")).unwrap_or_default();
        format!("environment: {}{note}", variable.name)
    });
    let allowed = setting.allowed().map(|allowed| format!("allowed: {allowed}"));
    let facts: Vec<String> = [default, allowed, variable].into_iter().flatten().collect();
    if facts.is_empty() {
        about.help.to_owned()
    } else {
        format!("{} [{}]", about.help, facts.join("; "))
    }
}
