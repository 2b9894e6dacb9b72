//! Barriers: who waits, how long, and for whose objects.

use std::collections::BTreeMap;

use krcu_common::BarrierKind;
use krcu_model::{
    State,
    event::{CacheAddress, Cpu, Event, Task, Time},
    state::{CacheId, DestroyId, Mark},
};

use super::{since_attach, words::Barrier};

#[derive(Debug)]
struct Open {
    kind: BarrierKind,
    cpu: Cpu,
    begin: Mark,
    by_chance: bool,
    destroy: Option<DestroyId>,
    outstanding: u64,
    own: Option<CacheId>,
    /// Outstanding at the entry, by cache: for which of them it is, only its end says.
    by_cache: BTreeMap<CacheId, u64>,
    freed: BTreeMap<CacheId, u64>,
    graces: u64,
}

/// Barriers that have been entered and have not returned, and destroys, which may have one inlined.
#[derive(Debug, Default)]
pub(super) struct Barriers {
    open: BTreeMap<Task, Vec<Open>>,
    /// Destroys that have not looked.
    destroys: BTreeMap<Task, Open>,
}

impl Barriers {
    /// A barrier is entered.
    pub(super) fn begins(
        &mut self,
        state: &State,
        event: &Event,
        (mark, graces): (Mark, u64),
        (kind, works_flushed): (BarrierKind, u32),
    ) {
        let open = self.open.entry(event.task).or_default();
        let by_chance = kind == BarrierKind::Rcu && (works_flushed > 0 || !open.is_empty());
        let destroy = state
            .open_destroy_of(event.task)
            .filter(|id| state.destroy(*id).is_some_and(|destroy| destroy.look.is_none()));
        open.push(Open::new(state, event.cpu, (mark, graces), kind, destroy, by_chance));
    }

    /// A destroy is entered, after the state has taken it.
    pub(super) fn destroy_begins(&mut self, state: &State, event: &Event, (mark, graces): (Mark, u64)) {
        let destroy = state.open_destroy_of(event.task);
        self.destroys.insert(
            event.task,
            Open::new(state, event.cpu, (mark, graces), BarrierKind::Kvfree, destroy, false),
        );
    }

    /// A deferred free begins.
    pub(super) fn freed(&mut self, cache: CacheId, queued: Mark) {
        if self.open.is_empty() && self.destroys.is_empty() {
            return;
        }
        for open in self.open.values_mut().flatten().chain(self.destroys.values_mut()) {
            if queued.position < open.begin.position {
                *open.freed.entry(cache).or_default() += 1;
            }
        }
    }

    /// A barrier returns; its row, if its entry was seen, and those of barriers within it whose return was not.
    pub(super) fn ends(
        &mut self,
        state: &State,
        event: &Event,
        graces: u64,
        (kind, cache): (BarrierKind, Option<CacheAddress>),
    ) -> Vec<Barrier> {
        let Some(stack) = self.open.get_mut(&event.task) else { return Vec::new() };
        let Some(place) = stack.iter().rposition(|open| open.kind == kind) else { return Vec::new() };
        let ended = stack.split_off(place);
        if stack.is_empty() {
            self.open.remove(&event.task);
        }
        let begin = ended.first().map_or(0, |open| open.begin.position);
        if kind != BarrierKind::Rcu
            && let Some(destroying) = self.destroys.get_mut(&event.task)
            && begin > destroying.begin.position
        {
            // This one is seen as itself: none is inlined.
            destroying.by_chance = true;
        }
        let of = cache.and_then(|address| state.cache_at(address)).map(|cache| cache.life.id);
        let mut end = Some((event.time, graces));
        let rows = ended.into_iter().map(|open| {
            let of = if end.is_some() { of } else { None };
            let kind = open.kind.function();
            open.row(state, event.task, end.take(), of, kind)
        });
        rows.collect()
    }

    /// A destroy looks at its slabs, and the state says whether a barrier ran inside; its row, if one was inlined.
    pub(super) fn looks(&mut self, state: &State, event: &Event, graces: u64) -> Option<Barrier> {
        let open = self.destroys.remove(&event.task)?;
        let destroy = state.destroy(open.destroy?)?;
        let inlined = destroy.coverage.inside && !open.by_chance;
        let own = open.own;
        inlined.then(|| {
            let mut open = open;
            open.by_chance = false;
            open.row(state, event.task, Some((event.time, graces)), own, "inside-destroy")
        })
    }

    /// Those that had not returned.
    pub(super) fn rest(&mut self, state: &State) -> Vec<Barrier> {
        let open = std::mem::take(&mut self.open);
        let all = open.into_iter().flat_map(|(task, stack)| stack.into_iter().map(move |open| (task, open)));
        all.map(|(task, open)| {
            let kind = open.kind.function();
            open.row(state, task, None, None, kind)
        })
        .collect()
    }
}

impl Open {
    fn new(
        state: &State,
        cpu: Cpu,
        (begin, graces): (Mark, u64),
        kind: BarrierKind,
        destroy: Option<DestroyId>,
        by_chance: bool,
    ) -> Open {
        let by_cache = state.caches().map(|(_, cache)| (cache.life.id, cache.outstanding.len()));
        Open {
            kind,
            cpu,
            begin,
            by_chance,
            destroy,
            outstanding: state.outstanding(),
            own: destroy.and_then(|id| state.destroy(id)).map(|destroy| destroy.life.id),
            by_cache: by_cache.filter(|(_, outstanding)| *outstanding > 0).collect(),
            freed: BTreeMap::new(),
            graces,
        }
    }

    fn row(
        self,
        state: &State,
        task: Task,
        end: Option<(Time, u64)>,
        of: Option<CacheId>,
        barrier: &str,
    ) -> Barrier {
        let attached = state.watch().attached;
        let own = of.or(self.own);
        let count = |by: &BTreeMap<CacheId, u64>| own.and_then(|own| by.get(&own).copied()).unwrap_or(0);
        let cause = match self.destroy {
            _ if self.by_chance => "flush",
            Some(_) => "destroy",
            None => "caller",
        };
        Barrier {
            barrier: barrier.to_owned(),
            task: task.0,
            cpu: u32::from(self.cpu.0),
            begin_at_ns: since_attach(attached, self.begin.time),
            end_at_ns: end.map(|(end, _)| since_attach(attached, end)),
            wait_ns: end.map(|(end, _)| end.since(self.begin.time)),
            destroy: self.destroy.and_then(|id| u32::try_from(id.0).ok()),
            cache: of.map(|of| of.0),
            cause: cause.to_owned(),
            outstanding: self.outstanding,
            outstanding_own: count(&self.by_cache),
            freed_meanwhile: self.freed.values().sum(),
            freed_own: count(&self.freed),
            grace_periods: end.map_or(0, |(_, graces)| graces - self.graces),
        }
    }
}
