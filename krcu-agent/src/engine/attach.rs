//! Attach: loads the probes and attaches them to their functions. From then on the kernel writes events.

use std::{path::Path, time::Duration};

use anyhow::Context as _;
use krcu_model::{Watch, event::Time};
use krcu_trace::Meta;

use super::Watcher;
use crate::{
    diagnostics::ProbeLog,
    kernel::{callers, facts::Facts, plan::Plan},
    memory,
    pipeline::{Pipeline, blind},
    probe::{LoadError, LoadOptions, Probes},
    sinks::Sinks,
    source::Source,
    trace,
};

/// Options of the probes.
#[derive(Clone, Copy, Debug)]
pub(crate) struct AttachOptions {
    /// The options for loading the probes.
    pub(crate) load: LoadOptions,
    /// Whether each object is followed from its allocation.
    pub(crate) alloc_stacks: bool,
    /// Whether an error has the verifier's whole log if the verifier refuses a program.
    pub(crate) verbose: bool,
}

/// The attached probes, before anything was read.
pub(crate) struct Attached {
    pub(crate) probes: Probes,
    pub(crate) watch: Watch,
    /// When attaching began.
    pub(crate) begun: Time,
    /// Optional probes that were withdrawn, and why.
    pub(crate) withdrawn: Vec<String>,
    facts: Facts,
    source: Source,
    log: Option<ProbeLog>,
}

/// Attaches the probes. Call it inside the event loop.
///
/// # Errors
/// When this kernel, or the rights of this user, do not allow it. Then nothing stays attached.
pub(crate) fn attach(options: AttachOptions) -> anyhow::Result<Attached> {
    let begun = now()?;
    let facts = Facts::gather(Path::new("/"));
    let plan = Plan::asked(&facts, options.alloc_stacks);
    let mut probes = Probes::load(plan, options.load).map_err(|error| explain(error, options.verbose))?;
    memory::give_back();
    let words = |error: &LoadError| if options.verbose { error.to_string() } else { error.headline() };
    let withdrawn = probes.withdrawn().iter().map(words).collect();
    let attached = now()?;
    let source = Source::of(probes.take_ring()?)?;
    let log = if options.load.probe_log { Some(ProbeLog::of(&mut probes)?) } else { None };
    let possible_cpus = facts.possible_cpus.unwrap_or(0);
    // Those that are loaded from now on are seen to be.
    let deferring = callers::calling(Path::new("/"), &facts.arch, &facts.callback_queues());
    let watch = Watch { attached, possible_cpus, blind: blind(probes.plan()), deferring };
    Ok(Attached { probes, watch, begun, withdrawn, facts, source, log })
}

impl Attached {
    /// The kernel's release, for people to read.
    pub(crate) fn release(&self) -> String {
        self.facts.release.clone().unwrap_or_else(|| "of an unknown release".to_owned())
    }

    /// The head of a trace of this watch.
    ///
    /// # Errors
    /// When a clock cannot be read.
    pub(crate) fn meta(&self) -> anyhow::Result<Meta> {
        trace::meta(&self.facts, self.probes.plan(), &self.watch)
    }

    /// Begins to read events.
    pub(crate) fn begin(self, sinks: Sinks) -> Watcher {
        let Attached { probes, source, log, watch, .. } = self;
        Watcher { probes, source, log, pipeline: Pipeline::new(watch, sinks) }
    }
}

/// Adds the verifier's whole log to an error, if that was asked for.
fn explain(error: LoadError, verbose: bool) -> anyhow::Error {
    let log = error.verifier_log().map(str::to_owned);
    match log {
        Some(log) if verbose => anyhow::Error::new(error).context(log),
        _ => anyhow::Error::new(error),
    }
}

/// The time of CLOCK_MONOTONIC, the clock of the probes' events.
pub(crate) fn now() -> anyhow::Result<Time> {
    let time =
        nix::time::clock_gettime(nix::time::ClockId::CLOCK_MONOTONIC).context("cannot read the clock")?;
    let ns = Duration::from(time).as_nanos();
    Ok(Time(u64::try_from(ns).unwrap_or(u64::MAX)))
}
