//! Who may use whom: crates, folders inside a crate, and no circles of files.

use super::modules::{self, Modules};
use super::source::Source;
use super::{Complaint, Tree};

/// Each crate, and those of ours that it may use; in its tests as well, so that none is built for tests of one below it.
const CRATES: [(&str, &[&str]); 12] = [
    ("krcu-common", &[]),
    ("krcu-ebpf", &["krcu-common"]),
    ("krcu-model", &["krcu-common"]),
    ("krcu-reference", &["krcu-common", "krcu-model", "krcu-report"]),
    ("krcu-report", &["krcu-common", "krcu-model"]),
    ("krcu-trace", &["krcu-common", "krcu-model"]),
    ("krcu-agent", &["krcu-common", "krcu-model", "krcu-report", "krcu-trace"]),
    ("krcu-tui", &["krcu-common", "krcu-model", "krcu-reference", "krcu-report", "krcu-trace"]),
    ("krcu-ship", &["krcu-common", "krcu-model", "krcu-report", "krcu-trace"]),
    ("analysis", &["krcu-common", "krcu-model", "krcu-reference", "krcu-report", "krcu-ship", "krcu-trace"]),
    ("krcu-fleet", &["analysis", "krcu-common", "krcu-model", "krcu-report", "krcu-ship", "krcu-trace"]),
    ("xtask", &[]),
];

/// A file or folder below `src` of a crate, and those that it does not use: what comes before knows nothing of what follows.
const FOLDERS: &[(&str, &str, &[&str])] = &[
    ("krcu-common", "wire", &["config", "count", "decode"]),
    ("krcu-ebpf", "kernel", &["probes", "ring", "site"]),
    ("krcu-ebpf", "ring", &["probes", "site"]),
    ("krcu-model", "event", &["decide", "promise", "step", "verdict"]),
    ("krcu-model", "state", &["decide", "script", "step"]),
    ("krcu-model", "promise", &["decide", "script", "step", "verdict"]),
    ("krcu-model", "script", &["decide", "step", "verdict"]),
    ("krcu-reference", "machine", &["approach", "check", "simulate"]),
    ("krcu-reference", "approach", &["check", "simulate"]),
    ("krcu-reference", "check", &["simulate"]),
    ("krcu-reference", "simulate", &["check"]),
    ("krcu-report", "words", &["barriers", "caches", "hello", "question", "reporter", "rows", "verdicts"]),
    ("krcu-trace", "schema", &["decode", "encode", "reader", "writer"]),
    ("krcu-trace", "reader", &["encode", "writer"]),
    ("krcu-trace", "writer", &["decode", "reader"]),
    ("krcu-agent", "kernel", &["agent", "check", "pipeline", "probe", "report", "source"]),
    ("krcu-agent", "probe", &["agent", "check", "pipeline", "report", "source"]),
    ("krcu-agent", "source", &["agent", "check", "pipeline", "report"]),
    ("krcu-agent", "pipeline", &["agent", "check", "report"]),
    ("krcu-agent", "report", &["agent", "check", "probe", "source"]),
    ("krcu-tui", "state", &["run", "terminal", "view"]),
    ("krcu-tui", "connection", &["run", "terminal", "view"]),
    ("krcu-tui", "view", &["run", "terminal"]),
    ("analysis", "facts", &["ask", "export", "fleet", "report", "show"]),
    ("analysis", "ask", &["export", "report", "show", "whatif"]),
    ("xtask", "debian", &["bench", "check", "dist", "guest", "toolchain"]),
    ("xtask", "toolchain", &["bench", "check", "dist", "guest"]),
    ("xtask", "guest", &["bench", "check", "dist"]),
    ("xtask", "dist", &["bench", "check"]),
    ("xtask", "check", &["bench"]),
];

/// So many files may use each other: two that are halves of one idea.
const CIRCLE: usize = 2;

pub(super) fn between_crates(tree: &Tree) -> Vec<Complaint> {
    let mut found = Vec::new();
    for (own, text) in &tree.manifests {
        let mut complain = |line, what| {
            found.push(Complaint {
                path: format!("{own}/Cargo.toml"),
                line,
                rule: "arrow between crates",
                what,
            });
        };
        let Some((_, allowed)) = CRATES.iter().find(|(name, _)| name == own) else {
            complain(1, "the crate is not in the list of crates and what they may use".to_owned());
            continue;
        };
        let mut section = "";
        for (index, line) in text.lines().enumerate() {
            section = if line.starts_with('[') { line } else { section };
            let name = line.split(['.', ' ', '=']).next().unwrap_or_default();
            let is_ours = CRATES.iter().any(|(other, _)| *other == name);
            if is_ours && section.contains("dependencies") && !allowed.contains(&name) {
                complain(index + 1, format!("{own} may not use {name}"));
            }
        }
    }
    found
}

/// Arrows between folders that are not meant to be, and circles of files.
pub(super) fn inside_crates(tree: &Tree) -> Vec<Complaint> {
    let mut found = Vec::new();
    for (own, _) in CRATES {
        let arrows = Modules::new(own, &tree.sources).arrows();
        for arrow in &arrows {
            for (_, from, forbidden) in FOLDERS.iter().filter(|(of, _, _)| *of == own) {
                let to = forbidden.iter().find(|folder| is_below_src(arrow.to, &[folder]));
                if let Some(to) = to.filter(|_| is_below_src(arrow.from, &[from])) {
                    let what = format!("`{from}` may not use `{to}`");
                    found.push(Complaint::of(arrow.from, arrow.at, "arrow between folders", what));
                }
            }
        }
        for circle in modules::circles(&arrows, CIRCLE) {
            let what = format!("{} files use each other: {}", circle.len(), circle.join(", "));
            found.push(Complaint { path: circle[0].to_owned(), line: 1, rule: "circle of files", what });
        }
    }
    found
}

/// Whether a source is one of these files, or in one of these folders, below `src`.
pub(super) fn is_below_src(source: &Source, names: &[&str]) -> bool {
    let below = source.path.split_once("/src/").map_or("", |(_, below)| below);
    let mut rest = names.iter().filter_map(|name| below.strip_prefix(name));
    rest.any(|rest| rest == ".rs" || rest.starts_with('/'))
}
