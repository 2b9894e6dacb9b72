//! The bill of materials: every package that the programs and the probes are built from, as CycloneDX.
//!
//! It has no time and no number of its own, so two builds of one commit write the same bytes.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

use anyhow::{Context as _, Result};
use serde::Deserialize;
use serde_json::{Value, json};

use crate::toolchain::packages::{self, Package};

/// The crates whose programs are packed.
const PROGRAMS: [&str; 3] = ["krcu-agent", "krcu-tui", "krcu-ship"];

/// `Cargo.lock`, as far as it is needed.
#[derive(Deserialize)]
struct Lock {
    package: Vec<Locked>,
}

#[derive(Deserialize)]
struct Locked {
    name: String,
    version: String,
    checksum: Option<String>,
}

/// The bill of everything that is packed.
///
/// # Errors
///
/// When cargo does not say what is built, or a lock file cannot be read.
pub(crate) fn bill() -> Result<Vec<u8>> {
    let [programs, probes] = packages::workspaces();
    let mut components = BTreeMap::new();
    let mut users: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for (folder, names) in [(&programs, &PROGRAMS[..]), (&probes, &[])] {
        let built: BTreeSet<_> = packages::built_for(folder, names)?.into_iter().collect();
        let all = packages::metadata(folder)?;
        let checksums = checksums(&folder.join("Cargo.lock"))?;
        let is_built = |package: &&Package| built.contains(&(package.name.clone(), package.version.clone()));
        let named: BTreeMap<&str, String> = all
            .packages
            .iter()
            .filter(is_built)
            .map(|package| (package.id.as_str(), address(package)))
            .collect();
        for package in all.packages.iter().filter(is_built) {
            let checksum = checksums.get(&(package.name.clone(), package.version.clone()));
            components.insert(address(package), component(package, checksum));
        }
        for node in &all.resolve.nodes {
            let Some(user) = named.get(node.id.as_str()) else { continue };
            let used = node.dependencies.iter().filter_map(|id| named.get(id.as_str())).cloned();
            users.entry(user.clone()).or_default().extend(used);
        }
    }
    let uses = users.into_iter().map(|(user, used)| json!({ "ref": user, "dependsOn": used }));
    let version = env!("CARGO_PKG_VERSION");
    let bill = json!({
        "bomFormat": "CycloneDX",
        "specVersion": "1.5",
        "version": 1,
        "metadata": { "component": { "type": "application", "bom-ref": "krcu", "name": "krcu", "version": version } },
        "components": components.into_values().collect::<Vec<_>>(),
        "dependencies": uses.collect::<Vec<_>>(),
    });
    let mut text = serde_json::to_vec_pretty(&bill).context("writing the bill of materials")?;
    text.push(b'\n');
    Ok(text)
}

/// The package's name for all tools (purl).
fn address(package: &Package) -> String {
    format!("pkg:cargo/{}@{}", package.name, package.version)
}

fn component(package: &Package, checksum: Option<&String>) -> Value {
    let address = address(package);
    let mut component = json!({
        "type": "library",
        "bom-ref": address,
        "name": package.name,
        "version": package.version,
        "purl": address,
    });
    if let Some(license) = &package.license {
        // Older crates write `/` for OR.
        component["licenses"] = json!([{ "expression": license.replace(" / ", "/").replace('/', " OR ") }]);
    }
    if let Some(checksum) = checksum {
        component["hashes"] = json!([{ "alg": "SHA-256", "content": checksum }]);
    }
    component
}

/// The checksums of a lock file, by name and version; ours have none.
fn checksums(path: &Path) -> Result<BTreeMap<(String, String), String>> {
    let text = fs::read_to_string(path).with_context(|| format!("reading {}", path.display()))?;
    let lock: Lock = toml::from_str(&text).with_context(|| format!("reading {}", path.display()))?;
    let known = lock.package.into_iter().filter_map(|one| Some(((one.name, one.version), one.checksum?)));
    Ok(known.collect())
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::bill;

    #[test]
    fn the_bill_has_what_the_programs_and_the_probes_are_built_from() {
        let text = bill().unwrap();
        let read: Value = serde_json::from_slice(&text).unwrap();
        let components = read["components"].as_array().unwrap();
        let find = |name: &str| components.iter().find(|component| component["name"] == name);
        for (name, is_theirs) in [
            ("krcu-agent", false),
            ("krcu-tui", false),
            ("krcu-ebpf", false),
            ("aya", true),
            ("aya-ebpf", true),
        ] {
            let component = find(name).unwrap_or_else(|| panic!("{name} is missing"));
            assert!(component["licenses"][0]["expression"].is_string(), "{component}");
            assert_eq!(component["hashes"].is_array(), is_theirs, "{component}");
        }
        // Nothing of tests, and nothing of the analysis.
        for name in ["xtask", "polars", "reqwest", "stateright"] {
            assert!(find(name).is_none(), "{name}");
        }
        let refs: Vec<&Value> = components.iter().map(|component| &component["bom-ref"]).collect();
        for entry in read["dependencies"].as_array().unwrap() {
            assert!(refs.contains(&&entry["ref"]), "{entry}");
            let used = entry["dependsOn"].as_array().unwrap();
            assert!(used.iter().all(|one| refs.contains(&one)), "{entry}");
        }
        assert_eq!(text, bill().unwrap());
    }
}
