//! An oracle that shares nothing with krcu: the memory of a stopped machine, read by drgn with the kernel's own debug
//! information.
//!
//! `modules/krcu_moment` makes load under a krcu, and stops the machine at random moments. qemu writes the memory of each
//! moment, and `contrib/krcu_outstanding.py` reads from it what lies on the lists of every processor. krcu's events, replayed up
//! to the time of the moment, must say the same objects. [`compare`] says which differences a stopped task explains.

mod compare;

use std::fs;
use std::io::{BufRead as _, BufReader, Write as _};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::mpsc::{self, Receiver, SyncSender};
use std::thread;
use std::time::Duration;

use anyhow::{Context as _, Result, anyhow, bail};

use self::compare::{Compared, Count, Memory, compare, counts};
use crate::cache;
use crate::check::choice::Choice;
use crate::check::peers;
use crate::check::schedule::{Part, Place};
use crate::check::tally::Tally;
use crate::debian::kernel::{Kernel, Series};
use crate::guest::monitor::Monitor;
use crate::guest::qemu::Stops;
use crate::guest::vm::{Outcome, Run};
use crate::host;
use crate::progress::{output_of, say};
use crate::toolchain::build;

/// What it is called.
pub(crate) const NAME: &str = "oracle";
/// The kernels: two that are built to preempt whatever they do, and two of Debian's. The `kfree_rcu()` of the newest fills
/// sheaves.
pub(crate) const SERIES: [&str; 4] = ["6.12-test", "7.x-test", "6.12", "7.x"];
/// drgn, pinned, so that a run means the same tomorrow; and its folder in the cache.
const PACKAGES: [&str; 1] = ["drgn==0.3.0"];
const ENVIRONMENT: &str = "drgn-1";
/// What makes load and stops the machine; its caches' names begin so.
const MODULE: &str = "krcu_moment";
/// How often the machine is stopped.
const MOMENTS: u32 = 100;
/// What the load and the pauses follow from.
const SEED: u32 = 1;
/// All of it is written at each moment.
const MEMORY_MIB: u32 = 384;
/// One for each thread that makes load. If two shared one, a thread that is stopped within a probe would hide the calls of the
/// other one: the kernel does not run a program twice on one processor.
const CPUS: u32 = 4;
/// How long the machine may run: a moment takes seconds on a busy computer.
const SECONDS: u64 = 3600;
/// Places in which something must have been found, or the run has shown little: of the first two, one.
const PLACES: [&[&str]; 3] =
    [&["batch page", "full sheaf"], &["callbacks: wait"], &["callbacks: next-ready"]];
/// So many differences are printed.
const SHOWN: usize = 20;

/// The comparison on each chosen kernel, as parts of a run.
pub(crate) fn parts<'a>(choice: &Choice, tally: &'a Tally) -> Vec<Part<'a>> {
    let chosen = |series: &&str| choice.has_name(NAME) && choice.has_series(series);
    let part = |series: &'static str| {
        Part::new(&format!("{series} {NAME}"), Place::Machine, 600.0, move || {
            tally.add(&format!("kernel {series} {NAME}"), run(series));
        })
    };
    SERIES.into_iter().filter(chosen).map(part).collect()
}

/// A moment at which the machine was stopped.
struct Moment {
    number: u32,
    time_ns: u64,
    /// Its memory.
    dump: PathBuf,
}

/// Compares all moments of one run.
fn run(series: &str) -> Result<()> {
    let kernel: Series = series.parse()?;
    let vmlinux = Kernel::newest(&kernel)?.debug_information()?;
    let python = peers::python(ENVIRONMENT, &PACKAGES)?;
    let folder = host::target_folder().join(NAME).join(series);
    drop(fs::remove_dir_all(&folder));
    cache::create_folder(&folder)?;
    let short = tempfile::tempdir().context("making a folder for sockets")?;
    let stops = Stops { serial: short.path().join("serial"), monitor: short.path().join("monitor") };
    let listen =
        |path: &Path| UnixListener::bind(path).with_context(|| format!("listening on {}", path.display()));
    let (serial, monitor) = (listen(&stops.serial)?, listen(&stops.monitor)?);
    let machine = machine(kernel, &folder, stops.clone());
    let memories = thread::scope(|scope| {
        // One moment is read while the next one is written.
        let (written, moments) = mpsc::sync_channel(1);
        let folder = &folder;
        let stopper = scope.spawn(move || stop(&serial, &monitor, folder, &written));
        let reader = scope.spawn(move || read(&moments, folder, &python, &vmlinux));
        let ended = machine.run();
        // Nobody may be left waiting for a machine that never came.
        drop((UnixStream::connect(&stops.serial), UnixStream::connect(&stops.monitor)));
        let gone = |_| anyhow!("a thread has panicked");
        let (stopped, memories) = (stopper.join().map_err(gone)?, reader.join().map_err(gone)?);
        let outcome = ended?;
        if outcome.status != 0 {
            let report = folder.join("report");
            let Outcome { status, stderr, .. } = outcome;
            bail!("krcu ended with status {status}: see {}\n{stderr}", report.display());
        }
        stopped.and(memories)
    })?;
    let compared = compared(&folder, &memories)?;
    say(&format!("{series} {NAME}: {} moments: {compared}", memories.len()));
    judge(&memories, &compared)
}

fn machine(kernel: Series, folder: &Path, stops: Stops) -> Run {
    let command = format!(
        "krcu check --no-stacks --events /out/events --report /out/report -- sh -c '
            insmod /modules/{MODULE}.ko moments={MOMENTS} seed={SEED} || exit 1
            until [ \"$(cat /sys/module/{MODULE}/parameters/left)\" = 0 ]; do usleep 200000; done
            rmmod {MODULE}'
        status=$?
        # Where calls were missed, krcu says that it cannot decide. Whether it has counted them is compared.
        [ $status = 11 ] || exit $status"
    );
    Run {
        modules: vec![host::repository().join("modules").join(MODULE)],
        out: Some(folder.to_path_buf()),
        memory_mib: MEMORY_MIB,
        cpus: CPUS,
        // On a busy computer, the emulated timer may be late at the moment at which the kernel tests it.
        append: "no_timer_check".to_owned(),
        timeout: Duration::from_secs(SECONDS),
        stops: Some(stops),
        ..Run::new(kernel, &command)
    }
}

/// Writes the machine's memory whenever it says that it has stopped, until it is gone.
fn stop(
    serial: &UnixListener,
    monitor: &UnixListener,
    folder: &Path,
    written: &SyncSender<Moment>,
) -> Result<()> {
    let (mut serial, _) = serial.accept().context("waiting for the machine's serial port")?;
    let (monitor, _) = monitor.accept().context("waiting for the machine's monitor")?;
    let lines = BufReader::new(serial.try_clone().context("a second handle on the serial port")?).lines();
    let mut monitor = Monitor::greet(monitor)?;
    for line in lines.map_while(Result::ok) {
        let word = |place| line.split_whitespace().nth(place);
        let (Some(Ok(number)), Some(Ok(time_ns))) = (word(0).map(str::parse), word(1).map(str::parse)) else {
            bail!("the module said `{line}`, which is no moment");
        };
        let dump = folder.join(format!("{number}.vmcore"));
        monitor.stop()?;
        monitor.write_memory(&dump)?;
        // This waits while earlier moments are read. The machine's clock stands still meanwhile.
        if written.send(Moment { number, time_ns, dump }).is_err() {
            bail!("the memory of a moment could not be read");
        }
        monitor.go_on()?;
        serial.write_all(b"g").context("letting the machine go on")?;
    }
    Ok(())
}

/// Reads the memory of each moment, and deletes it. What it held stays in `NUMBER-TIME.json`.
fn read(
    moments: &Receiver<Moment>,
    folder: &Path,
    python: &Path,
    vmlinux: &Path,
) -> Result<Vec<(u64, Memory)>> {
    let mut memories = Vec::new();
    for Moment { number, time_ns, dump } in moments {
        let mut script = Command::new(python);
        script.arg(host::repository().join("contrib/krcu_outstanding.py")).arg("--debug-info").arg(vmlinux);
        let text = output_of(script.arg(&dump)).with_context(|| format!("moment {number}"))?;
        fs::remove_file(&dump).with_context(|| format!("removing {}", dump.display()))?;
        cache::write_file(&folder.join(format!("{number}-{time_ns}.json")), text.as_bytes())?;
        memories.push((time_ns, Memory::read(&text, MODULE)?));
    }
    Ok(memories)
}

/// Holds each moment against the events up to its time.
fn compared(folder: &Path, memories: &[(u64, Memory)]) -> Result<Compared> {
    let mut replay = Command::new(build::example("outstanding")?);
    // And the whole run, for what was lost in it.
    let times = memories.iter().map(|(time_ns, _)| *time_ns).chain([u64::MAX]);
    replay.arg(folder.join("events")).args(times.map(|time_ns| time_ns.to_string()));
    let text = output_of(&mut replay)?;
    cache::write_file(&folder.join("counted"), text.as_bytes())?;
    let (counts, nothing) = (counts(&text)?, Count::default());
    let mut all = Compared::default();
    for (number, (time_ns, memory)) in (1..).zip(memories) {
        let mut one = compare(counts.get(time_ns).unwrap_or(&nothing), memory);
        one.wrong.iter_mut().for_each(|wrong| *wrong = format!("moment {number}: {wrong}"));
        all.add(one);
    }
    let lost = counts.get(&u64::MAX).map_or(0, |count| count.lost);
    if all.missed.len() as u64 > lost {
        let first = all.missed.first_key_value();
        all.wrong.push(format!(
            "krcu does not count {} objects and has lost {lost} events; the first is {first:?}",
            all.missed.len()
        ));
    }
    Ok(all)
}

/// What is wrong, and whether enough was seen.
fn judge(memories: &[(u64, Memory)], compared: &Compared) -> Result<()> {
    let mut wrong = compared.wrong.clone();
    if memories.len() != MOMENTS as usize {
        wrong.push(format!("the memory of {} moments was written, and not of {MOMENTS}", memories.len()));
    }
    let is_missing = |places: &&[&str]| !places.iter().any(|place| compared.places.contains_key(*place));
    let missing = PLACES.into_iter().filter(is_missing);
    wrong.extend(missing.map(|places| format!("nothing was ever found in: {}", places.join(", "))));
    if wrong.is_empty() {
        return Ok(());
    }
    let count = wrong.len();
    wrong.truncate(SHOWN);
    bail!("{count} differences\n  {}", wrong.join("\n  "))
}
