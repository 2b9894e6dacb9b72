//! What is absent where: the column of ARCHITECTURE.md's table of crates, as data.

use std::collections::BTreeMap;

use super::arrows::is_below_src;
use super::source::Source;
use super::{Complaint, Tree};

/// What one crate does without.
#[derive(Debug)]
struct Absent {
    /// The crate.
    own: &'static str,
    /// The word in the crate's row of ARCHITECTURE.md that promises it.
    promised: &'static str,
    /// Files or folders below `src` that it is said of; all when empty.
    only: &'static [&'static str],
    /// Those that it is not said of.
    but: &'static [&'static str],
    /// Names, or beginnings of paths, that are not there.
    names: &'static [&'static str],
}

const fn absent(own: &'static str, promised: &'static str, names: &'static [&'static str]) -> Absent {
    Absent { own, promised, only: &[], but: &[], names }
}

const CLOCKS: &[&str] = &["std::time::Instant", "std::time::SystemTime", "nix::time"];
const FILES: &[&str] = &["std::fs", "std::os", "std::env", "std::process"];
const SOCKETS: &[&str] = &["std::net", "std::os::unix::net"];
const THREADS: &[&str] = &["std::thread"];
const UNSAFE: &[&str] = &["unsafe"];
/// What Rust's own hash tables are called: their order of iteration differs from run to run.
const HASHES: &[&str] = &["HashMap", "HashSet"];
/// A kernel's version, as a number or as the text that `uname` prints.
const VERSIONS: &[&str] = &["uname", "nix::sys::utsname", "LINUX_VERSION_CODE", "osrelease"];
const AYA: &[&str] = &["aya", "aya_obj", "aya_log"];
const REFERENCE: &[&str] = &["krcu_reference"];

const ABSENT: &[Absent] = &[
    absent("krcu-common", "allocation", &["alloc", "Vec", "String", "Box", "std"]),
    absent("krcu-common", "aya", AYA),
    absent("krcu-ebpf", "any number of one kernel", VERSIONS),
    absent("krcu-model", "clocks", CLOCKS),
    absent("krcu-model", "files", FILES),
    absent("krcu-model", "threads", THREADS),
    absent("krcu-model", "unsafe", UNSAFE),
    absent("krcu-model", "hash table", HASHES),
    absent("krcu-model", "kernel versions", VERSIONS),
    absent("krcu-model", "simulations", REFERENCE),
    absent("krcu-reference", "clocks", CLOCKS),
    absent("krcu-reference", "files", FILES),
    absent("krcu-reference", "unsafe", UNSAFE),
    absent("krcu-reference", "kernel versions", VERSIONS),
    Absent { but: &["check"], ..absent("krcu-reference", "threads", THREADS) },
    absent("krcu-report", "files", FILES),
    absent("krcu-report", "sockets", SOCKETS),
    absent("krcu-report", "clocks", CLOCKS),
    absent("krcu-report", "simulations", REFERENCE),
    absent("krcu-agent", "simulations", REFERENCE),
    Absent { but: &["probe", "source", "diagnostics"], ..absent("krcu-agent", "aya", AYA) },
    absent("krcu-tui", "aya", AYA),
    absent("krcu-tui", "privileges", &["caps", "libc"]),
    Absent { only: &["state"], ..absent("krcu-tui", "the terminal", &["ratatui", "crossterm"]) },
    Absent { only: &["state"], ..absent("krcu-tui", "the clock", CLOCKS) },
    // The two ends that wake `guard` go to nobody.
    Absent { but: &["connection", "guard"], ..absent("krcu-tui", "sockets", SOCKETS) },
    Absent { but: &["connection"], ..absent("krcu-tui", "traces", &["krcu_trace"]) },
    absent("krcu-trace", "clocks", CLOCKS),
    absent("krcu-trace", "threads", THREADS),
    absent("krcu-trace", "polars", &["polars"]),
    absent("krcu-trace", "aya", AYA),
    absent("krcu-ship", "polars", &["polars"]),
    absent("krcu-ship", "aya", AYA),
    absent("krcu-ship", "sockets", SOCKETS),
    absent("analysis", "privileges", &["caps", "libc", "nix"]),
    absent("krcu-fleet", "privileges", &["caps", "libc", "nix"]),
];

pub(super) fn from_crates(tree: &Tree) -> Vec<Complaint> {
    let mut found = Vec::new();
    for source in tree.sources.iter().filter(|source| !source.is_test() && source.path.contains("/src/")) {
        let paths = whole_paths(source);
        let said = ABSENT.iter().filter(|absent| absent.is_said_of(source));
        for (absent, name) in said.flat_map(|absent| absent.names.iter().map(move |name| (absent, *name))) {
            let is_below = |path: &str| {
                let is_all = path.strip_suffix('*').is_some_and(|module| name.starts_with(module));
                is_all
                    || path.strip_prefix(name).is_some_and(|rest| rest.is_empty() || rest.starts_with("::"))
            };
            let mut places: Vec<usize> = if name.contains("::") {
                paths.iter().filter(|(_, path)| is_below(path)).map(|(at, _)| *at).collect()
            } else {
                source.words().filter(|(_, word)| *word == name).map(|(at, _)| at).collect()
            };
            places.dedup_by_key(|at| source.line(*at));
            found.extend(places.into_iter().map(|at| {
                let what = format!("`{name}`: {} does without {}", absent.own, absent.promised);
                Complaint::of(source, at, "absent", what)
            }));
        }
    }
    found
}

/// Every path of a source, whole where it begins with a name that a `use` binds; `*` stands for all that a module has.
fn whole_paths(source: &Source) -> Vec<(usize, String)> {
    let paths = source.paths();
    let bound: BTreeMap<&str, &[&str]> =
        paths.iter().filter_map(|path| Some((path.bound?, path.segments.as_slice()))).collect();
    let whole = paths.iter().map(|path| {
        let begin = bound.get(path.segments[0]).filter(|_| path.bound.is_none());
        let segments =
            begin.map_or_else(|| path.segments.clone(), |begin| [*begin, &path.segments[1..]].concat());
        let all = if path.bound == Some("*") { "::*" } else { "" };
        (path.at, segments.join("::") + all)
    });
    whole.collect()
}

impl Absent {
    fn is_said_of(&self, source: &Source) -> bool {
        source.of_crate() == self.own
            && (self.only.is_empty() || is_below_src(source, self.only))
            && !is_below_src(source, self.but)
    }
}

/// The document promises what is held here.
pub(super) fn as_documented(tree: &Tree) -> Vec<Complaint> {
    let row = |own: &str| tree.architecture.lines().find(|line| line.starts_with(&format!("| `{own}` |")));
    let untold =
        ABSENT.iter().filter(|absent| !row(absent.own).is_some_and(|row| row.contains(absent.promised)));
    untold
        .map(|absent| Complaint {
            path: "ARCHITECTURE.md".to_owned(),
            line: 1,
            rule: "absent, as documented",
            what: format!(
                "the row of `{}` does not say that `{}` is absent there",
                absent.own, absent.promised
            ),
        })
        .collect()
}

/// The document names no source that is not there.
pub(super) fn named_sources(tree: &Tree) -> Vec<Complaint> {
    let is_there = |path: &str| {
        let mut rest = tree.sources.iter().filter_map(|source| source.path.strip_prefix(path));
        rest.any(|rest| rest.is_empty() || rest.starts_with('/') || path.ends_with('/'))
    };
    let quoted =
        tree.architecture.lines().enumerate().flat_map(|(index, line)| {
            line.split('`').skip(1).step_by(2).map(move |quoted| (index + 1, quoted))
        });
    let named = quoted
        .filter(|(_, path)| path.contains("/src/") || path.contains("/tests/") && path.ends_with(".rs"));
    let lost = named.filter(|(_, path)| !is_there(path));
    lost.map(|(line, path)| Complaint {
        path: "ARCHITECTURE.md".to_owned(),
        line,
        rule: "a source that the map names",
        what: format!("`{path}` is not there"),
    })
    .collect()
}

/// A document that promises all of it.
#[cfg(test)]
pub(super) fn document() -> String {
    let rows = ABSENT.iter().map(|absent| {
        let of_crate = ABSENT.iter().filter(|other| other.own == absent.own);
        let promised: Vec<&str> = of_crate.map(|other| other.promised).collect();
        format!("| `{}` | read first | {} |\n", absent.own, promised.join(", "))
    });
    rows.collect()
}
