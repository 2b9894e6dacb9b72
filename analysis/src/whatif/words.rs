//! Words: the tables of a what-if.

use crate::table;

table! {
    /// One destroy under one approach; every value is simulated but `measured_wait_ns`.
    WhatIfs of WhatIf, "whatif" {
        /// The approach, and its option.
        approach: String,
        /// The destroy, by its number in `destroys`.
        destroy: u32,
        /// The cache's name.
        cache: String,
        /// Nanoseconds that the kernel itself took until it looked at the slabs; absent if it only dropped a
        /// reference.
        measured_wait_ns: Option<u64>,
        /// How far the machine is off where it repeats what the kernel did, in thousandths of the measured
        /// wait; absent if the kernel's destroy does not wait.
        error_per_mille: Option<u64>,
        /// Whether memory was given back, or the cache given up, while an object was queued. This is about
        /// this run only: `false` does not mean that the approach is safe.
        is_unsafe: bool,
        /// Nanoseconds from the beginning of the exit path to its end; absent if it never ended.
        caller_wait_ns: Option<u64>,
        /// Nanoseconds from the return of the destroy until everything was given back; absent if that never
        /// happened.
        linger_ns: Option<u64>,
        /// Objects of this cache that it waited for.
        waited_for_own: u64,
        /// Objects of other caches that it waited for.
        waited_for_other: u64,
        /// Grace periods that began because of this exit path.
        grace_periods_forced: u64,
        /// About the whole run: how much longer unrelated callers of `rcu_barrier()` waited than with the
        /// plain `rcu_barrier()`.
        bystander_wait_ns: u64,
        /// Bytes of objects times nanoseconds, from an object's own free until its slab was given back.
        retained_bytes_ns: f64,
        /// Bytes of slabs that are never given back.
        kept_bytes: u64,
        /// `none`, `true-leak` or `false`.
        splat: String,
        /// What a module's source has to change.
        api_changes: String,
    }
}

table! {
    /// One deferred free to simulate.
    Deferrals of Deferral, "deferrals" {
        /// When it was queued, in `CLOCK_MONOTONIC`.
        at_ns: u64,
        /// The number of the cache's life.
        cache: u32,
        /// The CPU that queued it.
        cpu: u32,
        /// What deferred it.
        deferred_by: u32,
    }
}

table! {
    /// An input that the times of one approach depend on.
    Inputs of InputRow, "inputs" {
        /// The approach, and its option.
        approach: String,
        /// The kind of input.
        input: String,
        /// `observed` or `assumed`.
        origin: String,
        /// Where it comes from.
        source: String,
        /// The number of samples.
        samples: u64,
        /// How often a sample was drawn.
        draws: u64,
    }
}
