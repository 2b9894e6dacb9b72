//! Telling: what a machine tells of a move, to a watcher and to a simulation.

use super::{Machine, ObjectIndex, Seen};
use krcu_model::event::{Cpu, Event, Task, Time, What};

/// What a machine tells beside its state. The checker has it tell every event, and nothing else.
#[derive(Clone, Debug, Default)]
pub(crate) struct Telling {
    /// Whether it tells only how caches end. A simulation that nobody watches needs no other event.
    pub(crate) only_ends: bool,
    /// The objects that were freed since somebody took the list; absent if nobody does.
    pub(crate) freed: Option<Vec<ObjectIndex>>,
}

impl Machine {
    pub(crate) fn say(&self, seen: &mut Seen, task: Task, cpu: Cpu, what: What) {
        let is_end = |what: &What| {
            matches!(
                what,
                What::SlabsFreed { .. }
                    | What::CacheReleased { .. }
                    | What::Reported { .. }
                    | What::Lingers { .. }
            )
        };
        if self.telling.only_ends && !is_end(&what) {
            return;
        }
        seen.push(Event { time: Time(0), task, cpu, what });
    }
}
