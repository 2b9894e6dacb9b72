//! Configure: makes the configuration of the probes, and says what is lacking for it.

use krcu_common::Config;
use krcu_common::config::{OBJECT_IS_HEAD_LESS_OFFSET, OBJECT_IS_POINTER, SLAB_BY_FLAG, SLAB_BY_TYPE};

use crate::kernel::catalog::RCU_STATE;
use crate::kernel::facts::Facts;
use crate::kernel::layout::{Layout, SecondArgument};
use crate::kernel::memory::{self, Constants, Memory};

/// The size of `struct page` that the short way needs, in bytes.
const PAGE_LINE: u32 = 64;

/// `SLAB_KMALLOC` of kernels whose flags are plain macros, which the type information does not have: 6.1,
/// include/linux/slab.h, `#define SLAB_KMALLOC ((slab_flags_t __force)0x00001000U)`. For newer
/// kernels, `enum _slab_flag_bits` has the number.
const KMALLOC_FLAG_OF_MACROS: u32 = 0x1000;

/// The configuration, and the names of those missing parts that every verdict needs.
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
    // These numbers are evidence only; no decision depends on them. If they are not known, they are left out.
    let rcu_state = |offset: Option<u32>| match (address(RCU_STATE), offset) {
        (start, Some(offset)) if start != 0 => start.saturating_add(u64::from(offset)),
        _ => 0,
    };
    // Only both together are of use.
    let (read_only_cast, words_type) = layout.read_only_cast.zip(layout.words_type).unwrap_or((0, 0));
    let page_shift = facts.page_size.map_or(0, u64::trailing_zeros);
    let config = Config {
        page_shift,
        line_shift: page_shift.saturating_sub(PAGE_LINE.trailing_zeros()),
        read_only_cast,
        words_type,
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
        ..flavours(facts, places(facts))
    };
    (Config { short_way: if has_short_way(&config) { words_type } else { 0 }, ..config }, lacking)
}

/// What callbacks of other kinds of RCU, and works, are told apart by; and what counting the objects left needs.
fn flavours(facts: &Facts, places: Config) -> Config {
    let layout = &facts.layout;
    let address = |name: &str| facts.addresses.get(name).copied().unwrap_or(0);
    Config {
        rcu_tasks_rude_address: address("rcu_tasks_rude"),
        rcu_tasks_trace_address: address("rcu_tasks_trace"),
        rcu_tasks_trace_srcu_address: address("rcu_tasks_trace_srcu_struct"),
        rcu_work_function: address("rcu_work_rcufn"),
        module_notify_list: address("module_notify_list"),
        rcu_work_head_offset: layout.rcu_work_head.unwrap_or(0),
        rcu_work_queue_offset: layout.rcu_work_queue.unwrap_or(0),
        work_function_offset: layout.work_function.unwrap_or(0),
        pool_queue_offset: layout.pool_queue.unwrap_or(0),
        ..leftover(facts, places).unwrap_or(places)
    }
}

/// Where the kernel's memory and the modules' text are.
fn places(facts: &Facts) -> Config {
    let address = |name: &str| facts.addresses.get(name).copied().unwrap_or(0);
    let (modules_after, kernel_start) = memory::modules(facts).unwrap_or((u64::MAX, 0));
    let places = Config { modules_after, kernel_start, ..Config::ZERO };
    if Memory::of(&facts.arch) == Some(Memory::Noted) {
        let Constants { page_offset, direct_map_end, vmemmap, tag_bits } =
            Constants::of(facts).unwrap_or_default();
        return Config { page_offset, direct_map_end, vmemmap, tag_bits, ..places };
    }
    let [page_offset_base_address, vmalloc_base_address, vmemmap_base_address] =
        memory::VARIABLES.map(address);
    Config { page_offset_base_address, vmalloc_base_address, vmemmap_base_address, ..places }
}

/// Whether the words of pages that lead to caches lie where [`Config::short_way`] wants them.
fn has_short_way(config: &Config) -> bool {
    config.page_bytes == PAGE_LINE
        && config.slab_cache_offset == config.page_compound_offset
        && config.object_argument == OBJECT_IS_POINTER
}

/// How a page says that it is a slab: by its type if the kernel has page types, otherwise by the flag.
///
/// `PG_slab` counts only as a member of `enum pageflags`. For some versions it was a page type, and each page type
/// was a cleared bit; no kernel that krcu was tried on has that form.
fn slab_test(layout: &Layout) -> (Option<u32>, u32, u32) {
    match (layout.page_type_slab.zip(layout.page_type), layout.page_flag_slab.zip(layout.page_flags)) {
        (Some((value, offset)), _) => (Some(SLAB_BY_TYPE), offset, value),
        (None, Some((bit, offset))) => (Some(SLAB_BY_FLAG), offset, bit),
        (None, None) => (None, 0, 0),
    }
}

/// The offsets for counting the objects that are left in a cache. `None` if one of them is lacking.
///
/// The kernel allocates a `struct kmem_cache` with room for the nodes that can exist, not for all nodes of its type.
/// Reading further would read the next cache.
fn leftover(facts: &Facts, places: Config) -> Option<Config> {
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
        ..places
    })
}
