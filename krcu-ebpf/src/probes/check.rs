//! Check: whether the arithmetic of this kernel's configuration is right. The agent runs it once, before any probe is
//! attached.

use aya_ebpf::{helpers::bpf_get_current_task, macros::raw_tracepoint, programs::RawTracePointContext};
use krcu_common::check::Seen;

use crate::{
    kernel::{cache_name, read_name, way},
    maps::CHECKED,
};

/// Follows the way from the task that runs this to its cache. A task lies in the cache `task_struct`, on every kernel.
#[raw_tracepoint]
pub fn layout_checked(_context: RawTracePointContext) -> i32 {
    let Some(seen) = CHECKED.get_ptr_mut(0) else { return 0 };
    // SAFETY: the value of a map, which nobody else uses before the agent reads it.
    let seen: &mut Seen = unsafe { &mut *seen };
    // SAFETY: the helper has no conditions.
    seen.object = unsafe { bpf_get_current_task() };
    let Some(way) = way(seen.object) else { return 0 };
    seen.page = way.page;
    seen.head = way.head;
    seen.cache = way.cache;
    seen.is_slab = u64::from(way.is_slab);
    read_name(cache_name(way.cache), &mut seen.name);
    0
}
