//! Which file uses which, inside one crate: paths of the code are followed through modules and what they hand on.

use std::collections::{BTreeMap, BTreeSet};

use super::source::{PathUse, Source};

/// The files of one crate, with what each uses.
pub(super) struct Modules<'a> {
    /// Each file's module, from the crate's root.
    files: BTreeMap<Vec<&'a str>, &'a Source>,
    /// What each file binds by `use`.
    bound: BTreeMap<&'a str, Vec<PathUse<'a>>>,
    /// What the crate calls itself.
    own_name: String,
}

/// An arrow between two files.
pub(super) struct Arrow<'a> {
    pub(super) from: &'a Source,
    pub(super) to: &'a Source,
    /// Where it is in the first.
    pub(super) at: usize,
    /// Whether the second is a part of the first: its child, or a child's child.
    pub(super) is_inward: bool,
}

/// So often a name is handed on at the most; beyond that it is a circle.
const HANDED_ON: usize = 8;

impl<'a> Modules<'a> {
    /// Of the files below `src` of one crate.
    pub(super) fn new(own_folder: &str, sources: &'a [Source]) -> Self {
        // A program beside a library is a crate of its own, whose one file uses the library as others do.
        let library = format!("{own_folder}/src/lib.rs");
        let has_library = sources.iter().any(|source| source.path == library);
        let of_crate = |source: &&Source| {
            let is_beside = has_library && source.path.ends_with("/src/main.rs");
            source.of_crate() == own_folder && !source.is_test() && !is_beside
        };
        let files: BTreeMap<Vec<&str>, &Source> = sources
            .iter()
            .filter(of_crate)
            .filter_map(|source| Some((module_of(source.path.split_once("/src/")?.1), source)))
            .collect();
        let bound = files.values().map(|source| (source.path.as_str(), uses(source))).collect();
        Self { files, bound, own_name: own_folder.replace('-', "_") }
    }

    /// Every arrow between two files, tests left out. What a file hands on is no arrow: it is its table of contents.
    pub(super) fn arrows(&self) -> Vec<Arrow<'a>> {
        let mut arrows = Vec::new();
        for (module, from) in &self.files {
            for path in from.paths().into_iter().filter(|path| !path.is_handed_on) {
                if let Some((place, to)) = self.resolve(module, &path.segments, HANDED_ON)
                    && to.path != from.path
                {
                    let is_inward = place.starts_with(module);
                    arrows.push(Arrow { from, to, at: path.at, is_inward });
                }
            }
        }
        arrows
    }

    /// The file in which the thing at the end of a path is defined, if it is one of this crate.
    fn resolve(
        &self,
        module: &[&'a str],
        path: &[&'a str],
        left: usize,
    ) -> Option<(Vec<&'a str>, &'a Source)> {
        let mut rest = path;
        let mut place: Vec<&str> = match rest.first()? {
            first if *first == "crate" || *first == self.own_name => Vec::new(),
            first if ["self", "super"].contains(first) || self.is_module(module, first) => module.to_vec(),
            _ => return None,
        };
        if rest[0] == "crate" || rest[0] == "self" || rest[0] == self.own_name {
            rest = &rest[1..];
        }
        while rest.first() == Some(&"super") {
            place.pop();
            rest = &rest[1..];
        }
        while let Some(next) = rest.first().filter(|next| self.is_module(&place, next)) {
            place.push(next);
            rest = &rest[1..];
        }
        let file = *self.files.get(&place)?;
        let Some(name) = rest.first() else { return Some((place, file)) };
        let here = self.bound.get(file.path.as_str()).into_iter().flatten().filter(|_| left > 0);
        let mut named = here.clone().filter(|path| path.bound == Some(name));
        if let Some(found) = named.find_map(|path| self.resolve(&place, &path.segments, left - 1)) {
            return Some(found);
        }
        let of_all = here.filter(|path| path.bound == Some("*") && path.is_handed_on);
        let mut of_all = of_all.filter_map(|path| self.resolve(&place, &path.segments, left - 1));
        Some(of_all.find(|(_, file)| defines(file, name)).unwrap_or_else(|| (place.clone(), file)))
    }

    fn is_module(&self, module: &[&'a str], child: &'a str) -> bool {
        self.files.contains_key(&[module, &[child]].concat())
    }
}

/// The module of a file below `src`.
fn module_of(path: &str) -> Vec<&str> {
    let mut parts: Vec<&str> = path.trim_end_matches(".rs").split('/').collect();
    if ["mod", "lib"].contains(&parts[parts.len() - 1]) || parts == ["main"] {
        parts.pop();
    }
    parts
}

fn uses(source: &Source) -> Vec<PathUse<'_>> {
    source.paths().into_iter().filter(|path| path.bound.is_some()).collect()
}

fn defines(source: &Source, name: &str) -> bool {
    let words = ["struct", "enum", "trait", "type", "fn", "const", "static"];
    source.defined(&words).any(|(_, defined)| defined == name)
}

/// Files that use each other in a circle, each circle once: those with more than `most` files. That a module uses its own
/// parts, and these what it has for all of them, makes no circle.
pub(super) fn circles<'a>(arrows: &[Arrow<'a>], most: usize) -> Vec<Vec<&'a str>> {
    let mut uses: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
    for arrow in arrows.iter().filter(|arrow| !arrow.is_inward) {
        uses.entry(&arrow.from.path).or_default().insert(&arrow.to.path);
    }
    let reached: BTreeMap<&str, BTreeSet<&str>> =
        uses.keys().map(|file| (*file, reach(&uses, file))).collect();
    let mut circles = BTreeSet::new();
    for (file, to) in &reached {
        let back = to.iter().filter(|other| reached.get(*other).is_some_and(|of| of.contains(file)));
        let circle: Vec<&str> = back.copied().collect();
        if circle.len() > most {
            circles.insert(circle);
        }
    }
    circles.into_iter().collect()
}

fn reach<'a>(uses: &BTreeMap<&'a str, BTreeSet<&'a str>>, from: &str) -> BTreeSet<&'a str> {
    let mut reached = BTreeSet::new();
    let mut open = vec![from];
    while let Some(file) = open.pop() {
        for to in uses.get(file).into_iter().flatten() {
            if reached.insert(*to) {
                open.push(to);
            }
        }
    }
    reached
}
