//! Doubles: objects that were handed over to be freed while they were already queued.

use krcu_common::QueueForm;
use krcu_model::{
    event::{CacheAddress, ObjectAddress, Time, What},
    promise::Promise,
    state::Blind,
};

use super::{Naive, Place};

/// One of them: the cache, when it was queued first, and when it was queued again.
pub(crate) struct Double {
    pub(crate) life: usize,
    first: Time,
    second: Time,
}

impl Naive<'_> {
    /// All double frees that no loss can explain.
    pub(crate) fn doubles(&self) -> Vec<Double> {
        let mut doubles = Vec::new();
        for (place, event) in self.events.iter().enumerate() {
            let (life, firsts) = match &event.what {
                What::Queued { object, cache, form, .. } => {
                    let life = self.life_then(*cache, place);
                    let size = self.object_size_then(life, place).max(1);
                    let again = self.queued_then(life, place, |start| start == *object);
                    let is_fallback = |first: &Place| {
                        matches!(self.events[*first].what, What::Queued { form: QueueForm::Nolock, .. })
                            && *form == QueueForm::Head
                    };
                    let again = again.filter(|first| !is_fallback(first));
                    let inside = self.waits_then(life, place, |head| {
                        head.0.checked_sub(object.0).is_some_and(|offset| offset < size)
                    });
                    (life, [again, inside])
                }
                What::CallbackQueued { object: head, cache, .. } if self.sees(Blind::CallbackRuns) => {
                    let life = self.life_then(*cache, place);
                    let size = self.object_size_then(life, place).max(1);
                    let again = self.waits_then(life, place, |other| other == *head);
                    let around = self.queued_then(life, place, |start| {
                        head.0.checked_sub(start.0).is_some_and(|offset| offset < size && offset % 8 == 0)
                    });
                    (life, [again, around])
                }
                What::FreedAtOnce { object, cache } => {
                    let life = self.life_then(*cache, place);
                    (life, [self.queued_then(life, place, |start| start == *object), None])
                }
                _ => continue,
            };
            for first in firsts.into_iter().flatten() {
                let double = Double { life, first: self.time(first), second: event.time };
                let is_explained = self.gaps().any(|(_, gap)| {
                    gap.from <= double.second
                        && self.hides(gap, Promise::BarrierCovers, Some(life), double.first)
                });
                if !is_explained {
                    doubles.push(double);
                }
            }
        }
        doubles
    }

    /// The cache that an event at a place is about.
    fn life_then(&self, address: CacheAddress, place: Place) -> usize {
        let mut lives = self.lives.iter();
        let is_it = |life: &super::Life| {
            life.address == address
                && life.created.is_none_or(|created| created <= place)
                && life.gone.is_none_or(|gone| gone > place)
        };
        lives.position(is_it).unwrap_or(usize::MAX)
    }

    /// The size of the cache's objects, as known at that place.
    pub(super) fn object_size_then(&self, life: usize, place: Place) -> u64 {
        let mut sizes = self.events[..place].iter().filter_map(|event| match &event.what {
            What::CacheCreated { cache, facts, .. } | What::DestroyBegin { cache, facts, .. } => {
                Some((*cache, facts.object_size))
            }
            _ => None,
        });
        let address = self.lives.get(life).map(|life| life.address);
        sizes.rfind(|(cache, _)| Some(*cache) == address).map_or(0, |(_, size)| u64::from(size))
    }

    /// When an object was queued that `kfree_rcu()` had queued and that was not freed before a place.
    fn queued_then(&self, life: usize, place: Place, is_it: impl Fn(ObjectAddress) -> bool) -> Option<Place> {
        let is_there =
            |queued: Place, end: Option<Place>| queued < place && end.is_none_or(|end| end >= place);
        let mut found = self
            .deferred
            .iter()
            .filter(|e| e.life == life && is_it(e.object) && is_there(e.queued, e.freed.or(e.replaced)));
        found.next().filter(|_| self.sees(Blind::Frees)).map(|entry| entry.queued)
    }

    /// The same for a callback.
    fn waits_then(&self, life: usize, place: Place, is_it: impl Fn(ObjectAddress) -> bool) -> Option<Place> {
        let is_there =
            |queued: Place, end: Option<Place>| queued < place && end.is_none_or(|end| end >= place);
        let found = self
            .callbacks
            .iter()
            .filter(|c| c.life == life && is_it(c.object) && is_there(c.queued, c.ran.or(c.replaced)));
        let first = found.min_by_key(|callback| callback.object);
        first.filter(|_| self.sees(Blind::CallbackRuns)).map(|callback| callback.queued)
    }
}
