//! Values as a configuration file has them. A secret is never among them: the setting of a token is the path of a file.

use crate::config::{
    origin::{Given, Origin},
    settings::{kind::Shape, setting::AnySetting},
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

pub(super) fn is_secret(setting: &dyn AnySetting, origin: &Origin) -> bool {
    matches!(origin, Origin::Variable(_)) && setting.about().variable.is_some_and(|it| it.is_secret)
}

/// A basic string of TOML, whose escapes are those of JSON.
fn quoted(text: &str) -> String {
    serde_json::Value::from(text).to_string().replace('\u{7f}', "\\u007f")
}
