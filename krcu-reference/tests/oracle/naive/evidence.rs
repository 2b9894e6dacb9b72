//! Evidence: how a cache's objects were freed, and what a destroy waited for.

use krcu_common::FreePath;
use krcu_model::{
    event::{Scope, What},
    state::Blind,
    verdict::FreedBy,
};

use super::{Destroy, Naive, Place};

impl Naive<'_> {
    /// Deferred objects of a destroy's cache that were freed before a place.
    pub(super) fn freed_by(&self, destroy: &Destroy, before: Place) -> FreedBy {
        let life = destroy.life;
        let mut freed_by = FreedBy::default();
        for free in self.frees.iter().filter(|free| free.life == life && free.begin < before) {
            let is_own =
                self.deferred.iter().any(|entry| entry.within_call && entry.freed == Some(free.begin));
            *match free.path {
                _ if is_own => &mut freed_by.within_call,
                FreePath::Bulk => &mut freed_by.bulk,
                FreePath::Single => &mut freed_by.list,
                FreePath::Sheaf => &mut freed_by.sheaf,
                FreePath::Callback => &mut freed_by.callback,
            } += 1;
        }
        let ran = self.callbacks.iter().filter(|callback| callback.life == life);
        let ran = ran.filter(|callback| callback.ran.is_some_and(|ran| ran < before));
        let seen = if self.sees(Blind::CallbackRuns) { ran.count() as u64 } else { 0 };
        freed_by.callback += seen + self.unknown_runs(life, 0, before);
        freed_by
    }

    /// Deferred objects of other caches that were outstanding at a destroy's entry, and began to be freed before its look
    /// and before their cache was gone.
    pub(super) fn others_freed_while_it_waited(&self, destroy: &Destroy, look: Place) -> u64 {
        let others = self.deferred.iter().filter(|entry| entry.life != destroy.life);
        let of_these = others.filter(|entry| {
            let is_freed_meanwhile =
                |freed: Place| destroy.begin < freed && freed < look && !self.is_gone(entry.life, freed);
            entry.queued < destroy.begin && entry.freed.is_some_and(is_freed_meanwhile)
        });
        of_these.count() as u64
    }

    /// Normal grace periods that ended between a destroy's entry and its look, unless one was hidden.
    pub(super) fn graces_while_it_waited(&self, destroy: &Destroy) -> Option<u64> {
        let look = destroy.look?;
        let is_hidden = self.gaps().any(|(_, gap)| {
            matches!(gap.scope, Scope::Everything | Scope::Grace)
                && gap.from <= self.time(look)
                && gap.until >= self.time(destroy.begin)
        });
        let ended = self.events[destroy.begin..look]
            .iter()
            .filter(|event| matches!(event.what, What::GraceEnd { expedited: false }));
        (self.sees(Blind::Grace) && !is_hidden).then_some(ended.count() as u64)
    }
}
