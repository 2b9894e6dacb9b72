//! Free and batch: a deferred free runs, for one object or for several.
//!
//! Every array is read at the entry of the function that frees it, because the function reorders the array,
//! and the page that holds it is used again. An object is announced before it is free, so its address cannot
//! have been reused yet. The end of the call says that the objects of this task are free.

use core::ffi::c_void;

use aya_ebpf::{
    helpers::{bpf_get_smp_processor_id, generated::bpf_loop},
    macros::{fentry, fexit},
    programs::{FEntryContext, FExitContext},
};
use krcu_common::{
    Fate, FreePath, Kind,
    wire::{BatchFreed, Freed},
};

use super::{Hot, argument, first, nested};
use crate::{
    config,
    kernel::{self, Owner, read},
    maps::BATCHES,
    ring::{Wake, count_filtered, emit_of, lose, task},
};

/// The number of entries of an array that are looked at; a bulk page of 64 KiB holds 8,187.
pub(super) const ARRAY_BOUND: u32 = 8192;

/// Entry of `kvfree_rcu_bulk(krcp, bnode, index)`.
#[fentry]
pub fn freed_bulk(context: FEntryContext) -> i32 {
    first(Hot::FreedBulk, &context, || free_block(&context))
}

/// The second copy of `freed_bulk`.
#[fentry]
pub fn freed_bulk_nested(context: FEntryContext) -> i32 {
    nested(Hot::FreedBulk, Kind::Freed, &context, || free_block(&context))
}

#[inline(always)]
fn free_block(context: &FEntryContext) {
    let block = argument(context, 1);
    let records: u64 = read(block + u64::from(config!(bulk_count_offset))).unwrap_or(0);
    free_array(block + u64::from(config!(bulk_records_offset)), records as u32, FreePath::Bulk);
}

/// Return of `kvfree_rcu_bulk()`.
#[fexit]
pub fn freed_bulk_end(_context: FExitContext) -> i32 {
    end(FreePath::Bulk)
}

/// Entry of `kmem_cache_free_bulk(cache, size, array)`. Without a cache this is `kfree_bulk()`, which
/// deferred frees use.
#[fentry]
pub fn freed_array(context: FEntryContext) -> i32 {
    first(Hot::FreedArray, &context, || free_any(&context))
}

/// The second copy of `freed_array`.
#[fentry]
pub fn freed_array_nested(context: FEntryContext) -> i32 {
    nested(Hot::FreedArray, Kind::Freed, &context, || free_any(&context))
}

#[inline(always)]
fn free_any(context: &FEntryContext) {
    if argument(context, 0) == 0 && may_be_deferred() {
        free_array(argument(context, 2), argument(context, 1) as u32, FreePath::Bulk);
    }
}

/// Whether `kfree_rcu()` may have queued what this task frees as an array. [`freed_list_begin`] leaves word of the work that
/// does.
#[inline(always)]
fn may_be_deferred() -> bool {
    config!(arrays_in_work) == 0 || BATCHES.get_ptr(batch_key(FreePath::Single)).is_some()
}

/// Return of `kmem_cache_free_bulk()`.
#[fexit]
pub fn freed_array_end(context: FExitContext) -> i32 {
    first(Hot::FreedArrayEnd, &context, || array_freed(&context))
}

/// The second copy of `freed_array_end`.
#[fexit]
pub fn freed_array_end_nested(context: FExitContext) -> i32 {
    nested(Hot::FreedArrayEnd, Kind::BatchFreed, &context, || array_freed(&context))
}

#[inline(always)]
fn array_freed(context: &FExitContext) {
    if argument(context, 0) == 0 {
        batch_freed(FreePath::Bulk);
    }
}

/// Entry of `kvfree(object)`, for the fallback list and for the form that waits. Most calls have nothing to
/// do with RCU and free kmalloc memory.
#[fentry]
pub fn freed_single(context: FEntryContext) -> i32 {
    first(Hot::FreedSingle, &context, || free_single(&context))
}

/// The second copy of `freed_single`.
#[fentry]
pub fn freed_single_nested(context: FEntryContext) -> i32 {
    nested(Hot::FreedSingle, Kind::Freed, &context, || free_single(&context))
}

#[inline(always)]
fn free_single(context: &FEntryContext) {
    let Some(cache) = free(argument(context, 0), FreePath::Single) else { return };
    let key = batch_key(FreePath::Single);
    // Only for a list can the end be seen. Only this task changes the entry.
    if let Some(of) = BATCHES.get_ptr_mut(key) {
        // SAFETY: this is the map's value, and only its own task reads and writes it.
        unsafe { *of = one_of(*of, cache) };
    }
}

/// Entry of `kvfree_rcu_list()`, or of `kfree_rcu_work()` where that walks the list itself.
#[fentry]
pub fn freed_list_begin(_context: FEntryContext) -> i32 {
    if BATCHES.insert(batch_key(FreePath::Single), NO_CACHE, 0).is_err() {
        lose(0, Kind::BatchFreed, Fate::MapFull);
    }
    0
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
    // All objects of a sheaf belong to one cache, so this decides for most sheaves.
    if cache != 0 && matches!(kernel::classify(cache), Owner::Streamed(_)) {
        free_array(sheaf + u64::from(config!(sheaf_objects_offset)), size, FreePath::Sheaf);
    }
    0
}

/// The call has freed no streamed object.
const NO_CACHE: u64 = 0;
/// The call has freed objects of several caches. No cache has this address.
pub(super) const SEVERAL: u64 = 1;

/// The caches whose objects a call has freed, after one more object.
#[inline(always)]
fn one_of(so_far: u64, cache: u64) -> u64 {
    if so_far == NO_CACHE || so_far == cache { cache } else { SEVERAL }
}

/// The cache to count a loss for, if there is one.
#[inline(always)]
fn lost_of(of: u64) -> u64 {
    if of == SEVERAL { 0 } else { of }
}

/// The state of the loop over an array. It has a cache but no count: newer verifiers follow the loop until
/// its state repeats, and with a count on the stack it never would.
struct Walk {
    array: u64,
    path: FreePath,
    of: u64,
}

#[inline(always)]
fn free_array(array: u64, entries: u32, path: FreePath) {
    let mut walk = Walk { array, path, of: NO_CACHE };
    let bound = if entries > ARRAY_BOUND { ARRAY_BOUND } else { entries };
    // SAFETY: `free_entry` has the signature that the helper calls, and `walk` outlives the call.
    unsafe { bpf_loop(bound, free_entry as *mut c_void, (&raw mut walk).cast(), 0) };
    if walk.of != NO_CACHE && BATCHES.insert(batch_key(path), walk.of, 0).is_err() {
        lose(lost_of(walk.of), Kind::BatchFreed, Fate::MapFull);
    }
}

unsafe extern "C" fn free_entry(index: u32, walk: *mut Walk) -> i64 {
    // SAFETY: `free_array` passes a live Walk that nothing else refers to.
    let walk = unsafe { &mut *walk };
    if let Some(object) = read(walk.array + u64::from(index) * 8)
        && let Some(cache) = free(object, walk.path)
    {
        walk.of = one_of(walk.of, cache);
    }
    0
}

/// Announces one object. Returns its cache if the cache is streamed.
#[inline(always)]
fn free(object: u64, path: FreePath) -> Option<u64> {
    let cache = match kernel::owner(object) {
        Owner::Streamed(cache) => cache,
        other => {
            count_filtered(Kind::Freed, &other);
            return None;
        }
    };
    emit_of::<Freed>(cache, Kind::Freed, Wake::Later, |body| {
        body.write(Freed { object, cache, path: path as u32, reserved: 0 });
    });
    Some(cache)
}

/// A softirq may free a sheaf in the middle of a task's bulk free; the path distinguishes the two. Every CPU
/// has an idle task, all with the number 0; the CPU distinguishes these, and softirqs stay on their CPU.
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

/// The call that freed by this path has returned. Says whether it had freed streamed objects.
#[inline(always)]
pub(super) fn batch_freed(path: FreePath) -> bool {
    let key = batch_key(path);
    // SAFETY: only the task or the idle CPU of the key changes the entry, and the value is copied at once.
    let Some(of) = (unsafe { BATCHES.get(key) }).copied() else { return false };
    let _ = BATCHES.remove(key);
    if of != NO_CACHE {
        emit_of::<BatchFreed>(lost_of(of), Kind::BatchFreed, Wake::Later, |body| {
            body.write(BatchFreed { path: path as u32, reserved: 0 });
        });
    }
    true
}
