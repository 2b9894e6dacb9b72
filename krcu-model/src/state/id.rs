//! Ids: they tell caches, destroys, moments and callers apart.

use crate::event::{Cpu, Task, Time};

/// The life of one cache. Lives are counted from 0, in the order in which the watch met them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct CacheId(pub u32);

/// One call of `kmem_cache_destroy()`. Calls are counted from 0, in the order of their entry. The number
/// stays the same when older calls are forgotten.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct DestroyId(pub u64);

/// A point in the stream of events: the position of an event, and its time.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Mark {
    /// How many events came before.
    pub position: u64,
    /// When it was.
    pub time: Time,
}

/// Who runs a free: a task, or the idle task of one CPU. The CPU is needed because all idle tasks have the
/// same number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Freer {
    task: Task,
    idle_cpu: Option<Cpu>,
}

impl Freer {
    /// The freer of an event of this task on this CPU.
    #[must_use]
    pub fn of(task: Task, cpu: Cpu) -> Freer {
        Freer { task, idle_cpu: (task == Task(0)).then_some(cpu) }
    }

    /// The task.
    #[must_use]
    pub fn task(self) -> Task {
        self.task
    }
}
