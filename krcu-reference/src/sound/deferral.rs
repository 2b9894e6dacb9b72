//! Deferral: a free that was deferred, how far it is, and by whom it is ordered.

use super::setup::{Actor, How, Then, Wait};

/// How far a deferred free is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Stage {
    /// It waits for a grace period.
    Queued,
    /// The call that frees, or the callback, has begun.
    Begun,
    /// It has done what it does with its object.
    Done,
    /// It has returned.
    Returned,
    /// The work that the callback has queued has freed the object; or what it handed the object on to.
    LaterDone,
    /// That work has returned.
    LaterReturned,
}

/// A deferred free.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Deferral {
    pub(super) how: How,
    pub(super) then: Then,
    pub(super) object: u8,
    pub(super) by: Actor,
    /// The place of the callback that queued it, if one did.
    pub(super) after: Option<u8>,
    pub(super) stage: Stage,
    pub(super) in_grace: bool,
    pub(super) ready: bool,
    /// The tasks that know of a barrier of their own kind that covers it.
    pub(super) covered: u8,
    /// The tasks that know that its work was flushed after that.
    pub(super) flushed: u8,
    /// Whether the barrier inside of the destroy is what covered it.
    pub(super) inner: bool,
    /// Whether what it was handed on to has freed the object.
    pub(super) is_late: bool,
}

impl Deferral {
    pub(super) fn is_kfree_rcu(&self) -> bool {
        self.how == How::KfreeRcu
    }

    /// Whether its object is still held by it.
    pub(super) fn holds(&self) -> bool {
        self.stage < Stage::Done || (self.works_on_it() && self.stage < Stage::LaterDone)
    }

    /// Whether its callback queues a work that frees the object.
    pub(super) fn works_on_it(&self) -> bool {
        matches!(self.then, Then::QueuesWork | Then::QueuesWorkForTwo)
    }

    /// The objects that it frees.
    pub(super) fn objects(&self) -> impl Iterator<Item = u8> {
        self.then.objects(self.object)
    }

    /// Whether its object has been handed on to something unfollowed, and is not free.
    pub(super) fn has_handed_on(&self) -> bool {
        matches!(self.then, Then::HandsOn | Then::QueuesOtherWork)
            && self.stage >= Stage::Done
            && !self.is_late
    }

    /// Callbacks and works of it that are still to return.
    pub(super) fn open(&self) -> u8 {
        let is_work_queued = self.queues_work() && (Stage::Done..Stage::LaterReturned).contains(&self.stage);
        u8::from(self.stage < Stage::Returned) + u8::from(is_work_queued)
    }

    /// Whether its callback queues a work.
    pub(super) fn queues_work(&self) -> bool {
        self.works_on_it() || self.then == Then::QueuesOtherWork
    }

    /// Whether this task's teardown has ordered it.
    pub(super) fn is_ordered(&self, actor: Actor) -> bool {
        let by = if self.queues_work() { self.flushed } else { self.covered };
        by & actor.bit() != 0
    }

    pub(super) fn is_waited_for(&self, wait: Wait) -> bool {
        match wait {
            Wait::Rcu | Wait::Chance => matches!(self.how, How::CallRcu | How::Elsewhere),
            Wait::Srcu => self.how == How::CallSrcu,
            Wait::Kvfree => self.is_kfree_rcu(),
            Wait::Flush => self.queues_work() && self.stage >= Stage::Done,
        }
    }

    /// Whether a barrier has waited enough for it.
    pub(super) fn is_over(&self, wait: Wait) -> bool {
        self.stage >= if wait == Wait::Flush { Stage::LaterReturned } else { Stage::Returned }
    }
}
