//! Gather: the notes of one replay for a what-if. The notes themselves are [`krcu_report::gather`]'s, which an agent has too;
//! here every deferred free is kept, on disk.

use std::collections::BTreeMap;

use krcu_model::{Event, State};
use krcu_reference::simulate::MOST_LEAKED;
use krcu_report::gather::{self, Deferred, Kept};

use super::{
    WhatIfError,
    stretch::{Asked, Names, Stretches},
};
use crate::tables::TablesError;

/// Notes of one replay.
pub struct Gather {
    notes: gather::Gather,
    stretches: Stretches,
    names: Names,
}

impl Gather {
    /// Nothing seen yet; so many deferred frees are to be simulated together.
    ///
    /// # Errors
    /// When there is no room for notes.
    pub fn new(together: u64) -> Result<Gather, TablesError> {
        Ok(Gather {
            notes: gather::Gather::new(Kept::TRACE),
            stretches: Stretches::new(together)?,
            names: BTreeMap::new(),
        })
    }

    /// Whether a note could not be written: what follows is in vain.
    #[must_use]
    pub fn has_failed(&self) -> bool {
        self.stretches.has_failed()
    }

    /// Notes an event that the state takes next. A deferred free that this returns is to be kept once the state has taken it.
    #[must_use]
    pub fn see(&mut self, event: &Event, state: &State) -> Option<Deferred<krcu_model::event::CacheAddress>> {
        self.notes.see(event, state)
    }

    /// Keeps a deferred free that the state has taken.
    pub fn keep(&mut self, deferred: Deferred<krcu_model::event::CacheAddress>, state: &State) {
        let Some(cache) = state.cache_at(deferred.cache) else { return };
        let life = cache.life.id;
        self.names
            .entry(life)
            .or_insert_with(|| (cache.life.facts.name.clone(), cache.life.facts.object_size));
        let Deferred { at, cpu, by, .. } = deferred;
        self.stretches.push(Deferred { at, cache: life, cpu, by }, state);
    }

    /// What the machine is asked, at the end of the replay.
    ///
    /// # Errors
    /// When there is nothing to simulate, or too much.
    pub fn finish(mut self, state: &State) -> Result<Asked, WhatIfError> {
        let destroys = self.notes.destroys(state);
        if destroys.is_empty() {
            return Err(WhatIfError::NoDestroy);
        }
        if let Some(leaked) =
            destroys.iter().map(gather::Destroyed::leaked).find(|leaked| *leaked > MOST_LEAKED)
        {
            return Err(WhatIfError::TooMany { what: "leaked objects", found: leaked, limit: MOST_LEAKED });
        }
        for destroy in state.destroys() {
            let facts = &destroy.life.facts;
            self.names.insert(destroy.life.id, (facts.name.clone(), facts.object_size));
        }
        let frame = self.notes.frame(state, &destroys);
        let begin = self.notes.begin(state);
        let barriers = self.notes.bystanders(state).collect();
        let kept = self.stretches.finish()?;
        Ok(Asked { kept, begin, names: self.names, destroys, barriers, frame })
    }
}
