//! Barriers: the tasks that wait in a barrier, what they wait for, and how long finished barriers took.
//!
//! A destroy counts as a barrier: it may wait from its entry to its look at the slabs, whether or not it
//! calls the function of a barrier.

use std::collections::{BTreeMap, VecDeque};

use krcu_common::BarrierKind;
use serde::{Deserialize, Serialize};

use crate::{
    histogram::Histogram,
    why::{self, Graces, WaitsFor},
};
use krcu_model::{
    event::{CacheAddress, Event, Gap, Scope, Task, Time, What},
    state::{Destroy, Mark, State},
};

/// How many finished barriers are kept.
const MOST_FINISHED: usize = 64;
/// How many running barriers are kept. If there are more, the oldest are forgotten.
const MOST_OPEN: usize = 256;

/// The function in which a task waits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum WaitKind {
    /// `rcu_barrier()`.
    RcuBarrier,
    /// `kvfree_rcu_barrier()`.
    KvfreeRcuBarrier,
    /// `kvfree_rcu_barrier_on_cache()`.
    KvfreeRcuBarrierOnCache,
    /// `kmem_cache_destroy()`, until it looks at its slabs.
    Destroy,
}

/// The call of a barrier.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct BarrierCall {
    /// The function.
    pub kind: WaitKind,
    /// The cache of the destroy, if this is a destroy or is inside of one. For a finished barrier, else the
    /// cache that it was for.
    pub cache: Option<String>,
    /// Whether it is inside a destroy, in the same task.
    pub inside_destroy: bool,
    /// The task.
    pub task: u32,
    /// The name of the task, if a destroy has reported it.
    pub comm: Option<String>,
    /// When it began, in nanoseconds like the report's `at_ns`.
    pub began_ns: u64,
}

/// A barrier in which a task waits.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct BarrierRow {
    /// The call.
    #[serde(flatten)]
    pub call: BarrierCall,
    /// How long it has been waiting, in nanoseconds.
    pub since_ns: u64,
    /// What it could wait for when it began: the deferred frees of all caches; for `rcu_barrier()`,
    /// callbacks.
    pub at_begin: u64,
    /// What was queued of that cache before it began and is still outstanding.
    pub own_outstanding: u64,
    /// The same for all other caches.
    pub other_outstanding: u64,
    /// Whether it may be over: events were lost since it began, and its end may be among them.
    pub end_may_be_unseen: bool,
    /// Whose objects these are, and how far RCU is with the oldest; an older agent does not say so.
    #[serde(default)]
    pub waits_for: WaitsFor,
}

/// A finished barrier.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FinishedBarrier {
    /// The call.
    #[serde(flatten)]
    pub call: BarrierCall,
    /// How long it took, in nanoseconds.
    pub wait_ns: u64,
    /// What it could wait for when it began, as in [`BarrierRow::at_begin`].
    pub at_begin: u64,
}

impl WaitKind {
    /// All of them.
    pub const ALL: [WaitKind; 4] = [
        WaitKind::RcuBarrier,
        WaitKind::KvfreeRcuBarrier,
        WaitKind::KvfreeRcuBarrierOnCache,
        WaitKind::Destroy,
    ];

    /// The function, as the kernel calls it.
    #[must_use]
    pub fn function(self) -> &'static str {
        match self {
            WaitKind::RcuBarrier => BarrierKind::Rcu.function(),
            WaitKind::KvfreeRcuBarrier => BarrierKind::Kvfree.function(),
            WaitKind::KvfreeRcuBarrierOnCache => BarrierKind::KvfreeOnCache.function(),
            WaitKind::Destroy => "kmem_cache_destroy",
        }
    }
}

impl WaitKind {
    /// That of a barrier; none of one for another kind of RCU or for works, which are not shown.
    fn of(kind: BarrierKind) -> Option<WaitKind> {
        match kind {
            BarrierKind::Rcu => Some(WaitKind::RcuBarrier),
            BarrierKind::Kvfree => Some(WaitKind::KvfreeRcuBarrier),
            BarrierKind::KvfreeOnCache => Some(WaitKind::KvfreeRcuBarrierOnCache),
            _ => None,
        }
    }
}

#[derive(Clone, Debug)]
struct Open {
    kind: WaitKind,
    task: Task,
    begin: Mark,
    at_begin: u64,
}

impl BarrierCall {
    fn new(kind: WaitKind, task: Task, begin: Mark, state: &State) -> BarrierCall {
        let destroy = around(state, task, begin);
        BarrierCall {
            kind,
            cache: destroy.map(|destroy| destroy.life.facts.name.clone()),
            inside_destroy: destroy.is_some() && kind != WaitKind::Destroy,
            task: task.0,
            comm: destroy.map(|destroy| destroy.caller.comm.clone()),
            began_ns: begin.time.since(state.watch().attached),
        }
    }
}

/// The barriers that are kept.
#[derive(Clone, Debug, Default)]
pub(super) struct Waits {
    open: VecDeque<Open>,
    finished: VecDeque<FinishedBarrier>,
    histograms: BTreeMap<WaitKind, Histogram>,
    /// After this time, no end of a barrier was lost.
    lost_until: Option<Time>,
}

impl Waits {
    /// Sees an event of a barrier or a destroy before the state takes it.
    pub(super) fn see(&mut self, event: &Event, state: &State) {
        let (task, mark) = (event.task, Mark { position: state.position() + 1, time: event.time });
        match &event.what {
            What::BarrierBegin { barrier, .. } => {
                if let Some(kind) = WaitKind::of(*barrier) {
                    self.begins(kind, task, mark, state);
                }
            }
            What::DestroyBegin { facts, .. } if facts.refcount == 1 => {
                self.begins(WaitKind::Destroy, task, mark, state);
            }
            What::BarrierEnd { barrier, cache, .. } => {
                if let Some(kind) = WaitKind::of(*barrier) {
                    self.ends(kind, event, *cache, state);
                }
            }
            What::ShutdownBegin { cache, .. } => self.ends(WaitKind::Destroy, event, Some(*cache), state),
            _ => {}
        }
    }

    /// Sees a loss.
    pub(super) fn see_gap(&mut self, gap: &Gap) {
        if matches!(gap.scope, Scope::Everything | Scope::Barriers) {
            self.lost_until = self.lost_until.max(Some(gap.until));
        }
    }

    fn begins(&mut self, kind: WaitKind, task: Task, begin: Mark, state: &State) {
        // If an older barrier of this kind is open in this task, its end was not seen.
        self.open.retain(|open| open.kind != kind || open.task != task);
        if self.open.len() == MOST_OPEN {
            self.open.pop_front();
        }
        let at_begin = match kind {
            WaitKind::RcuBarrier => state.view().ledger.callbacks.len() as u64,
            WaitKind::KvfreeRcuBarrier | WaitKind::KvfreeRcuBarrierOnCache | WaitKind::Destroy => {
                state.outstanding()
            }
        };
        self.open.push_back(Open { kind, task, begin, at_begin });
    }

    fn ends(&mut self, kind: WaitKind, event: &Event, address: Option<CacheAddress>, state: &State) {
        let is_it = |open: &Open| open.kind == kind && open.task == event.task;
        let Some(place) = self.open.iter().rposition(is_it) else { return };
        let Some(Open { begin, at_begin, .. }) = self.open.remove(place) else { return };
        let wait_ns = event.time.since(begin.time);
        self.histograms.entry(kind).or_default().add(wait_ns);
        let mut call = BarrierCall::new(kind, event.task, begin, state);
        let of_address = || Some(state.view().caches.get(&address?)?.life.facts.name.clone());
        call.cache = call.cache.or_else(of_address);
        self.finished.push_front(FinishedBarrier { call, wait_ns, at_begin });
        self.finished.truncate(MOST_FINISHED);
    }

    /// The barriers in which a task waits now, the oldest first.
    pub(super) fn running(
        &self,
        (state, now): (&State, Time),
        graces: &Graces,
        most: usize,
    ) -> Vec<BarrierRow> {
        self.open
            .iter()
            .filter(|open| !is_over(open, state))
            .take(most)
            .map(|open| self.row(open, (state, now), graces))
            .collect()
    }

    fn row(&self, open: &Open, (state, now): (&State, Time), graces: &Graces) -> BarrierRow {
        let Open { kind, task, begin, at_begin } = open;
        let destroy = around(state, *task, *begin);
        let of_each = why::by_cache(*kind, *begin, state);
        let own = destroy.and_then(|destroy| of_each.get(&destroy.life.id)).copied().unwrap_or(0);
        BarrierRow {
            call: BarrierCall::new(*kind, *task, *begin, state),
            since_ns: now.since(begin.time),
            at_begin: *at_begin,
            own_outstanding: own,
            other_outstanding: of_each.values().sum::<u64>() - own,
            end_may_be_unseen: self.lost_until.is_some_and(|lost| lost >= begin.time),
            waits_for: why::waits_for((*kind, *begin), &of_each, (state, now), graces),
        }
    }

    /// The finished barriers, the newest first.
    pub(super) fn finished(&self, most: usize) -> Vec<FinishedBarrier> {
        self.finished.iter().take(most).cloned().collect()
    }

    pub(super) fn histograms(&self) -> BTreeMap<WaitKind, Histogram> {
        self.histograms.clone()
    }
}

/// The destroy that this task was in when something began.
fn around(state: &State, task: Task, begin: Mark) -> Option<&Destroy> {
    let destroy = state.destroy(state.open_destroy_of(task)?)?;
    (destroy.look.is_none() && destroy.begin <= begin).then_some(destroy)
}

/// Whether a destroy has ended although its look was not seen.
fn is_over(open: &Open, state: &State) -> bool {
    open.kind == WaitKind::Destroy && around(state, open.task, open.begin).is_none()
}
