//! The scanner against a JSON library, over members in any order, cut at every byte.

use std::sync::LazyLock;

use proptest::prelude::*;
use serde_json::{Value as Json, json};

use super::{
    kept::{KEPT_BYTES_LIMIT, ROOM_KEPT_BYTES, VALUES_LIMIT},
    *,
};

static PATHS: LazyLock<Paths> = LazyLock::new(|| {
    let wanted = [
        Wanted { path: "type", keep: Keep::Scalar(100) },
        Wanted { path: "n", keep: Keep::Scalar(100) },
        Wanted { path: "any", keep: Keep::Any(10_000) },
        Wanted { path: "texts", keep: Keep::Each(100) },
        Wanted { path: "outer.type", keep: Keep::Scalar(100) },
        Wanted { path: "outer.blocks.id", keep: Keep::Scalar(100) },
        Wanted { path: "outer.blocks.kind", keep: Keep::Scalar(100) },
    ];
    Paths::new(&wanted, |name| name == "known")
});

fn scan_in_pieces(line: &[u8], piece_bytes: usize) -> (Shape, Vec<(&'static str, u32, String)>) {
    let mut scanner = Scanner::new(&PATHS);
    scanner.restart();
    for piece in line.chunks(piece_bytes.max(1)) {
        scanner.walk(piece);
    }
    let shape = scanner.finish();
    let found = scanner
        .values()
        .map(|value| (value.path, value.object, String::from_utf8_lossy(value.raw).into_owned()));
    (shape, found.collect())
}

fn raw_of<'a>(found: &'a [(&'static str, u32, String)], path: &str) -> Vec<&'a str> {
    found.iter().filter(|(found, ..)| *found == path).map(|(.., raw)| raw.as_str()).collect()
}

#[test]
fn a_member_is_found_wherever_it_stands_and_only_at_its_own_depth() {
    let long = "x".repeat(100_000);
    let line = format!(
        r#"{{"x":{{"type":"no"}},"y":[{{"type":"no"}}],"long":"{long}","outer":{{"type":"in"}},"type":"end"}}"#
    );
    let (shape, found) = scan_in_pieces(line.as_bytes(), 4_096);
    assert_eq!(shape, Shape::Object);
    assert_eq!(raw_of(&found, "type"), [r#""end""#]);
    assert_eq!(raw_of(&found, "outer.type"), [r#""in""#]);
}

#[test]
fn members_of_one_object_in_an_array_are_known_to_belong_together() {
    let line = br#"{"outer":{"blocks":[{"id":"a","kind":1},{"kind":2},{"kind":3,"id":"c"}]}}"#;
    let (_, found) = scan_in_pieces(line, 5);
    let object = |raw: &str| found.iter().find(|(.., found)| found == raw).unwrap().1;
    assert_eq!(object(r#""a""#), object("1"));
    assert_eq!(object(r#""c""#), object("3"));
    assert_ne!(object("2"), object("1"));
    assert_ne!(object("2"), object("3"));
}

#[test]
fn a_name_with_escapes_is_the_same_name() {
    let (_, found) = scan_in_pieces(br#"{"\u0074ype":"a","typ\u0065":"b"}"#, 3);
    assert_eq!(raw_of(&found, "type"), [r#""a""#, r#""b""#]);
}

#[test]
fn members_of_the_line_itself_that_are_not_known_are_named() {
    let mut scanner = Scanner::new(&PATHS);
    scanner.restart();
    scanner.walk(br#"{"known":1,"new":{"newer":2},"type":"a","outer":{"x":1},"n\u0065xt":3}"#);
    assert_eq!(scanner.unknown(), ["new", "next"]);
}

#[test]
fn what_is_no_single_object_is_said_to_be_none() {
    for line in [
        "",
        "text",
        "[1]",
        "\"type\"",
        r#"{"type":"a"}x"#,
        r#"{"type":"a"}{}"#,
        r#"{"type":"a",}"#,
        r#"{"type":}"#,
        r#"{"type" "a"}"#,
        r#"{,"type":"a"}"#,
        r#"{"type":"a"]"#,
        r#"{"texts":[1,]}"#,
        r#"{"texts":["a" "b"]}"#,
        r#"{'type':"a"}"#,
    ] {
        assert_eq!(scan_in_pieces(line.as_bytes(), 100).0, Shape::Other, "{line}");
    }
    for line in ["{", r#"{"type"#, r#"{"type":"a"#, r#"{"type":"a""#, r#"{"any":[{"x":1}"#] {
        assert_eq!(scan_in_pieces(line.as_bytes(), 100).0, Shape::Beginning, "{line}");
    }
    for line in ["{}", " { } ", r#"{"type" : "a" , "texts" : [ ] }"#] {
        assert_eq!(scan_in_pieces(line.as_bytes(), 100).0, Shape::Object, "{line}");
    }
}

#[test]
fn a_value_is_kept_up_to_its_limit_and_says_so() {
    let mut scanner = Scanner::new(&PATHS);
    scanner.restart();
    scanner.walk(format!(r#"{{"type":"{}","n":1}}"#, "é".repeat(500)).as_bytes());
    assert_eq!(scanner.finish(), Shape::Object);
    let values: Vec<_> = scanner.values().collect();
    assert_eq!((values[0].raw.len(), values[0].is_whole), (100, false));
    assert_eq!((values[1].raw, values[1].is_whole), (&b"1"[..], true));
}

#[test]
fn memory_is_bounded_whatever_a_line_holds_and_its_own_members_still_have_room() {
    let mut scanner = Scanner::new(&PATHS);
    scanner.restart();
    scanner.walk(br#"{"outer":{"blocks":["#);
    for _ in 0..100_000 {
        scanner.walk(format!(r#"{{"id":"{}","kind":1}},"#, "x".repeat(300)).as_bytes());
    }
    scanner.walk(br#"{}]},"deep":"#);
    scanner.walk("[".repeat(100_000).as_bytes());
    scanner.walk("]".repeat(100_000).as_bytes());
    scanner.walk(br#","type":"result"}"#);
    assert_eq!(scanner.finish(), Shape::Object);
    assert!(scanner.kept.found.len() <= VALUES_LIMIT + 1);
    assert!(scanner.kept.bytes.len() <= KEPT_BYTES_LIMIT);
    assert!(scanner.stack.capacity() <= 16);
    assert_eq!(scanner.values().last().unwrap().raw, br#""result""#);
    scanner.restart();
    assert!(scanner.kept.bytes.capacity() <= ROOM_KEPT_BYTES);
}

fn any_json() -> impl Strategy<Value = Json> {
    let leaf = prop_oneof![
        Just(Json::Null),
        any::<bool>().prop_map(Json::from),
        any::<i64>().prop_map(Json::from),
        (-1e9..1e9).prop_map(Json::from),
        any::<String>().prop_map(Json::from),
        r#"["\\{}\[\],:a ]{0,12}"#.prop_map(Json::from),
    ];
    leaf.prop_recursive(3, 24, 4, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Json::from),
            prop::collection::hash_map("[a-z\"\\\\]{0,6}|type|id", inner, 0..4)
                .prop_map(|members| Json::Object(members.into_iter().collect())),
        ]
    })
}

/// The members of an object, written in the given order.
fn written(members: &[(String, Json)]) -> String {
    let members: Vec<String> =
        members.iter().map(|(name, value)| format!("{}: {value}", json!(name))).collect();
    format!("{{{}}}", members.join(" , "))
}

proptest! {
    #[test]
    fn it_finds_what_a_json_library_finds_in_any_order_cut_at_any_byte(
        members in Just(()).prop_flat_map(|()| {
            let wanted = (any_json(), any::<Option<u32>>(), prop::collection::vec("[a-z\"]{0,9}", 0..4));
            (wanted, prop::collection::vec(("[b-m]{1,4}", any_json()), 0..5))
        }).prop_flat_map(|((any, number, texts), others)| {
            let mut members: Vec<(String, Json)> = others;
            members.push(("type".into(), json!("result")));
            members.push(("any".into(), any));
            members.push(("n".into(), json!(number)));
            members.push(("texts".into(), json!(texts)));
            Just(members).prop_shuffle()
        }),
        piece_bytes in 1_usize..40,
    ) {
        let line = written(&members);
        let (shape, found) = scan_in_pieces(line.as_bytes(), piece_bytes);
        prop_assert_eq!(shape, Shape::Object);
        prop_assert_eq!(&scan_in_pieces(line.as_bytes(), usize::MAX).1, &found);
        let expected: Json = serde_json::from_str(&line).unwrap();
        for path in ["type", "any", "n"] {
            let raw = raw_of(&found, path);
            let last: Json = serde_json::from_str(raw[raw.len() - 1]).unwrap();
            prop_assert_eq!(&last, &expected[path]);
        }
        let texts: Vec<Json> =
            raw_of(&found, "texts").iter().map(|raw| serde_json::from_str(raw).unwrap()).collect();
        prop_assert_eq!(&Json::from(texts), &expected["texts"]);
    }

    #[test]
    fn a_line_that_is_cut_is_the_beginning_of_an_object_with_the_values_before_the_cut(
        any in any_json(), cut in any::<prop::sample::Index>(),
    ) {
        let line = written(&[("type".into(), json!("result")), ("any".into(), any), ("n".into(), json!(7))]);
        let cut = 1 + cut.index(line.len() - 1);
        let (shape, found) = scan_in_pieces(&line.as_bytes()[..cut], usize::MAX);
        prop_assert_eq!(shape, if cut == line.len() { Shape::Object } else { Shape::Beginning });
        let (_, whole) = scan_in_pieces(line.as_bytes(), usize::MAX);
        for (value, expected) in found.iter().zip(&whole) {
            let is_cut_character = value.2.contains(char::REPLACEMENT_CHARACTER);
            prop_assert!(is_cut_character || expected.2.starts_with(&value.2));
        }
    }

    #[test]
    fn no_bytes_make_it_panic(bytes in any::<Vec<u8>>(), piece_bytes in 1_usize..10) {
        scan_in_pieces(&bytes, piece_bytes);
        scan_in_pieces(&[b"{\"outer\":{\"blocks\":[".as_slice(), &bytes].concat(), piece_bytes);
    }
}
