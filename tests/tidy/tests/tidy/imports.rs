//! Which file of a crate uses which other one: by `use`, and by paths in code, also within macros.
//!
//! A path that goes through a re-export counts for the file that defines the thing. A module that re-exports (`pub use`)
//! what stands below it shows it to others and does not use it. What stands below `#[cfg(test)]` is no use of the program's.

use std::collections::{BTreeMap, BTreeSet};

use proc_macro2::{TokenStream, TokenTree};
use syn::{
    Attribute, Item, ItemMod, UseTree, Visibility,
    visit::{self, Visit},
};

use crate::sources::{files, text};

/// A module, by its path from the crate's root; the root is empty.
pub(crate) type ModulePath = Vec<String>;

/// The modules of one crate.
#[derive(Debug, Default)]
pub(crate) struct Crate {
    /// The file of each module.
    pub files: BTreeMap<ModulePath, String>,
    /// For each module its `use` names: what each stands for, as a path from the crate's root.
    names: BTreeMap<ModulePath, BTreeMap<String, Vec<String>>>,
    /// For each module the paths that it uses, from the crate's root.
    paths: BTreeMap<ModulePath, BTreeSet<Vec<String>>>,
}

impl Crate {
    /// Reads all files below `folder/src`.
    pub(crate) fn read(folder: &str) -> Self {
        let source = format!("{folder}/src");
        let mut read = Self::default();
        for file in files(&source, "rs") {
            let module = module_of(file.strip_prefix(&format!("{source}/")).unwrap());
            // A binary's root uses the library as others do.
            if module.first().is_some_and(|first| first == "main" || first == "bin") {
                continue;
            }
            read.files.insert(module, file);
        }
        for (module, file) in &read.files {
            let parsed =
                syn::parse_file(&text(file)).unwrap_or_else(|error| panic!("{file}: {error}"));
            let mut collector = Collector {
                module: module.clone(),
                modules: &read.files,
                names: BTreeMap::new(),
                paths: BTreeSet::new(),
            };
            collector.visit_file(&parsed);
            read.names.insert(module.clone(), collector.names);
            read.paths.insert(module.clone(), collector.paths);
        }
        read
    }

    /// The uses between modules, without those within one.
    pub(crate) fn arrows(&self) -> BTreeSet<(ModulePath, ModulePath)> {
        let mut arrows = BTreeSet::new();
        for (module, paths) in &self.paths {
            for path in paths {
                if let Some(target) = self.defined_in(path, 0)
                    && target != *module
                {
                    arrows.insert((module.clone(), target));
                }
            }
        }
        arrows
    }

    /// The module in which the thing with this path is defined.
    fn defined_in(&self, path: &[String], depth: usize) -> Option<ModulePath> {
        let count =
            (0..=path.len()).rev().find(|count| self.files.contains_key(&path[..*count]))?;
        let (module, rest) = path.split_at(count);
        if let Some(name) = rest.first()
            && depth < 8
            && let Some(meant) = self.names.get(module).and_then(|names| names.get(name))
        {
            let meant: Vec<String> = meant.iter().chain(&rest[1..]).cloned().collect();
            return self.defined_in(&meant, depth + 1);
        }
        Some(module.to_vec())
    }
}

fn module_of(path: &str) -> ModulePath {
    let path = path.strip_suffix(".rs").unwrap();
    let path = path.strip_suffix("/mod").unwrap_or(path);
    if path == "lib" || path == "mod" {
        return Vec::new();
    }
    path.split('/').map(str::to_owned).collect()
}

/// Whether an item is only there for tests.
pub(crate) fn is_for_tests(attributes: &[Attribute]) -> bool {
    attributes.iter().any(|attribute| {
        attribute.path().is_ident("cfg")
            && attribute.parse_args::<syn::Path>().is_ok_and(|path| path.is_ident("test"))
    })
}

/// The attributes of an item of a kind that can be there for tests alone.
pub(crate) fn attributes(item: &Item) -> &[Attribute] {
    macro_rules! of {
        ($($kind:ident)*) => {
            $(if let Item::$kind(item) = item { return &item.attrs; })*
        };
    }
    of!(Const Enum Fn Impl Macro Mod Static Struct Trait Type Use);
    &[]
}

struct Collector<'a> {
    module: ModulePath,
    modules: &'a BTreeMap<ModulePath, String>,
    names: BTreeMap<String, Vec<String>>,
    paths: BTreeSet<Vec<String>>,
}

impl Collector<'_> {
    /// A path from the crate's root, if it stays in the crate.
    fn absolute(&self, path: &[String]) -> Option<Vec<String>> {
        let mut base = self.module.clone();
        let mut rest = path;
        match rest.first()?.as_str() {
            "crate" => {
                base.clear();
                rest = &rest[1..];
            }
            "self" => rest = &rest[1..],
            "super" => {
                while rest.first().is_some_and(|segment| segment == "super") {
                    base.pop();
                    rest = &rest[1..];
                }
            }
            // A module that stands below this one.
            first => {
                let child: ModulePath = base.iter().cloned().chain([first.to_owned()]).collect();
                if !self.modules.contains_key(&child) {
                    return None;
                }
            }
        }
        base.extend(rest.iter().cloned());
        Some(base)
    }

    fn add(&mut self, path: &[String]) {
        if let Some(path) = self.absolute(path) {
            self.paths.insert(path);
        }
    }

    fn add_use(&mut self, prefix: &mut Vec<String>, tree: &UseTree) {
        match tree {
            UseTree::Path(path) => {
                prefix.push(path.ident.to_string());
                self.add_use(prefix, &path.tree);
                prefix.pop();
            }
            UseTree::Group(group) => {
                for tree in &group.items {
                    self.add_use(prefix, tree);
                }
            }
            UseTree::Name(name) => {
                let is_itself = name.ident == "self";
                if !is_itself {
                    prefix.push(name.ident.to_string());
                }
                let known_as = prefix.last().cloned().unwrap_or_default();
                self.add_name(prefix, known_as);
                if !is_itself {
                    prefix.pop();
                }
            }
            UseTree::Rename(rename) => {
                prefix.push(rename.ident.to_string());
                self.add_name(prefix, rename.rename.to_string());
                prefix.pop();
            }
            UseTree::Glob(_) => self.add(prefix),
        }
    }

    fn add_name(&mut self, path: &[String], known_as: String) {
        if let Some(path) = self.absolute(path) {
            self.paths.insert(path.clone());
            self.names.insert(known_as, path);
        }
    }

    /// Paths in the arguments of macros, which are no syntax yet.
    fn add_tokens(&mut self, tokens: TokenStream) {
        let mut path: Vec<String> = Vec::new();
        let mut colons = 0;
        for token in tokens {
            match token {
                TokenTree::Ident(ident) => {
                    if colons != 2 {
                        self.add_if_long(&path);
                        path.clear();
                    }
                    path.push(ident.to_string());
                    colons = 0;
                }
                TokenTree::Punct(punct) if punct.as_char() == ':' => colons += 1,
                TokenTree::Group(group) => {
                    self.add_if_long(&path);
                    path.clear();
                    colons = 0;
                    self.add_tokens(group.stream());
                }
                TokenTree::Punct(_) | TokenTree::Literal(_) => {
                    self.add_if_long(&path);
                    path.clear();
                    colons = 0;
                }
            }
        }
        self.add_if_long(&path);
    }

    fn add_if_long(&mut self, path: &[String]) {
        if path.len() > 1 {
            self.add(path);
        }
    }
}

impl<'ast> Visit<'ast> for Collector<'_> {
    fn visit_item(&mut self, item: &'ast Item) {
        if !is_for_tests(attributes(item)) {
            visit::visit_item(self, item);
        }
    }

    fn visit_item_mod(&mut self, item: &'ast ItemMod) {
        // A file of its own is visited for itself.
        if item.content.is_some() {
            self.module.push(item.ident.to_string());
            visit::visit_item_mod(self, item);
            self.module.pop();
        }
    }

    fn visit_item_use(&mut self, item: &'ast syn::ItemUse) {
        let is_public = !matches!(item.vis, Visibility::Inherited);
        let before = is_public.then(|| std::mem::take(&mut self.paths));
        self.add_use(&mut Vec::new(), &item.tree);
        if let Some(before) = before {
            let shown = std::mem::replace(&mut self.paths, before);
            let module = self.module.clone();
            self.paths.extend(shown.into_iter().filter(|path| !path.starts_with(&module)));
        }
    }

    // `pub(in crate::room)` is no use.
    fn visit_visibility(&mut self, _visibility: &'ast Visibility) {}

    fn visit_path(&mut self, path: &'ast syn::Path) {
        let segments: Vec<String> =
            path.segments.iter().map(|segment| segment.ident.to_string()).collect();
        self.add_if_long(&segments);
        visit::visit_path(self, path);
    }

    fn visit_macro(&mut self, called: &'ast syn::Macro) {
        self.add_tokens(called.tokens.clone());
        visit::visit_macro(self, called);
    }

    // Links in comments, lints and derives are no imports.
    fn visit_attribute(&mut self, _attribute: &'ast Attribute) {}
}
