//! Module: what is believed of one that is loaded, by the callbacks in its text; and of one that has gone.

use std::collections::{BTreeMap, BTreeSet};

use crate::{
    event::{CacheAddress, Task, Time},
    state::{
        barriers::{Cover, Others},
        cache::Life,
        deferral::{Deferrals, Queued},
        deferred::Waiting,
        domains::Reach,
        function::Recent,
        home::ByHome,
        id::{CacheId, Freer, Mark},
        moment::Moment,
    },
};

/// What is known of the callbacks in a module's text, wherever their heads lie.
#[derive(Clone, Debug, Default)]
pub struct Text {
    /// When the module was loaded; none where it is older than the probes.
    pub loaded: Option<Mark>,
    /// Whether it may have queued callbacks before the probes were attached.
    pub may_have_older: bool,
    /// Callbacks that were ever queued.
    pub callbacks: Queued,
    /// The last of each other kind of deferral.
    pub others: Deferrals,
    /// Whether a callback queued one of them whose run cannot be seen.
    pub has_unseen_chain: bool,
    /// The functions of the last ones.
    pub functions: Recent,
    /// Where their heads are.
    pub(crate) homes: ByHome,
}

impl Text {
    /// Callbacks that were ever queued, of any kind.
    #[must_use]
    pub fn ever(&self) -> u64 {
        self.callbacks.ever + self.others.ever()
    }
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
    /// The caches that their heads are in.
    pub left_in: BTreeSet<CacheAddress>,
    /// How far the last `rcu_barrier()` of the same task reached.
    pub covered: u64,
    /// When that barrier was called.
    pub covered_since: Time,
    /// How far those of others reached.
    pub covered_by_others: Others,
    /// For other kinds of deferral, how far the barriers of the same task and of others reached.
    pub domains: Vec<Reach>,
}

impl Unload {
    /// Whether no `rcu_barrier()` of the unloading task orders the last callback before the text goes.
    #[must_use]
    pub fn has_open_callbacks(&self) -> bool {
        self.text.callbacks.last.is_some_and(|last| last.position >= self.covered)
    }

    /// Whether it may have queued callbacks before the probes were attached, which no `rcu_barrier()` of the unloading task
    /// orders: any that it has called since then does.
    #[must_use]
    pub fn has_open_past(&self) -> bool {
        self.text.may_have_older && self.covered == 0
    }

    /// The other kinds of deferral that no barrier of the unloading task orders before the text goes.
    pub fn open_domains(&self) -> impl Iterator<Item = &Reach> {
        self.domains.iter().filter(|reach| reach.is_open())
    }

    /// By whom each kind is covered that no barrier of the unloading task covers.
    pub(crate) fn covers(&self) -> impl Iterator<Item = Cover<'_>> {
        let last = self.text.callbacks.last.map_or(0, |last| last.position);
        let of_rcu =
            self.has_open_callbacks().then(|| self.covered_by_others.cover(last, Some(&self.module)));
        of_rcu.into_iter().chain(self.open_domains().map(|reach| reach.cover(Some(&self.module))))
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
    /// The name that the module asked for, if its cache was merged with this one.
    pub merged: Option<String>,
    /// Its address.
    pub address: CacheAddress,
    /// What was deferred then.
    pub left: Moment,
}

/// The modules that are loaded, and those that have gone.
#[derive(Clone, Debug, Default)]
pub(crate) struct Modules {
    pub(crate) loaded: BTreeMap<String, Text>,
    /// Which thread runs which callback.
    pub(crate) running: BTreeMap<Freer, Waiting>,
    /// Which worker runs which work.
    pub(crate) working: BTreeMap<Task, Waiting>,
    /// Whether any work was ever seen to begin.
    pub(crate) sees_works_begin: bool,
    /// Modules whose exit function has returned and whose text is there.
    pub(crate) going: BTreeMap<String, Unload>,
    pub(crate) unloads: Vec<Unload>,
    pub(crate) abandoned: Vec<Abandoned>,
    /// When a module of this name last went.
    pub(crate) freed: BTreeMap<String, Mark>,
    pub(crate) next: u64,
}

/// Unloads kept of the newest, and as many caches that were left behind: of a watch that goes on for weeks the older ones
/// are forgotten.
const MOST: usize = 1024;

impl Modules {
    /// Modules that are older than the probes, and may have queued callbacks before.
    pub(crate) fn older(names: &[String]) -> Modules {
        let older = |name: &String| (name.clone(), Text { may_have_older: true, ..Text::default() });
        Modules { loaded: names.iter().map(older).collect(), ..Modules::default() }
    }

    pub(crate) fn has_gone(&mut self, unload: Unload) {
        let unload = Unload { number: self.next, ..unload };
        self.next += 1;
        keep(&mut self.unloads, unload);
    }

    pub(crate) fn leaves_behind(&mut self, abandoned: Abandoned) {
        keep(&mut self.abandoned, abandoned);
    }

    /// Somebody gives the cache back who may have held it for a module that has gone: then that one did not leave it behind. Of a
    /// merged cache, `is_for_another` says that it is not the giver's own.
    pub(crate) fn is_given_back(&mut self, life: CacheId, is_for_another: bool) {
        self.abandoned.retain(|abandoned| abandoned.life.id != life || abandoned.merged.is_some());
        let held = self.abandoned.iter().position(|abandoned| abandoned.life.id == life);
        if let Some(held) = held.filter(|_| is_for_another) {
            self.abandoned.remove(held);
        }
    }

    /// Whether a module of this name has gone since then.
    pub(crate) fn has_freed(&self, name: &str, since: Mark) -> bool {
        self.freed.get(name).is_some_and(|at| at.position >= since.position)
    }
}

/// Adds one, and forgets the oldest of too many.
fn keep<T>(kept: &mut Vec<T>, newest: T) {
    kept.push(newest);
    if kept.len() > MOST {
        kept.remove(0);
    }
}
