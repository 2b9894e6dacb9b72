//! Traces of real kernels, judged on the host: what `krcu replay` says of a trace is what the run said, byte for byte;
//! what `krcu analyze` counts in it is what others' programs count; and what a recorder leaves that is killed says that
//! it has no goodbye.
//!
//! Every `krcu check` that an agent's scenario calls by that name keeps a trace as well ([`PRELUDE`]), and so does the krcu
//! that watches the scenarios of a machine. A boot of its own runs each format of a report, and one kills fifteen recorders.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use anyhow::{Context as _, Result, anyhow, ensure};
use serde_json::Value;

use crate::architecture::Architecture;
use crate::cache;
use crate::check::choice::Choice;
use crate::check::peers::Peers;
use crate::check::scenarios::SERIES;
use crate::check::schedule::{Part, Place};
use crate::check::tally::Tally;
use crate::debian::kernel::Series;
use crate::guest::vm::Run;
use crate::host;
use crate::progress::say;
use crate::toolchain::build;

/// Recorders that are killed.
const KILLED: usize = 15;
/// How many of them must have come far enough to leave events, or the test shows nothing.
const FAR_ENOUGH: usize = 6;
/// The formats of a report, each of the run of a module; all of a module's objects are queued while krcu watches.
const FORMATS: [Format; 4] = [
    Format { name: "text", ending: "txt", module: "krcu_pending" },
    Format { name: "json", ending: "json", module: "krcu_two" },
    Format { name: "tap", ending: "tap", module: "krcu_mixed" },
    Format { name: "junit", ending: "xml", module: "krcu_race" },
];

/// A format of a report.
struct Format {
    name: &'static str,
    /// How the name of a file in this format ends.
    ending: &'static str,
    /// The module whose run is reported in it.
    module: &'static str,
}

/// Replaces `krcu check` by one that also keeps its trace, its output and its status.
const PRELUDE: &str = r#"krcu() {
    [ "$1" = check ] || { command krcu "$@"; return; }
    shift
    kept=$(mktemp -d /out/NAME.trace.XXXXXX)
    echo "$*" >$kept/arguments
    command krcu check -o $kept/t.krcu "$@" >$kept/live
    kept_status=$?
    cat $kept/live
    echo $kept_status >$kept/status
    return $kept_status
}
"#;

/// A scenario's script that keeps a trace of each `krcu check`. A script that starts a krcu in the background and kills it has
/// to say `command krcu`: otherwise it would get the process number of a shell.
pub(crate) fn with_traces(name: &str, command: &str) -> String {
    format!("{}{command}", PRELUDE.replace("NAME", name))
}

/// The folders that a scenario kept.
fn kept(out: &Path, name: &str) -> Vec<PathBuf> {
    let start = format!("{name}.trace.");
    let entries = fs::read_dir(out).into_iter().flatten().flatten();
    let mut folders: Vec<PathBuf> = entries
        .filter(|entry| entry.file_name().to_string_lossy().starts_with(&start))
        .map(|entry| entry.path())
        .collect();
    folders.sort();
    folders
}

/// Takes away what an earlier run kept.
pub(crate) fn clear(out: &Path, name: &str) {
    kept(out, name).iter().for_each(|folder| drop(fs::remove_dir_all(folder)));
    drop(fs::remove_dir_all(part(out, name)));
}

/// Every way in which the replay of a kept trace is not what the run printed, and how many were replayed.
pub(crate) fn disagreements(out: &Path, name: &str) -> (usize, Vec<String>) {
    let mut found = Vec::new();
    let mut replayed = 0;
    for folder in kept(out, name) {
        let outcome = if folder.join("t.krcu").is_dir() {
            replayed += 1;
            compare(&folder)
        } else {
            failed_before(&folder)
        };
        if let Err(error) = outcome {
            found.push(format!("{}: {error:#}", folder.display()));
        }
    }
    if part(out, name).is_dir() {
        replayed += 1;
        if let Err(error) = compare_part(out, name, "json", &out.join(format!("{name}.report"))) {
            found.push(format!("{}: {error:#}", part(out, name).display()));
        }
    }
    (replayed, found)
}

/// The trace of a scenario that was watched with others.
fn part(out: &Path, name: &str) -> PathBuf {
    out.join(format!("{name}.krcu"))
}

/// Holds such a trace against the report.
fn compare_part(out: &Path, name: &str, format: &str, report: &Path) -> Result<()> {
    let status = fs::read_to_string(out.join(format!("{name}.status"))).context("it left no status")?;
    let live = fs::read(report).with_context(|| format!("reading {}", report.display()))?;
    let replayed = replay(&part(out, name), format)?;
    ensure!(
        replayed.status.to_string() == status.trim(),
        "the run ended with {}, its replay with {}: {}",
        status.trim(),
        replayed.status,
        replayed.stderr.trim()
    );
    ensure!(
        live == replayed.stdout && !live.is_empty(),
        "its replay prints something else: compare with `krcu replay --format {format}`"
    );
    Ok(())
}

/// A krcu that leaves no trace is one that could not begin.
fn failed_before(folder: &Path) -> Result<()> {
    let status = fs::read_to_string(folder.join("status")).context("it left neither a trace nor a status")?;
    ensure!(["1", "2"].contains(&status.trim()), "it ended with {} and left no trace", status.trim());
    Ok(())
}

fn compare(folder: &Path) -> Result<()> {
    let read = |name: &str| fs::read(folder.join(name)).with_context(|| format!("it left no {name}"));
    let arguments = String::from_utf8_lossy(&read("arguments")?).into_owned();
    let words: Vec<&str> = arguments.split_whitespace().take_while(|word| *word != "--").collect();
    let format = words.windows(2).find(|pair| pair[0] == "--format").map_or("text", |pair| pair[1]);
    let status: i32 = String::from_utf8_lossy(&read("status")?).trim().parse().context("its status")?;
    let replayed = replay(&folder.join("t.krcu"), format)?;
    ensure!(
        replayed.status == status,
        "the run ended with {status}, its replay with {}: {}",
        replayed.status,
        replayed.stderr.trim()
    );
    // What the command printed comes before the report.
    let to_file = words.contains(&"--report");
    ensure!(
        to_file || (read("live")?.ends_with(&replayed.stdout) && !replayed.stdout.is_empty()),
        "its replay prints something else: compare with `krcu replay --format {format}`"
    );
    Ok(())
}

struct Replayed {
    status: i32,
    stdout: Vec<u8>,
    stderr: String,
}

fn replay(trace: &Path, format: &str) -> Result<Replayed> {
    let programs = build::programs(Architecture::default())?;
    let krcu = programs.iter().find(|path| path.ends_with("krcu")).context("krcu is not built")?;
    let output = Command::new(krcu).arg("replay").arg(trace).args(["--format", format]).output();
    let output = output.context("starting krcu")?;
    Ok(Replayed {
        status: output.status.code().unwrap_or(-1),
        stdout: output.stdout,
        stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
    })
}

/// The tests of this file that have a boot of their own, as parts of a run. What opens traces is built with the tests of
/// the crates: `built` is the part that builds them.
pub(crate) fn parts<'a>(
    choice: &Choice,
    tally: &'a Tally,
    formatted: &'a Mutex<BTreeMap<&'static str, Result<PathBuf>>>,
    built: &str,
) -> Vec<Part<'a>> {
    let mut parts = Vec::new();
    if choice.kept {
        return parts;
    }
    for series in SERIES {
        if !(choice.has_series(series) && choice.has_name("trace_formats")) {
            continue;
        }
        let machine = format!("{series} trace_formats");
        parts.push(Part::new(&machine, Place::Machine, 30.0, move || {
            let booted = formats(series);
            formatted.lock().unwrap_or_else(PoisonError::into_inner).insert(series, booted);
        }));
        let judged = Part::new(&format!("{machine}, judged"), Place::Host, 5.0, move || {
            let booted = formatted.lock().unwrap_or_else(PoisonError::into_inner).remove(series);
            let booted = booted.unwrap_or_else(|| Err(anyhow!("its machine did not run")));
            tally.add(&format!("kernel {series} trace_formats"), booted.and_then(|out| agree(&out)));
        });
        parts.push(judged.after(&[&machine, built]));
    }
    // Where a destroy waits: on the others each loaded module leaves a broken cache behind.
    if choice.has_series("6.12") && choice.has_name("trace_killed") {
        parts.push(Part::new("6.12 trace_killed", Place::Machine, 400.0, move || {
            tally.add("kernel 6.12 trace_killed", killed("6.12"));
        }));
    }
    parts
}

/// A boot that leaves its files in a folder of this name.
fn boot(series: &str, name: &str, script: &str, seconds: u64) -> Result<PathBuf> {
    let parsed: Series = series.parse().with_context(|| format!("there is no kernel {series}"))?;
    let out = host::target_folder().join("kernel-tests").join(format!("{series}-{name}"));
    drop(fs::remove_dir_all(&out));
    cache::create_folder(&out)?;
    let run = Run {
        modules: FORMATS.map(|format| host::repository().join("modules").join(format.module)).into(),
        out: Some(out.clone()),
        timeout: Duration::from_secs(seconds),
        ..Run::new(parsed, script)
    };
    say(&format!("{series}: {name}"));
    run.run()?;
    Ok(out)
}

/// One run for each format, by one krcu.
fn formats(series: &str) -> Result<PathBuf> {
    let runs: String = FORMATS
        .iter()
        .map(|Format { name, module, .. }| {
            format!("{name} --format {name} -- insmod /modules/{module}.ko && rmmod {module}\n")
        })
        .collect();
    let script = format!(
        "mkdir -p /out\ncat >/tmp/list <<'LIST'\n{runs}LIST\n\
         krcu check --each /tmp/list --report /out --output /out >/tmp/told\n\
         while read -r name status; do echo $status >/out/$name.status; done </tmp/told"
    );
    boot(series, "trace_formats", &script, 300)
}

/// Holds each run's replay against it, and has its trace opened by others.
fn agree(out: &Path) -> Result<()> {
    let peers = Peers::ready()?;
    let mut found = Vec::new();
    for Format { name, ending, .. } in FORMATS {
        let report = out.join(format!("{name}.{ending}"));
        let agreed = compare_part(out, name, name, &report).and_then(|()| peers.agree(&part(out, name)));
        if let Err(error) = agreed {
            found.push(format!("{}: {error:#}", part(out, name).display()));
        }
    }
    ensure!(found.is_empty(), "{}", found.join("\n  "));
    Ok(())
}

/// Recorders under load, each killed at a random moment: one of five before its last probe is attached, as a rule, the
/// others in their first four seconds of events. These attach without the load, which would take most of the time.
fn killed(series: &str) -> Result<()> {
    let script = format!(
        "mkdir -p /out\n\
         (while [ ! -e /tmp/enough ]; do\n\
           if [ -e /tmp/load ]; then insmod /modules/krcu_pending.ko objects=2000; rmmod krcu_pending; else usleep 20000; fi\n\
         done) & loop=$!\n\
         i=0\n\
         while [ $i -lt {KILLED} ]; do\n\
           krcu record -o /out/$i.krcu & krcu=$!\n\
           if [ $((i % 5)) != 0 ]; then\n\
             while [ ! -e /out/$i.krcu/meta.json ]; do usleep 50000; done\n\
           fi\n\
           touch /tmp/load\n\
           usleep $(($(od -An -N4 -tu4 /dev/urandom) % 4000000))\n\
           kill -9 $krcu\n\
           wait $krcu\n\
           rm /tmp/load\n\
           i=$((i + 1))\n\
         done 2>/dev/null\n\
         touch /tmp/enough; wait $loop; true"
    );
    let out = boot(series, "trace_killed", &script, 900)?;
    let mut found = Vec::new();
    let (mut not_begun, mut far_enough, mut decided) = (0, 0, 0);
    for place in 0..KILLED {
        match fate(&out.join(format!("{place}.krcu"))) {
            Ok(Fate::NotBegun) => not_begun += 1,
            Ok(Fate::Recorded { events, verdicts }) => {
                far_enough += usize::from(events > 0);
                decided += verdicts;
            }
            Err(error) => found.push(format!("recorder {place}: {error:#}")),
        }
    }
    say(&format!(
        "{series}: of {KILLED} killed recorders {not_begun} had not begun and {far_enough} left events; \
         {decided} verdicts were decided all the same"
    ));
    if far_enough < FAR_ENOUGH {
        found.push(format!("{far_enough} recorders left events, which shows too little"));
    }
    ensure!(found.is_empty(), "{}", found.join("\n  "));
    Ok(())
}

/// What became of a recorder that was killed.
enum Fate {
    NotBegun,
    Recorded { events: u64, verdicts: usize },
}

fn fate(trace: &Path) -> Result<Fate> {
    if !trace.join("meta.json").is_file() {
        return Ok(Fate::NotBegun);
    }
    let replayed = replay(trace, "json")?;
    let text = String::from_utf8(replayed.stdout).context("its replay is no text")?;
    ensure!(
        [10, 11].contains(&replayed.status),
        "its replay ended with {}: {}",
        replayed.status,
        replayed.stderr.trim()
    );
    let lines: Vec<Value> =
        text.lines().map(serde_json::from_str).collect::<Result<_, _>>().context("its replay is no JSON")?;
    let summary = lines.last().context("its replay is empty")?;
    ensure!(summary["incomplete"] == "no-goodbye", "its replay does not say that it has no goodbye");
    let open = |line: &&Value| line["kind"] == "verdict" && line["verdict"] != "inconclusive";
    Ok(Fate::Recorded {
        events: summary["events"].as_u64().context("its replay counts no events")?,
        verdicts: lines.iter().filter(open).count(),
    })
}

#[cfg(test)]
mod tests {
    use super::with_traces;
    use crate::check::scenarios::Act;
    use crate::check::scenarios::agent;
    use crate::check::truth;

    #[test]
    fn a_check_keeps_its_trace() {
        let script = with_traces("one", "krcu check -- true");
        assert!(script.contains("/out/one.trace.XXXXXX") && script.ends_with("krcu check -- true"));
    }

    #[test]
    fn no_scenario_asks_for_the_process_of_a_function() {
        let scenarios = agent::SCENARIOS.iter().chain(truth::scenarios());
        for scenario in scenarios {
            let (Act::Shell(text) | Act::Replayed(text) | Act::Watched { text, .. }) = scenario.act;
            for line in text.lines().filter(|line| line.contains("krcu=$!")) {
                assert!(line.trim_start().starts_with("command krcu "), "{}: {line}", scenario.name);
            }
        }
    }
}
