//! `cargo xtask traces`: records again what the sample modules do on real kernels, as the events that krcu saw.
//!
//! They are the golden traces that `krcu-model/tests/traces.rs` replays on machines that have no kernels to boot. What is
//! in them is what a kernel did, nothing is taken out: so nothing but a new recording changes them, and a recording
//! that lacks events is refused.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context as _, Result, bail};

use crate::cache;
use crate::debian::kernel::Series;
use crate::guest::vm::Run;
use crate::host;
use crate::progress::say;
use crate::toolchain::build;
use crate::toolchain::setup;

/// One kernel whose destroy does not wait, and one whose does.
const SERIES: [&str; 2] = ["6.1", "6.12"];
/// Bytes that one trace may have, for somebody to read it.
const MOST_BYTES: u64 = 150_000;
/// Bytes that all may have, for they are in the repository.
const MOST_BYTES_IN_ALL: u64 = 1_500_000;
/// How long a machine may run; one module waits for eight seconds.
const TIMEOUT: Duration = Duration::from_secs(300);

/// A run of krcu over modules.
struct Trace {
    /// Its name, to which the series is put in front.
    name: &'static str,
    /// Folders below `modules/`.
    modules: &'static [&'static str],
    /// What is done before krcu comes.
    before: &'static str,
    /// What it watches.
    command: &'static str,
}

const fn trace(name: &'static str, modules: &'static [&'static str], command: &'static str) -> Trace {
    Trace { name, modules, before: "true", command }
}

/// The numbers of objects that differ from the modules' own keep the traces small.
const TRACES: [Trace; 10] = [
    trace("pending", &["krcu_pending"], "insmod /modules/krcu_pending.ko && rmmod krcu_pending"),
    trace("leak", &["krcu_leak"], "insmod /modules/krcu_leak.ko && rmmod krcu_leak"),
    trace("mixed", &["krcu_mixed"], "insmod /modules/krcu_mixed.ko objects=300 && rmmod krcu_mixed"),
    trace(
        "call_rcu",
        &["krcu_call_rcu"],
        "insmod /modules/krcu_call_rcu.ko objects=300 && rmmod krcu_call_rcu",
    ),
    trace("barrier", &["krcu_barrier"], "insmod /modules/krcu_barrier.ko objects=300 && rmmod krcu_barrier"),
    trace("lucky", &["krcu_lucky"], "insmod /modules/krcu_lucky.ko objects=300 && rmmod krcu_lucky"),
    trace("mightsleep", &["krcu_mightsleep"], "insmod /modules/krcu_mightsleep.ko && rmmod krcu_mightsleep"),
    trace("two", &["krcu_two"], "insmod /modules/krcu_two.ko objects=300 && rmmod krcu_two"),
    trace("race", &["krcu_race"], "insmod /modules/krcu_race.ko objects=300 && rmmod krcu_race"),
    Trace {
        name: "attached_after_load",
        modules: &["krcu_pending", "krcu_call_rcu"],
        before: "insmod /modules/krcu_pending.ko objects=300 && insmod /modules/krcu_call_rcu.ko objects=300",
        command: "rmmod krcu_call_rcu && rmmod krcu_pending",
    },
];

/// Boots each kernel once, and writes `krcu-model/tests/traces/SERIES-NAME.script`.
///
/// # Errors
///
/// When a machine is lost, or a trace lacks events or is too large to be kept.
pub(crate) fn run() -> Result<()> {
    setup::ensure()?;
    build::all("release")?;
    let folder = host::repository().join("krcu-model").join("tests").join("traces");
    cache::create_folder(&folder)?;
    for series in SERIES {
        record(series, &folder)?;
    }
    let mut all = 0;
    for entry in fs::read_dir(&folder).with_context(|| format!("reading {}", folder.display()))? {
        all += entry.and_then(|entry| entry.metadata()).context("reading a trace's size")?.len();
    }
    if all > MOST_BYTES_IN_ALL {
        bail!("the traces have {all} bytes, more than {MOST_BYTES_IN_ALL}: record fewer objects");
    }
    say(&format!("{all} bytes in {}", folder.display()));
    Ok(())
}

fn record(series: &str, folder: &Path) -> Result<()> {
    let parsed: Series = series.parse()?;
    let out = host::target_folder().join("traces").join(series);
    cache::create_folder(&out)?;
    let modules: BTreeSet<&str> = TRACES.iter().flat_map(|trace| trace.modules).copied().collect();
    let source = host::repository().join("modules");
    let run = Run {
        modules: modules.into_iter().map(|name| source.join(name)).collect::<Vec<PathBuf>>(),
        out: Some(out.clone()),
        timeout: TIMEOUT,
        ..Run::new(parsed, &guest_script())
    };
    say(&format!("{series}: recording {} runs", TRACES.len()));
    let outcome = run.run()?;
    if outcome.status != 0 {
        bail!("{}: a run could not be recorded\n{}", outcome.release, outcome.stderr);
    }
    for trace in &TRACES {
        let path = out.join(format!("{}.script", trace.name));
        let text = fs::read_to_string(&path).with_context(|| format!("reading {}", path.display()))?;
        if let Some(complaint) = complaint(&text) {
            bail!("{series} {}: {complaint} ({})", trace.name, path.display());
        }
        cache::write_file(&folder.join(format!("{series}-{}.script", trace.name)), text.as_bytes())?;
    }
    Ok(())
}

/// What the machine runs; its status is not 0 when krcu itself failed.
fn guest_script() -> String {
    let mut script = String::from("mkdir -p /out\n");
    for Trace { name, before, command, .. } in &TRACES {
        script.push_str(&format!(
            "{before} || exit\n\
             krcu check --events /out/{name}.script --report /out/{name}.txt -- sh -c '{command}'\n\
             case $? in 0|10|11) ;; *) cat /out/{name}.txt >&2; exit 1;; esac\n"
        ));
    }
    script.push_str("exit 0\n");
    script
}

/// Why a recording cannot be a golden trace.
fn complaint(text: &str) -> Option<String> {
    let bytes = text.len() as u64;
    if !text.starts_with("krcu-script ") {
        Some("it is no script".to_owned())
    } else if text.lines().any(|line| line.split(' ').nth(2) == Some("gap")) {
        Some("it lacks events: record it again".to_owned())
    } else if bytes > MOST_BYTES {
        Some(format!("it has {bytes} bytes, more than {MOST_BYTES}: record fewer objects"))
    } else {
        None
    }
}

#[cfg(test)]
mod tests {
    use super::{TRACES, complaint, guest_script};

    #[test]
    fn each_trace_is_a_file_of_its_own() {
        let script = guest_script();
        for trace in &TRACES {
            let events = format!("--events /out/{}.script ", trace.name);
            assert_eq!(script.matches(&events).count(), 1, "{}", trace.name);
        }
    }

    #[test]
    fn a_recording_that_lacks_events_is_refused() {
        let whole = "krcu-script 1\nwatch attached=0 possible_cpus=2\n5 0@0 grace_begin\n";
        assert_eq!(complaint(whole), None);
        let torn = format!("{whole}6 0@0 gap reason=ring_full events=1 from=0 until=6\n");
        assert!(complaint(&torn).is_some_and(|text| text.contains("lacks events")));
        assert!(complaint("").is_some());
        assert!(complaint(&whole.repeat(5_000)).is_some_and(|text| text.contains("fewer objects")));
    }
}
