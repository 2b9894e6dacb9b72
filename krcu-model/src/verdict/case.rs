//! Case: a destroy that is to be decided, with the questions that the rules ask about it.

use crate::{
    event::Blind,
    rules::Rule,
    state::{State, deferred::Waiting, destroy::Destroy},
    verdict::{
        decision::{Decision, Left},
        gather,
    },
};

/// The input of a rule.
#[derive(Clone, Copy)]
pub(crate) struct Case<'a> {
    pub(crate) state: &'a State,
    pub(crate) destroy: &'a Destroy,
    /// The number of queueing calls that were not seen.
    pub(crate) unseen_calls: u64,
}

impl Case<'_> {
    /// Whether the judge has this rule.
    pub(crate) fn has(&self, rule: Rule) -> bool {
        self.state.rules.has(rule)
    }

    /// Whether this cannot be seen during the watch.
    pub(crate) fn is_blind(&self, blind: Blind) -> bool {
        self.state.watch.blind.contains(&blind)
    }

    /// The module whose cache it is, where known.
    pub(crate) fn module(&self) -> Option<String> {
        gather::about(self.state, self.destroy).module
    }

    /// Callbacks of this cache that have returned and may have handed their object on, to a work item or a timer. That one
    /// has freed it is seen only where allocations are followed; a machine tells of it.
    pub(crate) fn handed_on(&self) -> u64 {
        if self.state.tells_all() || !self.has(Rule::HandedOn) {
            return 0;
        }
        let past = self.destroy.past();
        let sees_runs = self.state.sees_callbacks_run();
        // Where their runs are not seen, those that a barrier covers have returned.
        let returned =
            if sees_runs { past.freed_by.callback } else { past.callbacks.ever + past.others.ever() };
        let waiting = self.destroy.after.counts.callbacks() + self.destroy.after.counts.others();
        self.destroy.handed_over.map_or(returned, |held| held.saturating_sub(waiting).min(returned))
    }

    /// Callbacks of this cache that wait, and works that its callbacks have queued: each may free further objects of the cache.
    /// A machine's frees the object that its head is in.
    pub(crate) fn outstanding_callbacks(&self) -> u64 {
        if self.state.tells_all() {
            return 0;
        }
        let after = self.destroy.after.counts;
        let waiting = if self.has(Rule::SiblingsWait) { after.callbacks() + after.others() } else { 0 };
        let works = if self.has(Rule::WorksHaveSiblings) { self.destroy.works } else { 0 };
        waiting + works
    }

    /// Where allocations are told and all callbacks of this cache have run since and freed their own objects: the objects that
    /// nobody has freed.
    pub(crate) fn still_allocated(&self) -> Option<u64> {
        let Case { state, destroy, .. } = self;
        let cache = state.caches.get(&destroy.address).filter(|cache| cache.life.id == destroy.life.id)?;
        let waits = |(_, waiting): (_, &Waiting)| waiting.life == destroy.life.id;
        let has_run = cache.counts().running() == 0 && !state.ledger.callbacks.iter().any(waits);
        let is_over = has_run && !state.ledger.works().any(waits);
        (is_over && state.ledger.handed_over(destroy.address) == Some(0))
            .then(|| state.ledger.leaked(destroy.address))
    }

    /// What is known before anything is decided.
    pub(crate) fn undecided(&self) -> Decision {
        let counts = self.destroy.judged_at().counts;
        Decision {
            left: Left {
                frees: counts.frees(),
                being_freed: counts.being_freed,
                callbacks: self.callbacks_left(),
                others: counts.others(),
                ..Left::default()
            },
            ..Decision::default()
        }
    }

    /// The number of callbacks that had not run. If their runs cannot be seen, only a barrier proves that
    /// they have run.
    fn callbacks_left(&self) -> Option<u64> {
        if self.is_blind(Blind::Callbacks) {
            None
        } else if self.state.sees_callbacks_run() {
            Some(self.destroy.judged_at().counts.callbacks())
        } else if self.destroy.look.is_none() {
            (self.destroy.latest().callbacks.ever == 0).then_some(0)
        } else {
            (!self.destroy.has_open_callbacks()).then_some(0)
        }
    }

    /// This number of left callbacks, if it can be known.
    pub(crate) fn callbacks_if_known(&self, left: &Left, callbacks: u64) -> Option<u64> {
        if self.state.sees_callbacks_run() { left.callbacks.map(|_| callbacks) } else { left.callbacks }
    }
}
