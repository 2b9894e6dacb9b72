//! Followed: whose objects are streamed, though built-in code created the cache; and whose text an address is in.

use krcu_common::config::KERNEL_BETWEEN_MARK;

use crate::{
    cell::Cell,
    config,
    kernel::{cache_flags, cache_name},
    maps::FOLLOWED,
    patched::patched,
};

/// How many of the caches of built-in code are followed: nearly always none, and then [`FOLLOWED`] is not asked.
static FOLLOWING: Cell<u64> = Cell::new(0);

/// Whether the objects of this cache are only counted: built-in code created it, and nobody else shares it.
#[inline(always)]
pub fn is_counted(cache: u64) -> bool {
    // SAFETY: the map's value is not looked at.
    has_builtin_name(cache) && (FOLLOWING.get() == 0 || unsafe { FOLLOWED.get(cache) }.is_none())
}

/// From now on the objects of this cache are streamed, since somebody who may destroy it shares it. A kmalloc cache
/// stays one.
#[inline(always)]
pub fn follow(cache: u64) -> Result<(), i32> {
    if cache_flags(cache) & config!(kmalloc_flag) == 0 && is_counted(cache) {
        FOLLOWED.insert(cache, 1, 0)?;
        FOLLOWING.set(FOLLOWING.get() + 1);
    }
    Ok(())
}

/// Whether built-in code created this cache under a literal name. `kmem_cache_create()` uses such a name
/// where it lies, in the kernel's read-only data, and copies every other name (`kstrdup_const()`).
#[inline(always)]
pub fn has_builtin_name(cache: u64) -> bool {
    let name = cache_name(cache);
    name >= config!(rodata_start) && name < config!(rodata_end)
}

/// Whether an address is that of a module's text. The verifier removes the second question where modules lie on one side
/// of the kernel only.
#[inline(always)]
pub fn is_module_text(function: u64) -> bool {
    if function <= config!(modules_after) {
        return false;
    }
    if patched::<KERNEL_BETWEEN_MARK>() != 0 {
        return function < config!(kernel_start) || function >= config!(rodata_end);
    }
    true
}
