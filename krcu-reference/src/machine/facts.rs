//! What one kernel's machinery has and another's has not, and the sizes of its parts.
//!
//! There is no version here: a generation is a set of facts, each of which a running kernel shows by a
//! symbol, a field or a call. The names of the generations say where such a set was first seen.

/// Batches that wait for a grace period, for each CPU (`KFREE_N_BATCHES`).
pub const KFREE_N_BATCHES: usize = 2;
/// Kinds of bulk page, for each CPU (`FREE_N_CHANNELS`): slab objects, and `vmalloc()` memory.
pub const FREE_N_CHANNELS: usize = 2;
/// Pointers in a bulk page of 4 KiB (`KVFREE_BULK_MAX_ENTR`), with the header that it has since pages
/// carry a cookie of their own.
pub const KVFREE_BULK_MAX_ENTR: usize = 507;
/// The same before that (6.1).
pub const KVFREE_BULK_MAX_ENTR_PLAIN: usize = 510;
/// Pages that each CPU keeps for its next batch (`rcu_min_cached_objs`).
pub const RCU_MIN_CACHED_OBJS: u16 = 5;
/// How long queued objects wait for company before the monitor runs (`KFREE_DRAIN_JIFFIES`, 5 s).
pub const KFREE_DRAIN_NS: u64 = 5_000_000_000;
/// How long they wait once a page is full: one jiffy of 250 Hz, the HZ of Debian's kernels.
pub const FULL_PAGE_DRAIN_NS: u64 = 4_000_000;
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

/// How large the parts are: the kernel's figures for a simulation, ones and twos for a checker.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Sizes {
    /// Pointers in a bulk page.
    pub bulk_entries: usize,
    /// Pages that the page cache of a CPU is filled up to.
    pub cached_pages: u16,
    /// Objects in a sheaf.
    pub sheaf_capacity: usize,
}

impl Sizes {
    /// The kernel's own, for objects of less than 256 bytes.
    pub const KERNEL: Sizes =
        Sizes { bulk_entries: KVFREE_BULK_MAX_ENTR, cached_pages: RCU_MIN_CACHED_OBJS, sheaf_capacity: 60 };
    /// The smallest that still have a page with room and one without, a sheaf that is full and one that is not.
    pub const SMALL: Sizes = Sizes { bulk_entries: 2, cached_pages: 1, sheaf_capacity: 2 };
}

/// What the machinery below `kfree_rcu()` is like.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Generation {
    /// Each bulk page carries a grace-period cookie, and the monitor frees what is ready by itself
    /// (`kvfree_rcu_drain_ready()`); else a batch waits for a grace period of its own.
    pub pages_have_cookies: bool,
    /// `kfree_rcu()` first tries a sheaf of the object's cache (`kfree_rcu_sheaf()`).
    pub has_sheaves: bool,
}

impl Generation {
    /// As in 6.1.
    pub const BATCHES: Generation = Generation { pages_have_cookies: false, has_sheaves: false };
    /// As in 6.12, and as the document knew it.
    pub const COOKIES: Generation = Generation { pages_have_cookies: true, has_sheaves: false };
    /// As in 6.18 and later.
    pub const SHEAVES: Generation = Generation { pages_have_cookies: true, has_sheaves: true };
}
