//! Cache: created, destroyed, looked at, released.

use aya_ebpf::{
    helpers::bpf_get_current_comm,
    macros::{fentry, fexit},
    programs::{FEntryContext, FExitContext},
};
use aya_log_ebpf::info;
use krcu_common::{
    Fate, Kind,
    wire::{
        CacheCreated, CacheOnly, DestroyBegin, FLUSHES_UNKNOWN, SHUTDOWN_EMPTY, SHUTDOWN_LEFT,
        SHUTDOWN_UNKNOWN, ShutdownBegin, ShutdownEnd,
    },
};

use super::{Hot, argument, first, nested};
use crate::{
    config, followed, kernel,
    leftover::{self, Leftover, SLABS_UNKNOWN},
    maps::{DESTROYING, SHUTTING_DOWN},
    ring::{Wake, emit, lose, task},
    site::site,
};

/// Return of the function that creates a cache, or merges one; its first argument is the name that was asked for.
#[fexit]
pub fn cache_created(context: FExitContext) -> i32 {
    first(Hot::CacheCreated, &context, || created(&context))
}

/// The second copy of `cache_created`.
#[fexit]
pub fn cache_created_nested(context: FExitContext) -> i32 {
    nested(Hot::CacheCreated, Kind::CacheCreated, &context, || created(&context))
}

#[inline(always)]
fn created(context: &FExitContext) {
    let cache: u64 = context.ret().unwrap_or(0);
    if cache == 0 {
        return;
    }
    let refcount = kernel::cache_refcount(cache);
    if refcount > 1 && followed::follow(cache).is_err() {
        lose(cache, Kind::CacheCreated, Fate::MapFull);
    }
    announce(context, cache, refcount, argument(context, 0));
}

/// Return of `__kmem_cache_create(cache, flags)`, which makes each new cache where one function creates caches, and another
/// merges them. The caller counts the first user then. It runs under `slab_mutex`.
#[fexit]
pub fn cache_made(context: FExitContext) -> i32 {
    let error: i32 = context.ret().unwrap_or(-1);
    let cache = argument(&context, 0);
    if error == 0 && cache != 0 {
        announce(&context, cache, 1, kernel::cache_name(cache));
    }
    0
}

#[inline(always)]
fn announce(context: &FExitContext, cache: u64, refcount: i32, asked_name: u64) {
    let site = site(context, Kind::CacheCreated);
    emit::<CacheCreated>(Kind::CacheCreated, Wake::Now, |body| {
        let body = body.write(CacheCreated {
            cache,
            flags: kernel::cache_flags(cache),
            object_size: kernel::cache_object_size(cache),
            refcount,
            site,
            name: [0; _],
            asked_name: [0; _],
            comm: bpf_get_current_comm().unwrap_or_default(),
        });
        kernel::read_name(kernel::cache_name(cache), &mut body.name);
        kernel::read_name(asked_name, &mut body.asked_name);
    });
}

/// Entry of `kmem_cache_destroy()`. There must be no probe at its return: its trampoline would stand where
/// the kernel's own warning names the caller.
#[fentry]
pub fn destroy_begin(context: FEntryContext) -> i32 {
    first(Hot::DestroyBegin, &context, || destroy(&context))
}

/// The second copy of `destroy_begin`.
#[fentry]
pub fn destroy_begin_nested(context: FEntryContext) -> i32 {
    nested(Hot::DestroyBegin, Kind::DestroyBegin, &context, || destroy(&context))
}

#[inline(always)]
fn destroy(context: &FEntryContext) {
    let cache = argument(context, 0);
    if cache == 0 {
        return;
    }
    let site = site(context, Kind::DestroyBegin);
    emit::<DestroyBegin>(Kind::DestroyBegin, Wake::Now, |body| {
        let body = body.write(DestroyBegin {
            cache,
            flags: kernel::cache_flags(cache),
            object_size: kernel::cache_object_size(cache),
            refcount: kernel::cache_refcount(cache),
            site,
            counted: u32::from(followed::is_counted(cache)),
            reserved: 0,
            name: [0; _],
            comm: bpf_get_current_comm().unwrap_or_default(),
        });
        kernel::read_name(kernel::cache_name(cache), &mut body.name);
    });
    if DESTROYING.insert(task(), 0, 0).is_err() {
        lose(cache, Kind::DestroyBegin, Fate::MapFull);
    }
}

/// Entry of `__kmem_cache_shutdown()`. Any barrier inside the destroy has returned by now.
#[fentry]
pub fn shutdown_begin(context: FEntryContext) -> i32 {
    let cache = argument(&context, 0);
    let task = task();
    // SAFETY: only this task changes its entry.
    let rcu_works_flushed = unsafe { DESTROYING.get(task) }.copied().unwrap_or(FLUSHES_UNKNOWN);
    let _ = DESTROYING.remove(task);
    if SHUTTING_DOWN.insert(task, cache, 0).is_err() {
        lose(cache, Kind::ShutdownBegin, Fate::MapFull);
    }
    emit::<ShutdownBegin>(Kind::ShutdownBegin, Wake::Now, |body| {
        body.write(ShutdownBegin { cache, rcu_works_flushed, reserved: 0 });
    });
    0
}

/// Entry of `cpus_read_unlock()`. A destroy calls it next, after the shutdown has returned and its failure
/// has been reported, and before the cache is released. On a kernel without HOTPLUG_CPU that function is empty and inline;
/// there it is the entry of `sysfs_slab_unlink()`, which a destroy calls after that.
///
/// There is no probe at the return of `__kmem_cache_shutdown()`: a trampoline or a return probe there would
/// show in the trace of the kernel's own report. The shutdown fails if and only if a slab is left, so this
/// probe reads the number of slabs itself.
#[fentry]
pub fn shutdown_end(context: FEntryContext) -> i32 {
    first(Hot::ShutdownEnd, &context, || look_is_over(&context))
}

/// The second copy of `shutdown_end`.
#[fentry]
pub fn shutdown_end_nested(context: FEntryContext) -> i32 {
    nested(Hot::ShutdownEnd, Kind::ShutdownEnd, &context, || look_is_over(&context))
}

/// A destroy that ends without a look at its slabs has dropped a reference, and its entry ends: works that its task
/// flushes from now on belong to no destroy. A task that never destroys again would leave the entry for ever.
///
/// Where there are sheaves, a destroy flushes them first and calls `cpus_read_unlock()` there too. There the
/// destroy is over only if it has flushed works since.
///
/// Where `cpus_read_unlock()` is inline, nothing tells of a dropped reference: the entry ends with the task's next destroy.
#[inline(always)]
fn reference_is_dropped(task: u32) {
    // SAFETY: only this task changes its entry, and the value is copied at once.
    if let Some(flushed) = unsafe { DESTROYING.get(task) }.copied()
        && (flushed != 0 || config!(sheaf_objects_offset) == 0)
    {
        let _ = DESTROYING.remove(task);
    }
}

#[inline(always)]
fn look_is_over(context: &FEntryContext) {
    let task = task();
    // SAFETY: only this task changes its entry, and the value is copied at once.
    let Some(cache) = (unsafe { SHUTTING_DOWN.get(task) }).copied() else {
        return reference_is_dropped(task);
    };
    let _ = SHUTTING_DOWN.remove(task);
    // The event gets its place before the slabs are counted. Objects that are freed during the count were
    // thus outstanding at the event, and do not look leaked.
    emit::<ShutdownEnd>(Kind::ShutdownEnd, Wake::Now, |body| {
        let mut left = Leftover { objects: 0, listed: 0, complete: 0 };
        let result = match leftover::slabs(cache) {
            0 => SHUTDOWN_EMPTY,
            SLABS_UNKNOWN => SHUTDOWN_UNKNOWN,
            _ => {
                leftover::leftover(cache, &mut left);
                SHUTDOWN_LEFT
            }
        };
        body.write(ShutdownEnd {
            cache,
            result,
            counted: left.complete,
            objects_left: left.objects,
            objects_listed: left.listed,
        });
        if config!(probe_log) != 0 && result != SHUTDOWN_EMPTY {
            info!(
                context,
                "the shutdown of cache {:x} left {} objects, complete {}", cache, left.objects, left.complete
            );
        }
    });
}

/// Entry of `slab_kmem_cache_release()`: the `struct kmem_cache` is about to be freed.
#[fentry]
pub fn cache_released(context: FEntryContext) -> i32 {
    let cache = argument(&context, 0);
    emit::<CacheOnly>(Kind::CacheReleased, Wake::Now, |body| {
        body.write(CacheOnly { cache });
    });
    0
}
