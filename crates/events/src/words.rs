//! The words of the events are listed completely: what explains or shows every one of them goes by the lists.

use serde::de::DeserializeOwned;
use serde_json::json;

use crate::{EndReason, Verdict, WarningKind};

/// The words that serde takes: it names them all when it refuses another one.
fn words_of<T: DeserializeOwned>() -> Vec<String> {
    let Err(error) = T::deserialize(json!("no such word")) else { panic!("it is one") };
    let message = error.to_string();
    message.split('`').skip(1).step_by(2).skip(1).map(str::to_owned).collect()
}

#[test]
fn the_lists_have_every_word_as_it_is_on_the_wire() {
    assert_eq!(EndReason::ALL.map(EndReason::as_str).to_vec(), words_of::<EndReason>());
    assert_eq!(Verdict::ALL.map(Verdict::as_str).to_vec(), words_of::<Verdict>());
    assert_eq!(WarningKind::ALL.map(WarningKind::as_str).to_vec(), words_of::<WarningKind>());
}
