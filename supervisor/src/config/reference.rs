//! `docs/configuration.md`, made from the table of settings.

use std::{fmt::Write as _, fs, path::PathBuf};

use crate::config::settings::{kind::Shape, setting::AnySetting, table::GROUPS};

const INTRODUCTION: &str = "\
<!-- Made from supervisor/src/config/settings/table.rs: UPDATE_DOCS=1 cargo test -p cc-supervisor reference_page -->

# The settings of cc-supervisor

Each setting is an option of the command line (`--max-tasks 50`) and a key of a configuration file (`max-tasks = 50`). Some have an
environment variable, most of them those of the predecessor. What is further down wins:

| source | |
|---|---|
| the default | |
| the file of the system | `/etc/cc-executor/config.toml`, or what `CC_EXECUTOR_SYSTEM_CONFIG` names |
| the file of the user | `cc-executor/config.toml` in `$XDG_CONFIG_HOME`, else in `~/.config`; in a service `config.toml` in its `$CONFIGURATION_DIRECTORY` instead |
| `--config FILE` | must exist |
| the environment variable | an empty one counts as none |
| the option | |

A file is TOML, without sections; the keys are the names below, with `-`. [config.toml](config.toml) has all of them with their
defaults, each line commented out; `ccx config default` prints it.

```toml
max-tasks = 50
idle-timeout = 600
on-stop = \"keep-tasks\"
allow-command = [\"claude\"]
```

Numbers stand without quotes, texts in quotes, lists in brackets; a switch is `true` or `false`, and one that a file sets cannot be
unset by an option. Relative paths start at the working directory of the supervisor. A file must be a regular one of at most 256 KiB.
The files of the system and of the user are used where they exist. Nobody names them, so they are refused unless they belong to root or
to the user who runs the supervisor, and nobody else may write them or the directory that they are in. `--no-config`, or the variable
`CC_EXECUTOR_NO_CONFIG` with any value, leaves both out.

The supervisor that `ccx run` or `ccx batch` starts for itself reads the same files, but takes from those of the system and the user
only what concerns tasks and batches (it is started with `--private`): where a service listens, which tokens it wants and where its
state is concerns that service, and would make `ccx` refuse to talk to its own supervisor.

| | |
|---|---|
| `ccx config show --origin` | every setting with its value and where that comes from; with `--url` those in force in a running supervisor |
| `ccx config check [FILE]` | finds all mistakes; unknown keys are among them, with what was probably meant |
| `cc-supervisor --check-config` | the same for the options that are given beside it, as a configuration file or as a list of mistakes |
| `ccx reload`, SIGHUP, `systemctl reload` | a running supervisor reads its files and tokens again |

A check looks for the files, directories and programs that the settings name, too. What may come later (the agent, the alert command,
allowed commands and directories) is a warning on standard error. It starts nothing and never prints a token. Run it with the
environment of the service. Of more than 100 mistakes in a file it describes the first 100.

A reload changes the settings that the tables below mark with *reload*, for the tasks and connections that begin afterwards. What is
marked with *restart* keeps its value, and the answer names it. If anything is wrong with any of the sources, nothing changes: the
mistake is answered and logged with its line, and `/healthz` shows it until a reload succeeds. The command line and the environment
stay what they were at the start. A reload never leaves a supervisor that listens beyond loopback without a token.

A request can have its own value for some of the limits of tasks, within the same bounds: [protocol.md](protocol.md).
";

fn page() -> String {
    let mut page = INTRODUCTION.to_owned();
    for (group, settings) in GROUPS {
        write!(page, "\n## {group}\n\n").unwrap();
        page.push_str(
            "| setting | value | default | allowed | environment variable | change | meaning |\n",
        );
        page.push_str("|---|---|---|---|---|---|---|\n");
        for setting in *settings {
            page.push_str(&row(*setting));
        }
    }
    page
}

fn row(setting: &dyn AnySetting) -> String {
    let about = setting.about();
    let (value, allowed, words) = match setting.shape() {
        Shape::Switch => ("switch".to_owned(), None, String::new()),
        Shape::Choice(words) => {
            let names: Vec<_> = words.iter().map(|(word, _)| format!("`{word}`")).collect();
            let meanings = words.iter().map(|(word, help)| format!(". `{word}`: {help}"));
            ("word".to_owned(), Some(names.join(", ")), meanings.collect())
        }
        Shape::Text | Shape::Number | Shape::List => (
            code(setting.value_name()),
            setting.allowed().map(|text| sized(setting, &text)),
            String::new(),
        ),
    };
    let default = match (setting.shape(), setting.default_text()) {
        (Shape::Switch, _) => "off".to_owned(),
        (_, None) => "–".to_owned(),
        (_, Some(text)) if setting.default_texts().is_some() => sized(setting, &code(&text)),
        (_, Some(computed)) => computed,
    };
    let variable = about.variable.map_or("–".to_owned(), |variable| {
        let note = variable.note.map(|note| format!(" ({note})")).unwrap_or_default();
        format!("`{}`{note}", variable.name)
    });
    let allowed = allowed.unwrap_or_else(|| "–".to_owned());
    let change = if about.is_reloadable { "reload" } else { "restart" };
    let meaning = about.help.replace("*", "`*`");
    format!(
        "| `{}` | {value} | {default} | {allowed} | {variable} | {change} | {meaning}{words} |\n",
        about.name
    )
}

fn code(text: &str) -> String {
    format!("`{}`", text.replace('|', "\\|"))
}

/// Adds what a number of bytes is in larger units.
fn sized(setting: &dyn AnySetting, text: &str) -> String {
    let units = [(1_u64 << 60, "EiB"), (1 << 30, "GiB"), (1 << 20, "MiB"), (1 << 10, "KiB")];
    let digits = text.rsplit(' ').next().unwrap_or_default().trim_matches('`');
    let bytes = digits.parse::<u64>().ok().filter(|_| setting.value_name() == "BYTES");
    let whole = |(size, unit): (u64, &str)| {
        let bytes = bytes?;
        (bytes > 0 && bytes % size == 0).then(|| format!("{text} ({} {unit})", bytes / size))
    };
    units.into_iter().find_map(whole).unwrap_or_else(|| text.to_owned())
}

#[test]
fn the_reference_page_is_made_from_the_table() {
    let path = PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/configuration.md"));
    if std::env::var_os("UPDATE_DOCS").is_some() {
        fs::write(&path, page()).unwrap();
    }
    let found = fs::read_to_string(&path).unwrap_or_default();
    assert!(
        found == page(),
        "docs/configuration.md is not what the table of settings says: run \
         UPDATE_DOCS=1 cargo test -p cc-supervisor reference_page"
    );
}
