//! Local: packs in processes of this machine.

use std::{
    io::{BufRead as _, BufReader, Write as _},
    path::Path,
    process::{Command, Stdio},
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
    thread,
};

use anyhow::{Context as _, Result};

use super::{Done, Line, Plan};

/// How often a process is started for a trace: one that was killed says nothing of the trace.
const TRIES: usize = 2;
/// After so many traces of a pack that could not be replayed, the others are left for the next replay: what is wrong is not
/// theirs.
const MOST_FAILED: usize = 3;

/// Replays the packs, so many at a time.
///
/// # Errors
/// When no process can be started. Traces that could not be replayed are told in the result.
pub fn replay(folder: &Path, program: &Path, plan: &Plan, jobs: usize, again: bool) -> Result<Done> {
    let next = AtomicUsize::new(0);
    let all = Mutex::new(Done::default());
    let worker = || -> Result<()> {
        while let Some(pack) = plan.packs.get(next.fetch_add(1, Ordering::Relaxed)) {
            let done = Worker { folder, program, again }.pack(pack)?;
            all.lock().unwrap_or_else(PoisonError::into_inner).merge(done);
        }
        Ok(())
    };
    thread::scope(|scope| {
        let workers: Vec<_> = (0..jobs.max(1)).map(|_| scope.spawn(worker)).collect();
        workers
            .into_iter()
            .try_for_each(|worker| worker.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)))
    })?;
    let mut done = all.into_inner().unwrap_or_else(PoisonError::into_inner);
    done.failed.sort_unstable();
    Ok(done)
}

struct Worker<'a> {
    folder: &'a Path,
    program: &'a Path,
    again: bool,
}

impl Worker<'_> {
    /// Replays a pack. If its process fails, the trace that it was at is tried again, then left out.
    fn pack(&self, pack: &[String]) -> Result<Done> {
        let mut done = Done::default();
        let mut rest = pack;
        let mut tries = 0;
        while !rest.is_empty() {
            let (lines, complaint) = self.process(rest)?;
            lines.iter().for_each(|line| done.add(line));
            tries = if lines.is_empty() { tries + 1 } else { 1 };
            rest = rest.get(lines.len()..).unwrap_or_default();
            let Some(complaint) = complaint else { break };
            if tries >= TRIES
                && let Some((trace, others)) = rest.split_first()
            {
                done.failed.push((trace.clone(), complaint.clone()));
                rest = others;
                tries = 0;
            }
            if done.failed.len() >= MOST_FAILED {
                done.failed.extend(rest.iter().map(|trace| (trace.clone(), complaint.clone())));
                break;
            }
        }
        Ok(done)
    }

    /// What a process says of these traces, in their order, and why it failed if it did.
    fn process(&self, traces: &[String]) -> Result<(Vec<Line>, Option<String>)> {
        let mut command = Command::new(self.program);
        command.args(["facts", "--fleet"]).arg(self.folder).args(self.again.then_some("--again"));
        let starting = || format!("{} cannot be started", self.program.display());
        let mut child = command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .with_context(starting)?;
        let names = traces.join("\n");
        if let Some(mut stdin) = child.stdin.take() {
            // A process that has ended takes no more; its status says why.
            drop(stdin.write_all(names.as_bytes()));
        }
        let mut lines = Vec::new();
        if let Some(stdout) = child.stdout.take() {
            for line in BufReader::new(stdout).lines() {
                lines.push(Line::parse(&line.context("reading what a replay says")?)?);
            }
        }
        let output = child.wait_with_output().with_context(starting)?;
        let complaint = (!output.status.success()).then(|| {
            let told = String::from_utf8_lossy(&output.stderr).trim().to_owned();
            if told.is_empty() { output.status.to_string() } else { told }
        });
        Ok((lines, complaint))
    }
}
