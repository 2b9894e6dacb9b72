//! Barriers: those that tasks are inside of, and how far those reach that have returned, by their caller.
//!
//! A barrier orders a destroy when the teardown itself called it: the destroying task, before the destroy or inside of
//! it. A barrier of anybody else happened to run. It covers the same objects, and it is not there the next time.
//!
//! The init of a module has returned before its exit begins: `delete_module()` refuses a module that is not
//! `MODULE_STATE_LIVE`. So a barrier that the init called, and not a thread of it, is one that the exit may count on.

use std::collections::BTreeMap;

use krcu_common::BarrierKind;

use crate::{
    event::{Task, Time},
    state::{
        deferral::Before,
        id::Mark,
        stack::{Stack, StackId},
    },
};

/// A barrier that has been entered.
#[derive(Clone, Debug)]
pub struct OpenBarrier {
    /// Which.
    pub barrier: BarrierKind,
    /// When.
    pub begin: Mark,
    /// Of a flush of works: the barriers for callbacks that the same task had called before, and how far each reaches.
    pub(crate) after: Vec<(Before, u64)>,
    /// Whether `flush_rcu_work()` called it, only because a batch happened to wait.
    pub by_chance: bool,
    /// Where from.
    pub stack: StackId,
    /// Name of the task; empty where that is not known.
    pub comm: String,
}

/// Tasks kept of those that have called a barrier.
const TASKS: usize = 64;
/// Modules kept whose code has called one.
const MODULES: usize = 64;

/// A barrier that has returned.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Returned {
    /// It covers what was queued before this position.
    pub until: u64,
    /// Which.
    pub kind: BarrierKind,
    /// The task that called it.
    pub task: Task,
    /// Its name; empty where that is not known.
    pub comm: String,
    /// Where from; the stack that nobody took where that is not known.
    pub stack: StackId,
    /// The module whose work the task was running, if it is a worker.
    pub work_of: Option<String>,
    /// The work in whose run it was called, if its task is a worker.
    pub work: Option<u64>,
    /// The module in whose exit it was called. Where the exit ended by a jump to it, the name is empty until that exit
    /// has returned.
    pub exit_of: Option<String>,
    /// When it was called.
    pub began: Time,
    /// When it returned.
    pub returned: Time,
}

impl Returned {
    /// Whether a barrier that its task calls later, in the exit of this module, may build on it.
    pub(crate) fn may_precede(&self, exit_of: Option<&str>) -> bool {
        self.exit_of.as_deref().is_none_or(str::is_empty)
            || exit_of.is_none()
            || self.exit_of.as_deref() == exit_of
    }
}

/// A destroy, or an unload: whose barriers count for it.
///
/// One that its task called in the exit of another module does not: `rmmod` of several modules, and `modprobe -r`, unload them in
/// one task. What it covers of that other module's own deferrals is ordered all the same, also for a cache that the other module
/// only used.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Teardown<'a> {
    pub(crate) task: Task,
    /// The module whose cache or text it is.
    pub(crate) module: Option<&'a str>,
    /// The module in whose exit it happens, where a frame shows that.
    pub(crate) exit_of: Option<&'a str>,
    /// The module that alone has deferred what the barrier has to cover.
    pub(crate) by: Option<&'a str>,
}

impl Teardown<'_> {
    fn has(&self, barrier: &Returned) -> bool {
        let Some(exits) = barrier.exit_of.as_deref() else { return true };
        exits.is_empty() || [self.module, self.exit_of, self.by].contains(&Some(exits))
    }
}

/// By whom what was deferred last is covered, seen from a destroy.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cover<'a> {
    /// By no barrier.
    Nobody,
    /// By a barrier of somebody else: luck.
    Luck(&'a Returned),
    /// By a barrier that the module's own code called in another task. Whether the destroying task has waited for that
    /// task is not seen.
    Helper(&'a Returned),
    /// By a barrier of another task whose caller is not known.
    Unknown(&'a Returned),
}

impl<'a> Cover<'a> {
    /// Of a destroy: by whom it is covered, if this is who covers it at the entry, and that is who does at the look. A task
    /// that is inside of a destroy waits for nobody's helper: whose barrier returns meanwhile is luck.
    pub(crate) fn or_at_the_look(self, look: Cover<'a>) -> Cover<'a> {
        match (self, look) {
            (Cover::Nobody, Cover::Helper(barrier) | Cover::Unknown(barrier)) => Cover::Luck(barrier),
            (Cover::Nobody, look) => look,
            (before, _) => before,
        }
    }
}

/// How far the barriers of one kind reach that have returned, the furthest of each caller.
#[derive(Clone, Debug, Default)]
pub(crate) struct Callers {
    by_task: BTreeMap<Task, Returned>,
    others: Others,
}

/// The furthest that barriers of others reach.
#[derive(Clone, Debug, Default)]
pub struct Others {
    by_module: BTreeMap<String, Returned>,
    /// Of these, those that the module's init called.
    by_init: BTreeMap<String, Returned>,
    unknown: Option<Returned>,
    anybody: Option<Returned>,
}

impl Callers {
    /// One returned. `by_chance` says that another function called it, and only because it met work that waited.
    pub(crate) fn returned(&mut self, barrier: Returned, stack: &Stack, by_chance: bool) {
        further(&mut self.others.anybody, &barrier);
        if by_chance {
            return;
        }
        if barrier.stack == StackId::default() {
            further(&mut self.others.unknown, &barrier);
        }
        // A work that ended by a jump to the barrier has no frame.
        for module in stack.modules().chain(barrier.work_of.as_deref()) {
            self.others.of_module(module, &barrier);
        }
        match stack.init_of() {
            Some(Some(module)) => self.others.of_init(module, &barrier),
            Some(None) => further(&mut self.others.unknown, &barrier),
            None => {}
        }
        let known = self.by_task.entry(barrier.task).or_insert_with(|| barrier.clone());
        if known.until <= barrier.until {
            *known = barrier;
        }
        if self.by_task.len() > TASKS
            && let Some(oldest) = self.by_task.values().min_by_key(|barrier| barrier.returned)
            && let Some(oldest) = self.by_task.remove(&oldest.task.clone())
        {
            // Should this task destroy, nobody knows any more that it called one.
            further(&mut self.others.unknown, &oldest);
        }
    }

    /// The exit of this module has run in this task, and what it called by a jump was called in it.
    pub(crate) fn has_exited(&mut self, task: Task, module: &str) {
        if let Some(exit) = self.by_task.get_mut(&task).and_then(|barrier| barrier.exit_of.as_mut())
            && exit.is_empty()
        {
            module.clone_into(exit);
        }
    }

    /// This task has waited for that work, in the exit of this module if one is given: what the module's barrier in its
    /// run covered is ordered for the task as well.
    pub(crate) fn awaited(&mut self, work: u64, task: Task, exit_of: Option<&str>) {
        let helpers = self.others.by_module.values().filter(|barrier| barrier.work == Some(work));
        let Some(helper) = helpers.max_by_key(|barrier| barrier.until) else { return };
        let own = Returned { task, exit_of: exit_of.map(str::to_owned), ..helper.clone() };
        let known = self.by_task.entry(task).or_insert_with(|| own.clone());
        if known.until < own.until {
            *known = own;
        }
    }

    /// When the newest of them returned.
    pub(crate) fn newest(&self) -> Option<Time> {
        self.others.anybody.as_ref().map(|barrier| barrier.returned)
    }

    /// The furthest of this teardown's own.
    pub(crate) fn of(&self, teardown: Teardown<'_>) -> Option<&Returned> {
        self.by_task.get(&teardown.task).filter(|barrier| teardown.has(barrier))
    }

    /// The furthest of this task's, on which a barrier in the exit of this module may build.
    pub(crate) fn before(&self, task: Task, exit_of: Option<&str>) -> Option<&Returned> {
        self.by_task.get(&task).filter(|barrier| barrier.may_precede(exit_of))
    }

    /// The furthest of everybody.
    pub(crate) fn others(&self) -> &Others {
        &self.others
    }
}

impl Others {
    fn of_module(&mut self, module: &str, barrier: &Returned) {
        if !further_of(&mut self.by_module, module, barrier) {
            further(&mut self.unknown, barrier);
        }
    }

    fn of_init(&mut self, module: &str, barrier: &Returned) {
        // Without room, it stays one of the module's code.
        further_of(&mut self.by_init, module, barrier);
    }

    /// The furthest that the init of this module called.
    pub(crate) fn init_of(&self, module: &str) -> Option<&Returned> {
        self.by_init.get(module)
    }

    /// Takes over what reaches further.
    pub(crate) fn join(&mut self, others: &Others) {
        for (module, barrier) in &others.by_module {
            self.of_module(module, barrier);
        }
        for (module, barrier) in &others.by_init {
            self.of_init(module, barrier);
        }
        for (known, other) in [(&mut self.unknown, &others.unknown), (&mut self.anybody, &others.anybody)] {
            if let Some(other) = other {
                further(known, other);
            }
        }
    }

    /// By whom what was queued at this position is covered, for a cache of this module.
    pub(crate) fn cover(&self, position: u64, module: Option<&str>) -> Cover<'_> {
        let covers = |barrier: &&Returned| barrier.until > position;
        let helper = module.and_then(|module| self.by_module.get(module)).filter(covers);
        if let Some(barrier) = helper {
            return Cover::Helper(barrier);
        }
        if let Some(barrier) = self.unknown.as_ref().filter(covers) {
            return Cover::Unknown(barrier);
        }
        self.anybody.as_ref().filter(covers).map_or(Cover::Nobody, Cover::Luck)
    }
}

/// Keeps the furthest of a module; false if there is no room for one more module.
fn further_of(known: &mut BTreeMap<String, Returned>, module: &str, barrier: &Returned) -> bool {
    if let Some(known) = known.get_mut(module) {
        if known.until < barrier.until {
            *known = barrier.clone();
        }
        return true;
    }
    let has_room = known.len() < MODULES;
    if has_room {
        known.insert(module.to_owned(), barrier.clone());
    }
    has_room
}

fn further(known: &mut Option<Returned>, barrier: &Returned) {
    if known.as_ref().is_none_or(|known| known.until < barrier.until) {
        *known = Some(barrier.clone());
    }
}
