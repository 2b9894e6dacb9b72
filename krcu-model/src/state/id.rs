//! Ids: what tells caches, destroys, moments and callers apart.

use crate::event::{Cpu, Task, Time};

/// One cache's life, counted from 0 in the order in which the watch met them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct CacheId(pub u32);

/// One call of `kmem_cache_destroy()`, counted from 0 in the order of their entry. It stays the same when older ones
/// are forgotten.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct DestroyId(pub u64);

/// A point in the stream: the place of an event, and its time.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Mark {
    /// How many events came before.
    pub position: u64,
    /// When it was.
    pub time: Time,
}

/// Who runs a free: a task, or the idle task of one CPU, for those all have the same number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Freer {
    task: Task,
    idle_cpu: Option<Cpu>,
}

impl Freer {
    /// The one behind an event.
    #[must_use]
    pub fn of(task: Task, cpu: Cpu) -> Freer {
        Freer { task, idle_cpu: (task == Task(0)).then_some(cpu) }
    }
}
