//! What is said once: facts that have one home, names that mean one thing, and the variables of the environment.

use std::collections::{BTreeMap, BTreeSet};

use super::source::Source;
use super::{Complaint, Tree};

/// Texts that are written down in one file, and nowhere else below some folders.
struct Fact {
    /// What each of them is.
    of: &'static str,
    /// All of them.
    texts: fn(&Tree) -> BTreeSet<&str>,
    /// The file that may have them; whichever it is, when empty, but one only.
    home: &'static str,
    /// Where this is held.
    within: &'static [&'static str],
}

const FACTS: &[Fact] = &[
    Fact {
        of: "a program's name",
        texts: programs,
        home: "krcu-agent/src/kernel/catalog.rs",
        within: &["krcu-agent/src"],
    },
    Fact { of: "a column's name", texts: columns, home: SCHEMA, within: &["krcu-trace/src"] },
    Fact {
        of: "a word of a loss's scope",
        texts: |_| SCOPES.into(),
        home: "",
        within: &["krcu-model/src", "krcu-trace/src", "analysis/src"],
    },
];

const SCHEMA: &str = "krcu-trace/src/schema.rs";
/// Those that are no words of anything else.
const SCOPES: [&str; 2] = ["queueing", "freeing"];
/// What stands above a program of the probes.
const PROGRAM: [&str; 3] = ["fentry", "fexit", "btf_tracepoint"];

/// The functions of the probes that are programs.
fn programs(tree: &Tree) -> BTreeSet<&str> {
    let probes = tree.sources.iter().filter(|source| source.path.starts_with("krcu-ebpf/src/"));
    let mut found = BTreeSet::new();
    for source in probes {
        let mut is_program = false;
        let mut before = "";
        for (_, word) in source.words() {
            is_program |= before == "[" && PROGRAM.contains(&word);
            if before == "fn" && is_program {
                found.insert(word);
                is_program = false;
            }
            before = word;
        }
    }
    found
}

/// Names in the schema; those of one word are words of other things too.
fn columns(tree: &Tree) -> BTreeSet<&str> {
    let schema = tree.sources.iter().filter(|source| source.path == SCHEMA).flat_map(Source::literals);
    let is_name =
        |text: &&str| text.contains('_') && text.chars().all(|c| c == '_' || c.is_ascii_lowercase());
    schema.map(|(_, text)| text).filter(is_name).collect()
}

pub(super) fn facts(tree: &Tree) -> Vec<Complaint> {
    let mut found = Vec::new();
    for fact in FACTS {
        let texts = (fact.texts)(tree);
        let is_held = |source: &&Source| fact.within.iter().any(|folder| source.path.starts_with(folder));
        let mut said: BTreeMap<&str, Vec<(&Source, usize)>> = BTreeMap::new();
        for source in tree.sources.iter().filter(is_held) {
            for (at, text) in source.literals().filter(|(_, text)| texts.contains(text)) {
                said.entry(text).or_default().push((source, at));
            }
        }
        for (text, places) in said {
            let first = &places[0].0.path;
            if fact.home.is_empty() && places.iter().all(|(source, _)| source.path == *first) {
                continue;
            }
            for (source, at) in places.into_iter().filter(|(source, _)| source.path != fact.home) {
                let what = format!("\"{text}\" is {}, which is written down once", fact.of);
                found.push(Complaint::of(source, at, "a fact said twice", what));
            }
        }
    }
    found
}

/// Names of types that mean one thing in this project.
const TYPES: [&str; 7] = ["Freeing", "Freer", "Ledger", "Losses", "Machine", "Replay", "Report"];
/// Names of modules that do.
const MODULES: [&str; 5] = ["machine", "record", "recorder", "recording", "words"];

pub(super) fn names(tree: &Tree) -> Vec<Complaint> {
    let mut homes: BTreeMap<(&str, &str), Vec<(&Source, usize)>> = BTreeMap::new();
    for source in tree.sources.iter().filter(|source| !source.is_test()) {
        for (at, name) in source.types().filter(|(_, name)| TYPES.contains(name)) {
            homes.entry(("type", name)).or_default().push((source, at));
        }
        let path = source.path.trim_end_matches(".rs").trim_end_matches("/mod");
        if let Some(name) = path.rsplit('/').next().filter(|name| MODULES.contains(name)) {
            homes.entry(("module", name)).or_default().push((source, 0));
        }
    }
    let mut found = Vec::new();
    for ((kind, name), homes) in homes.into_iter().filter(|(_, homes)| homes.len() > 1) {
        for (source, at) in homes {
            let what = format!("`{name}` is the name of more than one {kind}");
            found.push(Complaint::of(source, at, "one word for one thing", what));
        }
    }
    found
}

/// Our variables of the environment. One of them writes anew what tests compare with, and no other does.
const VARIABLES: [&str; 11] = [
    "KRCU_BLESS",
    "KRCU_CACHE",
    "KRCU_CORPUS",
    "KRCU_DEBIAN_ARCHIVE",
    "KRCU_EBPF_OBJECT",
    "KRCU_KEEP",
    "KRCU_KILLED_FOLDER",
    "KRCU_KILLS",
    "KRCU_ORACLE_WORKLOADS",
    "KRCU_RUST_SRC",
    "KRCU_TUI_PANIC",
];

pub(super) fn variables(tree: &Tree) -> Vec<Complaint> {
    let mut found = Vec::new();
    for source in &tree.sources {
        for (at, _) in source.text.match_indices("KRCU_") {
            let rest = &source.text[at..];
            let name =
                rest.find(|c: char| !(c.is_ascii_uppercase() || c == '_')).map_or(rest, |end| &rest[..end]);
            if name != "KRCU_" && !VARIABLES.contains(&name) {
                let what =
                    format!("`{name}` is none of our variables; `KRCU_BLESS` writes expected files anew");
                found.push(Complaint::of(source, at, "variable", what));
            }
        }
    }
    found
}
