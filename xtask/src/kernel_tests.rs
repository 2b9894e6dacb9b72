//! Runs the scenarios on real kernels: one boot per kernel for all that can share one, each judged on the host.
//!
//! A scenario leaves four files: what it printed (`NAME.json`, `NAME.stderr`), its status, and the kernel's log of
//! the time it ran; some leave the events as well, and are judged by their replay too. They stay in `target/kernel-tests/SERIES` to be read when a scenario fails.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context as _, Result};

use crate::cache;
use crate::judge::{Evidence, disagreements};
use crate::kernel::Series;
use crate::machine;
use crate::progress::{say, tail_of};
use crate::replay;
use crate::scenarios::{Expectation, SCENARIOS, SERIES, Scenario};
use crate::tally::Tally;
use crate::trace_tests;
use crate::vm::Run;

/// How long one scenario may take; emulated machines are slow, and one module waits for eight seconds.
const SCENARIO_SECONDS: u64 = 90;
/// How long a boot may take on a busy machine.
const BOOT_SECONDS: u64 = 120;

/// Which scenarios to run.
#[derive(Debug, Default)]
pub(crate) struct Choice {
    /// Series; all when empty.
    pub(crate) series: Vec<String>,
    /// Names of scenarios; all when empty.
    pub(crate) names: Vec<String>,
}

/// Runs every chosen scenario on every chosen kernel.
///
/// # Errors
///
/// When the files of a scenario cannot be written or read here. What goes wrong in a machine is a failed test.
pub(crate) fn run(choice: &Choice, tally: &mut Tally) -> Result<()> {
    let chosen = |list: &[String], name: &str| list.is_empty() || list.iter().any(|wanted| wanted == name);
    for series in SERIES.iter().filter(|series| chosen(&choice.series, series)) {
        let mut together = Vec::new();
        for scenario in SCENARIOS.iter().filter(|scenario| chosen(&choice.names, scenario.name)) {
            let Some(expectation) =
                scenario.expectations.iter().find(|expected| expected.series.contains(series))
            else {
                continue;
            };
            if scenario.alone {
                boot(series, &[(scenario, expectation)], tally)?;
            } else {
                together.push((scenario, expectation));
            }
        }
        if !together.is_empty() {
            boot(series, &together, tally)?;
        }
    }
    Ok(())
}

type Case = (&'static Scenario, &'static Expectation);

fn boot(series: &str, cases: &[Case], tally: &mut Tally) -> Result<()> {
    let parsed: Series = series.parse().with_context(|| format!("the scenarios name the kernel {series}"))?;
    let out = machine::target_folder().join("kernel-tests").join(series);
    let scripts = out.join("scripts");
    cache::create_folder(&scripts)?;
    for (scenario, _) in cases {
        for kind in ["json", "stderr", "status", "log", "events"] {
            drop(fs::remove_file(file(&out, scenario, kind)));
        }
        trace_tests::clear(&out, scenario.name);
        let script = trace_tests::with_traces(scenario.name, scenario.command);
        cache::write_file(&scripts.join(format!("{}.sh", scenario.name)), script.as_bytes())?;
    }
    let names = |of: fn(&Scenario) -> &'static [&'static str]| -> BTreeSet<&str> {
        cases.iter().flat_map(|(scenario, _)| of(scenario)).copied().collect()
    };
    let modules = machine::repository().join("modules");
    let run = Run {
        modules: names(|scenario| scenario.modules).into_iter().map(|name| modules.join(name)).collect(),
        in_tree: names(|scenario| scenario.in_tree).into_iter().map(str::to_owned).collect(),
        files: vec![(scripts, "/scenarios".to_owned())],
        out: Some(out.clone()),
        // The kernel's log of a whole scenario has to fit.
        append: "log_buf_len=8M".to_owned(),
        timeout: Duration::from_secs(
            BOOT_SECONDS + SCENARIO_SECONDS * u64::try_from(cases.len()).unwrap_or(1),
        ),
        ..Run::new(parsed, &guest_script(cases))
    };
    say(&format!("{series}: running {} scenarios", cases.len()));
    match run.run() {
        Ok(outcome) => {
            say(&format!("{}: {:.1} s in all", outcome.release, outcome.total.as_secs_f32()));
            for (scenario, expectation) in cases {
                judge(series, scenario, expectation, &out, tally);
            }
        }
        Err(error) => {
            for (scenario, _) in cases {
                tally.failed(&title(series, scenario), "the machine was lost (see above)");
            }
            say(&format!("{error:#}"));
        }
    }
    Ok(())
}

/// What the machine runs: each scenario with its own files and the kernel's log of just its time.
fn guest_script(cases: &[Case]) -> String {
    let mut script = String::from("mkdir -p /out\n");
    for (scenario, _) in cases {
        let name = scenario.name;
        script.push_str(&format!(
            "echo 'krcu-scenario {name}' >/dev/kmsg\ndmesg -c >/dev/null\n\
             timeout {SCENARIO_SECONDS} sh /scenarios/{name}.sh >/out/{name}.json 2>/out/{name}.stderr\n\
             echo $? >/out/{name}.status\ndmesg -c >/out/{name}.log\n"
        ));
    }
    script
}

fn judge(series: &str, scenario: &Scenario, expectation: &Expectation, out: &Path, tally: &mut Tally) {
    let read = |kind: &str| {
        String::from_utf8_lossy(&fs::read(file(out, scenario, kind)).unwrap_or_default()).into_owned()
    };
    let title = title(series, scenario);
    let Ok(status) = read("status").trim().parse() else {
        tally.failed(&title, "it left no status");
        return;
    };
    let evidence = Evidence { status, stdout: read("json"), log: read("log") };
    let mut found = disagreements(expectation, &evidence);
    if scenario.replayed {
        found.extend(replay::disagreements(&file(out, scenario, "events"), &evidence.stdout));
    }
    found.extend(trace_tests::disagreements(out, scenario.name).1);
    if found.is_empty() {
        tally.passed(&title);
        return;
    }
    let mut text = found.join("\n  ");
    let stderr = read("stderr");
    if !stderr.trim().is_empty() {
        text.push_str(&format!("\n  it said:\n{}", tail_of(&stderr, 10)));
    }
    text.push_str(&format!("\n  its files: {}.*", out.join(scenario.name).display()));
    tally.failed(&title, &text);
}

fn title(series: &str, scenario: &Scenario) -> String {
    format!("{series} {}", scenario.name)
}

fn file(out: &Path, scenario: &Scenario, kind: &str) -> PathBuf {
    out.join(format!("{}.{kind}", scenario.name))
}

#[cfg(test)]
mod tests {
    use super::guest_script;
    use crate::scenarios::SCENARIOS;

    #[test]
    fn each_scenario_leaves_its_own_files() {
        let cases: Vec<_> = SCENARIOS.iter().map(|scenario| (scenario, &scenario.expectations[0])).collect();
        let script = guest_script(&cases);
        for scenario in SCENARIOS {
            assert!(script.contains(&format!("echo $? >/out/{}.status\n", scenario.name)));
        }
    }
}
