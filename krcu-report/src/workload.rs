//! Workload: keeps the newest deferred frees and how long things took, for the question what a destroy would
//! cost with other approaches.

use std::collections::VecDeque;

use crate::{
    barriers::Waits,
    hello::SCHEMA,
    question::{AskedCache, AskedDestroy, DeferredFree, Question},
};
use krcu_common::Flavour;
use krcu_model::{
    event::{CacheAddress, Cpu, DeferredBy, Event, Gap, Scope, Task, Time, What},
    of_destroy,
    state::{Born, Destroy, DestroyId, State},
};

/// How many deferred frees are kept: one and a half megabytes.
const MOST_OBJECTS: usize = 1 << 16;
/// At most this many of them are simulated: the newest ones before the destroy.
const MOST_SIMULATED: usize = 1 << 13;
/// Objects of other caches count if they were queued at most this long before a destroy. Older ones have been
/// freed, because a batch waits five seconds and a grace period.
const BEFORE_NS: u64 = 10_000_000_000;
/// How many tasks count that destroyed other caches shortly before.
const MOST_CALLERS: usize = 16;
/// How many samples of each kind are kept.
const MOST_SAMPLES: usize = 256;

#[derive(Clone, Copy, Debug)]
struct Deferred {
    at: Time,
    cache: CacheAddress,
    cpu: Cpu,
    by: DeferredBy,
}

/// Objects that one task frees in a row.
#[derive(Clone, Copy, Debug)]
struct Row {
    task: Task,
    begin: Time,
    objects: u64,
}

/// The data that is kept.
#[derive(Clone, Debug, Default)]
pub(super) struct Recent {
    deferred: VecDeque<Deferred>,
    /// Whether older deferred frees were forgotten.
    is_cut: bool,
    grace_ns: VecDeque<u64>,
    between_ns: VecDeque<u64>,
    free_ns: VecDeque<u64>,
    grace_began: Option<Time>,
    grace_ended: Option<Time>,
    freeing: Option<Row>,
}

impl Recent {
    pub(super) fn see(&mut self, event: &Event) {
        let Event { time, task, cpu, what } = event;
        match what {
            What::Queued { cache, form, .. } => {
                self.keep(Deferred { at: *time, cache: *cache, cpu: *cpu, by: (*form).into() });
            }
            What::CallbackQueued { cache, domain, .. } if domain.flavour == Flavour::Rcu => {
                self.keep(Deferred { at: *time, cache: *cache, cpu: *cpu, by: DeferredBy::Callback });
            }
            What::Freed { .. } => match &mut self.freeing {
                Some(row) if row.task == *task => row.objects += 1,
                row => *row = Some(Row { task: *task, begin: *time, objects: 1 }),
            },
            What::BatchFreed { .. } => {
                if let Some(row) = self.freeing.take().filter(|row| row.task == *task) {
                    sample(&mut self.free_ns, time.since(row.begin) / row.objects);
                }
            }
            What::GraceBegin { expedited: false } => {
                if let Some(ended) = self.grace_ended.take() {
                    sample(&mut self.between_ns, time.since(ended));
                }
                self.grace_began = Some(*time);
            }
            What::GraceEnd { expedited: false } => {
                if let Some(began) = self.grace_began.take() {
                    sample(&mut self.grace_ns, time.since(began));
                }
                self.grace_ended = Some(*time);
            }
            _ => {}
        }
    }

    /// Sees a loss. If one end of a grace period is lost, its length is not known.
    pub(super) fn see_gap(&mut self, gap: &Gap) {
        if matches!(gap.scope, Scope::Everything | Scope::Grace) {
            (self.grace_began, self.grace_ended) = (None, None);
        }
    }

    fn keep(&mut self, deferred: Deferred) {
        if self.deferred.len() == MOST_OBJECTS {
            self.deferred.pop_front();
            self.is_cut = true;
        }
        self.deferred.push_back(deferred);
    }

    /// The data for the simulation of a destroy; none if there is no such destroy, or if it only dropped a
    /// reference.
    pub(super) fn question(&self, state: &State, waits: &Waits, id: DestroyId) -> Option<Question> {
        let destroy = state.destroy(id)?;
        let look = destroy.look?.time;
        let born = match &destroy.life.born {
            Born::Watched { at, .. } => at.time,
            Born::BeforeAttach => Time(0),
        };
        let others_from = Time(destroy.begin.time.0.saturating_sub(BEFORE_NS));
        let is_own = |one: &&Deferred| one.cache == destroy.address && one.at >= born;
        let is_meant = |one: &&Deferred| {
            one.at < look && (is_own(one) || (one.cache != destroy.address && one.at >= others_from))
        };
        let mut newest: Vec<&Deferred> =
            self.deferred.iter().rev().filter(is_meant).take(MOST_SIMULATED).collect();
        newest.reverse();
        let own_objects = newest.iter().filter(|one| is_own(one)).count() as u64;
        let verdict = of_destroy(state, destroy);
        let zero = newest.first().map_or(destroy.begin.time, |first| first.at.min(destroy.begin.time));
        let caches = caches(destroy, &newest);
        let place_of = |address: CacheAddress| {
            caches.iter().position(|known| *known == address).and_then(|place| u16::try_from(place).ok())
        };
        let deferred = newest.iter().filter_map(|one| {
            Some(DeferredFree(one.at.since(zero), one.cpu.0, place_of(one.cache)?, one.by))
        });
        let attached = state.watch().attached;
        let span = (zero.since(attached), look.since(attached));
        let mut destroys = earlier(state, destroy, zero, &caches);
        destroys.push(AskedDestroy { at_ns: destroy.begin.time.since(zero), cache: 0, caller: 0 });
        Some(Question {
            schema: SCHEMA,
            destroy: id.0,
            cache: destroy.life.facts.name.clone(),
            own_objects,
            other_objects: newest.len() as u64 - own_objects,
            own_left_out: (destroy.latest().frees.ever + destroy.latest().callbacks.ever)
                .saturating_sub(own_objects),
            others_left_out: newest.len() == MOST_SIMULATED || self.is_cut_since(others_from),
            measured_wait_ns: look.since(destroy.begin.time),
            cpus: cpus(state, &newest),
            caches: caches.iter().map(|address| asked(state, destroy, *address)).collect(),
            deferred: deferred.collect(),
            leaked: verdict.decision.left.leaked.unwrap_or(0).min(MOST_SIMULATED as u64),
            bystanders_ns: waits.bystanders(span.0, span.1).map(|began_ns| began_ns - span.0).collect(),
            destroys,
            grace_ns: self.grace_ns.iter().copied().collect(),
            between_grace_ns: self.between_ns.iter().copied().collect(),
            free_ns: self.free_ns.iter().copied().collect(),
        })
    }

    fn is_cut_since(&self, from: Time) -> bool {
        self.is_cut && self.deferred.front().is_some_and(|oldest| oldest.at > from)
    }
}

fn sample(samples: &mut VecDeque<u64>, ns: u64) {
    if samples.len() == MOST_SAMPLES {
        samples.pop_front();
    }
    samples.push_back(ns);
}

fn cpus(state: &State, deferred: &[&Deferred]) -> u16 {
    let used = deferred.iter().map(|one| one.cpu.0.saturating_add(1)).max().unwrap_or(1);
    used.max(u16::try_from(state.watch().possible_cpus).unwrap_or(u16::MAX)).max(1)
}

/// The destroys of other caches before this one. They may have waited for the same frees as this one would.
fn earlier(state: &State, destroy: &Destroy, zero: Time, caches: &[CacheAddress]) -> Vec<AskedDestroy> {
    let mut callers: Vec<Task> = vec![destroy.caller.task];
    let mut gone: Vec<CacheAddress> = vec![destroy.address];
    let mut destroys = Vec::new();
    let before = state.destroys().rev().filter(|other| other.begin < destroy.begin);
    for other in before.take_while(|other| other.begin.time >= zero).filter(|other| other.look.is_some()) {
        let Some(place) = caches.iter().position(|known| *known == other.address) else { continue };
        if gone.contains(&other.address) || callers.len() > MOST_CALLERS {
            continue;
        }
        gone.push(other.address);
        let caller = callers.iter().position(|task| *task == other.caller.task).unwrap_or_else(|| {
            callers.push(other.caller.task);
            callers.len() - 1
        });
        let (Ok(cache), Ok(caller)) = (u16::try_from(place), u32::try_from(caller)) else { continue };
        destroys.push(AskedDestroy { at_ns: other.begin.time.since(zero), cache, caller });
    }
    destroys
}

/// The addresses of the caches of a workload, with that of the destroy first.
fn caches(destroy: &Destroy, deferred: &[&Deferred]) -> Vec<CacheAddress> {
    let mut caches = vec![destroy.address];
    for one in deferred {
        if !caches.contains(&one.cache) && caches.len() < usize::from(u16::MAX) {
            caches.push(one.cache);
        }
    }
    caches
}

fn asked(state: &State, destroy: &Destroy, address: CacheAddress) -> AskedCache {
    let facts = if address == destroy.address {
        Some(&destroy.life.facts)
    } else {
        state.view().caches.get(&address).map(|cache| &cache.life.facts)
    };
    facts.map_or_else(AskedCache::default, |facts| AskedCache {
        name: facts.name.clone(),
        object_bytes: facts.object_size,
    })
}
