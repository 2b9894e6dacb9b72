//! Caches: a row for each cache, with what is outstanding now.

use std::{
    cmp::Reverse,
    collections::{BTreeMap, BTreeSet},
};

use serde::{Deserialize, Serialize};

use krcu_model::{
    event::{ObjectAddress, Time},
    stack::StackId,
    state::{Born, Cache, CacheId, Destroy, Mark, State},
    verdict::FreedBy,
};

/// How many rows of released caches are kept.
const MOST_GONE: usize = 16;

/// A cache. Totals count from the moment at which the probes were attached.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CacheRow {
    /// Its number. It is never used again, unlike the address of a cache.
    pub id: u32,
    /// Its name. For a cache that is older than the probes, it is empty until the cache is destroyed.
    pub name: String,
    /// The module whose cache it is, where known.
    pub module: Option<String>,
    /// Bytes of an object; 0 when not known.
    pub object_bytes: u32,
    /// The phase of its life.
    pub phase: CachePhase,
    /// Whether it was created while the probes were attached. For other caches it is not known what was
    /// queued before.
    pub created_while_watched: bool,
    /// Whether its objects are counted, not followed one by one.
    pub counted: bool,
    /// Objects handed to `kfree_rcu()`.
    pub queued: u64,
    /// Callbacks in its objects handed to `call_rcu()`.
    pub callbacks: u64,
    /// Deferred objects that were freed.
    pub freed: u64,
    /// The same, by the way of freeing.
    pub freed_by: FreedBy,
    /// Objects handed to `kfree_rcu()` whose free has not begun.
    pub outstanding: u64,
    /// Objects whose free has begun, in a call that has not returned.
    pub being_freed: u64,
    /// Callbacks that have not begun to run; 0 if that cannot be seen.
    pub callbacks_waiting: u64,
    /// Age of the oldest that is outstanding or waiting, in nanoseconds.
    pub oldest_age_ns: Option<u64>,
    /// When an object of it was last queued or freed, in nanoseconds like the report's `at_ns`.
    pub last_activity_ns: u64,
    /// The number of the destroy that failed to empty it, or that released it.
    pub destroy: Option<u64>,
}

/// The phase of a cache's life.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum CachePhase {
    /// In use.
    Live,
    /// A task is destroying it.
    Destroying,
    /// Its destroy failed, and it stays for ever.
    Failed,
    /// It is gone.
    Released,
}

impl CacheRow {
    /// Bytes of all deferred frees that are not done; 0 if the size of an object is not known.
    #[must_use]
    pub fn deferred_bytes(&self) -> u64 {
        self.deferred().saturating_mul(self.object_bytes.into())
    }

    /// All deferred frees that are not done: objects and callbacks.
    #[must_use]
    pub fn deferred(&self) -> u64 {
        self.outstanding + self.callbacks_waiting
    }
}

/// The oldest deferred free of each cache. An object that is queued later is never older, so as long as the
/// known one is still there, no search is needed.
#[derive(Clone, Debug, Default)]
pub(super) struct Oldest {
    frees: BTreeMap<CacheId, (ObjectAddress, Mark)>,
    callbacks: BTreeMap<CacheId, (ObjectAddress, Mark)>,
}

impl Oldest {
    /// Searches in each cache whose known oldest one is gone.
    pub(super) fn update(&mut self, state: &State) {
        let waiting = state.view().caches.values().filter(|cache| !cache.outstanding.is_empty());
        let frees = waiting.filter_map(|cache| {
            let known = self.frees.get(&cache.life.id).filter(|(object, queued)| {
                cache.outstanding.get(*object).is_some_and(|entry| entry.queued == *queued)
            });
            let found = || cache.outstanding.oldest().map(|(object, entry)| (object, entry.queued));
            Some((cache.life.id, known.copied().or_else(found)?))
        });
        self.frees = frees.collect();
        let callbacks = &state.view().ledger.callbacks;
        let is_there = |(head, queued): &(ObjectAddress, Mark)| {
            callbacks.get(head).is_some_and(|waiting| waiting.queued == *queued)
        };
        let has_some = |id: &CacheId| self.callbacks.get(id).is_some_and(is_there);
        let lives = state
            .view()
            .caches
            .values()
            .filter(|cache| cache.callbacks_waiting > 0)
            .map(|cache| cache.life.id);
        let lives: BTreeSet<CacheId> = lives.collect();
        if !lives.iter().all(has_some) {
            self.callbacks.clear();
            for (head, waiting) in callbacks {
                let oldest = self.callbacks.entry(waiting.life).or_insert((*head, waiting.queued));
                if waiting.queued < oldest.1 {
                    *oldest = (*head, waiting.queued);
                }
            }
        }
        self.callbacks.retain(|life, _| lives.contains(life));
    }

    fn of(&self, id: CacheId) -> Option<Time> {
        let both = [self.frees.get(&id), self.callbacks.get(&id)];
        both.into_iter().flatten().map(|(_, queued)| queued.time).min()
    }

    /// The oldest of all caches.
    pub(super) fn of_all(&self) -> Option<Time> {
        self.frees.values().chain(self.callbacks.values()).map(|(_, queued)| queued.time).min()
    }
}

/// Bytes of all outstanding objects, as far as their size is known.
pub(super) fn outstanding_bytes(state: &State) -> u64 {
    let bytes = |cache: &Cache| cache.outstanding.len().saturating_mul(cache.life.facts.object_size.into());
    state.view().caches.values().map(|cache| bytes(cache)).sum()
}

/// At most this many rows, of the existing caches and of the last released ones.
pub(super) fn rows(state: &State, oldest: &Oldest, now: Time, most: usize) -> Vec<CacheRow> {
    let mut order: Vec<&Cache> = state.view().caches.values().map(Box::as_ref).collect();
    let rank = |cache: &&Cache| {
        (
            Reverse(cache.outstanding.len() + cache.callbacks_waiting),
            Reverse(last_activity(cache)),
            cache.life.id,
        )
    };
    order.sort_by_cached_key(rank);
    let destroying: BTreeSet<CacheId> = state
        .view()
        .open_destroys
        .values()
        .filter_map(|id| state.destroy(*id))
        .filter(|destroy| destroy.look.is_some() || destroy.life.facts.refcount == 1)
        .map(|destroy| destroy.life.id)
        .collect();
    let mut rows: Vec<CacheRow> = order
        .into_iter()
        .take(most)
        .map(|cache| row(state, cache, oldest, now, destroying.contains(&cache.life.id)))
        .collect();
    let room = most.saturating_sub(rows.len()).min(MOST_GONE);
    let gone = state.destroys().rev().filter(|destroy| destroy.released);
    rows.extend(gone.take(room).map(|destroy| row_of_gone(state, destroy)));
    rows
}

fn row(state: &State, cache: &Cache, oldest: &Oldest, now: Time, is_destroying: bool) -> CacheRow {
    let (created, created_while_watched) = match &cache.life.born {
        Born::Watched { stack, .. } => (*stack, true),
        Born::BeforeAttach => (StackId::default(), false),
    };
    let phase = match (is_destroying, cache.failed) {
        (true, _) => CachePhase::Destroying,
        (false, Some(_)) => CachePhase::Failed,
        (false, None) => CachePhase::Live,
    };
    CacheRow {
        id: cache.life.id.0,
        name: cache.life.facts.name.clone(),
        module: module_of(state, [created, cache.past.frees.stack, cache.past.callbacks.stack]),
        object_bytes: cache.life.facts.object_size,
        phase,
        created_while_watched,
        counted: cache.life.counted,
        queued: cache.past.frees.ever,
        callbacks: cache.past.callbacks.ever,
        freed: cache.past.freed_by.total(),
        freed_by: cache.past.freed_by,
        outstanding: cache.outstanding.len(),
        being_freed: cache.being_freed,
        callbacks_waiting: cache.callbacks_waiting,
        oldest_age_ns: oldest.of(cache.life.id).map(|queued| now.since(queued)),
        last_activity_ns: last_activity(cache).since(state.watch().attached),
        destroy: cache.failed.map(|id| id.0),
    }
}

fn row_of_gone(state: &State, destroy: &Destroy) -> CacheRow {
    let (created, created_while_watched) = match &destroy.life.born {
        Born::Watched { stack, .. } => (*stack, true),
        Born::BeforeAttach => (StackId::default(), false),
    };
    let last = destroy
        .late
        .last
        .max(destroy.at_look.past.last_freed)
        .unwrap_or(destroy.begin.time)
        .max(destroy.begin.time);
    let stacks = [created, destroy.caller.stack, destroy.past().frees.stack];
    CacheRow {
        id: destroy.life.id.0,
        name: destroy.life.facts.name.clone(),
        module: module_of(state, stacks).or_else(|| destroy.caller.module_going.clone()),
        object_bytes: destroy.life.facts.object_size,
        phase: CachePhase::Released,
        created_while_watched,
        counted: destroy.life.counted,
        queued: destroy.latest().frees.ever,
        callbacks: destroy.latest().callbacks.ever,
        freed: destroy.at_look.past.freed_by.total() + destroy.late.frees,
        freed_by: destroy.at_look.past.freed_by,
        outstanding: state.view().orphans.values().filter(|orphan| **orphan == destroy.id).count() as u64,
        being_freed: 0,
        callbacks_waiting: 0,
        oldest_age_ns: None,
        last_activity_ns: last.since(state.watch().attached),
        destroy: Some(destroy.id.0),
    }
}

fn last_activity(cache: &Cache) -> Time {
    let born = match &cache.life.born {
        Born::Watched { at, .. } => Some(at.time),
        Born::BeforeAttach => None,
    };
    let queued = cache.past.frees.last.max(cache.past.callbacks.last).map(|mark| mark.time);
    born.max(queued).max(cache.past.last_freed).unwrap_or_default()
}

fn module_of(state: &State, stacks: [StackId; 3]) -> Option<String> {
    stacks.into_iter().find_map(|stack| state.stack(stack).module().map(str::to_owned))
}
