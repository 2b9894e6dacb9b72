//! Runs scenarios on real kernels: one boot per kernel for all that can share one, each judged on the host.
//!
//! A scenario leaves four files: what it printed (`NAME.json`, `NAME.stderr`), its status, and the kernel's log of
//! the time it ran; most leave the events as well, and are judged by their replay too. They stay in `target/kernel-tests/SERIES` to be read when a scenario fails.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::fs;
use std::num::NonZero;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::thread;
use std::time::Duration;

use anyhow::{Context as _, Result, anyhow};

use crate::build;
use crate::cache;
use crate::contrib;
use crate::judge::{self, Evidence, disagreements};
use crate::kernel::{Kernel, Series};
use crate::machine;
use crate::owners::owners;
use crate::packaged::files_for;
use crate::progress::{say, tail_of};
use crate::replay;
use crate::scenarios::{Act, Expectation, OWNERS, SERIES, Scenario};
use crate::screens;
use crate::tally::Tally;
use crate::trace_tests;
use crate::vm::Run;

/// How long one scenario may take; emulated machines are slow, and one module waits for eight seconds.
const SCENARIO_SECONDS: u64 = 90;
/// The same of one that has a machine of its own.
const ALONE_SECONDS: u64 = 300;
/// How long scenarios that share a machine may take in the mean; more than that is a machine that hangs.
const MEAN_SECONDS: u64 = 30;
/// How long a boot may take on a busy machine.
const BOOT_SECONDS: u64 = 120;
/// How many machines run at a time on two processors: an emulated one runs in one thread, which sleeps a third of the
/// time, for what is tested is waiting.
const MOST_MACHINES: usize = 3;
/// How often a case that shows nothing yet is run again.
const MOST_REPEATS: usize = 2;
/// Programs of the test machine, by where they are put.
const PROGRAMS: [(&str, &str); 2] =
    [("/bin/play", include_str!("play.sh")), ("/bin/unload", include_str!("unload.sh"))];

/// Which scenarios to run.
#[derive(Debug, Default)]
pub(crate) struct Choice {
    /// Series; all when empty.
    pub(crate) series: Vec<String>,
    /// Names of scenarios; all when empty.
    pub(crate) names: Vec<String>,
    /// Boot nothing: judge what the last run of each has left.
    pub(crate) kept: bool,
}

impl Choice {
    /// Whether it leaves something out.
    pub(crate) fn is_partial(&self) -> bool {
        !(self.series.is_empty() && self.names.is_empty())
    }

    /// Whether a kernel is among the chosen ones.
    pub(crate) fn has_series(&self, series: &str) -> bool {
        self.series.is_empty() || self.series.iter().any(|chosen| chosen == series)
    }

    /// Whether a scenario is.
    pub(crate) fn has_name(&self, name: &str) -> bool {
        self.names.is_empty() || self.names.iter().any(|chosen| chosen == name)
    }
}

/// A scenario on one kernel.
#[derive(Clone, Copy)]
pub(crate) struct Case {
    /// The kernel's series.
    pub(crate) series: &'static str,
    /// What is done.
    pub(crate) scenario: &'static Scenario,
    /// What must come of it there.
    pub(crate) expectation: &'static Expectation,
}

/// What came of a [`Case`].
pub(crate) struct Judged {
    /// The case.
    pub(crate) case: Case,
    /// In what the evidence is not as expected; none when it passed.
    pub(crate) found: Vec<String>,
}

/// Runs every chosen scenario of a list on every chosen kernel.
///
/// # Errors
///
/// When the files of a scenario cannot be written or read here. What goes wrong in a machine is a failed test.
pub(crate) fn run(
    scenarios: &[&'static Scenario],
    choice: &Choice,
    tally: &mut Tally,
) -> Result<Vec<Judged>> {
    let mut waiting = VecDeque::new();
    for series in SERIES.into_iter().filter(|series| choice.has_series(series)) {
        let cases: Vec<Case> = scenarios
            .iter()
            .filter(|scenario| choice.has_name(scenario.name))
            .filter_map(|&scenario| {
                let expectation = scenario.expectations.iter().find(|one| one.series.contains(&series))?;
                Some(Case { series, scenario, expectation })
            })
            .collect();
        waiting.extend(boots(&cases));
    }
    let boots: Vec<Vec<Case>> = waiting.iter().cloned().collect();
    let mut booted = if choice.kept { BTreeMap::new() } else { boot_all(waiting)? };
    for _ in 0..if choice.kept { 0 } else { MOST_REPEATS } {
        let open: Vec<Case> =
            boots.iter().flatten().filter(|case| is_left_open(case, &booted)).copied().collect();
        if open.is_empty() {
            break;
        }
        let names: Vec<String> = open.iter().map(title).collect();
        say(&format!(
            "once more, since a probe's run was skipped, the kernel did not wait or a machine was lost: {}",
            names.join(", ")
        ));
        booted.extend(boot_all(self::boots(&open).into())?);
    }
    let mut judged = Vec::new();
    for case in boots.iter().flatten() {
        let lost = booted.get(&title(case)).is_some_and(|alive| !alive);
        judged.push(judge(*case, lost, tally));
    }
    Ok(judged)
}

/// What `krcu_play` says when what a script is about has not come about. A reader was let go by its time, before the
/// script did: another waited for it, as the destroy of newer kernels does where anybody at all has queued something. A
/// timer that somebody else had armed may have emptied the batches before the destroy, for a grace period had ended. Or a
/// statement could not be done, as when KFENCE took none of many allocations.
const NOT_DONE: [&str; 3] =
    ["krcu_play: a hold ran out", "krcu_play: a grace period ended before the destroy", "krcu_play: `"];

/// Whether a case shows nothing yet: krcu says that it could not see everything, where it should have decided, or what
/// the case is about did not come about, or the machine is gone. What krcu decides wrongly is not among these.
fn is_left_open(case: &Case, booted: &BTreeMap<String, bool>) -> bool {
    if booted.get(&title(case)) == Some(&false) {
        return true;
    }
    let out = &folder(case.series);
    if screens::shows_a_skipped_run(out, case.scenario.name) {
        return true;
    }
    let read = |kind: &str| {
        String::from_utf8_lossy(&fs::read(file(out, case.scenario, kind)).unwrap_or_default()).into_owned()
    };
    let evidence = Evidence {
        status: read("status").trim().parse().unwrap_or(0),
        stdout: read("json"),
        log: read("log"),
    };
    let shows_nothing =
        judge::is_left_open(&evidence.stdout) || NOT_DONE.iter().any(|line| evidence.log.contains(line));
    shows_nothing && !disagreements(case.expectation, &evidence).is_empty()
}

/// Boots all machines, some at a time; of each case, whether its machine lived to its end.
fn boot_all(mut waiting: VecDeque<Vec<Case>>) -> Result<BTreeMap<String, bool>> {
    // The longest first: none is to run by itself in the end.
    waiting.make_contiguous().sort_by_key(|cases| Reverse(cases.len()));
    let waiting = Mutex::new(waiting);
    let next = || waiting.lock().unwrap_or_else(PoisonError::into_inner).pop_front();
    let work = || -> Result<BTreeMap<String, bool>> {
        let mut ended = BTreeMap::new();
        while let Some(cases) = next() {
            let alive = run_boot(&cases)?;
            ended.extend(cases.iter().map(|case| (title(case), alive)));
        }
        Ok(ended)
    };
    let processors = thread::available_parallelism().map_or(1, NonZero::get);
    let machines = (processors + processors / 2).min(MOST_MACHINES);
    thread::scope(|scope| {
        let workers: Vec<_> = (0..machines).map(|_| scope.spawn(work)).collect();
        let mut all = BTreeMap::new();
        for worker in workers {
            all.extend(worker.join().map_err(|_| anyhow!("a machine's thread panicked"))??);
        }
        Ok(all)
    })
}

/// Where the files of a kernel's scenarios are.
pub(crate) fn folder(series: &str) -> PathBuf {
    machine::target_folder().join("kernel-tests").join(series)
}

/// Which cases share a machine: those of one command line, but for each that wants one of its own.
fn boots(cases: &[Case]) -> Vec<Vec<Case>> {
    let mut shared: BTreeMap<&str, Vec<Case>> = BTreeMap::new();
    for case in cases.iter().filter(|case| !case.scenario.alone) {
        shared.entry(case.scenario.append).or_default().push(*case);
    }
    let alone = cases.iter().filter(|case| case.scenario.alone).map(|case| vec![*case]);
    shared.into_values().chain(alone).collect()
}

/// Boots one machine for all of these; answers whether it lived to its end.
fn run_boot(cases: &[Case]) -> Result<bool> {
    let Some(first) = cases.first() else { return Ok(true) };
    let series = first.series;
    let parsed: Series = series.parse().with_context(|| format!("the scenarios name the kernel {series}"))?;
    let out = folder(series);
    // Of this machine alone: another of the same kernel may run at the same time.
    let scripts = out.join("scripts").join(first.scenario.name);
    drop(fs::remove_dir_all(&scripts));
    cache::create_folder(&scripts)?;
    for case in cases {
        for kind in ["json", "stderr", "status", "log", "events", "metrics"] {
            drop(fs::remove_file(file(&out, case.scenario, kind)));
        }
        trace_tests::clear(&out, case.scenario.name);
        screens::clear(&out, case.scenario.name);
        write_scripts(&scripts, case.scenario)?;
    }
    let names = |of: fn(&Scenario) -> &'static [&'static str]| -> BTreeSet<&str> {
        cases.iter().flat_map(|case| of(case.scenario)).copied().collect()
    };
    let modules = machine::repository().join("modules");
    let append = first.scenario.append;
    let mut in_tree: Vec<String> =
        names(|scenario| scenario.in_tree).into_iter().map(str::to_owned).collect();
    if let Some(place) = in_tree.iter().position(|name| name == OWNERS) {
        in_tree.remove(place);
        let kernel = Kernel::newest(&parsed)?;
        let owners = owners(&kernel, &kernel.image()?)?;
        cache::write_file(&scripts.join(OWNERS), owners.join("\n").as_bytes())?;
        in_tree.extend(owners);
    }
    let mut files = programs(&scripts)?;
    files.push((build::peer()?, "/bin/peer".to_owned()));
    let text: String = cases.iter().map(|case| case.scenario.act.text()).collect();
    files.extend(files_for(&in_tree, &text)?);
    files.push((scripts, "/scenarios".to_owned()));
    let all = MEAN_SECONDS * u64::try_from(cases.len()).unwrap_or(1);
    let run = Run {
        modules: names(|scenario| scenario.modules).into_iter().map(|name| modules.join(name)).collect(),
        in_tree,
        files,
        out: Some(out),
        // The kernel's log of a whole scenario has to fit.
        append: format!("log_buf_len=8M {append}"),
        timeout: Duration::from_secs(BOOT_SECONDS + cases.iter().map(seconds).max().unwrap_or(0) + all),
        ..Run::new(parsed, &guest_script(cases))
    };
    let with = if append.is_empty() { String::new() } else { format!(" with {append}") };
    say(&format!("{series}: running {} scenarios{with}", cases.len()));
    match run.run() {
        Ok(outcome) => {
            say(&format!(
                "{}: {} scenarios{with} in {:.1} s",
                outcome.release,
                cases.len(),
                outcome.total.as_secs_f32()
            ));
            Ok(true)
        }
        Err(error) => {
            say(&format!("{error:#}"));
            Ok(false)
        }
    }
}

/// Writes what the machine runs for a scenario: `NAME.sh`, and `NAME.watched` for krcu to watch.
fn write_scripts(scripts: &Path, scenario: &Scenario) -> Result<()> {
    let name = scenario.name;
    let text = match scenario.act {
        Act::Shell(text) | Act::Replayed(text) => text.to_owned(),
        Act::Watched { before, options, text } => {
            cache::write_file(&scripts.join(format!("{name}.watched")), text.as_bytes())?;
            let before =
                if before.is_empty() { String::new() } else { format!("{{ {before}\n}} >&2 || exit 99\n") };
            format!(
                "{before}krcu check --format json --events /out/{name}.events {options} -- sh /scenarios/{name}.watched"
            )
        }
    };
    // Who leaves its events is held against their replay.
    let text = if scenario.act.leaves_events() { text } else { trace_tests::with_traces(name, &text) };
    cache::write_file(&scripts.join(format!("{name}.sh")), text.as_bytes())
}

/// The programs of ours that the machine gets, and where they are put.
fn programs(folder: &Path) -> Result<Vec<(PathBuf, String)>> {
    cache::create_folder(folder)?;
    PROGRAMS
        .iter()
        .map(|(place, text)| {
            let path = folder.join(place.trim_start_matches("/bin/"));
            cache::write_file(&path, text.as_bytes())?;
            fs::set_permissions(&path, fs::Permissions::from_mode(0o755))
                .with_context(|| format!("making {} executable", path.display()))?;
            Ok((path, (*place).to_owned()))
        })
        .collect()
}

/// How long a case may take.
fn seconds(case: &Case) -> u64 {
    if case.scenario.alone { ALONE_SECONDS } else { SCENARIO_SECONDS }
}

/// What the machine runs: each scenario with its own files and the kernel's log of just its time.
fn guest_script(cases: &[Case]) -> String {
    let mut script = String::from("mkdir -p /out\n");
    for case in cases {
        let name = case.scenario.name;
        let seconds = seconds(case);
        script.push_str(&format!(
            "echo 'krcu-scenario {name}' >/dev/kmsg\ndmesg -c >/dev/null\n\
             timeout {seconds} sh /scenarios/{name}.sh >/out/{name}.json 2>/out/{name}.stderr\n\
             echo $? >/out/{name}.status\ndmesg -c >/out/{name}.log\n\
             [ -d /sys/module/krcu_play ] && rmmod krcu_play\n"
        ));
    }
    script
}

fn judge(case: Case, lost: bool, tally: &mut Tally) -> Judged {
    let out = &folder(case.series);
    let read = |kind: &str| {
        String::from_utf8_lossy(&fs::read(file(out, case.scenario, kind)).unwrap_or_default()).into_owned()
    };
    let title = title(&case);
    let Ok(status) = read("status").trim().parse() else {
        let why = if lost { "the machine was lost (see above)" } else { "it left no status" };
        tally.failed(&title, why);
        return Judged { case, found: vec![why.to_owned()] };
    };
    let evidence = Evidence { status, stdout: read("json"), log: read("log") };
    let mut found = disagreements(case.expectation, &evidence);
    if case.scenario.act.leaves_events() {
        found.extend(replay::disagreements(&file(out, case.scenario, "events"), &evidence.stdout));
    }
    found.extend(trace_tests::disagreements(out, case.scenario.name).1);
    found.extend(contrib::disagreements(out, case.scenario.name));
    found.extend(screens::disagreements(out, case.series, case.scenario.name));
    if found.is_empty() {
        tally.passed(&title);
    } else {
        let mut text = found.join("\n  ");
        let stderr = read("stderr");
        if !stderr.trim().is_empty() {
            text.push_str(&format!("\n  it said:\n{}", tail_of(&stderr, 10)));
        }
        text.push_str(&format!("\n  its files: {}.*", out.join(case.scenario.name).display()));
        tally.failed(&title, &text);
    }
    Judged { case, found }
}

fn title(case: &Case) -> String {
    format!("{} {}", case.series, case.scenario.name)
}

fn file(out: &Path, scenario: &Scenario, kind: &str) -> PathBuf {
    out.join(format!("{}.{kind}", scenario.name))
}

#[cfg(test)]
mod tests {
    use super::{Case, boots, guest_script};
    use crate::scenarios::{Scenario, agent};

    fn case(scenario: &'static Scenario) -> Case {
        Case { series: "6.1", scenario, expectation: &scenario.expectations[0] }
    }

    #[test]
    fn each_scenario_leaves_its_own_files() {
        let cases: Vec<_> = agent::SCENARIOS.iter().map(case).collect();
        let script = guest_script(&cases);
        for scenario in agent::SCENARIOS {
            assert!(script.contains(&format!("echo $? >/out/{}.status\n", scenario.name)));
        }
    }

    #[test]
    fn machines_are_shared_by_command_line() {
        let [one, two, other, alone] =
            [("", false), ("", false), ("slub_debug=F", false), ("", true)].map(|(append, alone)| {
                let first = &agent::SCENARIOS[0];
                let scenario = Scenario { append, alone, ..*first };
                case(Box::leak(Box::new(scenario)))
            });
        let counts: Vec<usize> = boots(&[one, alone, other, two]).iter().map(Vec::len).collect();
        assert_eq!(counts, [2, 1, 1]);
    }
}
