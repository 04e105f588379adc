//! `--print-default-config`: a configuration file with every setting, made from the table. Each line that sets one is
//! commented out, so that the file as it is changes nothing, and a later version's better default is not held back.

use crate::config::{
    settings::{kind::Shape, setting::AnySetting, table::GROUPS},
    shown,
};

const INTRODUCTION: &str = "\
# The configuration of cc-supervisor, with every setting and its default.
#
# It is read from /etc/cc-executor/config.toml and then from cc-executor/config.toml in $XDG_CONFIG_HOME (~/.config);
# a service has config.toml in its $CONFIGURATION_DIRECTORY instead of the latter. --config FILE names a further one.
# What comes later wins, an environment variable wins over all files, and an option of the command line over that.
#
# To change a setting, remove the # before its line. `ccx config check` finds mistakes, `ccx reload` makes a running
# supervisor read the files again, and `ccx config show --origin` says what is in force and why.
";

/// Longest line of prose.
const COLUMNS: usize = 110;

/// The file.
#[must_use]
pub(crate) fn text() -> String {
    let mut text = INTRODUCTION.to_owned();
    for (group, settings) in GROUPS {
        text.push_str(&format!("\n\n# == {group} ==\n"));
        for setting in *settings {
            text.push_str(&entry(*setting));
        }
    }
    text
}

fn entry(setting: &dyn AnySetting) -> String {
    let about = setting.about();
    let mut facts = Vec::new();
    match setting.shape() {
        Shape::Choice(words) => {
            facts.extend(words.iter().map(|(word, help)| format!("{word}: {help}")));
        }
        Shape::Text | Shape::Number | Shape::List | Shape::Switch => {
            facts.extend(setting.allowed().map(|allowed| format!("Allowed: {allowed}")));
        }
    }
    let value = shown::default(setting);
    if value.is_none() {
        let default = setting.default_text().unwrap_or_else(|| "none".to_owned());
        facts.push(format!("Default: {default}"));
    }
    if let Some(variable) = about.variable {
        let note = variable.note.map(|note| format!(" ({note})")).unwrap_or_default();
        facts.push(format!("Environment variable: {}{note}", variable.name));
    }
    if !about.is_reloadable {
        facts.push("A change takes a restart".to_owned());
    }
    let mut text = String::from("\n");
    for sentence in std::iter::once(about.help.to_owned()).chain(facts) {
        text.push_str(&prose(&format!("{sentence}.")));
    }
    match value {
        Some(value) => text.push_str(&format!("#{} = {value}\n", about.name)),
        // A space, so that this is no line to be uncommented: there is no value that means the default.
        None => text.push_str(&format!("# {} = {}\n", about.name, example(setting))),
    }
    text
}

fn example(setting: &dyn AnySetting) -> String {
    match setting.shape() {
        Shape::Number => "…".to_owned(),
        Shape::Text | Shape::Choice(_) | Shape::List | Shape::Switch => "\"…\"".to_owned(),
    }
}

/// A comment, in lines of some length.
fn prose(sentence: &str) -> String {
    let mut text = String::new();
    let mut line = String::from("#");
    for word in sentence.split(' ') {
        if line.len() + 1 + word.len() > COLUMNS {
            text.push_str(&line);
            text.push('\n');
            line = String::from("#  ");
        }
        line.push(' ');
        line.push_str(word);
    }
    text + &line + "\n"
}

#[cfg(test)]
mod tests {
    use std::{
        fs,
        path::{Path, PathBuf},
    };

    use super::*;
    use crate::config::{
        file::ConfigFile,
        origin::{Given, Origin},
        settings::table,
    };

    /// The file with every setting's line uncommented.
    fn uncommented() -> String {
        let is_setting = |line: &str| {
            let rest = line.strip_prefix('#')?;
            rest.starts_with(|first: char| first.is_ascii_lowercase()).then(|| rest.to_owned())
        };
        text()
            .lines()
            .map(|line| is_setting(line).unwrap_or_else(|| line.to_owned()) + "\n")
            .collect()
    }

    #[test]
    fn as_it_is_it_sets_nothing() {
        let file = ConfigFile::parse(Path::new("/x"), &text());
        assert!(file.mistakes.is_empty(), "{:?}", file.mistakes);
        assert!(file.settings.is_empty());
    }

    #[test]
    fn with_every_line_uncommented_it_gives_exactly_the_defaults() {
        let file = ConfigFile::parse(Path::new("/x"), &uncommented());
        assert!(file.mistakes.is_empty(), "{:?}", file.mistakes);
        for setting in table::all() {
            let name = setting.about().name;
            let given = file.settings.get(name).map(|given| given.texts.clone());
            let default = match (setting.shape(), setting.default_texts()) {
                (Shape::Switch, Some(texts)) if texts.is_empty() => Some(vec!["false".into()]),
                (_, texts) => texts,
            };
            assert_eq!(given, default, "{name}");
            if let Some(texts) = given {
                setting.check(&Given { origin: Origin::Default, texts }).unwrap();
            }
        }
    }

    #[test]
    fn the_committed_file_is_made_from_the_table() {
        let path = PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/config.toml"));
        if std::env::var_os("UPDATE_DOCS").is_some() {
            fs::write(&path, text()).unwrap();
        }
        let found = fs::read_to_string(&path).unwrap_or_default();
        assert!(
            found == text(),
            "docs/config.toml is not what the table of settings says: run \
             UPDATE_DOCS=1 cargo test -p cc-supervisor made_from_the_table"
        );
    }
}
