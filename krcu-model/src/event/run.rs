//! Run: events of one kind that follow each other and differ in their times and their objects alone.
//!
//! Most events are such: a call frees hundreds of objects of a cache one after the other. The step takes a run at once,
//! with one search for what its events share.

use krcu_common::{FreePath, QueueForm};

use super::{CacheAddress, Cpu, Event, ObjectAddress, Site, Task, Time, What};

/// Objects of one cache that one task queues, or frees, on one CPU.
#[derive(Clone, Copy, Debug)]
pub struct Run<'a> {
    /// The task.
    pub task: Task,
    /// The CPU.
    pub cpu: Cpu,
    /// The cache.
    pub cache: CacheAddress,
    /// What is done with the objects.
    pub done: Done,
    /// The time of each event, as in [`Time`].
    pub times_ns: &'a [u64],
    /// The object of each event, as in [`ObjectAddress`]. There are as many as times.
    pub objects: &'a [u64],
}

/// What is done with the objects of a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Done {
    /// Each is queued: [`What::Queued`].
    Queued {
        /// The stack of the call.
        site: Site,
        /// The form of `kfree_rcu()`.
        form: QueueForm,
    },
    /// Each is freed: [`What::Freed`].
    Freed {
        /// The way in which it is freed.
        path: FreePath,
    },
}

impl<'a> Run<'a> {
    /// How many events it has.
    #[must_use]
    pub fn len(&self) -> usize {
        self.times_ns.len().min(self.objects.len())
    }

    /// Whether it has none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The run without its first events.
    #[must_use]
    pub fn without(self, first: usize) -> Run<'a> {
        let (times_ns, objects) = (self.times_ns.get(first..), self.objects.get(first..));
        Run { times_ns: times_ns.unwrap_or_default(), objects: objects.unwrap_or_default(), ..self }
    }

    /// Each of its events.
    pub fn events(self) -> impl Iterator<Item = Event> + use<'a> {
        let Run { task, cpu, cache, done, .. } = self;
        self.times_ns.iter().zip(self.objects).map(move |(time, object)| {
            let object = ObjectAddress(*object);
            let what = match done {
                Done::Queued { site, form } => What::Queued { object, cache, site, form },
                Done::Freed { path } => What::Freed { object, cache, path },
            };
            Event { time: Time(*time), task, cpu, what }
        })
    }
}
