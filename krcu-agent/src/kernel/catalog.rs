//! Every probe that krcu knows, in the order in which they are attached.
//!
//! The order is chosen so that whatever is seen to begin is seen to end: what comes last in the life
//! of an object or a cache is attached first, and the end of a call before its beginning. Were
//! `queued` attached before the frees, an object queued and freed in between would stay outstanding
//! for ever, a false alarm; this way round, an early free without its queueing is merely the proof
//! that the object was queued before the probes. Creation comes last, so that of a cache seen to be
//! created every later event is seen.
//!
//! Of two copies of one program the second comes first: of the programs at one function, the kernel runs
//! those that were attached last first. At a tracepoint it runs them in the order of attaching.
//!
//! Detaching takes seconds on a slow machine, and a destroy may begin meanwhile. So what anything is
//! concluded from goes last, and what concludes goes first: a barrier that returns, or a destroy that looks,
//! when frees are not seen any more, would find objects outstanding that are free. See [`Leaving`].

use serde::Serialize;

/// The words of the life that is watched, as everywhere in krcu.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Word {
    /// A cache is created, destroyed, looked at, released.
    Cache,
    /// An object is handed to a deferred free.
    Queue,
    /// A grace period begins and ends.
    Grace,
    /// A deferred free runs, alone or with others.
    Free,
    /// A barrier is entered and returns.
    Barrier,
    /// A module is loaded and gone.
    Module,
}

/// How a program is attached.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Attach {
    /// At the entry of a function, by its type.
    Fentry,
    /// At the return of a function, by its type.
    Fexit,
    /// At a tracepoint, by its type.
    BtfTracepoint,
}

impl Attach {
    /// The word for it in output.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Attach::Fentry => "fentry",
            Attach::Fexit => "fexit",
            Attach::BtfTracepoint => "tracepoint",
        }
    }
}

impl Word {
    /// The word itself.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Word::Cache => "cache",
            Word::Queue => "queue",
            Word::Grace => "grace",
            Word::Free => "free",
            Word::Barrier => "barrier",
            Word::Module => "module",
        }
    }
}

/// What it means that a kernel has neither symbol nor type of a probe's function.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Absence {
    /// The function is exported or its address is taken, so it cannot have been inlined: what it
    /// does is not done on this kernel, and nothing is lost.
    NothingToSee,
    /// The compiler may have inlined it: what it does goes unseen.
    Unseen,
}

/// One program and what it is for.
#[derive(Clone, Copy, Debug)]
pub struct Entry {
    /// Name of the program in the object of the probes.
    pub program: &'static str,
    /// The word it belongs to.
    pub word: Word,
    /// How it is attached.
    pub attach: Attach,
    /// What it is attached to: the first of these that the kernel offers.
    pub targets: &'static [&'static str],
    /// Whether krcu refuses to run without it.
    pub required: bool,
    /// What the absence of all targets means.
    pub absence: Absence,
    /// What cannot be decided without it, as a sentence.
    pub without: &'static str,
    /// Whether it is attached only when allocations are asked for.
    pub on_request: bool,
    /// A program that does the same job: this one is left out when that one is offered.
    pub instead_of: Option<&'static str>,
}

const LEAVES: &str = "Whether a cache's memory was given back, and so a late free, cannot be seen.";
const RESULT: &str = "Whether the destroy left objects behind cannot be seen.";
const RCU_BARRIER: &str =
    "Whether an rcu_barrier() ordered deferred frees before a destroy cannot be decided.";
const KVFREE_BARRIER: &str =
    "Whether a kvfree_rcu_barrier() ordered kfree_rcu() before a destroy cannot be decided.";
const ON_CACHE: &str = "Whether a per-cache barrier ordered kfree_rcu() before a destroy cannot be decided.";
const FLUSHED: &str = "Whether the destroy itself waited, where its barrier is inlined, cannot be decided.";
const GRACE: &str = "Whether a deferred free ran before its grace period had ended cannot be decided.";
const BULK: &str =
    "Whether objects freed in blocks were freed cannot be decided; their caches are inconclusive.";
const SINGLE: &str =
    "Whether objects freed one by one were freed cannot be decided; their caches are inconclusive.";
const SHEAF: &str =
    "Whether objects freed with a sheaf were freed cannot be decided; their caches are inconclusive.";
const QUEUED: &str = "Deferred frees cannot be seen at all.";
const CALLBACKS: &str = "Objects queued by call_rcu() cannot be told from leaked ones.";
const CALLBACK_RUNS: &str =
    "Whether a callback of call_rcu() had run when a destroy looked cannot be decided.";
const ALLOCATIONS: &str =
    "Where leaked objects were allocated (--alloc-stacks) cannot be told for all of them.";
const NESTED: &str = "Calls in an interrupt that hits a run of the same probe are missed, which is counted.";
const LIST: &str =
    "Whether the last of a list of objects was free when a destroy looked cannot always be decided.";
const NOLOCK: &str = "Objects queued by kfree_rcu_nolock() cannot be told from leaked ones.";
const CREATED: &str = "Caches created during the run cannot be told from older ones.";
const MODULES: &str = "Which module a cache belongs to cannot always be named.";

/// How the name of a program's second copy ends, which runs where the kernel skips the first.
pub const NESTED_SUFFIX: &str = "_nested";

/// Every probe, in the order of attaching.
pub const PROBES: &[Entry] = &[
    unseen("cache_released", Word::Cache, Attach::Fentry, &["slab_kmem_cache_release"], LEAVES),
    optional("shutdown_end_nested", Word::Cache, Attach::Fentry, &["cpus_read_unlock"], NESTED),
    required("shutdown_end", Word::Cache, Attach::Fentry, &["cpus_read_unlock"], RESULT),
    required("shutdown_begin", Word::Cache, Attach::Fentry, &["__kmem_cache_shutdown"], RESULT),
    optional("rcu_barrier_end", Word::Barrier, Attach::Fexit, &["rcu_barrier"], RCU_BARRIER),
    optional("rcu_barrier_begin", Word::Barrier, Attach::Fentry, &["rcu_barrier"], RCU_BARRIER),
    optional("kvfree_barrier_end", Word::Barrier, Attach::Fexit, &["kvfree_rcu_barrier"], KVFREE_BARRIER),
    optional("kvfree_barrier_begin", Word::Barrier, Attach::Fentry, &["kvfree_rcu_barrier"], KVFREE_BARRIER),
    optional("kvfree_on_cache_end", Word::Barrier, Attach::Fexit, &["kvfree_rcu_barrier_on_cache"], ON_CACHE),
    optional(
        "kvfree_on_cache_begin",
        Word::Barrier,
        Attach::Fentry,
        &["kvfree_rcu_barrier_on_cache"],
        ON_CACHE,
    ),
    optional("rcu_work_flushed_nested", Word::Barrier, Attach::Fentry, &["flush_rcu_work"], NESTED),
    optional("rcu_work_flushed", Word::Barrier, Attach::Fentry, &["flush_rcu_work"], FLUSHED),
    optional("destroy_begin_nested", Word::Cache, Attach::Fentry, &["kmem_cache_destroy"], NESTED),
    required("destroy_begin", Word::Cache, Attach::Fentry, &["kmem_cache_destroy"], "Nothing can be said."),
    // Before the frees and the queueing: of an object seen to be queued and freed, every grace period
    // that it may have waited for is seen.
    unseen("grace_end", Word::Grace, Attach::Fentry, &["rcu_gp_cleanup"], GRACE),
    unseen("grace_begin", Word::Grace, Attach::Fentry, &["rcu_gp_fqs_loop"], GRACE),
    unseen("expedited_end", Word::Grace, Attach::Fexit, EXPEDITED, GRACE),
    unseen("expedited_begin", Word::Grace, Attach::Fentry, EXPEDITED, GRACE),
    optional("freed_bulk_end", Word::Free, Attach::Fexit, &["kvfree_rcu_bulk"], BULK),
    optional("freed_bulk_nested", Word::Free, Attach::Fentry, &["kvfree_rcu_bulk"], NESTED),
    optional("freed_bulk", Word::Free, Attach::Fentry, &["kvfree_rcu_bulk"], BULK),
    // It has to run after freed_array, whose objects are deferred, and so has to be attached before.
    on_request("freed_at_once_bulk_nested", Word::Free, Attach::Fentry, &["kmem_cache_free_bulk"]),
    on_request("freed_at_once_bulk", Word::Free, Attach::Fentry, &["kmem_cache_free_bulk"]),
    instead_of("freed_bulk_end", "freed_array_end_nested", Attach::Fexit, &["kmem_cache_free_bulk"]),
    instead_of("freed_bulk_end", "freed_array_end", Attach::Fexit, &["kmem_cache_free_bulk"]),
    instead_of("freed_bulk", "freed_array_nested", Attach::Fentry, &["kmem_cache_free_bulk"]),
    instead_of("freed_bulk", "freed_array", Attach::Fentry, &["kmem_cache_free_bulk"]),
    // The list ends with kvfree_rcu_list(), or with the work itself where that walks the list.
    optional("freed_list_end", Word::Free, Attach::Fexit, &["kvfree_rcu_list", "kfree_rcu_work"], LIST),
    optional("freed_list_begin", Word::Free, Attach::Fentry, &["kvfree_rcu_list", "kfree_rcu_work"], LIST),
    optional("freed_single_nested", Word::Free, Attach::Fentry, &["kvfree"], NESTED),
    unseen("freed_single", Word::Free, Attach::Fentry, &["kvfree"], SINGLE),
    optional("freed_sheaf_end", Word::Free, Attach::Fexit, &["rcu_free_sheaf"], SHEAF),
    optional("freed_sheaf", Word::Free, Attach::Fentry, &["rcu_free_sheaf"], SHEAF),
    optional("freed_sheaf_nobarn_end", Word::Free, Attach::Fexit, &["rcu_free_sheaf_nobarn"], SHEAF),
    optional("freed_sheaf_nobarn", Word::Free, Attach::Fentry, &["rcu_free_sheaf_nobarn"], SHEAF),
    // A callback has ended when its thread takes the next one off its list, or the list is done.
    unseen(
        "callback_runs_end",
        Word::Free,
        Attach::Fentry,
        &["rcu_segcblist_insert_done_cbs"],
        CALLBACK_RUNS,
    ),
    optional("callback_runs_nested", Word::Free, Attach::Fentry, &["rcu_cblist_dequeue"], NESTED),
    unseen("callback_runs", Word::Free, Attach::Fentry, &["rcu_cblist_dequeue"], CALLBACK_RUNS),
    on_request("freed_at_once", Word::Free, Attach::BtfTracepoint, &["kmem_cache_free"]),
    on_request("freed_at_once_nested", Word::Free, Attach::BtfTracepoint, &["kmem_cache_free"]),
    on_request("freed_at_once_kfree", Word::Free, Attach::BtfTracepoint, &["kfree"]),
    on_request("freed_at_once_kfree_nested", Word::Free, Attach::BtfTracepoint, &["kfree"]),
    optional("module_freed", Word::Module, Attach::BtfTracepoint, &["module_free"], MODULES),
    optional("callback_queued_hurry", Word::Queue, Attach::Fentry, &["call_rcu_hurry"], CALLBACKS),
    unseen("callback_queued", Word::Queue, Attach::Fentry, &["call_rcu"], CALLBACKS),
    optional("queued_nolock", Word::Queue, Attach::Fentry, &["kfree_call_rcu_nolock"], NOLOCK),
    required("queued", Word::Queue, Attach::Fentry, &["kvfree_call_rcu"], QUEUED),
    on_request("allocated", Word::Cache, Attach::BtfTracepoint, &["kmem_cache_alloc"]),
    on_request("allocated_nested", Word::Cache, Attach::BtfTracepoint, &["kmem_cache_alloc"]),
    on_request("allocated_bulk_nested", Word::Cache, Attach::Fexit, ALLOCATORS),
    on_request("allocated_bulk", Word::Cache, Attach::Fexit, ALLOCATORS),
    optional("cache_created_nested", Word::Cache, Attach::Fexit, CREATORS, NESTED),
    unseen("cache_created", Word::Cache, Attach::Fexit, CREATORS, CREATED),
    optional("module_loaded", Word::Module, Attach::BtfTracepoint, &["module_load"], MODULES),
];

/// Allocates several objects; newer kernels have the first.
const ALLOCATORS: &[&str] = &["kmem_cache_alloc_bulk_noprof", "kmem_cache_alloc_bulk"];

/// The out-of-line function that returns a new cache; newer kernels have the first.
///
/// The last does all the work on 6.1, but takes seven arguments, and kernels of its time attach to
/// functions of six at most (errno 524); the one before it calls it and is what nearly everyone calls.
const CREATORS: &[&str] = &["__kmem_cache_create_args", "kmem_cache_create", CREATE_USERCOPY];

/// Every expedited grace period passes through both of these between its begin and its end, once the
/// kernel has booted. The address of the first one is taken, so it cannot be inlined.
const EXPEDITED: &[&str] = &["wait_rcu_exp_gp", "rcu_exp_wait_wake"];

/// Creates caches unseen where `kmem_cache_create()` is the one that is probed.
pub const CREATE_USERCOPY: &str = "kmem_cache_create_usercopy";

/// In which group a probe is detached. Groups go one after the other, in this order; those of one group go side by
/// side, since none of them concludes anything from another.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Leaving {
    /// The entry of a destroy: no other destroy comes into the watch.
    Destroy,
    /// The ends of destroys and barriers, from which a verdict follows at once. They go before the begins, so that
    /// what runs meanwhile is seen to have begun and not to have ended, which proves nothing; without its begin, an
    /// end would be that of a call that is older than the probes.
    Conclusion,
    /// Their begins, and what happens within them.
    Course,
    /// The queueing, and what gives names: what is queued is seen to be freed, or is not seen at all.
    Queueing,
    /// The begins of frees. Until here each object that is outstanding is truly so. A batch that is seen to begin is
    /// seen to end.
    Free,
    /// The ends of frees.
    FreeEnd,
    /// The begins of grace periods: every free that was seen had its grace period seen. One that is seen to begin is
    /// seen to end.
    Grace,
    /// The ends of grace periods.
    GraceEnd,
}

/// The group in which a program is detached.
#[must_use]
pub fn leaving(program: &str) -> Leaving {
    let first = program.strip_suffix(NESTED_SUFFIX).unwrap_or(program);
    let is_end = first.ends_with("_end") || first == "cache_released";
    let word = PROBES.iter().find(|entry| entry.program == program).map(|entry| entry.word);
    match word {
        _ if first == "destroy_begin" => Leaving::Destroy,
        Some(Word::Cache | Word::Barrier) | None if is_end => Leaving::Conclusion,
        Some(Word::Cache | Word::Barrier) | None => Leaving::Course,
        Some(Word::Queue | Word::Module) => Leaving::Queueing,
        Some(Word::Free) => {
            if is_end {
                Leaving::FreeEnd
            } else {
                Leaving::Free
            }
        }
        Some(Word::Grace) => {
            if is_end {
                Leaving::GraceEnd
            } else {
                Leaving::Grace
            }
        }
    }
}

/// Functions that are not probed, but whose presence says how the kernel frees: by batches.
pub const BATCHING: [&str; 2] = ["kfree_rcu_work", "kfree_rcu_monitor"];

/// Variables and section ends whose addresses the probes need.
pub const ADDRESSES: [&str; 6] =
    ["page_offset_base", "vmalloc_base", "vmemmap_base", "__start_rodata", "__end_rodata", RCU_STATE];

/// The variable in which the kernel numbers grace periods.
pub const RCU_STATE: &str = "rcu_state";

/// Every function that the facts look at.
pub fn functions() -> impl Iterator<Item = &'static str> {
    PROBES
        .iter()
        .filter(|entry| entry.attach != Attach::BtfTracepoint)
        .flat_map(|entry| entry.targets.iter().copied())
        .chain(BATCHING)
}

/// Every tracepoint that the facts look at.
pub fn tracepoints() -> impl Iterator<Item = &'static str> {
    PROBES
        .iter()
        .filter(|entry| entry.attach == Attach::BtfTracepoint)
        .flat_map(|entry| entry.targets.iter().copied())
}

type Targets = &'static [&'static str];

const fn optional(
    program: &'static str,
    word: Word,
    attach: Attach,
    targets: Targets,
    without: &'static str,
) -> Entry {
    let absence = Absence::NothingToSee;
    Entry {
        program,
        word,
        attach,
        targets,
        required: false,
        absence,
        without,
        on_request: false,
        instead_of: None,
    }
}

const fn unseen(
    program: &'static str,
    word: Word,
    attach: Attach,
    targets: Targets,
    without: &'static str,
) -> Entry {
    Entry { absence: Absence::Unseen, ..optional(program, word, attach, targets, without) }
}

const fn required(
    program: &'static str,
    word: Word,
    attach: Attach,
    targets: Targets,
    without: &'static str,
) -> Entry {
    Entry { required: true, ..unseen(program, word, attach, targets, without) }
}

const fn on_request(program: &'static str, word: Word, attach: Attach, targets: Targets) -> Entry {
    Entry { on_request: true, ..unseen(program, word, attach, targets, ALLOCATIONS) }
}

/// A program for blocks of objects, used when the better one is not offered.
const fn instead_of(better: &'static str, program: &'static str, attach: Attach, targets: Targets) -> Entry {
    Entry { instead_of: Some(better), ..unseen(program, Word::Free, attach, targets, BULK) }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::{Leaving, PROBES, Word, leaving};

    #[test]
    fn nothing_concludes_once_frees_go_unseen() {
        let groups = |word: Word| -> BTreeSet<Leaving> {
            PROBES.iter().filter(|entry| entry.word == word).map(|entry| leaving(entry.program)).collect()
        };
        let all = |words: &[Word]| words.iter().flat_map(|word| groups(*word)).collect::<BTreeSet<_>>();
        assert_eq!(
            all(&[Word::Cache, Word::Barrier]),
            [Leaving::Destroy, Leaving::Conclusion, Leaving::Course].into()
        );
        assert_eq!(all(&[Word::Queue, Word::Module]), [Leaving::Queueing].into());
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
