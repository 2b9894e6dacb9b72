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

/// Up to so many origins are looked through one after the other.
const FEW: usize = 16;

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

/// All origins of a table. Most tables have a few, and a checker copies them at each event.
#[derive(Clone, Debug, Default)]
pub(crate) struct Origins {
    chains: Vec<Chain>,
    many: Option<Box<Many>>,
}

/// What finds an origin among many.
#[derive(Clone, Debug, Default)]
struct Many {
    numbers: BTreeMap<Origin, u32>,
    /// Numbers that are in use no more.
    free: Vec<u32>,
    /// How many of those in use have no objects.
    idle: usize,
    recent: [u32; RECENT],
}

impl Origins {
    /// The number of an origin.
    pub(crate) fn number(&mut self, origin: Origin) -> u32 {
        match &mut self.many {
            Some(many) => many.number(origin, &mut self.chains),
            None => self.number_among_few(origin),
        }
    }

    fn number_among_few(&mut self, origin: Origin) -> u32 {
        let known = self.chains.iter().position(|chain| chain.origin == origin);
        let place = known.or_else(|| self.chains.iter().position(|chain| chain.objects == 0));
        let place = place.unwrap_or(self.chains.len());
        match self.chains.get_mut(place) {
            Some(chain) if chain.objects == 0 => *chain = Chain::of(origin),
            Some(_) => {}
            None => self.chains.push(Chain::of(origin)),
        }
        if self.chains.len() > FEW {
            self.many = Some(Box::new(Many::of(&self.chains)));
        }
        u32::try_from(place).unwrap_or(NO_SLOT)
    }

    /// The chain of an origin with this number.
    pub(crate) fn chain(&self, number: u32) -> &Chain {
        &self.chains[number as usize]
    }

    /// Adds an object in this slot, the newest. Returns the slot that was the newest before.
    pub(crate) fn push(&mut self, number: u32, slot: u32) -> u32 {
        let chain = &mut self.chains[number as usize];
        if let (0, Some(many)) = (chain.objects, &mut self.many) {
            many.idle -= 1;
        }
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
        if let (0, Some(many)) = (chain.objects, &mut self.many) {
            many.idle += 1;
        }
        if older == NO_SLOT {
            chain.oldest = newer;
        }
        if newer == NO_SLOT {
            chain.newest = older;
        }
    }

    /// The chains that have objects.
    pub(crate) fn chains(&self) -> impl Iterator<Item = &Chain> {
        self.chains.iter().filter(|chain| chain.objects > 0)
    }

    /// Those of one task.
    pub(crate) fn of_task(&self, task: Task) -> impl Iterator<Item = &Chain> {
        let first = Origin { task, cpu: Cpu(0), stack: StackId(0), form: QueueForm::Head };
        let among_many = self.many.iter().flat_map(move |many| {
            let own = many.numbers.range(first..).take_while(move |(origin, _)| origin.task == task);
            own.map(|(_, number)| self.chain(*number))
        });
        let few = if self.many.is_some() { &[] } else { self.chains.as_slice() };
        let among_few = few.iter().filter(move |chain| chain.origin.task == task);
        among_many.chain(among_few).filter(|chain| chain.objects > 0)
    }
}

impl Chain {
    fn of(origin: Origin) -> Chain {
        Chain { origin, objects: 0, oldest: NO_SLOT, newest: NO_SLOT }
    }
}

impl Many {
    fn of(chains: &[Chain]) -> Many {
        let numbers = (0..).zip(chains).map(|(number, chain)| (chain.origin, number)).collect();
        let idle = chains.iter().filter(|chain| chain.objects == 0).count();
        Many { numbers, idle, ..Many::default() }
    }

    fn number(&mut self, origin: Origin, chains: &mut Vec<Chain>) -> u32 {
        let recent = usize::from(origin.cpu.0) % RECENT;
        let number = self.recent[recent];
        // A number that is not in use has no objects, and its chain may be of any origin.
        if chains.get(number as usize).is_some_and(|chain| chain.objects > 0 && chain.origin == origin) {
            return number;
        }
        let number = self.search(origin, chains);
        self.recent[recent] = number;
        number
    }

    fn search(&mut self, origin: Origin, chains: &mut Vec<Chain>) -> u32 {
        if let Some(number) = self.numbers.get(&origin) {
            return *number;
        }
        if self.idle > IDLE {
            self.forget_idle(chains);
        }
        let number = self.free.pop().unwrap_or_else(|| u32::try_from(chains.len()).unwrap_or(NO_SLOT));
        match chains.get_mut(number as usize) {
            Some(unused) => *unused = Chain::of(origin),
            None => chains.push(Chain::of(origin)),
        }
        self.numbers.insert(origin, number);
        self.idle += 1;
        number
    }

    #[cold]
    fn forget_idle(&mut self, chains: &[Chain]) {
        let free = &mut self.free;
        self.numbers.retain(|_, number| {
            let has_objects = chains[*number as usize].objects > 0;
            if !has_objects {
                free.push(*number);
            }
            has_objects
        });
        self.idle = 0;
    }
}
