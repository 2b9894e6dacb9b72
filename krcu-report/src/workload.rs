//! Workload: keeps the newest deferred frees beside a [`Gather`], for the question what a destroy would have
//! cost with other approaches.

use std::collections::{BTreeMap, VecDeque};

use crate::{
    gather::{Deferred, Destroyed, Gather, Kept, Part},
    question::{LeftOut, Question},
};
use krcu_model::{
    event::{CacheAddress, Event, Time},
    state::{CacheId, Destroy, DestroyId, Life, State},
};

/// How many deferred frees are kept: two megabytes. A run that has no more is in the question as a whole.
const MOST_OBJECTS: usize = 1 << 16;
/// Of a longer run, at most this many are in a question: the newest ones until a time after the look.
const MOST_SIMULATED: usize = 1 << 13;
/// Of a longer run, objects of other caches count if they were queued at most this long before the destroy, and
/// nothing counts that was queued longer than this after its look. Older ones have been freed, because a batch
/// waits five seconds and a grace period.
const AROUND_NS: u64 = 10_000_000_000;

/// The data that is kept.
#[derive(Clone, Debug)]
pub(super) struct Recent {
    gather: Gather,
    deferred: VecDeque<Deferred<CacheAddress>>,
    /// Whether older deferred frees were forgotten.
    is_cut: bool,
}

impl Default for Recent {
    fn default() -> Recent {
        Recent { gather: Gather::new(Kept::AGENT), deferred: VecDeque::new(), is_cut: false }
    }
}

impl Recent {
    /// Sees an event that the state takes next.
    pub(super) fn see(&mut self, event: &Event, state: &State) {
        if let Some(deferred) = self.gather.see(event, state) {
            if self.deferred.len() == MOST_OBJECTS {
                self.deferred.pop_front();
                self.is_cut = true;
            }
            self.deferred.push_back(deferred);
        }
    }

    /// The data for the simulation of a destroy; none if there is no such destroy, or if it only dropped a
    /// reference.
    pub(super) fn question(&self, state: &State, id: DestroyId) -> Option<Question> {
        let destroy = state.destroy(id)?;
        let look = destroy.look?.time;
        let lives = Lives::of(state);
        let all = self.deferred.iter().filter_map(|one| {
            let cache = lives.at(one.cache, one.at)?;
            Some(Deferred { at: one.at, cache, cpu: one.cpu, by: one.by })
        });
        let destroys = self.gather.destroys(state);
        let mut part = Part { begin: self.gather.begin(state), destroys, ..Part::default() };
        part.bystanders = self.gather.bystanders(state).collect();
        let frame = self.gather.frame(state, &part.destroys);
        let mut left_out = LeftOut::default();
        if self.is_cut {
            let from = Time(destroy.begin.time.0.saturating_sub(AROUND_NS));
            let until = Time(look.0.saturating_add(AROUND_NS));
            let own = destroy.life.id;
            let mut newest: Vec<_> = all
                .filter(|one| one.at <= until && (one.cache == own || one.at >= from))
                .collect::<Vec<_>>()
                .into_iter()
                .rev()
                .take(MOST_SIMULATED)
                .collect();
            newest.reverse();
            let first = newest.first().map_or(destroy.begin.time, |first| first.at);
            left_out = self.left_out(destroy, &newest, from);
            part.deferred = newest;
            part.starts_at(first.min(destroy.begin.time), until, id);
        } else {
            part.deferred = all.collect();
        }
        let question = part.question(&frame, self.gather.begin(state), |life| lives.facts(life))?;
        question.destroys.iter().any(|asked| asked.number == id.0).then_some(())?;
        Some(Question { destroy: id.0, left_out, ..question })
    }

    /// What a question lacks that has only these.
    fn left_out(&self, destroy: &Destroy, newest: &[Deferred<CacheId>], from: Time) -> LeftOut {
        let past = destroy.latest();
        let own = newest.iter().filter(|one| one.cache == destroy.life.id).count() as u64;
        let is_cut_since = self.deferred.front().is_some_and(|oldest| oldest.at > from);
        LeftOut {
            own: (past.frees.ever + past.callbacks.ever).saturating_sub(own),
            others: newest.len() == MOST_SIMULATED || is_cut_since,
        }
    }
}

impl Part {
    /// Leaves out what happened before or after. The destroy with this number stays: with a barrier of its own,
    /// its exit path may begin before.
    fn starts_at(&mut self, begin: Time, until: Time, asked: DestroyId) {
        let is_asked = |destroy: &Destroyed| destroy.number() == asked.0;
        let own = self.destroys.iter().find(|destroy| is_asked(destroy)).map(|destroy| destroy.at);
        self.begin = own.map_or(begin, |own| own.min(begin));
        let begin = self.begin;
        let is_in = |at: Time| at >= begin && at <= until;
        self.destroys.retain(|destroy| is_asked(destroy) || is_in(destroy.at));
        self.bystanders.retain(|(at, _)| is_in(*at));
    }
}

/// Which life of a cache was at an address when.
struct Lives<'a> {
    /// For each address, the lives that ended there, by their end.
    ended: BTreeMap<CacheAddress, Vec<(Time, CacheId)>>,
    alive: BTreeMap<CacheAddress, CacheId>,
    known: BTreeMap<CacheId, &'a Life>,
}

impl Lives<'_> {
    fn of(state: &State) -> Lives<'_> {
        let (mut ended, mut known) = (BTreeMap::<_, Vec<_>>::new(), BTreeMap::new());
        let mut alive = BTreeMap::new();
        for (address, cache) in state.caches() {
            alive.insert(address, cache.life.id);
            known.insert(cache.life.id, &cache.life);
        }
        for destroy in state.destroys() {
            known.entry(destroy.life.id).or_insert(&destroy.life);
            if alive.get(&destroy.address) != Some(&destroy.life.id)
                && let Some(end) = destroy.end.or(destroy.look)
            {
                ended.entry(destroy.address).or_default().push((end.time, destroy.life.id));
            }
        }
        Lives { ended, alive, known }
    }

    /// The life that was there then; none if it has been forgotten.
    fn at(&self, address: CacheAddress, time: Time) -> Option<CacheId> {
        let ended = self.ended.get(&address).into_iter().flatten();
        let earliest = ended.filter(|(end, _)| *end >= time).min_by_key(|(end, _)| *end);
        earliest.map(|(_, life)| *life).or_else(|| self.alive.get(&address).copied())
    }

    fn facts(&self, life: CacheId) -> (String, u32) {
        self.known
            .get(&life)
            .map_or_else(Default::default, |life| (life.facts.name.clone(), life.facts.object_size))
    }
}
