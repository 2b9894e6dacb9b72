//! Every read of kernel memory, and the arithmetic that leads from a pointer to its cache.
//!
//! Nothing here is a number of one kernel: offsets and addresses come from [`CONFIG`]. A read that
//! faults gives `None`, and what depends on it is "not known", never zero.

use core::{cell::UnsafeCell, ffi::c_void};

use aya_ebpf::helpers::{bpf_probe_read_kernel, bpf_probe_read_kernel_str_bytes, generated::bpf_loop};
use krcu_common::{
    config::{Config, SLAB_BY_TYPE},
    wire::NAME_BYTES,
};

use crate::maps::PARTIAL_WALK;

/// The running kernel; filled in by the agent before the programs are loaded, read-only after.
#[unsafe(no_mangle)]
pub static CONFIG: Config = Config::ZERO;

/// One field of [`CONFIG`], read so that the compiler does not take the zero for granted.
#[macro_export]
macro_rules! config {
    ($field:ident) => {
        // SAFETY: a reference to a static field is valid, aligned and initialised.
        unsafe { core::ptr::read_volatile(&$crate::kernel::CONFIG.$field) }
    };
}

/// Ends of the direct map and the start of the page array.
#[derive(Clone, Copy)]
struct Layout {
    page_offset: u64,
    vmalloc: u64,
    vmemmap: u64,
}

/// The layout, once read: the kernel chooses it as it boots, and never again.
static LAYOUT: Cell<Layout> = Cell::new(Layout { page_offset: 0, vmalloc: 0, vmemmap: 0 });

/// Page shift of the architectures that the plan admits.
const PAGE_SHIFT: u64 = 12;

/// A global that programs change; every access is one of memory, in the order of the program.
#[repr(transparent)]
struct Cell<T>(UnsafeCell<T>);

// SAFETY: accesses are volatile and of words, and what is stored bears being overwritten by another CPU.
unsafe impl<T> Sync for Cell<T> {}

impl<T> Cell<T> {
    const fn new(value: T) -> Self {
        Cell(UnsafeCell::new(value))
    }

    #[inline(always)]
    fn get(&self) -> T {
        // SAFETY: a static is valid, aligned and initialised.
        unsafe { core::ptr::read_volatile(self.0.get()) }
    }

    #[inline(always)]
    fn set(&self, value: T) {
        // SAFETY: as above.
        unsafe { core::ptr::write_volatile(self.0.get(), value) }
    }
}

/// Reads a `T` at a kernel address.
#[inline(always)]
pub fn read<T>(address: u64) -> Option<T> {
    // SAFETY: the helper checks the address and fails on a fault.
    unsafe { bpf_probe_read_kernel(address as *const T) }.ok()
}

/// Reads the string at a kernel address; what is not read stays zero.
#[inline(always)]
pub fn read_name(address: u64, name: &mut [u8; NAME_BYTES]) {
    *name = [0; NAME_BYTES];
    // SAFETY: the helper checks the address and writes no more than the slice has.
    let _ = unsafe { bpf_probe_read_kernel_str_bytes(address as *const u8, name) };
}

#[inline(always)]
fn layout() -> Option<Layout> {
    let known = LAYOUT.get();
    // Two CPUs may both be first and write the same. The last word is written last.
    if known.vmemmap != 0 {
        return Some(known);
    }
    let layout = Layout {
        page_offset: read(config!(page_offset_base_address))?,
        vmalloc: read(config!(vmalloc_base_address))?,
        vmemmap: read(config!(vmemmap_base_address))?,
    };
    LAYOUT.set(Layout { vmemmap: 0, ..layout });
    LAYOUT.set(layout);
    Some(layout)
}

/// What a pointer turned out to be.
pub enum Owner {
    /// An object of this cache, which may be destroyed one day.
    Streamed(u64),
    /// An object of a kmalloc cache.
    Kmalloc,
    /// An object of a cache with a name that is built into the kernel.
    Builtin,
    /// No object of a slab.
    NotSlab,
}

/// The slab page that holds this address: what `virt_to_slab()` gives, or `None`.
#[inline(always)]
fn slab_of(address: u64) -> Option<u64> {
    let layout = layout()?;
    if address < layout.page_offset || address >= layout.vmalloc {
        return None;
    }
    let frame = (address - layout.page_offset) >> PAGE_SHIFT;
    let mut page = layout.vmemmap + frame * u64::from(config!(page_bytes));
    // A tail page leads to its head: by the head's address plus one, or, where the kernel shares
    // tail pages (HugeTLB vmemmap optimisation in 7.x), by a mask whose upper half is all ones,
    // which no address of the page array has.
    let compound: u64 = read(page + u64::from(config!(page_compound_offset)))?;
    if compound & 1 == 1 {
        page = if compound >> 32 == 0xffff_ffff { page & compound & !1 } else { compound - 1 };
    }
    let is_slab = if config!(slab_test) == SLAB_BY_TYPE {
        let page_type: u32 = read(page + u64::from(config!(slab_test_offset)))?;
        page_type >> 24 == config!(slab_test_value)
    } else {
        let flags: u64 = read(page + u64::from(config!(slab_test_offset)))?;
        flags >> (config!(slab_test_value) & 63) & 1 == 1
    };
    is_slab.then_some(page)
}

/// The cache that owns the object at this address, and whether its objects are streamed.
#[inline(always)]
pub fn owner(object: u64) -> Owner {
    let cache = slab_of(object).and_then(|slab| read::<u64>(slab + u64::from(config!(slab_cache_offset))));
    match cache {
        Some(cache) if cache != 0 => classify(cache),
        _ => Owner::NotSlab,
    }
}

/// Whether the objects of this cache are streamed.
#[inline(always)]
pub fn classify(cache: u64) -> Owner {
    if cache_flags(cache) & config!(kmalloc_flag) != 0 {
        return Owner::Kmalloc;
    }
    if has_builtin_name(cache) {
        return Owner::Builtin;
    }
    Owner::Streamed(cache)
}

/// Whether built-in code created this cache under a literal name. `kmem_cache_create()` keeps such a
/// name where it lies, in the kernel's read-only data, and copies every other (`kstrdup_const()`).
#[inline(always)]
pub fn has_builtin_name(cache: u64) -> bool {
    let name = cache_name(cache);
    name >= config!(rodata_start) && name < config!(rodata_end)
}

/// Address of the cache's name, 0 when it cannot be read.
#[inline(always)]
pub fn cache_name(cache: u64) -> u64 {
    read(cache + u64::from(config!(cache_name_offset))).unwrap_or(0)
}

/// The cache's flags, lower 32 bits; 0 when they cannot be read.
#[inline(always)]
pub fn cache_flags(cache: u64) -> u32 {
    read(cache + u64::from(config!(cache_flags_offset))).unwrap_or(0)
}

/// Bytes of an object of the cache.
#[inline(always)]
pub fn cache_object_size(cache: u64) -> u32 {
    read(cache + u64::from(config!(cache_object_size_offset))).unwrap_or(0)
}

/// Users of the cache.
#[inline(always)]
pub fn cache_refcount(cache: u64) -> i32 {
    read(cache + u64::from(config!(cache_refcount_offset))).unwrap_or(0)
}

/// NUMA nodes looked at; a cache on a machine with more is not counted.
const NODES: u32 = 32;
/// Partial slabs looked at on each node.
const PARTIAL_SLABS: u32 = 1 << 16;
/// What [`slabs`] gives when it cannot count.
pub const SLABS_UNKNOWN: u64 = u64::MAX;

/// Slabs that a cache has, on all nodes: what `__kmem_cache_shutdown()` looks at to decide whether it
/// failed. [`SLABS_UNKNOWN`] when they cannot be read.
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

/// The `struct kmem_cache_node` of one node, 0 where there is none.
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
    /// 1 when both are complete; 0 when a bound was reached or a read failed.
    pub complete: u32,
}

/// A walk along one node's partial slabs.
pub struct PartialWalk {
    entry: u64,
    head: u64,
    slabs: u64,
    objects: u64,
    failed: u64,
}

/// Counts what a failed shutdown left.
///
/// The shutdown has flushed the per-CPU slabs and given back the empty ones, so each slab that is
/// left is on its node's partial list, or full; `nr_slabs` counts both.
#[inline(never)]
pub fn leftover(cache: u64, left: &mut Leftover) {
    let order_objects: u32 = read(cache + u64::from(config!(cache_oo_offset))).unwrap_or(0);
    let objects_per_slab = u64::from(order_objects & 0xffff);
    let Some(walk) = PARTIAL_WALK.get_ptr_mut(0) else { return };
    // SAFETY: the map's value, which no other walk uses at this time.
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
