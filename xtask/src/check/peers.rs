//! A trace opened by programs of other people, DuckDB and pandas, whose counts must be those of `krcu analyze`.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result, bail};
use serde_json::Value;

use crate::cache;
use crate::host;
use crate::progress::output_of;
use crate::toolchain::build;

/// Packages of the Python registry that open a trace, as the examples tell; pinned, so that a run means the same tomorrow.
const PACKAGES: [&str; 4] = ["duckdb==2.0.0", "pandas==3.1.1", "polars==2.1.0", "pyarrow==26.0.1"];
/// The folder in the cache that they are installed in, by what they are.
const PEERS: &str = "analysis-peers-2";
/// By what is counted, then by the name of the cache.
type Counts = BTreeMap<String, BTreeMap<String, u64>>;

/// Programs that open a trace, to be asked the same.
pub(crate) struct Peers {
    python: PathBuf,
    analyze: PathBuf,
}

impl Peers {
    /// Installs and builds them.
    ///
    /// # Errors
    ///
    /// When that fails.
    pub(crate) fn ready() -> Result<Peers> {
        let python = installed()?;
        // As the crates' tests are built: with fewer crates in view, polars would be built once more, in another way.
        let mut tests = build::by_hand();
        tests
            .args(["test", "--quiet", "--workspace", "--no-run"])
            .env("KRCU_EBPF_OBJECT", build::object_path());
        build::cargo(&mut tests)?;
        Ok(Peers { python, analyze: host::target_folder().join("debug/krcu-analyze") })
    }

    /// Has a trace opened by DuckDB, by pandas and by `krcu analyze`, and compares what they count of each cache. Of
    /// caches that are created while krcu watches: of others a free may be of what nobody saw queued.
    ///
    /// # Errors
    ///
    /// When they differ, or count nothing.
    pub(crate) fn agree(&self, trace: &Path) -> Result<()> {
        let ask = |example: &str| -> Result<Counts> {
            let example = host::repository().join("examples").join(example);
            let text = output_of(Command::new(&self.python).arg(example).arg(trace))?;
            serde_json::from_str(text.trim()).with_context(|| format!("reading what a peer says: {text}"))
        };
        let (duckdb, pandas) = (ask("trace_duckdb.py")?, ask("trace_pandas.py")?);
        let lines = output_of(Command::new(&self.analyze).args(["caches", "--format", "json"]).arg(trace))?;
        let ours = ours(&lines)?;
        if duckdb != ours || pandas != ours {
            bail!("krcu analyze: {ours:?}\n  DuckDB: {duckdb:?}\n  pandas: {pandas:?}");
        }
        if ours.get("queued").is_none_or(BTreeMap::is_empty) {
            bail!("nothing was counted");
        }
        self.open(trace)
    }

    /// Has the trace, and what is exported of it, opened by each call that `docs/other-tools.md` names.
    fn open(&self, trace: &Path) -> Result<()> {
        let folder = tempfile::tempdir().context("making a temporary folder")?;
        for kind in ["ipc", "parquet"] {
            let mut export = Command::new(&self.analyze);
            export.arg("export").arg(trace).args(["--to", kind, "-o"]).arg(folder.path().join(kind));
            output_of(&mut export)?;
        }
        let opens = host::repository().join("xtask/src/check/opens.py");
        let mut python = Command::new(&self.python);
        python.arg(opens).arg(trace).arg(folder.path().join("ipc")).arg(folder.path().join("parquet"));
        let text = output_of(&mut python)?;
        let told: Value = serde_json::from_str(text.trim()).with_context(|| format!("reading {text}"))?;
        if told["events"].as_u64().unwrap_or(0) == 0 || told["objects"].as_u64().unwrap_or(0) == 0 {
            bail!("the calls of docs/other-tools.md open nothing: {told}");
        }
        Ok(())
    }
}

fn ours(lines: &str) -> Result<Counts> {
    let mut counts: Counts =
        ["queued", "freed", "destroys"].map(|name| (name.to_owned(), BTreeMap::new())).into();
    for line in lines.lines() {
        let row: Value = serde_json::from_str(line).with_context(|| format!("reading {line}"))?;
        let cache = row["name"].as_str().context("a cache has a name")?;
        for (name, counts) in &mut counts {
            let count = row[name].as_u64().with_context(|| format!("{name} of {line}"))?;
            if count > 0 {
                *counts.entry(cache.to_owned()).or_default() += count;
            }
        }
    }
    Ok(counts)
}

/// A Python that has the packages.
///
/// # Errors
///
/// When it cannot be made.
pub(crate) fn installed() -> Result<PathBuf> {
    python(PEERS, &PACKAGES)
}

/// A Python that has these packages, in a folder of the cache.
///
/// # Errors
///
/// When it cannot be made.
pub(crate) fn python(name: &str, packages: &[&str]) -> Result<PathBuf> {
    let folder = cache::folder(name)?;
    let (python, done) = (folder.join("bin/python"), folder.join("installed"));
    if fs::read_to_string(&done).is_ok_and(|text| text == packages.join("\n")) {
        return Ok(python);
    }
    succeed(with(Command::new("python3").args(["-m", "venv"]), &[&folder]), "making a Python environment")?;
    let mut pip = Command::new(&python);
    pip.args(["-m", "pip", "install", "--quiet", "--disable-pip-version-check"]).args(packages);
    succeed(&mut pip, &format!("installing {}", packages.join(", ")))?;
    fs::write(&done, packages.join("\n")).with_context(|| format!("writing {}", done.display()))?;
    Ok(python)
}

fn with<'a>(command: &'a mut Command, paths: &[&Path]) -> &'a mut Command {
    command.args(paths)
}

fn succeed(command: &mut Command, what: &str) -> Result<()> {
    output_of(command).map(|_text| ()).with_context(|| what.to_owned())
}
