//! Config: what the agent tells the probes about the running kernel, as read-only data.
//!
//! Offsets are in bytes and come from the kernel's BTF; addresses come from its symbol table. The plan fills
//! this in. The probes contain no such number of their own.

use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

/// A flag of a page says that it belongs to the slab allocator.
pub const SLAB_BY_FLAG: u32 = 1;
/// The type in the upper byte of `page_type` says so.
pub const SLAB_BY_TYPE: u32 = 2;

/// The second argument of `kvfree_call_rcu()` is the object.
pub const OBJECT_IS_POINTER: u32 = 1;
/// The object is the first argument minus the offset in the second; if the first is NULL, the second is the
/// object.
pub const OBJECT_IS_HEAD_LESS_OFFSET: u32 = 2;

/// The number with which the programs call the kernel's function [`READ_ONLY_CAST`]; no helper has this
/// number. The agent replaces it with the function's own number. If the kernel has no such function, the
/// verifier finds that no program reaches the call.
pub const READ_ONLY_CAST_MARK: u32 = 0x6b72_6375;
/// `bpf_rdonly_cast(address, type)`, Linux 6.2 and later (kernel/bpf/helpers.c): treats an address as that of
/// a structure. A load from it is one instruction and a check of the address. If the address cannot be read,
/// the load gives zero.
pub const READ_ONLY_CAST: &str = "bpf_rdonly_cast";

/// The agent replaces this number with [`Config::words_type`] in the instructions that load it, so that a
/// program needs one instruction for it.
pub const WORDS_TYPE_MARK: u32 = READ_ONLY_CAST_MARK + 1;
/// The same for [`Config::short_way`].
pub const SHORT_WAY_MARK: u32 = READ_ONLY_CAST_MARK + 2;
/// The same for the first number of [`Config::plain_functions`], which a program adds to the lower half of a register.
pub const PLAIN_MARK: u32 = READ_ONLY_CAST_MARK + 3;
/// The same for the second, with which it compares the sum. The compiler may write the comparison with the number before.
pub const PLAIN_BYTES_MARK: u32 = READ_ONLY_CAST_MARK + 4;
/// The same for [`Config::page_shift`], by which a program shifts an address.
pub const PAGE_SHIFT_MARK: u32 = READ_ONLY_CAST_MARK + 5;
/// The same for [`Config::line_shift`].
pub const LINE_SHIFT_MARK: u32 = READ_ONLY_CAST_MARK + 6;
/// The same for 1 if [`Config::kernel_start`] is not 0, and 0 otherwise.
pub const KERNEL_BETWEEN_MARK: u32 = READ_ONLY_CAST_MARK + 7;

/// The same for [`Config::queue_stacks`].
pub const QUEUE_STACKS_MARK: u32 = READ_ONLY_CAST_MARK + 8;
/// The same for 1 if [`Config::has_helper_way`], and 0 otherwise.
pub const HELPER_WAY_MARK: u32 = READ_ONLY_CAST_MARK + 9;

/// Bytes from the word of a page that leads from a tail page to its head to the word that leads to the cache, where
/// [`Config::has_helper_way`].
pub const HELPER_WAY_BYTES: u32 = 16;

/// The running kernel, as far as the probes need it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct Config {
    /// Address of the kernel's variable `page_offset_base`, which says where the direct map begins.
    pub page_offset_base_address: u64,
    /// Address of `vmalloc_base`, which says where the direct map ends at the latest.
    pub vmalloc_base_address: u64,
    /// Address of `vmemmap_base`, which says where the array of `struct page` begins; 0 if the three are constants of the
    /// kernel, which the next three fields have.
    pub vmemmap_base_address: u64,
    /// The first address of the direct map, where it is a constant.
    pub page_offset: u64,
    /// The first address behind it.
    pub direct_map_end: u64,
    /// The address of the `struct page` of the first page of the direct map.
    pub vmemmap: u64,
    /// The bits of an address that are set wherever the memory is, and that a pointer may use for a tag; 0 if pointers have
    /// no tags.
    pub tag_bits: u64,
    /// Modules lie above this address, and so does no text of the kernel's own if [`Config::kernel_start`] is 0. The highest
    /// address of all if that is not known.
    pub modules_after: u64,
    /// The kernel's first address if modules may lie on both sides of it: up to `rodata_end` no text is a module's.
    /// Otherwise 0.
    pub kernel_start: u64,
    /// Address of `__start_rodata`. If the name of a cache lies between this and `__end_rodata`, built-in
    /// code created it with a literal name (`kstrdup_const()` copies every other name).
    pub rodata_start: u64,
    /// Address of `__end_rodata`.
    pub rodata_end: u64,
    /// Address of `rcu_tasks_rude`, by which `call_rcu_tasks_generic()` tells its flavour; 0 when not known.
    pub rcu_tasks_rude_address: u64,
    /// The same for `rcu_tasks_trace`.
    pub rcu_tasks_trace_address: u64,
    /// Address of `rcu_tasks_trace_srcu_struct`: newer kernels make `call_srcu()` of `call_rcu_tasks_trace()`.
    pub rcu_tasks_trace_srcu_address: u64,
    /// Address of `rcu_work_rcufn()`, the callback of `queue_rcu_work()`; 0 when not known.
    pub rcu_work_function: u64,
    /// Address of `module_notify_list`; 0 when not known.
    pub module_notify_list: u64,
    /// Address of `rcu_state.gp_seq`: the number of the normal grace period; 0 when not known.
    pub gp_seq_address: u64,
    /// Address of `rcu_state.expedited_sequence`: the number of the expedited grace period; 0 when not known.
    pub expedited_sequence_address: u64,
    /// Number of the type `struct cpumask` in the kernel's BTF. With it, a program reads words of kernel
    /// memory without a helper. 0 if the kernel has no [`READ_ONLY_CAST`].
    pub words_type: u32,
    /// The same number if there is a short way from an object to its cache: a shift and a sum give the place
    /// of one word of its page, which leads to the cache. Otherwise 0. The conditions are: a `struct page`
    /// has 64 bytes, that word lies where a tail page has its head, and `kvfree_call_rcu()` gets the object.
    pub short_way: u32,
    /// Number of the function [`READ_ONLY_CAST`], which the agent puts into the programs; 0 if the kernel has
    /// none.
    pub read_only_cast: u32,
    /// The number of bits of an address that are an offset in a page.
    pub page_shift: u32,
    /// [`Config::page_shift`] less the 6 bits of a `struct page` of 64 bytes.
    pub line_shift: u32,
    /// Bytes of a `struct page`.
    pub page_bytes: u32,
    /// Offset in `struct page` of the word that leads from a tail page to its head.
    pub page_compound_offset: u32,
    /// [`SLAB_BY_FLAG`] or [`SLAB_BY_TYPE`].
    pub slab_test: u32,
    /// Offset in `struct page` of the word that the test reads.
    pub slab_test_offset: u32,
    /// Bit number of `PG_slab`, or value of `PGTY_slab`.
    pub slab_test_value: u32,
    /// Offset in `struct slab` of `slab_cache`.
    pub slab_cache_offset: u32,
    /// Offset in `struct slab` of the 16 bits of `inuse`.
    pub slab_inuse_offset: u32,
    /// Offset in `struct slab` of `slab_list`.
    pub slab_list_offset: u32,
    /// Offset in `struct kmem_cache` of `flags`.
    pub cache_flags_offset: u32,
    /// Offset in `struct kmem_cache` of `object_size`.
    pub cache_object_size_offset: u32,
    /// Offset in `struct kmem_cache` of `refcount`.
    pub cache_refcount_offset: u32,
    /// Offset in `struct kmem_cache` of `name`.
    pub cache_name_offset: u32,
    /// Offset in `struct kmem_cache` of its pointer to the first node.
    pub cache_node_offset: u32,
    /// Bytes from the pointer to a node to the pointer to the next node.
    pub cache_node_step: u32,
    /// Offset in `struct kmem_cache` of `oo`, whose lower 16 bits are the number of objects in a slab.
    pub cache_oo_offset: u32,
    /// Mask of `SLAB_KMALLOC` in the flags.
    pub kmalloc_flag: u32,
    /// The number of nodes that this kernel can have (`nr_node_ids`); 0 if the probes cannot walk them.
    pub nodes: u32,
    /// Offset in `struct kmem_cache_node` of `nr_slabs`.
    pub node_slabs_offset: u32,
    /// Offset in `struct kmem_cache_node` of `partial`, a list head.
    pub node_partial_offset: u32,
    /// [`OBJECT_IS_POINTER`] or [`OBJECT_IS_HEAD_LESS_OFFSET`].
    pub object_argument: u32,
    /// Offset in `struct kvfree_rcu_bulk_data` of `nr_records`.
    pub bulk_count_offset: u32,
    /// Offset in `struct kvfree_rcu_bulk_data` of `records`.
    pub bulk_records_offset: u32,
    /// Offset in `struct slab_sheaf` of `cache`.
    pub sheaf_cache_offset: u32,
    /// Offset in `struct slab_sheaf` of `size`.
    pub sheaf_size_offset: u32,
    /// Offset in `struct slab_sheaf` of `objects`.
    pub sheaf_objects_offset: u32,
    /// Offset in `struct module` of `name`.
    pub module_name_offset: u32,
    /// Offset in `struct rcu_cblist` of `head`.
    pub callback_head_offset: u32,
    /// Offset in `struct callback_head`, which is `struct rcu_head`, of `func`.
    pub callback_function_offset: u32,
    /// Offset in `struct rcu_work` of `rcu`.
    pub rcu_work_head_offset: u32,
    /// Offset in `struct rcu_work` of `wq`.
    pub rcu_work_queue_offset: u32,
    /// Offset in `struct work_struct` of `func`.
    pub work_function_offset: u32,
    /// Offset in `struct pool_workqueue` of `wq`.
    pub pool_queue_offset: u32,
    /// 1 if only `kfree_rcu_work()` frees arrays of `kfree_rcu()`, and its begin and end are probed: any other array without a
    /// cache is its caller's own.
    pub arrays_in_work: u32,
    /// 1 to take the stack of each queueing call.
    pub queue_stacks: u32,
    /// 1 to write the probes' own diagnostics.
    pub probe_log: u32,
    /// A probe wakes the reader when this many bytes wait in the ring.
    pub wake_bytes: u32,
    /// 1 to stream each allocation and each free of objects of streamed caches.
    pub alloc_stacks: u32,
}

impl Config {
    /// The functions of the kernel's own that follow `rcu_work_rcufn()`, or all of them if there is none: the negative of the
    /// first address, and how many bytes there are; both are about the lower halves of addresses. (0, 0), of which no
    /// function is one, where the addresses are not known or not of the upper 2 GiB.
    #[must_use]
    pub fn plain_functions(&self) -> (u32, u32) {
        let first = if self.rcu_work_function == 0 { 0 } else { self.rcu_work_function.wrapping_add(1) };
        let number = |word: u64| i32::try_from(word.cast_signed()).ok().map(i32::cast_unsigned);
        let both = number(first.wrapping_neg()).zip(number(self.rodata_end.wrapping_sub(first)));
        both.filter(|_| self.rodata_end > first).unwrap_or_default()
    }

    /// Whether one call of a helper reads all words of a page that lead to the cache, at a place that a shift and a sum give.
    /// Where there is a short way, nobody asks.
    #[must_use]
    pub fn has_helper_way(&self) -> bool {
        let cache = self.page_compound_offset.checked_add(HELPER_WAY_BYTES);
        self.page_bytes == 64 && cache == Some(self.slab_cache_offset)
    }

    /// All zero, as in the object file before the agent fills it in.
    pub const ZERO: Config = Config {
        page_offset_base_address: 0,
        vmalloc_base_address: 0,
        vmemmap_base_address: 0,
        page_offset: 0,
        direct_map_end: 0,
        vmemmap: 0,
        tag_bits: 0,
        modules_after: 0,
        kernel_start: 0,
        rodata_start: 0,
        rodata_end: 0,
        rcu_tasks_rude_address: 0,
        rcu_tasks_trace_address: 0,
        rcu_tasks_trace_srcu_address: 0,
        rcu_work_function: 0,
        module_notify_list: 0,
        gp_seq_address: 0,
        expedited_sequence_address: 0,
        words_type: 0,
        short_way: 0,
        read_only_cast: 0,
        page_shift: 0,
        line_shift: 0,
        page_bytes: 0,
        page_compound_offset: 0,
        slab_test: 0,
        slab_test_offset: 0,
        slab_test_value: 0,
        slab_cache_offset: 0,
        slab_inuse_offset: 0,
        slab_list_offset: 0,
        cache_flags_offset: 0,
        cache_object_size_offset: 0,
        cache_refcount_offset: 0,
        cache_name_offset: 0,
        cache_node_offset: 0,
        cache_node_step: 0,
        cache_oo_offset: 0,
        kmalloc_flag: 0,
        nodes: 0,
        node_slabs_offset: 0,
        node_partial_offset: 0,
        object_argument: 0,
        bulk_count_offset: 0,
        bulk_records_offset: 0,
        sheaf_cache_offset: 0,
        sheaf_size_offset: 0,
        sheaf_objects_offset: 0,
        module_name_offset: 0,
        callback_head_offset: 0,
        callback_function_offset: 0,
        rcu_work_head_offset: 0,
        rcu_work_queue_offset: 0,
        work_function_offset: 0,
        pool_queue_offset: 0,
        arrays_in_work: 0,
        queue_stacks: 0,
        probe_log: 0,
        wake_bytes: 0,
        alloc_stacks: 0,
    };
}
