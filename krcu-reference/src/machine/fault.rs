//! Fault: a wait, a lock or a check that the machine itself may lack, one at a time.
//!
//! The checker leaves out the ops of an approach one by one. The faults here are in the machine below the
//! ops. Each fault must break the promise that it names; otherwise the check would not notice it.

use krcu_model::promise::Promise;

/// A fault of the machine.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Fault {
    /// A grace period does not wait for readers.
    GraceIgnoresReaders,
    /// A caller that asks for a grace period accepts the one in flight (`rcu_seq_snap()` without its
    /// round-up).
    HalfAGrace,
    /// A bulk page keeps the cookie of its first object.
    FirstCookieKept,
    /// The fallback list keeps the cookie of its first object.
    FirstListCookieKept,
    /// A batch is worked off without a grace period (`queue_work()` for `queue_rcu_work()`).
    WorkWithoutGrace,
    /// A monitor that found both batches full does not come again.
    MonitorNotRearmed,
    /// The callbacks of a CPU that goes offline stay behind.
    CallbacksStay,
    /// The sheaves of a CPU that goes offline stay behind (no `slub_cpu_dead()`).
    SheavesStay,
    /// Callbacks that move to another CPU are not covered by an `rcu_barrier()` that has not visited their
    /// old CPU yet.
    MigrationForgetsBarrier,
    /// `rcu_barrier()` puts its callback on the first CPU only.
    BarrierOnOneCpu,
    /// A caller of `rcu_barrier()` accepts the operation in flight.
    BarrierRidesHalf,
    /// `flush_rcu_work()` waits for running work, but not for pending work (there is no `rcu_barrier()` in
    /// it).
    FlushSkipsPending,
    /// A sheaf that is full is freed without a grace period.
    SheafWithoutGrace,
    /// A lingering cache is given back while objects of it are queued.
    LingerEndsEarly,
    /// The work item that releases type-safe caches does not wait for their slabs.
    ReleaseWithoutBarrier,
    /// The count of a cache's queued objects is not kept.
    CountNotKept,
    /// A type-safe cache gives its slabs back without a grace period.
    TypeSafeSlabsAtOnce,
}

impl Fault {
    /// All of them.
    pub const ALL: [Fault; 17] = [
        Fault::GraceIgnoresReaders,
        Fault::HalfAGrace,
        Fault::FirstCookieKept,
        Fault::FirstListCookieKept,
        Fault::WorkWithoutGrace,
        Fault::MonitorNotRearmed,
        Fault::CallbacksStay,
        Fault::SheavesStay,
        Fault::MigrationForgetsBarrier,
        Fault::BarrierOnOneCpu,
        Fault::BarrierRidesHalf,
        Fault::FlushSkipsPending,
        Fault::SheafWithoutGrace,
        Fault::LingerEndsEarly,
        Fault::ReleaseWithoutBarrier,
        Fault::CountNotKept,
        Fault::TypeSafeSlabsAtOnce,
    ];

    /// The fault in words.
    #[must_use]
    pub fn words(self) -> &'static str {
        match self {
            Fault::GraceIgnoresReaders => "a grace period does not wait for readers",
            Fault::HalfAGrace => "the grace period in flight is taken for enough",
            Fault::FirstCookieKept => "a bulk page keeps the cookie of its first object",
            Fault::FirstListCookieKept => "the fallback list keeps the cookie of its first object",
            Fault::WorkWithoutGrace => "a batch is worked off without a grace period",
            Fault::MonitorNotRearmed => "a monitor that found both batches full does not come again",
            Fault::CallbacksStay => "callbacks stay on a CPU that goes offline",
            Fault::SheavesStay => "sheaves stay on a CPU that goes offline",
            Fault::MigrationForgetsBarrier => "callbacks that move away forget the rcu_barrier() in flight",
            Fault::BarrierOnOneCpu => "rcu_barrier() looks at one CPU only",
            Fault::BarrierRidesHalf => "rcu_barrier() is content with the operation in flight",
            Fault::FlushSkipsPending => "flush_rcu_work() does not wait for work that is pending",
            Fault::SheafWithoutGrace => "a full sheaf is freed without a grace period",
            Fault::LingerEndsEarly => "a lingering cache is given back while objects of it are queued",
            Fault::ReleaseWithoutBarrier => "a type-safe cache is released before its slabs are back",
            Fault::CountNotKept => "the count of what is queued is not kept",
            Fault::TypeSafeSlabsAtOnce => "a type-safe cache gives its slabs back without a grace period",
        }
    }

    /// The promise that this fault breaks.
    #[must_use]
    pub fn breaks(self) -> Promise {
        match self {
            Fault::GraceIgnoresReaders
            | Fault::HalfAGrace
            | Fault::FirstCookieKept
            | Fault::FirstListCookieKept
            | Fault::WorkWithoutGrace
            | Fault::SheafWithoutGrace => Promise::GracePeriodKept,
            Fault::MonitorNotRearmed | Fault::CallbacksStay => Promise::DeferredFreeComes,
            Fault::SheavesStay
            | Fault::MigrationForgetsBarrier
            | Fault::BarrierOnOneCpu
            | Fault::BarrierRidesHalf
            | Fault::FlushSkipsPending => Promise::BarrierCovers,
            Fault::LingerEndsEarly
            | Fault::ReleaseWithoutBarrier
            | Fault::CountNotKept
            | Fault::TypeSafeSlabsAtOnce => Promise::MemoryOutlivesObjects,
        }
    }
}
