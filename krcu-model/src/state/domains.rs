//! Domains: how far barriers reach for other kinds of RCU than `call_rcu()`, and for works. [`deferral`](super::deferral) says
//! which barrier covers what.

use std::collections::BTreeMap;

use crate::{
    event::Task,
    state::{
        barriers::{Callers, Cover, Others, Returned},
        deferral::{Deferral, Deferrals, Of, Queued},
        stack::Stack,
    },
};

/// How far barriers reach for the deferrals of one kind.
#[derive(Clone, Debug)]
pub struct Reach {
    /// Which.
    pub deferral: Deferral,
    /// The last that was queued.
    last: u64,
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

    /// Those that the init of this module called count as the task's own.
    pub(crate) fn in_exit_of(&mut self, module: &str) {
        self.own = self.own.max(self.others.init_of(module).map_or(0, |barrier| barrier.until));
    }

    /// By whom it is covered then.
    pub(crate) fn cover(&self, module: Option<&str>) -> Cover<'_> {
        self.others.cover(self.last, module)
    }
}

/// Barriers that are kept, each with what it was called for. Those that returned first are forgotten first, so that what they
/// covered looks open.
const MOST: usize = 1024;

/// How far the barriers of other kinds of RCU reach.
#[derive(Clone, Debug, Default)]
pub(crate) struct Domains {
    barriers: BTreeMap<Of, Callers>,
}

impl Domains {
    /// One returned.
    pub(crate) fn returned(&mut self, of: u64, barrier: Returned, stack: &Stack) {
        let key = (barrier.kind, of);
        self.barriers.entry(key).or_default().returned(barrier, stack, false);
        if self.barriers.len() > MOST
            && let Some(oldest) = self.barriers.iter().min_by_key(|(_, callers)| callers.newest())
        {
            let oldest = *oldest.0;
            self.barriers.remove(&oldest);
        }
    }

    /// How far the furthest of this task reaches for such a deferral.
    pub(crate) fn own(&self, deferral: Deferral, task: Task) -> u64 {
        let callers = deferral.covered_by().filter_map(|key| self.barriers.get(&key));
        callers.filter_map(|callers| callers.of(task)).map(|barrier| barrier.until).max().unwrap_or(0)
    }

    /// The same of those that the init of this module called.
    pub(crate) fn of_init(&self, deferral: Deferral, module: &str) -> u64 {
        let callers = deferral.covered_by().filter_map(|key| self.barriers.get(&key));
        let barriers = callers.filter_map(|callers| callers.others().init_of(module));
        barriers.map(|barrier| barrier.until).max().unwrap_or(0)
    }

    /// How far those of this task, and of others, reach for each of these.
    pub(crate) fn reach(&self, deferrals: &Deferrals, task: Task) -> Vec<Reach> {
        let of = |(deferral, queued): (&Deferral, &Queued)| {
            let last = queued.last.map_or(0, |last| last.position);
            let mut others = Others::default();
            for callers in deferral.covered_by().filter_map(|key| self.barriers.get(&key)) {
                others.join(callers.others());
            }
            Reach { deferral: *deferral, last, own: self.own(*deferral, task), others }
        };
        deferrals.iter().map(of).collect()
    }
}
