//! Every probe that krcu knows, in the order in which they are attached.
//!
//! This order makes sure that krcu sees the end of everything whose begin it sees. The last step in the life of an
//! object or a cache is attached first, and the end of a call before its begin. If `queued` were attached before the
//! frees, an object that is queued and freed in between would stay outstanding for ever: a false alarm. In this
//! order, krcu sees a free without its queueing call, which only shows that the object was queued before the probes.
//! Creation comes last, so krcu sees every later event of a cache whose creation it saw.
//!
//! If a program has two copies, the second copy is attached first at a function, because the kernel runs the program
//! that was attached last first. At a tracepoint it runs them in the order of attaching.
//!
//! Detaching takes seconds on a slow machine, and a destroy may begin meanwhile. So the events that end in a verdict
//! are detached first, and the events that a verdict is concluded from last. Otherwise a barrier could return, or a
//! destroy look, when frees are not seen any more: it would find freed objects outstanding. See [`Leaving`].

use krcu_common::Kind;
use krcu_model::state::Blind;

mod entry;

pub use entry::{Absence, Attach, Entry, Leaving, Need, Reads, Skipped, Without, Word};

const LEAVES: Without =
    Without::says("Whether a cache's memory was given back, and so a late free, cannot be seen.");
const RESULT: Without = Without::says("Whether the destroy left objects behind cannot be seen.");
const DESTROYS: Without = Without::says("Nothing can be said.");
const RCU_BARRIER: Without = Without::blinds(
    Blind::RcuBarrier,
    "Whether an rcu_barrier() ordered deferred frees before a destroy cannot be decided.",
);
const KVFREE_BARRIER: Without = Without::blinds(
    Blind::KvfreeBarrier,
    "Whether a kvfree_rcu_barrier() ordered kfree_rcu() before a destroy cannot be decided.",
);
const ON_CACHE: Without =
    Without::says("Whether a per-cache barrier ordered kfree_rcu() before a destroy cannot be decided.");
const FLUSHED: Without = Without::blinds(
    Blind::KvfreeBarrier,
    "Whether the destroy itself waited, where its barrier is inlined, cannot be decided.",
);
const GRACE: Without = Without::blinds(
    Blind::Grace,
    "Whether a deferred free ran before its grace period had ended cannot be decided.",
);
const BULK: Without = Without::blinds(
    Blind::Frees,
    "Whether objects freed in blocks were freed cannot be decided; their caches are inconclusive.",
);
const BULK_END: Without = BULK.but_sees();
const SINGLE: Without = Without::blinds(
    Blind::Frees,
    "Whether objects freed one by one were freed cannot be decided; their caches are inconclusive.",
);
const SHEAF: Without = Without::blinds(
    Blind::Frees,
    "Whether objects freed with a sheaf were freed cannot be decided; their caches are inconclusive.",
);
const SHEAF_END: Without = SHEAF.but_sees();
const QUEUED: Without = Without::says("Deferred frees cannot be seen at all.");
const CALLBACKS: Without =
    Without::blinds(Blind::Callbacks, "Objects queued by call_rcu() cannot be told from leaked ones.");
const FLAVOURS: Without = Without::blinds(
    Blind::Flavours,
    "Callbacks of other kinds of RCU than call_rcu(), and works that callbacks queue, cannot be told from leaked objects.",
);
const FLAVOUR_BARRIERS: Without = Without::blinds(
    Blind::Flavours,
    "Whether a barrier of another kind of RCU, or a flush of works, ordered something before a destroy cannot be decided.",
);
const GOING: Without = Without::says(
    "Whether a callback was outstanding when a module's exit function returned cannot be seen where the kernel waits before it frees \
     the text.",
);
const CALLBACK_RUNS: Without = Without::blinds(
    Blind::CallbackRuns,
    "Whether a callback of call_rcu() had run when a destroy looked cannot be decided.",
);
const ALLOCATIONS: Without =
    Without::says("Where leaked objects were allocated (--alloc-stacks) cannot be told for all of them.");
const NESTED: Without =
    Without::says("Calls in an interrupt that hits a run of the same probe are missed, which is counted.");
const LIST: Without = Without::says(
    "Whether the last of a list of objects was free when a destroy looked cannot always be decided.",
);
const NOLOCK: Without =
    Without::says("Objects queued by kfree_rcu_nolock() cannot be told from leaked ones.");
const CREATED: Without = Without::says("Caches created during the run cannot be told from older ones.");
const MODULES: Without = Without::says("Which module a cache belongs to cannot always be named.");

const BLOCK: &[Reads] = &[
    Reads { offset: |layout| layout.bulk_count, name: "kvfree_rcu_bulk_data.nr_records" },
    Reads { offset: |layout| layout.bulk_records, name: "kvfree_rcu_bulk_data.records" },
];
const A_SHEAF: &[Reads] = &[
    Reads { offset: |layout| layout.sheaf_cache, name: "slab_sheaf.cache" },
    Reads { offset: |layout| layout.sheaf_size, name: "slab_sheaf.size" },
    Reads { offset: |layout| layout.sheaf_objects, name: "slab_sheaf.objects" },
];
const CALLBACK_LIST: &[Reads] =
    &[Reads { offset: |layout| layout.callback_list_head, name: "rcu_cblist.head" }];
const WORK: &[Reads] = &[Reads { offset: |layout| layout.work_function, name: "work_struct.func" }];
const RCU_WORK: &[Reads] = &[
    Reads { offset: |layout| layout.work_function, name: "work_struct.func" },
    Reads { offset: |layout| layout.rcu_work_head, name: "rcu_work.rcu" },
    Reads { offset: |layout| layout.rcu_work_queue, name: "rcu_work.wq" },
    Reads { offset: |layout| layout.pool_queue, name: "pool_workqueue.wq" },
];
const MODULE_NAME: &[Reads] = &[Reads { offset: |layout| layout.module_name, name: "module.name" }];

/// A row has no default for the meaning of a missing program or of a skipped run: each row has to say both.
macro_rules! probes {
    ($(
        $program:ident: $attach:ident $targets:expr, $need:ident $($better:literal)?, absent $absence:ident,
        $word:ident, leaves $leaves:ident, $skipped:ident $($of:ident)?,
        without $without:ident $(, reads $reads:ident)?;
    )*) => {
        /// Every probe, in the order of attaching.
        pub const PROBES: &[Entry] = &[$(Entry {
            program: stringify!($program),
            attach: Attach::$attach,
            targets: $targets,
            need: Need::$need $(($better))?,
            absence: Absence::$absence,
            word: Word::$word,
            leaves: Leaving::$leaves,
            skipped: probes!(@$skipped $($of)?),
            without: $without,
            reads: probes!(@reads $($reads)?),
        }),*];
    };
    (@reads) => { &[] };
    (@reads $reads:ident) => { $reads };
    (@Misses $kind:ident) => { Skipped::Misses(Kind::$kind) };
    (@Nothing) => { Skipped::Nothing };
    (@SecondOf $first:ident) => { Skipped::SecondOf(stringify!($first)) };
}

probes! {
    cache_released: Fentry &["slab_kmem_cache_release"], Optional, absent Unseen,
        Cache, leaves Conclusion, Misses CacheReleased, without LEAVES;
    shutdown_end_nested: Fentry LOOK_IS_OVER, Optional, absent NothingToSee,
        Cache, leaves Conclusion, SecondOf shutdown_end, without NESTED;
    shutdown_end: Fentry LOOK_IS_OVER, Required, absent Unseen,
        Cache, leaves Conclusion, Misses ShutdownEnd, without RESULT;
    shutdown_begin: Fentry &["__kmem_cache_shutdown"], Required, absent Unseen,
        Cache, leaves Course, Misses ShutdownBegin, without RESULT;
    rcu_barrier_end: Fexit &["rcu_barrier"], Optional, absent NothingToSee,
        Barrier, leaves Conclusion, Misses BarrierEnd, without RCU_BARRIER;
    rcu_barrier_begin: Fentry &["rcu_barrier"], Optional, absent NothingToSee,
        Barrier, leaves Course, Misses BarrierBegin, without RCU_BARRIER;
    kvfree_barrier_end: Fexit &["kvfree_rcu_barrier"], Optional, absent NothingToSee,
        Barrier, leaves Conclusion, Misses BarrierEnd, without KVFREE_BARRIER;
    kvfree_barrier_begin: Fentry &["kvfree_rcu_barrier"], Optional, absent NothingToSee,
        Barrier, leaves Course, Misses BarrierBegin, without KVFREE_BARRIER;
    kvfree_on_cache_end: Fexit &["kvfree_rcu_barrier_on_cache"], Optional, absent NothingToSee,
        Barrier, leaves Conclusion, Misses BarrierEnd, without ON_CACHE;
    kvfree_on_cache_begin: Fentry &["kvfree_rcu_barrier_on_cache"], Optional, absent NothingToSee,
        Barrier, leaves Course, Misses BarrierBegin, without ON_CACHE;
    srcu_barrier_end: Fexit &["srcu_barrier"], Optional, absent NothingToSee,
        Barrier, leaves Conclusion, Misses BarrierEnd, without FLAVOUR_BARRIERS;
    srcu_barrier_begin: Fentry &["srcu_barrier"], Optional, absent NothingToSee,
        Barrier, leaves Course, Misses BarrierBegin, without FLAVOUR_BARRIERS;
    tasks_barrier_end: Fexit TASKS_BARRIERS, Optional, absent NothingToSee,
        Barrier, leaves Conclusion, Misses BarrierEnd, without FLAVOUR_BARRIERS;
    tasks_barrier_begin: Fentry TASKS_BARRIERS, Optional, absent NothingToSee,
        Barrier, leaves Course, Misses BarrierBegin, without FLAVOUR_BARRIERS;
    workqueue_flush_end: Fexit &["__flush_workqueue"], Optional, absent NothingToSee,
        Barrier, leaves Conclusion, Misses BarrierEnd, without FLAVOUR_BARRIERS;
    workqueue_flush_begin: Fentry &["__flush_workqueue"], Optional, absent NothingToSee,
        Barrier, leaves Course, Misses BarrierBegin, without FLAVOUR_BARRIERS;
    work_flush_end: Fexit &["__flush_work"], Optional, absent Unseen,
        Barrier, leaves Conclusion, Misses BarrierEnd, without FLAVOUR_BARRIERS, reads WORK;
    work_flush_begin: Fentry &["__flush_work"], Optional, absent Unseen,
        Barrier, leaves Course, Misses BarrierBegin, without FLAVOUR_BARRIERS, reads WORK;
    flush_work_end: Fexit &["flush_work"], Optional, absent Unseen,
        Barrier, leaves Conclusion, Misses BarrierEnd, without FLAVOUR_BARRIERS, reads WORK;
    flush_work_begin: Fentry &["flush_work"], Optional, absent Unseen,
        Barrier, leaves Course, Misses BarrierBegin, without FLAVOUR_BARRIERS, reads WORK;
    rcu_work_flush_end: Fexit &["flush_rcu_work"], Optional, absent NothingToSee,
        Barrier, leaves Conclusion, Misses BarrierEnd, without FLAVOUR_BARRIERS, reads RCU_WORK;
    // The event of the look tells how often a destroy flushed: a missed flush makes that event wrong.
    rcu_work_flushed_nested: Fentry &["flush_rcu_work"], Optional, absent NothingToSee,
        Barrier, leaves Course, SecondOf rcu_work_flushed, without NESTED;
    rcu_work_flushed: Fentry &["flush_rcu_work"], Optional, absent NothingToSee,
        Barrier, leaves Course, Misses ShutdownBegin, without FLUSHED;
    destroy_begin_nested: Fentry &["kmem_cache_destroy"], Optional, absent NothingToSee,
        Cache, leaves Destroy, SecondOf destroy_begin, without NESTED;
    destroy_begin: Fentry &["kmem_cache_destroy"], Required, absent Unseen,
        Cache, leaves Destroy, Misses DestroyBegin, without DESTROYS;
    // These come before the frees and the queueing calls. If krcu sees an object queued and freed, it sees every
    // grace period that the object may have waited for.
    grace_end: Fentry &["rcu_gp_cleanup"], Optional, absent Unseen,
        Grace, leaves GraceEnd, Misses GraceEnd, without GRACE;
    grace_begin: Fentry &["rcu_gp_fqs_loop"], Optional, absent Unseen,
        Grace, leaves Grace, Misses GraceBegin, without GRACE;
    expedited_end: Fexit EXPEDITED, Optional, absent Unseen,
        Grace, leaves GraceEnd, Misses GraceEnd, without GRACE;
    expedited_begin: Fentry EXPEDITED, Optional, absent Unseen,
        Grace, leaves Grace, Misses GraceBegin, without GRACE;
    freed_bulk_end: Fexit &["kvfree_rcu_bulk"], Optional, absent NothingToSee,
        Free, leaves FreeEnd, Misses BatchFreed, without BULK_END, reads BLOCK;
    freed_bulk_nested: Fentry &["kvfree_rcu_bulk"], Optional, absent NothingToSee,
        Free, leaves Free, SecondOf freed_bulk, without NESTED, reads BLOCK;
    freed_bulk: Fentry &["kvfree_rcu_bulk"], Optional, absent NothingToSee,
        Free, leaves Free, Misses Freed, without BULK, reads BLOCK;
    // It has to run after freed_array, whose objects are deferred; so it has to be attached before it.
    freed_at_once_bulk_nested: Fentry &["kmem_cache_free_bulk"], OnRequest, absent Unseen,
        Free, leaves Free, SecondOf freed_at_once_bulk, without ALLOCATIONS;
    freed_at_once_bulk: Fentry &["kmem_cache_free_bulk"], OnRequest, absent Unseen,
        Free, leaves Free, Misses FreedAtOnce, without ALLOCATIONS;
    freed_array_end_nested: Fexit &["kmem_cache_free_bulk"], InsteadOf "freed_bulk_end", absent Unseen,
        Free, leaves FreeEnd, SecondOf freed_array_end, without BULK_END;
    freed_array_end: Fexit &["kmem_cache_free_bulk"], InsteadOf "freed_bulk_end", absent Unseen,
        Free, leaves FreeEnd, Misses BatchFreed, without BULK_END;
    freed_array_nested: Fentry &["kmem_cache_free_bulk"], InsteadOf "freed_bulk", absent Unseen,
        Free, leaves Free, SecondOf freed_array, without BULK_END;
    freed_array: Fentry &["kmem_cache_free_bulk"], InsteadOf "freed_bulk", absent Unseen,
        Free, leaves Free, Misses Freed, without BULK;
    // kvfree_rcu_list() frees the list. On kernels without it, the work item itself does.
    freed_list_end: Fexit &["kvfree_rcu_list", "kfree_rcu_work"], Optional, absent NothingToSee,
        Free, leaves FreeEnd, Misses BatchFreed, without LIST;
    freed_list_begin: Fentry &["kvfree_rcu_list", "kfree_rcu_work"], Optional, absent NothingToSee,
        Free, leaves Free, Misses BatchFreed, without LIST;
    freed_single_nested: Fentry &["kvfree"], Optional, absent NothingToSee,
        Free, leaves Free, SecondOf freed_single, without NESTED;
    freed_single: Fentry &["kvfree"], Optional, absent Unseen,
        Free, leaves Free, Misses Freed, without SINGLE;
    freed_sheaf_end: Fexit &["rcu_free_sheaf"], Optional, absent NothingToSee,
        Free, leaves FreeEnd, Misses BatchFreed, without SHEAF_END, reads A_SHEAF;
    freed_sheaf: Fentry &["rcu_free_sheaf"], Optional, absent NothingToSee,
        Free, leaves Free, Misses Freed, without SHEAF, reads A_SHEAF;
    freed_sheaf_nobarn_end: Fexit &["rcu_free_sheaf_nobarn"], Optional, absent NothingToSee,
        Free, leaves FreeEnd, Misses BatchFreed, without SHEAF_END, reads A_SHEAF;
    freed_sheaf_nobarn: Fentry &["rcu_free_sheaf_nobarn"], Optional, absent NothingToSee,
        Free, leaves Free, Misses Freed, without SHEAF, reads A_SHEAF;
    // A callback has returned when its thread takes the next one off the list, or when the list is done.
    callback_runs_end: Fentry &["rcu_segcblist_insert_done_cbs"], Optional, absent Unseen,
        Free, leaves FreeEnd, Misses BatchFreed, without CALLBACK_RUNS, reads CALLBACK_LIST;
    callback_runs_nested: Fentry &["rcu_cblist_dequeue"], Optional, absent NothingToSee,
        Free, leaves Free, SecondOf callback_runs, without NESTED, reads CALLBACK_LIST;
    callback_runs: Fentry &["rcu_cblist_dequeue"], Optional, absent Unseen,
        Free, leaves Free, Misses CallbackRuns, without CALLBACK_RUNS, reads CALLBACK_LIST;
    work_ran: BtfTracepoint &["workqueue_execute_end"], Optional, absent Unseen,
        Free, leaves Free, Misses WorkRan, without FLAVOURS, reads RCU_WORK;
    freed_at_once: BtfTracepoint &["kmem_cache_free"], OnRequest, absent Unseen,
        Free, leaves Free, Misses FreedAtOnce, without ALLOCATIONS;
    freed_at_once_nested: BtfTracepoint &["kmem_cache_free"], OnRequest, absent Unseen,
        Free, leaves Free, SecondOf freed_at_once, without ALLOCATIONS;
    freed_at_once_kfree: BtfTracepoint &["kfree"], OnRequest, absent Unseen,
        Free, leaves Free, Misses FreedAtOnce, without ALLOCATIONS;
    freed_at_once_kfree_nested: BtfTracepoint &["kfree"], OnRequest, absent Unseen,
        Free, leaves Free, SecondOf freed_at_once_kfree, without ALLOCATIONS;
    module_freed: BtfTracepoint &["module_free"], Optional, absent NothingToSee,
        Module, leaves Module, Nothing, without MODULES, reads MODULE_NAME;
    module_going: Fentry &["blocking_notifier_call_chain"], Optional, absent NothingToSee,
        Module, leaves Queueing, Nothing, without GOING, reads MODULE_NAME;
    work_runs: BtfTracepoint &["workqueue_execute_start"], Optional, absent Unseen,
        Queue, leaves Queueing, Misses WorkRuns, without FLAVOURS, reads WORK;
    work_queued: BtfTracepoint &["workqueue_queue_work"], Optional, absent Unseen,
        Queue, leaves Queueing, Misses CallbackQueued, without FLAVOURS, reads RCU_WORK;
    callback_queued_tasks: Fentry &["call_rcu_tasks_generic"], Optional, absent Unseen,
        Queue, leaves Queueing, Misses CallbackQueued, without FLAVOURS;
    callback_queued_srcu: Fentry &["call_srcu"], Optional, absent NothingToSee,
        Queue, leaves Queueing, Misses CallbackQueued, without FLAVOURS;
    callback_queued_hurry: Fentry &["call_rcu_hurry"], Optional, absent NothingToSee,
        Queue, leaves Queueing, Misses CallbackQueued, without CALLBACKS;
    callback_queued: Fentry &["call_rcu"], Optional, absent Unseen,
        Queue, leaves Queueing, Misses CallbackQueued, without CALLBACKS;
    queued_nolock: Fentry &["kfree_call_rcu_nolock"], Optional, absent NothingToSee,
        Queue, leaves Queueing, Misses Queued, without NOLOCK;
    queued: Fentry &["kvfree_call_rcu"], Required, absent Unseen,
        Queue, leaves Queueing, Misses Queued, without QUEUED;
    allocated: BtfTracepoint &["kmem_cache_alloc"], OnRequest, absent Unseen,
        Cache, leaves Course, Misses Allocated, without ALLOCATIONS;
    allocated_nested: BtfTracepoint &["kmem_cache_alloc"], OnRequest, absent Unseen,
        Cache, leaves Course, SecondOf allocated, without ALLOCATIONS;
    allocated_bulk_nested: Fexit ALLOCATORS, OnRequest, absent Unseen,
        Cache, leaves Course, SecondOf allocated_bulk, without ALLOCATIONS;
    allocated_bulk: Fexit ALLOCATORS, OnRequest, absent Unseen,
        Cache, leaves Course, Misses Allocated, without ALLOCATIONS;
    cache_created_nested: Fexit CREATORS, Optional, absent NothingToSee,
        Cache, leaves Course, SecondOf cache_created, without NESTED;
    cache_created: Fexit CREATORS, Optional, absent Unseen,
        Cache, leaves Course, Misses CacheCreated, without CREATED;
    cache_made: Fexit &[MAKER], Optional, absent NothingToSee,
        Cache, leaves Course, Misses CacheCreated, without CREATED;
    module_loaded: BtfTracepoint &["module_load"], Optional, absent NothingToSee,
        Module, leaves Queueing, Nothing, without MODULES, reads MODULE_NAME;
}

/// What a destroy calls once it has looked and the kernel has reported what is left. The first is an inline function that does
/// nothing on a kernel without HOTPLUG_CPU; see [`UNLINK`].
const LOOK_IS_OVER: &[&str] = &["cpus_read_unlock", UNLINK];

/// Takes the cache out of sysfs. A destroy calls it whether it has failed or not, and before the cache is released; since the
/// release that has [`ALL_FREES`]. Before that, only a destroy that does not fail called it.
pub const UNLINK: &str = "sysfs_slab_unlink";

/// The barrier that came with it.
pub const ALL_FREES: &str = "kvfree_rcu_barrier";

/// Waits for callbacks of RCU for tasks. Its argument is their kind; where only one kind is left, the second does it itself.
const TASKS_BARRIERS: &[&str] = &["rcu_barrier_tasks_generic", "rcu_barrier_tasks"];

/// Allocates several objects; newer kernels have the first.
const ALLOCATORS: &[&str] = &["kmem_cache_alloc_bulk_noprof", "kmem_cache_alloc_bulk"];

/// The out-of-line function that returns a new cache. Newer kernels have the first one.
///
/// On 6.1, the last one does all the work. But it takes seven arguments, and kernels of that time attach only to
/// functions of at most six (errno 524). The two functions that it calls, for a cache that is merged and for a new one, see
/// every creation. The one that calls it sees nearly all.
const CREATORS: &[&str] = &["__kmem_cache_create_args", MERGER, "kmem_cache_create", CREATE_USERCOPY];

/// Merges a cache into one that exists, and returns that one.
pub const MERGER: &str = "__kmem_cache_alias";

/// Makes a new cache: with [`MERGER`] it sees every creation.
pub const MAKER: &str = "__kmem_cache_create";

/// Once the kernel has booted, every expedited grace period passes through both of these between its begin and its
/// end. The kernel takes the address of the first one, so it cannot be inlined.
const EXPEDITED: &[&str] = &["wait_rcu_exp_gp", "rcu_exp_wait_wake"];

/// On kernels where `kmem_cache_create()` is probed, this function creates caches that krcu does not see.
pub const CREATE_USERCOPY: &str = "kmem_cache_create_usercopy";

/// The program of this name.
#[must_use]
pub fn of(program: &str) -> Option<&'static Entry> {
    PROBES.iter().find(|entry| entry.program == program)
}

/// Functions that are not probed. If the kernel has them, it frees in batches.
pub const BATCHING: [&str; 2] = ["kfree_rcu_work", "kfree_rcu_monitor"];

/// A function that only a kernel whose RCU can be lazy has (RCU_LAZY): its address is taken, so it is never inlined. On any
/// other, `call_rcu_hurry()` is an inline function that calls `call_rcu()`.
pub const LAZY: &str = "lazy_rcu_shrink_count";

/// The program that is not missed there.
pub const HURRY: &str = "callback_queued_hurry";

/// Variables and section ends whose addresses the probes need.
pub const ADDRESSES: [&str; 14] = [
    "page_offset_base",
    "vmalloc_base",
    "vmemmap_base",
    "_text",
    "__start_rodata",
    "__end_rodata",
    RCU_STATE,
    "rcu_tasks_rude",
    "rcu_tasks_trace",
    "rcu_tasks_trace_srcu_struct",
    "rcu_work_rcufn",
    "module_notify_list",
    CALLBACK_QUEUES[0],
    CALLBACK_QUEUES[1],
];

/// Functions that a kernel has if its functions can call a program's trampoline
/// (`CONFIG_DYNAMIC_FTRACE_WITH_DIRECT_CALLS`). Newer kernels have the others.
pub const DIRECT_CALLS: [&str; 3] =
    ["register_ftrace_direct", "register_ftrace_direct_multi", "update_ftrace_direct_add"];

/// The functions by which a module hands a callback to RCU; newer kernels have the second.
pub const CALLBACK_QUEUES: [&str; 2] = ["call_rcu", "call_rcu_hurry"];

/// The variable in which the kernel numbers grace periods.
pub const RCU_STATE: &str = "rcu_state";

/// Every function that the facts look at.
pub fn functions() -> impl Iterator<Item = &'static str> {
    PROBES
        .iter()
        .filter(|entry| entry.attach != Attach::BtfTracepoint)
        .flat_map(|entry| entry.targets.iter().copied())
        .chain(BATCHING)
        .chain([LAZY])
}

/// Every tracepoint that the facts look at.
pub fn tracepoints() -> impl Iterator<Item = &'static str> {
    PROBES
        .iter()
        .filter(|entry| entry.attach == Attach::BtfTracepoint)
        .flat_map(|entry| entry.targets.iter().copied())
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::{Leaving, PROBES, Skipped, Word, of};

    fn leaving(program: &str) -> Leaving {
        of(program).unwrap().leaves
    }

    #[test]
    fn every_program_that_a_verdict_rests_on_has_a_kind() {
        for entry in PROBES {
            match entry.skipped {
                Skipped::Misses(kind) => assert!(kind.is_probed(), "{}", entry.program),
                Skipped::Nothing => assert_eq!(entry.word, Word::Module, "{}", entry.program),
                Skipped::SecondOf(first) => {
                    let first = of(first).unwrap();
                    assert!(matches!(first.skipped, Skipped::Misses(_)), "{}", entry.program);
                    assert_eq!(entry.program.strip_suffix("_nested"), Some(first.program));
                    assert_eq!(
                        (entry.attach, entry.targets, entry.leaves, entry.reads.len()),
                        (first.attach, first.targets, first.leaves, first.reads.len()),
                        "{}",
                        entry.program
                    );
                }
            }
        }
    }

    #[test]
    fn nothing_concludes_once_frees_go_unseen() {
        let groups = |word: Word| -> BTreeSet<Leaving> {
            PROBES.iter().filter(|entry| entry.word == word).map(|entry| entry.leaves).collect()
        };
        let all = |words: &[Word]| words.iter().flat_map(|word| groups(*word)).collect::<BTreeSet<_>>();
        assert_eq!(
            all(&[Word::Cache, Word::Barrier]),
            [Leaving::Destroy, Leaving::Conclusion, Leaving::Course].into()
        );
        assert_eq!(all(&[Word::Queue]), [Leaving::Queueing].into());
        // The end of a module is no longer seen before anything of its teardown is not.
        assert_eq!(leaving("module_freed"), Leaving::Module);
        assert!(PROBES.iter().all(|entry| entry.program == "module_freed" || entry.leaves > Leaving::Module));
        assert_eq!(groups(Word::Free), [Leaving::Free, Leaving::FreeEnd].into());
        assert_eq!(groups(Word::Grace), [Leaving::Grace, Leaving::GraceEnd].into());
        assert!(Leaving::Course < Leaving::Queueing && Leaving::FreeEnd < Leaving::Grace);
    }

    #[test]
    fn what_is_told_to_begin_is_told_to_end_as_its_argument_says() {
        // A barrier or a look that runs as the probes go must not seem over; a batch and a grace period must be over.
        for (begin, end) in [
            ("shutdown_begin", "shutdown_end"),
            ("rcu_barrier_begin", "rcu_barrier_end"),
            ("kvfree_barrier_begin", "kvfree_barrier_end"),
            ("kvfree_on_cache_begin", "kvfree_on_cache_end"),
            ("srcu_barrier_begin", "srcu_barrier_end"),
            ("tasks_barrier_begin", "tasks_barrier_end"),
            ("workqueue_flush_begin", "workqueue_flush_end"),
            ("work_flush_begin", "work_flush_end"),
            ("flush_work_begin", "flush_work_end"),
            ("rcu_work_flushed", "rcu_work_flush_end"),
        ] {
            assert!(leaving(end) < leaving(begin), "{end} goes after {begin}");
        }
        for (begin, end) in [
            ("freed_bulk", "freed_bulk_end"),
            ("freed_array", "freed_array_end"),
            ("freed_array_nested", "freed_array_end_nested"),
            ("freed_list_begin", "freed_list_end"),
            ("freed_sheaf", "freed_sheaf_end"),
            ("callback_runs", "callback_runs_end"),
            ("grace_begin", "grace_end"),
            ("expedited_begin", "expedited_end"),
        ] {
            assert!(leaving(begin) < leaving(end), "{begin} goes after {end}");
        }
        assert_eq!(leaving("destroy_begin_nested"), Leaving::Destroy);
        assert_eq!(leaving("cache_released"), Leaving::Conclusion);
    }
}
