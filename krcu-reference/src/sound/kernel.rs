//! Kernel: a small kernel in which one module goes. It knows the truth about its objects, and keeps its promises.
//!
//! The machine of the approaches has pages, batches and mutexes, and its states are many. This one has only what a judge
//! is told of and what it has to guess: when an object is really free, what a callback does with its object, whom a task
//! has waited for. So all histories can be taken one by one.

use krcu_common::{BarrierKind, FreePath};
use krcu_model::event::{Leftover, Site, What};

use super::{
    deferral::{Deferral, Stage},
    says::{
        ELSEWHERE, MINE, QUEUE, SRCU, cache_of, created, facts, head, inner_begins, kind, object_address,
        queued, queued_by_callback, work, work_queued,
    },
    setup::{Actor, How, Inner, Op, Setup, Then, Wait},
    truth::{Look, Outstanding, Unloaded},
};

const WORKER: u32 = 40;

/// What a task is in the middle of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct Doing {
    pub(super) op: u8,
    pub(super) stage: u8,
    /// The deferred frees that it waits for.
    pub(super) waits: u8,
    /// Of these, whose works it flushes, or for which it waits, with knowledge of the callbacks that queued them.
    pub(super) knows: u8,
}

/// A task.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub(super) struct Thread {
    /// The first op that it may still take.
    pub(super) next: u8,
    pub(super) doing: Option<Doing>,
}

/// A move.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Move {
    /// The probes are attached.
    Attach,
    /// A task calls this op.
    Call(Actor, u8),
    /// A task goes on with what it has called.
    Goes(Actor),
    /// The kernel finds something in the slabs, or nothing.
    Decides(Actor),
    /// The kernel finds nothing, although something is left.
    Overlooks(Actor),
    /// The kernel counts the slabs for this task; it may count this many objects that are free.
    Counts(Actor, u8),
    /// A grace period begins.
    GraceBegins,
    /// It ends.
    GraceEnds,
    /// A deferred free goes on.
    Frees(u8),
    /// What its callback has handed the object on to frees it.
    FreesLate(u8),
}

/// What a move shows. An event that no probe sees is marked.
#[derive(Clone, Debug)]
pub struct Shown {
    pub(super) task: u32,
    pub(super) cpu: u16,
    pub(super) what: What,
}

/// The kernel.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Kernel {
    pub(super) attached: bool,
    pub(super) tasks: [Thread; 3],
    pub(super) deferrals: Vec<Deferral>,
    /// Which objects are free.
    free: u8,
    pub(super) users: u8,
    pub(super) in_grace: bool,
    /// What the destroy of each task met.
    pub(super) looks: [Option<Look>; 3],
    /// What is known to be covered by those that have let go of the cache.
    let_go: (u8, u8),
    /// Whether the other module has asked for the cache.
    pub(super) is_shared: bool,
    /// What was left of the module's callbacks as its exit returned.
    pub(super) unloaded: Option<Unloaded>,
}

impl Kernel {
    /// The first state.
    #[must_use]
    pub fn new(setup: &Setup) -> Kernel {
        Kernel {
            attached: !setup.attaches,
            tasks: [Thread::default(); 3],
            deferrals: Vec::new(),
            free: 0,
            users: setup.users,
            in_grace: false,
            looks: [None; 3],
            let_go: (0, 0),
            is_shared: setup.users > 1,
            unloaded: None,
        }
    }

    /// The op that a task is in the middle of.
    pub(super) fn doing(&self, actor: Actor) -> Option<u8> {
        self.tasks[actor as usize].doing.map(|doing| doing.op)
    }

    pub(super) fn is_free(&self, object: usize) -> bool {
        self.free & (1 << object) != 0
    }

    /// Whether a deferred free is to free this object, or has freed it.
    pub(super) fn is_deferred(&self, object: usize) -> bool {
        let frees = |deferral: &Deferral| deferral.objects().any(|freed| usize::from(freed) == object);
        self.deferrals.iter().any(frees)
    }

    /// Whether nobody has freed this object, and nobody is to free it.
    pub(super) fn is_untouched(&self, object: usize) -> bool {
        !self.is_free(object) && !self.is_deferred(object)
    }

    /// Whether the callback that queued this one has returned; true of one that no callback queued.
    pub(super) fn has_queuer_returned(&self, deferral: &Deferral) -> bool {
        let queuer = deferral.after.map(|after| self.deferrals[usize::from(after)]);
        queuer.is_none_or(|queuer| queuer.stage >= Stage::Returned)
    }

    /// The deferred frees of the cache that is judged.
    pub(super) fn of_mine<'a>(&'a self, setup: &'a Setup) -> impl Iterator<Item = &'a Deferral> {
        self.deferrals.iter().filter(|deferral| setup.objects[usize::from(deferral.object)])
    }

    /// What is deferred of the cache that is judged and not freed.
    pub(super) fn outstanding(&self, setup: &Setup) -> Outstanding {
        let mut outstanding = Outstanding::default();
        for deferral in self.of_mine(setup) {
            let count = match deferral.how {
                _ if deferral.stage >= Stage::Returned && deferral.works_on_it() => &mut outstanding.works,
                How::KfreeRcu => &mut outstanding.frees,
                How::CallRcu => &mut outstanding.callbacks,
                How::CallSrcu => &mut outstanding.others,
                How::Elsewhere => &mut outstanding.elsewhere,
            };
            count.held += u8::from(deferral.holds());
            let in_call = matches!(deferral.stage, Stage::Begun | Stage::Done);
            count.in_call += u8::from(in_call);
            count.waits += u8::from(deferral.stage == Stage::Queued);
        }
        outstanding
    }

    /// Makes a move, and gives what it shows.
    pub fn apply(&mut self, setup: &Setup, chosen: Move) -> Vec<Shown> {
        let mut shown = Vec::new();
        self.moves_once(setup, chosen, &mut shown);
        if setup.is_fine {
            return shown;
        }
        match chosen {
            Move::Frees(place) if self.deferrals[usize::from(place)].stage == Stage::Begun => {
                self.moves_once(setup, chosen, &mut shown);
            }
            Move::Goes(actor) if self.looks[actor as usize].is_some_and(|look| look.is_under_way()) => {
                self.moves_once(setup, Move::Decides(actor), &mut shown);
                self.moves_once(setup, chosen, &mut shown);
                self.moves_once(setup, Move::Counts(actor, 0), &mut shown);
            }
            Move::Call(actor, place) if setup.ops[usize::from(place)].1 == Op::Return => {
                self.moves_once(setup, Move::Goes(actor), &mut shown);
            }
            _ => {}
        }
        shown
    }

    fn moves_once(&mut self, setup: &Setup, chosen: Move, shown: &mut Vec<Shown>) {
        match chosen {
            Move::Attach => self.attached = true,
            Move::Call(actor, place) => {
                self.tasks[actor as usize].next = place + 1;
                self.calls(setup, actor, place, shown);
            }
            Move::Goes(actor) => self.goes(setup, actor, shown),
            Move::Decides(actor) | Move::Overlooks(actor) => {
                if let Some(mut look) = self.looks[actor as usize] {
                    look.decides(setup, self, matches!(chosen, Move::Overlooks(_)));
                    self.looks[actor as usize] = Some(look);
                }
            }
            Move::Counts(actor, more) => self.counts(setup, actor, more, shown),
            Move::GraceBegins => {
                self.in_grace = true;
                self.deferrals.iter_mut().for_each(|deferral| deferral.in_grace = true);
                shown.push(Shown { task: 30, cpu: 0, what: What::GraceBegin { expedited: false } });
            }
            Move::GraceEnds => {
                self.in_grace = false;
                self.deferrals.iter_mut().for_each(|deferral| deferral.ready |= deferral.in_grace);
                shown.push(Shown { task: 30, cpu: 0, what: What::GraceEnd { expedited: false } });
            }
            Move::Frees(place) => self.frees(setup, place, shown),
            Move::FreesLate(place) => {
                let deferral = &mut self.deferrals[usize::from(place)];
                deferral.is_late = true;
                self.free |= 1 << deferral.object;
                let (object, cache) = (object_address(deferral.object), cache_of(setup, deferral.object));
                let (task, cpu) = (WORKER + u32::from(deferral.object), 0);
                shown.push(Shown { task, cpu, what: What::FreedAtOnce { object, cache } });
            }
        }
    }

    fn calls(&mut self, setup: &Setup, actor: Actor, place: u8, shown: &mut Vec<Shown>) {
        let op = setup.ops[usize::from(place)].1;
        let mut says = |what| shown.push(Shown { task: actor.task(), cpu: 0, what });
        match op {
            Op::Defer(how, then, object) => {
                says(queued(setup, how, object, self.deferrals.len(), actor));
                self.defers(setup, (how, then, object), actor, None);
            }
            Op::Free(object) => {
                self.free |= 1 << object;
                says(What::FreedAtOnce { object: object_address(object), cache: cache_of(setup, object) });
            }
            Op::Barrier(wait, has_stack) => {
                says(What::BarrierBegin {
                    barrier: kind(wait),
                    rcu_works_flushed: 0,
                    site: match wait {
                        Wait::Chance => Site(5),
                        _ if has_stack => Site(actor as u32 + 1),
                        _ => Site(0),
                    },
                    comm: actor.words().to_owned(),
                });
                self.waits(actor, place, &[wait]);
            }
            Op::Join => {
                self.tasks[Actor::Helper as usize].next = u8::MAX;
                self.learns(actor, Actor::Helper);
            }
            Op::Share => {
                self.users += 1;
                self.is_shared = true;
                says(created(i32::from(self.users)));
            }
            Op::Destroy => self.destroys(setup, actor, place, shown),
            Op::Return => {
                self.unloaded = Some(Unloaded::of(self));
                says(What::ModuleGoing { name: "mine".to_owned() });
                self.waits(actor, place, &[]);
            }
        }
    }

    /// The free of an object is deferred, by a callback if one is named.
    fn defers(&mut self, setup: &Setup, what: (How, Then, u8), by: Actor, after: Option<u8>) {
        let (how, then, object) = what;
        self.deferrals.push(Deferral {
            how,
            then,
            object,
            by,
            after,
            stage: Stage::Queued,
            in_grace: false,
            ready: !setup.has_graces,
            covered: 0,
            flushed: 0,
            inner: false,
            is_late: false,
        });
    }

    /// The task begins to wait for what such barriers cover.
    fn waits(&mut self, actor: Actor, op: u8, waits: &[Wait]) {
        let mut doing = Doing { op, stage: 0, waits: 0, knows: 0 };
        for (place, deferral) in self.deferrals.iter().enumerate() {
            if waits.iter().any(|wait| deferral.is_waited_for(*wait)) {
                doing.waits |= 1 << place;
            }
            // A callback that a callback queues is surely queued if the task has waited for that one before.
            let first = deferral.after.map_or(deferral, |after| &self.deferrals[usize::from(after)]);
            if first.covered & actor.bit() != 0 {
                doing.knows |= 1 << place;
            }
        }
        self.tasks[actor as usize].doing = Some(doing);
    }

    /// One task learns what another one has waited for.
    fn learns(&mut self, actor: Actor, of: Actor) {
        for deferral in &mut self.deferrals {
            for known in [&mut deferral.covered, &mut deferral.flushed] {
                *known |= if *known & of.bit() == 0 { 0 } else { actor.bit() };
            }
        }
    }

    /// What the task has waited for is over.
    fn has_waited(&mut self, actor: Actor, is_flush: bool, is_inner: bool) {
        let Some(doing) = self.tasks[actor as usize].doing else { return };
        for (place, deferral) in self.deferrals.iter_mut().enumerate() {
            let is_waited_for = doing.waits & (1 << place) != 0;
            let is_known = doing.knows & (1 << place) != 0;
            if is_flush && deferral.queues_work() && is_known {
                deferral.flushed |= actor.bit();
            } else if is_waited_for && !is_flush && (deferral.after.is_none() || is_known) {
                deferral.inner |= is_inner && deferral.covered & actor.bit() == 0;
                deferral.covered |= actor.bit();
            }
        }
    }

    fn destroys(&mut self, setup: &Setup, actor: Actor, place: u8, shown: &mut Vec<Shown>) {
        let mut says = |what| shown.push(Shown { task: actor.task(), cpu: 0, what });
        let users = i32::from(self.users);
        says(What::DestroyBegin {
            cache: MINE,
            facts: facts(users),
            site: Site(actor as u32 + 1),
            comm: "rmmod".to_owned(),
            counted: false,
        });
        self.users -= 1;
        let is_alias = self.users > 0;
        let outstanding = self.outstanding(setup);
        self.looks[actor as usize] = Some(Look::new(is_alias, outstanding));
        let bit = |known: u8| if known & actor.bit() == 0 { 0 } else { u8::MAX };
        if is_alias {
            // Whoever destroys after it knows what it knew.
            for (place, deferral) in self.deferrals.iter().enumerate() {
                self.let_go.0 |= bit(deferral.covered) & (1 << place);
                self.let_go.1 |= bit(deferral.flushed) & (1 << place);
            }
            return;
        }
        for (place, deferral) in self.deferrals.iter_mut().enumerate() {
            deferral.covered |= if self.let_go.0 & (1 << place) == 0 { 0 } else { actor.bit() };
            deferral.flushed |= if self.let_go.1 & (1 << place) == 0 { 0 } else { actor.bit() };
        }
        let waits: &[Wait] = match setup.inner {
            Inner::Nothing => &[],
            Inner::Barrier | Inner::Inlined => &[Wait::Kvfree],
            Inner::AndCallbacks => &[Wait::Kvfree, Wait::Rcu],
        };
        match setup.inner {
            Inner::Barrier => says(inner_begins(actor, BarrierKind::Kvfree)),
            Inner::AndCallbacks => says(inner_begins(actor, BarrierKind::Rcu)),
            Inner::Nothing | Inner::Inlined => {}
        }
        self.waits(actor, place, waits);
    }

    fn goes(&mut self, setup: &Setup, actor: Actor, shown: &mut Vec<Shown>) {
        let Some(doing) = self.tasks[actor as usize].doing else { return };
        let mut says = |what| shown.push(Shown { task: actor.task(), cpu: 0, what });
        match setup.ops[usize::from(doing.op)].1 {
            Op::Barrier(wait, _) => {
                let of = match wait {
                    Wait::Rcu | Wait::Chance | Wait::Kvfree => 0,
                    Wait::Srcu => SRCU,
                    Wait::Flush => QUEUE,
                };
                says(What::BarrierEnd { barrier: kind(wait), cache: None, of });
                if wait != Wait::Chance {
                    self.has_waited(actor, wait == Wait::Flush, false);
                }
            }
            Op::Destroy => return self.looks(setup, actor, shown),
            Op::Return => says(What::ModuleFreed { name: "mine".to_owned() }),
            _ => {}
        }
        self.tasks[actor as usize].doing = None;
    }

    /// The destroy begins its look, or ends it.
    fn looks(&mut self, setup: &Setup, actor: Actor, shown: &mut Vec<Shown>) {
        let mut says = |what| shown.push(Shown { task: actor.task(), cpu: 0, what });
        let Some(look) = self.looks[actor as usize] else { return };
        if look.has_begun {
            // The event has its place before the slabs are counted.
            says(What::ShutdownEnd { empty: None, left: None });
            let mut look = look;
            look.ends(setup, self);
            self.looks[actor as usize] = Some(look);
            return;
        }
        match setup.inner {
            Inner::Barrier => says(What::BarrierEnd { barrier: BarrierKind::Kvfree, cache: None, of: 0 }),
            Inner::AndCallbacks => says(What::BarrierEnd { barrier: BarrierKind::Rcu, cache: None, of: 0 }),
            Inner::Nothing | Inner::Inlined => {}
        }
        let is_inlined = matches!(setup.inner, Inner::Inlined | Inner::AndCallbacks);
        let rcu_works_flushed = if is_inlined { 4 } else { 0 };
        says(What::ShutdownBegin { cache: MINE, rcu_works_flushed });
        self.has_waited(actor, false, true);
        let (outstanding, held) = (self.outstanding(setup), kernel_held(setup, self));
        if let Some(look) = &mut self.looks[actor as usize] {
            look.has_begun = true;
            look.held_before = held;
            look.outstanding = outstanding;
        }
        if let Some(doing) = &mut self.tasks[actor as usize].doing {
            doing.waits = 0;
        }
    }

    /// The slabs are counted, and the destroy returns.
    fn counts(&mut self, setup: &Setup, actor: Actor, more: u8, shown: &mut Vec<Shown>) {
        let Some(mut look) = self.looks[actor as usize] else { return };
        let mut says = |what| shown.push(Shown { task: actor.task(), cpu: 0, what });
        let counted = look.count(setup, self, actor, more);
        let (objects, listed) = (u64::from(counted.left), u64::from(counted.left - counted.miscounted));
        // A slab that has failed the look stays, even if its last object is freed.
        let left = look.has_failed.then_some(Leftover { objects, listed });
        says(What::ShutdownEnd { empty: Some(!look.has_failed), left });
        if !look.has_failed {
            says(What::CacheReleased { cache: MINE });
        }
        self.looks[actor as usize] = Some(look);
        self.tasks[actor as usize].doing = None;
    }

    fn frees(&mut self, setup: &Setup, place: u8, shown: &mut Vec<Shown>) {
        let deferral = self.deferrals[usize::from(place)];
        // A judge must not learn from these numbers what it cannot see.
        let worker = WORKER + u32::from(deferral.object);
        let (task, cpu) = match deferral.stage {
            _ if deferral.is_kfree_rcu() => (worker, 0),
            Stage::Returned | Stage::LaterDone | Stage::LaterReturned => (worker, 0),
            _ => (0, u16::from(deferral.object)),
        };
        let mut says = |what| shown.push(Shown { task, cpu, what });
        let (object, cache) = (object_address(deferral.object), cache_of(setup, deferral.object));
        let path = if deferral.is_kfree_rcu() { FreePath::Bulk } else { FreePath::Callback };
        let frees_now = match deferral.stage {
            Stage::Begun => matches!(deferral.then, Then::Frees | Then::FreesTwo),
            Stage::Returned => deferral.works_on_it(),
            _ => false,
        };
        let head = head(deferral.how, deferral.object, usize::from(place));
        let stage = match deferral.stage {
            Stage::Queued => {
                let of = if deferral.how == How::Elsewhere { ELSEWHERE } else { cache };
                says(match deferral.how {
                    How::KfreeRcu => What::Freed { object, cache, path },
                    _ => What::CallbackRuns { object: head, cache: of },
                });
                Stage::Begun
            }
            Stage::Begun => {
                if deferral.queues_work() {
                    says(work_queued(usize::from(place)));
                }
                if let Then::Queues([how, rest @ ..]) = deferral.then {
                    says(queued_by_callback(setup, (*how, rest.len()), deferral.object, deferral.by));
                    let then = if rest.is_empty() { Then::Frees } else { Then::Queues(rest) };
                    self.defers(setup, (*how, then, deferral.object), deferral.by, Some(place));
                }
                Stage::Done
            }
            Stage::Done => {
                says(What::BatchFreed { path });
                Stage::Returned
            }
            Stage::Returned => Stage::LaterDone,
            Stage::LaterDone | Stage::LaterReturned => {
                says(What::WorkRan { object: work(usize::from(place)) });
                Stage::LaterReturned
            }
        };
        if frees_now {
            for object in deferral.objects() {
                self.free |= 1 << object;
                if !deferral.is_kfree_rcu() {
                    let (object, cache) = (object_address(object), cache_of(setup, object));
                    says(What::FreedAtOnce { object, cache });
                }
            }
        }
        self.deferrals[usize::from(place)].stage = stage;
    }
}

/// Objects of the cache that are not free.
pub(super) fn kernel_held(setup: &Setup, kernel: &Kernel) -> u8 {
    let is_held = |object: &usize| setup.objects[*object] && !kernel.is_free(*object);
    u8::try_from((0..setup.objects.len()).filter(is_held).count()).unwrap_or(u8::MAX)
}
