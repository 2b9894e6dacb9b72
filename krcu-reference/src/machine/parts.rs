//! Parts: what lies on a CPU of the machine, as plain data: lists, sheaves, batches, callbacks, and what is being freed. The
//! files beside this one say what happens to it.

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
    /// What is in it, oldest first.
    pub objects: Vec<ObjectIndex>,
    /// The grace period that all of it waits for; taken anew with each object (`gp_snap`).
    pub cookie: Cookie,
}

/// What a CPU has queued (`struct kfree_rcu_cpu`).
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
    /// Batches that wait for a grace period or are worked off (`krw_arr`).
    pub krw: [Krw; KFREE_N_BATCHES],
    /// Empty pages at hand (`nr_bkv_objs`).
    pub cached_pages: u16,
    /// Whether somebody is on the way to fetch some (`work_in_progress`).
    pub fill: bool,
}

/// The monitor of a CPU.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Monitor {
    /// Not queued.
    #[default]
    Idle,
    /// Its timer runs; `soon` when a page is full.
    Armed {
        /// One jiffy, not five seconds.
        soon: bool,
    },
    /// It frees what it found ready.
    Running(Taken),
}

/// An array of objects of one cache, with one head for all (`struct slab_sheaf`).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Sheaf {
    /// What is in it.
    pub objects: Vec<ObjectIndex>,
    /// Whether there is one at all: it is allocated with its first object.
    pub present: bool,
}

impl Krc {
    /// Whether the lists hold anything (`need_offload_krc()`).
    #[must_use]
    pub fn has_queued(&self) -> bool {
        !self.head.is_empty() || self.bulk.iter().any(|pages| !pages.is_empty())
    }

    /// Objects on the lists (`krc_count()`).
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
    /// How far its work is.
    pub work: Work,
    /// What its worker has taken off and not freed.
    pub running: Option<Taken>,
    /// Times that the work was queued.
    pub requested: u32,
    /// Times that it has ended.
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
    /// Whether its lists are empty, so that it can be filled.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.head.is_empty() && self.pages.iter().all(Vec::is_empty)
    }

    /// Whether nothing is in it and nobody works for it.
    #[must_use]
    pub fn is_idle(&self) -> bool {
        self.is_empty() && self.work == Work::Idle && self.running.is_none()
    }

    /// Whether whatever was queued up to `requested` has been worked off.
    pub(crate) fn is_flushed(&self, requested: u32) -> bool {
        self.finished >= requested
    }

    pub(super) fn put(&mut self, pages: [Vec<Page>; FREE_N_CHANNELS], head: Vec<ObjectIndex>) {
        self.pages = pages;
        self.head = head;
    }
}

/// What was taken off the lists, and is freed by several calls, one after the other.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Taken {
    /// What is still to do, next first.
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
    /// Pages of the first channel, then the second, newest first, then the list: the order of `kfree_rcu_work()`.
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
    /// When it may.
    pub cookie: Cookie,
}

/// What a callback does.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Duty {
    /// A module's own: frees the object that its head lies in.
    Module(ObjectIndex),
    /// Puts the work of a batch on the workqueue (`rcu_work_rcufn()`).
    Work(Cpu, u8),
    /// Frees what is in a sheaf (`rcu_free_sheaf()`, `rcu_free_sheaf_nobarn()`).
    Sheaf(CacheIndex, Vec<ObjectIndex>),
    /// Frees what is on a page, or one object of a fallback list: the document's callback.
    Page(Vec<ObjectIndex>),
    /// Counts down for `rcu_barrier()` (`rcu_barrier_callback()`).
    Barrier,
    /// Gives the slabs of a type-safe cache back (`rcu_free_slab()`).
    Slabs(CacheIndex),
    /// Counts down for the work item that releases a type-safe cache.
    Release(CacheIndex),
}
