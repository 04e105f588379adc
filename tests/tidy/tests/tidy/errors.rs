//! A wire code is chosen in one place: the supervisor's errors become a `CallError` of the protocol, which alone has the
//! code, the text and the data of each.

use proc_macro2::{Delimiter, TokenStream, TokenTree};

use crate::sources::{assert_none, files, text};

/// What an error object cannot be made without.
const CODES: &str = "ErrorCode";

#[test]
fn a_wire_code_is_chosen_in_one_place() {
    let mut found = Vec::new();
    for file in files("supervisor/src", "rs") {
        let is_test = file.contains("/tests/") || file.ends_with("/tests.rs");
        if !is_test && chooses_code(text(&file).parse().unwrap()) {
            found.push(format!("{file} uses {CODES}"));
        }
    }
    assert_none("make it a cc_protocol::CallError", &found);
}

/// Whether these tokens name a code, but for items that are only there for tests.
fn chooses_code(tokens: TokenStream) -> bool {
    let mut tokens = tokens.into_iter();
    while let Some(token) = tokens.next() {
        match token {
            TokenTree::Group(group) if group.to_string().replace(' ', "") == "[cfg(test)]" => {
                skip_item(&mut tokens);
            }
            TokenTree::Group(group) if chooses_code(group.stream()) => return true,
            TokenTree::Ident(ident) if ident == CODES => return true,
            TokenTree::Group(_)
            | TokenTree::Ident(_)
            | TokenTree::Punct(_)
            | TokenTree::Literal(_) => {}
        }
    }
    false
}

/// An item ends with its block or with a semicolon.
fn skip_item(tokens: &mut impl Iterator<Item = TokenTree>) {
    tokens.find(|token| match token {
        TokenTree::Group(group) => group.delimiter() == Delimiter::Brace,
        TokenTree::Punct(punct) => punct.as_char() == ';',
        TokenTree::Ident(_) | TokenTree::Literal(_) => false,
    });
}

#[test]
fn a_code_is_found_in_the_program_and_not_in_its_tests() {
    let chooses = |text: &str| chooses_code(text.parse().unwrap());
    assert!(chooses("fn f() { ErrorObject::new(ErrorCode::NoProcess, text) }"));
    assert!(chooses("#[cfg(test)] mod tests; use cc_protocol::error::{ErrorCode, close};"));
    assert!(!chooses("use cc_protocol::error::{ErrorObject, close};"));
    assert!(!chooses("#[cfg(test)] mod tests { use cc_protocol::error::ErrorCode; }"));
}
