//! `cargo xtask test`: formatting, lints, every crate's tests, then the kernels; a closing count on the last line.

use std::io::{BufRead as _, BufReader};
use std::process::{Command, ExitCode, Stdio};
use std::thread;

use anyhow::{Context as _, Result, anyhow};

use crate::build;
use crate::clean_root;
use crate::contrib;
use crate::install;
use crate::kernel_tests::{self, Choice};
use crate::listed;
use crate::machine;
use crate::model::{self, Extent};
use crate::progress::{command_line, say};
use crate::scenarios::{agent, live, terminal};
use crate::setup;
use crate::systemd_boot;
use crate::tally::Tally;
use crate::trace_tests;
use crate::truth;

/// Which parts of the tests to run; all when nothing is chosen.
#[derive(Debug, Default)]
pub(crate) struct Parts {
    /// Leave the kernels out.
    pub(crate) no_kernels: bool,
    /// Nothing but the kernels.
    pub(crate) kernels_only: bool,
    /// Which kernels and scenarios.
    pub(crate) choice: Choice,
}

/// Runs the tests; the status says whether all of them passed.
///
/// # Errors
///
/// When the set-up or the build fails: then nothing can be tested.
pub(crate) fn run(parts: &Parts) -> Result<ExitCode> {
    setup::ensure()?;
    let programs = build::all("release")?;
    let mut tally = Tally::default();
    if !parts.kernels_only {
        check(&mut tally, "formatting", cargo(&["fmt", "--check"]));
        let mut probes = cargo(&["fmt", "--check"]);
        probes.current_dir(machine::repository().join(build::EBPF_CRATE));
        check(&mut tally, "formatting of the probes", probes);
        check(&mut tally, "lints", linted(&["--workspace", "--all-targets"]));
        let checker = ["-p", "krcu-model", "--features", "check", "--all-targets"];
        check(&mut tally, "lints of the checker", linted(&checker));
        check(&mut tally, "lints of the probes", build::ebpf_lints()?);
        crates(&mut tally, &["test", "--workspace", "--no-fail-fast"])?;
        crates(
            &mut tally,
            &["test", "--release", "-p", "krcu-model", "--features", "check", "--test", "check"],
        )?;
        tally.add("alert rules", contrib::test_rules());
        tally.add("package", install::pack().and_then(|(_, package)| clean_root::try_package(&package)));
        check(&mut tally, "approaches", model::checker(&Extent { brief: true, ..Extent::default() }));
    }
    if !parts.no_kernels {
        say(&format!("{} programs go into the machines", programs.len()));
        let agent: Vec<_> =
            agent::SCENARIOS.iter().chain(live::SCENARIOS).chain(terminal::SCENARIOS).collect();
        kernel_tests::run(&agent, &parts.choice, &mut tally)?;
        let judged = truth::run::test(&parts.choice, &mut tally)?;
        if !parts.choice.is_partial() {
            truth::run::compare(&judged, &mut tally)?;
        }
        thread::scope(|scope| {
            let systemd = scope.spawn(|| {
                let mut tally = Tally::default();
                systemd_boot::run(&parts.choice, &mut tally).map(|()| tally)
            });
            trace_tests::run(&parts.choice, &mut tally)?;
            let systemd = systemd.join().map_err(|_| anyhow!("the thread of a machine panicked"))??;
            tally.merge(&systemd);
            anyhow::Ok(())
        })?;
    }
    Ok(tally.close())
}

/// Prints the list of all tests.
///
/// # Errors
///
/// When a crate's tests do not compile.
pub(crate) fn list() -> Result<()> {
    setup::ensure()?;
    build::ebpf()?;
    listed::all()?.iter().for_each(|line| println!("{line}"));
    Ok(())
}

fn cargo(arguments: &[&str]) -> Command {
    let mut command = build::by_hand();
    command.args(arguments).env("KRCU_EBPF_OBJECT", build::object_path());
    command
}

/// The lints of crates, by a build: `cargo clippy` would compile all that they depend on a second time, to check it.
fn linted(crates: &[&str]) -> Command {
    let mut command = cargo(&["build", "--quiet"]);
    // What `cargo clippy -- -D warnings` sets.
    command
        .args(crates)
        .env("RUSTC_WORKSPACE_WRAPPER", "clippy-driver")
        .env("CLIPPY_ARGS", "-D__CLIPPY_HACKERY__warnings__CLIPPY_HACKERY__");
    command
}

fn check(tally: &mut Tally, name: &str, mut command: Command) {
    let line = command_line(&command);
    match command.status() {
        Ok(status) if status.success() => tally.passed(name),
        Ok(status) => tally.failed(name, &format!("`{line}` failed ({status}), see above")),
        Err(error) => tally.failed(name, &format!("`{line}` cannot be started: {error}")),
    }
}

/// Tests of crates, their output shown as it comes and their counts added up.
fn crates(tally: &mut Tally, arguments: &[&str]) -> Result<()> {
    let mut command = cargo(arguments);
    let mut child = command.stdout(Stdio::piped()).spawn().context("starting cargo test")?;
    let before = tally.failures();
    if let Some(stdout) = child.stdout.take() {
        for line in BufReader::new(stdout).lines() {
            let line = line.context("reading what cargo test says")?;
            println!("{line}");
            tally.add_result_line(&line);
        }
    }
    let status = child.wait().context("waiting for cargo test")?;
    if !status.success() && tally.failures() == before {
        tally.failed("cargo test", &format!("it ended early ({status}), see above"));
    }
    Ok(())
}
