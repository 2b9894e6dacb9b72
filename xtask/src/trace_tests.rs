//! Traces of real kernels, judged on the host: what `krcu replay` says of a trace is what the run said, byte for byte;
//! what `krcu analyze` counts in it is what others' programs count; and what a recorder leaves that is killed says that
//! it has no goodbye.
//!
//! Every `krcu check` that an agent's scenario calls by that name keeps a trace as well ([`PRELUDE`]). A boot of its
//! own runs each format of a report, and one kills fifty recorders.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::thread;
use std::time::Duration;

use anyhow::{Context as _, Result, anyhow, ensure};
use serde_json::Value;

use crate::analysis::Peers;
use crate::build;
use crate::cache;
use crate::kernel::Series;
use crate::kernel_tests::Choice;
use crate::machine;
use crate::progress::say;
use crate::scenarios::SERIES;
use crate::tally::Tally;
use crate::vm::Run;

/// Recorders that are killed.
const KILLED: usize = 50;
/// How many of them must have come far enough to leave events, or the test shows nothing.
const FAR_ENOUGH: usize = 30;
/// The formats of a report, each of the run of a module; all of a module's objects are queued while krcu watches.
const FORMATS: [(&str, &str); 4] =
    [("text", "krcu_pending"), ("json", "krcu_two"), ("tap", "krcu_mixed"), ("junit", "krcu_race")];

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

/// Runs the tests of this file that have a boot of their own: the killed recorders, which take longest, beside the
/// others, since an emulated machine needs one processor.
///
/// # Errors
///
/// When the programs that open traces cannot be installed or built.
pub(crate) fn run(choice: &Choice, tally: &mut Tally) -> Result<()> {
    let of_formats: Vec<&str> = SERIES
        .into_iter()
        .filter(|series| choice.has_series(series) && choice.has_name("trace_formats"))
        .collect();
    // Where a destroy waits: on the others each loaded module leaves a broken cache behind.
    let is_killed = choice.has_series("6.12") && choice.has_name("trace_killed");
    let (formatted, killed) = thread::scope(|scope| {
        let killed = is_killed.then(|| scope.spawn(|| killed("6.12")));
        let peers = if of_formats.is_empty() { None } else { Some(Peers::ready()?) };
        let formatted: Vec<(String, Result<()>)> = of_formats
            .iter()
            .zip(peers.iter().cycle())
            .map(|(series, peers)| (format!("{series} trace_formats"), formats(series, peers)))
            .collect();
        anyhow::Ok((formatted, killed.map(thread::ScopedJoinHandle::join)))
    })?;
    let killed = killed.map(|outcome| outcome.unwrap_or_else(|_| Err(anyhow!("its thread panicked"))));
    for (title, outcome) in
        formatted.into_iter().chain(killed.map(|outcome| ("6.12 trace_killed".to_owned(), outcome)))
    {
        match outcome {
            Ok(()) => tally.passed(&title),
            Err(error) => tally.failed(&title, &format!("{error:#}")),
        }
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
        modules: FORMATS.map(|(_, module)| machine::repository().join("modules").join(module)).into(),
        out: Some(out.clone()),
        timeout: Duration::from_secs(seconds),
        ..Run::new(parsed, script)
    };
    say(&format!("{series}: {name}"));
    run.run()?;
    Ok(out)
}

/// One run for each format, its replay held against it, and its trace opened by others.
fn formats(series: &str, peers: &Peers) -> Result<()> {
    let runs: String = FORMATS
        .iter()
        .map(|(format, module)| {
            format!("krcu check --format {format} -- sh -c 'insmod /modules/{module}.ko && rmmod {module}'\n")
        })
        .collect();
    let script = format!("mkdir -p /out\n{}true", with_traces("formats", &runs));
    let out = boot(series, "trace_formats", &script, 300)?;
    let (replayed, mut found) = disagreements(&out, "formats");
    for folder in kept(&out, "formats") {
        if let Err(error) = peers.agree(&folder.join("t.krcu")) {
            found.push(format!("{}: {error:#}", folder.display()));
        }
    }
    ensure!(
        replayed == FORMATS.len() && found.is_empty(),
        "{replayed} of {} replayed; {}",
        FORMATS.len(),
        found.join("\n  ")
    );
    Ok(())
}

/// Recorders under load, each killed at a random moment: one of five before its last probe is attached, as a rule, the
/// others in their first four seconds of events.
fn killed(series: &str) -> Result<()> {
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
