//! Doubles: finds out whether an object that is handed over was queued already.

use crate::{
    event::{Blind, CacheAddress, ObjectAddress},
    promise::doubles::Double,
    state::{
        State,
        id::{CacheId, Mark},
        stack::StackId,
    },
};

impl State {
    /// Objects of a cache's life that surely were handed over twice.
    pub(crate) fn queued_twice(&self, life: CacheId) -> u64 {
        self.doubles.get(&life).map_or(0, |doubles| doubles.proved(&self.gaps).0)
    }

    /// Keeps a double: an object was handed over again while it was queued already.
    pub(super) fn keep_double(&mut self, address: CacheAddress, life: CacheId, double: Double) {
        let doubles = self.doubles.entry(life).or_default();
        doubles.address = address;
        doubles.add(double);
    }

    /// The callback that waits, with its head in this object.
    pub(super) fn callback_in(
        &self,
        address: CacheAddress,
        object: ObjectAddress,
    ) -> Option<(Mark, StackId)> {
        let cache = self.caches.get(&address).filter(|cache| cache.callbacks_waiting > 0)?;
        let end = object.0.saturating_add(u64::from(cache.life.facts.object_size.max(1)));
        let mut inside = self.ledger.callbacks.range(object..ObjectAddress(end));
        let waiting = inside.find(|(_, waiting)| waiting.life == cache.life.id)?.1;
        Some((waiting.queued, waiting.stack))
    }

    /// The `kfree_rcu()` that waits, of the object in which this head lies.
    pub(super) fn queued_around(
        &self,
        address: CacheAddress,
        head: ObjectAddress,
    ) -> Option<(Mark, StackId)> {
        let cache = self.caches.get(&address).filter(|cache| !cache.outstanding.is_empty())?;
        if self.watch.blind.contains(&Blind::Frees) {
            return None;
        }
        // Both lie at addresses that a pointer divides.
        let size = u64::from(cache.life.facts.object_size.max(1));
        let starts = (0..size).step_by(size_of::<u64>()).map_while(|offset| head.0.checked_sub(offset));
        let mut found = starts.filter_map(|start| cache.outstanding.get(ObjectAddress(start)));
        found.next().map(|entry| (entry.queued, entry.stack))
    }
}
