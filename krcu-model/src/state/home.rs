//! Home: the cache that the heads of callbacks in a module's text are in.

use crate::state::{
    deferral::Deferral,
    deferred::Waiting,
    function::FunctionId,
    id::{CacheId, Mark},
};

/// Kinds of callbacks that are kept apart. The oldest of more is forgotten.
const APART: usize = 64;

/// The last callbacks in a module's text, by the cache that their heads are in.
#[derive(Clone, Debug, Default)]
pub(crate) struct ByHome {
    homes: Vec<Home>,
    /// Callbacks of those that were forgotten.
    forgotten: u64,
}

/// Callbacks of one kind, with heads in objects of one cache, or elsewhere.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Home {
    life: CacheId,
    /// None of `call_rcu()`.
    pub(crate) deferral: Option<Deferral>,
    pub(crate) last: Mark,
    /// The function of that one.
    pub(crate) function: FunctionId,
    /// How many there were.
    pub(crate) ever: u64,
}

impl ByHome {
    /// One more was queued; the deferral is none of `call_rcu()`.
    pub(crate) fn queued(&mut self, waiting: &Waiting) {
        let Waiting { life, deferral, queued, chain, function, .. } = *waiting;
        let last = chain.map_or(queued, |chain| chain.since);
        if let Some(known) = self.homes.iter_mut().find(|home| home.life == life && home.deferral == deferral)
        {
            (known.last, known.function) = (last, function);
            known.ever += 1;
            return;
        }
        self.homes.push(Home { life, deferral, last, function, ever: 1 });
        if self.homes.len() > APART
            && let Some(oldest) = (0..self.homes.len()).min_by_key(|place| self.homes[*place].last)
        {
            self.forgotten += self.homes.swap_remove(oldest).ever;
        }
    }

    /// How many there ever were whose heads are not in this cache, or may not be.
    pub(crate) fn foreign_ever(&self, life: CacheId) -> u64 {
        self.forgotten + self.foreign(life, 0).map(|home| home.ever).sum::<u64>()
    }

    /// Those whose heads are not in this cache, and that were queued at this position or later.
    pub(crate) fn foreign(&self, life: CacheId, since: u64) -> impl Iterator<Item = &Home> {
        self.homes.iter().filter(move |home| home.life != life && home.last.position >= since)
    }
}
