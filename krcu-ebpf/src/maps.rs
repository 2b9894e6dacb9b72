//! The maps, each with the reason for its size.

use aya_ebpf::{
    macros::map,
    maps::{Array, HashMap, LruHashMap, PerCpuArray, RingBuf, StackTrace},
};
use krcu_common::count::{ROW_WORDS, ROWS};

use crate::kernel::PartialWalk;

/// Every event, of every CPU. One ring, because its reservations are then one order of all of them.
/// The agent sets the size; this one is for an object that is loaded by hand.
#[map]
pub static EVENTS: RingBuf = RingBuf::with_byte_size(1 << 20, 0);

/// What became of each run, by kind and fate (`krcu_common::count`). A row for each kind, so that one
/// look-up serves all that a run counts.
#[map]
pub static COUNTERS: PerCpuArray<[u64; ROW_WORDS as usize]> = PerCpuArray::with_max_entries(ROWS, 0);

/// Events of objects that found no room in the ring, and those that no map had room for, by their cache
/// (`krcu_common::count::loss_key`). A ring that overflows does so by the objects of few caches; of those
/// beyond these, and of events that are about no object, only the number is known.
#[map]
pub static LOST: HashMap<u64, u64> = HashMap::with_max_entries(1024, 0);

/// How often something was lost, by CPU, so that the reader has one number to look at. It is raised last.
#[map]
pub static LOSSES: PerCpuArray<u64> = PerCpuArray::with_max_entries(1, 0);

/// Stacks by number, so that an event carries four bytes of it. A kernel's queueing sites for caches
/// that can be destroyed are few; beyond 4,096 (a kilobyte each) an event has no site, which is counted. The
/// agent may set another size.
#[map]
pub static STACKS: StackTrace = StackTrace::with_max_entries(4096, 0);

/// Sites whose frames have been sent, with the module epoch in which they were. As large as the kernel makes
/// the table of the stacks, so it always has room.
#[map]
pub static SITES: HashMap<u32, u32> = HashMap::with_max_entries(4096, 0);

/// How often a module has been unloaded: its addresses may mean something else after that.
#[map]
pub static MODULE_EPOCH: Array<u32> = Array::with_max_entries(1, 0);

/// Tasks inside `kmem_cache_destroy()`, with their calls of `flush_rcu_work()` so far. A destroy that only
/// drops a reference leaves its entry behind, until its task destroys again: there is room for 8,192 such
/// tasks. `FLUSHES_UNKNOWN` says of one that it is over, where that could be seen. Not least recently used: it
/// would give up an entry in use, without a word, where CPUs are many.
#[map]
pub static DESTROYING: HashMap<u32, u32> = HashMap::with_max_entries(8192, 0);

/// Tasks inside `__kmem_cache_shutdown()`, with the cache: its return knows no arguments. Shutdowns
/// hold `slab_mutex`, so one entry would do.
#[map]
pub static SHUTTING_DOWN: HashMap<u32, u64> = HashMap::with_max_entries(64, 0);

/// Caches of built-in code into which others were merged while the probes were there: these are followed.
#[map]
pub static FOLLOWED: HashMap<u64, u8> = HashMap::with_max_entries(256, 0);

/// Callbacks whose symbol has been sent, with the module epoch in which it was. Least recently used: what
/// is forgotten is sent once more.
#[map]
pub static FUNCTIONS: LruHashMap<u64, u32> = LruHashMap::with_max_entries(1024, 0);

/// How many entries of [`BATCHES`] are of callbacks that run. Every callback of the system asks, and nearly
/// always there is none.
#[map]
pub static CALLBACKS_RUNNING: Array<u64> = Array::with_max_entries(1, 0);

/// Calls that free several objects, by task and path, with the cache of the streamed ones that they have
/// freed. An entry for each call that is running.
#[map]
pub static BATCHES: HashMap<u64, u64> = HashMap::with_max_entries(1024, 0);

/// Places in [`DONE_HERE`]; a power of two.
pub const DONE_HERE_PLACES: u32 = 256;

/// Calls for which the first copy of a program has done the work ([`crate::probes::first`]), on this CPU,
/// until the second copy has looked, which is a few instructions later. Another call takes the place from one
/// if it comes in between and has the same hash.
#[map]
pub static DONE_HERE: PerCpuArray<u64> = PerCpuArray::with_max_entries(DONE_HERE_PLACES, 0);

/// Places in [`DONE`]; a power of two.
pub const DONE_PLACES: u32 = 4096;

/// The same of all CPUs, for a task that is moved to another in between. Either is enough: work would be done
/// twice only if a task were moved in these few instructions and met another of the same hash.
#[map]
pub static DONE: Array<u64> = Array::with_max_entries(DONE_PLACES, 0);

/// The walk along a cache's partial slabs. Here and not on the stack, so that the verifier knows no
/// value of it and the walk looks the same to it at every step. Walks run under `slab_mutex`: one is
/// enough.
#[map]
pub static PARTIAL_WALK: PerCpuArray<PartialWalk> = PerCpuArray::with_max_entries(1, 0);
