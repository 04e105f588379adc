//! A wire code is chosen in one place: the supervisor's errors become a `CallError` of the protocol, which alone has the
//! code, the text and the data of each. And an error within the program is a type that can be matched, no text.

use proc_macro2::{Delimiter, TokenStream, TokenTree};
use syn::{Attribute, GenericArgument, Item, PathArguments, Type, visit::Visit};

use crate::{
    imports::{attributes, is_for_tests},
    sources::{assert_none, files, text},
};

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

#[test]
fn an_error_is_a_type_and_no_text() {
    let mut found = Vec::new();
    for file in ["crates", "supervisor/src", "worker/src"].iter().flat_map(|at| files(at, "rs")) {
        if !file.contains("/tests/") && !file.ends_with("/tests.rs") {
            let count = texts_as_errors(&text(&file));
            found.extend((count > 0).then(|| format!("{file}: {count}")));
        }
    }
    assert_none("make it an enum, for one who wants to match it", &found);
}

/// How often a `Result` has a text as its error, but for items that are only there for tests.
fn texts_as_errors(source: &str) -> usize {
    let mut results = Results(0);
    results.visit_file(&syn::parse_file(source).unwrap());
    results.0
}

struct Results(usize);

impl<'ast> Visit<'ast> for Results {
    fn visit_item(&mut self, item: &'ast Item) {
        if !is_for_tests(attributes(item)) {
            syn::visit::visit_item(self, item);
        }
    }

    fn visit_path_segment(&mut self, segment: &'ast syn::PathSegment) {
        if segment.ident == "Result"
            && let PathArguments::AngleBracketed(arguments) = &segment.arguments
            && let Some(GenericArgument::Type(error)) = arguments.args.iter().nth(1)
        {
            self.0 += usize::from(is_text(error));
        }
        syn::visit::visit_path_segment(self, segment);
    }

    fn visit_attribute(&mut self, _attribute: &'ast Attribute) {}
}

fn is_text(wanted: &Type) -> bool {
    if let Type::Reference(reference) = wanted {
        return is_text(&reference.elem);
    }
    let is_named = |path: &syn::TypePath| path.path.is_ident("String") || path.path.is_ident("str");
    if let Type::Path(path) = wanted { is_named(path) } else { false }
}

#[test]
fn a_text_as_an_error_is_found_and_an_enum_or_a_text_as_a_value_is_not() {
    assert_eq!(texts_as_errors("fn f() -> Result<u32, String> { g() }"), 1);
    assert_eq!(texts_as_errors("type T = Vec<Result<(), &'static str>>;"), 1);
    assert_eq!(texts_as_errors("fn f() -> Result<String, Error> { g() }"), 0);
    assert_eq!(
        texts_as_errors("#[cfg(test)] mod tests { fn f() -> Result<(), String> { g() } }"),
        0
    );
}
