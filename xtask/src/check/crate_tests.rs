//! The tests of the crates: built by cargo, then run program by program, so that each is known by its source and name.

use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use anyhow::{Context as _, Result, bail};
use serde_json::Value;

use crate::check::tally::Tally;
use crate::host;
use crate::progress::output_of;
use crate::toolchain::build;

/// Which tests to run; all when nothing is named.
#[derive(Debug, Default, Clone)]
pub(crate) struct Filter {
    /// Crates, by their folder.
    pub(crate) crates: Vec<String>,
    /// Parts of the names of tests.
    pub(crate) tests: Vec<String>,
}

impl Filter {
    /// Whether nothing is named.
    pub(crate) fn is_empty(&self) -> bool {
        self.crates.is_empty() && self.tests.is_empty()
    }

    /// What a program of this source is asked to run: all, the tests with these names, or nothing.
    fn of(&self, source: &Path) -> Option<&[String]> {
        if self.is_empty() || self.crates.iter().any(|name| source.starts_with(name)) {
            return Some(&[]);
        }
        (!self.tests.is_empty()).then_some(&self.tests)
    }

    /// Of which crates the tests in documentation run, as cargo's arguments.
    fn of_documentation(&self) -> Option<Vec<String>> {
        if self.is_empty() || self.tests.iter().any(|name| name.contains(DOCUMENTATION)) {
            return Some(vec!["--workspace".to_owned()]);
        }
        let is_library = |name: &&String| host::repository().join(name).join("src/lib.rs").is_file();
        let crates: Vec<String> =
            self.crates.iter().filter(is_library).map(|name| format!("-p={name}")).collect();
        (!crates.is_empty()).then_some(crates)
    }
}

/// A program that holds tests.
struct Program {
    /// The file it is built from, from the repository's root.
    source: PathBuf,
    path: PathBuf,
}

impl Program {
    /// The folder of its crate, which cargo runs it in.
    fn folder(&self) -> PathBuf {
        let root = host::repository();
        let above = self.source.ancestors().map(|folder| root.join(folder));
        above.into_iter().find(|folder| folder.join("Cargo.toml").is_file()).unwrap_or(root)
    }

    fn command(&self) -> Command {
        let mut command = build::in_the_background(&self.path.to_string_lossy());
        command.current_dir(self.folder()).env("CARGO_MANIFEST_DIR", self.folder());
        command
    }
}

/// The names of all tests that `cargo test` builds with these arguments, each with its source. Tests in documentation are not
/// among them: see [`documentation_names`].
///
/// # Errors
///
/// When they do not compile.
pub(crate) fn names(arguments: &[&str]) -> Result<Vec<(PathBuf, String)>> {
    let mut names = Vec::new();
    for program in programs(arguments)? {
        let text = output_of(program.command().args(["--list", "--format", "terse"]))?;
        let of_program = text.lines().filter_map(|line| line.strip_suffix(": test"));
        names.extend(of_program.map(|name| (program.source.clone(), name.to_owned())));
    }
    Ok(names)
}

/// Runs the tests and shows their output as it comes; returns the lines with their results.
///
/// # Errors
///
/// When they do not compile or cannot be started.
pub(crate) fn run(arguments: &[&str], filter: &Filter, tally: &Tally) -> Result<String> {
    let mut all = String::new();
    for program in programs(arguments)? {
        let Some(names) = filter.of(&program.source) else { continue };
        let source = program.source.display().to_string();
        println!("     Running {source}");
        let before = tally.failures();
        let mut child = program
            .command()
            .args(names)
            .stdout(Stdio::piped())
            .spawn()
            .with_context(|| format!("starting the tests of {source}"))?;
        if let Some(stdout) = child.stdout.take() {
            for line in BufReader::new(stdout).lines() {
                let line = line.with_context(|| format!("reading what the tests of {source} say"))?;
                println!("{line}");
                if tally.add_test_line(&source, &line).is_some() {
                    all.push_str(&line);
                    all.push('\n');
                }
            }
        }
        let status = child.wait().with_context(|| format!("waiting for the tests of {source}"))?;
        if !status.success() && tally.failures() == before {
            tally.failed(&format!("check {source}"), &format!("it ended early ({status}), see above"));
        }
    }
    Ok(all)
}

/// Runs the tests in documentation, when all tests are asked for, or a crate, or one of them.
///
/// # Errors
///
/// When cargo cannot be started, or a test does not compile.
pub(crate) fn documentation(filter: &Filter, tally: &Tally) -> Result<()> {
    let Some(of) = filter.of_documentation() else { return Ok(()) };
    let output = documentation_command(&of)
        .stdout(Stdio::piped())
        .spawn()
        .and_then(Child::wait_with_output)
        .context("starting cargo test --doc")?;
    let before = tally.failures();
    for line in String::from_utf8_lossy(&output.stdout).lines() {
        if let Some((name, outcome)) = line.strip_prefix("test ").and_then(|rest| rest.rsplit_once(" ... "))
            && let Some((source, name)) = documented(name)
        {
            println!("{line}");
            tally.add_test_line(source, &format!("test {name} ... {outcome}"));
        }
    }
    if !output.status.success() && tally.failures() == before {
        bail!("the tests in documentation ended early ({}), see above", output.status);
    }
    Ok(())
}

/// The names of all tests in documentation, each behind its source.
///
/// # Errors
///
/// When cargo cannot be started.
pub(crate) fn documentation_names() -> Result<Vec<String>> {
    let mut command = documentation_command(&["--workspace".to_owned()]);
    let text = output_of(command.args(["--", "--list", "--format", "terse"]))?;
    let names = text.lines().filter_map(|line| documented(line.strip_suffix(": test")?));
    Ok(names.map(|(source, name)| format!("{source} {name}")).collect())
}

fn documentation_command(of: &[String]) -> Command {
    let mut command = build::by_hand();
    command.args(["test", "--doc"]).args(of).env("KRCU_EBPF_OBJECT", build::object_path());
    command
}

/// The source and the name of a test in documentation, of `SOURCE - ITEM (line N)`. The line is left out: it changes with
/// whatever is written above.
fn documented(name: &str) -> Option<(&str, String)> {
    let (source, rest) = name.split_once(" - ")?;
    let item = rest.split("(line ").next().unwrap_or_default().trim();
    Some((source, format!("{DOCUMENTATION}{item}")))
}

/// How the name of a test in documentation begins.
const DOCUMENTATION: &str = "documentation::";

/// The programs, built.
fn programs(arguments: &[&str]) -> Result<Vec<Program>> {
    let mut command = build::by_hand();
    command
        .args(["test", "--no-run", "--message-format=json-render-diagnostics"])
        .args(arguments)
        .env("KRCU_EBPF_OBJECT", build::object_path())
        .stdin(Stdio::null())
        .stdout(Stdio::piped());
    let output = command.spawn().and_then(Child::wait_with_output).context("starting cargo test --no-run")?;
    if !output.status.success() {
        bail!("the tests do not compile ({}), see above", output.status);
    }
    let mut programs = Vec::new();
    for line in String::from_utf8_lossy(&output.stdout).lines() {
        let message: Value = serde_json::from_str(line).context("reading what cargo says")?;
        let is_test = message["profile"]["test"] == true;
        let (source, path) = (&message["target"]["src_path"], &message["executable"]);
        if let (true, Some(source), Some(path)) = (is_test, source.as_str(), path.as_str()) {
            let source = Path::new(source);
            let source = source.strip_prefix(host::repository()).unwrap_or(source).to_owned();
            programs.push(Program { source, path: PathBuf::from(path) });
        }
    }
    programs.sort_by(|left, right| left.source.cmp(&right.source));
    Ok(programs)
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::{Filter, documented};

    #[test]
    fn a_test_in_documentation_is_known_by_what_it_documents() {
        let known = |name| documented(name).map(|(source, name)| format!("{source} {name}"));
        let of_item = known("krcu-report/src/reporter.rs - reporter::Reporter (line 17)");
        assert_eq!(of_item.unwrap(), "krcu-report/src/reporter.rs documentation::reporter::Reporter");
        assert_eq!(known("a/src/lib.rs - (line 3) - compile").unwrap(), "a/src/lib.rs documentation::");
        assert_eq!(known("some::test"), None);
        let of = |crates: &[&str], tests: &[&str]| {
            let owned = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect();
            Filter { crates: owned(crates), tests: owned(tests) }.of_documentation()
        };
        assert_eq!(of(&[], &[]).unwrap(), ["--workspace"]);
        assert_eq!(of(&["krcu-report", "xtask"], &[]).unwrap(), ["-p=krcu-report"]);
        assert_eq!(of(&[], &["documentation::reporter"]).unwrap(), ["--workspace"]);
        assert_eq!(of(&["xtask"], &["closing_line"]), None);
    }

    #[test]
    fn a_filter_asks_each_program_for_what_it_may_have() {
        let source = Path::new("krcu-trace/src/lib.rs");
        assert_eq!(Filter::default().of(source), Some(&[][..]));
        let of_crate = |name: &str| Filter { crates: vec![name.to_owned()], tests: Vec::new() };
        assert_eq!(of_crate("krcu-trace").of(source), Some(&[][..]));
        assert_eq!(of_crate("krcu").of(source), None, "a crate is named whole");
        let of_test = Filter { crates: Vec::new(), tests: vec!["one".to_owned()] };
        assert_eq!(of_test.of(source), Some(&["one".to_owned()][..]));
    }
}
