//! The maps, each with the reason for its size.

use aya_ebpf::{
    macros::map,
    maps::{Array, HashMap, LruHashMap, PerCpuArray, RingBuf, StackTrace},
};
use krcu_common::{
    check::Seen,
    count::{ROW_WORDS, ROWS},
};

use crate::cell::Cell;

/// Every event, of every CPU. There is one ring, because the order of its reservations is then one order of
/// all events. The agent sets the size; this size is for an object that is loaded by hand.
#[map]
pub static EVENTS: RingBuf = RingBuf::with_byte_size(1 << 20, 0);

/// What the check of the configuration saw: one check, before the probes are attached.
#[map]
pub static CHECKED: Array<Seen> = Array::with_max_entries(1, 0);

/// The fate of each run, by kind and fate (`krcu_common::count`). There is one row for each kind, so that one
/// look-up serves everything that a run counts.
#[map]
pub static COUNTERS: PerCpuArray<[u64; ROW_WORDS as usize]> = PerCpuArray::with_max_entries(ROWS, 0);

/// Lost events by the cache whose object they were about: events that found no room in the ring, and entries
/// that found no room in a map (`krcu_common::count::loss_key`). When a ring overflows, the objects of few
/// caches cause it. For more caches than fit here, and for events that are not about an object, only the
/// number is known.
#[map]
pub static LOST: HashMap<u64, u64> = HashMap::with_max_entries(1024, 0);

/// How often something was lost, by CPU, so that the reader has one number to look at. It is increased last.
#[map]
pub static LOSSES: PerCpuArray<u64> = PerCpuArray::with_max_entries(1, 0);

/// Stacks by number, so that an event carries only four bytes. A kernel has few sites that queue objects of
/// caches that can be destroyed. Beyond 4,096 stacks (a kilobyte each), an event has no site, which is
/// counted. The agent may set another size.
#[map]
pub static STACKS: StackTrace = StackTrace::with_max_entries(4096, 0);

/// Sites whose frames have been sent, with the module epoch at that time. The agent gives this table the size
/// to which the kernel rounds the table of stacks, so a site always finds room here.
#[map]
pub static SITES: HashMap<u32, u32> = HashMap::with_max_entries(4096, 0);

/// How often a module has been unloaded: its addresses may mean something else after that. It is a map of its own, and not
/// a look-up in one, since each event asks.
#[unsafe(link_section = ".bss.epoch")]
pub static MODULE_EPOCH: Cell<u32> = Cell::new(0);

/// Tasks inside `kmem_cache_destroy()`, with their calls of `flush_rcu_work()` so far. An entry ends when the
/// destroy looks at its slabs, or when it has dropped a reference. This is not an LRU map: with many CPUs, such a
/// map would silently drop an entry that is in use.
#[map]
pub static DESTROYING: HashMap<u32, u32> = HashMap::with_max_entries(8192, 0);

/// Tasks inside `__kmem_cache_shutdown()`, with the cache, since the probe at the end does not get the
/// arguments. Shutdowns hold `slab_mutex`, so one entry would be enough.
#[map]
pub static SHUTTING_DOWN: HashMap<u32, u64> = HashMap::with_max_entries(64, 0);

/// Caches of built-in code into which others were merged while the probes were there: these are followed.
#[map]
pub static FOLLOWED: HashMap<u64, u8> = HashMap::with_max_entries(256, 0);

/// Callbacks whose symbol has been sent, with the module epoch at that time. This is an LRU map: a symbol
/// that was forgotten is sent once more.
#[map]
pub static FUNCTIONS: LruHashMap<u64, u32> = LruHashMap::with_max_entries(1024, 0);

/// How many entries of [`BATCHES`] are about callbacks that are running. Every callback of the system asks
/// this, and nearly always there is none.
#[map]
pub static CALLBACKS_RUNNING: Array<u64> = Array::with_max_entries(1, 0);

/// Set in an entry of [`WORKS`] while the callback of `queue_rcu_work()` runs that queues the work.
pub const CALLBACK_RUNS: u64 = 1;

/// Works that `queue_rcu_work()` or a callback has queued, with the address by which they were told: that of the head, or
/// their own. An entry ends when its work begins to run, for a work may be queued again in its own run. A work that is
/// cancelled, or whose begin was not seen, leaves its entry until a work at this address is queued again.
#[map]
pub static WORKS: HashMap<u64, u64> = HashMap::with_max_entries(8192, 0);

/// A work that a worker runs, whose function is a module's.
#[derive(Clone, Copy)]
pub struct Working {
    /// The address by which it was told, or would be told.
    pub head: u64,
    pub function: u64,
    /// Whether it was told that it runs.
    pub told: u32,
    /// Whether `queue_rcu_work()` or a callback has queued it, or such a work has.
    pub followed: u32,
}

/// The workers that run a module's work. An entry ends with the run.
#[map]
pub static WORKING: HashMap<u32, Working> = HashMap::with_max_entries(8192, 0);

/// Calls that free several objects, by task and path, with the cache of the streamed objects that they have
/// freed. There is one entry for each running call.
#[map]
pub static BATCHES: HashMap<u64, u64> = HashMap::with_max_entries(1024, 0);

/// The number of places in [`DONE_HERE`]; a power of two.
pub const DONE_HERE_PLACES: u32 = 256;

/// Calls whose work the first copy of a program has done on this CPU ([`crate::probes::first`]), until the
/// second copy has looked, a few instructions later. Another call that comes in between and has the same hash
/// overwrites the entry.
#[map]
pub static DONE_HERE: PerCpuArray<u64> = PerCpuArray::with_max_entries(DONE_HERE_PLACES, 0);

/// The number of places in [`DONE`]; a power of two.
pub const DONE_PLACES: u32 = 4096;

/// The same for all CPUs, for a task that moves to another CPU in between. One of the two entries is enough:
/// work would be done twice only if a task moved during these few instructions and then met another task with
/// the same hash.
#[map]
pub static DONE: Array<u64> = Array::with_max_entries(DONE_PLACES, 0);

/// A walk along one node's partial slabs.
pub struct PartialWalk {
    pub entry: u64,
    pub head: u64,
    pub slabs: u64,
    pub objects: u64,
    pub failed: u64,
}

/// The walk along a cache's partial slabs. It is not on the stack: in a map the verifier knows no value of
/// it, so the walk looks the same to the verifier at every step. Walks run under `slab_mutex`, so one entry
/// is enough.
#[map]
pub static PARTIAL_WALK: PerCpuArray<PartialWalk> = PerCpuArray::with_max_entries(1, 0);
