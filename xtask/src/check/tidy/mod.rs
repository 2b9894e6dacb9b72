//! The rules of the house, held by a check: which crate and folder may use which, what is absent where, how wide, long and
//! named things are, and that no fact is said twice.
//!
//! Pure but for [`Tree::read`]: the texts of the tree in, complaints out. Each rule has a deliberate offence in `tests`.
//! What still breaks a rule is in `exceptions`, each with its reason; one that is not needed any more is a complaint too.

mod absent;
mod arrows;
mod exceptions;
mod modules;
mod once;
mod shape;
mod source;
#[cfg(test)]
mod tests;

use std::fmt;
use std::fs;
use std::path::Path;

use anyhow::{Context as _, Result, ensure};

use crate::host;
use source::Source;

/// What the rules are held against.
#[derive(Debug, Default)]
struct Tree {
    /// Every file of Rust.
    sources: Vec<Source>,
    /// Every `Cargo.toml` of a crate: the crate's folder and the text.
    manifests: Vec<(String, String)>,
    /// ARCHITECTURE.md.
    architecture: String,
}

/// One offence against one rule.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Complaint {
    path: String,
    line: usize,
    /// The rule's name.
    rule: &'static str,
    what: String,
}

/// Every rule, by the name that its complaints have.
type Rule = fn(&Tree) -> Vec<Complaint>;
const RULES: &[Rule] = &[
    arrows::between_crates,
    arrows::inside_crates,
    absent::from_crates,
    absent::as_documented,
    absent::named_sources,
    shape::width,
    shape::duty,
    shape::long_files,
    shape::long_functions,
    once::facts,
    once::names,
    once::variables,
];

/// Holds the tree as it is against the rules.
///
/// # Errors
///
/// When it breaks one, or cannot be read.
pub(crate) fn run() -> Result<()> {
    let complaints = exceptions::left(complaints(&Tree::read(&host::repository())?), exceptions::EXCEPTIONS);
    let lines: Vec<String> = complaints.iter().map(Complaint::to_string).collect();
    ensure!(lines.is_empty(), "{} offences\n  {}", lines.len(), lines.join("\n  "));
    Ok(())
}

fn complaints(tree: &Tree) -> Vec<Complaint> {
    let mut found: Vec<Complaint> = RULES.iter().flat_map(|rule| rule(tree)).collect();
    found.sort();
    found
}

impl Complaint {
    fn of(source: &Source, at: usize, rule: &'static str, what: String) -> Self {
        Self { path: source.path.clone(), line: source.line(at), rule, what }
    }
}

impl fmt::Display for Complaint {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{}:{}: {}: {}", self.path, self.line, self.rule, self.what)
    }
}

impl Tree {
    fn read(root: &Path) -> Result<Self> {
        let read =
            |path: &Path| fs::read_to_string(path).with_context(|| format!("reading {}", path.display()));
        let mut tree = Self { architecture: read(&root.join("ARCHITECTURE.md"))?, ..Self::default() };
        let folders = fs::read_dir(root).with_context(|| format!("reading {}", root.display()))?;
        for folder in folders {
            let folder = folder.context("reading the repository's folders")?.path();
            let manifest = folder.join("Cargo.toml");
            if manifest.is_file() {
                let name = folder.file_name().unwrap_or_default().to_string_lossy().into_owned();
                tree.manifests.push((name, read(&manifest)?));
                tree.add(root, &folder)?;
            }
        }
        tree.manifests.sort();
        tree.sources.sort_by(|left, right| left.path.cmp(&right.path));
        Ok(tree)
    }

    fn add(&mut self, root: &Path, folder: &Path) -> Result<()> {
        for entry in fs::read_dir(folder).with_context(|| format!("reading {}", folder.display()))? {
            let path = entry.with_context(|| format!("reading {}", folder.display()))?.path();
            let is_built = path.file_name().is_some_and(|name| name == "target");
            if path.is_dir() && !is_built {
                self.add(root, &path)?;
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                let text =
                    fs::read_to_string(&path).with_context(|| format!("reading {}", path.display()))?;
                let name = path.strip_prefix(root).unwrap_or(&path).to_string_lossy().into_owned();
                self.sources.push(Source::new(&name, &text));
            }
        }
        Ok(())
    }
}
