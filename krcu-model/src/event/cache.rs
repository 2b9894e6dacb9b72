//! Cache: what the kernel says about a cache, and about what a destroy left in it.

use serde::Serialize;

/// What `kmem_cache_destroy()` and related functions say about a cache.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CacheFacts {
    /// Its name: for a merged cache, that of its first creator.
    pub name: String,
    /// Bytes of an object as its user sees it.
    pub object_size: u32,
    /// Users of the cache.
    pub refcount: i32,
}

/// Objects that a failed shutdown left, by the kernel's own counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Leftover {
    /// Objects still allocated.
    pub objects: u64,
    /// Of these, objects on partial slabs: the kernel's report lists no others.
    pub listed: u64,
}
