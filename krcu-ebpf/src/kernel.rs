//! Every read of kernel memory, and the arithmetic that leads from a pointer to its cache.
//!
//! Nothing here is a number of one kernel: offsets and addresses come from [`CONFIG`]. A read that
//! faults gives `None`, and what depends on it is "not known", never zero.

use core::{arch::asm, cell::UnsafeCell, ffi::c_void};

use aya_ebpf::helpers::{bpf_probe_read_kernel, bpf_probe_read_kernel_str_bytes, generated::bpf_loop};
use krcu_common::{
    config::{Config, READ_ONLY_CAST_MARK, SHORT_WAY_MARK, SLAB_BY_TYPE, WORDS_TYPE_MARK},
    wire::NAME_BYTES,
};

use crate::maps::{FOLLOWED, PARTIAL_WALK};

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
pub struct Cell<T>(UnsafeCell<T>);

// SAFETY: accesses are volatile and of words, and what is stored bears being overwritten by another CPU.
unsafe impl<T> Sync for Cell<T> {}

impl<T> Cell<T> {
    pub const fn new(value: T) -> Self {
        Cell(UnsafeCell::new(value))
    }

    /// Where it lies.
    #[inline(always)]
    pub const fn as_ptr(&self) -> *mut T {
        self.0.get()
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

/// A number of [`CONFIG`] by one instruction, into which the agent puts it in the place of `mark`. Of code that it
/// rules out the verifier leaves nothing.
#[inline(always)]
fn patched<const MARK: u32>() -> u64 {
    let number;
    // Not "pure": to load it again is as short as to keep it, and needs no register that has to be saved.
    // SAFETY: sets a register.
    unsafe {
        asm!("{number} = {mark}", number = out(reg) number, mark = const MARK, options(nomem, nostack))
    };
    number
}

/// Reads the word at a kernel address that is a multiple of 8: by one instruction where the kernel lets a program
/// take an address for that of a structure, else by the helper, which takes some 90.
///
/// Where the address cannot be read, the first gives zero. So does this: a caller has to take zero for "not known".
#[inline(always)]
fn word(address: u64) -> u64 {
    let words_type = patched::<WORDS_TYPE_MARK>();
    if words_type == 0 {
        return read(address).unwrap_or(0);
    }
    word_as(words_type, address)
}

/// The first way of [`word`].
#[inline(always)]
fn word_as(words_type: u64, address: u64) -> u64 {
    let words: *const u64;
    // SAFETY: where this can be reached, the agent has put the kernel's function in the place of this number. It
    // gives the address back, and like all it may change the registers that calls may change.
    unsafe {
        asm!(
            "call {mark}",
            mark = const READ_ONLY_CAST_MARK,
            inout("r1") address => _,
            inout("r2") words_type => _,
            out("r0") words,
            out("r3") _,
            out("r4") _,
            out("r5") _,
            options(pure, nomem, nostack),
        );
    }
    // SAFETY: the kernel checks the address and catches a fault.
    unsafe { words.read_volatile() }
}

/// The half of a word at a kernel address that is a multiple of 4; 0 where it cannot be read.
#[inline(always)]
fn half_word(address: u64) -> u32 {
    (word(address & !7) >> ((address & 4) * 8)) as u32
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
    if place_of(0).get() == 0 {
        place_of(0).set(NO_CACHE);
    }
    SHORT_WAY.set(
        layout.vmemmap.wrapping_sub(by_line(layout.page_offset)) + u64::from(config!(slab_cache_offset)),
    );
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

/// The `struct page` of an address in the direct map.
#[inline(always)]
fn page_of(address: u64) -> Option<u64> {
    let layout = layout()?;
    if address < layout.page_offset || address >= layout.vmalloc {
        return None;
    }
    let frame = (address - layout.page_offset) >> PAGE_SHIFT;
    Some(layout.vmemmap + frame * u64::from(config!(page_bytes)))
}

/// The head of a tail page, `None` for a page that is no tail. The word leads there by the head's address
/// plus one, or, where the kernel shares tail pages (HugeTLB vmemmap optimisation in 7.x), by a mask whose upper
/// half is all ones, which no address of the page array has.
#[inline(always)]
fn head_of(page: u64, compound: u64) -> Option<u64> {
    if compound & 1 == 0 {
        return None;
    }
    Some(if compound >> 32 == 0xffff_ffff { page & compound & !1 } else { compound - 1 })
}

/// Whether a head page belongs to the slab allocator.
#[inline(always)]
fn is_slab(page: u64) -> bool {
    if config!(slab_test) == SLAB_BY_TYPE {
        half_word(page + u64::from(config!(slab_test_offset))) >> 24 == config!(slab_test_value)
    } else {
        word(page + u64::from(config!(slab_test_offset))) >> (config!(slab_test_value) & 63) & 1 == 1
    }
}

/// The cache that owns the object at this address, and whether its objects are streamed.
#[inline(always)]
pub fn owner(object: u64) -> Owner {
    let Some(mut page) = page_of(object) else { return Owner::NotSlab };
    let mut cache = word(page + u64::from(config!(slab_cache_offset)));
    if let Some(owner) = remembered(cache) {
        return owner;
    }
    if let Some(head) = head_of(page, word(page + u64::from(config!(page_compound_offset)))) {
        page = head;
        cache = word(page + u64::from(config!(slab_cache_offset)));
        if let Some(owner) = remembered(cache) {
            return owner;
        }
    }
    if !is_slab(page) || cache == 0 {
        return Owner::NotSlab;
    }
    let owner = classify(cache);
    remember(cache, &owner);
    owner
}

/// Where in the array of pages the page of an address has its line of 64 bytes, if the array and the memory began at 0.
#[inline(always)]
fn by_line(address: u64) -> u64 {
    // A shift that brings in the highest bit, after which the lowest ones go by a shorter instruction.
    (address as i64 >> (PAGE_SHIFT - 6)) as u64 & !63
}

/// What [`by_line`] lacks to be the address of the word that leads to the cache; 0 until it is known.
static SHORT_WAY: Cell<u64> = Cell::new(0);

/// The owner of an object, if [`MEMORY`] knows it and there is a short way to its cache: the first question of
/// the hottest programs, in as few instructions as it can be asked. `None` says nothing.
///
/// Of an object outside of the direct map, or before the way is known, some other memory is read, or none. Should
/// that hold the address of a kmalloc cache, the object is counted as one of it, and is not streamed, as it should
/// be. For the address of a streamed one, whoever streams it has to ask [`is_in_direct_map`].
#[inline(always)]
pub fn known_owner(object: impl Fn() -> u64) -> Option<Owner> {
    let words_type = patched::<SHORT_WAY_MARK>();
    if words_type == 0 {
        return None;
    }
    let lead_at = || by_line(object()).wrapping_add(SHORT_WAY.get());
    let lead = word_as(words_type, lead_at());
    let owner = remembered(lead);
    if owner.is_some() {
        return owner;
    }
    // That the lead lies a few bytes into its page is no matter where the head is told by a mask: it falls to it.
    let head = head_of(lead_at(), lead)?;
    remembered(word(head + u64::from(config!(slab_cache_offset))))
}

/// Whether an address is one of those at which objects of caches are.
#[inline(always)]
pub fn is_in_direct_map(address: u64) -> bool {
    page_of(address).is_some()
}

/// Places of [`MEMORY`]; caches are few, and two that share a place only take it from each other.
const MEMORY_PLACES: usize = 1024;
/// Low bits of an entry that say what the cache is; a cache's own are zero.
const IS_KMALLOC: u64 = 1;
const IS_STREAMED: u64 = 2;

/// What the place of the smallest numbers has before it has a cache: an empty one would make caches of 1 and 2.
const NO_CACHE: u64 = 1 << 63;

/// What caches are known to be: at the place that a cache's address gives, the address and one of the above.
///
/// A kmalloc cache is one for ever. A streamed one may be destroyed, and its address become that of another cache: of
/// one that is streamed, or of one of built-in code, whose objects are then streamed for nothing. No cache whose
/// objects must be streamed is ever taken for another. What built-in code owns is not remembered, for it would be.
///
/// That a page's word is the address of a cache proves that the page is the head of one of its slabs. The allocator
/// puts the address there before it gives away the first object; once it has given the page back, the word is the
/// page allocator's: a list's (6.12 and later: `lru`, `compound_head`), or `mapping`, which is cleared (6.1).
///
/// A place is a line of 64 bytes, to which an address leads by one instruction.
static MEMORY: [Place; MEMORY_PLACES] = [const { [const { Cell::new(0) }; _] }; MEMORY_PLACES];

/// Bytes of a place.
const PLACE_BYTES: usize = 64;

/// An entry and the rest of its line.
type Place = [Cell<u64>; PLACE_BYTES / size_of::<u64>()];

#[inline(always)]
fn place_of(cache: u64) -> &'static Cell<u64> {
    let byte = cache as usize & ((MEMORY_PLACES - 1) * PLACE_BYTES);
    // SAFETY: a place of the array; with an index and its check, the verifier loses what it knows of it.
    unsafe { &*MEMORY.as_ptr().byte_add(byte).cast() }
}

#[inline(always)]
fn remembered(cache: u64) -> Option<Owner> {
    match place_of(cache).get() ^ cache {
        IS_KMALLOC => Some(Owner::Kmalloc),
        IS_STREAMED => Some(Owner::Streamed(cache)),
        _ => None,
    }
}

#[inline(always)]
fn remember(cache: u64, owner: &Owner) {
    match owner {
        Owner::Kmalloc => place_of(cache).set(cache | IS_KMALLOC),
        Owner::Streamed(_) => place_of(cache).set(cache | IS_STREAMED),
        Owner::Builtin | Owner::NotSlab => {}
    }
}

/// Whether the objects of this cache are streamed.
#[inline(always)]
pub fn classify(cache: u64) -> Owner {
    if cache_flags(cache) & config!(kmalloc_flag) != 0 {
        return Owner::Kmalloc;
    }
    if is_counted(cache) {
        return Owner::Builtin;
    }
    Owner::Streamed(cache)
}

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

/// Whether built-in code created this cache under a literal name. `kmem_cache_create()` keeps such a
/// name where it lies, in the kernel's read-only data, and copies every other (`kstrdup_const()`).
#[inline(always)]
pub fn has_builtin_name(cache: u64) -> bool {
    let name = cache_name(cache);
    name >= config!(rodata_start) && name < config!(rodata_end)
}

/// Whether an address is that of a module's text: the kernel's own lies below its read-only data, modules above.
#[inline(always)]
pub fn is_module_text(function: u64) -> bool {
    let end = config!(rodata_end);
    end != 0 && function >= end
}

/// Address of the cache's name, 0 when it cannot be read.
#[inline(always)]
pub fn cache_name(cache: u64) -> u64 {
    word(cache + u64::from(config!(cache_name_offset)))
}

/// The cache's flags, lower 32 bits; 0 when they cannot be read.
#[inline(always)]
pub fn cache_flags(cache: u64) -> u32 {
    half_word(cache + u64::from(config!(cache_flags_offset)))
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
