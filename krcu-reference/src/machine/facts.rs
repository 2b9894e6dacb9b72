//! Facts: what the machinery of a kernel has, and the sizes of its parts.
//!
//! There are no versions here. A generation is a set of facts, and a running kernel shows each fact by a
//! symbol, a field or a call. The name of a generation says where this set of facts first appeared.

/// Batches that wait for a grace period, for each CPU (`KFREE_N_BATCHES`).
pub const KFREE_N_BATCHES: usize = 2;
/// Kinds of bulk page, for each CPU (`FREE_N_CHANNELS`): slab objects, and `vmalloc()` memory.
pub const FREE_N_CHANNELS: usize = 2;
/// Pointers in a bulk page of 4 KiB (`KVFREE_BULK_MAX_ENTR`), where each page has a cookie in its header.
pub const KVFREE_BULK_MAX_ENTR: usize = 507;
/// The same where pages have no cookie (6.1).
pub const KVFREE_BULK_MAX_ENTR_PLAIN: usize = 510;
/// Pages that each CPU keeps for its next batch (`rcu_min_cached_objs`).
pub const RCU_MIN_CACHED_OBJS: u16 = 5;
/// How long queued objects wait for more before the monitor runs (`KFREE_DRAIN_JIFFIES`, 5 s).
pub const KFREE_DRAIN_NS: u64 = 5_000_000_000;
/// How long they wait once a page is full: one jiffy of 250 Hz, the HZ of Debian's kernels.
pub const FULL_PAGE_DRAIN_NS: u64 = 4_000_000;
/// From the end of a grace period to the callbacks that it was needed for: a CPU notices the end at its next tick
/// (`rcu_sched_clock_irq()`), one jiffy of 250 Hz. On the kernels of the golden traces it is 4.1 ms in the median.
pub const CALLBACK_NS: u64 = 4_000_000;
/// How long a lingering destroy waits before it reports what is left: an RCU CPU stall warning's 21 s.
pub const LINGER_TIMEOUT_NS: u64 = 21_000_000_000;

/// Objects in a sheaf (`calculate_sheaf_capacity()`), by the object's size in bytes.
#[must_use]
pub fn sheaf_capacity(object_bytes: u32) -> usize {
    match object_bytes {
        0..256 => 60,
        256..1024 => 28,
        1024..4096 => 12,
        _ => 4,
    }
}

/// How large the parts are: the kernel's sizes for a simulation, very small ones for a checker.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Sizes {
    /// Pointers in a bulk page.
    pub bulk_entries: usize,
    /// Pages in the full page cache of a CPU.
    pub cached_pages: u16,
    /// Objects in a sheaf.
    pub sheaf_capacity: usize,
}

impl Sizes {
    /// The kernel's own sizes, for objects of less than 256 bytes.
    pub const KERNEL: Sizes =
        Sizes { bulk_entries: KVFREE_BULK_MAX_ENTR, cached_pages: RCU_MIN_CACHED_OBJS, sheaf_capacity: 60 };
    /// The smallest sizes with which a page can be full or have room, and a sheaf can be full or not.
    pub const SMALL: Sizes = Sizes { bulk_entries: 2, cached_pages: 1, sheaf_capacity: 2 };
}

/// The machinery below `kfree_rcu()`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Generation {
    /// Each bulk page carries a grace-period cookie, and the monitor itself frees the pages that are ready
    /// (`kvfree_rcu_drain_ready()`). Otherwise a batch waits for its own grace period.
    pub pages_have_cookies: bool,
    /// `kfree_rcu()` first tries a sheaf of the object's cache (`kfree_rcu_sheaf()`).
    pub has_sheaves: bool,
    /// What is repaired of it.
    pub repairs: Repairs,
}

/// Repairs of known faults that no generation has. With a repair, a random walk does not end at that fault.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Repairs {
    /// `kvfree_rcu_barrier()` also waits for what the shrinker has taken off the lists of a CPU.
    pub shrinker_is_awaited: bool,
    /// `kvfree_rcu_barrier()` arms a monitor again that it has cancelled, if something is on the lists.
    pub monitor_is_kept: bool,
    /// A sheaf that is not full is flushed after some time.
    pub sheaves_age: bool,
}

impl Repairs {
    /// Nothing is repaired.
    pub const NONE: Repairs =
        Repairs { shrinker_is_awaited: false, monitor_is_kept: false, sheaves_age: false };
}

impl Generation {
    /// As in 6.1.
    pub const BATCHES: Generation =
        Generation { pages_have_cookies: false, has_sheaves: false, repairs: Repairs::NONE };
    /// As in 6.12, and as the design document describes it.
    pub const COOKIES: Generation =
        Generation { pages_have_cookies: true, has_sheaves: false, repairs: Repairs::NONE };
    /// As in 6.18 and later.
    pub const SHEAVES: Generation =
        Generation { pages_have_cookies: true, has_sheaves: true, repairs: Repairs::NONE };
}
