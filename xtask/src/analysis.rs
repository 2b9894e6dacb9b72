//! The tests of `analysis`, apart from the others: polars is compiled once for everybody, without debug information, which
//! would be gigabytes; and a trace is opened by programs of other people, whose counts must be ours.

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context as _, Result, bail};

use crate::cache;
use crate::machine;
use crate::progress::output_of;
use crate::tally::Tally;

/// The crate, which the steps for the whole workspace leave out.
pub(crate) const CRATE: &str = "analysis";

/// Packages of the Python registry that open a trace, as the examples tell; pinned, so that a run means the same tomorrow.
const PACKAGES: [&str; 3] = ["duckdb==2.0.0", "pandas==3.1.1", "pyarrow==26.0.1"];
/// The folder in the cache that they are installed in, by what they are.
const PEERS: &str = "analysis-peers-1";
/// Traces whose caches are all created while krcu watches, so that every free is of an object that was seen queued.
const TRACES: [&str; 8] = [
    "6.1-pending",
    "6.1-two",
    "6.1-mixed",
    "6.1-race",
    "6.12-pending",
    "6.12-two",
    "6.12-mixed",
    "6.12-race",
];

/// By what is counted, then by the name of the cache.
type Counts = BTreeMap<String, BTreeMap<String, u64>>;

/// Cargo for that crate. In one profile, that of those who use it: polars is compiled once. And without the variable
/// that cargo has given to xtask: a build script far below polars asks for it, and all of polars would be compiled again
/// each time that the crate is built by xtask and by hand in turns.
#[must_use]
pub(crate) fn cargo(arguments: &[&str]) -> Command {
    let mut command = Command::new("cargo");
    command.args(arguments).args(["--release", "-p", CRATE]);
    command.env_remove("CARGO_MANIFEST_DIR").current_dir(machine::repository());
    command
}

/// Builds parts of it.
///
/// # Errors
///
/// When it does not build.
pub(crate) fn build(parts: &[&str]) -> Result<()> {
    let arguments = [&["build", "--quiet"], parts].concat();
    succeed(&mut cargo(&arguments), "building krcu-analyze")
}

/// The lints of that crate, by a build: `cargo clippy` would compile polars a second time, to check it.
#[must_use]
pub(crate) fn lints() -> Command {
    let mut command = cargo(&["build", "--quiet", "--all-targets"]);
    // What `cargo clippy -- -D warnings` sets, for the crates of this workspace.
    command
        .env("RUSTC_WORKSPACE_WRAPPER", "clippy-driver")
        .env("CLIPPY_ARGS", "-D__CLIPPY_HACKERY__warnings__CLIPPY_HACKERY__");
    command
}

/// Opens traces by DuckDB, by pandas and by `krcu analyze`, and compares their counts.
///
/// # Errors
///
/// When the programs cannot be installed or built.
pub(crate) fn peers(tally: &mut Tally) -> Result<()> {
    let python = installed()?;
    build(&["--bins"])?;
    let mut example = Command::new("cargo");
    example.args(["build", "--quiet", "--release", "-p", "krcu-trace", "--example", "from_script"]);
    succeed(example.current_dir(machine::repository()), "building from_script")?;
    let built = machine::target_folder().join("release");
    let folder = cache::folder(&format!("analysis-traces-{}", std::process::id()))?;
    for name in TRACES {
        let outcome = compare(name, &python, &built, &folder);
        match outcome {
            Ok(()) => tally.passed(&format!("{name} is the same to DuckDB, pandas and krcu analyze")),
            Err(error) => tally.failed(&format!("{name} to its peers"), &format!("{error:#}")),
        }
    }
    fs::remove_dir_all(&folder).with_context(|| format!("removing {}", folder.display()))
}

fn compare(name: &str, python: &Path, built: &Path, folder: &Path) -> Result<()> {
    let repository = machine::repository();
    let script = repository.join(format!("krcu-model/tests/traces/{name}.script"));
    let trace = folder.join(format!("{name}.krcu"));
    let mut convert = Command::new(built.join("examples/from_script"));
    succeed(with(&mut convert, &[&script, &trace]), "writing the trace")?;
    let ask = |example: &str| -> Result<Counts> {
        let example = repository.join("examples").join(example);
        let text = output_of(Command::new(python).arg(example).arg(&trace))?;
        serde_json::from_str(text.trim()).with_context(|| format!("reading what a peer says: {text}"))
    };
    let (duckdb, pandas) = (ask("trace_duckdb.py")?, ask("trace_pandas.py")?);
    let analyze = built.join("krcu-analyze");
    let lines = output_of(Command::new(analyze).args(["caches", "--format", "json"]).arg(&trace))?;
    let ours = ours(&lines)?;
    if duckdb != ours || pandas != ours {
        bail!("krcu analyze: {ours:?}\n  DuckDB: {duckdb:?}\n  pandas: {pandas:?}");
    }
    if ours.get("queued").is_none_or(BTreeMap::is_empty) {
        bail!("nothing was counted");
    }
    Ok(())
}

fn ours(lines: &str) -> Result<Counts> {
    let mut counts: Counts =
        ["queued", "freed", "destroys"].map(|name| (name.to_owned(), BTreeMap::new())).into();
    for line in lines.lines() {
        let row: serde_json::Value = serde_json::from_str(line).with_context(|| format!("reading {line}"))?;
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
    let folder = cache::folder(PEERS)?;
    let (python, done) = (folder.join("bin/python"), folder.join("installed"));
    if fs::read_to_string(&done).is_ok_and(|text| text == PACKAGES.join("\n")) {
        return Ok(python);
    }
    succeed(with(Command::new("python3").args(["-m", "venv"]), &[&folder]), "making a Python environment")?;
    let mut pip = Command::new(&python);
    pip.args(["-m", "pip", "install", "--quiet", "--disable-pip-version-check"]).args(PACKAGES);
    succeed(&mut pip, "installing DuckDB, pandas and pyarrow")?;
    fs::write(&done, PACKAGES.join("\n")).with_context(|| format!("writing {}", done.display()))?;
    Ok(python)
}

fn with<'a>(command: &'a mut Command, paths: &[&Path]) -> &'a mut Command {
    command.args(paths)
}

fn succeed(command: &mut Command, what: &str) -> Result<()> {
    output_of(command).map(|_text| ()).with_context(|| what.to_owned())
}
