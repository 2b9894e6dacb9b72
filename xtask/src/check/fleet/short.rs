//! The short run of a fleet, which is a part of every whole run of the tests: two workers of Spark replay synthetic host-days,
//! and one of them is killed meanwhile. `cargo xtask test --fleet` is the long one.

use std::collections::BTreeMap;
use std::fs;

use anyhow::{Result, ensure};
use serde_json::Value;

use crate::check::fleet::cluster::Cluster;
use crate::check::fleet::programs::{Programs, environment};
use crate::check::fleet::{Extent, ledger, sown, trouble};
use crate::host;
use crate::toolchain::setup;

/// The fleet: every fault that the generator knows comes up on the second day.
const EXTENT: Extent = Extent { hosts: 25, days: 2 };
/// The question that is asked on the cluster: the one with the most rows.
const QUESTION: &str = "barriers";

/// Runs it, and stops everything that it started.
///
/// # Errors
///
/// When something cannot be installed, built or started; when a trace is lost or is there twice, a fault is not found as it was
/// sown, or Spark does not say what polars says.
pub(crate) fn run() -> Result<()> {
    setup::ensure_packages()?;
    let spark = environment()?;
    let programs = Programs::ready("dev")?;
    let folder = host::target_folder().join("fleet-short");
    drop(fs::remove_dir_all(&folder));
    let fleet = folder.join("fleet");
    programs.sow(&fleet, EXTENT)?;
    let mut cluster = Cluster::start(&spark, &folder.join("cluster"), 2)?;
    let name = cluster.name();
    let on = Some((name.as_str(), &spark));
    trouble::replayed_while(&programs, &fleet, on, || cluster.kill_worker())?;
    let mut outcomes: BTreeMap<String, usize> = BTreeMap::new();
    for row in ledger(&fleet)?.into_values() {
        *outcomes.entry(outcome(&row).to_owned()).or_default() += 1;
    }
    ensure!(outcomes == [("whole".to_owned(), EXTENT.traces())].into(), "the ledger has {outcomes:?}");
    sown::is_found(&programs, &fleet, &fleet)?;
    let (there, here) = (programs.digest(&fleet, QUESTION, on)?, programs.digest(&fleet, QUESTION, None)?);
    ensure!(there == here, "`{QUESTION}` is {there} by Spark, and {here} by polars");
    Ok(())
}

fn outcome(row: &Value) -> &str {
    row["outcome"].as_str().unwrap_or_default()
}
