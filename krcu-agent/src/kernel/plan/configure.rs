//! The configuration of the probes, and what is lacking for it.

use krcu_common::Config;
use krcu_common::config::{OBJECT_IS_HEAD_LESS_OFFSET, OBJECT_IS_POINTER, SLAB_BY_FLAG, SLAB_BY_TYPE};

use crate::kernel::catalog::RCU_STATE;
use crate::kernel::facts::Facts;
use crate::kernel::layout::{Layout, SecondArgument};

/// Bytes of a `struct page` for which the short way is written.
const PAGE_LINE: u32 = 64;

/// `SLAB_KMALLOC` where the flags are plain macros, which no type information holds: 6.1,
/// include/linux/slab.h, `#define SLAB_KMALLOC ((slab_flags_t __force)0x00001000U)`. Kernels that
/// number their flags by `enum _slab_flag_bits` say it themselves.
const KMALLOC_FLAG_OF_MACROS: u32 = 0x1000;

/// The configuration, and the names of what it lacks of that which no verdict can do without.
pub(super) fn config(facts: &Facts) -> (Config, Vec<&'static str>) {
    let layout = &facts.layout;
    let mut lacking = Vec::new();
    let mut need = |value: Option<u32>, name: &'static str| {
        value.unwrap_or_else(|| {
            lacking.push(name);
            0
        })
    };
    let (slab_test, slab_test_offset, slab_test_value) = slab_test(layout);
    let address = |name: &str| facts.addresses.get(name).copied().unwrap_or(0);
    let (rodata_start, rodata_end) = match (address("__start_rodata"), address("__end_rodata")) {
        (start, end) if start != 0 && end > start => (start, end),
        _ => (0, 0),
    };
    // The numbers are evidence and nothing is decided by them: where they are not known they are left out.
    let rcu_state = |offset: Option<u32>| match (address(RCU_STATE), offset) {
        (start, Some(offset)) if start != 0 => start.saturating_add(u64::from(offset)),
        _ => 0,
    };
    // Only both together are of use.
    let (read_only_cast, words_type) = layout.read_only_cast.zip(layout.words_type).unwrap_or((0, 0));
    let config = Config {
        read_only_cast,
        words_type,
        page_offset_base_address: address("page_offset_base"),
        vmalloc_base_address: address("vmalloc_base"),
        vmemmap_base_address: address("vmemmap_base"),
        rodata_start,
        rodata_end,
        gp_seq_address: rcu_state(layout.rcu_gp_seq),
        expedited_sequence_address: rcu_state(layout.rcu_expedited_sequence),
        page_bytes: need(layout.page_bytes, "struct page"),
        page_compound_offset: need(layout.page_compound, "page.compound_info or page.compound_head"),
        slab_test: need(slab_test, "PGTY_slab and page.page_type, or PG_slab and page.flags"),
        slab_test_offset,
        slab_test_value,
        slab_cache_offset: need(layout.slab_cache, "slab.slab_cache"),
        cache_flags_offset: need(layout.cache_flags, "kmem_cache.flags"),
        cache_object_size_offset: need(layout.cache_object_size, "kmem_cache.object_size"),
        cache_refcount_offset: need(layout.cache_refcount, "kmem_cache.refcount"),
        cache_name_offset: need(layout.cache_name, "kmem_cache.name"),
        kmalloc_flag: layout
            .kmalloc_bit
            .map_or(KMALLOC_FLAG_OF_MACROS, |bit| 1_u32.checked_shl(bit).unwrap_or(0)),
        object_argument: need(
            layout.second_argument.map(|argument| match argument {
                SecondArgument::Object => OBJECT_IS_POINTER,
                SecondArgument::Offset => OBJECT_IS_HEAD_LESS_OFFSET,
            }),
            "kvfree_call_rcu() with a pointer as its second argument",
        ),
        bulk_count_offset: layout.bulk_count.unwrap_or(0),
        bulk_records_offset: layout.bulk_records.unwrap_or(0),
        sheaf_cache_offset: layout.sheaf_cache.unwrap_or(0),
        sheaf_size_offset: layout.sheaf_size.unwrap_or(0),
        sheaf_objects_offset: layout.sheaf_objects.unwrap_or(0),
        module_name_offset: layout.module_name.unwrap_or(0),
        callback_head_offset: layout.callback_list_head.unwrap_or(0),
        callback_function_offset: layout.callback_function.unwrap_or(0),
        arrays_in_work: 0,
        ..leftover(facts).unwrap_or(Config::ZERO)
    };
    (Config { short_way: if has_short_way(&config) { words_type } else { 0 }, ..config }, lacking)
}

/// Whether the words of pages that lead to caches lie where [`Config::short_way`] wants them.
fn has_short_way(config: &Config) -> bool {
    config.page_bytes == PAGE_LINE
        && config.slab_cache_offset == config.page_compound_offset
        && config.object_argument == OBJECT_IS_POINTER
}

/// How a page says that it is a slab: by the type where there is one, else by the flag.
///
/// `PG_slab` counts only as one of `enum pageflags`: for a while it was one of the page types, of
/// which each was a cleared bit, a form that no kernel krcu was tried on has.
fn slab_test(layout: &Layout) -> (Option<u32>, u32, u32) {
    match (layout.page_type_slab.zip(layout.page_type), layout.page_flag_slab.zip(layout.page_flags)) {
        (Some((value, offset)), _) => (Some(SLAB_BY_TYPE), offset, value),
        (None, Some((bit, offset))) => (Some(SLAB_BY_FLAG), offset, bit),
        (None, None) => (None, 0, 0),
    }
}

/// What counting the objects left in a cache needs; `None` when something of it is lacking.
///
/// A `struct kmem_cache` is allocated with room for the nodes that can exist, not for those that its
/// type has: reading further would read the next cache.
fn leftover(facts: &Facts) -> Option<Config> {
    let layout = &facts.layout;
    let room = layout.cache_nodes?;
    let nodes = if room == 1 { 1 } else { facts.possible_nodes?.min(room) };
    Some(Config {
        slab_inuse_offset: layout.slab_inuse?,
        slab_list_offset: layout.slab_list?,
        cache_node_offset: layout.cache_node?,
        cache_node_step: layout.cache_node_step?,
        cache_oo_offset: layout.cache_oo?,
        nodes,
        node_slabs_offset: layout.node_slabs?,
        node_partial_offset: layout.node_partial?,
        ..Config::ZERO
    })
}
