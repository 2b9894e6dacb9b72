//! Domains: how far barriers reach for other kinds of RCU than `call_rcu()`, and for works. [`deferral`](super::deferral) says
//! which barrier covers what.

use std::collections::{BTreeMap, BTreeSet};

use krcu_common::{BarrierKind, Flavour};

use crate::{
    event::Task,
    state::{
        barriers::{Callers, Cover, Others, Returned, Teardown},
        deferral::{BY_CALL_RCU, Before, Deferral, Deferrals, Of, Queued, Way},
        stack::Stack,
    },
};

/// How far barriers reach for the deferrals of one kind.
#[derive(Clone, Debug)]
pub struct Reach {
    /// Which.
    pub deferral: Deferral,
    /// The last that was queued; of a chain, what its last began with.
    pub(crate) last: u64,
    /// How far those of one task reach.
    own: u64,
    /// How far those of others do.
    others: Others,
}

impl Reach {
    /// Whether no barrier of the task covers the last one.
    #[must_use]
    pub fn is_open(&self) -> bool {
        self.last >= self.own
    }

    /// Whether these are callbacks of `call_rcu()` that callbacks queued.
    pub(crate) fn is_chain(&self) -> bool {
        self.deferral.flavour == Flavour::Rcu
    }

    /// Those that the init of this module called count as the task's own.
    pub(crate) fn in_exit_of(&mut self, module: &str) {
        self.own = self.own.max(self.others.init_of(module).map_or(0, |barrier| barrier.until));
    }

    /// By whom it is covered then.
    pub(crate) fn cover(&self, module: Option<&str>) -> Cover<'_> {
        self.cover_of(self, module)
    }

    /// By whom the last one that was queued at another moment was covered at this one.
    pub(crate) fn cover_of(&self, of: &Reach, module: Option<&str>) -> Cover<'_> {
        self.others.cover(of.last, module)
    }

    /// Another user of the cache has waited this far, and has let go of it since.
    pub(crate) fn joins(&mut self, other: &Reach) {
        if self.deferral == other.deferral {
            self.own = self.own.max(other.own);
        }
    }
}

/// Barriers that are kept, each with what it was called for. Those that returned first are forgotten first, so that what they
/// covered looks open.
const MOST: usize = 1024;

/// How far the barriers of other kinds of RCU reach.
#[derive(Clone, Debug, Default)]
pub(crate) struct Domains {
    barriers: BTreeMap<Way, Callers>,
    /// The flushes of works that have queued works.
    before: BTreeSet<Of>,
    /// The barriers for callbacks that have queued callbacks.
    chained: BTreeSet<Of>,
}

impl Domains {
    /// One returned.
    pub(crate) fn returned(&mut self, (of, before): (u64, Before), barrier: Returned, stack: &Stack) {
        let key = ((barrier.kind, of), before);
        self.barriers.entry(key).or_default().returned(barrier, stack, false);
        if self.barriers.len() > MOST
            && let Some(oldest) = self.barriers.iter().min_by_key(|(_, callers)| callers.newest())
        {
            let oldest = *oldest.0;
            self.barriers.remove(&oldest);
        }
    }

    /// The exit of this module has run in this task.
    pub(crate) fn has_exited(&mut self, task: Task, module: &str) {
        self.barriers.values_mut().for_each(|callers| callers.has_exited(task, module));
    }

    /// A task has waited for the work of a helper.
    pub(crate) fn awaited(&mut self, work: u64, task: Task, exit_of: Option<&str>) {
        self.barriers.values_mut().for_each(|callers| callers.awaited(work, task, exit_of));
    }

    /// A work has queued a work: what flushes the first is of interest from now on.
    pub(crate) fn queues(&mut self, work: Deferral) {
        self.before.extend(work.flushes_before());
        while self.before.len() > MOST {
            self.before.pop_first();
        }
    }

    /// A callback has queued a callback: what waits for the first is of interest from now on.
    pub(crate) fn chains(&mut self, callback: Deferral) {
        self.chained.extend(callback.barriers_before());
        while self.chained.len() > MOST {
            self.chained.pop_first();
        }
    }

    /// How far those of this task reach that wait for callbacks which have queued callbacks, this `rcu_barrier()` among them.
    pub(crate) fn before_chain(
        &self,
        (task, exit_of): (Task, Option<&str>),
        rcu: Option<(Before, u64)>,
    ) -> Vec<(Before, u64)> {
        let before = |way: &Way| match *way {
            (of, (None, None)) => Some((None, Some(of))),
            (of, (None, first)) => Some((Some(of), first)),
            _ => None,
        };
        let others = self.barriers.iter().filter(|(way, _)| self.chained.contains(&way.0));
        let others =
            others.filter_map(|(way, callers)| Some((before(way)?, callers.before(task, exit_of)?.until)));
        rcu.into_iter().filter(|_| self.chained.contains(&BY_CALL_RCU)).chain(others).collect()
    }

    /// How far those of this task reach that wait for callbacks, or for works that have queued works.
    pub(crate) fn before_flush(
        &self,
        task: Task,
        exit_of: Option<&str>,
    ) -> impl Iterator<Item = (Before, u64)> {
        let waits = |kind: BarrierKind| {
            matches!(
                kind,
                BarrierKind::Srcu | BarrierKind::Tasks | BarrierKind::TasksRude | BarrierKind::TasksTrace
            )
        };
        let before = move |way: &Way| match *way {
            (of, _) if waits(of.0) => Some((None, Some(of))),
            (of, (None, callback)) if self.before.contains(&of) => Some((Some(of), callback)),
            _ => None,
        };
        let until = move |callers: &Callers| Some(callers.before(task, exit_of)?.until);
        self.barriers.iter().filter_map(move |(way, callers)| Some((before(way)?, until(callers)?)))
    }

    /// How far the furthest of this teardown reaches for such a deferral.
    pub(crate) fn own(&self, deferral: Deferral, teardown: Teardown<'_>) -> u64 {
        let callers = deferral.covered_by().filter_map(|key| self.barriers.get(&key));
        callers.filter_map(|callers| callers.of(teardown)).map(|barrier| barrier.until).max().unwrap_or(0)
    }

    /// The same of those that the init of this module called.
    pub(crate) fn of_init(&self, deferral: Deferral, module: &str) -> u64 {
        let callers = deferral.covered_by().filter_map(|key| self.barriers.get(&key));
        let barriers = callers.filter_map(|callers| callers.others().init_of(module));
        barriers.map(|barrier| barrier.until).max().unwrap_or(0)
    }

    /// How far those of this teardown, and of others, reach for each of these.
    pub(crate) fn reach(&self, deferrals: &Deferrals, teardown: Teardown<'_>) -> Vec<Reach> {
        let of = |(deferral, queued): (&Deferral, &Queued)| {
            let last = queued.last.map_or(0, |last| last.position);
            let mut others = Others::default();
            for callers in deferral.covered_by().filter_map(|key| self.barriers.get(&key)) {
                others.join(callers.others());
            }
            Reach { deferral: *deferral, last, own: self.own(*deferral, teardown), others }
        };
        deferrals.iter().map(of).collect()
    }
}
