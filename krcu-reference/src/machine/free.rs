//! Free: the calls that free objects which were taken off the lists.
//!
//! A worker that has taken its pages off the lists frees them one by one, in one call each. Until then the
//! objects are on no list, but still occupy their slabs. Anything that can happen while such a call runs can
//! also happen right before it, so a call is one move.

use krcu_common::FreePath;

use super::{
    Life, Machine, ObjectIndex, Reclaimer, Seen,
    parts::{Monitor, Part, Taken},
};
use krcu_model::event::{Cpu, Task, What};

impl Machine {
    /// One call of this freer: it frees the next part. With the last part, its work is done.
    pub(crate) fn free_goes_on(&mut self, freer: Reclaimer, seen: &mut Seen) {
        let Some(mut freeing) = self.take_freeing(freer) else { return };
        if let Some(part) = freeing.parts.pop_front() {
            self.free_whole(&part.objects, part.path, Machine::freer_number(freer), freer.cpu(), seen);
            self.give_page_back(&part, freer);
        }
        if freeing.parts.is_empty() {
            self.freer_ends(freer);
        } else {
            self.give_freeing_back(freer, freeing);
        }
    }

    /// The page goes back to its CPU's cache, if there is room.
    fn give_page_back(&mut self, part: &Part, freer: Reclaimer) {
        let room = self.setup.sizes.cached_pages;
        let krc = &mut self.cpu_mut(freer.cpu()).krc;
        if part.path == FreePath::Bulk && krc.cached_pages < room {
            krc.cached_pages += 1;
        }
    }

    /// Whether this freer has taken objects off the lists and not freed them yet.
    pub(crate) fn is_freeing(&self, freer: Reclaimer) -> bool {
        match freer {
            Reclaimer::Monitor(cpu) => self.is_monitor_running(cpu),
            Reclaimer::Work(cpu, slot) => self.cpu(cpu).krc.krw[usize::from(slot)].running.is_some(),
            Reclaimer::Shrinker => self.shrinker.is_some(),
        }
    }

    fn take_freeing(&mut self, freer: Reclaimer) -> Option<Taken> {
        match freer {
            Reclaimer::Monitor(cpu) => match &mut self.cpu_mut(cpu).krc.monitor {
                Monitor::Running(freeing) => Some(std::mem::take(freeing)),
                Monitor::Idle | Monitor::Armed { .. } => None,
            },
            Reclaimer::Work(cpu, slot) => self.cpu_mut(cpu).krc.krw[usize::from(slot)].running.take(),
            Reclaimer::Shrinker => self.shrinker.as_mut().map(|(_, freeing)| std::mem::take(freeing)),
        }
    }

    fn give_freeing_back(&mut self, freer: Reclaimer, freeing: Taken) {
        match freer {
            Reclaimer::Monitor(cpu) => self.cpu_mut(cpu).krc.monitor = Monitor::Running(freeing),
            Reclaimer::Work(cpu, slot) => {
                self.cpu_mut(cpu).krc.krw[usize::from(slot)].running = Some(freeing);
            }
            Reclaimer::Shrinker => {
                if let Some((_, place)) = &mut self.shrinker {
                    *place = freeing;
                }
            }
        }
    }

    fn freer_ends(&mut self, freer: Reclaimer) {
        match freer {
            Reclaimer::Monitor(cpu) => self.monitor_ends(cpu),
            Reclaimer::Work(cpu, slot) => self.cpu_mut(cpu).krc.krw[usize::from(slot)].finished += 1,
            Reclaimer::Shrinker => {
                if let Some((cpu, _)) = self.shrinker.take() {
                    self.queue_batch(cpu);
                    if self.cpu(cpu).krc.has_queued() {
                        self.arm_monitor(cpu);
                    }
                }
            }
        }
    }

    /// One call frees all of these objects, from its entry to its return.
    pub(crate) fn free_whole(
        &mut self,
        objects: &[ObjectIndex],
        path: FreePath,
        task: Task,
        cpu: Cpu,
        seen: &mut Seen,
    ) {
        for object in objects {
            let what = What::Freed {
                object: self.object_address(*object),
                cache: self.cache_address_of(*object),
                path,
            };
            self.say(seen, task, cpu, what);
            self.set_life(*object, Life::Free);
        }
        self.say(seen, task, cpu, What::BatchFreed { path });
    }
}

impl Reclaimer {
    /// The CPU whose objects these are.
    #[must_use]
    pub fn cpu(self) -> Cpu {
        match self {
            Reclaimer::Monitor(cpu) | Reclaimer::Work(cpu, _) => cpu,
            Reclaimer::Shrinker => Cpu(0),
        }
    }
}
