//! Verdicts: what must be said about each destroy, by "The design".

use krcu_common::{BarrierKind, wire::FLUSHES_UNKNOWN};
use krcu_model::{
    VerdictKind,
    event::{CacheAddress, Gap, ObjectAddress, Scope, What},
    reason::Reason,
    state::Blind,
    verdict::{FreedBy, Ordering},
};

use super::{Barrier, Callback, Deferred, Destroy, Expected, Free, Naive, Place};

/// Objects, each with the address of its cache.
type Objects = Vec<(ObjectAddress, CacheAddress)>;

impl Naive<'_> {
    /// Every destroy, in the order in which they were entered.
    pub(crate) fn expected(&self) -> Vec<Expected> {
        let doubles = self.doubles();
        let twice = |life| doubles.iter().filter(|double| double.life == life).count() as u64;
        let expect =
            |destroy: &Destroy| Expected { queued_twice: twice(destroy.life), ..self.expect(destroy) };
        self.destroys.iter().map(expect).collect()
    }

    fn expect(&self, destroy: &Destroy) -> Expected {
        let life = destroy.life;
        let late_frees = self.late_frees(destroy);
        let losses = self.losses_that_touch(destroy);
        let has_loss = !losses.is_empty();
        let unseen_calls = if has_loss { 0 } else { self.unseen_calls(destroy) };
        let end_unseen = if destroy.empty.is_none() { vec![Reason::EndUnseen] } else { Vec::new() };
        let unknown = Expected {
            kind: VerdictKind::Inconclusive,
            queued_by_kfree_rcu: 0,
            leaked: None,
            undecided: 0,
            late_frees,
            waited_for_own: 0,
            waited_for_other: 0,
            ordering: Ordering::Unknown,
            queued_by_call_rcu: self.sees(Blind::Callbacks).then_some(0),
            waited_for_callbacks: false,
            waited_for_own_callbacks: 0,
            reasons: [losses, end_unseen].concat(),
            queued_twice: 0,
            freed_by: destroy.look.map_or_else(FreedBy::default, |look| self.freed_by(destroy, look)),
            waited_grace_periods: self.graces_while_it_waited(destroy),
            in_sheaves: 0,
        };
        let Some(look) = destroy.look else {
            // It drops a reference: what was outstanding as it was called is told.
            let queued_ever = self.callbacks.iter().any(|c| c.life == life && c.queued < destroy.begin);
            let callbacks =
                self.waiting(life, destroy.begin).len() as u64 + self.running(life, destroy.begin);
            let unknown = Expected {
                queued_by_kfree_rcu: self.outstanding(life, destroy.begin)
                    + self.being_freed(life, destroy.begin),
                queued_by_call_rcu: match unknown.queued_by_call_rcu {
                    Some(_) if self.sees(Blind::CallbackRuns) => Some(callbacks),
                    Some(_) if queued_ever => None,
                    known => known,
                },
                ..unknown
            };
            if destroy.refcount != 1 && !has_loss {
                // A count below one: the cache was given up before.
                let kind = if destroy.refcount < 1 { VerdictKind::Repeated } else { VerdictKind::Alias };
                return Expected { kind, reasons: Vec::new(), ..unknown };
            }
            return unknown;
        };
        let end = destroy.end.unwrap_or(self.events.len());
        // A destroy that lingers has looked at its slabs when it returns.
        let over = destroy.lingers.unwrap_or(end);
        // What is queued during the look is also pending.
        let is_during = |queued: Place| queued > look && queued < over;
        let is_queued_during =
            self.deferred.iter().any(|e| e.life == life && !e.is_fallback && is_during(e.queued))
                || self
                    .callbacks
                    .iter()
                    .any(|c| self.sees(Blind::CallbackRuns) && c.life == life && is_during(c.queued));
        let counted_at = if is_queued_during && destroy.end.is_some() { over } else { look };
        let seen_pending = self.outstanding(life, counted_at) + self.being_freed(life, counted_at);
        let waiting = self.waiting(life, counted_at);
        let seen_callbacks = waiting.len() as u64 + self.running(life, counted_at);
        let known_until = if destroy.end.is_some() && destroy.lingers.is_none() { end } else { look };
        let queued_by_call_rcu = if !self.sees(Blind::Callbacks) {
            None
        } else if self.sees(Blind::CallbackRuns) {
            Some(seen_callbacks)
        } else {
            self.open_callbacks(destroy, look, known_until).is_empty().then_some(0)
        };
        let unknown = Expected { queued_by_kfree_rcu: seen_pending, queued_by_call_rcu, ..unknown };
        let is_ever_queued = self.deferred.iter().any(|e| e.life == life && e.queued < over);
        match destroy.empty {
            None => return unknown,
            Some(_) if has_loss => return unknown,
            // If one free was not seen, the free of another object at its address looks late.
            Some(_) if is_ever_queued && !self.sees(Blind::Frees) => {
                return Expected { reasons: vec![Reason::BlindFrees], ..unknown };
            }
            Some(true) if late_frees > 0 => return Expected { kind: VerdictKind::LateFree, ..unknown },
            Some(_) => {}
        }
        let after = self.outstanding(life, end);
        if destroy.empty == Some(true) {
            if after > 0 {
                return Expected { kind: VerdictKind::ModelDisagrees, ..unknown };
            }
            let seen = Expected { queued_by_kfree_rcu: 0, leaked: Some(0), ..unknown };
            let waiting_after = self.waiting(life, end).len() as u64;
            if waiting_after > 0 {
                // The callbacks will run, whichever code freed their objects.
                return Expected {
                    kind: VerdictKind::Pending,
                    queued_by_call_rcu: seen.queued_by_call_rcu.map(|_| waiting_after),
                    ordering: Ordering::Unordered,
                    ..seen
                };
            }
            let queued_by_call_rcu = match seen.queued_by_call_rcu {
                Some(_) if self.sees(Blind::CallbackRuns) => Some(0),
                unseen => unseen,
            };
            let seen = Expected { queued_by_call_rcu, ..seen };
            let unexplained =
                self.unexplained.iter().filter(|(of, place)| *of == life && *place < over).count() as u64
                    + self.unknown_frees(life, 0, over)
                    + self.unknown_runs(life, 0, over);
            if unseen_calls > 0 && unexplained > 0 {
                // Nobody can say which of them a call queued that was not seen.
                return Expected { reasons: vec![Reason::ProbeMissed], ..seen };
            }
            return self.expect_emptied(destroy, look, over, &seen);
        }
        // What was freed while the slabs were counted comes after the event of the count.
        if destroy.left.is_some_and(|left| after.saturating_sub(late_frees) > left) {
            return Expected { kind: VerdictKind::ModelDisagrees, ..unknown };
        }
        // A count of nothing after a look that found something tells nothing.
        let left = destroy.left.filter(|left| *left > 0);
        let late_unknown = self.late_unknown(destroy);
        let late_runs = self.late_unknown_runs(destroy);
        let pending = seen_pending + late_unknown;
        let is_old = self.lives[life].created.is_none();
        let is_blind_for_callbacks = !self.sees(Blind::Callbacks)
            || (!self.sees(Blind::CallbackRuns) && !self.open_callbacks(destroy, look, over).is_empty());
        let has_unknown_past = is_old || destroy.counted || is_blind_for_callbacks;
        let handed_on = self.handed_on(destroy, over);
        let unknown_objects = unseen_calls + handed_on;
        let running_after = self.being_freed(life, end) + self.running(life, end);
        let waiting_after = self.waiting(life, end).len() as u64 + late_runs;
        let excess = left.map_or(0, |left| waiting_after.saturating_sub(left.saturating_sub(after)));
        let may_share = Naive::may_share_objects(&waiting, destroy.object_size) && waiting_after > 0;
        let is_one_each = excess == 0 && !may_share;
        let (leaked, undecided) = match left {
            None => (
                None,
                u64::from(
                    pending + seen_callbacks + late_runs == 0 && (has_unknown_past || unknown_objects > 0),
                ),
            ),
            Some(left) => {
                let rest = left.saturating_sub(after + late_unknown + running_after + waiting_after);
                let is_exact = running_after == 0 && !is_queued_during && is_one_each;
                if rest > 0 && has_unknown_past {
                    (None, rest)
                } else if is_exact && self.may_free_siblings(waiting_after) {
                    // What is left beside the callbacks that wait is nobody's only if it outlasts them.
                    let leaked = self.outlasts_callbacks(destroy).map_or(0, |left| left.min(rest));
                    (Some(leaked), rest - leaked)
                } else {
                    // Each call that went unseen, and each callback that has returned, may hold one of them.
                    let undecided = if is_exact { rest.min(unknown_objects) } else { 0 };
                    (is_exact.then_some(rest - undecided), undecided)
                }
            }
        };
        let callbacks = (seen_callbacks + late_runs).saturating_sub(excess);
        // What the look found may have been freed at once before anybody counted it.
        let is_freed_during = pending + callbacks == 0 && self.is_freed_at_once(destroy, look..end);
        let is_inexact = (left.is_some() || is_freed_during) && leaked.is_none() && undecided == 0;
        let queued_by_call_rcu = match unknown.queued_by_call_rcu {
            _ if undecided > 0 && !is_old && !destroy.counted && has_unknown_past => None,
            Some(_) if self.sees(Blind::CallbackRuns) => Some(callbacks),
            unseen => unseen,
        };
        let known =
            Expected { queued_by_kfree_rcu: pending, leaked, undecided, queued_by_call_rcu, ..unknown };
        let is_leaked = pending + callbacks == 0 && leaked.is_some_and(|leaked| leaked > 0);
        let reasons = if undecided > 0 && is_old {
            vec![Reason::LateAttach]
        } else if undecided > 0 && destroy.counted {
            vec![Reason::Counted]
        } else if undecided > 0 && !has_unknown_past {
            let missed = (unseen_calls > 0).then_some(Reason::ProbeMissed);
            let handed_on = (handed_on > 0).then_some(Reason::HandedOn);
            let waits = self.may_free_siblings(waiting_after).then_some(Reason::CallbacksOutstanding);
            missed.into_iter().chain(handed_on).chain(waits).collect()
        } else if undecided > 0 && has_unknown_past {
            let blind = [
                (Blind::Callbacks, Reason::BlindCallbacks),
                (Blind::CallbackRuns, Reason::BlindCallbackRuns),
            ];
            blind.iter().filter(|(blind, _)| !self.sees(*blind)).map(|(_, reason)| *reason).collect()
        } else if is_inexact && is_one_each {
            vec![Reason::InexactCount]
        } else {
            Vec::new()
        };
        let mut freed_by = known.freed_by;
        if reasons.contains(&Reason::HandedOn) {
            freed_by.callback = freed_by.callback.saturating_sub(undecided);
        }
        let known = Expected { reasons, freed_by, ..known };
        if pending + callbacks > 0 {
            return Expected { kind: VerdictKind::Pending, ..known };
        }
        if is_leaked || (undecided == 0 && !is_inexact) {
            let is_deferred = self.is_anything_deferred(life, over);
            let ordering = if is_deferred { Ordering::Unknown } else { Ordering::NothingDeferred };
            return Expected { kind: VerdictKind::Leaked, ordering, ..known };
        }
        known
    }

    /// Whether an object of its cache was freed at once between these places, where allocations are told.
    fn is_freed_at_once(&self, destroy: &Destroy, between: std::ops::Range<Place>) -> bool {
        let of = self.lives[destroy.life].address;
        let is_its = |what: &What| matches!(what, What::FreedAtOnce { cache, .. } if *cache == of);
        self.events[between].iter().any(|event| is_its(&event.what))
    }

    /// Callbacks of a cache that have returned, and may have handed their object on. Where allocations are told, so are
    /// frees: then it is what was handed to a callback and not seen to be freed, less what still waits.
    fn handed_on(&self, destroy: &Destroy, over: Place) -> u64 {
        if self.sees(Blind::CallbackRuns) && self.sees(Blind::Inside) {
            return 0;
        }
        let of_life = self.callbacks.iter().filter(|c| c.life == destroy.life && c.queued < over);
        let returned = if self.sees(Blind::CallbackRuns) {
            self.freed_by(destroy, over).callback
        } else {
            of_life.count() as u64
        };
        let events = &self.events[..over.min(self.events.len())];
        if !events.iter().any(|event| matches!(event.what, What::Allocated { .. })) {
            return returned;
        }
        let address = self.lives[destroy.life].address;
        let (_, handed) = self.allocated_and_handed(over);
        let left = handed.iter().filter(|(_, cache)| *cache == address).count() as u64;
        let end = destroy.end.unwrap_or(self.events.len());
        let waiting = self.waiting(destroy.life, end).len() as u64 + self.running(destroy.life, end);
        left.saturating_sub(waiting).min(returned)
    }

    /// Objects that were allocated and not freed or deferred until then, and of those that callbacks got the ones that were not
    /// freed.
    fn allocated_and_handed(&self, until: Place) -> (Objects, Objects) {
        let events = &self.events[..until.min(self.events.len())];
        let (mut held, mut handed) = (Vec::new(), Vec::new());
        for (place, event) in events.iter().enumerate() {
            match &event.what {
                What::Allocated { object, cache, .. } => {
                    handed.retain(|(other, _)| other != object);
                    held.retain(|(other, _)| other != object);
                    held.push((*object, *cache));
                }
                What::CallbackQueued { object: head, .. } => {
                    let of = |callback: &&Callback| callback.queued == place;
                    let life = self.callbacks.iter().find(of).map(|callback| callback.life);
                    let size = life.map_or(1, |life| self.object_size_then(life, place).max(1));
                    let before = held.iter().filter(|(object, _)| object <= head).max().copied();
                    if let Some(object) = before.filter(|(object, _)| head.0 - object.0 < size) {
                        held.retain(|other| *other != object);
                        handed.push(object);
                    }
                }
                What::Queued { object, .. }
                | What::Freed { object, .. }
                | What::FreedAtOnce { object, .. } => {
                    held.retain(|(other, _)| other != object);
                    handed.retain(|(other, _)| other != object);
                }
                _ => {}
            }
        }
        (held, handed)
    }

    /// Whether so many callbacks that wait may free more objects than those that their heads are in. Of a machine's it is
    /// told what each frees.
    fn may_free_siblings(&self, waiting: u64) -> bool {
        waiting > 0 && !(self.sees(Blind::CallbackRuns) && self.sees(Blind::Inside))
    }

    /// Objects of the cache that were allocated and never freed or deferred, once no callback of it waits or has kept its own
    /// object; none where that is not told.
    fn outlasts_callbacks(&self, destroy: &Destroy) -> Option<u64> {
        let now = self.events.len();
        let life = &self.lives[destroy.life];
        let is_told = self.events.iter().any(|event| matches!(event.what, What::Allocated { .. }));
        let waits = self.waiting(destroy.life, now).len() as u64 + self.running(destroy.life, now);
        if !is_told || life.gone.is_some() || waits > 0 {
            return None;
        }
        let (held, handed) = self.allocated_and_handed(now);
        let of_cache =
            |all: Objects| all.into_iter().filter(|(_, cache)| *cache == life.address).count() as u64;
        (of_cache(handed) == 0).then(|| of_cache(held))
    }

    /// Whether a loss happened in the life of a cache.
    fn is_in_life(&self, destroy: &Destroy, gap: &Gap) -> bool {
        let life = &self.lives[destroy.life];
        let born = life.created.map_or(self.watch.attached, |created| self.time(created));
        gap.until > born
            && destroy.end.is_none_or(|end| destroy.ended_unseen(self) || gap.from <= self.time(end))
    }

    /// Queueing calls that were not seen while this cache lived.
    fn unseen_calls(&self, destroy: &Destroy) -> u64 {
        let calls = self.gaps().map(|(_, gap)| gap).filter(|gap| gap.scope == Scope::Queueing);
        calls.filter(|gap| self.is_in_life(destroy, gap)).map(|gap| gap.events).sum()
    }

    /// Why events were lost that may have been about this cache while it lived.
    fn losses_that_touch(&self, destroy: &Destroy) -> Vec<Reason> {
        let life = &self.lives[destroy.life];
        let touching = self.gaps().map(|(_, gap)| gap).filter(|gap| {
            let is_about = match gap.scope {
                Scope::Everything | Scope::Freeing | Scope::Barriers => true,
                Scope::Cache(address) => address == life.address,
                Scope::Grace => false,
                // What such a call queued shows when it is freed or left, if frees are seen.
                Scope::Queueing => !self.sees(Blind::Frees) || !self.sees(Blind::CallbackRuns),
            };
            is_about && self.is_in_life(destroy, gap)
        });
        let mut reasons: Vec<Reason> = touching.map(|gap| Reason::from(gap.reason)).collect();
        reasons.sort_unstable();
        reasons.dedup();
        reasons
    }

    /// Nothing was left: was it ordered, or luck?
    fn expect_emptied(&self, destroy: &Destroy, look: Place, over: Place, seen: &Expected) -> Expected {
        let life = destroy.life;
        let unknown = seen.clone();
        if self.ran_after_every_barrier(destroy, look) {
            return Expected { kind: VerdictKind::Unordered, ordering: Ordering::Unordered, ..unknown };
        }
        let is_ordered = |queued: Place| self.is_ordered(BarrierKind::Kvfree, destroy, queued, look);
        let may_be_ordered = |queued: Place| {
            is_ordered(queued) || self.maybe_inlined(destroy).any(|other| queued < other.begin)
        };
        let of_life = |e: &&Deferred| {
            e.life == life
                && e.queued < over
                && !(e.within_call && e.freed.is_some_and(|freed| freed < over))
                && !(e.headless && e.replaced.is_some())
        };
        let unknown_frees = self.unknown_frees(life, 0, over);
        let has_luck = self.deferred.iter().filter(of_life).any(|entry| !is_ordered(entry.queued));
        let has_sure_luck = self.deferred.iter().filter(of_life).any(|entry| !may_be_ordered(entry.queued));
        // Objects from before the probes: any barrier that was seen began after their queueing.
        let has_unknown_luck = unknown_frees > 0 && !self.has_any_barrier(destroy, look);
        let is_after_older =
            self.older_barriers.iter().any(|(place, of)| *place < look && of.is_none_or(|of| of == life));
        let has_maybe = self.maybe_inlined(destroy).next().is_some();
        let has_sure_unknown_luck = has_unknown_luck && !has_maybe && !is_after_older;
        let open = self.open_callbacks(destroy, look, over);
        let callbacks_prove = !open.is_empty() && self.sees(Blind::RcuBarrier);
        let frees_prove = (has_sure_luck || has_sure_unknown_luck) && self.sees(Blind::KvfreeBarrier);
        if callbacks_prove || frees_prove {
            // A barrier of another task counts neither way: nobody says who called it.
            let last_free = self.deferred.iter().filter(of_life).map(|e| e.queued).max();
            let last_callback = open.iter().map(|callback| callback.queued).max();
            let by_others = |is_for_it: &dyn Fn(&Barrier) -> bool, last: Option<Place>| {
                self.barriers.iter().any(|b| {
                    let is_before = b.end.is_some_and(|end| end < destroy.begin);
                    is_for_it(b) && last.is_none_or(|last| b.begin > last) && is_before
                })
            };
            let is_rcu = |b: &Barrier| b.kind == BarrierKind::Rcu && !b.by_chance;
            let callbacks_may = !callbacks_prove || by_others(&is_rcu, last_callback);
            let by_another_destroy = self.destroys_until(destroy).any(|other| {
                self.flushes_every_cpu(other) && last_free.is_none_or(|last| other.begin > last)
            });
            let frees_may = !frees_prove || by_another_destroy || by_others(&|b| b.is_for(life), last_free);
            if callbacks_may && frees_may {
                return Expected { reasons: vec![Reason::BarrierCallerUnknown], ..unknown };
            }
            return Expected { kind: VerdictKind::Unordered, ordering: Ordering::Unordered, ..unknown };
        }
        if has_luck || has_unknown_luck {
            let sees_barrier = self.sees(Blind::KvfreeBarrier);
            let reason = match (sees_barrier, has_luck || has_maybe) {
                (false, _) => Reason::BlindKvfreeBarrier,
                (true, true) => Reason::MapFull,
                (true, false) => Reason::LateAttach,
            };
            return Expected { reasons: vec![reason], ..unknown };
        }
        if !open.is_empty() {
            return Expected { reasons: vec![Reason::BlindRcuBarrier], ..unknown };
        }
        let is_anything_deferred = self.is_anything_deferred(life, over);
        let ordering = if is_anything_deferred { Ordering::Ordered } else { Ordering::NothingDeferred };
        let own = self.outstanding(life, destroy.begin)
            + self.being_freed(life, destroy.begin)
            + self.unknown_frees(life, destroy.begin, over);
        let is_own = |b: &Barrier| {
            b.task == destroy.task && b.begin > destroy.begin && b.end.is_some_and(|e| e < look)
        };
        let is_inside =
            self.barriers.iter().any(|b| is_own(b) && b.is_for(life)) || self.flushes_every_cpu(destroy);
        let is_rcu_inside =
            self.barriers.iter().any(|b| is_own(b) && b.kind == BarrierKind::Rcu && !b.by_chance);
        let unknown_runs = self.unknown_runs(life, destroy.begin, look);
        // Whether a callback would be open without the destroy's own barrier.
        let at_begin = self.waiting(life, destroy.begin).len() as u64 + self.running(life, destroy.begin);
        let last =
            self.callbacks.iter().filter(|c| c.life == life && c.queued < over).map(|c| c.queued).max();
        let may_be_ordered_before = at_begin == 0
            && last.is_some_and(|last| last < destroy.begin)
            && self.barriers.iter().any(|b| {
                let is_others = b.kind == BarrierKind::Rcu && !b.by_chance && b.task != destroy.task;
                is_others
                    && last.is_some_and(|last| b.begin > last)
                    && b.end.is_some_and(|end| end < destroy.begin)
            });
        let waited_for_callbacks = (!self.open_callbacks(destroy, destroy.begin, over).is_empty()
            && !may_be_ordered_before)
            || (is_rcu_inside && unknown_runs > 0);
        // Callbacks that nobody saw may be ordered by nothing.
        if ((is_inside && own > 0) || waited_for_callbacks) && self.sees(Blind::Callbacks) {
            let callbacks = self.waiting(life, destroy.begin).len() as u64
                + self.running(life, destroy.begin)
                + unknown_runs;
            return Expected {
                kind: VerdictKind::Waited,
                waited_for_own: own,
                waited_for_other: self.others_freed_while_it_waited(destroy, look),
                in_sheaves: (unknown.freed_by.sheaf - self.freed_by(destroy, destroy.begin).sheaf).min(own),
                ordering: Ordering::Ordered,
                waited_for_callbacks,
                waited_for_own_callbacks: if waited_for_callbacks { callbacks } else { 0 },
                ..unknown
            };
        }
        let is_old = self.lives[life].created.is_none() || destroy.counted;
        let has_unknown_callbacks = self.unknown_runs(life, 0, over) > 0
            && self.standing(BarrierKind::Rcu, destroy, look).next().is_none();
        let ordering = match ordering {
            Ordering::NothingDeferred if is_old => Ordering::Unknown,
            _ if is_old && (!is_inside || has_unknown_callbacks) => Ordering::Unknown,
            ordering => ordering,
        };
        let mut reasons = match ordering {
            Ordering::Unknown if destroy.counted => vec![Reason::Counted],
            Ordering::Unknown => vec![Reason::LateAttach],
            _ => Vec::new(),
        };
        // Callbacks may have been queued unseen.
        let sees_callbacks = self.sees(Blind::Callbacks);
        reasons.extend((!sees_callbacks).then_some(Reason::BlindCallbacks));
        let ordering = if sees_callbacks { ordering } else { Ordering::Unknown };
        Expected { kind: VerdictKind::Clean, ordering, reasons, ..unknown }
    }

    /// Whether a callback from before the probes ran after every barrier for callbacks had returned.
    fn ran_after_every_barrier(&self, destroy: &Destroy, look: Place) -> bool {
        let mut ends = self.events[..look].iter().enumerate().filter(|(_, event)| {
            let is_for_frees = |kind| matches!(kind, BarrierKind::Kvfree | BarrierKind::KvfreeOnCache);
            matches!(event.what, What::BarrierEnd { barrier, .. } if !is_for_frees(barrier))
        });
        let last = ends.next_back().map(|(place, _)| place);
        let ran = self.unknown_run_places(destroy.life).filter(|place| *place < look).max();
        self.sees(Blind::RcuBarrier)
            && self.sees(Blind::Flavours)
            && ran.is_some_and(|ran| last.is_none_or(|last| last < ran))
    }

    /// The other users of a cache that had let go of it before this destroy was called.
    fn users(&self, destroy: &Destroy, look: Place) -> impl Iterator<Item = &Destroy> {
        let (life, begin) = (destroy.life, destroy.begin);
        let has_let_go = move |other: &&Destroy| other.look.is_none_or(|of_other| of_other > look);
        self.destroys.iter().filter(move |other| other.life == life && other.begin < begin).filter(has_let_go)
    }

    /// Whether any free of a cache was deferred until then. An object that its queueing call freed does not
    /// count.
    fn is_anything_deferred(&self, life: usize, over: Place) -> bool {
        let within_call = |e: &Deferred| e.within_call && e.freed.is_some_and(|freed| freed < over);
        self.unknown_frees(life, 0, over) > 0
            || self.unknown_runs(life, 0, over) > 0
            || self.deferred.iter().any(|e| e.life == life && e.queued < over && !within_call(e))
            || self.callbacks.iter().any(|callback| callback.life == life && callback.queued < over)
    }

    /// Two flushed works for each CPU show an inlined barrier.
    pub(super) fn flushes_every_cpu(&self, destroy: &Destroy) -> bool {
        self.watch.possible_cpus > 0
            && destroy.works_flushed != FLUSHES_UNKNOWN
            && destroy.works_flushed >= 2 * self.watch.possible_cpus
    }

    /// Barriers that the destroying task has called and that returned before the look of a destroy.
    fn standing(&self, kind: BarrierKind, destroy: &Destroy, look: Place) -> impl Iterator<Item = &Barrier> {
        let (task, life) = (destroy.task, destroy.life);
        let over = destroy.look.unwrap_or(look);
        self.barriers.iter().filter(move |barrier| {
            let is_for_it = match kind {
                BarrierKind::Rcu => barrier.kind == BarrierKind::Rcu && !barrier.by_chance,
                _ => barrier.is_for(life),
            };
            // What another task has called is no part of this teardown, unless that task has let go of the cache since.
            let is_users =
                |user: &Destroy| barrier.task == user.task && barrier.end.is_some_and(|end| end < user.begin);
            let is_own = barrier.task == task && barrier.end.is_some_and(|end| end < look);
            is_for_it && (is_own || self.users(destroy, over).any(is_users))
        })
    }

    fn is_ordered(&self, kind: BarrierKind, destroy: &Destroy, queued: Place, look: Place) -> bool {
        self.standing(kind, destroy, look).any(|barrier| queued < barrier.begin)
            || (kind == BarrierKind::Kvfree && self.inlined(destroy).any(|other| queued < other.begin))
            || (kind == BarrierKind::Kvfree
                && self.flushed_sheaves(destroy).any(|barrier| queued < barrier.begin))
    }

    /// A destroy's own `rcu_barrier()` while it looks: it has flushed sheaves there, if no batch of the cache
    /// was freed since its entry.
    fn flushed_sheaves(&self, destroy: &Destroy) -> impl Iterator<Item = &Barrier> {
        let (task, look, end) = (destroy.task, destroy.look, destroy.end);
        let over = end.unwrap_or(self.events.len());
        let of_batches = |until: Place| {
            let freed = self.freed_by(destroy, until);
            freed.bulk + freed.list
        };
        let only_sheaves = of_batches(over) == of_batches(destroy.begin);
        self.barriers.iter().filter(move |b| {
            only_sheaves
                && b.kind == BarrierKind::Rcu
                && !b.by_chance
                && b.task == task
                && look.is_some_and(|look| look < b.begin)
                && b.end.is_some_and(|barrier_end| barrier_end < over)
        })
    }

    /// Destroys of the same cache whose inlined barrier comes in between: the destroy itself, and earlier
    /// ones.
    fn inlined(&self, destroy: &Destroy) -> impl Iterator<Item = &Destroy> {
        let task = destroy.task;
        self.destroys_until(destroy).filter(move |other| other.task == task && self.flushes_every_cpu(other))
    }

    /// Destroys of which it is not known whether they have such a barrier.
    fn maybe_inlined(&self, destroy: &Destroy) -> impl Iterator<Item = &Destroy> {
        self.destroys_until(destroy).filter(|other| other.works_flushed == FLUSHES_UNKNOWN)
    }

    fn destroys_until(&self, destroy: &Destroy) -> impl Iterator<Item = &Destroy> {
        let (life, begin) = (destroy.life, destroy.begin);
        let is_before =
            move |other: &Destroy| other.begin == begin || other.look.is_some_and(|look| look < begin);
        self.destroys.iter().filter(move |other| other.life == life && is_before(other))
    }

    fn has_any_barrier(&self, destroy: &Destroy, look: Place) -> bool {
        self.standing(BarrierKind::Kvfree, destroy, look).next().is_some()
            || self.inlined(destroy).next().is_some()
    }

    /// Callbacks of the cache that no `rcu_barrier()` orders before a place.
    fn open_callbacks(&self, destroy: &Destroy, before: Place, end: Place) -> Vec<&Callback> {
        let is_open = |callback: &&Callback| {
            callback.life == destroy.life
                && callback.queued < end
                && !self.is_ordered(BarrierKind::Rcu, destroy, callback.queued, before)
        };
        self.callbacks.iter().filter(is_open).collect()
    }

    /// The destroy that a free is late for: the last one whose look at the cache was over. If no look was
    /// seen, the last destroy, once the cache is gone.
    fn is_late_for(&self, destroy: &Destroy, life: usize, freed: Place) -> bool {
        let of_life = || self.destroys.iter().filter(|d| d.life == life && d.begin < freed);
        let has_looked = |d: &&Destroy| d.look.is_some() && d.end.is_some_and(|end| end < freed);
        let looked = of_life().filter(has_looked).max_by_key(|d| d.end);
        let last = looked.or_else(|| of_life().next_back().filter(|_| self.is_gone(life, freed)));
        last.is_some_and(|last| last.begin == destroy.begin)
    }

    fn late_frees(&self, destroy: &Destroy) -> u64 {
        let is_late =
            |entry: &&Deferred| entry.freed.is_some_and(|freed| self.is_late_for(destroy, entry.life, freed));
        let runs_late = |callback: &&Callback| {
            self.sees(Blind::CallbackRuns)
                && callback.ran.is_some_and(|ran| self.is_late_for(destroy, callback.life, ran))
        };
        self.deferred.iter().filter(is_late).count() as u64
            + self.callbacks.iter().filter(runs_late).count() as u64
            + self.late_unknown(destroy)
            + self.late_unknown_runs(destroy)
    }

    /// Callbacks that ran late and whose queueing was not seen.
    fn late_unknown_runs(&self, destroy: &Destroy) -> u64 {
        let places = self.unknown_run_places(destroy.life);
        places.filter(|begin| self.is_late_for(destroy, destroy.life, *begin)).count() as u64
    }

    fn late_unknown(&self, destroy: &Destroy) -> u64 {
        let is_late = |f: &&Free| f.unknown && self.is_late_for(destroy, f.life, f.begin);
        self.frees.iter().filter(is_late).count() as u64
    }
}

impl Destroy {
    /// Whether only the release of its cache shows that it has ended.
    fn ended_unseen(&self, naive: &Naive<'_>) -> bool {
        self.end.is_some_and(|end| !matches!(naive.events[end].what, What::ShutdownEnd { .. }))
    }
}
