//! Traces of real kernels, judged on the host: what `krcu replay` says of a trace is what the run said, byte for byte;
//! and what a recorder leaves that is killed says that it has no goodbye.
//!
//! Every `krcu check` that an agent's scenario calls by that name keeps a trace as well ([`PRELUDE`]). A boot of its
//! own runs each format of a report, and one kills fifty recorders.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context as _, Result};
use serde_json::Value;

use crate::build;
use crate::cache;
use crate::kernel::Series;
use crate::kernel_tests::Choice;
use crate::machine;
use crate::progress::say;
use crate::tally::Tally;
use crate::vm::Run;

/// Recorders that are killed.
const KILLED: usize = 50;
/// How many of them must have come far enough to leave events, or the test shows nothing.
const FAR_ENOUGH: usize = 30;
/// The formats of a report.
const FORMATS: [&str; 4] = ["text", "json", "tap", "junit"];

/// Makes of `krcu check` one that keeps its trace, what it printed and its status, and is the same otherwise.
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

/// A scenario's script, with a trace kept of each `krcu check`. One that asks for the process of a krcu in the
/// background, to kill it, would get that of a shell: it says `command krcu`.
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
    (replayed, found)
}

/// A krcu that leaves no trace is one that could not begin.
fn failed_before(folder: &Path) -> Result<()> {
    let status = fs::read_to_string(folder.join("status")).context("it left neither a trace nor a status")?;
    anyhow::ensure!(["1", "2"].contains(&status.trim()), "it ended with {} and left no trace", status.trim());
    Ok(())
}

fn compare(folder: &Path) -> Result<()> {
    let read = |name: &str| fs::read(folder.join(name)).with_context(|| format!("it left no {name}"));
    let arguments = String::from_utf8_lossy(&read("arguments")?).into_owned();
    let words: Vec<&str> = arguments.split_whitespace().take_while(|word| *word != "--").collect();
    let format = words.windows(2).find(|pair| pair[0] == "--format").map_or("text", |pair| pair[1]);
    let status: i32 = String::from_utf8_lossy(&read("status")?).trim().parse().context("its status")?;
    let replayed = replay(&folder.join("t.krcu"), format)?;
    anyhow::ensure!(
        replayed.status == status,
        "the run ended with {status}, its replay with {}: {}",
        replayed.status,
        replayed.stderr.trim()
    );
    // What the command printed comes before the report.
    let to_file = words.contains(&"--report");
    anyhow::ensure!(
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
    let programs = build::programs()?;
    let krcu = programs.iter().find(|path| path.ends_with("krcu")).context("krcu is not built")?;
    let output = Command::new(krcu).arg("replay").arg(trace).args(["--format", format]).output();
    let output = output.context("starting krcu")?;
    Ok(Replayed {
        status: output.status.code().unwrap_or(-1),
        stdout: output.stdout,
        stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
    })
}

/// Runs the tests of this file that have a boot of their own.
///
/// # Errors
///
/// When the files of a test cannot be written or read here.
pub(crate) fn run(choice: &Choice, tally: &mut Tally) -> Result<()> {
    let chosen = |list: &[String], name: &str| list.is_empty() || list.iter().any(|wanted| wanted == name);
    for series in crate::scenarios::SERIES.iter().filter(|series| chosen(&choice.series, series)) {
        if chosen(&choice.names, "trace_formats") {
            formats(series, tally)?;
        }
    }
    // Where a destroy waits: on the others each loaded module leaves a broken cache behind.
    if chosen(&choice.series, "6.12") && chosen(&choice.names, "trace_killed") {
        killed("6.12", tally)?;
    }
    Ok(())
}

/// A boot that leaves its files in a folder of this name.
fn boot(series: &str, name: &str, script: &str, seconds: u64) -> Result<PathBuf> {
    let parsed: Series = series.parse().with_context(|| format!("there is no kernel {series}"))?;
    let out = machine::target_folder().join("kernel-tests").join(format!("{series}-{name}"));
    drop(fs::remove_dir_all(&out));
    cache::create_folder(&out)?;
    let run = Run {
        modules: vec![machine::repository().join("modules/krcu_pending")],
        out: Some(out.clone()),
        timeout: Duration::from_secs(seconds),
        ..Run::new(parsed, script)
    };
    say(&format!("{series}: {name}"));
    run.run()?;
    Ok(out)
}

/// One run for each format, its replay held against it.
fn formats(series: &str, tally: &mut Tally) -> Result<()> {
    let command = "insmod /modules/krcu_pending.ko && rmmod krcu_pending";
    let runs: String =
        FORMATS.iter().map(|format| format!("krcu check --format {format} -- sh -c '{command}'\n")).collect();
    let title = format!("{series} trace_formats");
    let script = format!("mkdir -p /out\n{}true", with_traces("formats", &runs));
    let out = match boot(series, "trace_formats", &script, 300) {
        Ok(out) => out,
        Err(error) => {
            tally.failed(&title, &format!("{error:#}"));
            return Ok(());
        }
    };
    match disagreements(&out, "formats") {
        (4, found) if found.is_empty() => tally.passed(&title),
        (replayed, found) => {
            tally.failed(&title, &format!("{replayed} of 4 replayed; {}", found.join("\n  ")));
        }
    }
    Ok(())
}

/// Recorders under load, each killed at a random moment: one of five before its last probe is attached, as a rule, the
/// others in their first four seconds of events.
fn killed(series: &str, tally: &mut Tally) -> Result<()> {
    let script = format!(
        "mkdir -p /out\n\
         (while [ ! -e /tmp/enough ]; do insmod /modules/krcu_pending.ko objects=2000; rmmod krcu_pending; done) & loop=$!\n\
         i=0\n\
         while [ $i -lt {KILLED} ]; do\n\
           krcu record -o /out/$i.krcu & krcu=$!\n\
           if [ $((i % 5)) != 0 ]; then\n\
             while [ ! -e /out/$i.krcu/meta.json ]; do usleep 50000; done\n\
           fi\n\
           usleep $(($(od -An -N4 -tu4 /dev/urandom) % 4000000))\n\
           kill -9 $krcu\n\
           wait $krcu\n\
           i=$((i + 1))\n\
         done 2>/dev/null\n\
         touch /tmp/enough; wait $loop; true"
    );
    let title = format!("{series} trace_killed");
    let out = match boot(series, "trace_killed", &script, 900) {
        Ok(out) => out,
        Err(error) => {
            tally.failed(&title, &format!("{error:#}"));
            return Ok(());
        }
    };
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
    if found.is_empty() {
        tally.passed(&title);
    } else {
        tally.failed(&title, &found.join("\n  "));
    }
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
    anyhow::ensure!(
        [10, 11].contains(&replayed.status),
        "its replay ended with {}: {}",
        replayed.status,
        replayed.stderr.trim()
    );
    let lines: Vec<Value> =
        text.lines().map(serde_json::from_str).collect::<Result<_, _>>().context("its replay is no JSON")?;
    let summary = lines.last().context("its replay is empty")?;
    anyhow::ensure!(summary["incomplete"] == "no-goodbye", "its replay does not say that it has no goodbye");
    let open = |line: &&Value| line["kind"] == "verdict" && line["verdict"] != "inconclusive";
    Ok(Fate::Recorded {
        events: summary["events"].as_u64().context("its replay counts no events")?,
        verdicts: lines.iter().filter(open).count(),
    })
}

#[cfg(test)]
mod tests {
    use super::with_traces;
    use crate::scenarios::{Act, agent};

    #[test]
    fn a_check_keeps_its_trace() {
        let script = with_traces("one", "krcu check -- true");
        assert!(script.contains("/out/one.trace.XXXXXX") && script.ends_with("krcu check -- true"));
    }

    #[test]
    fn no_scenario_asks_for_the_process_of_a_function() {
        let scenarios = agent::SCENARIOS.iter().chain(crate::truth::scenarios());
        for scenario in scenarios {
            let (Act::Shell(text) | Act::Replayed(text) | Act::Watched { text, .. }) = scenario.act;
            for line in text.lines().filter(|line| line.contains("krcu=$!")) {
                assert!(line.trim_start().starts_with("command krcu "), "{}: {line}", scenario.name);
            }
        }
    }
}
