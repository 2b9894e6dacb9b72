//! Free and batch: the deferred free of an object runs, alone or with others.
//!
//! Every array is read at the entry of the function that frees it: the function reorders it, and the
//! page that holds it is used again. An object is announced before it is free, so that its address
//! cannot have been reused by then; the end of the call says that those of this task are free.

use core::ffi::c_void;

use aya_ebpf::{
    helpers::{bpf_get_smp_processor_id, generated::bpf_loop},
    macros::{fentry, fexit},
    programs::{FEntryContext, FExitContext},
};
use krcu_common::{
    FreePath, Kind,
    wire::{BatchFreed, Freed},
};

use super::{argument, first, nested};
use crate::{
    config,
    kernel::{self, Owner, read},
    maps::BATCHES,
    ring::{Wake, count_filtered, emit, task},
};

/// Entries of an array looked at; a bulk page of 64 KiB holds 8,187.
const ARRAY_BOUND: u32 = 8192;

/// Entry of `kvfree_rcu_bulk(krcp, bnode, index)`.
#[fentry]
pub fn freed_bulk(context: FEntryContext) -> i32 {
    let block = argument(&context, 1);
    let records: u64 = read(block + u64::from(config!(bulk_count_offset))).unwrap_or(0);
    free_array(block + u64::from(config!(bulk_records_offset)), records as u32, FreePath::Bulk);
    0
}

/// Return of `kvfree_rcu_bulk()`.
#[fexit]
pub fn freed_bulk_end(_context: FExitContext) -> i32 {
    end(FreePath::Bulk)
}

/// Entry of `kmem_cache_free_bulk(cache, size, array)`; without a cache it is `kfree_bulk()`, which is
/// how a deferred free gets there.
#[fentry]
pub fn freed_array(context: FEntryContext) -> i32 {
    if argument(&context, 0) == 0 {
        free_array(argument(&context, 2), argument(&context, 1) as u32, FreePath::Bulk);
    }
    0
}

/// Return of `kmem_cache_free_bulk()`.
#[fexit]
pub fn freed_array_end(context: FExitContext) -> i32 {
    if argument(&context, 0) == 0 { end(FreePath::Bulk) } else { 0 }
}

/// Entry of `kvfree(object)`: the fallback list, and the form that waits. Most calls have nothing to do
/// with RCU and are of kmalloc memory.
#[fentry]
pub fn freed_single(context: FEntryContext) -> i32 {
    first(Kind::Freed, |_| free_single(&context))
}

/// The second copy of `freed_single`.
#[fentry]
pub fn freed_single_nested(context: FEntryContext) -> i32 {
    nested(Kind::Freed, |_| free_single(&context))
}

#[inline(always)]
fn free_single(context: &FEntryContext) {
    if free(argument(context, 0), FreePath::Single) {
        let _ = BATCHES.insert(batch_key(FreePath::Single), 1, 0);
    }
}

/// Return of `kvfree_rcu_list()`, or of `kfree_rcu_work()` where that walks the list itself.
#[fexit]
pub fn freed_list_end(_context: FExitContext) -> i32 {
    end(FreePath::Single)
}

/// Entry of `rcu_free_sheaf(head)`; the head is the first member of the sheaf.
#[fentry]
pub fn freed_sheaf(context: FEntryContext) -> i32 {
    free_sheaf(argument(&context, 0))
}

/// Return of `rcu_free_sheaf()`.
#[fexit]
pub fn freed_sheaf_end(_context: FExitContext) -> i32 {
    end(FreePath::Sheaf)
}

/// Entry of `rcu_free_sheaf_nobarn(head)`.
#[fentry]
pub fn freed_sheaf_nobarn(context: FEntryContext) -> i32 {
    free_sheaf(argument(&context, 0))
}

/// Return of `rcu_free_sheaf_nobarn()`.
#[fexit]
pub fn freed_sheaf_nobarn_end(_context: FExitContext) -> i32 {
    end(FreePath::Sheaf)
}

#[inline(always)]
fn free_sheaf(sheaf: u64) -> i32 {
    let cache: u64 = read(sheaf + u64::from(config!(sheaf_cache_offset))).unwrap_or(0);
    let size: u32 = read(sheaf + u64::from(config!(sheaf_size_offset))).unwrap_or(0);
    // All of a sheaf is of one cache: most sheaves are done with here.
    if cache != 0 && matches!(kernel::classify(cache), Owner::Streamed(_)) {
        free_array(sheaf + u64::from(config!(sheaf_objects_offset)), size, FreePath::Sheaf);
    }
    0
}

/// What the loop over an array carries along. A flag and no count: newer verifiers follow the loop until
/// its state repeats, which a count on the stack never does.
struct Walk {
    array: u64,
    path: FreePath,
    streamed: u32,
}

#[inline(always)]
fn free_array(array: u64, entries: u32, path: FreePath) {
    let mut walk = Walk { array, path, streamed: 0 };
    let bound = if entries > ARRAY_BOUND { ARRAY_BOUND } else { entries };
    // SAFETY: `free_entry` has the signature that the helper calls, and `walk` outlives the call.
    unsafe { bpf_loop(bound, free_entry as *mut c_void, (&raw mut walk).cast(), 0) };
    if walk.streamed != 0 {
        let _ = BATCHES.insert(batch_key(path), 1, 0);
    }
}

unsafe extern "C" fn free_entry(index: u32, walk: *mut Walk) -> i64 {
    // SAFETY: `free_array` passes a live Walk that nothing else refers to.
    let walk = unsafe { &mut *walk };
    if let Some(object) = read(walk.array + u64::from(index) * 8)
        && free(object, walk.path)
    {
        walk.streamed = 1;
    }
    0
}

/// Announces one object; says whether it was one that is streamed.
#[inline(always)]
fn free(object: u64, path: FreePath) -> bool {
    let cache = match kernel::owner(object) {
        Owner::Streamed(cache) => cache,
        other => {
            count_filtered(Kind::Freed, &other);
            return false;
        }
    };
    emit::<Freed>(Kind::Freed, Wake::Later, |body| {
        body.write(Freed { object, cache, path: path as u32, reserved: 0 });
    });
    true
}

/// A softirq may free a sheaf in the middle of a task's bulk: the path tells them apart. Every CPU has an
/// idle task, all of number 0: the CPU tells those apart, which softirqs do not leave.
#[inline(always)]
pub(super) fn batch_key(path: FreePath) -> u64 {
    let task = task();
    // SAFETY: the helper takes no argument and cannot fail.
    let idle = if task == 0 { 1 << 31 | unsafe { bpf_get_smp_processor_id() } } else { task };
    (path as u64) << 32 | u64::from(idle)
}

#[inline(always)]
fn end(path: FreePath) -> i32 {
    batch_freed(path);
    0
}

/// The call that freed by this path has returned; says whether it had freed streamed objects.
#[inline(always)]
pub(super) fn batch_freed(path: FreePath) -> bool {
    let ended = BATCHES.remove(batch_key(path)).is_ok();
    if ended {
        emit::<BatchFreed>(Kind::BatchFreed, Wake::Later, |body| {
            body.write(BatchFreed { path: path as u32, reserved: 0 });
        });
    }
    ended
}
