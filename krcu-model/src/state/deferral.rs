//! Deferral: what was deferred by one function of the kernel. Of other kinds of RCU than `call_rcu()`, and of works that
//! callbacks queue, what barriers cover it.
//!
//! | deferral | seen to end when | what covers it |
//! | --- | --- | --- |
//! | `call_srcu()` | its callback has returned | `srcu_barrier()` of the same domain |
//! | `call_rcu_tasks()`, `_rude()`, `_trace()` | the same | `rcu_barrier_tasks()`, `_rude()`, `_trace()` |
//! | `queue_rcu_work()` | its work has returned | `flush_rcu_work()` of it, or an order of it |
//! | a work that a callback queues | the work has returned | an order of it |
//!
//! An order of a work is the barrier that waits for the callback which queues it, and then a `flush_work()` of it or a
//! `flush_workqueue()` of its queue: a work is surely queued only when that callback has run. The callback of
//! `queue_rcu_work()` is one of `call_rcu()`.
//!
//! A work that such a work queues needs one flush more: a flush waits for what was queued before it began.
//! `drain_workqueue()` repeats its flush until the queue is empty.
//!
//! A callback that a callback queues needs one barrier more: an order of it is the barrier that waits for the one which queues
//! it, and then its own. Of a longer chain two such barriers before the last are told apart, and a callback that queues itself
//! again is one callback.
//!
//! A flush that returns ends what was queued before it began, for a work that was cancelled before never runs.
//!
//! `cleanup_srcu_struct()` is no barrier: it waits for no callback, and warns if one is outstanding. `drain_workqueue()` and
//! `destroy_workqueue()` call `flush_workqueue()`; `cancel_work_sync()` counts as `flush_work()`.
//!
//! What is assumed: a work is queued by the callback in whose run it is queued, if both functions lie in one module. Of a work
//! whose function lies in another module the stack has to show it. What a callback hands to a timer, to a thread, or to a
//! delayed work is not followed.

use std::collections::BTreeMap;

use krcu_common::{BarrierKind, Flavour};

use crate::{
    event::{Domain, ObjectAddress},
    state::{deferred::Waiting, id::Mark, stack::StackId},
};

/// Everything that was deferred by one function of the kernel.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Queued {
    /// How many.
    pub ever: u64,
    /// When the last one was queued. A `kfree_rcu()` that freed within its own call does not count.
    pub last: Option<Mark>,
    /// The stack of the last one.
    pub stack: StackId,
}

/// One more callback was queued: by `call_rcu()`, which has an account of its own, or as another kind of deferral.
pub(crate) fn is_queued((callbacks, others): (&mut Queued, &mut Deferrals), waiting: &Waiting) {
    let Waiting { deferral, queued, stack, chain, .. } = *waiting;
    let is_rcu = waiting.is_of_call_rcu();
    if is_rcu {
        *callbacks = Queued { ever: callbacks.ever + 1, last: Some(queued), stack };
    }
    if let Some(deferral) = deferral {
        // Whatever covers one of a chain has to cover what the chain began with.
        let last = Some(chain.map_or(queued, |chain| chain.since));
        others.queued(deferral, Queued { ever: u64::from(!is_rcu), last, stack });
    }
}

/// A barrier function, and the address of what it is called for.
pub(crate) type Of = (BarrierKind, u64);

/// A barrier, and of a flush of works what has to stand before it.
pub(crate) type Way = (Of, Before);

/// What has to stand before a barrier of a chain: the barrier for what queues it, and before that one the barrier for what
/// queued that; one of a chain of two has the latter only. What has to stand before a flush of works: the flush of the
/// work that queues it, if a work does, and the barrier for the callback that all began with.
pub(crate) type Before = (Option<Of>, Option<Of>);

/// What waits for the callbacks of `call_rcu()`.
pub(crate) const BY_CALL_RCU: Of = (BarrierKind::Rcu, 0);

/// What deferrals have in common that the same barriers cover.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Deferral {
    /// The kind.
    pub flavour: Flavour,
    /// The `struct srcu_struct`; of works, the head or the work; 0 for those of a queue that are too many to be told apart.
    one: u64,
    /// The queue of works.
    queue: u64,
    /// Of works, what waits for the callback that queues it.
    after: Of,
    /// Of a work that another work queues: that one, and its queue.
    by_work: Option<(u64, u64)>,
    /// Of a callback that a callback queues, what has to stand before its barrier.
    before: Option<Before>,
}

impl Deferral {
    /// One that was queued; none of `call_rcu()`, which is accounted for apart.
    pub(crate) fn of(domain: Domain, head: ObjectAddress) -> Option<Deferral> {
        let Domain { flavour, address } = domain;
        let after = BY_CALL_RCU;
        match flavour {
            Flavour::Rcu => None,
            Flavour::Srcu => {
                Some(Deferral { flavour, one: address, queue: 0, after, by_work: None, before: None })
            }
            Flavour::Tasks | Flavour::TasksRude | Flavour::TasksTrace => {
                Some(Deferral { flavour, one: 0, queue: 0, after, by_work: None, before: None })
            }
            Flavour::RcuWork | Flavour::Work => {
                Some(Deferral { flavour, one: head.0, queue: address, after, by_work: None, before: None })
            }
        }
    }

    /// A callback of this domain that the run of another queues, which was deferred like this; `again` says that it is the same
    /// callback. Works are none.
    pub(crate) fn chained(domain: Domain, by: Option<Deferral>, again: bool) -> Option<Deferral> {
        let parent = by.map_or(BY_CALL_RCU, Deferral::own);
        let before = match by.and_then(|by| by.before) {
            Some(before) if again => before,
            Some((None, first)) => (Some(parent), first),
            Some((second, _)) => (Some(parent), second),
            None => (None, Some(parent)),
        };
        let rcu = Deferral {
            flavour: Flavour::Rcu,
            one: 0,
            queue: 0,
            after: BY_CALL_RCU,
            by_work: None,
            before: None,
        };
        let own = Deferral::of(domain, ObjectAddress(0)).unwrap_or(rcu);
        (!own.is_work()).then_some(Deferral { before: Some(before), ..own })
    }

    /// The barriers that have to stand before its own, of a callback that a callback queues.
    pub(crate) fn barriers_before(self) -> impl Iterator<Item = Of> {
        self.before.into_iter().flat_map(|(second, first)| second.into_iter().chain(first))
    }

    /// The same work, queued by a callback that was deferred like this.
    pub(crate) fn queued_by(self, callback: Option<Deferral>) -> Deferral {
        Deferral { after: callback.map_or(BY_CALL_RCU, Deferral::own), ..self }
    }

    /// The same work, queued by a work that was deferred like this; none if that one was queued by a work itself. A work that
    /// queues itself, with the same function, is one work.
    pub(crate) fn queued_by_work(self, work: Deferral, is_same_function: bool) -> Option<Deferral> {
        let is_itself = is_same_function && self.one == work.one;
        let by_work = if is_itself { work.by_work } else { Some((work.one, work.queue)) };
        (is_itself || work.by_work.is_none()).then_some(Deferral { after: work.after, by_work, ..self })
    }

    /// The flushes of the work that queues it.
    pub(crate) fn flushes_before(self) -> impl Iterator<Item = Of> {
        let of = |(one, queue)| {
            [(BarrierKind::Work, one), (BarrierKind::Workqueue, queue), (BarrierKind::RcuWork, one)]
        };
        self.by_work.map(of).into_iter().flatten()
    }

    /// Whether it is a work of this queue.
    pub(crate) fn is_of_queue(self, queue: u64) -> bool {
        self.is_work() && self.queue == queue
    }

    /// Whether it ends with the run of a work.
    pub(crate) fn is_work(self) -> bool {
        matches!(self.flavour, Flavour::RcuWork | Flavour::Work)
    }

    /// The barrier that waits for it alone, or for its kind.
    fn own(self) -> Of {
        let kind = match self.flavour {
            Flavour::Rcu => BarrierKind::Rcu,
            Flavour::Srcu => BarrierKind::Srcu,
            Flavour::Tasks => BarrierKind::Tasks,
            Flavour::TasksRude => BarrierKind::TasksRude,
            Flavour::TasksTrace => BarrierKind::TasksTrace,
            Flavour::RcuWork => BarrierKind::RcuWork,
            Flavour::Work => BarrierKind::Work,
        };
        (kind, self.one)
    }

    /// Whether nothing covers it without an `rcu_barrier()`.
    pub(crate) fn needs_rcu_barrier(self) -> bool {
        self.covered_by().all(|(of, (second, first))| [Some(of), second, first].contains(&Some(BY_CALL_RCU)))
    }

    /// The barriers that cover it: any of these.
    pub(crate) fn covered_by(self) -> impl Iterator<Item = Way> {
        let before = self.before.unwrap_or_default();
        let alone = (self.flavour != Flavour::Work).then_some((self.own(), before));
        let direct = self.by_work.is_none().then_some((None, Some(self.after)));
        // flush_rcu_work() waits for the callback itself.
        let after = |flush: Of| (Some(flush), (flush.0 != BarrierKind::RcuWork).then_some(self.after));
        let before: Vec<Before> = direct.into_iter().chain(self.flushes_before().map(after)).collect();
        let flushes = [(BarrierKind::Work, self.one), (BarrierKind::Workqueue, self.queue)];
        let flushes = flushes.into_iter().filter(move |_| self.is_work());
        let flushes =
            flushes.flat_map(move |flush| before.clone().into_iter().map(move |before| (flush, before)));
        alone.into_iter().chain(flushes)
    }
}

/// Whether `call_rcu()` was called for it.
pub(crate) fn is_of_call_rcu(deferral: Option<Deferral>) -> bool {
    deferral.is_none_or(|deferral| deferral.flavour == Flavour::Rcu)
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

    /// Each kind with its last.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (&Deferral, &Queued)> {
        self.0.iter()
    }

    /// How many were ever queued.
    #[must_use]
    pub fn ever(&self) -> u64 {
        self.0.values().map(|queued| queued.ever).sum()
    }

    /// The last one.
    #[must_use]
    pub fn last(&self) -> Option<Queued> {
        self.0.values().max_by_key(|queued| queued.last).copied()
    }

    /// The last one of these kinds.
    pub(crate) fn last_of(&self, kinds: impl IntoIterator<Item = Deferral>) -> Option<Queued> {
        kinds.into_iter().filter_map(|kind| self.0.get(&kind)).max_by_key(|queued| queued.last).copied()
    }
}
