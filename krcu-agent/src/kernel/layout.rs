//! Layout: the offsets of the members that the probes read, from the kernel's type information.
//!
//! A value is `None` if the type information does not have it. The plan says what follows from that. Names are
//! the kernel's.

use krcu_common::config::READ_ONLY_CAST;
use serde::{Deserialize, Serialize};

use super::btf::{Argument, Btf, Member};

/// Offsets in bytes and values of enumerators, as far as this kernel has them.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Layout {
    /// Bytes of `struct page`.
    pub page_bytes: Option<u32>,
    /// `page.compound_info` (7.x) or else `page.compound_head`.
    pub page_compound: Option<u32>,
    /// `page.flags`.
    pub page_flags: Option<u32>,
    /// `page.page_type`.
    pub page_type: Option<u32>,
    /// Bit number `PG_slab` of `enum pageflags`; newer kernels have none.
    pub page_flag_slab: Option<u32>,
    /// Value `PGTY_slab` of `enum pagetype`; older kernels have none.
    pub page_type_slab: Option<u32>,
    /// `slab.slab_cache`.
    pub slab_cache: Option<u32>,
    /// `slab.inuse`, when it is 16 bits that begin at a byte.
    pub slab_inuse: Option<u32>,
    /// `slab.slab_list`.
    pub slab_list: Option<u32>,
    /// `kmem_cache.flags`.
    pub cache_flags: Option<u32>,
    /// `kmem_cache.object_size`.
    pub cache_object_size: Option<u32>,
    /// `kmem_cache.refcount`.
    pub cache_refcount: Option<u32>,
    /// `kmem_cache.name`.
    pub cache_name: Option<u32>,
    /// `kmem_cache.oo`.
    pub cache_oo: Option<u32>,
    /// `kmem_cache.node`, or `kmem_cache.per_node[0].node` where the nodes moved there (7.x).
    pub cache_node: Option<u32>,
    /// Bytes from one node's pointer to the next node's.
    pub cache_node_step: Option<u32>,
    /// The highest number of nodes that the array has room for. The kernel allocates room for those that can exist.
    pub cache_nodes: Option<u32>,
    /// `kmem_cache_node.nr_slabs`.
    pub node_slabs: Option<u32>,
    /// `kmem_cache_node.partial`.
    pub node_partial: Option<u32>,
    /// Bit number `_SLAB_KMALLOC` of `enum _slab_flag_bits`; older kernels have the flag in no type.
    pub kmalloc_bit: Option<u32>,
    /// `kvfree_rcu_bulk_data.nr_records`.
    pub bulk_count: Option<u32>,
    /// `kvfree_rcu_bulk_data.records`.
    pub bulk_records: Option<u32>,
    /// `slab_sheaf.cache`.
    pub sheaf_cache: Option<u32>,
    /// `slab_sheaf.size`.
    pub sheaf_size: Option<u32>,
    /// `slab_sheaf.objects`.
    pub sheaf_objects: Option<u32>,
    /// `module.name`.
    pub module_name: Option<u32>,
    /// `rcu_cblist.head`.
    pub callback_list_head: Option<u32>,
    /// `callback_head.func`.
    #[serde(default)]
    pub callback_function: Option<u32>,
    /// `work_struct.func`.
    #[serde(default)]
    pub work_function: Option<u32>,
    /// `rcu_work.rcu`.
    #[serde(default)]
    pub rcu_work_head: Option<u32>,
    /// `rcu_work.wq`.
    #[serde(default)]
    pub rcu_work_queue: Option<u32>,
    /// `pool_workqueue.wq`.
    #[serde(default)]
    pub pool_queue: Option<u32>,
    /// `rcu_state.gp_seq`.
    pub rcu_gp_seq: Option<u32>,
    /// `rcu_state.expedited_sequence`.
    pub rcu_expedited_sequence: Option<u32>,
    /// Number of the function `bpf_rdonly_cast`. Programs may call it if the kernel has it.
    #[serde(default)]
    pub read_only_cast: Option<u32>,
    /// Number of `struct cpumask`, which is an array of words: as many as hold a bit for each of NR_CPUS processors. None if they
    /// are too few for what the programs read by it.
    #[serde(default)]
    pub words_type: Option<u32>,
    /// The meaning of the second argument of `kvfree_call_rcu()`.
    pub second_argument: Option<SecondArgument>,
}

/// Bytes that programs read by one cast: a call's second argument is the second word of their context.
const WORDS_BYTES: u32 = 16;

/// The meaning of the second argument of `kvfree_call_rcu()`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SecondArgument {
    /// The object (`void *ptr`).
    Object,
    /// The offset of its `rcu_head`, passed as a function (`rcu_callback_t func`).
    Offset,
}

impl Layout {
    /// Reads all of it from the type information.
    #[must_use]
    pub fn read(btf: &Btf) -> Layout {
        let at = |structure, member| btf.member(structure, member).and_then(|found| found.byte_offset());
        let (cache_node, cache_node_step, cache_nodes) = nodes(btf);
        Layout {
            page_bytes: btf.struct_bytes("page"),
            page_compound: at("page", "compound_info").or_else(|| at("page", "compound_head")),
            page_flags: at("page", "flags"),
            page_type: at("page", "page_type"),
            page_flag_slab: btf.enumerator("pageflags", "PG_slab"),
            page_type_slab: btf.enumerator("pagetype", "PGTY_slab"),
            slab_cache: at("slab", "slab_cache"),
            slab_inuse: btf.member("slab", "inuse").and_then(sixteen_bits),
            slab_list: at("slab", "slab_list"),
            cache_flags: at("kmem_cache", "flags"),
            cache_object_size: at("kmem_cache", "object_size"),
            cache_refcount: at("kmem_cache", "refcount"),
            cache_name: at("kmem_cache", "name"),
            cache_oo: at("kmem_cache", "oo"),
            cache_node,
            cache_node_step,
            cache_nodes,
            node_slabs: at("kmem_cache_node", "nr_slabs"),
            node_partial: at("kmem_cache_node", "partial"),
            kmalloc_bit: btf.enumerator("_slab_flag_bits", "_SLAB_KMALLOC"),
            bulk_count: at("kvfree_rcu_bulk_data", "nr_records"),
            bulk_records: at("kvfree_rcu_bulk_data", "records"),
            sheaf_cache: at("slab_sheaf", "cache"),
            sheaf_size: at("slab_sheaf", "size"),
            sheaf_objects: at("slab_sheaf", "objects"),
            module_name: at("module", "name"),
            callback_list_head: at("rcu_cblist", "head"),
            callback_function: at("callback_head", "func"),
            work_function: at("work_struct", "func"),
            rcu_work_head: at("rcu_work", "rcu"),
            rcu_work_queue: at("rcu_work", "wq"),
            pool_queue: at("pool_workqueue", "wq"),
            rcu_gp_seq: at("rcu_state", "gp_seq"),
            rcu_expedited_sequence: at("rcu_state", "expedited_sequence"),
            read_only_cast: btf.function_number(READ_ONLY_CAST),
            words_type: btf
                .struct_number("cpumask")
                .filter(|_| btf.struct_bytes("cpumask").is_some_and(|bytes| bytes >= WORDS_BYTES)),
            second_argument: match btf.argument("kvfree_call_rcu", 1) {
                Some(Argument::FunctionPointer) => Some(SecondArgument::Offset),
                Some(Argument::Pointer) => Some(SecondArgument::Object),
                Some(Argument::Other) | None => None,
            },
        }
    }
}

/// Offset of the first node's pointer, bytes to the next, and room for nodes.
fn nodes(btf: &Btf) -> (Option<u32>, Option<u32>, Option<u32>) {
    if let Some(array) = btf.member("kmem_cache", "node") {
        return (array.byte_offset(), Some(8), btf.array_length(&array));
    }
    let Some(array) = btf.member("kmem_cache", "per_node") else { return (None, None, None) };
    let Some((step, node)) = btf.member_of_element(&array, "node") else { return (None, None, None) };
    let first = array.byte_offset().zip(node.byte_offset()).and_then(|(a, b)| a.checked_add(b));
    (first, Some(step), btf.array_length(&array))
}

fn sixteen_bits(member: Member) -> Option<u32> {
    (member.bits == Some(16)).then_some(member).and_then(|member| member.byte_offset())
}
