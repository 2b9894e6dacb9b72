//! Allocate: objects of streamed caches are allocated, and are freed at once. These programs are attached
//! only on request, because every allocation and every free in the kernel passes them.
//!
//! A deferred free ends in the same functions, but was announced before: [`super::free`] announces the object
//! at the entry of the call that frees it, or the callback announces it when it begins. So `kfree()` of the
//! fallback list, and `kmem_cache_free()` in a callback, repeat what was said before; the reader knows that
//! the object was no longer outstanding. Only arrays are not announced twice. Sheaves are freed without
//! passing these functions, and so are objects that `kfree_nolock()` puts off.

use core::ffi::c_void;

use aya_ebpf::{
    helpers::generated::bpf_loop,
    macros::{btf_tracepoint, fentry, fexit},
    programs::{BtfTracePointContext, FEntryContext, FExitContext},
};
use krcu_common::{
    FreePath, Kind,
    wire::{Allocated, FreedAtOnce},
};

use super::{
    Hot, argument, first,
    free::{ARRAY_BOUND, batch_key},
    nested, traced,
};
use crate::{
    kernel::{self, Owner, read},
    maps::BATCHES,
    ring::{Wake, count_filtered, emit_of},
    site::site,
};

/// `kmem:kmem_cache_alloc(call_site, object, cache, …)`.
#[btf_tracepoint]
pub fn allocated(context: BtfTracePointContext) -> i32 {
    first(Hot::Allocated, &context, || allocate(&context))
}

/// The second copy of `allocated`.
#[btf_tracepoint]
pub fn allocated_nested(context: BtfTracePointContext) -> i32 {
    nested(Hot::Allocated, Kind::Allocated, &context, || allocate(&context))
}

#[inline(always)]
fn allocate(context: &BtfTracePointContext) {
    let object = traced(context, 1);
    if object == 0 {
        return;
    }
    if let Some(cache) = streamed(Kind::Allocated, traced(context, 2)) {
        let site = site(context, Kind::Allocated);
        announce(object, cache, site);
    }
}

/// Return of `kmem_cache_alloc_bulk(cache, flags, size, array)`, which returns the number of objects. It has
/// no tracepoint.
#[fexit]
pub fn allocated_bulk(context: FExitContext) -> i32 {
    first(Hot::AllocatedBulk, &context, || allocate_bulk(&context))
}

/// The second copy of `allocated_bulk`.
#[fexit]
pub fn allocated_bulk_nested(context: FExitContext) -> i32 {
    nested(Hot::AllocatedBulk, Kind::Allocated, &context, || allocate_bulk(&context))
}

#[inline(always)]
fn allocate_bulk(context: &FExitContext) {
    let objects: i32 = context.ret().unwrap_or(0);
    if objects <= 0 {
        return;
    }
    let Some(cache) = streamed(Kind::Allocated, argument(context, 0)) else { return };
    let mut walk = Walk { array: argument(context, 3), cache, site: site(context, Kind::Allocated) };
    each(objects as u32, allocated_entry as *mut c_void, &mut walk);
}

unsafe extern "C" fn allocated_entry(index: u32, walk: *mut Walk) -> i64 {
    // SAFETY: `each` passes a live Walk that nothing else refers to.
    let walk = unsafe { &*walk };
    if let Some(object) = read(walk.array + u64::from(index) * 8) {
        announce(object, walk.cache, walk.site);
    }
    0
}

/// `kmem:kmem_cache_free(call_site, object, cache)`.
#[btf_tracepoint]
pub fn freed_at_once(context: BtfTracePointContext) -> i32 {
    first(Hot::FreedAtOnce, &context, || free_of_cache(&context))
}

/// The second copy of `freed_at_once`.
#[btf_tracepoint]
pub fn freed_at_once_nested(context: BtfTracePointContext) -> i32 {
    nested(Hot::FreedAtOnce, Kind::FreedAtOnce, &context, || free_of_cache(&context))
}

#[inline(always)]
fn free_of_cache(context: &BtfTracePointContext) {
    if let Some(cache) = streamed(Kind::FreedAtOnce, traced(context, 2)) {
        gone(traced(context, 1), cache);
    }
}

/// `kmem:kfree(call_site, object)`, which frees objects of any cache, nearly always of a kmalloc cache.
#[btf_tracepoint]
pub fn freed_at_once_kfree(context: BtfTracePointContext) -> i32 {
    first(Hot::FreedAtOnceKfree, &context, || free_of_any(traced(&context, 1)))
}

/// The second copy of `freed_at_once_kfree`.
#[btf_tracepoint]
pub fn freed_at_once_kfree_nested(context: BtfTracePointContext) -> i32 {
    nested(Hot::FreedAtOnceKfree, Kind::FreedAtOnce, &context, || free_of_any(traced(&context, 1)))
}

#[inline(always)]
fn free_of_any(object: u64) {
    match kernel::owner(object) {
        Owner::Streamed(cache) => gone(object, cache),
        other => count_filtered(Kind::FreedAtOnce, &other),
    }
}

/// Entry of `kmem_cache_free_bulk(cache, size, array)`, which has no tracepoint; `kfree_bulk()` calls it
/// without a cache. A call that carries out deferred frees is in [`BATCHES`].
#[fentry]
pub fn freed_at_once_bulk(context: FEntryContext) -> i32 {
    first(Hot::FreedAtOnceBulk, &context, || free_bulk(&context))
}

/// The second copy of `freed_at_once_bulk`.
#[fentry]
pub fn freed_at_once_bulk_nested(context: FEntryContext) -> i32 {
    nested(Hot::FreedAtOnceBulk, Kind::FreedAtOnce, &context, || free_bulk(&context))
}

#[inline(always)]
fn free_bulk(context: &FEntryContext) {
    let cache = argument(context, 0);
    if cache == 0 {
        if BATCHES.get_ptr(batch_key(FreePath::Bulk)).is_some() {
            return;
        }
    } else if streamed(Kind::FreedAtOnce, cache).is_none() {
        return;
    }
    let mut walk = Walk { array: argument(context, 2), cache, site: 0 };
    each(argument(context, 1) as u32, freed_entry as *mut c_void, &mut walk);
}

unsafe extern "C" fn freed_entry(index: u32, walk: *mut Walk) -> i64 {
    // SAFETY: `each` passes a live Walk that nothing else refers to.
    let walk = unsafe { &*walk };
    match read(walk.array + u64::from(index) * 8) {
        Some(object) if walk.cache == 0 => free_of_any(object),
        Some(object) => gone(object, walk.cache),
        None => {}
    }
    0
}

/// The state of a loop over an array.
struct Walk {
    array: u64,
    cache: u64,
    site: u32,
}

#[inline(always)]
fn each(entries: u32, entry: *mut c_void, walk: &mut Walk) {
    let bound = if entries > ARRAY_BOUND { ARRAY_BOUND } else { entries };
    // SAFETY: `entry` has the signature that the helper calls, and `walk` outlives the call.
    unsafe { bpf_loop(bound, entry, (&raw mut *walk).cast(), 0) };
}

/// The cache, if its objects are streamed; otherwise counts the event.
#[inline(always)]
fn streamed(kind: Kind, cache: u64) -> Option<u64> {
    match kernel::classify(cache) {
        Owner::Streamed(cache) => Some(cache),
        other => {
            count_filtered(kind, &other);
            None
        }
    }
}

#[inline(always)]
fn announce(object: u64, cache: u64, site: u32) {
    emit_of::<Allocated>(cache, Kind::Allocated, Wake::Later, |body| {
        body.write(Allocated { object, cache, site, reserved: 0 });
    });
}

#[inline(always)]
fn gone(object: u64, cache: u64) {
    emit_of::<FreedAtOnce>(cache, Kind::FreedAtOnce, Wake::Later, |body| {
        body.write(FreedAtOnce { object, cache });
    });
}
