//! Values as a configuration file has them. A secret is never among them: the setting of a token is the path of a file.

use std::path::Path;

use crate::config::{
    Config,
    origin::{Given, Origin},
    settings::{
        kind::Shape,
        setting::{AnySetting, Computed, Setting},
        table,
    },
};

/// The value as TOML has it; `None` where the text is a secret.
pub(super) fn value(setting: &dyn AnySetting, given: &Given) -> Option<String> {
    if is_secret(setting, &given.origin) {
        return None;
    }
    let text = || given.texts.last().map(|text| text.to_string_lossy()).unwrap_or_default();
    Some(match setting.shape() {
        Shape::Number => text().trim().to_owned(),
        Shape::Switch => if text() == "true" { "true" } else { "false" }.to_owned(),
        Shape::Text | Shape::Choice(_) => quoted(&text()),
        Shape::List => {
            let texts = given.texts.iter().map(|text| quoted(&text.to_string_lossy()));
            format!("[{}]", texts.collect::<Vec<_>>().join(", "))
        }
    })
}

/// The value of the default, where it is fixed.
pub(super) fn default(setting: &dyn AnySetting) -> Option<String> {
    value(setting, &Given { origin: Origin::Default, texts: setting.default_texts()? })
}

/// What this machine has for a default that depends on it.
pub(super) fn found(setting: &dyn AnySetting, config: &Config) -> Option<String> {
    let computed: [(&str, &Path); 3] = [
        (name(&table::STATE_DIR), &config.state_dir),
        (name(&table::WORKER), &config.worker),
        (name(&table::CWD), &config.task.cwd),
    ];
    let found = computed.into_iter().find(|(name, _)| *name == setting.about().name);
    let texts = vec![found?.1.as_os_str().to_owned()];
    value(setting, &Given { origin: Origin::Default, texts })
}

fn name<K>(setting: &'static Setting<K, Computed>) -> &'static str
where
    Setting<K, Computed>: AnySetting,
{
    setting.about().name
}

fn is_secret(setting: &dyn AnySetting, origin: &Origin) -> bool {
    matches!(origin, Origin::Variable(_)) && setting.about().variable.is_some_and(|it| it.is_secret)
}

/// A basic string of TOML, whose escapes are those of JSON.
fn quoted(text: &str) -> String {
    serde_json::Value::from(text).to_string().replace('\u{7f}', "\\u007f")
}
