//! `cargo xtask test`: formatting, lints, every crate's tests, and the kernels beside them; a closing count on the last line.

use std::collections::BTreeSet;
use std::process::{Child, Command, ExitCode, Stdio};
use std::sync::{Mutex, PoisonError};
use std::thread;

use anyhow::{Context as _, Result, bail};

use crate::check::choice::Choice;
use crate::check::crate_tests::{self, Filter};
use crate::check::custom;
use crate::check::fleet;
use crate::check::kernel_tests;
use crate::check::known::Place as KnownPlace;
use crate::check::listed;
use crate::check::model::{self, Extent};
use crate::check::recipes;
use crate::check::retries;
use crate::check::scenarios::{self, SERIES, Scenario};
use crate::check::schedule::{self, Part, Place};
use crate::check::supply;
use crate::check::systemd_boot;
use crate::check::tally::Tally;
use crate::check::tidy;
use crate::check::trace_tests;
use crate::check::truth;
use crate::dist::clean_root;
use crate::dist::contrib;
use crate::dist::install;
use crate::guest::vm::Run;
use crate::host;
use crate::progress::{command_line, say};
use crate::toolchain::build;
use crate::toolchain::setup;

/// The part that compiles and runs the crates' tests: what opens traces is built with them.
const CRATES: &str = "tests of the crates";
/// The part that packs the package.
const PACKAGE: &str = "package";
/// The crates that others may use.
const PUBLISHED: [&str; 5] = ["krcu-common", "krcu-model", "krcu-reference", "krcu-report", "krcu-trace"];
/// The size of a target folder in which everything is built once.
const TARGET_GIB: u64 = 12;
/// The kernel of `--quick`.
const QUICK: &str = "6.12";

/// What was asked for.
#[derive(Debug, Default)]
pub(crate) struct Asked {
    /// Leave the kernels out.
    pub(crate) no_kernels: bool,
    /// Nothing but the kernels.
    pub(crate) kernels_only: bool,
    /// What a change needs before it is worth a whole run.
    pub(crate) quick: bool,
    /// Instead, what runs on kernels that are built for a purpose.
    pub(crate) custom: bool,
    /// Compute known results again.
    pub(crate) force: bool,
    /// Series of kernels; all when empty.
    pub(crate) series: Vec<String>,
    /// Scenarios, crates, tests and checks; all when empty.
    pub(crate) names: Vec<String>,
}

/// What is run.
#[derive(Debug, Default)]
struct Parts {
    /// Checks, by their name in the list.
    checks: BTreeSet<&'static str>,
    /// Tests of crates.
    crates: Option<Filter>,
    /// The model's tests that are behind a feature.
    checker_tests: bool,
    /// Scenarios.
    kernels: Option<Choice>,
    /// Whether it is everything.
    is_whole: bool,
}

impl Parts {
    /// Whether it is more than a look at the sources.
    fn need_programs(&self) -> bool {
        self.crates.is_some()
            || self.kernels.is_some()
            || self
                .checks
                .iter()
                .any(|check| !listed::LOOKS.contains(check) && !listed::BUILD_THEMSELVES.contains(check))
    }
}

impl Asked {
    fn parts(&self) -> Result<Parts> {
        if let Some(unknown) = self.series.iter().find(|series| !SERIES.contains(&series.as_str())) {
            bail!("no scenario runs on the kernel {unknown}: name one of {}", SERIES.join(", "));
        }
        let kernels = || Choice { series: self.series.clone(), ordinary: true, ..Choice::default() };
        if !self.names.is_empty() {
            return self.named(Choice { ordinary: false, ..kernels() });
        }
        let host = !self.kernels_only && self.series.is_empty();
        let all = |checks: &[&'static str]| checks.iter().copied().collect::<BTreeSet<_>>();
        let everything = Parts {
            checks: if host { all(&listed::CHECKS) } else { BTreeSet::new() },
            crates: host.then(Filter::default),
            checker_tests: host,
            kernels: (!self.no_kernels).then(kernels),
            is_whole: host && !self.no_kernels,
        };
        if !self.quick {
            return Ok(everything);
        }
        let names = listed::scenarios()
            .filter(|scenario| scenario.append.is_empty() && scenario.is_watched_with_others())
            .map(|scenario| scenario.name.to_owned());
        let choice = Choice { series: vec![QUICK.to_owned()], names: names.collect(), ..kernels() };
        Ok(Parts {
            checks: all(&listed::QUICK_CHECKS),
            checker_tests: false,
            kernels: Some(choice),
            is_whole: false,
            ..everything
        })
    }

    /// What these names mean: scenarios, crates, checks, and tests of crates with this in their name.
    fn named(&self, kernels: Choice) -> Result<Parts> {
        let mut parts = Parts::default();
        let mut choice = kernels;
        let mut filter = Filter::default();
        let list = listed::kept()?;
        for name in &self.names {
            let series = listed::series_of(name);
            let check = listed::CHECKS.into_iter().find(|check| check == name);
            let is_crate = list.lines().any(|line| {
                line.strip_prefix("crate ")
                    .and_then(|rest| rest.split_once('/'))
                    .is_some_and(|(of, _)| of == name)
            });
            let tests = || {
                list.lines()
                    .filter(|line| line.starts_with("crate "))
                    .filter_map(|line| line.rsplit_once(' '))
            };
            if !series.is_empty() {
                if !series.iter().any(|series| choice.has_series(series)) {
                    bail!(
                        "{name} does not run on the kernel {}: name one of {} with --kernel, or leave --kernel out",
                        choice.series.join(" or "),
                        series.join(", ")
                    );
                }
                choice.names.push(name.clone());
            } else if let Some(check) = check {
                parts.checks.insert(check);
            } else if is_crate {
                filter.crates.push(name.clone());
            } else if tests().any(|(_, test)| test.contains(name.as_str())) {
                filter.tests.push(name.clone());
            } else {
                bail!(
                    "no scenario, crate, test or check is called {name}: `cargo xtask test --list` prints all of them"
                );
            }
        }
        let is_of_checker = |name: &String| {
            let checker = list.lines().filter_map(|line| line.strip_prefix(listed::CHECKER_SOURCE));
            checker.into_iter().any(|test| test.contains(name.as_str()))
        };
        parts.checker_tests = filter.tests.iter().any(is_of_checker);
        parts.kernels = (!choice.names.is_empty()).then_some(choice);
        parts.crates = (!filter.is_empty()).then_some(filter);
        Ok(parts)
    }
}

/// Runs the tests; the status says whether all of them passed.
///
/// # Errors
///
/// When the set-up or the build fails: then nothing can be tested.
pub(crate) fn run(asked: &Asked) -> Result<ExitCode> {
    if asked.custom {
        return custom::run(&asked.series, &asked.names);
    }
    let parts = asked.parts()?;
    let tally = Tally::default();
    let (judged, formatted) = (Mutex::default(), Mutex::default());
    if parts.crates.is_some() {
        host::need_room(
            &host::target_folder(),
            TARGET_GIB,
            "free some, or set CARGO_TARGET_DIR to a folder elsewhere",
        )?;
    }
    if parts.need_programs() {
        setup::ensure_packages()?;
        thread::scope(|scope| {
            // What machines need from the archive comes while the programs are compiled.
            if let Some(choice) = &parts.kernels {
                scope.spawn(|| prepare(choice));
            }
            setup::ensure()?;
            build::all("release")
        })?;
    }
    let mut all = on_host(&parts, &tally)?;
    if let Some(choice) = &parts.kernels {
        let scenarios: Vec<&'static Scenario> = listed::scenarios().collect();
        all.extend(kernel_tests::parts(&scenarios, choice, &tally, &judged));
        all.extend(systemd_boot::parts(choice, &tally, PACKAGE));
        all.extend(trace_tests::parts(choice, &tally, &formatted, CRATES));
    }
    all.extend(of_model(&parts, asked.force, &tally));
    schedule::run(all, parts.is_whole);
    let judged = judged.into_inner().unwrap_or_else(PoisonError::into_inner);
    truth::run::show(&judged);
    if parts.is_whole {
        truth::run::compare(&judged, &tally)?;
        compare_with_list(&tally)?;
        say(&format!(
            "not run, since it takes long: {} cells of the truth table, among them {} (`cargo xtask truth --all`); the {} scenarios of \
             kernels that are built for them (`cargo xtask test --custom`); {} runs of krcu in other surroundings (`cargo xtask test \
             --surroundings`); a fleet of a thousand host-days and what may befall it (`cargo xtask test --fleet`); every \
             module of a kernel package (`cargo xtask churn`)",
            listed::left_to_all(),
            truth::LONG.join(" and "),
            scenarios::custom::SCENARIOS.len(),
            listed::left_to_surroundings(),
        ));
    } else {
        let list = listed::kept()?;
        let left_out = tally.not_run(list.lines()).len();
        say(&format!("{left_out} of {} tests were not run: this was a part of them", list.lines().count()));
    }
    let history = retries::history();
    if !history.is_empty() {
        say(&format!("tries beyond the first, of the last runs:\n{}", history.trim_end()));
    }
    Ok(tally.close())
}

/// Fetches kernels and builds modules. A failure is not reported here: the machine that needs the kernel or module reports it.
fn prepare(choice: &Choice) {
    for series in SERIES.into_iter().filter(|series| choice.has_series(series)) {
        let modules: BTreeSet<&str> = listed::scenarios()
            .filter(|scenario| choice.has_name(scenario.name))
            .flat_map(|scenario| scenario.modules)
            .copied()
            .collect();
        let modules = modules.into_iter().map(|name| host::repository().join("modules").join(name)).collect();
        let ready = || Run { modules, ..Run::new(series.parse()?, "") }.prepare();
        drop(ready());
    }
}

/// A check: its name, a reckoned time in seconds, and what it does.
type Check = (&'static str, f32, fn(&Tally) -> Result<()>);

/// What runs here, in this order.
fn on_host<'a>(parts: &Parts, tally: &'a Tally) -> Result<Vec<Part<'a>>> {
    let mut all = Vec::new();
    let has = |name: &str| parts.checks.contains(name);
    if has("tidy") {
        all.push(Part::new("tidy", Place::Host, 1.0, move || tally.add("check tidy", tidy::run())));
    }
    let mut command = |name: &'static str, command: Command| {
        if has(name) {
            all.push(Part::new(name, Place::Host, 10.0, move || check(tally, name, command)));
        }
    };
    command("formatting", cargo(&["fmt", "--check"]));
    let mut packages = cargo(&["package", "--offline", "--allow-dirty", "--no-verify", "--quiet"]);
    packages.args(PUBLISHED.iter().flat_map(|name| ["-p", name]));
    command("packages of the libraries", packages);
    let mut probes = cargo(&["fmt", "--check"]);
    probes.current_dir(host::repository().join(build::EBPF_CRATE));
    command("formatting of the probes", probes);
    if has("package") || parts.kernels.as_ref().is_some_and(|choice| choice.has_name("systemd_unit")) {
        let is_asked_for = has("package");
        all.push(Part::new(PACKAGE, Place::Host, 30.0, move || {
            let packed = install::pack();
            if is_asked_for {
                let tried = packed.and_then(|(_, package)| clean_root::try_package(&package));
                tally.add("check package", tried);
            }
        }));
    }
    let mut command = |name: &'static str, command: Command| {
        if has(name) {
            all.push(Part::new(name, Place::Host, 60.0, move || check(tally, name, command)));
        }
    };
    let mut documented = cargo(&["doc", "--quiet", "--no-deps"]);
    documented.args(PUBLISHED.iter().flat_map(|name| ["-p", name])).env("RUSTDOCFLAGS", "-D warnings");
    command("documentation of the libraries", documented);
    command("lints", linted(&["--workspace", "--all-targets"]));
    command(
        "lints of the checker",
        linted(&["-p", "krcu-reference", "--features", "check", "--all-targets"]),
    );
    if has("lints of the probes") {
        command("lints of the probes", build::ebpf_lints()?);
    }
    if let Some(filter) = &parts.crates {
        let filter = filter.clone();
        all.push(Part::new(CRATES, Place::Host, 200.0, move || {
            let ran = crate_tests::run(&["--workspace"], &filter, tally);
            if let Err(error) = ran.and_then(|_| crate_tests::documentation(&filter, tally)) {
                tally.failed("check cargo test", &format!("{error:#}"));
            }
        }));
    }
    let others: [Check; 4] = [
        ("supply chain", 5.0, |_| supply::run()),
        ("alert rules", 5.0, |_| contrib::test_rules()),
        ("recipes", 120.0, recipes::run),
        // After the crates' tests, with which its programs are built.
        ("fleet", 90.0, |_| fleet::short::run()),
    ];
    for (name, reckoned, run) in others.into_iter().filter(|(name, ..)| has(name)) {
        all.push(Part::new(name, Place::Host, reckoned, move || {
            tally.add(&format!("check {name}"), run(tally));
        }));
    }
    Ok(all)
}

/// The checks of the model, which take both processors for minutes when their results are not known: they come last.
fn of_model<'a>(parts: &Parts, force: bool, tally: &'a Tally) -> Vec<Part<'a>> {
    let mut all = Vec::new();
    if parts.checker_tests {
        all.push(Part::new("tests of the checker", Place::Host, 100.0, move || {
            if let Err(error) = checker_tests(force, tally) {
                tally.failed("check cargo test", &format!("{error:#}"));
            }
        }));
    }
    if parts.checks.contains("approaches") {
        all.push(Part::new("approaches", Place::Host, 500.0, move || {
            tally.add("check approaches", approaches(force));
        }));
    }
    all
}

/// Runs the model's tests that are behind a feature, unless their result is known.
fn checker_tests(force: bool, tally: &Tally) -> Result<()> {
    let place = KnownPlace::of_model("tests", &listed::CHECKER_TESTS)?;
    let source = listed::CHECKER_SOURCE.trim_start_matches("crate ").trim();
    if let Some(known) = place.read().filter(|_| !force) {
        println!("tests of the checker: unchanged since {}", known.day());
        for line in known.said.lines() {
            println!("{line}");
            tally.add_test_line(source, line);
        }
        return Ok(());
    }
    let before = tally.failures();
    let said = crate_tests::run(&listed::CHECKER_TESTS, &Filter::default(), tally)?;
    if tally.failures() == before { place.keep(&said) } else { Ok(()) }
}

/// Checks every approach, unless the result is known.
fn approaches(force: bool) -> Result<()> {
    let place = KnownPlace::of_model("approaches", &["check", "--brief"])?;
    if let Some(known) = place.read().filter(|_| !force) {
        println!("approaches: unchanged since {}: {}", known.day(), known.said);
        return Ok(());
    }
    let mut command = model::checker(&Extent { brief: true, ..Extent::default() });
    let line = command_line(&command);
    let output = command.stdout(Stdio::piped()).spawn().and_then(Child::wait_with_output);
    let output = output.with_context(|| format!("starting `{line}`"))?;
    let said = String::from_utf8_lossy(&output.stdout).trim().to_owned();
    println!("{said}");
    if !output.status.success() {
        bail!("`{line}` failed ({}), see above", output.status);
    }
    place.keep(&said)
}

/// Holds what was run against the list of all tests.
fn compare_with_list(tally: &Tally) -> Result<()> {
    let kept = listed::kept()?;
    let list: BTreeSet<&str> = kept.lines().collect();
    let of_list = |line: &&str| **line != *listed::THE_LIST;
    let lost = tally.not_run(list.iter().copied().filter(of_list));
    let new = tally.not_listed(&list);
    if lost.is_empty() && new.is_empty() {
        tally.passed(listed::THE_LIST);
        return Ok(());
    }
    let mut why = String::from(
        "`cargo xtask test --list >xtask/tests.txt` writes it anew, after a change that is meant",
    );
    lost.iter().for_each(|line| why.push_str(&format!("\n  not run: {line}")));
    new.iter().for_each(|line| why.push_str(&format!("\n  not in the list: {line}")));
    tally.failed(listed::THE_LIST, &why);
    Ok(())
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

/// The lints of crates, by a build: `cargo clippy` would compile all dependencies a second time, to check them.
fn linted(crates: &[&str]) -> Command {
    let mut command = cargo(&["build", "--quiet"]);
    // What `cargo clippy -- -D warnings` sets.
    command
        .args(crates)
        .env("RUSTC_WORKSPACE_WRAPPER", "clippy-driver")
        .env("CLIPPY_ARGS", "-D__CLIPPY_HACKERY__warnings__CLIPPY_HACKERY__");
    command
}

fn check(tally: &Tally, name: &str, mut command: Command) {
    let line = command_line(&command);
    let name = &format!("check {name}");
    match command.status() {
        Ok(status) if status.success() => tally.passed(name),
        Ok(status) => tally.failed(name, &format!("`{line}` failed ({status}), see above")),
        Err(error) => tally.failed(name, &format!("`{line}` cannot be started: {error}")),
    }
}

#[cfg(test)]
mod tests {
    use super::Asked;

    fn named(names: &[&str]) -> Asked {
        Asked { names: names.iter().map(|name| (*name).to_owned()).collect(), ..Asked::default() }
    }

    #[test]
    fn a_name_is_that_of_a_scenario_a_crate_a_check_or_a_test() {
        let parts = named(&["leak", "krcu-trace", "lints", "closing_line"]).parts().unwrap();
        assert_eq!(parts.kernels.unwrap().names, ["leak"]);
        let filter = parts.crates.unwrap();
        assert_eq!(
            (&filter.crates[..], &filter.tests[..]),
            (&["krcu-trace".to_owned()][..], &["closing_line".to_owned()][..])
        );
        assert_eq!(parts.checks.into_iter().collect::<Vec<_>>(), ["lints"]);
        assert!(!parts.checker_tests && !parts.is_whole);
        assert!(named(&["whole_steps_hide"]).parts().unwrap().checker_tests);
        assert!(
            named(&["nothing_of_the_kind"]).parts().unwrap_err().to_string().contains("nothing_of_the_kind")
        );
    }

    #[test]
    fn a_scenario_of_another_kernel_is_refused_by_name() {
        let on =
            |series: &str, name: &str| Asked { series: vec![series.to_owned()], ..named(&[name]) }.parts();
        assert_eq!(on("6.12", "trace_killed").unwrap().kernels.unwrap().names, ["trace_killed"]);
        let refused = on("6.1", "trace_killed").unwrap_err().to_string();
        assert_eq!(
            refused,
            "trace_killed does not run on the kernel 6.1: name one of 6.12 with --kernel, or leave --kernel out"
        );
        assert!(on("6.1", "systemd_unit").is_ok(), "it runs there when it is asked for");
    }

    #[test]
    fn a_look_at_the_sources_builds_nothing() {
        assert!(!named(&["tidy", "formatting"]).parts().unwrap().need_programs());
        assert!(named(&["tidy", "lints"]).parts().unwrap().need_programs());
        assert!(named(&["krcu-trace"]).parts().unwrap().need_programs());
    }

    #[test]
    fn a_whole_run_leaves_nothing_out_and_a_quick_one_the_slow() {
        let whole = Asked::default().parts().unwrap();
        assert!(whole.is_whole && whole.checker_tests && whole.checks.contains("approaches"));
        let quick = Asked { quick: true, ..Asked::default() }.parts().unwrap();
        assert!(!quick.is_whole && !quick.checker_tests && !quick.checks.contains("approaches"));
        assert!(quick.crates.is_some());
        let choice = quick.kernels.unwrap();
        assert!(choice.names.len() > 30 && choice.series == ["6.12"]);
        assert!(!Asked { series: vec!["6.1".to_owned()], ..Asked::default() }.parts().unwrap().is_whole);
    }
}
