//! Part: a part of a run, and the question that is made of it.

use std::collections::BTreeMap;

use krcu_model::{
    event::{Cpu, DeferredBy, Time},
    state::CacheId,
};

use crate::question::{AskedCache, AskedDestroy, Bystander, DeferredFree, Question, Unseen};

/// What a destroy waited for of which no event tells.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Hidden {
    /// The CPU on whose lists `flush_rcu_work()` found something.
    pub(super) list: Option<Cpu>,
    /// The end of the grace period that a callback needed for which an `rcu_barrier()` waited.
    pub(super) callback: Option<Time>,
    /// When the last object had been freed, if nothing was on any list at the entry.
    pub(super) drained: Option<Time>,
}

/// A deferred free that was seen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Deferred<C> {
    /// When.
    pub at: Time,
    /// Its cache.
    pub cache: C,
    /// The CPU.
    pub cpu: Cpu,
    /// The call.
    pub by: DeferredBy,
}

/// A destroy that can be simulated.
#[derive(Clone, Copy, Debug)]
pub struct Destroyed {
    /// When its exit path began.
    pub at: Time,
    /// The life of its cache.
    pub life: CacheId,
    /// The destroy; its time and its cache's place are still to be filled in.
    pub(super) asked: AskedDestroy,
    pub(super) unseen: Hidden,
}

/// A part of a run: what a question is made of.
#[derive(Clone, Debug, Default)]
pub struct Part {
    /// When it begins.
    pub begin: Time,
    /// Its deferred frees, the oldest first.
    pub deferred: Vec<Deferred<CacheId>>,
    /// Its destroys, in the order in which their exit paths began.
    pub destroys: Vec<Destroyed>,
    /// Its calls of `rcu_barrier()` by tasks that destroy nothing.
    pub bystanders: Vec<(Time, Cpu)>,
    /// For each cache, how many destroys of it come after the part.
    pub later: BTreeMap<CacheId, u16>,
}

impl Destroyed {
    /// Objects of its cache that nobody queued.
    #[must_use]
    pub fn leaked(&self) -> u64 {
        self.asked.leaked
    }

    /// Its number among the destroys of the run.
    #[must_use]
    pub fn number(&self) -> u64 {
        self.asked.number
    }
}

impl Part {
    /// The question of this part; `frame` is that of the whole run, which begins at `run_begin`. `facts` tells
    /// the name of a cache and the bytes of an object. `None` if there are more caches than can be numbered.
    #[must_use]
    pub fn question(
        &self,
        frame: &Question,
        run_begin: Time,
        facts: impl Fn(CacheId) -> (String, u32),
    ) -> Option<Question> {
        let mut caches = Caches { part: self, facts, places: BTreeMap::new(), asked: Vec::new() };
        let since = |time: Time| time.since(self.begin);
        let mut deferred = Vec::with_capacity(self.deferred.len());
        for one in &self.deferred {
            deferred.push(DeferredFree(since(one.at), one.cpu.0, caches.place(one.cache)?, one.by));
        }
        let mut destroys = Vec::with_capacity(self.destroys.len());
        for one in &self.destroys {
            let cache = caches.place(one.life)?;
            destroys.push(AskedDestroy { at_ns: since(one.at), cache, ..one.asked });
        }
        let mut unseen = Vec::new();
        for Destroyed { at, unseen: Hidden { list, callback, drained }, .. } in &self.destroys {
            // It was there when the exit path began.
            let before = since(*at).saturating_sub(1);
            unseen.extend(
                drained.filter(|drained| drained < at).map(|drained| Unseen::Drained(since(drained))),
            );
            unseen.extend(list.map(|cpu| Unseen::List(before, cpu.0)));
            unseen.extend(callback.map(|ended| Unseen::Callback(before, since(ended))));
        }
        let mut took = frame.took.clone();
        let offset = self.begin.since(run_begin);
        took.graces.retain(|grace| grace.0 >= offset);
        for grace in &mut took.graces {
            (grace.0, grace.1) = (grace.0 - offset, grace.1.saturating_sub(offset));
        }
        Some(Question {
            caches: caches.asked,
            deferred,
            unseen,
            bystanders: self.bystanders.iter().map(|(at, cpu)| Bystander(since(*at), cpu.0)).collect(),
            destroys,
            took,
            ..frame.clone()
        })
    }
}

/// The caches of a question, as they come.
struct Caches<'a, F> {
    part: &'a Part,
    facts: F,
    places: BTreeMap<CacheId, u16>,
    asked: Vec<AskedCache>,
}

impl<F: Fn(CacheId) -> (String, u32)> Caches<'_, F> {
    fn place(&mut self, life: CacheId) -> Option<u16> {
        if let Some(place) = self.places.get(&life) {
            return Some(*place);
        }
        let place = u16::try_from(self.asked.len()).ok().filter(|place| *place < u16::MAX)?;
        let (name, object_bytes) = (self.facts)(life);
        let later_destroys = self.part.later.get(&life).copied().unwrap_or(0);
        self.asked.push(AskedCache { name, object_bytes, later_destroys });
        self.places.insert(life, place);
        Some(place)
    }
}
