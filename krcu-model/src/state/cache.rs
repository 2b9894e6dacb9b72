//! Cache: what is believed of one that lives.
//!
//! A cache is a life, not an address: the address is used again, the [`CacheId`] is not. An object is in its cache's
//! [`ObjectTable`] from the call that queues it until the call that frees it begins, and counts as *being freed* until
//! that call has returned.

use crate::{
    event::{CacheFacts, Time},
    state::{
        freed_by::FreedBy,
        function::Recent,
        id::{CacheId, DestroyId, Mark},
        object_table::ObjectTable,
        stack::StackId,
    },
};

/// How a cache came into the watch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Born {
    /// Created while the probes were attached.
    Watched {
        /// When.
        at: Mark,
        /// Where from.
        stack: StackId,
    },
    /// It is older than the probes: what was queued before them is unknown.
    BeforeAttach,
}

/// A slab cache.
#[derive(Clone, Debug)]
pub struct Cache {
    /// Which life.
    pub id: CacheId,
    /// What it is.
    pub facts: CacheFacts,
    /// Other names under which it was asked for.
    pub aliases: Vec<String>,
    /// How it came into the watch.
    pub born: Born,
    /// Whether its objects are counted, not streamed.
    pub counted: bool,
    /// Deferred frees that have not begun.
    pub outstanding: ObjectTable,
    /// Deferred frees that have begun, in calls that have not returned.
    pub being_freed: u64,
    /// Callbacks of `call_rcu()` that have not begun to run, where it is told when they do.
    pub callbacks_waiting: u64,
    /// Callbacks that have begun and not returned.
    pub callbacks_running: u64,
    /// Runs of callbacks that were queued before anything was seen of them.
    pub callbacks_unknown: u64,
    /// Objects ever handed to `kfree_rcu()`.
    pub queued: u64,
    /// Callbacks ever handed to `call_rcu()` with a head in an object.
    pub callbacks: u64,
    /// The last `kfree_rcu()` that no program order ends: one that freed within its call is not here.
    pub last_queued: Option<Mark>,
    /// The last `call_rcu()`.
    pub last_callback: Option<Mark>,
    /// Stack of the last `call_rcu()`.
    pub last_callback_stack: StackId,
    /// The functions of the last ones.
    pub functions: Recent,
    /// Stack of the last `kfree_rcu()`.
    pub last_queued_stack: StackId,
    /// The last free of a deferred object.
    pub last_freed: Option<Time>,
    /// Frees of objects that were queued before anything was seen of them.
    pub freed_unknown: u64,
    /// Frees and runs of callbacks of what nobody was seen to queue, and that may be the module's own.
    pub unexplained: u64,
    /// Deferred objects that were freed, by how.
    pub freed_by: FreedBy,
    /// Everything queued before this point had been freed when a barrier for this cache returned.
    pub covered: u64,
    /// The same, if a barrier ran inside a destroy of which it is not known whether one did.
    pub maybe_covered: u64,
    /// Whether a barrier for this cache has returned whose begin was not seen.
    pub after_older_barrier: bool,
    /// The destroy that failed to empty it.
    pub failed: Option<DestroyId>,
    /// The last destroy that began to look at it.
    pub looking: Option<DestroyId>,
    /// The last destroy whose look at it is over.
    pub looked: Option<DestroyId>,
}
