//! Watcher: what lies between attach and detach, whoever asked for it: the probes, their ring, and the
//! one owner of the replay.

use std::{path::Path, time::Duration};

use anyhow::Context as _;
use krcu_model::{Watch, event::Time};
use tokio::time::{Instant, sleep};

use crate::{
    diagnostics::ProbeLog,
    kernel::{facts::Facts, plan::Plan},
    memory,
    pipeline::{Finished, Pipeline, blind},
    probe::{LoadError, LoadOptions, Probes},
    sinks::Sinks,
    source::Source,
};

/// How often the ring is looked at even if no probe asks for it.
pub(crate) const LOOK_EVERY: Duration = Duration::from_millis(10);

/// Looks at the ring after detaching; what has not come by then counts as lost.
const LAST_LOOKS: usize = 100;

/// Looks at the ring when a replay ends and the probes stay; what has not come by then counts as lost.
const LOOKS_BETWEEN: usize = 400;
/// The time from one of these looks to the next.
const BETWEEN_LOOKS: Duration = Duration::from_millis(1);

/// What is asked of the probes.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Ask {
    /// As in [`LoadOptions`].
    pub(crate) ring_bytes: u32,
    /// Stacks that there is room for.
    pub(crate) stacks: u32,
    /// Whether each queueing call's stack is taken.
    pub(crate) queue_stacks: bool,
    /// Whether each object is followed from its allocation.
    pub(crate) alloc_stacks: bool,
    /// Whether the probes' own diagnostics go to standard error.
    pub(crate) probe_log: bool,
    /// Whether the whole of the verifier's log is told when it refuses.
    pub(crate) verbose: bool,
}

/// The probes are attached; nothing was read yet.
pub(crate) struct Attached {
    pub(crate) facts: Facts,
    pub(crate) probes: Probes,
    pub(crate) watch: Watch,
    /// When it was begun.
    pub(crate) begun: Time,
    /// Optional probes that were withdrawn, and why.
    pub(crate) withdrawn: Vec<String>,
    source: Source,
    log: Option<ProbeLog>,
}

/// Attaches the probes; to be called inside the event loop.
///
/// # Errors
/// When this kernel or this user does not let it be done. Nothing is left attached.
pub(crate) fn attach(ask: Ask) -> anyhow::Result<Attached> {
    let begun = now()?;
    let facts = Facts::gather(Path::new("/"));
    let mut probes = Probes::load(
        Plan::asked(&facts, ask.alloc_stacks),
        LoadOptions {
            ring_bytes: ask.ring_bytes,
            wake_bytes: (ask.ring_bytes / 8).min(256 << 10),
            queue_stacks: ask.queue_stacks,
            probe_log: ask.probe_log,
            stacks: ask.stacks,
        },
    )
    .map_err(|error| explain(error, ask.verbose))?;
    memory::give_back();
    let words = |error: &LoadError| if ask.verbose { error.to_string() } else { error.headline() };
    let withdrawn = probes.withdrawn().iter().map(words).collect();
    let attached = now()?;
    let source = Source::of(probes.take_ring()?)?;
    let log = if ask.probe_log { Some(ProbeLog::of(&mut probes)?) } else { None };
    let possible_cpus = facts.possible_cpus.unwrap_or(0);
    let watch = Watch { attached, possible_cpus, blind: blind(probes.plan()) };
    Ok(Attached { facts, probes, watch, begun, withdrawn, source, log })
}

impl Attached {
    /// The kernel's release, for a person.
    pub(crate) fn release(&self) -> String {
        self.facts.release.clone().unwrap_or_else(|| "of an unknown release".to_owned())
    }

    /// Begins to read.
    pub(crate) fn begin(self, sinks: Sinks) -> Watcher {
        let Attached { probes, source, log, watch, .. } = self;
        Watcher { probes, source, log, pipeline: Pipeline::new(watch, sinks) }
    }
}

/// The verifier's whole log, when it was asked for.
fn explain(error: LoadError, verbose: bool) -> anyhow::Error {
    let log = error.verifier_log().map(str::to_owned);
    match log {
        Some(log) if verbose => anyhow::Error::new(error).context(log),
        _ => anyhow::Error::new(error),
    }
}

/// CLOCK_MONOTONIC, which the probes' events are in.
pub(crate) fn now() -> anyhow::Result<Time> {
    let time =
        nix::time::clock_gettime(nix::time::ClockId::CLOCK_MONOTONIC).context("cannot read the clock")?;
    let ns = Duration::from(time).as_nanos();
    Ok(Time(u64::try_from(ns).unwrap_or(u64::MAX)))
}

/// The end of a watch.
pub(crate) struct Ended {
    pub(crate) finished: Finished,
    /// Whether every event was taken; if not, the deadline came first.
    pub(crate) is_whole: bool,
    /// Probes that the kernel has still to take away.
    pub(crate) attached: usize,
    /// For what they have counted.
    pub(crate) probes: Probes,
}

/// What reads, and what it reads into.
pub(crate) struct Watcher {
    pub(crate) probes: Probes,
    pub(crate) pipeline: Pipeline,
    source: Source,
    log: Option<ProbeLog>,
}

impl Watcher {
    /// Takes what the ring holds, up to a bound; says whether it was emptied.
    fn drain(&mut self) -> anyhow::Result<bool> {
        if let Some(log) = &mut self.log {
            log.flush();
        }
        let is_empty = self.source.drain(|record| self.pipeline.take(record))?;
        if is_empty {
            self.pipeline.tick(&self.probes, now()?)?;
        }
        Ok(is_empty)
    }

    /// Takes all that the ring holds, then what the kernel counted as lost. Others get their turn meanwhile.
    ///
    /// # Errors
    /// When the ring holds what is no event, or a counter cannot be read.
    pub(crate) async fn take(&mut self) -> anyhow::Result<()> {
        while !self.drain()? {
            tokio::task::yield_now().await;
        }
        self.pipeline.look_for_losses(&self.probes, now)
    }

    /// The same, but returns when it has taken as much as is taken at once; says whether the ring was emptied.
    ///
    /// # Errors
    /// As [`Watcher::take`].
    pub(crate) fn take_some(&mut self) -> anyhow::Result<bool> {
        let is_empty = self.drain()?;
        self.pipeline.look_for_losses(&self.probes, now)?;
        Ok(is_empty)
    }

    /// Waits until the probes ask for the ring to be read.
    ///
    /// # Errors
    /// When the event loop ends.
    pub(crate) async fn readable(&mut self) -> anyhow::Result<()> {
        self.source.readable().await
    }

    /// The ring's fill.
    pub(crate) fn ring_used(&self) -> Option<u64> {
        self.source.used_bytes()
    }

    /// Ends a replay and begins the next, with the probes attached: the next knows nothing of what was before, as if
    /// they had been attached now. What it takes goes into no sink yet.
    ///
    /// # Errors
    /// When a counter or the clock cannot be read.
    pub(crate) async fn part(&mut self) -> anyhow::Result<Finished> {
        self.take().await?;
        let mut misses = self.probes.recursion_misses();
        let mut looks = 0;
        loop {
            looks += 1;
            let rows = self.pipeline.rows(&self.probes, &misses)?;
            while !self.drain()? {
                tokio::task::yield_now().await;
            }
            // A run that was skipped meanwhile has to be in the same reading as what its second copy counted.
            let again = self.probes.recursion_misses();
            let must = looks >= LOOKS_BETWEEN;
            if again != misses && !must {
                misses = again;
                continue;
            }
            while !self.drain()? {
                tokio::task::yield_now().await;
            }
            if let Some(finished) = self.pipeline.part(&self.probes, rows, must, now)? {
                self.probes.name_again()?;
                return Ok(finished);
            }
            sleep(BETWEEN_LOOKS).await;
        }
    }

    /// Detaches, takes what comes meanwhile and what is there in the end, and closes the account. Past the
    /// deadline it is closed as it stands: how many probes are still attached is in what it gives.
    ///
    /// # Errors
    /// When a counter or the clock cannot be read.
    pub(crate) async fn finish(mut self, deadline: Option<Instant>) -> anyhow::Result<Ended> {
        let mut attached = self.probes.detach();
        let is_over = || deadline.is_some_and(|deadline| Instant::now() >= deadline);
        while *attached.borrow() > 0 && !is_over() {
            if !self.take_some()? {
                tokio::task::yield_now().await;
                continue;
            }
            tokio::select! {
                _ = attached.wait_for(|attached| *attached == 0) => {}
                ready = self.source.readable() => ready?,
                () = sleep(LOOK_EVERY) => {}
            }
        }
        for _ in 0..LAST_LOOKS {
            while !is_over() && !self.drain()? {}
            if self.pipeline.has_all(&self.probes)? || is_over() {
                break;
            }
            sleep(LOOK_EVERY).await;
        }
        let attached = *attached.borrow();
        let is_whole = attached == 0 && (self.pipeline.has_all(&self.probes)? || !is_over());
        let finished = self.pipeline.finish(&self.probes, is_whole, now)?;
        Ok(Ended { finished, is_whole, attached, probes: self.probes })
    }
}
