//! Callbacks: objects that were handed to `call_rcu()`, and the runs of their callbacks.

use krcu_common::FreePath;
use krcu_model::{
    Event,
    event::{CacheAddress, ObjectAddress, What},
    state::Blind,
};

use super::{Naive, Place, is_same_freer, lasts};

/// An object that was handed to `call_rcu()`.
pub(crate) struct Callback {
    pub(super) life: usize,
    /// The head, which identifies the callback.
    pub(crate) object: ObjectAddress,
    pub(crate) queued: Place,
    pub(super) returned: Option<Place>,
    pub(crate) ran: Option<Place>,
    /// It was queued once more, so one of its runs was not seen.
    pub(super) replaced: Option<Place>,
}

/// A callback that runs, until it returns.
pub(super) struct Run {
    life: usize,
    begin: Place,
    returned: Option<Place>,
    /// Whether its queueing was not seen.
    unknown: bool,
}

impl Naive<'_> {
    pub(super) fn callback_queued(&mut self, object: ObjectAddress, cache: CacheAddress, place: Place) {
        let life = self.life_at(cache);
        let is_queued = |c: &&mut Callback| c.object == object && c.ran.or(c.replaced).is_none();
        if let Some(before) = self.callbacks.iter_mut().find(is_queued) {
            before.replaced = Some(place);
        }
        let (returned, ran, replaced) = (None, None, None);
        self.callbacks.push(Callback { life, object, queued: place, returned, ran, replaced });
    }

    /// A callback runs. The parameter says whether its return is an event of its own.
    pub(super) fn callback_runs(&mut self, object: ObjectAddress, cache: Option<CacheAddress>, place: Place) {
        let waits = |c: &&mut Callback| c.object == object && c.ran.or(c.replaced).is_none();
        if let Some(callback) = self.callbacks.iter_mut().find(waits) {
            callback.ran = Some(place);
            let life = callback.life;
            self.look_for_readers(life, object, place);
            if cache.is_some() && self.lives[life].gone.is_none() {
                self.runs.push(Run { life, begin: place, returned: None, unknown: false });
            }
        } else if let Some(cache) = cache {
            let life = self.life_at(cache);
            if self.lives[life].created.is_none() && self.sees(Blind::CallbackRuns) {
                self.runs.push(Run { life, begin: place, returned: None, unknown: true });
            } else {
                self.unexplained.push((life, place));
            }
        }
    }

    pub(super) fn run_returns(&mut self, event: &Event, path: FreePath, place: Place) {
        for run in self.runs.iter_mut().filter(|_| path == FreePath::Callback) {
            if is_same_freer(&self.events[run.begin], event) && run.returned.is_none() {
                run.returned = Some(place);
            }
        }
    }

    /// Callbacks of a life that had not begun to run after the event at `now`.
    pub(super) fn waiting(&self, life: usize, now: Place) -> Vec<&Callback> {
        let waits = |c: &&Callback| c.life == life && lasts(c.queued, c.ran.or(c.replaced), now);
        let sees_runs = self.sees(Blind::CallbackRuns);
        self.callbacks.iter().filter(|_| sees_runs).filter(waits).collect()
    }

    /// Callbacks that had begun and not returned yet.
    pub(super) fn running(&self, life: usize, now: Place) -> u64 {
        self.runs.iter().filter(|run| run.life == life && lasts(run.begin, run.returned, now)).count() as u64
    }

    /// Runs of callbacks whose queueing was not seen, in a part of the list.
    pub(super) fn unknown_runs(&self, life: usize, from: Place, until: Place) -> u64 {
        self.unknown_run_places(life).filter(|begin| (from..until).contains(begin)).count() as u64
    }

    pub(super) fn unknown_run_places(&self, life: usize) -> impl Iterator<Item = Place> {
        self.runs.iter().filter(move |run| run.life == life && run.unknown).map(|run| run.begin)
    }

    /// Whether two of these heads are closer together than the length of an object.
    pub(super) fn may_share_objects(callbacks: &[&Callback], object_size: u32) -> bool {
        callbacks.iter().any(|one| {
            callbacks.iter().any(|other| {
                one.object.0 < other.object.0 && other.object.0 - one.object.0 < u64::from(object_size)
            })
        })
    }

    /// Callbacks of the cache at an address that have not run.
    pub(crate) fn waiting_callbacks_at(&self, address: CacheAddress, now: Place) -> u64 {
        let lives = (0..self.lives.len()).filter(|life| self.lives[*life].address == address);
        lives.map(|life| self.waiting(life, now).len() as u64).sum()
    }

    /// The event that says that a callback begins to run.
    pub(super) fn is_run(event: &Event) -> bool {
        matches!(event.what, What::CallbackRuns { .. })
    }
}
