//! Origins: who has queued what is outstanding. An origin is one task on one CPU, with one stack and one form of
//! `kfree_rcu()`.
//!
//! What is outstanding is counted by origin as it changes, and the objects of an origin are a chain, in the order of
//! their queueing. So the counts by stack and by CPU, the oldest object, and the objects that a task had queued before
//! its barrier are known without a look at the others. There are as many origins as callers, not as objects.

use std::collections::BTreeMap;

use krcu_common::QueueForm;

use crate::{
    event::{Cpu, Task},
    state::stack::StackId,
};

/// The number of a slot that does not exist: the end of a chain.
pub(crate) const NO_SLOT: u32 = u32::MAX;

/// Origins that the last objects came from, which are found without a search.
const RECENT: usize = 8;

/// Origins without objects that are kept, because most will queue again.
const IDLE: usize = 64;

/// Who queues, and how.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Origin {
    /// The task. It is the first field, so that the origins of a task follow each other.
    pub(crate) task: Task,
    pub(crate) cpu: Cpu,
    pub(crate) stack: StackId,
    pub(crate) form: QueueForm,
}

/// The outstanding objects of one origin.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Chain {
    pub(crate) origin: Origin,
    pub(crate) objects: u64,
    /// The slot of the object that was queued first.
    pub(crate) oldest: u32,
    /// The slot of the object that was queued last.
    pub(crate) newest: u32,
}

/// All origins of a table.
#[derive(Clone, Debug, Default)]
pub(crate) struct Origins {
    numbers: BTreeMap<Origin, u32>,
    chains: Vec<Chain>,
    /// Numbers that are in use no more.
    free: Vec<u32>,
    /// How many of those in use have no objects.
    idle: usize,
    recent: [u32; RECENT],
}

impl Origins {
    /// The number of an origin.
    pub(crate) fn number(&mut self, origin: Origin) -> u32 {
        let recent = usize::from(origin.cpu.0) % RECENT;
        let number = self.recent[recent];
        // A number that is not in use has no objects, and its chain may be of any origin.
        if self.chains.get(number as usize).is_some_and(|chain| chain.objects > 0 && chain.origin == origin) {
            return number;
        }
        let number = self.search(origin);
        self.recent[recent] = number;
        number
    }

    fn search(&mut self, origin: Origin) -> u32 {
        if let Some(number) = self.numbers.get(&origin) {
            return *number;
        }
        if self.idle > IDLE {
            self.forget_idle();
        }
        let chain = Chain { origin, objects: 0, oldest: NO_SLOT, newest: NO_SLOT };
        let number = self.free.pop().unwrap_or_else(|| u32::try_from(self.chains.len()).unwrap_or(NO_SLOT));
        match self.chains.get_mut(number as usize) {
            Some(unused) => *unused = chain,
            None => self.chains.push(chain),
        }
        self.numbers.insert(origin, number);
        self.idle += 1;
        number
    }

    #[cold]
    fn forget_idle(&mut self) {
        let (chains, free) = (&self.chains, &mut self.free);
        self.numbers.retain(|_, number| {
            let has_objects = chains[*number as usize].objects > 0;
            if !has_objects {
                free.push(*number);
            }
            has_objects
        });
        self.idle = 0;
    }

    /// The chain of an origin with this number.
    pub(crate) fn chain(&self, number: u32) -> &Chain {
        &self.chains[number as usize]
    }

    /// Adds an object in this slot, the newest. Returns the slot that was the newest before.
    pub(crate) fn push(&mut self, number: u32, slot: u32) -> u32 {
        let chain = &mut self.chains[number as usize];
        self.idle -= usize::from(chain.objects == 0);
        chain.objects += 1;
        let before = std::mem::replace(&mut chain.newest, slot);
        if before == NO_SLOT {
            chain.oldest = slot;
        }
        before
    }

    /// Takes out an object between these two; the chain's ends are told by [`NO_SLOT`].
    pub(crate) fn unlink(&mut self, number: u32, older: u32, newer: u32) {
        let chain = &mut self.chains[number as usize];
        chain.objects -= 1;
        self.idle += usize::from(chain.objects == 0);
        if older == NO_SLOT {
            chain.oldest = newer;
        }
        if newer == NO_SLOT {
            chain.newest = older;
        }
    }

    /// The chains that have objects, by their origin.
    pub(crate) fn chains(&self) -> impl Iterator<Item = &Chain> {
        self.numbers.values().map(|number| self.chain(*number)).filter(|chain| chain.objects > 0)
    }

    /// Those of one task.
    pub(crate) fn of_task(&self, task: Task) -> impl Iterator<Item = &Chain> {
        let first = Origin { task, cpu: Cpu(0), stack: StackId(0), form: QueueForm::Head };
        let own = self.numbers.range(first..).take_while(move |(origin, _)| origin.task == task);
        own.map(|(_, number)| self.chain(*number)).filter(|chain| chain.objects > 0)
    }
}
