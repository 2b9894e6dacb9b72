//! Rows: the report itself, and what in it only an agent can know.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::{
    barriers::{BarrierRow, FinishedBarrier, WaitKind},
    caches::CacheRow,
    histogram::Histogram,
    tally::Events,
    verdicts::VerdictRow,
};
use krcu_model::verdict::VerdictKind;

/// How things are. Totals are since the probes were attached.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Report {
    /// [`SCHEMA`](super::SCHEMA).
    pub schema: u32,
    /// Number of this report, from 0; of one that a client never got it shows as a hole.
    pub seq: u64,
    /// When it was made: nanoseconds of CLOCK_MONOTONIC since the last probe was attached.
    pub at_ns: u64,
    /// Events that the model has taken, by word.
    pub events: Events,
    /// What became of everything that the probes saw; absent where that is not known, as in a replay.
    pub accounts: Option<Accounts>,
    /// What went unseen.
    pub losses: Losses,
    /// The ring; absent in a replay.
    pub ring: Option<Ring>,
    /// Objects handed to `kfree_rcu()` whose free has not begun, of all watched caches.
    pub outstanding: u64,
    /// Callbacks of `call_rcu()` in watched objects that have not begun to run; absent where that is not seen.
    pub callbacks_waiting: Option<u64>,
    /// Age of the oldest of either, in nanoseconds.
    pub oldest_age_ns: Option<u64>,
    /// Events that have no site, because there was no room for their stack.
    pub without_site: u64,
    /// Every probe of the plan; empty where it is not known.
    pub probes: Vec<ProbeRow>,
    /// Caches: most outstanding first, then the newest activity. Those that are gone come last.
    pub caches: Vec<CacheRow>,
    /// Caches that there are, listed or not, without those that are gone.
    pub caches_total: u64,
    /// Barriers and destroys that somebody waits in, the oldest first.
    pub barriers_running: Vec<BarrierRow>,
    /// Those that are over, the newest first.
    pub barriers_finished: Vec<FinishedBarrier>,
    /// All waits that are over.
    pub waits: BTreeMap<WaitKind, Histogram>,
    /// Verdicts so far by word.
    pub verdict_counts: BTreeMap<VerdictKind, u64>,
    /// The last verdicts, the newest first.
    pub verdicts: Vec<VerdictRow>,
    /// Whoever is told of this: the log, the recorder, the metrics.
    pub sinks: Vec<SinkRow>,
}

/// What only an agent knows, or a trace that has it written down.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Outside {
    /// What became of everything that the probes saw.
    pub accounts: Option<Accounts>,
    /// What went unseen by the kernel's counters; where they are not at hand, the gaps' own counts are reported.
    pub losses: Option<Losses>,
    /// The ring.
    pub ring: Option<Ring>,
    /// Events that have no site.
    pub without_site: u64,
    /// Every probe of the plan.
    pub probes: Vec<ProbeRow>,
    /// Whoever is told.
    pub sinks: Vec<SinkRow>,
}

/// What became of everything that the probes saw: `seen` is the sum of the other three.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Accounts {
    /// All of it.
    pub seen: u64,
    /// Written into the ring.
    pub delivered: u64,
    /// Counted and not streamed.
    pub filtered: u64,
    /// Found no room in the ring.
    pub lost: u64,
}

/// What went unseen, by reason.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Losses {
    /// Events that found no room in the ring.
    pub ring_full: u64,
    /// Runs of a probe that the kernel skipped.
    pub probe_missed: u64,
    /// What a map of the probes had no room to remember.
    pub map_full: u64,
    /// Of all these, entries into `kmem_cache_destroy()`.
    pub destroys: u64,
    /// Whether a trace ends before its run did: how much came after is not known.
    pub not_in_trace: bool,
    /// When the last of it was noticed, in nanoseconds as [`Report::at_ns`]; absent without a loss.
    pub last_at_ns: Option<u64>,
}

impl Losses {
    /// All that has a count.
    #[must_use]
    pub fn total(&self) -> u64 {
        self.ring_full + self.probe_missed + self.map_full
    }
}

/// The ring.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ring {
    /// Its size.
    pub bytes: u64,
    /// What lay in it that was not read.
    pub used_bytes: u64,
}

/// A probe of the plan, and what it has cost.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProbeRow {
    /// The program.
    pub program: String,
    /// The function or tracepoint.
    pub function: String,
    /// How it is attached: `fentry`, `fexit`, `tracepoint`.
    pub way: String,
    /// Whether it is.
    pub state: ProbeState,
    /// Why not, where it is not.
    pub why: Option<String>,
    /// How often it has run, by the kernel's own statistics; absent while these are off.
    pub runs: Option<u64>,
    /// Nanoseconds that it has run, by the same.
    pub run_time_ns: Option<u64>,
    /// Runs that the kernel skipped.
    pub missed: u64,
}

/// Whether a probe is attached.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ProbeState {
    /// It is.
    Attached,
    /// This kernel does without.
    NotNeeded,
    /// This kernel does not offer it.
    NotOffered,
    /// Nobody could look whether it does.
    NotLookedAt,
}

/// Somebody who is told.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SinkRow {
    /// Which.
    pub name: String,
    /// How it does.
    pub state: SinkState,
    /// What it was not told, because it was slow.
    pub dropped: u64,
    /// One sentence where it does not work.
    pub why: Option<String>,
}

/// How a sink does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum SinkState {
    /// It works.
    Working,
    /// It has not taken all that it was given.
    Slow,
    /// It does not work any more.
    Failed,
}
