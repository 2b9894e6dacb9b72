//! Check: what the program saw that checks the configuration before the probes are attached.

use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

use crate::wire::NAME_BYTES;

/// The name of the cache of every task.
pub const TASK_CACHE: &str = "task_struct";

/// The way from the task that ran the program to a cache. A word is zero where the way ended before it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct Seen {
    /// The task's address.
    pub object: u64,
    /// The `struct page` of that address.
    pub page: u64,
    /// The head page.
    pub head: u64,
    /// The cache that the head page leads to.
    pub cache: u64,
    /// 1 if the head page says that it belongs to the slab allocator.
    pub is_slab: u64,
    /// The cache's name.
    pub name: [u8; NAME_BYTES],
}

impl Seen {
    /// Nothing was seen.
    pub const ZERO: Seen = Seen { object: 0, page: 0, head: 0, cache: 0, is_slab: 0, name: [0; NAME_BYTES] };

    /// Whether the way led to the cache of tasks.
    #[must_use]
    pub fn is_right(&self) -> bool {
        self.is_slab == 1 && self.name_bytes() == TASK_CACHE.as_bytes()
    }

    /// The name without the zeros behind it.
    #[must_use]
    pub fn name_bytes(&self) -> &[u8] {
        let end = self.name.iter().position(|byte| *byte == 0).unwrap_or(self.name.len());
        self.name.get(..end).unwrap_or_default()
    }
}
