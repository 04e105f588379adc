//! `docs/configuration.md`, made from the table of settings.

use std::{fmt::Write as _, fs, path::PathBuf};

use crate::config::settings::{kind::Shape, setting::AnySetting, table::GROUPS};

const INTRODUCTION: &str = "\
<!-- Made from supervisor/src/config/settings/table.rs: UPDATE_DOCS=1 cargo test -p cc-supervisor reference_page -->

# The settings of cc-supervisor

Each setting is an option of the command line (`--max-tasks 50`) and a key of the configuration file (`max-tasks = 50`). Some have
an environment variable, most of them those of the predecessor. An option wins over the variable, the variable over the file, the
file over the default. An empty variable counts as none.

`--config FILE` names the configuration file. It is TOML, without sections; the keys are the names below, with `-`:

```toml
max-tasks = 50
idle-timeout = 600
on-stop = \"keep-tasks\"
allow-command = [\"claude\", \"git\"]
```

Numbers stand without quotes, texts in quotes, lists in brackets; a switch is `true` or `false`, and one that the file sets cannot be
unset by an option. Relative paths start at the working directory of the supervisor. There is no default place: without `--config` no
file is read. It must be a regular file of at most 256 KiB; the token file may also be a pipe, with at most 64 KiB.

`--check-config` prints every setting with its value and where that comes from, as a configuration file, and exits with 0; or it
prints all mistakes, those of the file in the order of its lines, and exits with 1; of more than 100 in the file it describes the first
100. It also looks for the files, directories and programs that the settings name. It starts nothing and never prints the token. Run it
with the environment of the service and the same options. Settings are read at the start: a change takes a restart.

A request can have its own value for some of the limits of tasks, within the same bounds: [protocol.md](protocol.md).
";

fn page() -> String {
    let mut page = INTRODUCTION.to_owned();
    for (group, settings) in GROUPS {
        write!(page, "\n## {group}\n\n").unwrap();
        page.push_str("| setting | value | default | allowed | environment variable | meaning |\n");
        page.push_str("|---|---|---|---|---|---|\n");
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
    let meaning = about.help.replace("*", "`*`");
    format!(
        "| `{}` | {value} | {default} | {allowed} | {variable} | {meaning}{words} |\n",
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
