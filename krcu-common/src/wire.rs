//! Wire: the layout of each event, as the probes write it into the ring.
//!
//! Every event is a [`Header`] followed by the body that its [`Kind`] names. All integers are in the byte
//! order of the machine that wrote them; addresses are kernel virtual addresses. The order is that of the six
//! words of the design (cache, queue, batch, grace, free, barrier), followed by the events that carry names:
//! modules and sites.

#[cfg(doc)]
use crate::Kind;
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

mod works;

pub use works::{WorkRan, WorkRuns};

/// Longest cache or module name that is kept, in bytes, with its terminating NUL if there is one.
///
/// The kernel limits the name of a module to 56 bytes (`MODULE_NAME_LEN`), and the name of a cache not at
/// all.
pub const NAME_BYTES: usize = 56;

/// Bytes of a task's name (`TASK_COMM_LEN`).
pub const COMM_BYTES: usize = 16;

/// Bytes kept of one symbolised stack frame, as the kernel's `%pS` prints it.
pub const FRAME_BYTES: usize = 96;

/// Frames kept of a stack, innermost first; the probe's own frames are among them.
pub const SITE_FRAMES: usize = 16;

/// A number in a body that stands for one of a few things.
pub trait Choice: Copy + core::fmt::Debug {
    /// The choice that the number stands for, if there is one.
    fn from_number(number: u32) -> Option<Self>;
}

macro_rules! choices {
    ($(
        $(#[$about:meta])*
        $choice:ident { $($(#[$meaning:meta])* $value:ident = $number:literal $word:literal,)* }
    )*) => {
        $(
            $(#[$about])*
            #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
            #[repr(u32)]
            pub enum $choice { $($(#[$meaning])* $value = $number,)* }

            impl $choice {
                /// All choices, each with its word in a script and in a trace. The place is its key in a
                /// trace.
                pub const WORDS: &'static [($choice, &'static str)] = &[$(($choice::$value, $word)),*];
            }

            impl Choice for $choice {
                #[inline]
                fn from_number(number: u32) -> Option<$choice> {
                    match number { $($number => Some($choice::$value),)* _ => None }
                }
            }
        )*
    };
}

choices! {
    /// How an object came to be freed.
    FreePath {
        /// As one of an array of pointers: `kvfree_rcu_bulk()`, or `kmem_cache_free_bulk(NULL, …)`.
        Bulk = 1 "bulk",
        /// One by one, by `kvfree()`: the fallback list, or `kvfree_rcu_mightsleep()` itself.
        Single = 2 "single",
        /// Together with its sheaf: `rcu_free_sheaf()` or `rcu_free_sheaf_nobarn()`.
        Sheaf = 3 "sheaf",
        /// By its callback of `call_rcu()`. No [`Kind::Freed`] has this path: the begin of the run is an
        /// event of its own, and the end of the run is a [`Kind::BatchFreed`] with this path.
        Callback = 4 "callback",
    }

    /// Which form of `kfree_rcu()` queued an object.
    #[derive(Default)]
    QueueForm {
        /// With a head inside the object.
        #[default]
        Head = 0 "head",
        /// Without a head: `kfree_rcu_mightsleep()`, which may free before it returns.
        Headless = 1 "headless",
        /// For contexts in which no lock may be taken: `kfree_rcu_nolock()`. If the object finds no room, an
        /// interrupt queues it once more, with [`QueueForm::Head`].
        Nolock = 2 "nolock",
    }

    /// Which kind of RCU a callback waits for, and what comes after it.
    #[derive(Default)]
    Flavour {
        /// `call_rcu()`.
        #[default]
        Rcu = 0 "rcu",
        /// `call_srcu()`, of one `struct srcu_struct`.
        Srcu = 1 "srcu",
        /// `call_rcu_tasks()`.
        Tasks = 2 "tasks",
        /// `call_rcu_tasks_rude()`.
        TasksRude = 3 "tasks_rude",
        /// `call_rcu_tasks_trace()`.
        TasksTrace = 4 "tasks_trace",
        /// `queue_rcu_work()`: a callback of `call_rcu()` queues a work, and the work frees.
        RcuWork = 5 "rcu_work",
        /// A work that a callback of the module has queued by itself.
        Work = 6 "work",
    }

    /// Which barrier function an event is of.
    BarrierKind {
        /// `rcu_barrier()`: every callback that `call_rcu()` had queued.
        Rcu = 1 "rcu",
        /// `kvfree_rcu_barrier()`: every deferred free of every cache.
        Kvfree = 2 "kvfree",
        /// `kvfree_rcu_barrier_on_cache()`: every deferred free of one cache, at least.
        KvfreeOnCache = 3 "kvfree_on_cache",
        /// `srcu_barrier()`: every callback that `call_srcu()` had queued to one domain.
        Srcu = 4 "srcu",
        /// `rcu_barrier_tasks()`.
        Tasks = 5 "tasks",
        /// `rcu_barrier_tasks_rude()`.
        TasksRude = 6 "tasks_rude",
        /// `rcu_barrier_tasks_trace()`.
        TasksTrace = 7 "tasks_trace",
        /// `flush_rcu_work()`: the grace period of one `struct rcu_work`, and its work.
        RcuWork = 8 "rcu_work",
        /// `flush_work()` and `cancel_work_sync()`: one work, if it is queued.
        Work = 9 "work",
        /// `flush_workqueue()`, which `drain_workqueue()` and `destroy_workqueue()` call: every work that is queued.
        Workqueue = 10 "workqueue",
    }
}

impl BarrierKind {
    /// Whether it waits for `kfree_rcu()` or `call_rcu()`, not for another kind of RCU or for works.
    #[must_use]
    pub fn is_for_frees(self) -> bool {
        matches!(self, BarrierKind::Rcu | BarrierKind::Kvfree | BarrierKind::KvfreeOnCache)
    }

    /// The kernel's function.
    #[must_use]
    pub fn function(self) -> &'static str {
        match self {
            BarrierKind::Rcu => "rcu_barrier",
            BarrierKind::Kvfree => "kvfree_rcu_barrier",
            BarrierKind::KvfreeOnCache => "kvfree_rcu_barrier_on_cache",
            BarrierKind::Srcu => "srcu_barrier",
            BarrierKind::Tasks => "rcu_barrier_tasks",
            BarrierKind::TasksRude => "rcu_barrier_tasks_rude",
            BarrierKind::TasksTrace => "rcu_barrier_tasks_trace",
            BarrierKind::RcuWork => "flush_rcu_work",
            BarrierKind::Work => "flush_work",
            BarrierKind::Workqueue => "flush_workqueue",
        }
    }
}

impl QueueForm {
    /// The form of `kfree_rcu()` or of `kfree_rcu_mightsleep()`.
    #[must_use]
    pub fn of(headless: bool) -> QueueForm {
        if headless { QueueForm::Headless } else { QueueForm::Head }
    }
}

/// The part before every body.
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct Header {
    /// CLOCK_MONOTONIC in nanoseconds, read as the event was reserved.
    pub time_ns: u64,
    /// Number of this event among those of its CPU, from 0. An event that finds no room takes a number too,
    /// so a missing number is a loss.
    pub sequence: u64,
    /// Thread id (`task_struct.pid`) of the current task; 0 in the idle task.
    pub task: u32,
    /// CPU that wrote the event.
    pub cpu: u16,
    /// A [`Kind`].
    pub kind: u8,
    /// Zero.
    pub reserved: u8,
}

/// Body of [`Kind::CacheCreated`]: what `kmem_cache_create()` returned.
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct CacheCreated {
    /// Address of the `struct kmem_cache`.
    pub cache: u64,
    /// The cache's flags, lower 32 bits.
    pub flags: u32,
    /// Bytes of an object as its user sees it.
    pub object_size: u32,
    /// Users of the cache after this call; more than one if it was merged into an existing cache.
    pub refcount: i32,
    /// Site of the caller, 0 when unknown.
    pub site: u32,
    /// Name of the cache: for a merged one, that of its first creator.
    pub name: [u8; NAME_BYTES],
    /// Name that this caller asked for.
    pub asked_name: [u8; NAME_BYTES],
    /// Name of the creating task.
    pub comm: [u8; COMM_BYTES],
}

/// Body of [`Kind::DestroyBegin`].
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct DestroyBegin {
    /// Address of the `struct kmem_cache`.
    pub cache: u64,
    /// The cache's flags, lower 32 bits.
    pub flags: u32,
    /// Bytes of an object as its user sees it.
    pub object_size: u32,
    /// Users of the cache before this call.
    pub refcount: i32,
    /// Site of the caller, 0 when unknown.
    pub site: u32,
    /// 1 if the cache's objects are only counted, not streamed (its name is built into the kernel).
    pub counted: u32,
    /// Zero.
    pub reserved: u32,
    /// Name of the cache.
    pub name: [u8; NAME_BYTES],
    /// Name of the destroying task.
    pub comm: [u8; COMM_BYTES],
}

/// [`ShutdownBegin::rcu_works_flushed`]: the map that counts them had no room for this destroy.
pub const FLUSHES_UNKNOWN: u32 = u32::MAX;

/// Body of [`Kind::ShutdownBegin`].
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct ShutdownBegin {
    /// Address of the `struct kmem_cache`.
    pub cache: u64,
    /// Calls of `flush_rcu_work()` that the destroying task made since it entered the destroy. The
    /// barrier inside the destroy makes two for every possible CPU; nothing else there makes any.
    /// [`FLUSHES_UNKNOWN`] when the count was lost.
    pub rcu_works_flushed: u32,
    /// Zero.
    pub reserved: u32,
}

/// Body of events that name a cache and nothing else.
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct CacheOnly {
    /// Address of the `struct kmem_cache`.
    pub cache: u64,
}

/// [`ShutdownEnd::result`]: every slab was given back.
pub const SHUTDOWN_EMPTY: i32 = 0;
/// [`ShutdownEnd::result`]: slabs are left, so the shutdown failed.
pub const SHUTDOWN_LEFT: i32 = 1;
/// [`ShutdownEnd::result`]: the kernel's counts could not be read.
pub const SHUTDOWN_UNKNOWN: i32 = -1;

/// Body of [`Kind::ShutdownEnd`].
///
/// The counts are the kernel's own. They are read after a shutdown that failed: then the per-CPU slabs are
/// flushed, so an allocated object is either on a partial slab or on a full one.
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct ShutdownEnd {
    /// Address of the `struct kmem_cache`.
    pub cache: u64,
    /// [`SHUTDOWN_EMPTY`], [`SHUTDOWN_LEFT`] or [`SHUTDOWN_UNKNOWN`].
    pub result: i32,
    /// 1 if the counts below are complete, 0 if they were not asked for or were cut short.
    pub counted: u32,
    /// Objects still allocated.
    pub objects_left: u64,
    /// Of these, objects on partial slabs: those that the kernel's own report lists.
    pub objects_listed: u64,
}

/// Body of [`Kind::Queued`].
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct Queued {
    /// Address of the object.
    pub object: u64,
    /// Address of its cache.
    pub cache: u64,
    /// Site of the caller, 0 when unknown.
    pub site: u32,
    /// A [`QueueForm`].
    pub form: u32,
}

/// [`CallbackQueued::cache`], [`CallbackRuns::cache`]: the head lies in no object that is streamed, and the callback in a
/// module's text.
pub const ELSEWHERE: u64 = 0;

/// Body of [`Kind::CallbackQueued`].
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct CallbackQueued {
    /// Address of the `rcu_head`; of a work, its own.
    pub head: u64,
    /// Address of the cache of the object that it lies in, or [`ELSEWHERE`].
    pub cache: u64,
    /// Address of the callback function; of a work, the work's function.
    pub function: u64,
    /// Site of the caller, 0 when unknown.
    pub site: u32,
    /// A [`Flavour`].
    pub flavour: u32,
    /// Of [`Flavour::Srcu`], address of the `struct srcu_struct`; of works, that of the `struct workqueue_struct`; else 0.
    pub domain: u64,
}

/// Body of [`Kind::Freed`].
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct Freed {
    /// Address of the object.
    pub object: u64,
    /// Address of its cache.
    pub cache: u64,
    /// A [`FreePath`].
    pub path: u32,
    /// Zero.
    pub reserved: u32,
}

/// Body of [`Kind::BatchFreed`].
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct BatchFreed {
    /// A [`FreePath`].
    pub path: u32,
    /// Zero.
    pub reserved: u32,
}

/// Body of [`Kind::BarrierBegin`] and [`Kind::BarrierEnd`].
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct Barrier {
    /// What it is of: the cache of the per-cache form, the `struct srcu_struct`, the `rcu_head` in the `struct rcu_work`, the
    /// work, or the workqueue; else 0.
    pub of: u64,
    /// A [`BarrierKind`].
    pub barrier: u32,
    /// Calls of `flush_rcu_work()` that this task has made inside a destroy; 0 outside of a destroy. Such a
    /// call runs an `rcu_barrier()` only if it meets a batch that waits.
    pub rcu_works_flushed: u32,
    /// Of its begin: site of the caller, 0 when unknown.
    pub site: u32,
    /// Zero.
    pub reserved: u32,
    /// Of its begin: name of the calling task.
    pub comm: [u8; COMM_BYTES],
}

/// Body of [`Kind::GraceBegin`] and [`Kind::GraceEnd`].
///
/// The places of these events are chosen so that an object freed after its grace period never looks freed
/// early. For a normal grace period: an object that is queued before it is queued before the begin event, and
/// is freed after the end event. For an expedited one: an object that is queued before it is queued before
/// the begin event, and is freed after the begin event. Its end event only says that it is over.
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct Grace {
    /// The kernel's number of the grace period at this moment: `rcu_state.gp_seq`, whose lower two bits are
    /// not 0 while one runs, or `rcu_state.expedited_sequence`, which at the end may already be that of the
    /// next one. 0 when not known.
    pub gp_seq: u64,
    /// 1 for an expedited one.
    pub expedited: u32,
    /// Zero.
    pub reserved: u32,
}

/// Body of [`Kind::CallbackRuns`].
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct CallbackRuns {
    /// Address of the `rcu_head`, as it was queued.
    pub head: u64,
    /// Address of the cache of the object that it lies in, or [`ELSEWHERE`].
    pub cache: u64,
}

/// Body of [`Kind::Function`].
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct Function {
    /// Its address, by which callbacks refer to it.
    pub address: u64,
    /// The function as the kernel's `%pS` prints it, NUL-terminated unless it fills its place.
    pub symbol: [u8; FRAME_BYTES],
}

/// Body of [`Kind::Allocated`], which is written only if that was asked for.
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct Allocated {
    /// Address of the object.
    pub object: u64,
    /// Address of its cache.
    pub cache: u64,
    /// Site of the caller, 0 when unknown.
    pub site: u32,
    /// Zero.
    pub reserved: u32,
}

/// Body of [`Kind::FreedAtOnce`], which is written only if that was asked for.
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct FreedAtOnce {
    /// Address of the object.
    pub object: u64,
    /// Address of its cache.
    pub cache: u64,
}

/// Body of [`Kind::ModuleLoaded`], [`Kind::ModuleGoing`] and [`Kind::ModuleFreed`].
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct Module {
    /// Name of the module.
    pub name: [u8; NAME_BYTES],
}

/// Body of [`Kind::Site`].
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct Site {
    /// Number by which other events refer to this site; never 0.
    pub site: u32,
    /// The number of frames.
    pub frames: u32,
    /// The frames, innermost first, each NUL-terminated unless it fills its place.
    pub frame: [[u8; FRAME_BYTES]; SITE_FRAMES],
}

/// An event as the probes reserve it: header and body in one piece.
#[derive(Clone, Copy, Debug)]
#[repr(C)]
pub struct Record<Body> {
    /// The part before every body.
    pub header: Header,
    /// The body that the header's kind names.
    pub body: Body,
}

/// The text up to the first NUL, or all of it.
#[must_use]
pub fn text(bytes: &[u8]) -> &[u8] {
    let end = bytes.iter().position(|byte| *byte == 0).unwrap_or(bytes.len());
    bytes.get(..end).unwrap_or(bytes)
}

// The sizes are part of the ABI. If one changes, ABI_VERSION must change.
const _: () = {
    assert!(size_of::<Header>() == 24);
    assert!(size_of::<CacheCreated>() == 152);
    assert!(size_of::<DestroyBegin>() == 104);
    assert!(size_of::<ShutdownBegin>() == 16);
    assert!(size_of::<CacheOnly>() == 8);
    assert!(size_of::<ShutdownEnd>() == 32);
    assert!(size_of::<Queued>() == 24);
    assert!(size_of::<CallbackQueued>() == 40);
    assert!(size_of::<WorkRan>() == 8);
    assert!(size_of::<WorkRuns>() == 16);
    assert!(size_of::<Freed>() == 24);
    assert!(size_of::<BatchFreed>() == 8);
    assert!(size_of::<Barrier>() == 40);
    assert!(size_of::<Grace>() == 16);
    assert!(size_of::<CallbackRuns>() == 16);
    assert!(size_of::<Function>() == 104);
    assert!(size_of::<Allocated>() == 24);
    assert!(size_of::<FreedAtOnce>() == 16);
    assert!(size_of::<Module>() == 56);
    assert!(size_of::<Site>() == 1544);
    // The ring aligns a record to 8 bytes. So no record may need more, and none may end in padding.
    assert!(align_of::<Record<Site>>() == 8);
    assert!(size_of::<Record<BatchFreed>>() == size_of::<Header>() + size_of::<BatchFreed>());
};
