//! Health: counts of what each sink did and dropped. The sinks count; the reports read.

use std::sync::{
    Mutex, OnceLock, PoisonError,
    atomic::{AtomicU64, Ordering},
};

use krcu_report::{SinkRow, SinkState};

use super::{confine::Confined, log::Log};
use crate::probe::Fill;

/// A count. It only rises, or it goes up and down.
#[derive(Debug, Default)]
pub(super) struct Count(AtomicU64);

impl Count {
    pub(super) fn add(&self, more: u64) {
        self.0.fetch_add(more, Ordering::Relaxed);
    }

    pub(super) fn one_more(&self) {
        self.add(1);
    }

    pub(super) fn one_less(&self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }

    pub(super) fn set(&self, now: u64) {
        self.0.store(now, Ordering::Relaxed);
    }

    pub(super) fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// The counts of the socket.
#[derive(Debug, Default)]
pub(super) struct SocketHealth {
    /// Clients that are connected.
    pub(super) clients: Count,
    /// Clients that said hello.
    pub(super) served: Count,
    /// Clients that were disconnected because there were too many.
    pub(super) too_many: Count,
    /// Clients that were disconnected because they sent nothing.
    pub(super) slow_hello: Count,
    /// Clients that were disconnected because they did not send a hello.
    pub(super) garbage: Count,
    /// Clients that were disconnected because their line was too long.
    pub(super) oversized: Count,
    /// Clients that were disconnected because they did not read.
    pub(super) stalled: Count,
    /// Reports that slow clients never got.
    pub(super) reports_lost: Count,
}

impl SocketHealth {
    /// The sum of the clients that were disconnected.
    pub(super) fn dropped(&self) -> u64 {
        let all = [&self.too_many, &self.slow_hello, &self.garbage, &self.oversized, &self.stalled];
        all.iter().map(|count| count.get()).sum()
    }
}

/// The counts of the metrics' port.
#[derive(Debug, Default)]
pub(super) struct MetricsHealth {
    /// Requests that were answered.
    pub(super) served: Count,
    /// Requests for something else.
    pub(super) refused: Count,
    /// Connections that took too long, or did not speak HTTP.
    pub(super) broken: Count,
    /// Connections that were the oldest when there were too many.
    pub(super) displaced: Count,
}

/// The counts of the recorder.
#[derive(Debug, Default)]
pub(super) struct RecorderHealth {
    /// Traces that were begun.
    pub(super) begun: Count,
    /// Traces that were deleted to make room.
    pub(super) deleted: Count,
    /// Of these, those that held a flagged verdict.
    pub(super) flagged_deleted: Count,
    /// Traces of the folder that hold a flagged verdict or what led to it, at the last look.
    pub(super) flagged: Count,
    /// The bytes of these.
    pub(super) flagged_bytes: Count,
    /// How often such a trace could not be marked.
    pub(super) unmarked: Count,
    /// Traces that were cut short.
    pub(super) cut_short: Count,
    /// Why nothing is recorded now.
    pub(super) why: Mutex<Option<String>>,
    /// Why the bound of all traces is not kept: entries that cannot be counted or deleted.
    pub(super) left_out: Mutex<Option<String>>,
}

impl RecorderHealth {
    /// Takes how many flagged traces the folder holds, and their bytes.
    pub(super) fn holds(&self, (traces, bytes): (u64, u64)) {
        self.flagged.set(traces);
        self.flagged_bytes.set(bytes);
    }

    fn why_unmarked(&self) -> Option<String> {
        let unmarked = self.unmarked.get();
        (unmarked > 0).then(|| {
            format!(
                "a trace with a flagged verdict could not be marked ({unmarked} in all): the log says why"
            )
        })
    }
}

/// The counts of all sinks.
#[derive(Debug, Default)]
pub(super) struct Health {
    pub(super) socket: SocketHealth,
    pub(super) metrics: MetricsHealth,
    pub(super) recorder: RecorderHealth,
    /// What the agent has given up, once it has tried.
    pub(super) confined: OnceLock<Confined>,
    /// How full the tables of the probes were at the last look.
    pub(super) fills: Mutex<Vec<Fill>>,
}

impl Health {
    /// A row for each sink of this agent.
    pub(super) fn rows(&self, log: &Log, has: Present) -> Vec<SinkRow> {
        let row = |name: &str, state, dropped, why| SinkRow { name: name.to_owned(), state, dropped, why };
        let slow = |dropped| if dropped == 0 { SinkState::Working } else { SinkState::Slow };
        let (dropped, why) = (log.dropped(), log.why());
        let state = if why.is_some() { SinkState::Failed } else { slow(dropped) };
        let mut rows = vec![row("log", state, dropped, why)];
        if has.socket {
            let lost = self.socket.reports_lost.get();
            rows.push(row("socket", slow(lost), lost + self.socket.dropped(), None));
        }
        if has.metrics {
            rows.push(row(
                "metrics",
                SinkState::Working,
                self.metrics.broken.get() + self.metrics.displaced.get(),
                None,
            ));
        }
        if has.recorder {
            let of =
                |told: &Mutex<Option<String>>| told.lock().unwrap_or_else(PoisonError::into_inner).clone();
            let why = of(&self.recorder.why);
            let state = if why.is_some() { SinkState::Failed } else { SinkState::Working };
            let why = why.or_else(|| of(&self.recorder.left_out)).or_else(|| self.recorder.why_unmarked());
            rows.push(row("recorder", state, self.recorder.cut_short.get(), why));
        }
        rows
    }
}

/// The sinks of this agent. There is always a log.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Present {
    pub(super) socket: bool,
    pub(super) metrics: bool,
    pub(super) recorder: bool,
}
