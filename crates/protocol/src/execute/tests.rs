use serde_json::json;

use super::*;

fn read(params: Value) -> Result<Execute, ErrorObject> {
    let Value::Object(params) = params else { panic!("no object") };
    Execute::from_params(params)
}

#[test]
fn old_clients_may_send_what_nobody_knows_and_are_told() {
    let execute =
        read(json!({"command": "ls", "model": "x", "temperature": 1, "timeout": 5})).unwrap();
    assert_eq!(execute.ignored_params, ["model", "temperature"]);
    assert_eq!(execute.timeout, Some(5.0));
}

#[test]
fn a_misspelt_limit_is_never_silently_no_limit() {
    let error = read(json!({"argv": ["ls"], "timeuot": 5})).unwrap_err();
    assert_eq!(error.code, -32602);
    assert!(
        error.message.contains("timeuot") && error.message.contains("\"timeout\""),
        "{}",
        error.message
    );
    assert!(read(json!({"command": "ls", "cwd": "/", "idel_timeout": 5})).is_err());
}

#[test]
fn exactly_one_form_is_taken() {
    for params in [json!({}), json!({"timeout": 1}), json!({"command": "a", "argv": ["b"]})] {
        assert_eq!(read(params).unwrap_err().code, -32602);
    }
}

#[test]
fn wrong_types_and_ranges_are_named() {
    for (params, field) in [
        (json!({"command": 5}), "command"),
        (json!({"command": "  "}), "command"),
        (json!({"command": "a\u{0}b"}), "command"),
        (json!({"argv": []}), "argv"),
        (json!({"argv": "ls"}), "argv"),
        (json!({"command": "a", "timeout": "5"}), "timeout"),
        (json!({"command": "a", "timeout": -1}), "timeout"),
        (json!({"command": "a", "timeout": 0}), "timeout"),
        (json!({"argv": ["a"], "env": {"A=B": "c"}}), "env"),
        (json!({"argv": ["a"], "model": "m"}), "model"),
        (json!({"prompt": ""}), "prompt"),
        (json!({"prompt": " \t\r\n\u{a0}\u{3000}"}), "prompt"),
        (json!({"prompt": "\u{feff}\u{200b}\u{2060}\u{0}"}), "prompt"),
        (json!({"prompt": "a", "resume_claude_session": "-x"}), "resume_claude_session"),
        (json!({"prompt": "a", "resume_claude_session": " "}), "resume_claude_session"),
        (json!({"argv": ["a"], "max_line_bytes": 0}), "max_line_bytes"),
    ] {
        let error = read(params.clone()).unwrap_err();
        assert_eq!(error.data["field"], field, "{params}");
    }
}

#[test]
fn a_text_is_blank_only_where_nothing_of_it_can_be_seen() {
    for (text, expected) in [
        ("", true),
        ("\u{2003}\u{85}\u{200d}", true),
        (".", false),
        ("\u{a0}x", false),
        ("é", false),
        ("\u{1f44d}\u{fe0f}", false),
    ] {
        assert_eq!(is_blank(text), expected, "{text:?}");
    }
}

#[test]
fn what_a_rust_client_sends_is_read_back_the_same() {
    let execute = Execute {
        program: Program::Prompt(Box::new(Prompt {
            prompt: "hi".into(),
            allowed_tools: vec!["Bash".into()],
            ..Prompt::default()
        })),
        timeout: Some(1.5),
        env: BTreeMap::from([("A".to_owned(), Some("b".to_owned())), ("C".to_owned(), None)]),
        ..Execute::default()
    };
    assert_eq!(read(serde_json::to_value(&execute).unwrap()).unwrap(), execute);
}
