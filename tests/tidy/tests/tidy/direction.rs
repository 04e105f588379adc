//! Rooms of the supervisor import only downward; no files of a crate import each other in a circle.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use syn::Item;

use crate::{
    imports::{Crate, ModulePath},
    sources::{assert_none, crates, text},
};

/// The modules that a `lib.rs` declares, in its order.
fn declared(file: &str) -> Vec<String> {
    let parsed = syn::parse_file(&text(file)).unwrap();
    let name = |item: &Item| {
        if let Item::Mod(item) = item { Some(item.ident.to_string()) } else { None }
    };
    parsed.items.iter().filter_map(name).collect()
}

#[test]
fn a_room_of_the_supervisor_imports_only_from_rooms_below_it_in_its_lib_rs() {
    let order = declared("supervisor/src/lib.rs");
    assert!(order.len() > 5, "the rooms are read from lib.rs");
    let floor = |module: &ModulePath| order.iter().position(|room| *room == module[0]);
    let supervisor = Crate::read("supervisor");
    let upward: Vec<String> = supervisor
        .arrows()
        .into_iter()
        // The root stands above all rooms.
        .filter(|(from, to)| !from.is_empty() && (to.is_empty() || floor(from) > floor(to)))
        .map(|(from, to)| format!("{} uses crate::{}", supervisor.files[&from], to.join("::")))
        .collect();
    assert_none("these look upward", &upward);
}

#[test]
fn no_files_of_a_crate_import_each_other_in_a_circle() {
    let mut circles = Vec::new();
    for folder in crates() {
        let read = Crate::read(&folder);
        let arrows = read.arrows();
        for circle in circles_of(&arrows) {
            let files: Vec<&str> =
                circle.iter().map(|module| read.files[module].as_str()).collect();
            circles.push(files.join(" → "));
        }
    }
    assert_none("these import each other", &circles);
}

/// A shortest circle for each module that is in one, told once: from the module back to itself.
fn circles_of(arrows: &BTreeSet<(ModulePath, ModulePath)>) -> Vec<Vec<ModulePath>> {
    let mut next: BTreeMap<&ModulePath, Vec<&ModulePath>> = BTreeMap::new();
    for (from, to) in arrows {
        next.entry(from).or_default().push(to);
    }
    let mut seen: BTreeSet<&ModulePath> = BTreeSet::new();
    let mut circles = Vec::new();
    for start in next.keys() {
        let Some(circle) = way_back(start, &next) else { continue };
        let is_told = circle.iter().any(|module| seen.contains(module));
        seen.extend(&circle);
        if !is_told {
            circles.push(circle.into_iter().cloned().collect());
        }
    }
    circles
}

/// The modules on a shortest way from `start` back to it, which stands at both ends.
fn way_back<'a>(
    start: &'a ModulePath,
    next: &BTreeMap<&'a ModulePath, Vec<&'a ModulePath>>,
) -> Option<Vec<&'a ModulePath>> {
    let mut came_from: BTreeMap<&ModulePath, &ModulePath> = BTreeMap::new();
    let mut open = VecDeque::from([start]);
    while let Some(module) = open.pop_front() {
        for to in next.get(module).into_iter().flatten() {
            if !came_from.contains_key(to) {
                came_from.insert(to, module);
                open.push_back(to);
            }
        }
    }
    let mut way = vec![start];
    let mut at = *came_from.get(start)?;
    while at != start {
        way.push(at);
        at = came_from[at];
    }
    way.push(start);
    way.reverse();
    Some(way)
}

#[test]
fn a_circle_is_found() {
    let module = |name: &str| vec![name.to_owned()];
    let arrow = |from: &str, to: &str| (module(from), module(to));
    let arrows =
        BTreeSet::from([arrow("a", "b"), arrow("b", "c"), arrow("c", "a"), arrow("c", "d")]);
    assert_eq!(circles_of(&arrows), [[module("a"), module("b"), module("c"), module("a")]]);
}
