//! Why: what a waiting task waits for: whose objects, how old they are, who queued the oldest, and how far RCU is with it.
//!
//! The kernel does not tell which reader holds a grace period up, so nothing here says that. What is told is on which of
//! three steps the oldest object is: in a batch that no grace period has begun for, in a grace period, or at the worker.

use std::collections::{BTreeMap, VecDeque};

use krcu_model::{
    event::{Event, Gap, Scope, Task, Time, What},
    stack::StackId,
    state::{Cache, CacheId, Mark, State},
};
use serde::{Deserialize, Serialize};

use crate::barriers::WaitKind;

/// How many caches are named.
const MOST_HOLDERS: usize = 4;
/// How many frames of the oldest object's stack are told.
const FRAMES: usize = 3;
/// How many grace periods are remembered. An object that is older than all of them is at the worker.
const MOST_GRACES: usize = 256;

/// What a task waits for.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct WaitsFor {
    /// The caches with the most of it, the most first.
    pub holders: Vec<Holder>,
    /// Bytes of all of it, as far as the size of an object is known.
    pub bytes: u64,
    /// The oldest of it.
    pub oldest: Option<OldestRow>,
}

/// The part of one cache.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Holder {
    /// The name of the cache; empty if it is older than the probes.
    pub cache: String,
    /// Objects, or callbacks.
    pub objects: u64,
}

/// The oldest object, or callback, that a task waits for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct OldestRow {
    /// The name of its cache; empty if that is older than the probes.
    pub cache: String,
    /// How long ago it was queued, in nanoseconds.
    pub age_ns: u64,
    /// The task that queued it.
    pub task: u32,
    /// The innermost frames of the queueing call; none without a stack.
    pub stack: Vec<String>,
    /// How far RCU is with it; absent if that was not seen.
    pub held: Option<Held>,
}

/// How far RCU is with an object. Times are in nanoseconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", tag = "by")]
pub enum Held {
    /// No grace period has begun since it was queued.
    Batch,
    /// A grace period that began after it was queued runs.
    GracePeriod {
        /// For how long.
        since_ns: u64,
        /// Whether it is an expedited one.
        expedited: bool,
    },
    /// A grace period that began after it was queued is over. Whoever frees it has not come to it, or waits for a later one.
    Worker {
        /// For how long it has been over.
        since_ns: u64,
    },
}

/// The grace periods of the kernel, as far as they were seen.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct GraceRow {
    /// How long the one that runs has been running, in nanoseconds; absent if none runs.
    pub running_ns: Option<u64>,
    /// Whether that is an expedited one.
    pub expedited: bool,
    /// Those that are over.
    pub over: u64,
    /// The length of the last of these, in nanoseconds.
    pub last_ns: u64,
    /// The length of the longest.
    pub longest_ns: u64,
}

/// A grace period.
#[derive(Clone, Copy, Debug)]
struct Grace {
    began: Time,
    ended: Option<Time>,
    expedited: bool,
}

/// The last grace periods.
#[derive(Clone, Debug, Default)]
pub(super) struct Graces {
    last: VecDeque<Grace>,
    row: GraceRow,
    /// Whether one was forgotten, for want of room.
    is_cut: bool,
}

impl Graces {
    /// Sees a grace period begin or end.
    pub(super) fn see(&mut self, event: &Event) {
        match event.what {
            What::GraceBegin { expedited } => self.begins(event.time, expedited),
            What::GraceEnd { expedited } => self.ends(event.time, expedited),
            _ => {}
        }
    }

    fn begins(&mut self, began: Time, expedited: bool) {
        // If an older one of this kind runs, its end was not seen.
        self.last.retain(|grace| grace.ended.is_some() || grace.expedited != expedited);
        if self.last.len() == MOST_GRACES {
            self.last.pop_front();
            self.is_cut = true;
        }
        self.last.push_back(Grace { began, ended: None, expedited });
    }

    fn ends(&mut self, ended: Time, expedited: bool) {
        let running = |grace: &&mut Grace| grace.ended.is_none() && grace.expedited == expedited;
        let Some(grace) = self.last.iter_mut().find(running) else { return };
        grace.ended = Some(ended);
        let took = ended.since(grace.began);
        self.row.over += 1;
        self.row.last_ns = took;
        self.row.longest_ns = self.row.longest_ns.max(took);
    }

    /// Sees a loss. The end of a grace period that runs may be among it.
    pub(super) fn see_gap(&mut self, gap: &Gap) {
        if matches!(gap.scope, Scope::Everything | Scope::Grace) {
            self.last.clear();
            self.is_cut = false;
        }
    }

    /// The grace periods at this time; none if none was seen.
    pub(super) fn row(&self, now: Time) -> Option<GraceRow> {
        let running = self.last.iter().find(|grace| grace.ended.is_none());
        (self.row.over > 0 || running.is_some()).then(|| GraceRow {
            running_ns: running.map(|grace| now.since(grace.began)),
            expedited: running.is_some_and(|grace| grace.expedited),
            ..self.row
        })
    }

    /// How far RCU is with what was queued then.
    fn held(&self, queued: Time, now: Time) -> Option<Held> {
        let first_seen = self.last.front()?.began;
        let since = || self.last.iter().filter(|grace| grace.began > queued);
        let ended = since().filter_map(|grace| grace.ended).min();
        if let Some(ended) = ended.filter(|_| !self.is_cut || first_seen <= queued) {
            return Some(Held::Worker { since_ns: now.since(ended) });
        }
        if self.is_cut && first_seen > queued {
            return Some(Held::Worker { since_ns: now.since(first_seen) });
        }
        let running = since().map(|grace| (now.since(grace.began), grace.expedited)).max();
        Some(running.map_or(Held::Batch, |(since_ns, expedited)| Held::GracePeriod { since_ns, expedited }))
    }
}

/// A deferred free, by what is told of it.
#[derive(Clone, Copy)]
struct Oldest {
    life: CacheId,
    queued: Mark,
    task: Task,
    stack: StackId,
}

/// How much of each cache a call of this kind that began then waits for.
pub(super) fn by_cache(kind: WaitKind, begin: Mark, state: &State) -> BTreeMap<CacheId, u64> {
    let mut of_each = BTreeMap::new();
    if kind == WaitKind::RcuBarrier {
        for waiting in state.view().ledger.callbacks.values().filter(|waiting| waiting.queued < begin) {
            *of_each.entry(waiting.life).or_default() += 1;
        }
    } else {
        for cache in state.view().caches.values() {
            let before = cache.outstanding.older_than(begin);
            if before > 0 {
                *of_each.entry(cache.life.id).or_default() += before;
            }
        }
    }
    of_each
}

/// What a call of this kind that began then waits for.
pub(super) fn waits_for(
    (kind, begin): (WaitKind, Mark),
    of_each: &BTreeMap<CacheId, u64>,
    (state, now): (&State, Time),
    graces: &Graces,
) -> WaitsFor {
    let caches: BTreeMap<CacheId, &Cache> = state
        .view()
        .caches
        .values()
        .filter(|cache| of_each.contains_key(&cache.life.id))
        .map(|cache| (cache.life.id, &**cache))
        .collect();
    let name = |id: &CacheId| caches.get(id).map(|cache| cache.life.facts.name.clone()).unwrap_or_default();
    let size = |id: &CacheId| caches.get(id).map_or(0, |cache| u64::from(cache.life.facts.object_size));
    let mut holders: Vec<Holder> =
        of_each.iter().map(|(id, objects)| Holder { cache: name(id), objects: *objects }).collect();
    holders.sort_by(|a, b| b.objects.cmp(&a.objects).then_with(|| a.cache.cmp(&b.cache)));
    holders.truncate(MOST_HOLDERS);
    let bytes = of_each.iter().map(|(id, objects)| objects.saturating_mul(size(id))).sum();
    let oldest = oldest(kind, begin, &caches, state).map(|oldest| OldestRow {
        cache: name(&oldest.life),
        age_ns: now.since(oldest.queued.time),
        task: oldest.task.0,
        stack: state.stack(oldest.stack).frames.iter().take(FRAMES).map(ToString::to_string).collect(),
        held: graces.held(oldest.queued.time, now),
    });
    WaitsFor { holders, bytes, oldest }
}

fn oldest(kind: WaitKind, begin: Mark, caches: &BTreeMap<CacheId, &Cache>, state: &State) -> Option<Oldest> {
    let found: Option<Oldest> = if kind == WaitKind::RcuBarrier {
        let callbacks = state.view().ledger.callbacks.values();
        let first = callbacks.min_by_key(|waiting| waiting.queued)?;
        Some(Oldest { life: first.life, queued: first.queued, task: first.task, stack: first.stack })
    } else {
        let of_each = caches.iter().filter_map(|(life, cache)| {
            let (_, entry) = cache.outstanding.oldest()?;
            Some(Oldest { life: *life, queued: entry.queued, task: entry.task, stack: entry.stack })
        });
        of_each.min_by_key(|oldest| oldest.queued)
    };
    found.filter(|oldest| oldest.queued < begin)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_queued_is_in_a_batch_in_a_grace_period_or_at_the_worker() {
        let mut graces = Graces::default();
        let held = |graces: &Graces, queued, now| graces.held(Time(queued), Time(now));
        // No grace period was seen yet: it is not known.
        assert_eq!(held(&graces, 5, 10), None);
        graces.begins(Time(3), false);
        assert_eq!(held(&graces, 5, 10), Some(Held::Batch));
        graces.ends(Time(11), false);
        assert_eq!(held(&graces, 5, 12), Some(Held::Batch));
        graces.begins(Time(13), true);
        assert_eq!(held(&graces, 5, 20), Some(Held::GracePeriod { since_ns: 7, expedited: true }));
        graces.ends(Time(21), true);
        assert_eq!(held(&graces, 5, 25), Some(Held::Worker { since_ns: 4 }));
        let row = GraceRow { running_ns: None, expedited: false, over: 2, last_ns: 8, longest_ns: 8 };
        assert_eq!(graces.row(Time(25)), Some(row));
        graces.begins(Time(30), false);
        assert_eq!(graces.row(Time(33)), Some(GraceRow { running_ns: Some(3), ..row }));
        // A loss: whether it runs is not known any more, but what was counted is.
        graces.see_gap(&Gap { scope: Scope::Grace, ..gap() });
        assert_eq!((held(&graces, 5, 40), graces.row(Time(40))), (None, Some(row)));
    }

    #[test]
    fn what_is_older_than_every_remembered_grace_period_is_at_the_worker() {
        let mut graces = Graces::default();
        for number in 0..=MOST_GRACES as u64 {
            graces.begins(Time(10 * number), false);
            graces.ends(Time(10 * number + 5), false);
        }
        // The first one, from 0 to 5, is forgotten.
        assert_eq!(graces.held(Time(0), Time(3000)), Some(Held::Worker { since_ns: 2990 }));
        assert_eq!(graces.held(Time(10), Time(3000)), Some(Held::Worker { since_ns: 2975 }));
        assert_eq!(graces.row.over, 257);
    }

    fn gap() -> Gap {
        use krcu_model::event::LossReason;
        Gap {
            reason: LossReason::ProbeMissed,
            events: 1,
            from: Time(0),
            until: Time(40),
            scope: Scope::Everything,
            programs: Vec::new(),
        }
    }
}
