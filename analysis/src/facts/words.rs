//! Words: the tables of facts, one for each word of the life that is watched.
//!
//! Times are nanoseconds of `CLOCK_MONOTONIC` from the moment at which the last probe was attached: below 0 for
//! what was seen before. A cache is a life, counted from 0 in the order in which the watch met them; its
//! address may have been used again. A site is a stack by its number in this trace; 0 when none was taken.

use crate::table;

table! {
    /// The life of one deferred free, written when it ends.
    Objects of Object, "objects" {
        /// The cache's life.
        cache: u32,
        /// The object's address.
        object: u64,
        /// When `kvfree_call_rcu()` was entered.
        queued_at_ns: i64,
        /// The task that queued it.
        queued_by: u32,
        /// The CPU on which it was queued.
        queued_on: u32,
        /// The stack that queued it.
        site: u32,
        /// `head`, `headless` or `nolock`.
        form: &'static str,
        /// When the first whole grace period since it was queued had ended; absent when none ended before the free.
        grace_over_at_ns: Option<i64>,
        /// When the call that frees it took it up; absent when that was not seen.
        freed_at_ns: Option<i64>,
        /// How it was freed: `bulk`, `single` or `sheaf`.
        path: Option<&'static str>,
        /// The batch that freed it, by its number in `batches`.
        batch: Option<u64>,
        /// From queueing to free; absent when it was not freed.
        age_ns: Option<u64>,
        /// When it was outstanding no longer: the free, or the call that queued it again; absent when that never came.
        over_at_ns: Option<i64>,
        /// `freed`; `within-call` when the call that queued it freed it; `requeued` when it was queued again before a
        /// free was seen; `late` when its cache was gone; `outstanding` when the trace ended first.
        end: &'static str,
    }
}

table! {
    /// One call that frees deferred objects together.
    Batches of Batch, "batches" {
        /// Its number, in the order of the first free.
        batch: u64,
        /// `bulk`, `single` or `sheaf`; `single` ends when its task does something else.
        path: &'static str,
        /// The task that frees.
        task: u32,
        /// The CPU of the first free.
        cpu: u32,
        /// The first free.
        first_at_ns: i64,
        /// The last free.
        last_at_ns: i64,
        /// When the call returned; absent when that was not seen.
        returned_at_ns: Option<i64>,
        /// Objects whose queueing had been seen.
        objects: u64,
        /// Objects whose queueing had not been seen.
        unknown: u64,
        /// Caches that the objects are of.
        caches: u32,
        /// When the oldest of the objects was queued.
        oldest_queued_at_ns: Option<i64>,
        /// From the end of the last normal grace period to the first free.
        since_grace_ns: Option<u64>,
    }
}

table! {
    /// One wait for deferred frees or callbacks.
    Barriers of Barrier, "barriers" {
        /// `rcu_barrier`, `kvfree_rcu_barrier`, `kvfree_rcu_barrier_on_cache`, or `inside-destroy` for the one that a destroy
        /// has inlined and that shows only by the works that it flushes.
        barrier: String,
        /// The task that waits.
        task: u32,
        /// The CPU on which it was entered.
        cpu: u32,
        /// When it was entered.
        begin_at_ns: i64,
        /// When it returned; absent when that was not seen.
        end_at_ns: Option<i64>,
        /// How long it took.
        wait_ns: Option<u64>,
        /// The destroy that it is inside of, by its place in `destroys`.
        destroy: Option<u32>,
        /// The cache that it is for, where it is for one.
        cache: Option<u32>,
        /// Who called it: `destroy`, `flush` for one that `flush_rcu_work()` called, or `caller`.
        cause: String,
        /// Deferred frees of all watched caches that were outstanding at the entry.
        outstanding: u64,
        /// Of these, those of the cache that it is for, or that is being destroyed.
        outstanding_own: u64,
        /// Objects that were outstanding at the entry and freed before the return.
        freed_meanwhile: u64,
        /// Of these, those of the cache that it is for, or that is being destroyed.
        freed_own: u64,
        /// Grace periods that ended meanwhile.
        grace_periods: u64,
    }
}

table! {
    /// One call of `kmem_cache_destroy()`.
    Destroys of Destroy, "destroys" {
        /// Its place, in the order of entry.
        destroy: u32,
        /// The cache's life.
        cache: u32,
        /// The task.
        task: u32,
        /// Its name.
        comm: String,
        /// The stack that destroyed.
        site: u32,
        /// When it was entered.
        begin_at_ns: i64,
        /// When it looked at its slabs; absent when it only dropped a reference, or was not seen to.
        look_at_ns: Option<i64>,
        /// When that look was over.
        end_at_ns: Option<i64>,
        /// From the entry to the look.
        wait_ns: Option<u64>,
        /// Users of the cache at the entry.
        refcount: i32,
        /// Whether a barrier for `kfree_rcu()` ran inside.
        barrier_inside: bool,
        /// Deferred frees of the cache at the entry, those that were running included.
        outstanding_at_begin: u64,
        /// Deferred frees of other watched caches at the entry.
        others_at_begin: u64,
        /// Deferred frees of the cache at the look, those that were running included.
        outstanding_at_look: u64,
        /// Whether every slab was given back; absent when that was not seen.
        empty: Option<bool>,
        /// Objects left by the kernel's own counts.
        left: Option<u64>,
        /// Deferred frees seen after the look.
        late: u64,
    }
}

table! {
    /// One verdict, with its evidence.
    Verdicts of VerdictRow, "verdicts" {
        /// The destroy that it is of; absent for a promise that the kernel broke.
        destroy: Option<u32>,
        /// The word.
        verdict: String,
        /// Whether it is a fault.
        flagged: bool,
        /// Whether it is one for `--strict`.
        flagged_strictly: bool,
        /// The cache's name.
        cache: String,
        /// The module whose cache it is, where known.
        module: Option<String>,
        /// Who destroyed it.
        destroyed_by: String,
        /// When.
        destroyed_at_ns: i64,
        /// Objects handed to `kfree_rcu()` and not freed when the destroy looked.
        queued_by_kfree_rcu: u64,
        /// Objects left that nobody queued; absent when that is not known.
        leaked: Option<u64>,
        /// Age of the oldest of them.
        oldest_age_ns: Option<u64>,
        /// How long the destroy took until it looked.
        wait_ns: Option<u64>,
        /// Deferred frees of this cache for which it waited.
        waited_for_own: u64,
        /// Deferred frees of other watched caches that it had to wait for as well.
        waited_for_other: u64,
        /// Deferred frees seen after the look.
        late_frees: u64,
        /// The site of most of them, caller first.
        queued_at: Option<String>,
        /// Why it cannot be decided, or what else to know.
        notes: String,
        /// What to do.
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
        /// Its name; empty when nothing said it.
        name: String,
        /// Other names under which it was asked for.
        aliases: String,
        /// Bytes of an object as its user sees it; 0 when nothing said it.
        object_bytes: u32,
        /// When it was created; absent when it is older than the probes.
        created_at_ns: Option<i64>,
        /// The stack that created it.
        site: u32,
        /// When its address was given up; absent when it was not.
        released_at_ns: Option<i64>,
        /// Whether its objects are counted, not streamed.
        counted: bool,
        /// Objects ever handed to `kfree_rcu()`.
        queued: u64,
        /// Callbacks ever handed to `call_rcu()`.
        callbacks: u64,
        /// Deferred frees that had not begun when it was given up, or when the trace ended.
        outstanding: u64,
    }
}

table! {
    /// One grace period.
    Graces of Grace, "graces" {
        /// Whether it is an expedited one.
        expedited: bool,
        /// When it began; absent when that was not seen.
        begin_at_ns: Option<i64>,
        /// When it ended; absent when the trace ended first.
        end_at_ns: Option<i64>,
    }
}

table! {
    /// Events that were not seen.
    Gaps of Gap, "gaps" {
        /// `ring-full`, `probe-missed`, `map-full`, or `not-in-trace` for a trace that ends before its run did.
        reason: String,
        /// How many.
        events: u64,
        /// Not before this.
        from_ns: i64,
        /// Not after this.
        until_ns: i64,
        /// What they would have told of: `everything`, `cache`, `grace`, `queueing`, `freeing` or `barriers`.
        scope: String,
        /// The programs whose runs were skipped, where that is why.
        programs: String,
    }
}

table! {
    /// One stack, as the kernel put it into words.
    Sites of SiteRow, "sites" {
        /// Its number.
        site: u32,
        /// The innermost frame's function.
        function: String,
        /// The module of the innermost frame that is in one.
        module: Option<String>,
        /// The frames, caller first.
        stack: String,
    }
}
