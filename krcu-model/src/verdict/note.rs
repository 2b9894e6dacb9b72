//! Note: why something cannot be decided, or what else the reader should know. These are only values: the
//! code that reports a verdict makes sentences of them.

use krcu_common::Flavour;

use crate::{event::LossReason, promise::BeingFreed};

/// Something that the watch did not see and that a verdict depends on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Unseen {
    /// Events were not seen.
    Lost {
        /// Why.
        reason: LossReason,
        /// How many; 0 if they were not counted.
        events: u64,
        /// The programs whose runs were skipped.
        programs: Vec<String>,
    },
    /// The end of the destroy was not seen.
    EndUnseen,
    /// One of the ways in which deferred frees run cannot be seen.
    BlindFrees,
    /// `call_rcu()` cannot be seen.
    BlindCallbacks,
    /// Callbacks of other kinds of RCU cannot be seen.
    BlindFlavours,
    /// Callbacks of the module's whose heads lie elsewhere may have freed objects of the cache, and no barrier of the teardown
    /// waits for them.
    FreedByForeign,
    /// The runs of callbacks cannot be seen, and one of them has queued a callback.
    BlindCallbackRuns,
    /// `rcu_barrier()` cannot be seen.
    BlindRcuBarrier,
    /// The kernel's barrier for `kfree_rcu()` cannot be seen.
    BlindKvfreeBarrier,
    /// A map of the probes was full, so whether the destroy waited is not known.
    WaitUnknown,
    /// A barrier that began before the probes were attached may order what was queued before them.
    OlderBarrierMayOrder,
    /// The destroy began before the probes were attached.
    UnderWayAtAttach,
    /// Nothing was left, but it is not known whether something orders what was queued before the probes were
    /// attached.
    PastUnordered,
    /// Whether a module has queued callbacks before the probes were attached is not known.
    TextOlder,
    /// Objects were freed whose queueing was not seen, and some queueing calls were not seen.
    FreedMaybeQueued {
        /// How many objects.
        objects: u64,
        /// Calls that were not seen.
        calls: u64,
    },
    /// The objects of this cache are counted, not followed.
    Counted,
    /// Works that `queue_rcu_work()` queued may have freed objects: what waits for those is not seen.
    WorksUnordered,
    /// Another task called the barrier that covers what was deferred last, and its caller is not known.
    BarrierCaller,
    /// The module's own code called that barrier in another task, for which the destroying task may have waited.
    HelperAwaited,
}

/// Something about the objects that are left.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum OfLeft {
    /// More objects are outstanding than the kernel counts.
    MoreThanKernelCounts {
        /// Deferred frees that are outstanding.
        outstanding: u64,
        /// Objects left, by the kernel's count; none if it found nothing.
        left: Option<u64>,
    },
    /// So many more callbacks wait than objects are left.
    MoreCallbacks(u64),
    /// Two callbacks that wait may lie in one object.
    CallbacksMayShare,
    /// The kernel's count mixes several moments.
    CountOfSeveralMoments,
    /// Of the objects left, some may be freed by callbacks of the module's that wait, and whose heads lie elsewhere.
    MaybeForeign {
        /// How many.
        objects: u64,
        /// Callbacks that wait.
        callbacks: u64,
    },
    /// Of the objects left, some may be held by what callbacks have handed them to, which is not followed.
    MaybeHandedOn {
        /// How many.
        objects: u64,
        /// Callbacks that have returned.
        callbacks: u64,
        /// Their functions, those of the last ones.
        functions: Vec<String>,
    },
    /// Of the objects left, some may be freed by callbacks of the cache that wait, beside the object that each head is in.
    MaybeSiblings {
        /// How many.
        objects: u64,
        /// Callbacks that wait, and works that callbacks have queued.
        callbacks: u64,
        /// Their functions.
        functions: Vec<String>,
    },
    /// So many of them are older than the probes.
    OlderThanProbes(u64),
    /// Of the objects left, some may have been queued by calls that went unseen.
    MaybeQueued {
        /// How many.
        objects: u64,
        /// Calls that were not seen.
        calls: u64,
    },
    /// So many of them may belong to callbacks for which no `rcu_barrier()` has waited.
    MaybeCallbacks(u64),
    /// So many of the leaked objects were allocated before the probes were attached.
    LeaksOlderThanProbes(u64),
    /// Where so many of the leaked objects were allocated was not seen.
    LeaksFromUnseen(u64),
    /// More objects were allocated and neither queued nor freed than are left.
    MoreAllocated {
        /// Objects that were allocated.
        allocated: u64,
        /// The number of these beyond the objects that are left.
        excess: u64,
    },
}

/// One note about a verdict, with its numbers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Note {
    /// Something was not seen.
    Unseen(Unseen),
    /// Something about the objects that are left.
    Left(OfLeft),
    /// An earlier destroy of this cache failed.
    DestroyedBefore,
    /// The cache is merged with others and stays for so many users.
    Merged(u32),
    /// So many deferred frees ran after the memory of the cache was given back.
    FreedAfterRelease(u64),
    /// Nothing was left, and so many callbacks had not run: they will run on memory that is gone.
    CallbacksOutliveMemory(u64),
    /// So many of the objects that the destroy waited for lay in sheaves.
    LayInSheaves(u64),
    /// Callbacks whose heads lie in no object of the cache freed objects of it.
    EmptiedByForeign,
    /// A barrier that somebody else called happened to run before the destroy.
    LuckyBarrier,
    /// The same, where `flush_rcu_work()` called it in the destroying task.
    BarrierByChance,
    /// A callback lies in the text of a module, and may run after that is gone.
    CallbackInModule {
        /// Its function.
        function: String,
        /// The module.
        module: String,
        /// The kind of RCU that it was given to, or that it is a work.
        flavour: Flavour,
    },
    /// A barrier returned while something that it covers was queued or being freed.
    BarrierEarly {
        /// Objects.
        objects: u64,
        /// How long the barrier took.
        took_ns: u64,
        /// Of these, objects that were being freed.
        being_freed: Option<BeingFreed>,
    },
    /// Objects were freed before a grace period had passed.
    FreedEarly {
        /// Objects.
        objects: u64,
        /// The time from the queueing of the first object until this happened to it.
        after_ns: u64,
    },
    /// Objects were handed over to be freed while they were queued already.
    HandedOverTwice {
        /// Objects.
        objects: u64,
        /// The time from the queueing of the first object until this happened to it.
        after_ns: u64,
    },
}

impl From<Unseen> for Note {
    fn from(note: Unseen) -> Note {
        Note::Unseen(note)
    }
}

impl From<OfLeft> for Note {
    fn from(note: OfLeft) -> Note {
        Note::Left(note)
    }
}
