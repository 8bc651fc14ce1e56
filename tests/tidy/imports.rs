//! Which file of src takes names from which. Each name is followed to the file that defines it, through what others re-export.
//!
//! Tests do not count, nor does `mod x;`, nor a re-export: who takes a name from there is tied to its source. A method needs no
//! import, so calls of methods tie nothing.

use std::collections::{BTreeMap, BTreeSet};

use syn::buffer::Cursor;
use syn::parse::ParseStream;
use syn::visit::{self, Visit};
use syn::{Attribute, Item, ItemMacro, ItemMod, ItemUse, Macro, UseTree, Visibility};

/// For each file, the files that it takes names from, and which names.
pub type Imports = BTreeMap<String, BTreeMap<String, BTreeSet<String>>>;

/// A path in the code, or that of a module from the root of the crate.
type Path = Vec<String>;

#[derive(Default)]
struct Module {
    file: String,
    items: BTreeSet<String>,
    /// It calls a macro among its items: what that defines is not seen.
    has_unseen_items: bool,
    /// What its `use` lines name, each by the name that it has here.
    renamed: BTreeMap<String, Path>,
    globs: Vec<Path>,
    /// What its code names.
    named: Vec<Path>,
    /// What it hands to macros that stand among its items.
    handed: Vec<Path>,
}

enum Found {
    Module(Path),
    Item { file: String, name: String },
}

#[derive(Default)]
struct Modules {
    all: BTreeMap<Path, Module>,
    /// Modules that are there in tests only.
    tests: BTreeSet<Path>,
    /// The one that is being read.
    here: Path,
}

/// Reads the files, each by its path inside src and its text.
pub fn imports<'a>(files: impl IntoIterator<Item = (&'a str, &'a str)>) -> Imports {
    let mut modules = Modules::default();
    for (file, text) in files {
        let name = file.trim_end_matches(".rs").trim_end_matches("/mod");
        modules.here = if name == "lib" { Path::new() } else { name.split('/').map(str::to_owned).collect() };
        modules.all.entry(modules.here.clone()).or_default().file = file.to_owned();
        let parsed = syn::parse_file(text).unwrap_or_else(|error| panic!("{file}: {error}"));
        modules.visit_file(&parsed);
    }
    let Modules { tests, .. } = &modules;
    let is_test = |path: &[String]| (0..=path.len()).any(|end| tests.contains(&path[..end]));
    let mut imports = Imports::new();
    for (here, module) in modules.all.iter().filter(|(path, _)| !is_test(path)) {
        let named = module.named.iter().map(|name| (name, false));
        let handed = module.handed.iter().map(|name| (name, true));
        for (path, is_handed) in named.chain(handed) {
            let (file, name) = match modules.resolve(here, path, 0) {
                Some(Found::Item { file, name }) => (file, name),
                Some(Found::Module(module)) if is_handed => (modules.all[&module].file.clone(), path.join("::")),
                _ => continue,
            };
            if file != module.file {
                imports.entry(module.file.clone()).or_default().entry(file).or_default().insert(name);
            }
        }
    }
    imports
}

impl Modules {
    fn module(&mut self) -> &mut Module {
        self.all.entry(self.here.clone()).or_default()
    }

    /// What that path means in that module; none if it is no name of ours.
    fn resolve(&self, module: &[String], path: &[String], depth: usize) -> Option<Found> {
        let (first, mut rest) = path.split_first()?;
        let mut found = match first.as_str() {
            "crate" | "mailconn" => Found::Module(Path::new()),
            "self" => Found::Module(module.to_vec()),
            "super" => Found::Module(module.split_last()?.1.to_vec()),
            _ => self.look_up(module, first, rest.is_empty(), depth)?,
        };
        while let (Found::Module(module), Some((name, after))) = (&found, rest.split_first()) {
            found = if name == "super" {
                Found::Module(module.split_last()?.1.to_vec())
            } else {
                self.look_up(module, name, after.is_empty(), depth).or_else(|| {
                    let module = self.all.get(module).filter(|module| module.has_unseen_items)?;
                    Some(Found::Item { file: module.file.clone(), name: name.clone() })
                })?
            };
            rest = after;
        }
        Some(found)
    }

    /// What that module calls so. An item and a module may share a name: the last name of a path is the item's.
    fn look_up(&self, path: &[String], name: &String, is_last: bool, depth: usize) -> Option<Found> {
        // A name that is defined by itself is none of ours.
        let module = self.all.get(path).filter(|_| depth < 16)?;
        let inner = [path, std::slice::from_ref(name)].concat();
        let inner = self.all.contains_key(&inner).then_some(Found::Module(inner));
        if inner.is_some() && !is_last {
            return inner;
        }
        if module.items.contains(name) {
            return Some(Found::Item { file: module.file.clone(), name: name.clone() });
        }
        let renamed = module.renamed.get(name).and_then(|to| self.resolve(path, to, depth + 1));
        let from_globs = || {
            module.globs.iter().find_map(|glob| match self.resolve(path, glob, depth + 1)? {
                Found::Module(module) => self.look_up(&module, name, is_last, depth + 1),
                Found::Item { .. } => None,
            })
        };
        renamed.or(inner).or_else(from_globs)
    }

    fn add_use(&mut self, tree: &UseTree, within: &[String], is_handed_on: bool) {
        let path = |name: &syn::Ident| [within, &[name.to_string()]].concat();
        let (name, path) = match tree {
            UseTree::Path(tree) => return self.add_use(&tree.tree, &path(&tree.ident), is_handed_on),
            UseTree::Group(group) => {
                return group.items.iter().for_each(|tree| self.add_use(tree, within, is_handed_on));
            }
            UseTree::Glob(_) => return self.module().globs.push(within.to_vec()),
            UseTree::Name(name) if name.ident == "self" => (within.last().unwrap().clone(), within.to_vec()),
            UseTree::Name(name) => (name.ident.to_string(), path(&name.ident)),
            UseTree::Rename(renamed) => (renamed.rename.to_string(), path(&renamed.ident)),
        };
        if !is_handed_on {
            self.module().named.push(path.clone());
        }
        self.module().renamed.insert(name, path);
    }
}

impl Visit<'_> for Modules {
    fn visit_item(&mut self, item: &Item) {
        let (name, attributes) = match item {
            Item::Const(item) => (Some(&item.ident), &item.attrs),
            Item::Enum(item) => (Some(&item.ident), &item.attrs),
            Item::Fn(item) => (Some(&item.sig.ident), &item.attrs),
            Item::Macro(item) => (item.ident.as_ref(), &item.attrs),
            Item::Static(item) => (Some(&item.ident), &item.attrs),
            Item::Struct(item) => (Some(&item.ident), &item.attrs),
            Item::Trait(item) => (Some(&item.ident), &item.attrs),
            Item::Type(item) => (Some(&item.ident), &item.attrs),
            Item::Union(item) => (Some(&item.ident), &item.attrs),
            Item::Impl(item) => (None, &item.attrs),
            Item::Mod(item) => (None, &item.attrs),
            Item::Use(item) => (None, &item.attrs),
            _ => panic!("a kind of item that this test does not know, in {}", self.here.join("::")),
        };
        if attributes.iter().any(is_for_tests) {
            if let Item::Mod(item) = item {
                self.tests.insert([&*self.here, &[item.ident.to_string()]].concat());
            }
            return;
        }
        self.module().items.extend(name.map(ToString::to_string));
        visit::visit_item(self, item);
    }

    fn visit_item_mod(&mut self, item: &ItemMod) {
        if item.content.is_some() {
            let file = self.module().file.clone();
            self.here.push(item.ident.to_string());
            self.module().file = file;
            visit::visit_item_mod(self, item);
            self.here.pop();
        }
    }

    fn visit_item_use(&mut self, item: &ItemUse) {
        self.add_use(&item.tree, &[], !matches!(item.vis, Visibility::Inherited));
    }

    fn visit_item_macro(&mut self, item: &ItemMacro) {
        if item.ident.is_none() {
            self.module().has_unseen_items = true;
            let handed = paths(&item.mac);
            self.module().handed.extend(handed);
        } else {
            self.visit_macro(&item.mac);
        }
    }

    fn visit_macro(&mut self, called: &Macro) {
        let named = paths(called);
        self.module().named.extend(named);
        visit::visit_path(self, &called.path);
    }

    fn visit_path(&mut self, path: &syn::Path) {
        if path.leading_colon.is_none() {
            self.module().named.push(path.segments.iter().map(|segment| segment.ident.to_string()).collect());
        }
        visit::visit_path(self, path);
    }

    /// What a derive or serde is told names nothing here.
    fn visit_attribute(&mut self, _: &Attribute) {}
}

fn is_for_tests(attribute: &Attribute) -> bool {
    let is_test = || attribute.parse_args::<syn::Path>().is_ok_and(|when| when.is_ident("test"));
    attribute.path().is_ident("cfg") && is_test()
}

/// All paths in what a macro is called with, whatever it makes of them.
fn paths(called: &Macro) -> Vec<Path> {
    let mut found = Vec::new();
    let read = |input: ParseStream<'_>| input.step(|cursor| Ok(((), add_paths(*cursor, &mut found))));
    called.parse_body_with(read).unwrap();
    found
}

/// Reads to the end of the tokens, and returns it.
fn add_paths<'a>(mut at: Cursor<'a>, found: &mut Vec<Path>) -> Cursor<'a> {
    let colon = |at: Cursor<'a>| at.punct().filter(|(punct, _)| punct.as_char() == ':').map(|(_, after)| after);
    let name = |at: Cursor<'a>| at.ident().map(|(name, after)| (name.to_string(), after));
    while !at.eof() {
        if let Some((first, after)) = name(at) {
            let mut path = vec![first];
            at = after;
            while let Some((next, after)) = colon(at).and_then(colon).and_then(name) {
                path.push(next);
                at = after;
            }
            found.push(path);
        } else if let Some((inside, _, _, after)) = at.any_group() {
            add_paths(inside, found);
            at = after;
        } else if let Some((_, after)) = at.token_tree() {
            at = after;
        }
    }
    at
}
