//! Event: something that happened in the kernel, in the words of the model.
//!
//! [`Event::from_wire`] makes an event from a decoded record; a test or a bug report writes events directly.
//! Addresses, tasks and times are newtypes, so that the compiler tells them apart.

use krcu_common::{
    BarrierKind, FreePath, QueueForm,
    decode::{Body, Chosen},
    wire::{self, Header},
};
use serde::{Deserialize, Serialize};

mod cache;
mod domain;
mod fields;
mod losses;
mod run;
pub mod script;
mod watch;

pub use cache::{CacheFacts, Leftover};
pub use domain::{DeferredBy, Domain};
pub use fields::{ReadFields, WriteFields};
pub use losses::{Losses, sum};
pub use run::{Done, Run};
pub use watch::{Blind, Watch};

/// CLOCK_MONOTONIC in nanoseconds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
pub struct Time(pub u64);

impl Time {
    /// Nanoseconds from `earlier` to this time; 0 if `earlier` is later.
    #[must_use]
    pub fn since(self, earlier: Time) -> u64 {
        self.0.saturating_sub(earlier.0)
    }
}

/// A thread id; 0 is the idle task of any CPU.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
pub struct Task(pub u32);

/// A CPU's number.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Cpu(pub u16);

/// Address of a `struct kmem_cache`. Two caches may have the same address, one after the other.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
pub struct CacheAddress(pub u64);

/// Address of an object. The kernel uses the address again as soon as the object is free.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
pub struct ObjectAddress(pub u64);

/// Number by which events refer to a stack; 0 when there is none.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
pub struct Site(pub u32);

/// Address of a callback of `call_rcu()`; 0 when not known. After a module is loaded, another function may
/// lie at the same address.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
pub struct FunctionAddress(pub u64);

/// Why events were not seen.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum LossReason {
    /// The ring had no room.
    RingFull,
    /// The kernel skipped a probe, because it was running on that CPU already.
    ProbeMissed,
    /// A map of the probes had no room.
    MapFull,
    /// A trace ends before its run did, because its recorder was killed or its disk was full. The number of
    /// events after that is not known, so such a gap has a count of 0.
    NotInTrace,
}

/// The events that a loss may concern.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
pub enum Scope {
    /// Any event.
    #[default]
    Everything,
    /// Objects of the cache that had this address at the time.
    Cache(CacheAddress),
    /// Grace periods. No verdict of a destroy depends on them.
    Grace,
    /// Calls of `kfree_rcu()` and `call_rcu()`. A queueing call that was not seen shows up later: as a free
    /// or a callback that nobody queued, or as an object that is left.
    Queueing,
    /// Frees, runs of callbacks, and their ends. A free that was not seen makes its object look outstanding.
    Freeing,
    /// Entries and returns of barriers. A barrier that was not seen makes frees look unordered.
    Barriers,
}

/// A loss: events that were not seen, and the time of it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Gap {
    /// Why.
    pub reason: LossReason,
    /// How many.
    pub events: u64,
    /// The earliest time of the loss.
    pub from: Time,
    /// The latest time of the loss.
    pub until: Time,
    /// The events that it may concern.
    pub scope: Scope,
    /// The programs whose runs the kernel skipped, if that is the reason.
    pub programs: Vec<String>,
}

/// What happened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum What {
    /// `kmem_cache_create()` returned this cache.
    CacheCreated {
        /// The cache.
        cache: CacheAddress,
        /// Its properties.
        facts: CacheFacts,
        /// The name that this caller asked for.
        asked_name: String,
        /// The stack of the call.
        site: Site,
    },
    /// `kmem_cache_destroy()` was entered.
    DestroyBegin {
        /// The cache.
        cache: CacheAddress,
        /// Its properties before this call.
        facts: CacheFacts,
        /// The stack of the call.
        site: Site,
        /// Name of the task.
        comm: String,
        /// Whether its objects are counted, not streamed.
        counted: bool,
    },
    /// `__kmem_cache_shutdown()` was entered: the destroy looks at its slabs.
    ShutdownBegin {
        /// The cache.
        cache: CacheAddress,
        /// Calls of `flush_rcu_work()` by this task since the destroy was entered.
        rcu_works_flushed: u32,
    },
    /// `__kmem_cache_shutdown()` has returned, in the task that entered it.
    ShutdownEnd {
        /// Whether every slab was given back; absent if that could not be read.
        empty: Option<bool>,
        /// What was left; absent if the kernel's counts could not be read.
        left: Option<Leftover>,
    },
    /// `slab_kmem_cache_release()` was entered: the address may belong to another cache next.
    CacheReleased {
        /// The cache.
        cache: CacheAddress,
    },
    /// `kvfree_call_rcu()` was entered.
    Queued {
        /// The object.
        object: ObjectAddress,
        /// Its cache.
        cache: CacheAddress,
        /// The stack of the call.
        site: Site,
        /// The form of `kfree_rcu()`.
        form: QueueForm,
    },
    /// `call_rcu()`, or its like of another kind of RCU, was entered with a head that lies in an object or a function in a
    /// module's text; or a callback queues a work.
    CallbackQueued {
        /// The head, which identifies its object; of a work that a callback queues, the work.
        object: ObjectAddress,
        /// The object's cache.
        cache: CacheAddress,
        /// The callback.
        function: FunctionAddress,
        /// The module in whose text the callback lies, if that is known.
        text: Option<String>,
        /// What it waits for.
        domain: Domain,
        /// The stack of the call.
        site: Site,
    },
    /// The function of a work begins, of which a [`What::CallbackQueued`] told; or one that runs is about to call a barrier.
    WorkRuns {
        /// The head or the work, as it was told.
        object: ObjectAddress,
        /// Its function.
        function: FunctionAddress,
    },
    /// The function of a work has returned, of which a [`What::CallbackQueued`] or a [`What::WorkRuns`] told. It ran in
    /// this task.
    WorkRan {
        /// The head or the work, as it was told.
        object: ObjectAddress,
    },
    /// A callback of `call_rcu()` begins to run. It has returned when a [`What::BatchFreed`] with the path
    /// [`FreePath::Callback`] comes from the same task.
    CallbackRuns {
        /// The head, which identifies its object.
        object: ObjectAddress,
        /// The cache that owns its slab now.
        cache: CacheAddress,
    },
    /// From here on, this function lies at this address.
    Function {
        /// The address.
        function: FunctionAddress,
        /// As the kernel's `%pS` prints it.
        symbol: String,
    },
    /// An object is freed at once: its free was not deferred.
    FreedAtOnce {
        /// The object.
        object: ObjectAddress,
        /// Its cache.
        cache: CacheAddress,
    },
    /// The free of an object begins.
    Freed {
        /// The object.
        object: ObjectAddress,
        /// The cache that owns its slab now.
        cache: CacheAddress,
        /// The way in which it is freed.
        path: FreePath,
    },
    /// The call with which this task freed objects by this path has returned.
    BatchFreed {
        /// The way in which it is freed.
        path: FreePath,
    },
    /// A barrier was entered.
    BarrierBegin {
        /// Which.
        barrier: BarrierKind,
        /// Calls of `flush_rcu_work()` that this task has made inside a destroy.
        rcu_works_flushed: u32,
        /// Where from.
        site: Site,
        /// Name of the calling task; empty where that is not known.
        comm: String,
    },
    /// A barrier returned, in the task that had entered it.
    BarrierEnd {
        /// Which.
        barrier: BarrierKind,
        /// The cache that it is for, in the per-cache form.
        cache: Option<CacheAddress>,
        /// What it is of otherwise: the address of a `struct srcu_struct`, of the head in a `struct rcu_work`, of a work or of
        /// a workqueue; else 0.
        of: u64,
    },
    /// A grace period has begun. It covers what was queued before this event.
    GraceBegin {
        /// Whether it is an expedited one.
        expedited: bool,
    },
    /// A grace period ends, or has ended.
    GraceEnd {
        /// Whether it is an expedited one.
        expedited: bool,
    },
    /// A module was loaded.
    ModuleLoaded {
        /// Its name.
        name: String,
    },
    /// A module's exit function has returned. The kernel may wait for something before it frees the text.
    ModuleGoing {
        /// Its name.
        name: String,
    },
    /// A module's text is freed.
    ModuleFreed {
        /// Its name.
        name: String,
    },
    /// From here on, this number stands for these frames.
    Site {
        /// The number.
        site: Site,
        /// The frames, innermost first, as the kernel's `%pS` prints them.
        frames: Vec<String>,
    },
    /// Events were not seen.
    Gap(Gap),
    // No probe sees the kinds that follow. A machine reports them about itself, and a script contains what
    // its author knows.
    /// An object was allocated.
    Allocated {
        /// The object.
        object: ObjectAddress,
        /// Its cache.
        cache: CacheAddress,
        /// The stack of the call.
        site: Site,
    },
    /// The call that queued an object returned.
    QueueReturned {
        /// The object.
        object: ObjectAddress,
    },
    /// A callback of `call_rcu()` ran, and freed the object that its head lies in.
    CallbackRan {
        /// The object.
        object: ObjectAddress,
        /// The module in whose text the callback lies, if in one.
        text: Option<String>,
    },
    /// `rcu_read_lock()`, and the object that the reader found.
    ReadLock {
        /// The object that it holds, if it found one.
        object: Option<ObjectAddress>,
        /// Its cache.
        cache: Option<CacheAddress>,
    },
    /// `rcu_read_unlock()`.
    ReadUnlock,
    /// A destroy returned and left the cache to be given back later.
    Lingers {
        /// The cache.
        cache: CacheAddress,
    },
    /// What is left in a lingering cache was reported.
    Reported {
        /// The cache.
        cache: CacheAddress,
    },
    /// A barrier for destructions returned.
    DestructionAwaited {
        /// The cache that it was for; if none, all caches that its caller had destroyed before.
        cache: Option<CacheAddress>,
    },
    /// The slabs of a cache were given back.
    SlabsFreed {
        /// The cache.
        cache: CacheAddress,
    },
    /// Nothing more will happen unless a task calls something.
    Quiet,
}

/// One event.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Event {
    /// When.
    pub time: Time,
    /// In which task.
    pub task: Task,
    /// On which CPU.
    pub cpu: Cpu,
    /// What.
    pub what: What,
}

impl Event {
    /// Makes an event from a decoded record.
    #[must_use]
    #[inline]
    pub fn from_wire(header: &Header, body: &Body<'_>) -> Event {
        Event {
            time: Time(header.time_ns),
            task: Task(header.task),
            cpu: Cpu(header.cpu),
            what: What::from_wire(body),
        }
    }
}

impl What {
    // Never inlined, so that the event is written where it stays. A copy in other pieces than those of the write
    // would wait for memory.
    #[inline(never)]
    fn from_wire(body: &Body<'_>) -> What {
        match body {
            Body::CacheCreated(b) => {
                let b = b.get();
                What::CacheCreated {
                    cache: CacheAddress(b.cache),
                    facts: CacheFacts {
                        name: text(&b.name),
                        object_size: b.object_size,
                        refcount: b.refcount,
                    },
                    asked_name: text(&b.asked_name),
                    site: Site(b.site),
                }
            }
            Body::DestroyBegin(b) => {
                let b = b.get();
                What::DestroyBegin {
                    cache: CacheAddress(b.cache),
                    facts: CacheFacts {
                        name: text(&b.name),
                        object_size: b.object_size,
                        refcount: b.refcount,
                    },
                    site: Site(b.site),
                    comm: text(&b.comm),
                    counted: b.counted != 0,
                }
            }
            Body::ShutdownBegin(b) => {
                What::ShutdownBegin { cache: CacheAddress(b.cache), rcu_works_flushed: b.rcu_works_flushed }
            }
            Body::ShutdownEnd(b) => What::ShutdownEnd {
                empty: match b.result {
                    wire::SHUTDOWN_EMPTY => Some(true),
                    wire::SHUTDOWN_LEFT => Some(false),
                    _ => None,
                },
                left: (b.counted != 0)
                    .then_some(Leftover { objects: b.objects_left, listed: b.objects_listed }),
            },
            Body::CacheReleased(b) => What::CacheReleased { cache: CacheAddress(b.cache) },
            Body::Queued(Chosen(b, form)) => What::Queued {
                object: ObjectAddress(b.object),
                cache: CacheAddress(b.cache),
                site: Site(b.site),
                form: *form,
            },
            Body::CallbackQueued(Chosen(b, flavour)) => What::CallbackQueued {
                object: ObjectAddress(b.head),
                cache: CacheAddress(b.cache),
                function: FunctionAddress(b.function),
                text: None,
                domain: Domain { flavour: *flavour, address: b.domain },
                site: Site(b.site),
            },
            Body::WorkRan(b) => What::WorkRan { object: ObjectAddress(b.head) },
            Body::WorkRuns(b) => {
                What::WorkRuns { object: ObjectAddress(b.head), function: FunctionAddress(b.function) }
            }
            Body::CallbackRuns(b) => {
                What::CallbackRuns { object: ObjectAddress(b.head), cache: CacheAddress(b.cache) }
            }
            Body::Function(b) => {
                let b = b.get();
                What::Function { function: FunctionAddress(b.address), symbol: text(&b.symbol) }
            }
            Body::Allocated(b) => What::Allocated {
                object: ObjectAddress(b.object),
                cache: CacheAddress(b.cache),
                site: Site(b.site),
            },
            Body::FreedAtOnce(b) => {
                What::FreedAtOnce { object: ObjectAddress(b.object), cache: CacheAddress(b.cache) }
            }
            Body::Freed(Chosen(b, path)) => {
                What::Freed { object: ObjectAddress(b.object), cache: CacheAddress(b.cache), path: *path }
            }
            Body::BatchFreed(Chosen(_, path)) => What::BatchFreed { path: *path },
            Body::BarrierBegin(Chosen(b, barrier)) => What::BarrierBegin {
                barrier: *barrier,
                rcu_works_flushed: b.rcu_works_flushed,
                site: Site(b.site),
                comm: text(&b.comm),
            },
            Body::BarrierEnd(Chosen(b, barrier)) => {
                let is_of_cache = *barrier == BarrierKind::KvfreeOnCache;
                let cache = (is_of_cache && b.of != 0).then_some(CacheAddress(b.of));
                What::BarrierEnd { barrier: *barrier, cache, of: if is_of_cache { 0 } else { b.of } }
            }
            Body::GraceBegin(b) => What::GraceBegin { expedited: b.expedited != 0 },
            Body::GraceEnd(b) => What::GraceEnd { expedited: b.expedited != 0 },
            Body::ModuleLoaded(b) => What::ModuleLoaded { name: text(&b.get().name) },
            Body::ModuleGoing(b) => What::ModuleGoing { name: text(&b.get().name) },
            Body::ModuleFreed(b) => What::ModuleFreed { name: text(&b.get().name) },
            Body::Site(b) => {
                let b = b.get();
                let frames = usize::try_from(b.frames).unwrap_or(usize::MAX);
                What::Site {
                    site: Site(b.site),
                    frames: b.frame.iter().take(frames).map(|frame| text(frame)).collect(),
                }
            }
        }
    }
}

/// A name, as much as was kept. Bytes that are not UTF-8 are replaced.
fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(wire::text(bytes)).into_owned()
}
