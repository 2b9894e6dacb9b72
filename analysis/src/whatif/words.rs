//! Words: the tables of a what-if.

use crate::table;

table! {
    /// One destroy under one approach. Simulated, but for `measured_ns`.
    WhatIfs of WhatIf, "whatif" {
        /// The approach, and its option.
        approach: String,
        /// The destroy, by its place in `destroys`.
        destroy: u32,
        /// The cache's name.
        cache: String,
        /// Whether memory was given back, or the cache given up, while an object was queued. Of this run: `false` does not
        /// say that the approach is safe.
        is_unsafe: bool,
        /// Nanoseconds from the beginning of the exit path to its end; absent when it never ended.
        caller_wait_ns: Option<u64>,
        /// Nanoseconds from the return of the destroy until everything was given back; absent when that never came.
        linger_ns: Option<u64>,
        /// Objects of this cache that it waited for.
        waited_for_own: u64,
        /// Objects of others that it waited for.
        waited_for_other: u64,
        /// Grace periods that began because of this exit path.
        grace_periods_forced: u64,
        /// Of the whole run: by how much unrelated callers of `rcu_barrier()` waited longer than they do today.
        bystander_wait_ns: u64,
        /// Bytes times nanoseconds from an object's own free until its slab was given back.
        retained_bytes_ns: f64,
        /// Bytes that are never given back.
        kept_bytes: u64,
        /// `none`, `true-leak` or `false`.
        splat: String,
        /// What a module's source would have to say.
        api_changes: String,
    }
}

table! {
    /// One deferred free that is to be simulated.
    Deferrals of Deferral, "deferrals" {
        /// When it was queued, by `CLOCK_MONOTONIC`.
        at_ns: u64,
        /// The cache's life.
        cache: u32,
        /// The CPU on which it was queued.
        cpu: u32,
        /// By what it was deferred.
        deferred_by: u32,
    }
}

table! {
    /// What one approach rests on: an input that was drawn.
    Inputs of InputRow, "inputs" {
        /// The approach, and its option.
        approach: String,
        /// Of what.
        input: String,
        /// `observed` or `assumed`.
        origin: String,
        /// Where it comes from.
        source: String,
        /// Samples that there are.
        samples: u64,
        /// How often one was drawn.
        draws: u64,
    }
}
