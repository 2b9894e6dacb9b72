//! Programs: those of a fleet, and what they are asked.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context as _, Result, bail, ensure};
use serde_json::Value;

use crate::check::fleet::Extent;
use crate::check::fleet::cluster::Spark;
use crate::check::peers;
use crate::host;
use crate::progress::{Job, output_of};
use crate::toolchain::build;
use crate::toolchain::setup;

/// Every question.
pub(crate) const QUESTIONS: [&str; 7] =
    ["flagged", "first-seen", "regressions", "barriers", "sites", "losses", "runs"];
/// Packages of the Python registry: the cluster, another engine whose answers are compared, and an object store.
const PACKAGES: [&str; 3] = ["pyspark==4.3.0", "duckdb==2.0.0", "moto[server]==5.2.5"];
/// The package of the distribution that has Java.
const JAVA: &str = "default-jre-headless";
/// The folder in the cache that they are installed in.
const ENVIRONMENT: &str = "fleet-1";
/// Asks DuckDB the job that `krcu fleet ask --job` prints.
const DUCKDB: &str = include_str!("ask_duckdb.py");

/// The programs of a fleet.
#[derive(Debug, Clone)]
pub(crate) struct Programs {
    folder: PathBuf,
}

/// By question: the digest, and the number of rows.
pub(crate) type Digests = BTreeMap<&'static str, String>;

impl Programs {
    /// Builds them in this profile of cargo.
    ///
    /// # Errors
    ///
    /// When they do not compile.
    pub(crate) fn ready(profile: &str) -> Result<Programs> {
        let mut command = build::by_hand();
        // With the whole workspace in view, as the crates' tests are built, so that polars is not built once more.
        command.args(["build", "--quiet", "--workspace", "--bin=krcu-fleet", "--bin=krcu-analyze"]);
        command.args(["--bin=krcu-ship", "--example=sow", "--example=generate", "--profile", profile]);
        build::cargo(&mut command)?;
        let name = if profile == "dev" { "debug" } else { profile };
        Ok(Programs { folder: host::target_folder().join(name) })
    }

    /// `krcu fleet` with these words.
    pub(crate) fn fleet(&self, words: &[&str]) -> Command {
        let mut command = Command::new(self.folder.join("krcu-fleet"));
        command.args(words).stdin(Stdio::null());
        command
    }

    /// `krcu ship` with object stores, which is built by itself, and put here.
    ///
    /// # Errors
    ///
    /// When it does not compile.
    pub(crate) fn ship_to_stores(&self, to: &Path) -> Result<Command> {
        let mut command = build::by_hand();
        build::cargo(command.args(["build", "--quiet", "-p", "krcu-ship", "--features", "s3"]))?;
        fs::copy(host::target_folder().join("debug/krcu-ship"), to).context("copying krcu-ship")?;
        Ok(Command::new(to))
    }

    /// Writes a fleet of so many hosts and days.
    ///
    /// # Errors
    ///
    /// When it cannot be written.
    pub(crate) fn sow(&self, fleet: &Path, extent: Extent) -> Result<String> {
        fs::create_dir_all(fleet).with_context(|| fleet.display().to_string())?;
        let mut command = Command::new(self.folder.join("examples/sow"));
        command.arg(fleet).args([extent.hosts.to_string(), extent.days.to_string()]);
        let job = Job { what: "writing traces of synthetic host-days", advice: "" };
        job.run(&mut command).map(|text| text.trim().to_owned())
    }

    /// Writes a trace of so many invented events on each of so many hosts, and ships them.
    ///
    /// # Errors
    ///
    /// When they cannot be written or shipped.
    pub(crate) fn generate(&self, fleet: &Path, hosts: usize, events: u64) -> Result<()> {
        let here = tempfile::tempdir_in(fleet.parent().unwrap_or(fleet)).context("a folder for traces")?;
        fs::create_dir_all(fleet).with_context(|| fleet.display().to_string())?;
        for host in 0..hosts {
            let mut command = Command::new(self.folder.join("examples/generate"));
            command.arg(events.to_string()).arg(here.path().join(format!("{host}.krcu")));
            output_of(command.arg(format!("farm-{host:04}")))?;
        }
        let mut command = Command::new(self.folder.join("krcu-ship"));
        output_of(command.arg(here.path()).arg("--to").arg(fleet)).map(drop)
    }

    /// Replays what is new, and gives back what it says. The cluster does it where there is one.
    ///
    /// # Errors
    ///
    /// When a trace could not be replayed.
    pub(crate) fn replay(&self, fleet: &Path, on: Option<(&str, &Spark)>) -> Result<String> {
        let mut command = self.fleet(&["replay"]);
        command.arg(fleet);
        on_cluster(&mut command, on);
        let job = Job { what: "replaying the new traces", advice: "" };
        job.run(&mut command).map(|text| text.trim().to_owned())
    }

    /// The digest of the answer to a question.
    ///
    /// # Errors
    ///
    /// When it cannot be answered.
    pub(crate) fn digest(&self, fleet: &Path, question: &str, on: Option<(&str, &Spark)>) -> Result<String> {
        let mut command = self.fleet(&["ask", question]);
        command.arg(fleet).arg("--digest");
        on_cluster(&mut command, on);
        output_of(&mut command).map(|text| text.trim().to_owned())
    }

    /// The digests of all questions.
    ///
    /// # Errors
    ///
    /// When one cannot be answered, or has no row: that would compare nothing.
    pub(crate) fn digests(&self, fleet: &Path, on: Option<(&str, &Spark)>) -> Result<Digests> {
        let mut digests = Digests::new();
        for question in QUESTIONS {
            let digest = self.digest(fleet, question, on)?;
            ensure!(!digest.ends_with(" 0"), "`{question}` has no row");
            digests.insert(question, digest);
        }
        Ok(digests)
    }

    /// The digests of the answers that DuckDB gives.
    ///
    /// # Errors
    ///
    /// When one cannot be answered.
    pub(crate) fn digests_of_duckdb(&self, fleet: &Path, spark: &Spark) -> Result<Digests> {
        let mut digests = Digests::new();
        let folder = tempfile::tempdir().context("a temporary folder")?;
        for question in QUESTIONS {
            let (job, rows) = (folder.path().join("job"), folder.path().join("rows"));
            let text = output_of(self.fleet(&["ask", question, "--job"]).arg(fleet))?;
            fs::write(&job, text).context("writing a job")?;
            let text = output_of(Command::new(&spark.python).args(["-c", DUCKDB]).arg(&job))?;
            fs::write(&rows, text).context("writing rows")?;
            let mut command = self.fleet(&["ask", question, "--given", "--digest"]);
            command.arg(fleet).stdin(fs::File::open(&rows).context("reading rows")?);
            let output = command.output().context("asking for a digest")?;
            if !output.status.success() {
                bail!("{question} by DuckDB: {}", String::from_utf8_lossy(&output.stderr).trim());
            }
            digests.insert(question, String::from_utf8_lossy(&output.stdout).trim().to_owned());
        }
        Ok(digests)
    }

    /// The rows of an answer.
    ///
    /// # Errors
    ///
    /// When it cannot be answered.
    pub(crate) fn rows(&self, fleet: &Path, question: &str) -> Result<Vec<Value>> {
        let mut command = self.fleet(&["ask", question, "--format", "json", "--all"]);
        let text = output_of(command.arg(fleet))?;
        text.lines().map(|line| serde_json::from_str(line).with_context(|| line.to_owned())).collect()
    }
}

/// Has the cluster do it.
pub(crate) fn on_cluster(command: &mut Command, on: Option<(&str, &Spark)>) {
    if let Some((name, spark)) = on {
        command.args(["--on", name]).arg("--python").arg(&spark.python);
    }
}

/// A Python with Spark and DuckDB, and Java; what is missing of them is installed.
///
/// # Errors
///
/// When they cannot be installed, with what to install.
pub(crate) fn environment() -> Result<Spark> {
    let is_there = |program: &str| {
        let run = Command::new(program).arg("-version").stdout(Stdio::null()).stderr(Stdio::null()).status();
        run.is_ok_and(|status| status.success())
    };
    if !is_there("java") {
        setup::install(&[(JAVA, "Spark, for the tests of a fleet")], &[])
            .with_context(|| format!("Spark needs Java: install it with `apt-get install {JAVA}`"))?;
    }
    let python = peers::python(ENVIRONMENT, &PACKAGES).with_context(|| {
        format!(
            "the tests of a fleet need these packages of Python, which pip has to be able to install: {}",
            PACKAGES.join(", ")
        )
    })?;
    Spark::of(&python)
}

#[cfg(test)]
mod tests {
    use super::PACKAGES;

    #[test]
    fn the_cluster_in_containers_has_the_version_of_the_driver() {
        let compose = include_str!("../../../../contrib/fleet/compose.yaml");
        let document = include_str!("../../../../docs/fleet.md");
        let [spark, ..] = PACKAGES;
        let version = spark.strip_prefix("pyspark==").unwrap();
        assert_eq!(compose.matches(&format!("image: apache/spark:{version}\n")).count(), 2);
        assert!(document.contains(&format!("pip install {spark} ")), "docs/fleet.md names another {spark}");
    }
}
