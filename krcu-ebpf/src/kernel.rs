//! Every read of kernel memory, and the arithmetic that leads from an object's address to its cache.
//!
//! This file contains no number of any one kernel: offsets and addresses come from [`CONFIG`]. A read that
//! faults gives `None`, and whatever depends on it is "not known", never zero.

use core::{arch::asm, mem::MaybeUninit};

use aya_ebpf::helpers::{bpf_probe_read_kernel, bpf_probe_read_kernel_str_bytes, generated};
use krcu_common::{
    config::{
        Config, HELPER_WAY_BYTES, LINE_SHIFT_MARK, PAGE_SHIFT_MARK, READ_ONLY_CAST_MARK, SLAB_BY_TYPE,
        WORDS_TYPE_MARK,
    },
    wire::NAME_BYTES,
};

use crate::{
    cell::Cell,
    followed::{is_counted, is_module_text},
    patched::{patched, shifted, shifted_signed},
};

/// The running kernel's configuration. The agent fills it in before the programs are loaded; it is read-only
/// after that.
#[unsafe(no_mangle)]
pub static CONFIG: Config = Config::ZERO;

/// Reads one field of [`CONFIG`], in a way that keeps the compiler from assuming its initial zero.
#[macro_export]
macro_rules! config {
    ($field:ident) => {
        // SAFETY: a reference to a static field is valid, aligned and initialised.
        unsafe { core::ptr::read_volatile(&$crate::kernel::CONFIG.$field) }
    };
}

/// The ends of the direct map and the start of the page array.
#[derive(Clone, Copy)]
struct Layout {
    page_offset: u64,
    vmalloc: u64,
    vmemmap: u64,
}

/// The layout, once it was read. The kernel chooses it at boot and never changes it.
static LAYOUT: Cell<Layout> = Cell::new(Layout { page_offset: 0, vmalloc: 0, vmemmap: 0 });

/// Reads a `T` at a kernel address.
#[inline(always)]
pub fn read<T>(address: u64) -> Option<T> {
    // SAFETY: the helper checks the address and fails on a fault.
    unsafe { bpf_probe_read_kernel(address as *const T) }.ok()
}

/// Reads the word at a kernel address that is a multiple of 8. If the kernel lets a program treat an address
/// as that of a structure, this takes one instruction; otherwise the helper does it, in some 90.
///
/// If the address cannot be read, the one instruction gives zero. The helper's way does the same, so a caller
/// must take zero as "not known".
#[inline(always)]
fn word(address: u64) -> u64 {
    let words_type = patched::<WORDS_TYPE_MARK>();
    if words_type == 0 {
        return read(address).unwrap_or(0);
    }
    word_as(words_type, address)
}

/// The way of [`word`] with one instruction.
#[inline(always)]
fn word_as(words_type: u64, address: u64) -> u64 {
    let words: *const u64;
    // SAFETY: if this can be reached, the agent has put the kernel's function in the place of this number.
    // The function returns the address, and like any call it may change the registers that calls may change.
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

/// The half of a word at a kernel address that is a multiple of 4; 0 if it cannot be read.
#[inline(always)]
fn half_word(address: u64) -> u32 {
    (word(address & !7) >> ((address & 4) * 8)) as u32
}

/// Reads the string at a kernel address; the rest of `name` stays zero.
#[inline(always)]
pub fn read_name(address: u64, name: &mut [u8; NAME_BYTES]) {
    *name = [0; NAME_BYTES];
    // SAFETY: the helper checks the address and writes no more than the slice has.
    let _ = unsafe { bpf_probe_read_kernel_str_bytes(address as *const u8, name) };
}

#[inline(always)]
fn layout() -> Option<Layout> {
    let known = LAYOUT.get();
    // Two CPUs may both be the first, and write the same values. The last word is written last.
    if known.vmemmap != 0 {
        return Some(known);
    }
    let layout = if config!(vmemmap_base_address) == 0 {
        Layout {
            page_offset: config!(page_offset),
            vmalloc: config!(direct_map_end),
            vmemmap: config!(vmemmap),
        }
    } else {
        Layout {
            page_offset: read(config!(page_offset_base_address))?,
            vmalloc: read(config!(vmalloc_base_address))?,
            vmemmap: read(config!(vmemmap_base_address))?,
        }
    };
    LAYOUT.set(Layout { vmemmap: 0, ..layout });
    LAYOUT.set(layout);
    if place_of(0).get() == 0 {
        place_of(0).set(NO_CACHE);
    }
    MEMORY[0][SHORT_WAY].set(
        layout.vmemmap.wrapping_sub(by_line(layout.page_offset)) + u64::from(config!(page_compound_offset)),
    );
    Some(layout)
}

/// What a pointer turned out to point to.
pub enum Owner {
    /// An object of this cache, which may be destroyed later.
    Streamed(u64),
    /// An object of a kmalloc cache.
    Kmalloc,
    /// An object of a cache whose name is built into the kernel.
    Builtin,
    /// Not an object of a slab.
    NotSlab,
}

/// The `struct page` of an address in the direct map, whatever tag a pointer to it has.
#[inline(always)]
fn page_of(mut address: u64) -> Option<u64> {
    let layout = layout()?;
    if address < layout.page_offset || address >= layout.vmalloc {
        // An address without a tag has all these bits.
        let tag_bits = config!(tag_bits);
        if tag_bits == 0 {
            return None;
        }
        address |= tag_bits;
        if address < layout.page_offset || address >= layout.vmalloc {
            return None;
        }
    }
    let frame = shifted::<PAGE_SHIFT_MARK>(address - layout.page_offset);
    Some(layout.vmemmap + frame * u64::from(config!(page_bytes)))
}

/// What the way from an address to its cache comes by.
pub struct Way {
    /// The address's `struct page`.
    pub page: u64,
    /// The head page, or the same page.
    pub head: u64,
    /// The word of the head page that leads to the cache.
    pub cache: u64,
    /// Whether the head page says that it belongs to the slab allocator.
    pub is_slab: bool,
}

/// The way from an address to its cache, for the check of the way itself; `None` outside of the direct map.
#[inline(always)]
pub fn way(address: u64) -> Option<Way> {
    let page = page_of(address)?;
    let compound = word(page + u64::from(config!(page_compound_offset)));
    let head = head_of(page, compound).unwrap_or(page);
    let cache = word(head + u64::from(config!(slab_cache_offset)));
    Some(Way { page, head, cache, is_slab: is_slab(head) })
}

/// The head page of a tail page; `None` if the page is not a tail page. The word is the head's address plus
/// one. If the kernel shares tail pages (HugeTLB vmemmap optimisation in 7.x), it is a mask instead: its
/// upper half is all ones, as in no address of the page array.
#[inline(always)]
pub fn head_of(page: u64, compound: u64) -> Option<u64> {
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

/// The cache that owns the object at this address, and whether the cache's objects are streamed.
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

/// The place of an address's page in the page array, as a line of 64 bytes, if the array and the memory began
/// at 0.
#[inline(always)]
pub fn by_line(address: u64) -> u64 {
    // The arithmetic shift brings in the highest bit; a shorter instruction then clears the lowest ones.
    shifted_signed::<LINE_SHIFT_MARK>(address) & !63
}

/// Whether objects of caches can be at this address.
#[inline(always)]
pub fn is_in_direct_map(address: u64) -> bool {
    page_of(address).is_some()
}

/// The number of places in [`MEMORY`]. There are few caches; two that share a place only displace each other.
const MEMORY_PLACES: usize = 1024;
/// The low bits of an entry say what the cache is. They are zero in a cache's own address.
pub const IS_KMALLOC: u64 = 1;
pub const IS_STREAMED: u64 = 2;

/// The initial content of the place for the smallest numbers. With an empty entry there, the addresses 1 and
/// 2 would look like known caches.
const NO_CACHE: u64 = 1 << 63;

/// What is known about caches. The cache's address gives the place; the entry is the address with one of the
/// bits above.
///
/// A kmalloc cache stays one for ever. A streamed cache may be destroyed, and another cache may get its
/// address: another streamed one, or one of built-in code, whose objects are then streamed for nothing. But a
/// cache whose objects must be streamed is never taken for another. That is why caches of built-in code are
/// not remembered: such an entry could hide a later streamed cache.
///
/// If a page's word is the address of a cache, the page is the head of one of the cache's slabs. The
/// allocator writes the address there before it gives away the first object. After it has given the page
/// back, the word belongs to the page allocator: it is part of a list (6.12 and later: `lru`,
/// `compound_head`), or `mapping`, which is cleared (6.1).
///
/// A place is a line of 64 bytes, so that one instruction turns an address into a place. The first one, which no cache has,
/// also has the number [`SHORT_WAY`]: the shortest programs need one address for both.
pub static MEMORY: [Place; MEMORY_PLACES] = [const { [const { Cell::new(0) }; _] }; MEMORY_PLACES];

/// The bytes of a place.
const PLACE_BYTES: usize = 64;

/// An entry and the rest of its line.
pub type Place = [Cell<u64>; PLACE_BYTES / size_of::<u64>()];

/// The word of the first place with the number to add to [`by_line`] for the address of the word of a page by which a tail
/// page is known: the short way. 0 until it is known.
pub const SHORT_WAY: usize = 1;

/// The bits of a cache's address that give the place of its entry.
const PLACES_MASK: usize = (MEMORY_PLACES - 1) * PLACE_BYTES;

#[inline(always)]
fn place_of(cache: u64) -> &'static Cell<u64> {
    // SAFETY: a place of the array. With an index and a bounds check instead, the verifier would forget what
    // it knows about the index.
    unsafe { &*MEMORY.as_ptr().byte_add(cache as usize & PLACES_MASK).cast() }
}

/// What an entry has more than the cache's address: one of the bits above if the cache is known, any number otherwise.
///
/// # Safety
/// The address is that of [`MEMORY`], which a program has in a register.
#[inline(always)]
#[expect(clippy::pointers_in_nomem_asm_block, reason = "the sum reads nothing")]
pub unsafe fn remembered_bits(memory: *const Place, cache: u64) -> u64 {
    let place: *const Cell<u64>;
    // The compiler would copy the address first, to add to the copy.
    // SAFETY: a sum.
    unsafe {
        asm!(
            "{place} += {memory}",
            place = inout(reg) cache as usize & PLACES_MASK => place,
            memory = in(reg) memory,
            options(pure, nomem, nostack),
        )
    };
    // SAFETY: a place of the array, as in `place_of`.
    unsafe { (*place).get() ^ cache }
}

/// The address of [`MEMORY`], loaded at this place: the compiler would keep it, in a register that has to be saved.
#[inline(always)]
fn memory() -> *const Place {
    let memory;
    // SAFETY: the address of a static.
    unsafe {
        asm!("{memory} = {all} ll", memory = out(reg) memory, all = sym MEMORY, options(nomem, nostack))
    };
    memory
}

/// Whether an object is known as one of a kmalloc cache, where a program reads memory by a helper only: one call of it for
/// an object in a page of its own or in a head page, two for one in a tail page. `object` gives its address, twice.
///
/// As in [`streamed_or_counted`](crate::short::streamed_or_counted), this may read some other memory.
#[inline(always)]
pub fn is_known_by_helper(object: impl Fn() -> u64) -> bool {
    const WORDS: usize = HELPER_WAY_BYTES as usize / size_of::<u64>() + 1;
    let lead = || {
        // SAFETY: a word of the first place.
        by_line(object()).wrapping_add(unsafe { memory().cast::<u64>().add(SHORT_WAY).read_volatile() })
    };
    // Where it cannot be read, the helper gives zeros.
    let [compound, .., cache]: [u64; WORDS] = read_or_zeros(lead());
    if is_kmalloc(cache) {
        return true;
    }
    // The lowest bit first: the page's address is needed for a tail page only.
    compound & 1 == 1
        && head_of(lead(), compound)
            .is_some_and(|head| is_kmalloc(read_or_zeros(head + u64::from(config!(slab_cache_offset)))))
}

#[inline(always)]
fn is_kmalloc(cache: u64) -> bool {
    // SAFETY: the address of the memory.
    unsafe { remembered_bits(memory(), cache) == IS_KMALLOC }
}

/// Reads a `T`, any bytes of which are one, at a kernel address; zeros where it cannot be read.
#[inline(always)]
fn read_or_zeros<T>(address: u64) -> T {
    let mut value = MaybeUninit::<T>::uninit();
    let bytes = size_of::<T>() as u32;
    // SAFETY: the helper checks the address. It writes every byte, zeros where it fails.
    unsafe {
        generated::bpf_probe_read_kernel(value.as_mut_ptr().cast(), bytes, address as *const _);
        value.assume_init()
    }
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

/// The address of the cache's name; 0 if it cannot be read.
#[inline(always)]
pub fn cache_name(cache: u64) -> u64 {
    word(cache + u64::from(config!(cache_name_offset)))
}

/// The cache's flags, lower 32 bits; 0 if they cannot be read.
#[inline(always)]
pub fn cache_flags(cache: u64) -> u32 {
    half_word(cache + u64::from(config!(cache_flags_offset)))
}

/// The size of the cache's objects in bytes.
#[inline(always)]
pub fn cache_object_size(cache: u64) -> u32 {
    read(cache + u64::from(config!(cache_object_size_offset))).unwrap_or(0)
}

/// The number of users of the cache.
#[inline(always)]
pub fn cache_refcount(cache: u64) -> i32 {
    read(cache + u64::from(config!(cache_refcount_offset))).unwrap_or(0)
}

/// The function of a work.
#[inline(always)]
fn read_work_function(work: u64) -> Option<u64> {
    read(work + u64::from(config!(work_function_offset)))
}

/// The function of a work; 0 if it cannot be read.
#[inline(always)]
pub fn work_function(work: u64) -> u64 {
    read_work_function(work).unwrap_or(0)
}

/// The `struct rcu_work` that a head is in, which begins with its work.
#[inline(always)]
pub fn rcu_work_of(head: u64) -> u64 {
    head - u64::from(config!(rcu_work_head_offset))
}

/// Whether the function of a work is a module's.
#[inline(never)]
pub fn is_module_work(work: u64) -> bool {
    read_work_function(work).is_some_and(is_module_text)
}
