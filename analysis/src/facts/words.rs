//! Words: the tables of facts, one for each word of an object's life.
//!
//! Times are nanoseconds of `CLOCK_MONOTONIC` from the moment at which the last probe was attached, and below
//! 0 for what was seen before. A cache is a life, numbered from 0 in the order in which the watch met them;
//! its address may be used again. A site is the number of a stack in this trace, or 0 if none was taken.

use crate::table;

table! {
    /// The life of one deferred free; the row is written when the life ends.
    Objects of Object, "objects" {
        /// The number of the cache's life.
        cache: u32,
        /// The object's address.
        object: u64,
        /// When the call of `kvfree_call_rcu()` began.
        queued_at_ns: i64,
        /// The task that queued it.
        queued_by: u32,
        /// The CPU that queued it.
        queued_on: u32,
        /// The stack that queued it.
        site: u32,
        /// `head`, `headless` or `nolock`.
        form: &'static str,
        /// When the first whole grace period after its queueing ended; absent if none ended before the free.
        grace_over_at_ns: Option<i64>,
        /// When the call that frees it announced it; absent if that was not seen.
        freed_at_ns: Option<i64>,
        /// How it was freed: `bulk`, `single` or `sheaf`.
        path: Option<&'static str>,
        /// The batch that freed it, by its number in `batches`.
        batch: Option<u64>,
        /// The time from queueing to free; absent if it was not freed.
        age_ns: Option<u64>,
        /// When it was no longer outstanding: its free, or the call that queued it again; absent if that
        /// never came.
        over_at_ns: Option<i64>,
        /// `freed`; `within-call` if the call that queued it also freed it; `requeued` if it was queued again
        /// before a free was seen; `late` if it was freed after its cache was gone; `outstanding` if the
        /// trace ended first.
        end: &'static str,
    }
}

table! {
    /// The life of one callback of `call_rcu()` or its like, or of a work that such a callback queued; the row is written when
    /// the life ends. The table is empty if krcu could not see callbacks run.
    Callbacks of Callback, "callbacks" {
        /// The number of the life of the cache that the callback's head lies in; absent if it lies in no object of a
        /// cache that krcu watches.
        cache: Option<u32>,
        /// The address of the head; of a work that a callback queued, of the work.
        object: u64,
        /// The callback, or the function of the work; its bare address if no event told its name.
        function: String,
        /// The module in whose text it lies, if that is known.
        module: Option<String>,
        /// The function that queued it, such as `call_rcu()` or `queue_rcu_work()`.
        queued_with: &'static str,
        /// When that function was called; of a work that a callback queued, when the callback was queued.
        queued_at_ns: i64,
        /// The task that called it.
        queued_by: u32,
        /// The CPU on which it was called.
        queued_on: u32,
        /// The stack of the call.
        site: u32,
        /// Of `call_rcu()` and `queue_rcu_work()`, when the first whole grace period after the call ended; absent
        /// if none ended before the callback or the work ran.
        grace_over_at_ns: Option<i64>,
        /// When the callback began to run, or the function of the work; absent if that was not seen.
        ran_at_ns: Option<i64>,
        /// When it returned; absent if that was not seen.
        returned_at_ns: Option<i64>,
        /// The time from `queued_at_ns` to `ran_at_ns`.
        latency_ns: Option<u64>,
        /// The time from `ran_at_ns` to `returned_at_ns`.
        run_ns: Option<u64>,
        /// `returned`; `ran` if it began to run and its return was not seen; `requeued` if the same head was queued again
        /// before a run was seen; `cancelled` if a flush returned and the work had not run; `waiting` if the trace
        /// ended first.
        end: &'static str,
    }
}

table! {
    /// One call that frees several deferred objects.
    Batches of Batch, "batches" {
        /// Its number, in the order of the first free.
        batch: u64,
        /// `bulk`, `single` or `sheaf`. A `single` batch ends when its task does something else.
        path: &'static str,
        /// The task that frees.
        task: u32,
        /// The CPU of the first free.
        cpu: u32,
        /// When the first object was freed.
        first_at_ns: i64,
        /// When the last object was freed.
        last_at_ns: i64,
        /// When the call returned; absent if that was not seen.
        returned_at_ns: Option<i64>,
        /// The number of objects whose queueing was seen.
        objects: u64,
        /// The number of objects whose queueing was not seen.
        unknown: u64,
        /// The number of caches that the objects belong to.
        caches: u32,
        /// When the oldest of the objects was queued.
        oldest_queued_at_ns: Option<i64>,
        /// The time from the end of the last normal grace period to the first free.
        since_grace_ns: Option<u64>,
    }
}

table! {
    /// One wait for deferred frees or callbacks.
    Barriers of Barrier, "barriers" {
        /// `rcu_barrier`, `kvfree_rcu_barrier`, `kvfree_rcu_barrier_on_cache`, or `inside-destroy` for a
        /// barrier that is inlined into the destroy: only the works that it flushes show it.
        barrier: String,
        /// The task that waits.
        task: u32,
        /// The CPU that entered it.
        cpu: u32,
        /// When the barrier was entered.
        begin_at_ns: i64,
        /// When it returned; absent if that was not seen.
        end_at_ns: Option<i64>,
        /// How long the wait took.
        wait_ns: Option<u64>,
        /// The destroy that the barrier is part of, by its number in `destroys`.
        destroy: Option<u32>,
        /// The cache, if the barrier is for one cache.
        cache: Option<u32>,
        /// What called it: `destroy`; `flush` for `flush_rcu_work()`; or `caller` for anything else.
        cause: String,
        /// Deferred frees of all watched caches that were outstanding at the entry.
        outstanding: u64,
        /// Of these, objects of the barrier's own cache, or of the cache that is being destroyed.
        outstanding_own: u64,
        /// Objects that were outstanding at the entry and freed before the return.
        freed_meanwhile: u64,
        /// Of these, objects of the barrier's own cache, or of the cache that is being destroyed.
        freed_own: u64,
        /// The number of grace periods that ended meanwhile.
        grace_periods: u64,
    }
}

table! {
    /// One call of `kmem_cache_destroy()`.
    Destroys of Destroy, "destroys" {
        /// Its number, in the order in which destroys were entered.
        destroy: u32,
        /// The number of the cache's life.
        cache: u32,
        /// The task.
        task: u32,
        /// The task's name.
        comm: String,
        /// The stack that called it.
        site: u32,
        /// When it was entered.
        begin_at_ns: i64,
        /// When it looked at its slabs; absent if it only dropped a reference, or if the look was not seen.
        look_at_ns: Option<i64>,
        /// When that look was over.
        end_at_ns: Option<i64>,
        /// The time from the entry to the look.
        wait_ns: Option<u64>,
        /// The number of users of the cache at the entry.
        refcount: i32,
        /// Whether a barrier for `kfree_rcu()` ran inside the destroy.
        barrier_inside: bool,
        /// Deferred frees of the cache at the entry, including those that were running.
        outstanding_at_begin: u64,
        /// Deferred frees of other watched caches at the entry.
        others_at_begin: u64,
        /// Deferred frees of the cache at the look, including those that were running.
        outstanding_at_look: u64,
        /// Whether every slab was given back; absent if that was not seen.
        empty: Option<bool>,
        /// Objects that were left, by the kernel's own counts.
        left: Option<u64>,
        /// Deferred frees seen after the look.
        late: u64,
    }
}

table! {
    /// One verdict, with its evidence.
    Verdicts of VerdictRow, "verdicts" {
        /// The destroy; absent if the verdict is about a promise that the kernel broke.
        destroy: Option<u32>,
        /// The verdict's word.
        verdict: String,
        /// Whether it is a fault.
        flagged: bool,
        /// Whether it is a fault under `--strict`.
        flagged_strictly: bool,
        /// The cache's name.
        cache: String,
        /// The module that owns the cache, if it is known.
        module: Option<String>,
        /// The task that destroyed the cache.
        destroyed_by: String,
        /// When it was destroyed.
        destroyed_at_ns: i64,
        /// Objects handed to `kfree_rcu()` and not freed when the destroy looked.
        queued_by_kfree_rcu: u64,
        /// Objects that were left and that nobody had queued; absent if that is not known.
        leaked: Option<u64>,
        /// The age of the oldest of the objects that were queued.
        oldest_age_ns: Option<u64>,
        /// How long the destroy took until it looked at its slabs.
        wait_ns: Option<u64>,
        /// Deferred frees of this cache that the destroy waited for.
        waited_for_own: u64,
        /// Deferred frees of other watched caches that it also had to wait for.
        waited_for_other: u64,
        /// Deferred frees seen after the look.
        late_frees: u64,
        /// The site that queued most of the objects, caller first.
        queued_at: Option<String>,
        /// What makes the same fault the same on every host: the verdict, `module.cache`, the function that
        /// destroyed the cache, and the function that queued most of the objects; `-` for what is not known.
        signature: String,
        /// Why it cannot be decided, or other facts that matter.
        notes: String,
        /// What to do about it.
        advice: String,
    }
}

table! {
    /// One life of a slab cache.
    Caches of Cache, "caches" {
        /// Its number.
        cache: u32,
        /// The address of its `struct kmem_cache`.
        address: u64,
        /// Its name; empty if no event had it.
        name: String,
        /// Other names with which it was created.
        aliases: String,
        /// Bytes of an object as its user sees it; 0 if no event had it.
        object_bytes: u32,
        /// When it was created; absent if it is older than the probes.
        created_at_ns: Option<i64>,
        /// The stack that created it.
        site: u32,
        /// When its address was released; absent if it was not.
        released_at_ns: Option<i64>,
        /// Whether its objects are counted, not streamed.
        counted: bool,
        /// Objects ever handed to `kfree_rcu()`.
        queued: u64,
        /// Callbacks ever handed to `call_rcu()`.
        callbacks: u64,
        /// Deferred frees that had not begun when the cache was released, or when the trace ended.
        outstanding: u64,
    }
}

table! {
    /// One grace period.
    Graces of Grace, "graces" {
        /// Whether it is an expedited one.
        expedited: bool,
        /// When it began; absent if that was not seen.
        begin_at_ns: Option<i64>,
        /// When it ended; absent if the trace ended first.
        end_at_ns: Option<i64>,
    }
}

table! {
    /// Events that were not seen.
    Gaps of Gap, "gaps" {
        /// `ring-full`, `probe-missed`, `map-full`, or `not-in-trace` for a trace that ends before its run
        /// did.
        reason: String,
        /// The number of events.
        events: u64,
        /// The earliest time at which they can have been.
        from_ns: i64,
        /// The latest time at which they can have been.
        until_ns: i64,
        /// What the events would have been about: `everything`, `cache`, `grace`, `queueing`, `freeing` or
        /// `barriers`.
        scope: String,
        /// The probes' programs whose runs were skipped, if that is the reason.
        programs: String,
    }
}

table! {
    /// One stack, as the kernel printed it.
    Sites of SiteRow, "sites" {
        /// Its number.
        site: u32,
        /// The innermost frame's function.
        function: String,
        /// The module of the innermost frame that belongs to a module.
        module: Option<String>,
        /// The frames, caller first.
        stack: String,
        /// A number made of the frames without their offsets: the same code has the same number on every host
        /// whose kernel has these functions. It is above 0; 0 is for no stack.
        site_key: i64,
    }
}

table! {
    /// The trace itself: one row.
    Runs of Run, "runs" {
        /// A number made of the host, the boot and the trace's name. The column `run` of every other table that
        /// is exported has it.
        run: i64,
        /// The trace's name.
        trace: String,
        /// The host; `unknown` when the trace does not say it.
        host: String,
        /// The boot's identity; `unknown` when the trace does not say it.
        boot: String,
        /// The kernel's release; empty when the trace does not say it.
        kernel: String,
        /// The machine, as `uname -m` prints it; empty when the trace does not say it.
        arch: String,
        /// CRC-32 of the kernel's type information.
        btf: Option<String>,
        /// CPUs that could ever be present; 0 when not known.
        cpus: u32,
        /// When the last probe was attached, in nanoseconds since 1970, UTC.
        attached_utc_ns: Option<i64>,
        /// The version of krcu that recorded it.
        krcu: Option<String>,
        /// How the recording ended: `exit`, `signal`, `duration`, `cut-short`, `no-goodbye`, or `unsaid` of a
        /// text.
        ended: String,
        /// Whether a part of the trace is damaged; the other tables are of the events before it.
        damaged: bool,
        /// Events of the trace, without losses.
        events: u64,
        /// Events that were not seen, as far as they were counted.
        lost: u64,
        /// From the first event to the last.
        span_ns: u64,
        /// What the watch could not see on this kernel.
        blind: String,
    }
}

table! {
    /// A module whose version the trace knows.
    Modules of Module, "modules" {
        /// Its name.
        module: String,
        /// The build-id that its linker gave it, in hexadecimal digits.
        build_id: Option<String>,
        /// The checksum of its sources, `srcversion`.
        srcversion: Option<String>,
        /// When it was loaded; absent if it was there before the probes.
        loaded_at_ns: Option<i64>,
    }
}
