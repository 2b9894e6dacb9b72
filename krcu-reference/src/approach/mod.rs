//! Approach: the ways of "Waiting for kfree_rcu()" to destroy a cache whose frees are deferred.
//!
//! An approach says what a module's exit path calls for a cache, as the [`Op`]s of these calls, and which
//! promises the document expects it to break. A new idea is one new file here: a type, its ops, and its line
//! in [`all`]. What it needs of `kfree_rcu()` itself is in the [machine](crate::machine).
//!
//! A row is an approach with one choice for what the document leaves open.

mod counted;
mod destroy_lingers;
mod destroy_lingers_typesafe;
mod destroy_once_fully_freed;
mod destroy_rcu;
mod destroy_rcu_barrier;
mod destroy_rcu_cookie;
mod destroy_wait;
mod free_barrier;
mod kfree_rcu_barrier;
mod rcu_barrier_waits;
mod status_quo;
mod steps;
mod upstream;

use crate::machine::{CacheIndex, ObjectIndex, facts::Generation, op::Op};
use krcu_model::promise::Promise;

pub use steps::rcu_barrier;

/// One way to destroy a cache whose frees are deferred.
pub trait Approach: Send + Sync {
    /// Its name in tables.
    fn id(&self) -> &'static str;

    /// The choice; empty for the plain one.
    fn option(&self) -> &'static str {
        ""
    }

    /// The heading in the document.
    fn section(&self) -> &'static str;

    /// The implementation below `kfree_rcu()`.
    fn generation(&self) -> Generation {
        Generation::COOKIES
    }

    /// How a module frees an object.
    fn free(&self, object: ObjectIndex) -> Op {
        Op::Queue(object)
    }

    /// The calls of a module's exit path for one cache, up to and including the destroy.
    fn exit(&self, cache: CacheIndex) -> Vec<Op>;

    /// The calls of the second module: the same, unless the row is about something else.
    fn second(&self, cache: CacheIndex) -> Vec<Op> {
        self.exit(cache)
    }

    /// What [`Op::Release`] in [`Approach::exit`] means for a `SLAB_TYPESAFE_BY_RCU` cache: its slabs are
    /// freed through `call_rcu()` and need the cache until then. Unless the approach says otherwise, the work
    /// item of 657dc2f97220 waits for all such caches together, as in 6.1.
    fn release_type_safe(&self, cache: CacheIndex) -> Vec<Op> {
        vec![Op::ReleaseLater(cache)]
    }

    /// What `rcu_barrier()` does for callers that have nothing to do with the cache.
    fn bystander(&self) -> Vec<Op> {
        rcu_barrier()
    }

    /// Whether the row needs a `SLAB_TYPESAFE_BY_RCU` cache to show its point.
    fn has_type_safe_cache(&self) -> bool {
        false
    }

    /// Whether the row needs the shrinker to show its point.
    fn has_shrinker(&self) -> bool {
        false
    }

    /// The promises that the approach breaks, according to the document or the kernel's history, and why.
    fn breaks(&self) -> &'static [(Promise, &'static str)] {
        &[]
    }

    /// What a module's source has to change.
    fn api_changes(&self) -> &'static str;
}

/// Every row of the table, in the order of the document.
#[must_use]
pub fn all() -> Vec<Box<dyn Approach>> {
    let mut rows: Vec<Box<dyn Approach>> = Vec::new();
    rows.extend(status_quo::rows());
    rows.extend(rcu_barrier_waits::rows());
    rows.extend(kfree_rcu_barrier::rows());
    rows.extend(destroy_lingers::rows());
    rows.extend(destroy_lingers_typesafe::rows());
    rows.extend(destroy_rcu::rows());
    rows.extend(free_barrier::rows());
    rows.extend(destroy_wait::rows());
    rows.extend(destroy_rcu_barrier::rows());
    rows.extend(destroy_rcu_cookie::rows());
    rows.extend(destroy_once_fully_freed::rows());
    rows.extend(upstream::rows());
    rows.extend(counted::rows());
    rows
}

/// Rows that only the check has: what would close a window that the kernel has.
#[must_use]
pub fn mended() -> Vec<Box<dyn Approach>> {
    upstream::mended()
}

/// Name of a row: the approach, and its option.
#[must_use]
pub fn row_name(row: &dyn Approach) -> String {
    match row.option() {
        "" => row.id().to_owned(),
        option => format!("{} ({option})", row.id()),
    }
}
