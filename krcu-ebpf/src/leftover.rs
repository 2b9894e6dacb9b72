//! Leftover: the slabs and objects that a cache has when its destroy has looked, counted on the lists of its nodes.

use core::ffi::c_void;

use aya_ebpf::helpers::generated::bpf_loop;

use crate::{
    config,
    kernel::read,
    maps::{PARTIAL_WALK, PartialWalk},
};

/// The number of NUMA nodes that are looked at. A cache on a machine with more nodes is not counted.
const NODES: u32 = 32;
/// The number of partial slabs that are looked at on each node.
const PARTIAL_SLABS: u32 = 1 << 16;
/// The result of [`slabs`] if it cannot count.
pub const SLABS_UNKNOWN: u64 = u64::MAX;

/// The number of slabs that a cache has, on all nodes. `__kmem_cache_shutdown()` looks at it to decide
/// whether it failed. [`SLABS_UNKNOWN`] if they cannot be read.
#[inline(never)]
pub fn slabs(cache: u64) -> u64 {
    let nodes = config!(nodes);
    if nodes == 0 || nodes > NODES {
        return SLABS_UNKNOWN;
    }
    let mut slabs = 0;
    for index in 0..NODES {
        if index >= nodes {
            break;
        }
        let node = node(cache, index);
        if node == 0 {
            continue;
        }
        let Some(more) = read::<u64>(node + u64::from(config!(node_slabs_offset))) else {
            return SLABS_UNKNOWN;
        };
        slabs += more;
    }
    slabs
}

/// The `struct kmem_cache_node` of one node; 0 if there is none.
#[inline(always)]
fn node(cache: u64, index: u32) -> u64 {
    read(
        cache
            + u64::from(config!(cache_node_offset))
            + u64::from(index) * u64::from(config!(cache_node_step)),
    )
    .unwrap_or(0)
}

/// Objects that a cache still has after a shutdown that failed.
pub struct Leftover {
    /// Objects allocated.
    pub objects: u64,
    /// Of these, on partial slabs.
    pub listed: u64,
    /// 1 if both are complete; 0 if a bound was reached or a read failed.
    pub complete: u32,
}

/// Counts the objects that a failed shutdown left.
///
/// The shutdown has flushed the per-CPU slabs and given back the empty ones. So each slab that is left is
/// either on its node's partial list or full; `nr_slabs` counts both.
#[inline(never)]
pub fn leftover(cache: u64, left: &mut Leftover) {
    let order_objects: u32 = read(cache + u64::from(config!(cache_oo_offset))).unwrap_or(0);
    let objects_per_slab = u64::from(order_objects & 0xffff);
    let Some(walk) = PARTIAL_WALK.get_ptr_mut(0) else { return };
    // SAFETY: this is the map's value, and no other walk uses it at this time.
    let walk = unsafe { &mut *walk };
    left.complete = u32::from(objects_per_slab != 0);
    for index in 0..NODES {
        if index >= config!(nodes) {
            break;
        }
        let node = node(cache, index);
        if node == 0 {
            continue;
        }
        let slabs: u64 = read(node + u64::from(config!(node_slabs_offset))).unwrap_or(0);
        let head = node + u64::from(config!(node_partial_offset));
        *walk = PartialWalk { entry: read(head).unwrap_or(0), head, slabs: 0, objects: 0, failed: 0 };
        // SAFETY: `next_partial` has the signature that the helper calls, and needs no context.
        unsafe { bpf_loop(PARTIAL_SLABS, next_partial as *mut c_void, core::ptr::null_mut(), 0) };
        if walk.failed != 0 || walk.entry != head || walk.slabs > slabs {
            left.complete = 0;
            return;
        }
        left.listed += walk.objects;
        left.objects += walk.objects + (slabs - walk.slabs) * objects_per_slab;
    }
}

/// Counts one partial slab; a result of 1 ends the walk.
unsafe extern "C" fn next_partial(_index: u32, _context: *mut c_void) -> i64 {
    let Some(walk) = PARTIAL_WALK.get_ptr_mut(0) else { return 1 };
    // SAFETY: the map's value; `leftover` does not look at it while the loop runs.
    let walk = unsafe { &mut *walk };
    if walk.entry == walk.head {
        return 1;
    }
    let slab = walk.entry - u64::from(config!(slab_list_offset));
    let inuse = read::<u16>(slab + u64::from(config!(slab_inuse_offset)));
    let next = read::<u64>(walk.entry);
    let (Some(inuse), Some(next)) = (inuse, next) else {
        walk.failed = 1;
        return 1;
    };
    walk.objects += u64::from(inuse);
    walk.slabs += 1;
    walk.entry = next;
    0
}
