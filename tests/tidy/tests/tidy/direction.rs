//! Rooms of the supervisor import only downward; no files of a crate import each other in a circle.

use std::collections::{BTreeMap, BTreeSet};

use syn::Item;

use crate::{
    imports::{Crate, ModulePath},
    sources::{CRATES, assert_none, text},
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
        .filter(|(from, to)| !from.is_empty() && !to.is_empty())
        .filter(|(from, to)| floor(from) > floor(to))
        .map(|(from, to)| format!("{} uses {}", supervisor.files[&from], to.join("::")))
        .collect();
    assert_none("these look upward", &upward);
}

#[test]
fn no_files_of_a_crate_import_each_other_in_a_circle() {
    let mut circles = Vec::new();
    for folder in CRATES {
        let read = Crate::read(folder);
        let arrows = read.arrows();
        for circle in circles_of(&arrows) {
            let within = |module| circle.contains(module);
            for (from, to) in arrows.iter().filter(|(from, to)| within(from) && within(to)) {
                circles.push(format!("{} → {}", read.files[from], read.files[to]));
            }
        }
    }
    assert_none("these import each other", &circles);
}

/// The groups of modules from each of which every other one of the group is reached: Tarjan's strongly connected
/// components, by two rounds of reachability, which is plenty for some hundred files.
fn circles_of(arrows: &BTreeSet<(ModulePath, ModulePath)>) -> Vec<Vec<ModulePath>> {
    let mut next: BTreeMap<&ModulePath, Vec<&ModulePath>> = BTreeMap::new();
    for (from, to) in arrows {
        next.entry(from).or_default().push(to);
    }
    let reached: BTreeMap<&ModulePath, BTreeSet<&ModulePath>> =
        next.keys().map(|from| (*from, reachable(from, &next))).collect();
    let mut seen = BTreeSet::new();
    let mut circles = Vec::new();
    for (from, there) in &reached {
        let is_back =
            |to: &&&ModulePath| reached.get(**to).is_some_and(|back| back.contains(*from));
        let circle: Vec<ModulePath> =
            there.iter().filter(is_back).map(|module| (*module).clone()).collect();
        if !circle.is_empty() && seen.insert(circle.clone()) {
            circles.push(circle);
        }
    }
    circles
}

fn reachable<'a>(
    from: &'a ModulePath,
    next: &BTreeMap<&'a ModulePath, Vec<&'a ModulePath>>,
) -> BTreeSet<&'a ModulePath> {
    let mut reached = BTreeSet::new();
    let mut open = vec![from];
    while let Some(module) = open.pop() {
        for to in next.get(module).into_iter().flatten() {
            if reached.insert(*to) {
                open.push(to);
            }
        }
    }
    reached
}

#[test]
fn a_circle_is_found() {
    let module = |name: &str| vec![name.to_owned()];
    let arrow = |from: &str, to: &str| (module(from), module(to));
    let arrows =
        BTreeSet::from([arrow("a", "b"), arrow("b", "c"), arrow("c", "a"), arrow("c", "d")]);
    assert_eq!(circles_of(&arrows), [[module("a"), module("b"), module("c")]]);
}
