//! The modules in the root of both crates: none names a higher one, so that no two name each other.
//!
//! Their order stands in the tables of `CONTRIBUTING.md`. Tests (`#[cfg(test)]`) may name any module.

mod circles;
mod imports;

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use circles::{Named, circles};
use imports::{Import, Sources};

fn repository() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

/// The modules in the root of a crate as `CONTRIBUTING.md` lists them, from the bottom up: the words in code of the first column of the table
/// below the heading that names the crate's folder.
fn order(folder: &str) -> Vec<String> {
    let text = fs::read_to_string(repository().join("CONTRIBUTING.md")).expect("CONTRIBUTING.md");
    let heading = |line: &str| line.starts_with('#') && line.contains(&format!("`{folder}`"));
    let section = text.lines().skip_while(|line| !heading(line)).skip(1).take_while(|line| !line.starts_with('#'));
    let cells = section.filter_map(|line| line.strip_prefix("| `")?.split('|').next());
    cells.flat_map(|cell| cell.split('`').step_by(2).map(str::to_owned).collect::<Vec<_>>()).collect()
}

/// Which modules directly inside `parent` name which others there, with one import as an example. `parent` is empty for the root.
fn inside(parent: &[String], sources: &Sources, imports: &BTreeSet<Import>) -> Named {
    let child = |path: &[String]| {
        let name = path.strip_prefix(parent)?.first()?;
        sources.modules.contains(&[parent, std::slice::from_ref(name)].concat()).then(|| name.clone())
    };
    let mut named = Named::new();
    for import in imports {
        if let (Some(from), Some(to)) = (child(&import.from), child(&import.to))
            && from != to
        {
            let said = format!("{} names {}", import.from.join("::"), import.to.join("::"));
            named.entry(from).or_default().entry(to).or_insert(said);
        }
    }
    named
}

/// The circles among the modules of each module, however deep: two children of one parent, directly or by way of others, name each
/// other. That a parent names its children and they name it is no circle: they are one thing in several files.
fn circles_inside(sources: &Sources) -> Vec<String> {
    let imports = sources.imports();
    let inside = |parent: &Vec<String>| circles(&inside(parent, sources, &imports));
    let all = sources.modules.iter().flat_map(inside);
    all.map(|circle| format!("a circle: {}", circle.join("; "))).collect()
}

/// What is wrong with the modules in the root of a crate: names without a place in the order, circles, and names from below.
fn complaints(sources: &Sources, order: &[String]) -> Vec<String> {
    let mut complaints = Vec::new();
    let found: BTreeSet<&String> = sources.modules.iter().filter(|path| path.len() == 1).map(|path| &path[0]).collect();
    let listed: BTreeSet<&String> = order.iter().collect();
    complaints
        .extend(found.difference(&listed).map(|name| format!("`{name}` has no place in CONTRIBUTING.md's table")));
    complaints
        .extend(listed.difference(&found).map(|name| format!("`{name}` of CONTRIBUTING.md's table is no module")));
    if listed.len() < order.len() {
        complaints.push("CONTRIBUTING.md's table lists a module twice".to_owned());
    }
    let say = |import: &&Import| {
        format!("{} names {}, which cannot be followed", import.from.join("::"), import.to.join("::"))
    };
    complaints.extend(sources.unknown().iter().map(say));
    complaints.extend(circles_inside(sources));
    let named = inside(&[], sources, &sources.imports());
    let place: BTreeMap<&String, usize> = order.iter().enumerate().map(|(place, name)| (name, place)).collect();
    for (from, others) in &named {
        for (to, said) in others.iter().filter(|(to, _)| place.get(*to) > place.get(from)) {
            complaints.push(format!("`{from}` is below `{to}`, but {said}"));
        }
    }
    complaints
}

#[test]
fn no_module_of_the_host_names_a_higher_one() {
    let sources = Sources::of_crate(&repository().join("host-train/src/lib.rs"));
    let complaints = complaints(&sources, &order("host-train"));
    assert!(complaints.is_empty(), "{complaints:#?}");
}

#[test]
fn no_module_of_the_core_names_a_higher_one() {
    let sources = Sources::of_crate(&repository().join("core-nostd/src/lib.rs"));
    let complaints = complaints(&sources, &order("core-nostd"));
    assert!(complaints.is_empty(), "{complaints:#?}");
}

/// What a module `low::inner` of this text is found to name, with `high` and `higher` as other modules.
fn named_by(text: &str) -> Vec<String> {
    let sources = Sources::of_text(&["low", "inner"], text);
    sources.imports().iter().map(|import| import.to.join("::")).collect()
}

#[test]
fn imports_are_found_in_every_form() {
    assert_eq!(named_by("use crate::high::Thing;"), ["high::Thing"]);
    assert_eq!(named_by("use crate::high::Thing as Other;"), ["high::Thing"]);
    assert_eq!(named_by("pub use crate::high::*;"), ["high::*"]);
    assert_eq!(named_by("use crate::{high::{A, b::C}, higher};"), ["high::A", "high::b::C", "higher"]);
    assert_eq!(named_by("use super::super::high::{self, A};"), ["high", "high::A"]);
    assert_eq!(named_by("use super::sibling; use self::child::A;"), ["low::inner::child::A", "low::sibling"]);
    assert_eq!(named_by("fn f() { use crate::high::f; f() }"), ["high::f"]);
    assert_eq!(named_by("use std::fmt; use child::A; use ::crate_of_others::B;"), [""; 0]);
}

#[test]
fn paths_are_found_in_expressions_types_patterns_and_attributes() {
    assert_eq!(named_by("fn f() { crate::high::g(1) }"), ["high::g"]);
    assert_eq!(named_by("fn f() { super::super::high::g::<super::A>() }"), ["high::g", "low::A"]);
    assert_eq!(named_by("fn f(a: &crate::high::A) -> Vec<Option<crate::higher::B>> {}"), ["high::A", "higher::B"]);
    assert_eq!(named_by("impl crate::high::A for B {}"), ["high::A"]);
    assert_eq!(named_by("fn f() { match x { crate::high::A::B(_) => 1 } }"), ["high::A::B"]);
    assert_eq!(named_by("fn f<T: crate::high::A>() where T::B: super::C {}"), ["high::A", "low::C"]);
    assert_eq!(named_by("struct A { #[serde(default, with = \"crate::high::b\")] c: u8 }"), ["high::b"]);
    assert_eq!(named_by("struct A { #[arg(value_parser = crate::high::b)] c: u8 }"), ["high::b"]);
    assert_eq!(named_by("struct A { pub(in crate::low) b: u8, pub(super) c: u8, pub(crate) d: u8 }"), [""; 0]);
}

#[test]
fn paths_are_found_in_macros() {
    assert_eq!(
        named_by("fn f() { assert!(crate::high::g(), \"{}\", [super::super::higher::B; 2][0]) }"),
        ["high::g", "higher::B"]
    );
    assert_eq!(named_by("macro_rules! m { ($a:expr) => { $crate::high::g($a) }; }"), ["high::g"]);
    assert_eq!(named_by("fn f() { crate::high::call!(self.x, super::LIMIT * 2) }"), ["high::call", "low::LIMIT"]);
    assert_eq!(named_by("m! { use crate::{high::A, higher::*}; }"), ["high::A", "higher::*"]);
}

#[test]
fn modules_inside_a_text_are_their_own() {
    let sources =
        Sources::of_text(&["low"], "mod inner { use super::super::high::A; mod deep { use super::super::b; } }");
    let found: Vec<String> =
        sources.imports().iter().map(|Import { from, to }| from.join("::") + " " + &to.join("::")).collect();
    assert_eq!(found, ["low::inner high::A", "low::inner::deep low::b"]);
}

#[test]
fn tests_are_left_out_and_what_only_some_builds_have_is_not() {
    assert_eq!(named_by("#[cfg(test)] mod tests { use crate::high::A; }"), [""; 0]);
    assert_eq!(
        named_by("#[cfg(test)] use crate::high::A; #[cfg(all(test, unix))] fn f() { crate::high::g() }"),
        [""; 0]
    );
    assert_eq!(named_by("impl A { #[cfg(test)] fn f() { crate::high::g() } }"), [""; 0]);
    assert_eq!(named_by("#[cfg(any(test, feature = \"agreement\"))] mod m { use crate::high::A; }"), ["high::A"]);
    assert_eq!(named_by("#[cfg(not(test))] use crate::high::A;"), ["high::A"]);
}

/// A crate of the modules in `text`.
fn whole(text: &str) -> Sources {
    Sources::of_text(&[], text)
}

fn complaints_of(text: &str, order: &[&str]) -> Vec<String> {
    complaints(&whole(text), &order.iter().map(|&name| name.to_owned()).collect::<Vec<_>>())
}

#[test]
fn a_module_may_name_lower_ones_alone() {
    let text = "mod low { pub fn f() {} } mod high { use crate::low::f; fn g() { super::low::f() } }";
    assert_eq!(complaints_of(text, &["low", "high"]), [""; 0]);
    assert_eq!(complaints_of(text, &["high", "low"]), ["`high` is below `low`, but high names low::f"]);
}

#[test]
fn a_circle_is_found_through_super_through_others_and_through_the_root() {
    let circle = |text: &str| {
        let found = complaints_of(text, &["a", "b", "c"]);
        found.into_iter().filter(|said| said.starts_with("a circle")).collect::<Vec<_>>()
    };
    let two = "mod a { mod inner { use super::super::b::B; } } mod b { fn f() { crate::a::g() } } mod c {}";
    assert_eq!(circle(two), ["a circle: a::inner names b::B; b names a::g"]);
    let three = "mod a { use crate::b; } mod b { use crate::{c::C}; } mod c { type A = crate::a::A; }";
    assert_eq!(circle(three), ["a circle: a names b; b names c::C; c names a::A"]);
    let root = "mod a { use crate::Thing; } mod b { use crate::a::A; } mod c {} pub use b::B as Thing;";
    assert_eq!(circle(root), ["a circle: a names b::B; b names a::A"]);
    let exported =
        "mod a { crate::m!(); } mod b { use crate::a::A; #[macro_export] macro_rules! m { () => {} } } mod c {}";
    assert_eq!(circle(exported), ["a circle: a names b; b names a::A"]);
    assert_eq!(circle("mod a { use crate::b; } mod b { use crate::c; } mod c {}"), [""; 0]);
}

#[test]
fn a_circle_inside_a_module_is_found_however_deep() {
    let circle = |text: &str| circles_inside(&whole(text));
    let deep = "mod a { mod b { mod x { use super::y::Y; } mod y { type A = super::x::A; } } }";
    assert_eq!(circle(deep), ["a circle: a::b::x names a::b::y::Y; a::b::y names a::b::x::A"]);
    let by_the_parent = "mod a { mod x { use super::Y; } mod y { use crate::a::x::X; } use y::Y; }";
    assert_eq!(circle(by_the_parent), ["a circle: a::x names a::y::Y; a::y names a::x::X"]);
    let renamed = "mod a { mod x { use super::Z; } mod y { use super::x::X; } pub use self::y::Y as Z; }";
    assert_eq!(circle(renamed), ["a circle: a::x names a::y::Y; a::y names a::x::X"]);
    let one_way = "mod a { mod x { use super::Y; use super::own; } mod y {} use y::Y; use x::X; fn own() {} }";
    assert_eq!(circle(one_way), [""; 0]);
}

#[test]
fn the_table_has_every_module_once_and_no_path_is_left_unfollowed() {
    let text = "mod a {} mod b { use crate::*; } fn of_root() {}";
    assert_eq!(
        complaints_of(text, &["a", "c", "a"]),
        [
            "`b` has no place in CONTRIBUTING.md's table",
            "`c` of CONTRIBUTING.md's table is no module",
            "CONTRIBUTING.md's table lists a module twice",
            "b names *, which cannot be followed"
        ]
    );
    assert_eq!(complaints_of("mod a { use crate::of_root; } fn of_root() {}", &["a"]), [""; 0]);
}
