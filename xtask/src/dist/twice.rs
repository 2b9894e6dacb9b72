//! The same bytes from two builds: the tracked files are copied to another folder and built there from nothing.

use std::env;
use std::fs;
use std::process::{Command, Stdio};

use anyhow::{Context as _, Result, bail};

use crate::architecture::Architecture;
use crate::cache;
use crate::dist::clean_root;
use crate::dist::install::{self, SUMS};
use crate::host;
use crate::progress::{Job, say};

/// Packs here and in another folder, and compares the checksums.
///
/// # Errors
///
/// When something cannot be built, or the bytes differ.
pub(crate) fn dist(architectures: &[Architecture]) -> Result<()> {
    install::dist(architectures)?;
    let folder = host::target_folder().join("twice");
    clean_root::remove(&folder)?;
    // The other path has another length, so that no number in a program hides the difference.
    let copy = folder.join("a-folder-of-another-name");
    cache::create_folder(&copy)?;
    copy_tracked_files(&copy)?;
    say(&format!("building once more, in {}", copy.display()));
    Job { what: "building and packing a second time", advice: "see what it says above" }.run(
        Command::new(env::current_exe().context("finding this program")?)
            .arg("dist")
            .args(architectures.iter().flat_map(|architecture| ["--arch", architecture.debian()]))
            .env("CARGO_MANIFEST_DIR", copy.join("xtask"))
            .env("CARGO_TARGET_DIR", copy.join("target"))
            .env("SOURCE_DATE_EPOCH", install::packed_at())
            .current_dir(&copy),
    )?;
    let sums = |target: &std::path::Path| {
        let path = target.join("dist").join(SUMS);
        fs::read_to_string(&path).with_context(|| format!("reading {}", path.display()))
    };
    let (here, there) = (sums(&host::target_folder())?, sums(&copy.join("target"))?);
    if here != there {
        bail!("two builds in two folders differ:\n{here}\nand in {}:\n{there}", copy.display());
    }
    say(&format!("the same bytes from two builds in two folders:\n{}", here.trim_end()));
    clean_root::remove(&folder)
}

/// Copies what git knows, as it is now.
fn copy_tracked_files(copy: &std::path::Path) -> Result<()> {
    let mut listed = Command::new("git")
        .args(["ls-files", "-z"])
        .current_dir(host::repository())
        .stdout(Stdio::piped())
        .spawn()
        .context("asking git for the tracked files")?;
    let Some(names) = listed.stdout.take() else { bail!("git said nothing") };
    let script = "tar --null --files-from=- --create --file=- | tar --extract --file=- --directory \"$1\"";
    let copied = Command::new("sh")
        .args(["-c", script, "sh"])
        .arg(copy)
        .stdin(names)
        .current_dir(host::repository())
        .status()
        .context("copying the tracked files")?;
    if !copied.success() || !listed.wait().context("asking git for the tracked files")?.success() {
        bail!("the tracked files cannot be copied to {}", copy.display());
    }
    Ok(())
}
