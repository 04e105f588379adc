//! What the documents say of the code is there: paths, flags, the map of modules.

use std::collections::BTreeSet;

use syn::{Item, Meta, visit::Visit};

use crate::{
    imports::is_for_tests,
    sources::{assert_none, crates, files, root, text},
};

/// The pages that name paths of the repository.
fn pages() -> Vec<String> {
    let top = files("", "md").into_iter().filter(|file| !file.contains('/'));
    // The changelog names what was.
    let top = top.filter(|file| file != "CHANGELOG.md");
    top.chain(files("docs", "md")).collect()
}

#[test]
fn every_path_that_a_page_names_is_there() {
    let mut missing = Vec::new();
    for page in pages() {
        let text = text(&page);
        for path in paths(&text) {
            if !root().join(&path).exists() {
                missing.push(format!("{page} names {path}"));
            }
        }
        for link in links(&text) {
            if !root().join(&page).parent().unwrap().join(&link).exists() {
                missing.push(format!("{page} links to {link}"));
            }
        }
    }
    assert_none("these are not there", &missing);
}

/// What links lead to in this repository.
fn links(text: &str) -> BTreeSet<String> {
    let targets = text.split("](").skip(1).filter_map(|rest| rest.split_once(')'));
    let files = targets.map(|(target, _)| target.split('#').next().unwrap_or_default());
    files.filter(|file| !file.is_empty() && !file.contains("://")).map(str::to_owned).collect()
}

/// What stands in backticks and begins with a folder of sources.
fn paths(text: &str) -> BTreeSet<String> {
    const FOLDERS: [&str; 6] = ["crates/", "supervisor/", "worker/", "tests/", "docs/", ".ci/"];
    let is_path = |quoted: &&str| {
        FOLDERS.iter().any(|folder| quoted.starts_with(folder))
            && quoted.chars().all(|c| c.is_ascii_alphanumeric() || "/._-".contains(c))
    };
    text.split('`').skip(1).step_by(2).filter(is_path).map(str::to_owned).collect()
}

#[test]
fn the_map_of_the_readme_has_every_crate() {
    let readme = text("README.md");
    let map = readme.split_once("| where | what |").unwrap().1.split_once("\n\n").unwrap().0;
    let is_there = |folder: &String| map.contains(&format!("`{folder}`"));
    let missing: Vec<String> = crates().into_iter().filter(|folder| !is_there(folder)).collect();
    assert_none("name these in the map of the code", &missing);
}

#[test]
fn every_module_has_its_sentence_in_lib_rs() {
    let mut silent = Vec::new();
    for folder in crates().into_iter().filter(|folder| folder != "tests/tidy") {
        let file = format!("{folder}/src/lib.rs");
        let parsed = syn::parse_file(&text(&file)).unwrap();
        let header: String = parsed.attrs.iter().map(|attribute| doc(&attribute.meta)).collect();
        for item in &parsed.items {
            let Item::Mod(item) = item else { continue };
            let own: String = item.attrs.iter().map(|attribute| doc(&attribute.meta)).collect();
            let name = item.ident.to_string();
            // The rooms of the supervisor have more to say than a list in a header does.
            let is_named = folder != "supervisor" && header.contains(&format!("`{name}`"));
            if own.is_empty() && !is_named && !is_for_tests(&item.attrs) {
                silent.push(format!("{file}: {name}"));
            }
        }
    }
    assert_none("say what each is for, above it or in the header", &silent);
}

fn doc(meta: &Meta) -> String {
    if let Meta::NameValue(value) = meta
        && value.path.is_ident("doc")
        && let syn::Expr::Lit(syn::ExprLit { lit: syn::Lit::Str(text), .. }) = &value.value
    {
        return text.value() + "\n";
    }
    String::new()
}

#[test]
fn every_flag_of_ccx_is_in_the_documents() {
    let documents: String = pages().iter().map(|page| text(page)).collect();
    let mut flags = Flags::default();
    let sources = files("crates/cli/src", "rs").into_iter().filter(|file| file.contains("/args"));
    for file in sources {
        flags.visit_file(&syn::parse_file(&text(&file)).unwrap());
    }
    assert!(flags.0.len() > 20, "flags are found: {:?}", flags.0);
    let silent: Vec<String> = flags.0.into_iter().filter(|flag| !names(&documents, flag)).collect();
    assert_none("name them in README.md or docs", &silent);
}

/// Whether the text has the flag itself, and not only a longer one.
fn names(text: &str, flag: &str) -> bool {
    let is_end = |rest: &str| !rest.starts_with(|c: char| c.is_ascii_alphanumeric() || c == '-');
    text.match_indices(flag).any(|(place, _)| is_end(&text[place + flag.len()..]))
}

#[test]
fn a_flag_is_not_found_in_a_longer_one() {
    assert!(names("`--env` and", "--env") && !names("--env", "--en"));
}

#[test]
fn every_file_that_lib_rs_of_the_supervisor_names_is_there() {
    let parsed = syn::parse_file(&text("supervisor/src/lib.rs")).unwrap();
    let mut missing = Vec::new();
    for item in &parsed.items {
        let Item::Mod(item) = item else { continue };
        let sentence: String = item.attrs.iter().map(|attribute| doc(&attribute.meta)).collect();
        let is_file = |quoted: &&str| quoted.ends_with(".rs") || quoted.ends_with('/');
        for name in sentence.split('`').skip(1).step_by(2).filter(is_file) {
            let path = format!("supervisor/src/{}/{name}", item.ident);
            if !root().join(&path).exists() {
                missing.push(path);
            }
        }
    }
    assert_none("these are not there", &missing);
}

#[derive(Default)]
struct Flags(BTreeSet<String>);

impl<'ast> Visit<'ast> for Flags {
    fn visit_field(&mut self, field: &'ast syn::Field) {
        let Some(ident) = &field.ident else { return };
        for attribute in field.attrs.iter().filter(|attribute| attribute.path().is_ident("arg")) {
            let Meta::List(list) = &attribute.meta else { continue };
            let tokens: Vec<String> =
                list.tokens.clone().into_iter().map(|token| token.to_string()).collect();
            let Some(place) = tokens.iter().position(|token| token == "long") else { continue };
            let is_hidden = tokens.iter().any(|token| token == "hide");
            let name = match tokens.get(place + 1).map(String::as_str) {
                Some("=") => tokens[place + 2].trim_matches('"').to_owned(),
                _ => ident.to_string().replace('_', "-"),
            };
            if !is_hidden {
                self.0.insert(format!("--{name}"));
            }
        }
    }
}
