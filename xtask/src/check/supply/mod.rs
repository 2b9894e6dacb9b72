//! Supply: the rules of `deny.toml`, over what cargo says of both lock files: licences, sources, duplicates, crates that
//! are not wanted, and versions that their authors took back.
//!
//! cargo-deny reads the same file and knows more (advisories, texts of licences). It is a big program that
//! `cargo xtask setup` does not install, so the rules are held here too.

mod licence;

use std::collections::{BTreeMap, BTreeSet};
use std::env;
use std::fs;
use std::path::PathBuf;

use anyhow::{Context as _, Result, bail};
use serde::Deserialize;

use crate::host;
use crate::progress::say;
use crate::toolchain::packages::{self, Metadata, Package, Resolve};

/// The rules.
const RULES: &str = "deny.toml";
/// What cargo puts before a registry's address.
const REGISTRY: &str = "registry+";

/// `deny.toml`, as far as it is held here.
#[derive(Debug, Deserialize)]
struct Rules {
    licenses: Licences,
    bans: Bans,
    sources: Sources,
}

#[derive(Debug, Deserialize)]
struct Licences {
    allow: BTreeSet<String>,
}

#[derive(Debug, Deserialize)]
struct Bans {
    skip: Vec<Named>,
    deny: Vec<Named>,
}

#[derive(Debug, Deserialize)]
struct Named {
    #[serde(rename = "crate")]
    name: String,
    /// Crates that may use it all the same.
    #[serde(default)]
    wrappers: Vec<String>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "kebab-case")]
struct Sources {
    allow_registry: Vec<String>,
}

/// Holds both workspaces to the rules.
///
/// # Errors
///
/// When one does not keep them, with each complaint.
pub(crate) fn run() -> Result<()> {
    let path = host::repository().join(RULES);
    let text = fs::read_to_string(&path).with_context(|| format!("reading {}", path.display()))?;
    let rules: Rules = toml::from_str(&text).with_context(|| format!("reading {RULES}"))?;
    let mut all = Metadata::default();
    for folder in packages::workspaces() {
        let Metadata { packages, resolve } = packages::metadata(&folder)?;
        all.packages.extend(packages);
        all.resolve.nodes.extend(resolve.nodes);
    }
    let index = Index::of_cargo();
    let mut found = complaints(&rules, &all);
    let mut unknown = 0;
    for package in all.packages.iter().filter(|package| package.source.is_some()) {
        match index.is_yanked(&package.name, &package.version) {
            Some(true) => found.push(format!("{} {} was yanked", package.name, package.version)),
            Some(false) => {}
            None => unknown += 1,
        }
    }
    if unknown > 0 {
        say(&format!("supply chain: cargo's index does not say here whether {unknown} packages were yanked"));
    }
    if found.is_empty() { Ok(()) } else { bail!("{RULES} forbids:\n  {}", found.join("\n  ")) }
}

/// Everything that the rules forbid, except for yanked versions.
fn complaints(rules: &Rules, all: &Metadata) -> Vec<String> {
    let used: BTreeSet<&str> = all.resolve.nodes.iter().map(|node| node.id.as_str()).collect();
    let packages: BTreeMap<&str, &Package> = all
        .packages
        .iter()
        .filter(|package| used.contains(package.id.as_str()))
        .map(|package| (package.id.as_str(), package))
        .collect();
    let mut found = Vec::new();
    for package in packages.values() {
        let Package { name, version, license, source, .. } = package;
        let is_allowed = |text: &String| licence::is_allowed(text, &rules.licenses.allow);
        if !license.as_ref().is_some_and(is_allowed) {
            let license = license.as_deref().unwrap_or("no licence");
            found.push(format!(
                "{name} {version}: the licence `{license}` is not among those that are allowed"
            ));
        }
        let is_known = |source: &String| {
            rules.sources.allow_registry.iter().any(|known| source.strip_prefix(REGISTRY) == Some(known))
        };
        if !source.as_ref().is_none_or(is_known) {
            let source = source.as_deref().unwrap_or_default();
            found.push(format!("{name} {version} comes from {source}"));
        }
    }
    found.extend(duplicates(&rules.bans.skip, &packages));
    found.extend(unwanted(&rules.bans.deny, &packages, &all.resolve));
    found
}

/// Crates of which there are two versions, but those that are skipped; and what is skipped without need.
fn duplicates(skip: &[Named], packages: &BTreeMap<&str, &Package>) -> Vec<String> {
    let mut versions: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
    for package in packages.values() {
        versions.entry(&package.name).or_default().insert(&package.version);
    }
    let mut found = Vec::new();
    for Named { name, .. } in skip {
        let (name, version) = name.split_once('@').unwrap_or((name, ""));
        let is_needed = versions.get_mut(name).is_some_and(|all| all.len() > 1 && all.remove(version));
        if !is_needed {
            found.push(format!("{name} {version} is skipped, and is no duplicate"));
        }
    }
    let several = versions.iter().filter(|(_, all)| all.len() > 1);
    found.extend(several.map(|(name, all)| {
        let all: Vec<&str> = all.iter().copied().collect();
        format!("{name} is there in several versions: {}", all.join(", "))
    }));
    found
}

/// Crates that are denied, where another one uses them than their wrappers.
fn unwanted(deny: &[Named], packages: &BTreeMap<&str, &Package>, resolve: &Resolve) -> Vec<String> {
    let name_of = |id: &str| packages.get(id).map_or("", |package| package.name.as_str());
    let mut found = BTreeSet::new();
    for node in &resolve.nodes {
        let user = name_of(&node.id);
        for used in node.dependencies.iter().map(|id| name_of(id)) {
            let is_wrong = |rule: &Named| rule.name == used && !rule.wrappers.iter().any(|name| name == user);
            if deny.iter().any(is_wrong) {
                found.insert(format!("{user} uses {used}"));
            }
        }
    }
    found.into_iter().collect()
}

/// What cargo keeps of its index: a file for each crate, which has a line of JSON for each version.
struct Index(Vec<PathBuf>);

impl Index {
    fn of_cargo() -> Index {
        let home = env::var_os("CARGO_HOME").map(PathBuf::from);
        let home = home.or_else(|| Some(PathBuf::from(env::var_os("HOME")?).join(".cargo")));
        let folders = home.and_then(|home| fs::read_dir(home.join("registry/index")).ok());
        Index(folders.into_iter().flatten().flatten().map(|entry| entry.path().join(".cache")).collect())
    }

    /// Whether a version was yanked when cargo last asked; `None` if it is not in the index that is here.
    fn is_yanked(&self, name: &str, version: &str) -> Option<bool> {
        let bytes = self.0.iter().find_map(|folder| fs::read(folder.join(place(name)?)).ok())?;
        is_yanked(&bytes, version)
    }
}

/// Where the index has a crate.
fn place(name: &str) -> Option<PathBuf> {
    let name = name.to_lowercase();
    let folder = match name.len() {
        0 => return None,
        short @ (1 | 2) => short.to_string(),
        3 => format!("3/{}", name.get(..1)?),
        _ => format!("{}/{}", name.get(..2)?, name.get(2..4)?),
    };
    Some(PathBuf::from(folder).join(name))
}

fn is_yanked(bytes: &[u8], version: &str) -> Option<bool> {
    #[derive(Deserialize)]
    struct Version {
        vers: String,
        #[serde(default)]
        yanked: bool,
    }
    let versions = bytes.split(|byte| *byte == 0).filter(|piece| piece.starts_with(b"{"));
    let mut versions = versions.filter_map(|piece| serde_json::from_slice::<Version>(piece).ok());
    versions.find(|one| one.vers == version).map(|one| one.yanked)
}

#[cfg(test)]
mod tests;
