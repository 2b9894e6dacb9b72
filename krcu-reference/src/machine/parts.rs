//! Parts: the plain data of a CPU of the machine: lists, sheaves, batches, callbacks, and what is being freed.
//! The files beside this one say what happens to these.

use std::collections::VecDeque;

use krcu_common::FreePath;
use krcu_model::event::Cpu;

use super::{
    CacheIndex, ObjectIndex,
    facts::{FREE_N_CHANNELS, KFREE_N_BATCHES},
    sequence::Cookie,
};

/// A page of pointers (`struct kvfree_rcu_bulk_data`).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Page {
    /// Its objects, oldest first.
    pub objects: Vec<ObjectIndex>,
    /// The grace period that all of them wait for; taken anew with each object (`gp_snap`).
    pub cookie: Cookie,
}

/// The queued objects of a CPU (`struct kfree_rcu_cpu`).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Krc {
    /// The fallback list (`head`), oldest first.
    pub head: Vec<ObjectIndex>,
    /// Its cookie (`head_gp_snap`).
    pub head_cookie: Cookie,
    /// Pages by channel (`bulk_head`), oldest first.
    pub bulk: [Vec<Page>; FREE_N_CHANNELS],
    /// The delayed work (`monitor_work`).
    pub monitor: Monitor,
    /// Batches that wait for a grace period or that a worker frees (`krw_arr`).
    pub krw: [Krw; KFREE_N_BATCHES],
    /// Empty pages at hand (`nr_bkv_objs`).
    pub cached_pages: u16,
    /// Whether pages are being fetched (`work_in_progress`).
    pub fill: bool,
}

/// The monitor of a CPU.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Monitor {
    /// Not queued.
    #[default]
    Idle,
    /// Its timer runs.
    Armed {
        /// Whether a page is full, so that the delay is one jiffy and not five seconds.
        soon: bool,
    },
    /// It frees what it found ready.
    Running(Taken),
}

/// An array of objects of one cache, with one head for all of them (`struct slab_sheaf`).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Sheaf {
    /// Its objects.
    pub objects: Vec<ObjectIndex>,
    /// Whether it exists: it is allocated with its first object.
    pub present: bool,
}

impl Krc {
    /// Whether the lists hold anything (`need_offload_krc()`).
    #[must_use]
    pub fn has_queued(&self) -> bool {
        !self.head.is_empty() || self.bulk.iter().any(|pages| !pages.is_empty())
    }

    /// The number of objects on the lists (`krc_count()`).
    #[must_use]
    pub fn queued(&self) -> usize {
        self.head.len() + self.bulk.iter().flatten().map(|page| page.objects.len()).sum::<usize>()
    }
}

/// A batch (`struct kfree_rcu_cpu_work`).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Krw {
    /// Pages by channel (`bulk_head_free`), oldest first.
    pub pages: [Vec<Page>; FREE_N_CHANNELS],
    /// The fallback list (`head_free`).
    pub head: Vec<ObjectIndex>,
    /// The state of its work.
    pub work: Work,
    /// What its worker has taken off and not freed yet.
    pub running: Option<Taken>,
    /// How often the work was queued.
    pub requested: u32,
    /// How often the work has ended.
    pub finished: u32,
}

/// The `rcu_work` of a batch.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Work {
    /// Not pending.
    #[default]
    Idle,
    /// Its callback waits for a grace period.
    Waiting,
    /// It is on the workqueue.
    Ready,
}

impl Krw {
    /// Whether its lists are empty, so that it can be filled again.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.head.is_empty() && self.pages.iter().all(Vec::is_empty)
    }

    /// Whether it is empty and has no work.
    #[must_use]
    pub fn is_idle(&self) -> bool {
        self.is_empty() && self.work == Work::Idle && self.running.is_none()
    }

    /// Whether all work that was queued up to `requested` has been done.
    pub(crate) fn is_flushed(&self, requested: u32) -> bool {
        self.finished >= requested
    }

    pub(super) fn put(&mut self, pages: [Vec<Page>; FREE_N_CHANNELS], head: Vec<ObjectIndex>) {
        self.pages = pages;
        self.head = head;
    }
}

/// What a worker has taken off the lists, for several free calls that it makes one after the other.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Taken {
    /// The calls that remain, the next one first.
    pub parts: VecDeque<Part>,
}

/// What one call frees.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Part {
    /// The objects.
    pub objects: Vec<ObjectIndex>,
    /// How.
    pub path: FreePath,
}

impl Taken {
    /// Pages of the first channel, then of the second, the newest first, then the list: the order of
    /// `kfree_rcu_work()`.
    pub(crate) fn of(pages: [Vec<Page>; FREE_N_CHANNELS], head: Vec<ObjectIndex>) -> Taken {
        let bulk = pages
            .into_iter()
            .flat_map(|channel| channel.into_iter().rev())
            .map(|page| Part { objects: page.objects, path: FreePath::Bulk });
        let list =
            head.into_iter().rev().map(|object| Part { objects: vec![object], path: FreePath::Single });
        Taken { parts: bulk.chain(list).collect() }
    }
}

/// Something that waits for a grace period on a CPU's list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Callback {
    /// What it does.
    pub duty: Duty,
    /// The grace period that must end before it runs.
    pub cookie: Cookie,
}

/// What a callback does.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Duty {
    /// A module's own: frees the object that its head lies in.
    Module(ObjectIndex),
    /// Puts the work of a batch on the workqueue (`rcu_work_rcufn()`).
    Work(Cpu, u8),
    /// Frees the objects of a sheaf (`rcu_free_sheaf()`, `rcu_free_sheaf_nobarn()`).
    Sheaf(CacheIndex, Vec<ObjectIndex>),
    /// Frees the objects of a page, or one object of a fallback list: the callback of the document.
    Page(Vec<ObjectIndex>),
    /// Counts down for `rcu_barrier()` (`rcu_barrier_callback()`).
    Barrier,
    /// Gives the slabs of a type-safe cache back (`rcu_free_slab()`).
    Slabs(CacheIndex),
    /// Counts down for the work item that releases a type-safe cache.
    Release(CacheIndex),
}
