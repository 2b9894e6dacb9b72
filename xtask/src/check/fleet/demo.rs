//! `cargo xtask fleet demo`: a hundred host-days and two workers on loopback, from the traces to the page.

use std::fs;

use anyhow::{Context as _, Result, ensure};

use crate::check::fleet::Extent;
use crate::check::fleet::cluster::Cluster;
use crate::check::fleet::programs::{Programs, environment, on_cluster};
use crate::host;
use crate::progress::{output_of, say};
use crate::toolchain::setup;

/// The fleet of the demonstration.
const EXTENT: Extent = Extent { hosts: 25, days: 4 };

/// Shows it, and stops everything that it started.
///
/// # Errors
///
/// When something cannot be installed, built or started.
pub(crate) fn run() -> Result<()> {
    setup::ensure_packages()?;
    let spark = environment()?;
    let programs = Programs::ready("dev")?;
    let folder = host::target_folder().join("fleet-demo");
    drop(fs::remove_dir_all(&folder));
    let (fleet, page) = (folder.join("fleet"), folder.join("fleet.html"));
    say(&programs.sow(&fleet, EXTENT)?);
    say("starting a master of Spark and two workers on loopback");
    let cluster = Cluster::start(&spark, &folder.join("cluster"), 2)?;
    let name = cluster.name();
    say(&programs.replay(&fleet, Some((&name, &spark)))?);
    for question in ["flagged", "regressions"] {
        let mut command = programs.fleet(&["ask", question]);
        on_cluster(command.arg(&fleet), Some((&name, &spark)));
        println!(
            "\n$ krcu fleet ask {question} {} --on {name}\n{}",
            fleet.display(),
            output_of(&mut command)?
        );
    }
    ensure!(
        programs.digest(&fleet, "barriers", Some((&name, &spark)))?
            == programs.digest(&fleet, "barriers", None)?,
        "Spark and polars do not say the same"
    );
    drop(cluster);
    output_of(programs.fleet(&["report"]).arg(&fleet).arg("-o").arg(&page)).context("writing the page")?;
    say(&format!("Spark and polars say the same; the page is {}", page.display()));
    Ok(())
}
