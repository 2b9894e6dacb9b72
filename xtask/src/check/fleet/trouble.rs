//! Trouble: what goes wrong in a cluster, and that nothing is lost by it and nothing counted twice.

use std::fs;
use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};

use anyhow::{Context as _, Result, bail, ensure};

use crate::check::fleet::cluster::{Cluster, Spark, kill_with_children};
use crate::check::fleet::programs::{Programs, on_cluster};
use crate::check::fleet::{Bench, done_again, ledger, trace_of, traces};
use crate::progress::output_of;

/// Kilobytes for each trace on a disk that is full too early: half of what its facts take.
const SMALL_DISK_KB: usize = 30;

/// Tables of facts.
const TABLES: usize = 8;

/// Runs a command, and does something when its progress says this; answers whether the command succeeded.
fn while_it_runs(
    command: &mut Command,
    is_time: impl Fn(&str) -> bool,
    then: impl FnOnce(&mut Child) -> Result<()>,
) -> Result<(bool, String)> {
    let mut child =
        command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().context("starting krcu fleet")?;
    let mut lines = BufReader::new(child.stderr.take().context("its standard error")?).lines();
    let mut then = Some(then);
    for line in lines.by_ref() {
        let line = line.context("reading its progress")?;
        if is_time(&line)
            && let Some(then) = then.take()
        {
            then(&mut child)?;
        }
    }
    let output = child.wait_with_output().context("waiting for krcu fleet")?;
    ensure!(then.is_none(), "it was over before anything could happen");
    Ok((output.status.success(), String::from_utf8_lossy(&output.stdout).trim().to_owned()))
}

/// Whether some tasks of a stage have ended.
fn has_begun(line: &str) -> bool {
    line.split_once(": stage ")
        .and_then(|(_, rest)| rest.split_once(": "))
        .and_then(|(_, rest)| rest.split_once(" of "))
        .is_some_and(|(done, _)| done.parse::<u32>().is_ok_and(|done| done >= 3))
}

/// Whether a stage that reads what another one has written has begun.
fn is_past_the_first(line: &str) -> bool {
    line.split_once(": stage ")
        .and_then(|(_, rest)| rest.split_once(':'))
        .is_some_and(|(stage, _)| stage.parse::<u32>().is_ok_and(|stage| stage >= 2))
}

/// Replays a fleet on a cluster, and does something meanwhile that a replay has to outlive.
pub(super) fn replayed_while(
    programs: &Programs,
    fleet: &Path,
    on: Option<(&str, &Spark)>,
    then: impl FnOnce() -> Result<()>,
) -> Result<()> {
    let mut command = programs.fleet(&["replay"]);
    on_cluster(command.arg(fleet), on);
    let (succeeded, says) = while_it_runs(&mut command, has_begun, |_| then())?;
    ensure!(succeeded, "a replay outlives one worker: {says}");
    Ok(())
}

pub(super) fn again(bench: &Bench<'_>) -> Result<()> {
    let fleet = bench.replayed();
    let nothing = bench.programs.replay(&fleet, None)?;
    let all = bench.extent.traces();
    ensure!(nothing.starts_with(&format!("replayed 0 traces, 0 events; the ledger had {all};")), "{nothing}");
    // A trace of another name is another run.
    let trace = trace_of(&fleet, "farm-0015")?;
    let added = trace.with_file_name("added.krcu");
    output_of(Command::new("cp").arg("-a").arg(&trace).arg(&added))?;
    done_again(&added)?;
    let one = bench.programs.replay(&fleet, None)?;
    ensure!(one.starts_with("replayed 1 traces (1 whole)"), "{one}");
    ensure!(bench.programs.digests(&fleet, None)? != bench.digests, "one more trace changes nothing");
    // What is gone from the ledger does not count, though its facts are there.
    fs::remove_dir_all(&added).context("removing a trace")?;
    let ledger = output_of(Command::new("grep").args(["-rl", "added.krcu"]).arg(fleet.join("ledger")))?;
    fs::remove_file(ledger.trim()).context("removing a row")?;
    bench.same(&fleet)
}

pub(super) fn compacted(bench: &Bench<'_>) -> Result<()> {
    let fleet = bench.fresh("compacted")?;
    bench.programs.replay(&fleet, None)?;
    let says = output_of(bench.programs.fleet(&["compact"]).arg(&fleet))?;
    ensure!(says.lines().count() == bench.extent.days, "a line for each day: {says}");
    let files = output_of(Command::new("find").arg(fleet.join("facts")).args(["-name", "*.parquet"]))?;
    let count = files.lines().count();
    ensure!(count == TABLES * bench.extent.days, "{count} files, not one for each table and day");
    bench.same(&fleet)?;
    let nothing = bench.programs.replay(&fleet, None)?;
    ensure!(nothing.starts_with("replayed 0 traces"), "{nothing}");
    Ok(())
}

pub(super) fn full_disk(bench: &Bench<'_>) -> Result<()> {
    let fleet = bench.fresh("full")?;
    fs::create_dir_all(fleet.join("facts")).context("the folder of the facts")?;
    let replay = bench.programs.fleet(&["replay"]);
    let size = SMALL_DISK_KB * bench.extent.traces();
    let script = format!("mount -t tmpfs -o size={size}k none \"$2/facts\" && exec \"$1\" replay \"$2\"");
    let mut command = Command::new("unshare");
    command.args(["--mount", "sh", "-c", &script, "sh"]).arg(replay.get_program()).arg(&fleet);
    let output = command.output().context("replaying on a full disk")?;
    let told = String::from_utf8_lossy(&output.stderr);
    ensure!(!output.status.success(), "a full disk is no success");
    ensure!(told.contains("cannot be written") && told.contains("tries them again"), "{told}");
    // That disk is gone, with all facts on it: rows of the ledger whose facts are not there do not hold.
    bench.programs.replay(&fleet, None)?;
    bench.same(&fleet)
}

pub(super) fn worker_killed(bench: &Bench<'_>) -> Result<()> {
    let fleet = bench.fresh("worker")?;
    // A trace that appears while the others are replayed.
    let late = trace_of(&fleet, "farm-0016")?;
    let (done, aside) = (late.join("DONE"), late.join(".DONE"));
    fs::rename(&done, &aside).context("taking DONE away")?;
    let mut cluster = bench.cluster("cluster-worker")?;
    let name = cluster.name();
    replayed_while(bench.programs, &fleet, Some((&name, bench.spark)), || {
        fs::rename(&aside, &done).context("putting DONE back")?;
        cluster.kill_worker()
    })?;
    cluster.add_worker()?;
    let rest = bench.programs.replay(&fleet, Some((&name, bench.spark)))?;
    ensure!(rest.starts_with("replayed 1 traces (1 whole)"), "{rest}");
    bench.same(&fleet)
}

pub(super) fn driver_killed(bench: &Bench<'_>) -> Result<()> {
    let fleet = bench.fresh("driver")?;
    let cluster = bench.cluster("cluster-driver")?;
    let name = cluster.name();
    let mut command = bench.programs.fleet(&["replay"]);
    on_cluster(command.arg(&fleet), Some((&name, bench.spark)));
    let (succeeded, says) = while_it_runs(&mut command, has_begun, |child| {
        kill_with_children(child.id());
        Ok(())
    })?;
    ensure!(!succeeded, "a driver that is killed is no success: {says}");
    let before = ledger(&fleet)?.len();
    ensure!(before < traces(&fleet)?.len(), "it was over before it could be killed");
    bench.programs.replay(&fleet, Some((&name, bench.spark)))?;
    bench.same(&fleet)
}

/// The disk of one of two workers has no room for what a replay writes meanwhile. Its traces are told, and are no rows of the
/// ledger; a replay without that worker has them.
pub(super) fn full_disk_of_a_worker(bench: &Bench<'_>) -> Result<()> {
    let fleet = bench.fresh("disk-of-worker")?;
    let mut cluster = Cluster::start(bench.spark, &bench.folder.join("cluster-disk"), 0)?;
    cluster.add_worker_without_room()?;
    cluster.add_worker()?;
    let name = cluster.name();
    let mut command = bench.programs.fleet(&["replay"]);
    on_cluster(command.arg(&fleet), Some((&name, bench.spark)));
    let output = command.output().context("replaying with a full disk")?;
    let told = String::from_utf8_lossy(&output.stderr);
    ensure!(!output.status.success(), "a full disk is no success");
    ensure!(told.contains("No space left on device") && told.contains("tries them again"), "{told}");
    let (rows, all) = (ledger(&fleet)?.len(), bench.extent.traces());
    ensure!(rows < all, "{rows} rows in the ledger for {all} traces: no trace met the full disk");
    // The oldest worker is the one without room.
    cluster.kill_worker()?;
    bench.programs.replay(&fleet, Some((&name, bench.spark)))?;
    bench.same(&fleet)
}

pub(super) fn asked_while_killed(bench: &Bench<'_>) -> Result<()> {
    let fleet = bench.replayed();
    let mut cluster = bench.cluster("cluster-asked")?;
    let name = cluster.name();
    let digests = bench.programs.digests(&fleet, Some((&name, bench.spark)))?;
    ensure!(digests == bench.digests, "Spark: {digests:?}\n  polars: {:?}", bench.digests);
    let says = asked_while(bench, &fleet, &name, || cluster.kill_worker())?;
    let expected = bench.digests.get("barriers").context("a digest of the barriers")?;
    ensure!(says == *expected, "{says} after a worker was killed, and {expected} before");
    Ok(())
}

/// Asks the barriers, and does something between map and reduce.
fn asked_while(
    bench: &Bench<'_>,
    fleet: &Path,
    name: &str,
    then: impl FnOnce() -> Result<()>,
) -> Result<String> {
    let mut command = bench.programs.fleet(&["ask", "barriers"]);
    on_cluster(command.arg(fleet).arg("--digest"), Some((name, bench.spark)));
    match while_it_runs(&mut command, is_past_the_first, |_| then())? {
        (true, says) => Ok(says),
        (false, says) => bail!("a question outlives one worker: {says}"),
    }
}
