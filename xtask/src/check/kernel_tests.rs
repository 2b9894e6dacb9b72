//! Runs scenarios on real kernels, each judged on the host.
//!
//! One krcu watches all scenarios of a machine, one after the other (`krcu check --each`): attaching and detaching take
//! an emulated machine some five seconds. A scenario has a krcu of its own only where that is what it is about.
//!
//! A scenario leaves four files: what it printed (`NAME.json`, `NAME.stderr`), its status, and the kernel's log of
//! the time it ran; most leave the events and a trace as well, and are judged by their replays too. They stay in
//! `target/kernel-tests/SERIES` to be read when a scenario fails.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use anyhow::{Context as _, Result};

use crate::cache;
use crate::check::choice::Choice;
use crate::check::guest_script::{self, guest_script, seconds};
use crate::check::judge::{self, Evidence};
use crate::check::kin;
use crate::check::replay;
use crate::check::retries::{self, MOST_REPEATS, Reason};
use crate::check::scenarios::custom;
use crate::check::scenarios::{Expectation, OWNERS, SERIES, Scenario};
use crate::check::schedule::{Part, Place};
use crate::check::screens;
use crate::check::tally::Tally;
use crate::check::trace_tests;
use crate::debian::kernel::{Kernel, Series};
use crate::debian::owners::owners;
use crate::debian::packaged::files_for;
use crate::dist::contrib;
use crate::guest::vm::Run;
use crate::host;
use crate::progress::{say, tail_of};
use crate::toolchain::build;

/// How long a scenario that shares its machine may take on average; a machine that takes longer hangs.
const MEAN_SECONDS: u64 = 30;
/// How long a boot may take on a busy machine.
const BOOT_SECONDS: u64 = 120;
/// How much longer all of it may take on another architecture, whose instructions cost more to emulate.
const FOREIGN: u64 = 4;
/// How the error of a machine begins whose time ran out.
const TIME_RAN_OUT: &str = "the machine was ended after";
/// Estimated seconds of a boot.
const BOOT_RECKONED: f32 = 20.0;
/// Of a scenario that is watched with others.
const WATCHED_RECKONED: f32 = 1.0;
/// Of one with a krcu of its own.
const OWN_RECKONED: f32 = 8.0;

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
    /// How the evidence differs from what is expected; empty when the case passed.
    pub(crate) found: Vec<String>,
}

/// How many cases with a krcu of their own may share a machine; the others run in another machine meanwhile.
const MOST_OWN: usize = 12;

/// A machine's cases.
struct Boot {
    cases: Vec<Case>,
    /// Whether one krcu watches all of them.
    is_watched: bool,
    /// Its number among those that are alike.
    number: usize,
}

impl Boot {
    /// What it is called, in a schedule and to people.
    fn name(&self) -> String {
        let Some(first) = self.cases.first() else { return String::new() };
        let with = if first.scenario.append.is_empty() {
            String::new()
        } else {
            format!(" with {}", first.scenario.append)
        };
        match (first.scenario.alone, self.is_watched) {
            (true, _) => title(first),
            (_, true) => format!("{} watched by one krcu{with}", first.series),
            (_, false) => format!("{} watched each by its own, {}{with}", first.series, self.number),
        }
    }

    fn reckoned(&self) -> f32 {
        let each = if self.is_watched { WATCHED_RECKONED } else { OWN_RECKONED };
        BOOT_RECKONED + self.cases.iter().map(|_| each).sum::<f32>()
    }
}

/// Every chosen scenario of a list on every chosen kernel, as parts of a run: each part is a machine. The results go into
/// `judged`.
pub(crate) fn parts<'a>(
    scenarios: &[&'static Scenario],
    choice: &Choice,
    tally: &'a Tally,
    judged: &'a Mutex<Vec<Judged>>,
) -> Vec<Part<'a>> {
    let mut parts = Vec::new();
    let named = SERIES.into_iter().chain(custom::SERIES).filter(|series| choice.has_series(series));
    for series in named.chain(kin::chosen(choice)) {
        let cases: Vec<Case> = scenarios
            .iter()
            .filter(|scenario| choice.has(scenario, series))
            .filter_map(|&scenario| {
                let expectation = scenario.on(kin::expected_as(series, scenario.name)?)?;
                Some(Case { series, scenario, expectation })
            })
            .collect();
        for boot in boots(&cases) {
            let kept = choice.kept;
            parts.push(Part::new(&boot.name(), Place::Machine, boot.reckoned(), move || {
                let came = if kept { judge_kept(&boot.cases, tally) } else { run_to_the_end(boot, tally) };
                judged.lock().unwrap_or_else(PoisonError::into_inner).extend(came);
            }));
        }
    }
    parts
}

/// Where the files of a kernel's scenarios are.
pub(crate) fn folder(series: &str) -> PathBuf {
    host::target_folder().join("kernel-tests").join(series)
}

/// Which cases share a machine: those with the same kernel command line that are watched in the same way. A case that wants a
/// machine of its own gets it.
fn boots(cases: &[Case]) -> Vec<Boot> {
    let mut shared: BTreeMap<(&str, bool), Vec<Case>> = BTreeMap::new();
    for case in cases.iter().filter(|case| !case.scenario.alone) {
        let key = (case.scenario.append, case.scenario.is_watched_with_others());
        shared.entry(key).or_default().push(*case);
    }
    let mut boots = Vec::new();
    for ((_, is_watched), cases) in shared {
        // Machines of the same length, so that none is the last.
        let most =
            if is_watched { cases.len() } else { cases.len().div_ceil(cases.len().div_ceil(MOST_OWN)) };
        let parts = cases.chunks(most.max(1)).enumerate();
        boots.extend(parts.map(|(place, part)| Boot { cases: part.to_vec(), is_watched, number: place + 1 }));
    }
    let alone = cases.iter().filter(|case| case.scenario.alone);
    boots.extend(alone.map(|case| Boot { cases: vec![*case], is_watched: false, number: 1 }));
    boots
}

/// The result of one try of a case.
enum Outcome {
    Right,
    Wrong(Vec<String>),
    /// It may be tried again, and this is what it lacks.
    Open(Reason, Vec<String>),
}

/// Boots a machine for the cases, and again for those that may be tried again.
fn run_to_the_end(mut boot: Boot, tally: &Tally) -> Vec<Judged> {
    let mut judged = Vec::new();
    let mut was_lost = false;
    for tries in 0.. {
        let end = match run_boot(&boot) {
            Ok(end) => end,
            Err(error) => {
                for case in &boot.cases {
                    judged.push(told(
                        *case,
                        vec![format!("its machine cannot be made ready: {error:#}")],
                        tally,
                    ));
                }
                return judged;
            }
        };
        let mut open = Vec::new();
        let mut of_watch = if end == End::Well { wrong_watch(&boot) } else { None };
        for case in &boot.cases {
            let mut outcome = try_of(case, end);
            if let Some(why) = of_watch.take() {
                outcome = Outcome::Wrong(vec![why]);
            }
            match (outcome, tries) {
                (Outcome::Right, _) => judged.push(told(*case, Vec::new(), tally)),
                (Outcome::Open(Reason::Lost, _), _) if !was_lost => open.push((*case, Reason::Lost)),
                (Outcome::Open(reason, _), tries) if reason != Reason::Lost && tries < MOST_REPEATS => {
                    open.push((*case, reason));
                }
                (Outcome::Wrong(found) | Outcome::Open(_, found), _) => {
                    judged.push(told(*case, found, tally));
                }
            }
        }
        if open.is_empty() {
            break;
        }
        again(&open, tally);
        was_lost |= end == End::Lost;
        boot.cases = open.into_iter().map(|(case, _)| case).collect();
    }
    judged
}

/// Counts and reports that these are tried again. A lost machine counts as one try, whatever was to run in it.
fn again(open: &[(Case, Reason)], tally: &Tally) {
    let mut is_lost = false;
    for (case, reason) in open {
        let is_counted = *reason != Reason::Lost || !is_lost;
        is_lost |= *reason == Reason::Lost;
        if is_counted {
            tally.tried_again(*reason);
            if let Err(error) = retries::keep(&title(case), *reason) {
                say(&format!("{error:#}"));
            }
        }
        say(&format!("{} once more: {}", title(case), reason.words()));
    }
}

/// Judges what the last run of these has left.
fn judge_kept(cases: &[Case], tally: &Tally) -> Vec<Judged> {
    let judge = |case: &Case| match try_of(case, End::Well) {
        Outcome::Right => told(*case, Vec::new(), tally),
        Outcome::Wrong(found) | Outcome::Open(_, found) => told(*case, found, tally),
    };
    cases.iter().map(judge).collect()
}

/// How a machine ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum End {
    /// It ran to its end.
    Well,
    /// It panicked or went away.
    Lost,
    /// Its time ran out: something in it hangs, and that is never tried again.
    Hung,
}

/// Boots one machine for all of these; returns how it ended.
fn run_boot(boot: &Boot) -> Result<End> {
    let Some(first) = boot.cases.first() else { return Ok(End::Well) };
    let run = made_ready(boot, first)?;
    let (name, count) = (boot.name(), boot.cases.len());
    say(&format!("{name}: running {count} scenarios"));
    match run.run() {
        Ok(outcome) => {
            say(&format!(
                "{name} ({}): {count} scenarios in {:.1} s",
                outcome.release,
                outcome.total.as_secs_f32()
            ));
            Ok(End::Well)
        }
        Err(error) => {
            let text = format!("{error:#}");
            say(&format!("{name}: {text}"));
            Ok(if text.starts_with(TIME_RAN_OUT) { End::Hung } else { End::Lost })
        }
    }
}

/// What is wrong with the krcu that watched all cases of a machine: it failed, or complains of something.
fn wrong_watch(boot: &Boot) -> Option<String> {
    let first = boot.cases.first().filter(|_| boot.is_watched)?;
    let scenarios: Vec<&Scenario> = boot.cases.iter().map(|case| case.scenario).collect();
    let name = guest_script::watch_name(&scenarios);
    let read = |kind: &str| {
        fs::read_to_string(folder(first.series).join(format!("{name}.{kind}"))).unwrap_or_default()
    };
    let (status, said) = (read("status"), read("stderr"));
    let complains = said.lines().any(|line| !line.starts_with("krcu: without an optional probe"));
    let ended = !status.trim().is_empty() && status.trim() != "137";
    (complains || !ended).then(|| {
        format!("the krcu that watches this machine ended with `{}`:\n{}", status.trim(), tail_of(&said, 10))
    })
}

/// Makes the run of a machine: removes what an earlier run left, and writes what this one needs.
fn made_ready(boot: &Boot, first: &Case) -> Result<Run> {
    let cases = &boot.cases;
    let series = first.series;
    let parsed: Series = series.parse().with_context(|| format!("the scenarios name the kernel {series}"))?;
    let out = folder(series);
    // Of this machine alone: another of the same kernel may run at the same time.
    let scripts = out.join("scripts").join(first.scenario.name);
    drop(fs::remove_dir_all(&scripts));
    cache::create_folder(&scripts)?;
    for case in cases {
        for kind in ["json", "stderr", "status", "log", "events", "metrics", "said", "report"] {
            drop(fs::remove_file(file(&out, case.scenario, kind)));
        }
        trace_tests::clear(&out, case.scenario.name);
        screens::clear(&out, case.scenario.name);
        guest_script::write_scripts(&scripts, case.scenario)?;
    }
    let names = |of: fn(&Scenario) -> &'static [&'static str]| -> BTreeSet<&str> {
        cases.iter().flat_map(|case| of(case.scenario)).copied().collect()
    };
    let modules = host::repository().join("modules");
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
    let mut files = guest_script::programs(&scripts)?;
    files.push((build::peer(parsed.architecture())?, "/bin/peer".to_owned()));
    let text: String = cases.iter().map(|case| case.scenario.act.text()).collect();
    files.extend(files_for(parsed.architecture(), &in_tree, &text)?);
    files.push((scripts, "/scenarios".to_owned()));
    let scenarios: Vec<&Scenario> = cases.iter().map(|case| case.scenario).collect();
    let longest = scenarios.iter().copied().map(seconds).max().unwrap_or(0);
    let slower = if parsed.architecture().is_ours() { 1 } else { FOREIGN };
    let all = MEAN_SECONDS * u64::try_from(cases.len()).unwrap_or(1);
    Ok(Run {
        modules: names(|scenario| scenario.modules).into_iter().map(|name| modules.join(name)).collect(),
        in_tree,
        files,
        out: Some(out),
        // The kernel's log of a whole scenario has to fit.
        append: format!("log_buf_len=8M {append}"),
        timeout: Duration::from_secs((BOOT_SECONDS + longest + all) * slower),
        ..Run::new(parsed, &guest_script(&scenarios, boot.is_watched, slower))
    })
}

/// Judges one try of a case.
fn try_of(case: &Case, end: End) -> Outcome {
    let out = &folder(case.series);
    let scenario = case.scenario;
    let read = |kind: &str| {
        String::from_utf8_lossy(&fs::read(file(out, scenario, kind)).unwrap_or_default()).into_owned()
    };
    let Ok(status) = read("status").trim().parse() else {
        return match end {
            End::Well => Outcome::Wrong(vec!["it left no status".to_owned()]),
            End::Hung => Outcome::Wrong(vec!["its machine's time ran out (see above)".to_owned()]),
            End::Lost => Outcome::Open(Reason::Lost, vec!["the machine was lost (see above)".to_owned()]),
        };
    };
    let evidence = Evidence { status, stdout: read("json"), log: read("log") };
    // What holds of every try.
    let mut wrong = Vec::new();
    if scenario.act.leaves_events() {
        wrong.extend(replay::disagreements(&file(out, scenario, "events"), &evidence.stdout));
        wrong.extend(judge::contradictions(&evidence));
    }
    wrong.extend(trace_tests::disagreements(out, scenario.name).1);
    wrong.extend(contrib::disagreements(out, scenario.name));
    let judged = judge::judge(case.expectation, scenario.open_if, &evidence);
    wrong.extend(judged.wrong);
    let mut open = judged.open;
    let screens = screens::judge(out, case.series, scenario.name);
    if scenario.open_if.is_empty() {
        wrong.extend(screens.open);
    } else {
        open.extend(screens.open);
    }
    let mut premise = judged.premise;
    let is_unmet = judge::is_premise_unmet(case.expectation, &evidence.log);
    let list = if is_unmet { &mut premise } else { &mut wrong };
    list.extend(screens.wrong);
    match (wrong.is_empty(), open.is_empty(), premise.is_empty()) {
        (true, true, true) => Outcome::Right,
        (true, false, _) => Outcome::Open(Reason::Undecided, open.into_iter().chain(premise).collect()),
        (true, true, false) => Outcome::Open(Reason::Premise, premise),
        (false, ..) => Outcome::Wrong(wrong.into_iter().chain(open).chain(premise).collect()),
    }
}

/// Counts and reports the result of a case.
fn told(case: Case, found: Vec<String>, tally: &Tally) -> Judged {
    let out = &folder(case.series);
    let line = format!("kernel {}", title(&case));
    if found.is_empty() {
        tally.passed(&line);
    } else {
        let mut text = found.join("\n  ");
        let stderr = fs::read(file(out, case.scenario, "stderr")).unwrap_or_default();
        let stderr = String::from_utf8_lossy(&stderr);
        if !stderr.trim().is_empty() {
            text.push_str(&format!("\n  it said:\n{}", tail_of(&stderr, 10)));
        }
        text.push_str(&format!("\n  its files: {}.*", out.join(case.scenario.name).display()));
        tally.failed(&line, &text);
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
    use super::{Case, boots};
    use crate::check::scenarios::agent;
    use crate::check::scenarios::{Act, Scenario};

    fn case(scenario: &'static Scenario) -> Case {
        Case { series: "6.1", scenario, expectation: &scenario.expectations[0] }
    }

    fn leaked(scenario: Scenario) -> Case {
        case(Box::leak(Box::new(scenario)))
    }

    #[test]
    fn machines_are_shared_by_command_line() {
        let first = &agent::SCENARIOS[0];
        let [one, two, other, alone] = [("", false), ("", false), ("slub_debug=F", false), ("", true)]
            .map(|(append, alone)| leaked(Scenario { append, alone, ..*first }));
        let watched = |before, options, own_watch| {
            let act = Act::Watched { before, options, text: "" };
            leaked(Scenario { act, own_watch, ..*first })
        };
        let with_others = [watched("", "", ""), watched("", "--strict", "")];
        let own = [watched("before", "", ""), watched("", "--stacks 1", ""), watched("", "", "why")];
        let cases = [&[one, alone, other, two][..], &with_others, &own].concat();
        let counts: Vec<(usize, bool)> =
            boots(&cases).iter().map(|boot| (boot.cases.len(), boot.is_watched)).collect();
        assert_eq!(counts, [(5, false), (2, true), (1, false), (1, false)]);
        let many: Vec<Case> = (0..30).map(|_| one).collect();
        let counts: Vec<usize> = boots(&many).iter().map(|boot| boot.cases.len()).collect();
        assert_eq!(counts, [10, 10, 10]);
    }
}
