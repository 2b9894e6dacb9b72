//! Kernel: a small kernel in which one module goes. It knows the truth about its objects, and keeps its promises.
//!
//! The machine of the approaches has pages, batches and mutexes, and its states are many. This one has only what a judge
//! is told of and what it has to guess: when an object is really free, what a callback does with its object, whom a task
//! has waited for. So all histories can be taken one by one.

use krcu_common::{BarrierKind, Flavour, FreePath, QueueForm};
use krcu_model::event::{
    CacheAddress, CacheFacts, Domain, FunctionAddress, Leftover, ObjectAddress, Site, What,
};

use super::{
    setup::{Actor, How, Inner, Op, Setup, Then, Wait},
    truth::{Look, Outstanding, Unloaded},
};

/// The cache that is judged.
pub(super) const MINE: CacheAddress = CacheAddress(0x1000);
/// Another cache.
pub(super) const THEIRS: CacheAddress = CacheAddress(0x2000);
const ELSEWHERE: CacheAddress = CacheAddress(krcu_common::wire::ELSEWHERE);
const SRCU: u64 = 0x5000;
const QUEUE: u64 = 0x6000;
const WORKER: u32 = 40;

/// How far a deferred free is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Stage {
    /// It waits for a grace period.
    Queued,
    /// The call that frees, or the callback, has begun.
    Begun,
    /// It has done what it does with its object.
    Done,
    /// It has returned.
    Returned,
    /// The work that the callback has queued has freed the object; or what it handed the object on to.
    LaterDone,
    /// That work has returned.
    LaterReturned,
}

/// A deferred free.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Deferral {
    pub(super) how: How,
    pub(super) then: Then,
    pub(super) object: u8,
    pub(super) by: Actor,
    pub(super) stage: Stage,
    in_grace: bool,
    ready: bool,
    /// The tasks that know of a barrier of their own kind that covers it.
    pub(super) covered: u8,
    /// The tasks that know that its work was flushed after that.
    pub(super) flushed: u8,
    /// Whether the barrier inside of the destroy is what covered it.
    pub(super) inner: bool,
    /// Whether what it was handed on to has freed the object.
    pub(super) is_late: bool,
}

impl Deferral {
    pub(super) fn is_kfree_rcu(&self) -> bool {
        self.how == How::KfreeRcu
    }

    /// Whether its object is still held by it.
    pub(super) fn holds(&self) -> bool {
        let is_later = matches!(self.then, Then::QueuesWork);
        self.stage < Stage::Done || (is_later && self.stage < Stage::LaterDone)
    }

    /// Whether its object has been handed on to something unfollowed, and is not free.
    pub(super) fn has_handed_on(&self) -> bool {
        matches!(self.then, Then::HandsOn | Then::QueuesOtherWork)
            && self.stage >= Stage::Done
            && !self.is_late
    }

    /// Callbacks and works of it that are still to return.
    pub(super) fn open(&self) -> u8 {
        let is_work_queued = self.queues_work() && (Stage::Done..Stage::LaterReturned).contains(&self.stage);
        u8::from(self.stage < Stage::Returned) + u8::from(is_work_queued)
    }

    /// Whether its callback queues a work.
    pub(super) fn queues_work(&self) -> bool {
        matches!(self.then, Then::QueuesWork | Then::QueuesOtherWork)
    }

    /// Whether this task's teardown has ordered it.
    pub(super) fn is_ordered(&self, actor: Actor) -> bool {
        let by = if self.queues_work() { self.flushed } else { self.covered };
        by & actor.bit() != 0
    }

    fn is_waited_for(&self, wait: Wait) -> bool {
        match wait {
            Wait::Rcu | Wait::Chance => matches!(self.how, How::CallRcu | How::Elsewhere),
            Wait::Srcu => self.how == How::CallSrcu,
            Wait::Kvfree => self.is_kfree_rcu(),
            Wait::Flush => self.queues_work() && self.stage >= Stage::Done,
        }
    }

    /// Whether a barrier has waited enough for it.
    fn is_over(&self, wait: Wait) -> bool {
        self.stage >= if wait == Wait::Flush { Stage::LaterReturned } else { Stage::Returned }
    }
}

/// What a task is in the middle of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct Doing {
    op: u8,
    stage: u8,
    /// The deferred frees that it waits for.
    waits: u8,
    /// Of these, whose works it flushes with knowledge of their callbacks.
    knows: u8,
}

/// A task.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
struct Thread {
    /// The first op that it may still take.
    next: u8,
    doing: Option<Doing>,
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
    tasks: [Thread; 3],
    pub(super) deferrals: Vec<Deferral>,
    /// Which objects are free.
    free: u8,
    users: u8,
    in_grace: bool,
    /// What the destroy of each task met.
    pub(super) looks: [Option<Look>; 3],
    /// What is known to be covered by those that have let go of the cache.
    let_go: (u8, u8),
    /// Whether the other module has asked for the cache.
    is_shared: bool,
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

    /// The deferred frees of the cache that is judged.
    pub(super) fn of_mine<'a>(&'a self, setup: &'a Setup) -> impl Iterator<Item = &'a Deferral> {
        self.deferrals.iter().filter(|deferral| setup.objects[usize::from(deferral.object)])
    }

    /// Every move that may happen next.
    #[must_use]
    pub fn moves(&self, setup: &Setup) -> Vec<Move> {
        let mut moves = Vec::new();
        if !self.attached && self.looks.iter().all(Option::is_none) {
            moves.push(Move::Attach);
        }
        for actor in Actor::ALL {
            self.moves_of(setup, actor, &mut moves);
        }
        if setup.has_graces && !self.in_grace && self.deferrals.iter().any(|d| !d.ready) {
            moves.push(Move::GraceBegins);
        }
        if self.in_grace {
            moves.push(Move::GraceEnds);
        }
        for (place, deferral) in (0..).zip(&self.deferrals) {
            let can_go_on = match deferral.stage {
                Stage::Queued => deferral.ready,
                Stage::Begun | Stage::Done => true,
                Stage::Returned => deferral.queues_work(),
                Stage::LaterDone => true,
                Stage::LaterReturned => false,
            };
            if deferral.has_handed_on() && deferral.stage >= Stage::Returned {
                moves.push(Move::FreesLate(place));
            }
            if can_go_on {
                moves.push(Move::Frees(place));
            }
        }
        moves
    }

    fn moves_of(&self, setup: &Setup, actor: Actor, moves: &mut Vec<Move>) {
        let thread = self.tasks[actor as usize];
        if let Some(doing) = thread.doing {
            let is_over = |place: &usize| {
                let wait = match setup.ops[usize::from(doing.op)].1 {
                    Op::Barrier(wait, _) => wait,
                    _ if self.deferrals[*place].is_kfree_rcu() => Wait::Kvfree,
                    _ => Wait::Rcu,
                };
                doing.waits & (1 << place) == 0 || self.deferrals[*place].is_over(wait)
            };
            if !(0..self.deferrals.len()).all(|place| is_over(&place)) {
                return;
            }
            match self.looks[actor as usize] {
                Some(look) if look.is_under_way() && !look.has_decided => moves.push(Move::Decides(actor)),
                Some(look) if look.awaits_count() => {
                    moves.push(Move::Counts(actor, 0));
                    let during = look.outstanding.total().saturating_sub(self.outstanding(setup).total());
                    if setup.miscounts && during > 0 && look.has_failed {
                        moves.push(Move::Counts(actor, 1));
                    }
                }
                _ => moves.push(Move::Goes(actor)),
            }
            return;
        }
        for (place, (by, op)) in (0..).zip(setup.ops) {
            if *by == actor && place >= thread.next && self.may_call(setup, actor, *op) {
                moves.push(Move::Call(actor, place));
            }
        }
    }

    fn may_call(&self, setup: &Setup, actor: Actor, op: Op) -> bool {
        // The text of the module that has gone calls nothing more.
        let is_gone = self.unloaded.is_some() && actor != Actor::Other;
        let has_destroyed = self.looks[actor as usize].is_some();
        let is_mine_gone = self.looks.iter().flatten().any(|look| look.counted.is_some());
        !is_gone
            && match op {
                Op::Defer(_, _, object) | Op::Free(object) => {
                    let is_deferred = self.deferrals.iter().any(|deferral| deferral.object == object);
                    let is_more = matches!(op, Op::Defer(..)) && self.deferrals.len() >= setup.most;
                    !is_more && !is_deferred && !self.is_free(usize::from(object)) && !is_mine_gone
                }
                Op::Join => self.tasks[Actor::Helper as usize].doing.is_none(),
                Op::Share => self.users > 0 && !is_mine_gone,
                Op::Destroy => self.attached && (actor != Actor::Other || self.is_shared),
                Op::Return => self.attached && has_destroyed,
                Op::Barrier(..) => true,
            }
    }

    /// What is deferred of the cache that is judged and not freed.
    pub(super) fn outstanding(&self, setup: &Setup) -> Outstanding {
        let mut outstanding = Outstanding::default();
        for deferral in self.of_mine(setup) {
            let count = match deferral.how {
                _ if deferral.stage >= Stage::Returned && deferral.then == Then::QueuesWork => {
                    &mut outstanding.works
                }
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
            Move::Decides(actor) => {
                if let Some(mut look) = self.looks[actor as usize] {
                    look.decides(setup, self);
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
                let number = self.deferrals.len();
                says(queued(setup, how, object, number, actor));
                self.deferrals.push(Deferral {
                    how,
                    then,
                    object,
                    by: actor,
                    stage: Stage::Queued,
                    in_grace: false,
                    ready: !setup.has_graces,
                    covered: 0,
                    flushed: 0,
                    inner: false,
                    is_late: false,
                });
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

    /// The task begins to wait for what such barriers cover.
    fn waits(&mut self, actor: Actor, op: u8, waits: &[Wait]) {
        let mut doing = Doing { op, stage: 0, waits: 0, knows: 0 };
        for (place, deferral) in self.deferrals.iter().enumerate() {
            if waits.iter().any(|wait| deferral.is_waited_for(*wait)) {
                doing.waits |= 1 << place;
            }
            if deferral.covered & actor.bit() != 0 {
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
            if is_flush && deferral.queues_work() && doing.knows & (1 << place) != 0 {
                deferral.flushed |= actor.bit();
            } else if is_waited_for && !is_flush {
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
            let held = kernel_held(setup, self);
            self.looks[actor as usize] = Some(Look { has_ended: true, held, ..look });
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
        let outstanding = self.outstanding(setup);
        if let Some(look) = &mut self.looks[actor as usize] {
            look.has_begun = true;
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
            Stage::Begun => deferral.then == Then::Frees,
            Stage::Returned => deferral.then == Then::QueuesWork,
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
            self.free |= 1 << deferral.object;
            if !deferral.is_kfree_rcu() {
                says(What::FreedAtOnce { object, cache });
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

fn kind(wait: Wait) -> BarrierKind {
    match wait {
        Wait::Rcu | Wait::Chance => BarrierKind::Rcu,
        Wait::Srcu => BarrierKind::Srcu,
        Wait::Kvfree => BarrierKind::Kvfree,
        Wait::Flush => BarrierKind::Workqueue,
    }
}

fn inner_begins(actor: Actor, barrier: BarrierKind) -> What {
    let (site, comm) = (Site(actor as u32 + 1), actor.words().to_owned());
    What::BarrierBegin { barrier, rcu_works_flushed: 0, site, comm }
}

fn facts(refcount: i32) -> CacheFacts {
    CacheFacts { name: "mine".to_owned(), object_size: 64, refcount }
}

pub(super) fn created(users: i32) -> What {
    let (asked_name, site) = ("mine".to_owned(), Site(4));
    What::CacheCreated { cache: MINE, facts: facts(users), asked_name, site }
}

pub(super) fn object_address(object: u8) -> ObjectAddress {
    ObjectAddress(0x10000 + u64::from(object) * 64)
}

pub(super) fn cache_of(setup: &Setup, object: u8) -> CacheAddress {
    if setup.objects[usize::from(object)] { MINE } else { THEIRS }
}

fn head(how: How, object: u8, number: usize) -> ObjectAddress {
    if how == How::Elsewhere {
        return ObjectAddress(0x20000 + number as u64 * 64);
    }
    ObjectAddress(object_address(object).0 + 16)
}

fn work(number: usize) -> ObjectAddress {
    ObjectAddress(0x30000 + number as u64 * 64)
}

/// The address of the callback in the text of the module, of this task.
fn function(actor: Actor) -> FunctionAddress {
    FunctionAddress(if actor == Actor::Other { 0x702 } else { 0x701 })
}

fn queued(setup: &Setup, how: How, object: u8, number: usize, by: Actor) -> What {
    let (address, cache, site) = (object_address(object), cache_of(setup, object), Site(by as u32 + 1));
    let flavour = if how == How::CallSrcu { Flavour::Srcu } else { Flavour::Rcu };
    let domain = Domain { flavour, address: if how == How::CallSrcu { SRCU } else { 0 } };
    match how {
        How::KfreeRcu => What::Queued { object: address, cache, site, form: QueueForm::Head },
        _ => What::CallbackQueued {
            object: head(how, object, number),
            cache: if how == How::Elsewhere { ELSEWHERE } else { cache },
            function: function(by),
            text: None,
            domain,
            site,
        },
    }
}

fn work_queued(number: usize) -> What {
    What::CallbackQueued {
        object: work(number),
        cache: ELSEWHERE,
        function: FunctionAddress(0x703),
        text: None,
        domain: Domain { flavour: Flavour::Work, address: QUEUE },
        site: Site(0),
    }
}
