//! Reach: how far barriers reach, and for whom each of them counts.
//!
//! A barrier orders a destroy when the teardown itself called it: the destroying task, before the destroy or inside of
//! it. A barrier of anybody else happened to run. It covers the same objects, and it is not there the next time.

use std::collections::BTreeMap;

use krcu_common::BarrierKind;

use crate::{
    event::{Task, Time},
    stack::{Stack, StackId},
};

/// Tasks kept of those that have called a barrier.
const TASKS: usize = 64;
/// Modules kept whose code has called one.
const MODULES: usize = 64;

/// A barrier that has returned.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reach {
    /// It covers what was queued before this position.
    pub until: u64,
    /// Which.
    pub barrier: BarrierKind,
    /// The task that called it.
    pub task: Task,
    /// Its name; empty where that is not known.
    pub comm: String,
    /// Where from; the stack that nobody took where that is not known.
    pub stack: StackId,
    /// When it returned.
    pub returned: Time,
}

/// By whom what was deferred last is covered, seen from a destroy.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cover<'a> {
    /// By no barrier.
    Nobody,
    /// By a barrier of somebody else: luck.
    Luck(&'a Reach),
    /// By a barrier that the module's own code called in another task. Whether the destroying task has waited for that
    /// task is not seen.
    Helper(&'a Reach),
    /// By a barrier of another task whose caller is not known.
    Unknown(&'a Reach),
}

/// How far the barriers of one kind reach that have returned, the furthest of each caller.
#[derive(Clone, Debug, Default)]
pub(crate) struct Reaches {
    by_task: BTreeMap<Task, Reach>,
    others: Others,
}

/// The furthest that barriers of others reach.
#[derive(Clone, Debug, Default)]
pub struct Others {
    by_module: BTreeMap<String, Reach>,
    unknown: Option<Reach>,
    anybody: Option<Reach>,
}

impl Reaches {
    /// One returned. `by_chance` says that another function called it, and only because it met work that waited.
    pub(crate) fn returned(&mut self, reach: Reach, stack: &Stack, by_chance: bool) {
        further(&mut self.others.anybody, &reach);
        if by_chance {
            return;
        }
        if reach.stack == StackId::default() {
            further(&mut self.others.unknown, &reach);
        }
        for module in stack.modules() {
            self.others.of_module(module, &reach);
        }
        let known = self.by_task.entry(reach.task).or_insert_with(|| reach.clone());
        if known.until <= reach.until {
            *known = reach;
        }
        if self.by_task.len() > TASKS
            && let Some(oldest) = self.by_task.values().min_by_key(|reach| reach.returned)
            && let Some(oldest) = self.by_task.remove(&oldest.task.clone())
        {
            // Should this task destroy, nobody knows any more that it called one.
            further(&mut self.others.unknown, &oldest);
        }
    }

    /// The furthest of this task's own.
    pub(crate) fn of(&self, task: Task) -> Option<&Reach> {
        self.by_task.get(&task)
    }

    /// The furthest of everybody.
    pub(crate) fn others(&self) -> &Others {
        &self.others
    }
}

impl Others {
    fn of_module(&mut self, module: &str, reach: &Reach) {
        if let Some(known) = self.by_module.get_mut(module) {
            if known.until < reach.until {
                *known = reach.clone();
            }
        } else if self.by_module.len() < MODULES {
            self.by_module.insert(module.to_owned(), reach.clone());
        } else {
            further(&mut self.unknown, reach);
        }
    }

    /// Takes over what reaches further.
    pub(crate) fn join(&mut self, others: &Others) {
        for (module, reach) in &others.by_module {
            self.of_module(module, reach);
        }
        for (known, other) in [(&mut self.unknown, &others.unknown), (&mut self.anybody, &others.anybody)] {
            if let Some(other) = other {
                further(known, other);
            }
        }
    }

    /// By whom what was queued at this position is covered, for a cache of this module.
    pub(crate) fn cover(&self, position: u64, module: Option<&str>) -> Cover<'_> {
        let covers = |reach: &&Reach| reach.until > position;
        let helper = module.and_then(|module| self.by_module.get(module)).filter(covers);
        if let Some(reach) = helper {
            return Cover::Helper(reach);
        }
        if let Some(reach) = self.unknown.as_ref().filter(covers) {
            return Cover::Unknown(reach);
        }
        self.anybody.as_ref().filter(covers).map_or(Cover::Nobody, Cover::Luck)
    }
}

fn further(known: &mut Option<Reach>, reach: &Reach) {
    if known.as_ref().is_none_or(|known| known.until < reach.until) {
        *known = Some(reach.clone());
    }
}
