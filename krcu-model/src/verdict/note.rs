//! Note: why something cannot be decided, or what else the reader should know. These are only values: the
//! code that reports a verdict makes sentences of them.

use crate::event::LossReason;

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
    /// Objects were freed whose queueing was not seen, and some queueing calls were not seen.
    FreedMaybeQueued {
        /// How many objects.
        objects: u64,
        /// Calls that were not seen.
        calls: u64,
    },
    /// The objects of this cache are counted, not followed.
    Counted,
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
    /// More callbacks wait than objects are left.
    MoreCallbacks {
        /// How many more.
        excess: u64,
    },
    /// The heads of two waiting callbacks may lie in one object.
    CallbacksMayShare,
    /// The kernel's count mixes several moments.
    CountOfSeveralMoments,
    /// Objects are left that nobody queued, and a callback may have handed them on, which krcu does not
    /// follow.
    CallbacksHandOn {
        /// Whether any callback still waits.
        some_wait: bool,
    },
    /// Some of the objects left are older than the probes.
    OlderThanProbes {
        /// How many.
        objects: u64,
    },
    /// Some of the objects left may have been queued by calls that were not seen.
    MaybeQueued {
        /// How many.
        objects: u64,
        /// Calls that were not seen.
        calls: u64,
    },
    /// Some of the objects left may belong to callbacks for which no `rcu_barrier()` has waited.
    MaybeCallbacks {
        /// How many.
        objects: u64,
    },
    /// Some of the leaked objects were allocated before the probes were attached.
    LeaksOlderThanProbes {
        /// How many.
        objects: u64,
    },
    /// The allocation of some of the leaked objects was not seen.
    LeaksFromUnseen {
        /// How many.
        objects: u64,
    },
    /// More objects were allocated, and neither queued nor freed, than are left.
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
    /// The cache is merged with others and stays for its other users.
    Merged {
        /// The number of users that still have it.
        others: u32,
    },
    /// Deferred frees ran after the memory of the cache was given back.
    FreedAfterRelease {
        /// How many.
        frees: u64,
    },
    /// Nothing was left, but callbacks had not run: they will run on memory that is gone.
    CallbacksOutliveMemory {
        /// How many.
        callbacks: u64,
    },
    /// Some of the objects that the destroy waited for lay in sheaves.
    LayInSheaves {
        /// How many.
        objects: u64,
    },
    /// A callback lies in the text of a module, and may run after the module is gone.
    CallbackInModule {
        /// Its function.
        function: String,
        /// The module.
        module: String,
    },
    /// A barrier returned while something that it covers was queued.
    BarrierEarly {
        /// Objects.
        objects: u64,
        /// How long the barrier took.
        took_ns: u64,
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
