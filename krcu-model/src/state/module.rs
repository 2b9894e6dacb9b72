//! Module: what is believed of one that is loaded, by the callbacks in its text; and of one that has gone.

use std::collections::BTreeMap;

use crate::{
    event::{CacheAddress, Task, Time},
    state::{
        barriers::{Cover, Others},
        cache::Life,
        function::Recent,
        id::{Freer, Mark},
        moment::{Moment, Queued},
    },
};

/// What is known of the callbacks in a module's text, wherever their heads lie.
#[derive(Clone, Debug, Default)]
pub struct Text {
    /// When the module was loaded; none where it is older than the probes.
    pub loaded: Option<Mark>,
    /// Callbacks that were ever queued.
    pub callbacks: Queued,
    /// The functions of the last ones.
    pub functions: Recent,
}

/// A module whose exit function has returned: its text goes.
#[derive(Clone, Debug)]
pub struct Unload {
    /// Its place among all of the watch, from 0.
    pub number: u64,
    /// The module.
    pub module: String,
    /// The task that unloaded it.
    pub task: Task,
    /// When.
    pub at: Mark,
    /// What is known of its callbacks.
    pub text: Text,
    /// Callbacks in its text that had not returned, where it is told when they run.
    pub left: Moment,
    /// How far the last `rcu_barrier()` of the same task reached.
    pub covered: u64,
    /// When that barrier was called.
    pub covered_since: Time,
    /// How far those of others reached.
    pub covered_by_others: Others,
}

impl Unload {
    /// Whether no `rcu_barrier()` of the unloading task orders the last callback before the text goes.
    #[must_use]
    pub fn has_open_callbacks(&self) -> bool {
        self.text.callbacks.last.is_some_and(|last| last.position >= self.covered)
    }

    /// By whom it is covered then.
    pub(crate) fn cover(&self) -> Cover<'_> {
        let last = self.text.callbacks.last.map_or(0, |last| last.position);
        self.covered_by_others.cover(last, Some(&self.module))
    }
}

/// A cache that a module has created and left behind as it went.
#[derive(Clone, Debug)]
pub struct Abandoned {
    /// The module.
    pub module: String,
    /// The task that unloaded it.
    pub task: Task,
    /// When.
    pub at: Mark,
    /// Which cache.
    pub life: Life,
    /// Its address.
    pub address: CacheAddress,
    /// What was deferred then.
    pub left: Moment,
}

/// The modules that are loaded, and those that have gone.
#[derive(Clone, Debug, Default)]
pub(crate) struct Modules {
    pub(crate) loaded: BTreeMap<String, Text>,
    /// Which thread runs a callback of which module's.
    pub(crate) running: BTreeMap<Freer, String>,
    pub(crate) unloads: Vec<Unload>,
    pub(crate) abandoned: Vec<Abandoned>,
    pub(crate) next: u64,
}

/// Unloads kept of the newest, and as many caches that were left behind: of a watch that goes on for weeks the older ones
/// are forgotten.
const MOST: usize = 1024;

impl Modules {
    pub(crate) fn has_gone(&mut self, unload: Unload) {
        self.next += 1;
        keep(&mut self.unloads, unload);
    }

    pub(crate) fn leaves_behind(&mut self, abandoned: Abandoned) {
        keep(&mut self.abandoned, abandoned);
    }
}

/// Adds one, and forgets the oldest of too many.
fn keep<T>(kept: &mut Vec<T>, newest: T) {
    kept.push(newest);
    if kept.len() > MOST {
        kept.remove(0);
    }
}
