//! Which modules of a crate name which others, found in its sources.
//!
//! A module names another by `use`, in an expression, a type, a pattern, an attribute, or in the tokens of a macro, by a path that
//! begins with `crate`, `self` or `super`. Any other path leads to another crate, to a module of one's own, or to what such a path
//! has imported. What stands behind `#[cfg(test)]` may name anything, and is left out.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use proc_macro2::{Delimiter, Spacing, TokenStream, TokenTree};
use syn::visit::{self, Visit};
use syn::{Attribute, ImplItem, Item, ItemMod, Lit, Meta, Stmt, UseTree, Visibility};

/// A module names something of its crate.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Import {
    /// The module, from the crate's root on.
    pub from: Vec<String>,
    /// What it names, likewise; `*` at the end stands for all of a module.
    pub to: Vec<String>,
}

/// The sources of a crate.
#[derive(Debug, Default)]
pub struct Sources {
    /// Every module, from the crate's root on.
    pub modules: BTreeSet<Vec<String>>,
    imports: BTreeSet<Import>,
    /// What `crate::NAME` stands for where it is no module: the root's own items, what it imports, exported macros.
    root: BTreeMap<String, Vec<String>>,
    /// What a module below the root has imported, and by which name, as it stands there: others reach it by way of this module.
    imported: BTreeMap<Vec<String>, Vec<String>>,
}

impl Sources {
    /// Reads a crate whose root is the file `root`, such as `src/lib.rs`, and all modules that it declares.
    ///
    /// # Panics
    /// If a file cannot be read or is no Rust.
    pub fn of_crate(root: &Path) -> Self {
        let mut sources = Self::default();
        sources.read_file(root, Vec::new());
        sources
    }

    /// Reads the text of one module, whose own modules stand in it.
    ///
    /// # Panics
    /// If it is no Rust.
    pub fn of_text(module: &[&str], text: &str) -> Self {
        let mut sources = Self::default();
        let module = module.iter().map(|&name| name.to_owned()).collect();
        sources.read(&syn::parse_file(text).expect("Rust"), module, None);
        sources
    }

    fn read_file(&mut self, file: &Path, module: Vec<String>) {
        let text = fs::read_to_string(file).unwrap_or_else(|error| panic!("{}: {error}", file.display()));
        let parsed = syn::parse_file(&text).unwrap_or_else(|error| panic!("{}: {error}", file.display()));
        self.read(&parsed, module, Some(file));
    }

    fn read(&mut self, parsed: &syn::File, module: Vec<String>, file: Option<&Path>) {
        self.modules.insert(module.clone());
        let mut reader = Reader { sources: self, module, file: file.map(Path::to_owned) };
        reader.visit_file(parsed);
    }

    /// What is named, with imports put in place: `crate::Model` of a root with `pub use model::Model` is `model::Model`, and so it is
    /// with what other modules import.
    pub fn imports(&self) -> BTreeSet<Import> {
        let placed = |to: &[String]| self.beyond_modules(self.beyond_root(to));
        self.imports.iter().map(|import| Import { from: import.from.clone(), to: placed(&import.to) }).collect()
    }

    fn beyond_modules(&self, mut to: Vec<String>) -> Vec<String> {
        // No chain of imports is longer; one that goes round would not compile.
        for _ in 0..8 {
            let depth = (1..to.len()).rev().find(|&depth| self.modules.contains(&to[..depth]));
            let Some(depth) = depth.filter(|_| !self.modules.contains(&to)) else { break };
            let imported = self.imported.get(&to[..=depth]).and_then(|path| self.path_from(&to[..depth], path));
            let Some(path) = imported else { break };
            to = [&path[..], &to[depth + 1..]].concat();
        }
        to
    }

    /// Where a path leads that stands in `module`; `None` out of the crate.
    fn path_from(&self, module: &[String], path: &[String]) -> Option<Vec<String>> {
        let mut to = match path[0].as_str() {
            "crate" => Vec::new(),
            "self" | "super" => module.to_vec(),
            name => Some(module.to_vec()).filter(|_| self.modules.contains(&[module, &[name.to_owned()]].concat()))?,
        };
        for name in path {
            match name.as_str() {
                "crate" | "self" => {}
                "super" => drop(to.pop()),
                other => to.push(other.to_owned()),
            }
        }
        Some(self.beyond_root(&to))
    }

    fn beyond_root(&self, to: &[String]) -> Vec<String> {
        match to.split_first().and_then(|(name, rest)| Some((self.root.get(name)?, rest))) {
            Some((path, rest)) => [path, rest].concat(),
            None => to.to_vec(),
        }
    }

    /// Paths whose beginning leads to nothing that was found, so that they cannot be followed: `use crate::*`.
    pub fn unknown(&self) -> Vec<&Import> {
        let known = |name: &String| self.modules.contains(&vec![name.clone()]) || self.root.contains_key(name);
        let inside = self.imports.iter().filter(|import| !import.from.is_empty());
        inside.filter(|import| !import.to.first().is_some_and(known)).collect()
    }
}

/// Walks through one file.
struct Reader<'a> {
    sources: &'a mut Sources,
    /// The module at hand.
    module: Vec<String>,
    /// The file at hand; none: a text, whose modules have no files.
    file: Option<PathBuf>,
}

impl Reader<'_> {
    /// Notes a path that begins with `crate`, `self` or `super`; in the root also one that begins with a module.
    fn note(&mut self, path: &[String]) {
        let mut to = match path.first().map(String::as_str) {
            Some("crate") => Vec::new(),
            Some("self" | "super") => self.module.clone(),
            Some(_) if self.module.is_empty() => Vec::new(),
            _ => return,
        };
        for name in path {
            match name.as_str() {
                "crate" | "self" => {}
                "super" => drop(to.pop()),
                other => to.push(other.to_owned()),
            }
        }
        self.sources.imports.insert(Import { from: self.module.clone(), to });
    }

    fn note_as(&mut self, path: &[String], name: &str) {
        if self.module.is_empty() && path.len() > 1 {
            let from_root = usize::from(["crate", "self"].contains(&path[0].as_str()));
            self.sources.root.insert(name.to_owned(), path[from_root..].to_vec());
        } else if path.len() > 1 {
            self.sources.imported.insert([&self.module[..], &[name.to_owned()]].concat(), path.to_vec());
        }
        self.note(path);
    }

    fn note_use(&mut self, tree: &UseTree, before: &[String]) {
        let with = |name: &dyn ToString| [before, &[name.to_string()]].concat();
        match tree {
            UseTree::Path(path) => self.note_use(&path.tree, &with(&path.ident)),
            UseTree::Name(name) => self.note_as(&with(&name.ident), &name.ident.to_string()),
            UseTree::Rename(rename) => self.note_as(&with(&rename.ident), &rename.rename.to_string()),
            UseTree::Glob(_) => self.note(&with(&"*")),
            UseTree::Group(group) => group.items.iter().for_each(|item| self.note_use(item, before)),
        }
    }

    /// Notes what the tokens of a macro name, as far as it stands there in words.
    fn note_tokens(&mut self, tokens: TokenStream) {
        let tokens: Vec<TokenTree> = tokens.into_iter().collect();
        let mut at = 0;
        while at < tokens.len() {
            match &tokens[at] {
                TokenTree::Group(group) => self.note_tokens(group.stream()),
                TokenTree::Ident(word) if ["crate", "self", "super"].iter().any(|begin| word == begin) => {
                    let length = path_length(&tokens[at..]);
                    let path = tokens[at..at + length].iter().cloned().collect();
                    if length > 1
                        && let Ok(tree) = syn::parse2::<UseTree>(path)
                    {
                        self.note_use(&tree, &[]);
                        at += length - 1;
                    }
                }
                _ => {}
            }
            at += 1;
        }
    }

    fn inside(&mut self, module: &str, then: impl FnOnce(&mut Self)) {
        self.module.push(module.to_owned());
        then(self);
        self.module.pop();
    }

    /// The file of a module that is declared without its text.
    fn file_of(&self, module: &ItemMod) -> Option<PathBuf> {
        let file = self.file.as_deref()?;
        let folder = file.parent()?;
        if let Some(path) = module.attrs.iter().find_map(path_attribute) {
            return Some(folder.join(path));
        }
        let name = module.ident.to_string();
        let stem = file.file_stem()?.to_str()?;
        let folder = if ["lib", "main", "mod"].contains(&stem) { folder.to_owned() } else { folder.join(stem) };
        let alone = folder.join(format!("{name}.rs"));
        Some(if alone.exists() { alone } else { folder.join(name).join("mod.rs") })
    }
}

/// How many of the tokens, whose first is a word, are a path: `a::b::c`, `a::{b, c}`.
fn path_length(tokens: &[TokenTree]) -> usize {
    let colon = |at: usize, spacing| matches!(tokens.get(at), Some(TokenTree::Punct(p)) if p.as_char() == ':' && p.spacing() == spacing);
    let mut length = 1;
    while colon(length, Spacing::Joint)
        && matches!(tokens.get(length + 1), Some(TokenTree::Punct(p)) if p.as_char() == ':')
    {
        match tokens.get(length + 2) {
            Some(TokenTree::Ident(_)) => length += 3,
            Some(TokenTree::Group(group)) if group.delimiter() == Delimiter::Brace => return length + 3,
            Some(TokenTree::Punct(star)) if star.as_char() == '*' => return length + 3,
            _ => break,
        }
    }
    length
}

/// `FILE` of `#[path = "FILE"]`.
fn path_attribute(attribute: &Attribute) -> Option<String> {
    let Meta::NameValue(pair) = &attribute.meta else { return None };
    match &pair.value {
        syn::Expr::Lit(syn::ExprLit { lit: Lit::Str(path), .. }) if pair.path.is_ident("path") => Some(path.value()),
        _ => None,
    }
}

/// Whether there is a `#[cfg(test)]` or `#[cfg(all(test, ...))]`. What `any(test, ...)` stands before is a part of some builds.
fn is_test(attributes: &[Attribute]) -> bool {
    attributes.iter().any(|attribute| {
        let Meta::List(list) = &attribute.meta else { return false };
        let condition = list.tokens.to_string().replace(' ', "");
        list.path.is_ident("cfg") && (condition == "test" || condition.starts_with("all(test,"))
    })
}

fn attributes(item: &Item) -> &[Attribute] {
    match item {
        Item::Const(item) => &item.attrs,
        Item::Enum(item) => &item.attrs,
        Item::ExternCrate(item) => &item.attrs,
        Item::Fn(item) => &item.attrs,
        Item::ForeignMod(item) => &item.attrs,
        Item::Impl(item) => &item.attrs,
        Item::Macro(item) => &item.attrs,
        Item::Mod(item) => &item.attrs,
        Item::Static(item) => &item.attrs,
        Item::Struct(item) => &item.attrs,
        Item::Trait(item) => &item.attrs,
        Item::TraitAlias(item) => &item.attrs,
        Item::Type(item) => &item.attrs,
        Item::Union(item) => &item.attrs,
        Item::Use(item) => &item.attrs,
        _ => &[],
    }
}

/// Of what the root may define itself.
fn name(item: &Item) -> Option<String> {
    let name = match item {
        Item::Const(item) => &item.ident,
        Item::Enum(item) => &item.ident,
        Item::Fn(item) => &item.sig.ident,
        Item::Static(item) => &item.ident,
        Item::Struct(item) => &item.ident,
        Item::Trait(item) => &item.ident,
        Item::Type(item) => &item.ident,
        _ => return None,
    };
    Some(name.to_string())
}

impl<'ast> Visit<'ast> for Reader<'_> {
    fn visit_item(&mut self, item: &'ast Item) {
        if is_test(attributes(item)) {
            return;
        }
        if let Some(name) = name(item).filter(|_| self.module.is_empty()) {
            self.sources.root.insert(name.clone(), vec![name]);
        }
        visit::visit_item(self, item);
    }

    fn visit_impl_item(&mut self, item: &'ast ImplItem) {
        let test = match item {
            ImplItem::Fn(function) => is_test(&function.attrs),
            ImplItem::Const(constant) => is_test(&constant.attrs),
            _ => false,
        };
        if !test {
            visit::visit_impl_item(self, item);
        }
    }

    fn visit_stmt(&mut self, statement: &'ast Stmt) {
        if !matches!(statement, Stmt::Local(local) if is_test(&local.attrs)) {
            visit::visit_stmt(self, statement);
        }
    }

    fn visit_item_mod(&mut self, module: &'ast ItemMod) {
        let name = module.ident.to_string();
        module.attrs.iter().for_each(|attribute| self.visit_attribute(attribute));
        if module.content.is_some() {
            self.inside(&name, |reader| {
                reader.sources.modules.insert(reader.module.clone());
                module.content.iter().flat_map(|(_, items)| items).for_each(|item| reader.visit_item(item));
            });
        } else if let Some(file) = self.file_of(module) {
            self.sources.read_file(&file, [&self.module[..], &[name]].concat());
        }
    }

    fn visit_item_use(&mut self, item: &'ast syn::ItemUse) {
        if item.leading_colon.is_none() {
            self.note_use(&item.tree, &[]);
        }
    }

    fn visit_item_macro(&mut self, item: &'ast syn::ItemMacro) {
        let exported = item.attrs.iter().any(|attribute| attribute.path().is_ident("macro_export"));
        if let Some(name) = item.ident.as_ref().filter(|_| exported) {
            self.sources.root.insert(name.to_string(), self.module.clone());
        }
        visit::visit_item_macro(self, item);
    }

    fn visit_path(&mut self, path: &'ast syn::Path) {
        let names: Vec<String> = path.segments.iter().map(|segment| segment.ident.to_string()).collect();
        let begins = ["crate", "self", "super"].contains(&names[0].as_str());
        if begins && names.len() > 1 {
            self.note(&names);
        }
        visit::visit_path(self, path);
    }

    fn visit_macro(&mut self, called: &'ast syn::Macro) {
        self.visit_path(&called.path);
        self.note_tokens(called.tokens.clone());
    }

    fn visit_attribute(&mut self, attribute: &'ast Attribute) {
        if let Meta::List(list) = &attribute.meta {
            self.note_tokens(list.tokens.clone());
            // `#[serde(with = "crate::a::b")]` names a path in a string.
            for token in list.tokens.clone() {
                if let TokenTree::Literal(literal) = token
                    && let Lit::Str(text) = Lit::new(literal)
                    && let Ok(tokens) = text.parse::<TokenStream>()
                {
                    self.note_tokens(tokens);
                }
            }
        }
    }

    /// `pub(in crate::a)` says who may name the item; it names nothing.
    fn visit_visibility(&mut self, _: &'ast Visibility) {}
}
