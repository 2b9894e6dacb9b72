//! Rows: the report itself, and the parts of it that only an agent can know.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::{
    barriers::{BarrierRow, FinishedBarrier, WaitKind},
    caches::CacheRow,
    histogram::Histogram,
    tally::Events,
    verdicts::VerdictRow,
    why::GraceRow,
};
use krcu_model::{event::Losses, verdict::VerdictKind};

/// The current state. Totals count from the moment at which the probes were attached.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Report {
    /// [`SCHEMA`](super::SCHEMA).
    pub schema: u32,
    /// Number of this report, from 0. A missing number is a report that the client did not get.
    pub seq: u64,
    /// When it was made: nanoseconds of CLOCK_MONOTONIC since the last probe was attached.
    pub at_ns: u64,
    /// Events that the model has taken, by word.
    pub events: Events,
    /// What happened to everything that the probes saw; absent if that is not known, as in a replay.
    pub accounts: Option<Accounts>,
    /// The losses.
    pub losses: LossRow,
    /// The ring; absent in a replay.
    pub ring: Option<Ring>,
    /// Objects handed to `kfree_rcu()` whose free has not begun, of all watched caches.
    pub outstanding: u64,
    /// Bytes of these, as far as the size of an object is known; absent if the agent does not say so.
    #[serde(default)]
    pub outstanding_bytes: Option<u64>,
    /// The kernel's grace periods; absent if none was seen.
    #[serde(default)]
    pub grace: Option<GraceRow>,
    /// Callbacks of `call_rcu()` in watched objects that have not begun to run; absent if that cannot be
    /// seen.
    pub callbacks_waiting: Option<u64>,
    /// Age of the oldest of either, in nanoseconds.
    pub oldest_age_ns: Option<u64>,
    /// Events without a site, because there was no room for their stack.
    pub without_site: u64,
    /// Every probe of the plan; empty if the plan is not known.
    pub probes: Vec<ProbeRow>,
    /// Caches: the largest number of outstanding objects first, then the newest activity. Released caches
    /// come last.
    pub caches: Vec<CacheRow>,
    /// The number of caches, listed or not, without released ones.
    pub caches_total: u64,
    /// Barriers and destroys in which a task waits, the oldest first.
    pub barriers_running: Vec<BarrierRow>,
    /// Those that are over, the newest first.
    pub barriers_finished: Vec<FinishedBarrier>,
    /// All waits that are over.
    pub waits: BTreeMap<WaitKind, Histogram>,
    /// Verdicts so far by word.
    pub verdict_counts: BTreeMap<VerdictKind, u64>,
    /// The last verdicts, the newest first.
    pub verdicts: Vec<VerdictRow>,
    /// The receivers of reports and events: the log, the recorder, the metrics.
    pub sinks: Vec<SinkRow>,
}

/// What only an agent knows, or a trace in which the agent wrote it.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Outside {
    /// What happened to everything that the probes saw.
    pub accounts: Option<Accounts>,
    /// The losses by the kernel's counters. If these are not available, the report has the counts of the
    /// gaps.
    pub losses: Option<Losses>,
    /// The ring.
    pub ring: Option<Ring>,
    /// Events without a site.
    pub without_site: u64,
    /// Every probe of the plan.
    pub probes: Vec<ProbeRow>,
    /// The receivers.
    pub sinks: Vec<SinkRow>,
}

/// What happened to everything that the probes saw. `seen` is the sum of the other three.
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

/// The losses of a report.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct LossRow {
    /// Those that have a count.
    #[serde(flatten)]
    pub counted: Losses,
    /// Whether a trace ends before its run did. Then the number of later events is not known.
    pub not_in_trace: bool,
    /// When the last loss was noticed, in nanoseconds like [`Report::at_ns`]; absent without a loss.
    pub last_at_ns: Option<u64>,
}

/// The ring.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ring {
    /// Its size.
    pub bytes: u64,
    /// Bytes that were in it and not read yet.
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
    /// Whether it is attached.
    pub state: ProbeState,
    /// Why not, if it is not.
    pub why: Option<String>,
    /// How often it has run, by the kernel's own statistics; absent while these are off.
    pub runs: Option<u64>,
    /// How many nanoseconds it has run, by the same statistics.
    pub run_time_ns: Option<u64>,
    /// Runs that the kernel skipped.
    pub missed: u64,
}

/// Whether a probe is attached.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ProbeState {
    /// It is attached.
    Attached,
    /// This kernel does not need it.
    NotNeeded,
    /// This kernel does not offer it.
    NotOffered,
    /// krcu could not find out whether the kernel offers it.
    NotLookedAt,
}

/// A receiver of reports or events.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SinkRow {
    /// Its name.
    pub name: String,
    /// Its state.
    pub state: SinkState,
    /// How much it did not get because it was slow.
    pub dropped: u64,
    /// One sentence, if it does not work, or not as it should.
    pub why: Option<String>,
}

/// The state of a sink.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum SinkState {
    /// It works.
    Working,
    /// It has not taken everything that it was given.
    Slow,
    /// It does not work any more.
    Failed,
}
