//! Domains: callbacks of other kinds of RCU than `call_rcu()`, and works that callbacks queue; and the barriers for them.
//!
//! | deferral | seen to end | what covers it |
//! | --- | --- | --- |
//! | `call_srcu()` | when its callback has returned | `srcu_barrier()` of the same domain |
//! | `call_rcu_tasks()`, `_rude()`, `_trace()` | the same | `rcu_barrier_tasks()`, `_rude()`, `_trace()` |
//! | `queue_rcu_work()` | when its work has returned | `flush_rcu_work()` of it; or `rcu_barrier()`, then `flush_workqueue()` of its queue |
//! | a work that a callback queues | when the work has returned | `rcu_barrier()`, then `flush_work()` of it or `flush_workqueue()` of its queue |
//!
//! `cleanup_srcu_struct()` is no barrier: it waits for no callback, and warns if one is outstanding. `drain_workqueue()` and
//! `destroy_workqueue()` call `flush_workqueue()`; `cancel_work_sync()` counts as `flush_work()`.
//!
//! What is assumed: a work is queued by the callback in whose run it is queued, if both functions lie in one module. What a
//! callback hands to a timer, to a thread, or to a delayed work is not followed.

use std::collections::BTreeMap;

use krcu_common::{BarrierKind, Flavour};

use crate::{
    event::{Domain, ObjectAddress, Task},
    state::{
        barriers::{Callers, Cover, Others, Returned},
        deferred::Waiting,
        function::FunctionId,
        id::{CacheId, Mark},
        moment::Queued,
        stack::Stack,
    },
};

/// A barrier function, and the address of what it is called for.
type Of = (BarrierKind, u64);

/// What deferrals have in common that the same barriers cover.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Deferral {
    /// The kind.
    pub flavour: Flavour,
    /// The `struct srcu_struct`; of works, the head or the work; 0 for those of a queue that are too many to be told apart.
    one: u64,
    /// The queue of works.
    queue: u64,
}

impl Deferral {
    /// One that was queued; none of `call_rcu()`, which is accounted for apart.
    pub(crate) fn of(domain: Domain, head: ObjectAddress) -> Option<Deferral> {
        let Domain { flavour, address } = domain;
        match flavour {
            Flavour::Rcu => None,
            Flavour::Srcu => Some(Deferral { flavour, one: address, queue: 0 }),
            Flavour::Tasks | Flavour::TasksRude | Flavour::TasksTrace => {
                Some(Deferral { flavour, one: 0, queue: 0 })
            }
            Flavour::RcuWork | Flavour::Work => Some(Deferral { flavour, one: head.0, queue: address }),
        }
    }

    fn is_work(self) -> bool {
        matches!(self.flavour, Flavour::RcuWork | Flavour::Work)
    }

    /// The barriers that cover it: any of these.
    fn covered_by(self) -> impl Iterator<Item = Of> {
        let kind = match self.flavour {
            Flavour::Rcu => BarrierKind::Rcu,
            Flavour::Srcu => BarrierKind::Srcu,
            Flavour::Tasks => BarrierKind::Tasks,
            Flavour::TasksRude => BarrierKind::TasksRude,
            Flavour::TasksTrace => BarrierKind::TasksTrace,
            Flavour::RcuWork => BarrierKind::RcuWork,
            Flavour::Work => BarrierKind::Work,
        };
        let of_queue = self.is_work().then_some((BarrierKind::Workqueue, self.queue));
        [(kind, self.one)].into_iter().chain(of_queue)
    }
}

/// Deferrals that are kept apart; beyond these, works are kept by their queue only.
const APART: usize = 64;

/// The last deferral of each kind.
#[derive(Clone, Debug, Default)]
pub struct Deferrals(BTreeMap<Deferral, Queued>);

impl Deferrals {
    /// One more was queued.
    pub(crate) fn queued(&mut self, deferral: Deferral, queued: Queued) {
        let add = |known: &mut Queued, one: Queued| {
            known.ever += one.ever;
            if known.last <= one.last {
                (known.last, known.stack) = (one.last, one.stack);
            }
        };
        add(self.0.entry(deferral).or_default(), queued);
        if self.0.len() > APART
            && let Some(oldest) = self.oldest_work()
            && let Some(merged) = self.0.remove(&oldest)
        {
            add(self.0.entry(Deferral { one: 0, ..oldest }).or_default(), merged);
        }
    }

    fn oldest_work(&self) -> Option<Deferral> {
        let works = self.0.iter().filter(|(deferral, _)| deferral.is_work() && deferral.one != 0);
        works.min_by_key(|(_, queued)| queued.last).map(|(deferral, _)| *deferral)
    }

    /// How many were ever queued.
    #[must_use]
    pub fn ever(&self) -> u64 {
        self.0.values().map(|queued| queued.ever).sum()
    }

    /// The stack of the last one.
    #[must_use]
    pub fn last(&self) -> Option<Queued> {
        self.0.values().max_by_key(|queued| queued.last).copied()
    }
}

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
        deferrals.0.iter().map(of).collect()
    }
}

/// The last callbacks in a module's text, by the cache that their heads are in.
#[derive(Clone, Debug, Default)]
pub(crate) struct ByHome(Vec<Home>);

/// Callbacks of one kind, with heads in objects of one cache, or elsewhere.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Home {
    life: CacheId,
    /// None of `call_rcu()`.
    pub(crate) deferral: Option<Deferral>,
    pub(crate) last: Mark,
    /// The function of that one.
    pub(crate) function: FunctionId,
}

impl ByHome {
    /// One more was queued; the deferral is none of `call_rcu()`.
    pub(crate) fn queued(&mut self, waiting: &Waiting) {
        let Waiting { life, deferral, queued: last, function, .. } = *waiting;
        if let Some(known) = self.0.iter_mut().find(|home| home.life == life && home.deferral == deferral) {
            (known.last, known.function) = (last, function);
            return;
        }
        self.0.push(Home { life, deferral, last, function });
        if self.0.len() > APART
            && let Some(oldest) = (0..self.0.len()).min_by_key(|place| self.0[*place].last)
        {
            self.0.swap_remove(oldest);
        }
    }

    /// Those whose heads are not in this cache, and that were queued at this position or later.
    pub(crate) fn foreign(&self, life: CacheId, since: u64) -> impl Iterator<Item = &Home> {
        self.0.iter().filter(move |home| home.life != life && home.last.position >= since)
    }
}
