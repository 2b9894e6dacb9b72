//! Essence: the part of a world that its future depends on, as bytes. Two worlds with the same bytes are
//! alike.
//!
//! The numbers of CPUs, and of objects that no task will name again, do not change a world's future. Nor does
//! the number of grace periods that have ended. So these are left out: objects are numbered in the order in
//! which they are met, cookies say how many grace periods still have to end, and the CPUs are written in the
//! order that gives the smallest bytes.
//!
//! Of the watcher's beliefs, only those that the promises depend on are written: for each object, whether a
//! grace period has passed, and which barriers cover it.

use super::world::World;
use crate::machine::{
    Machine, ObjectIndex, TaskIndex,
    cache::End,
    fault::Fault,
    op::Op,
    parts::{Callback, Duty, Krw, Monitor, Page, Taken, Work},
    sequence::Cookie,
};
use krcu_model::{
    event::{CacheAddress, Cpu, ObjectAddress},
    promise::covers,
    state::Mark,
};

/// The essence of a world.
#[must_use]
pub fn essence(world: &World) -> Vec<u8> {
    let cpus: Vec<Cpu> = world.machine.cpu_numbers().collect();
    let beliefs = Beliefs::of(world);
    let as_they_are = Writer::write(world, &cpus, &beliefs);
    if !is_symmetric(&world.machine) {
        return as_they_are;
    }
    let reversed: Vec<Cpu> = cpus.into_iter().rev().collect();
    as_they_are.min(Writer::write(world, &reversed, &beliefs))
}

/// Whether CPUs are interchangeable: no task is bound to one, and nothing goes to a certain CPU (as the slabs
/// of a type-safe cache do).
fn is_symmetric(machine: &Machine) -> bool {
    !machine.setup().caches.iter().any(|cache| cache.type_safe)
        && machine.setup().tasks.iter().all(|task| task.cpu.is_none())
        && !machine.has_fault(Fault::BarrierOnOneCpu)
}

/// What the watcher believes. It does not depend on the order of the CPUs.
struct Beliefs {
    /// The lines of all objects, one after the other.
    lines: Vec<u8>,
    /// Where the line of each object ends.
    ends: Vec<usize>,
    /// What is believed of caches, destroys and promises.
    rest: Vec<u8>,
}

struct Writer<'a> {
    machine: &'a Machine,
    /// The CPUs in the order in which they are written.
    order: &'a [Cpu],
    /// The numbers of objects, by index, in the order in which they were met; 0 for an object that was not
    /// met.
    labels: Vec<u8>,
    met: u8,
    bytes: Vec<u8>,
}

impl<'a> Writer<'a> {
    fn write(world: &'a World, order: &'a [Cpu], beliefs: &Beliefs) -> Vec<u8> {
        let machine = &world.machine;
        let labels = vec![0; machine.objects().len()];
        let mut writer = Writer { machine, order, labels, met: 0, bytes: Vec::with_capacity(256) };
        writer.tasks();
        writer.cpus();
        writer.rest();
        writer.believed(beliefs);
        writer.bytes
    }

    fn byte(&mut self, byte: u8) {
        self.bytes.push(byte);
    }

    fn flag(&mut self, flag: bool) {
        self.bytes.push(u8::from(flag));
    }

    fn small(&mut self, number: impl TryInto<u8>) {
        self.bytes.push(number.try_into().unwrap_or(u8::MAX));
    }

    fn object(&mut self, object: ObjectIndex) {
        let place = object.0 as usize;
        if self.labels[place] == 0 {
            self.met += 1;
            self.labels[place] = self.met;
        }
        self.byte(self.labels[place]);
    }

    fn list(&mut self, objects: &[ObjectIndex]) {
        self.small(objects.len());
        objects.iter().for_each(|object| self.object(*object));
    }

    /// A set of objects, whose order does not matter.
    fn set(&mut self, objects: &[ObjectIndex]) {
        let mut objects = objects.to_vec();
        objects.sort_unstable_by_key(|object| (self.labels[object.0 as usize], *object));
        self.list(&objects);
    }

    fn cookie(&mut self, cookie: Cookie) {
        self.small(self.machine.grace.remaining(cookie));
    }

    /// The place of a CPU in the order that is written.
    fn cpu(&mut self, cpu: Cpu) {
        let place = self.order.iter().position(|other| *other == cpu);
        self.small(place.unwrap_or(usize::from(u8::MAX)));
    }

    fn tasks(&mut self) {
        let machine = self.machine;
        // Objects that a task will still name keep their identity.
        for (setup, thread) in machine.setup().tasks.iter().zip(&machine.tasks) {
            for op in setup.program.iter().skip(thread.next as usize) {
                if let Op::Queue(o) | Op::QueueHeadless(o) | Op::CallRcu(o) | Op::Free(o) | Op::ReadLock(o) =
                    op
                {
                    self.object(*o);
                }
            }
        }
        let type_safe = machine.setup().caches.iter().any(|cache| cache.type_safe);
        for (index, thread) in (0..).map(TaskIndex).zip(&machine.tasks) {
            self.small(thread.next);
            if machine.is_finished(index) {
                continue;
            }
            for place in 0..self.order.len() {
                self.flag(thread.visited.has(self.order[place]));
            }
            self.flag(thread.has_noted);
            if type_safe || thread.waiting.is_some() {
                self.cpu(thread.cpu);
            }
            let sequences = [machine.rcu_barrier, machine.kfree_rcu_barrier];
            for (sequence, cookie) in sequences.iter().zip(thread.cookies) {
                self.small(sequence.remaining(cookie));
            }
            self.set(&thread.noted);
            self.small(thread.noted_tasks.len());
            thread.noted_tasks.iter().for_each(|task| self.small(task.0));
            self.small(thread.noted_caches.len());
            thread.noted_caches.iter().for_each(|cache| self.small(cache.0));
            self.small(thread.waiting.map_or(0, |cookie| 1 + machine.grace.remaining(cookie)));
            match thread.reading {
                None => self.byte(0),
                Some(object) => {
                    self.byte(1);
                    self.object(object);
                }
            }
            if let Some((cpu, requested)) = thread.flush {
                self.cpu(cpu);
                let krws = &machine.cpu(cpu).krc.krw;
                for (krw, requested) in krws.iter().zip(requested) {
                    self.small(1 + requested.saturating_sub(krw.finished));
                }
            } else {
                self.byte(u8::MAX);
            }
        }
    }

    fn cpus(&mut self) {
        let machine = self.machine;
        for place in 0..self.order.len() {
            let processor = machine.cpu(self.order[place]);
            self.flag(processor.offline);
            let krc = &processor.krc;
            self.list(&krc.head);
            if !krc.head.is_empty() {
                self.cookie(krc.head_cookie);
            }
            krc.bulk.iter().for_each(|pages| self.pages(pages));
            match &krc.monitor {
                Monitor::Idle => self.byte(0),
                Monitor::Armed { .. } => self.byte(1),
                Monitor::Running(freeing) => {
                    self.byte(2);
                    self.freeing(freeing);
                }
            }
            krc.krw.iter().for_each(|krw| self.krw(krw));
            self.small(krc.cached_pages);
            self.flag(krc.fill);
            for sheaf in &processor.sheaves {
                self.flag(sheaf.present);
                self.list(&sheaf.objects);
            }
            self.small(processor.callbacks.len());
            processor.callbacks.iter().for_each(|callback| self.callback(callback));
        }
    }

    fn pages(&mut self, pages: &[Page]) {
        self.small(pages.len());
        for page in pages {
            self.list(&page.objects);
            self.cookie(page.cookie);
        }
    }

    fn freeing(&mut self, freeing: &Taken) {
        self.small(freeing.parts.len());
        for part in &freeing.parts {
            self.byte(part.path as u8);
            self.list(&part.objects);
        }
    }

    fn krw(&mut self, krw: &Krw) {
        krw.pages.iter().for_each(|pages| self.pages(pages));
        self.list(&krw.head);
        self.byte(match krw.work {
            Work::Idle => 0,
            Work::Waiting => 1,
            Work::Ready => 2,
        });
        match &krw.running {
            None => self.byte(0),
            Some(freeing) => {
                self.byte(1);
                self.freeing(freeing);
            }
        }
    }

    fn callback(&mut self, callback: &Callback) {
        self.cookie(callback.cookie);
        match &callback.duty {
            Duty::Module(object) => {
                self.byte(0);
                self.object(*object);
            }
            Duty::Work(cpu, slot) => {
                self.byte(1);
                self.cpu(*cpu);
                self.byte(*slot);
            }
            Duty::Sheaf(cache, objects) => {
                self.byte(2);
                self.small(cache.0);
                self.list(objects);
            }
            Duty::Page(objects) => {
                self.byte(3);
                self.list(objects);
            }
            Duty::Barrier => self.byte(4),
            Duty::Slabs(cache) => {
                self.byte(5);
                self.small(cache.0);
            }
            Duty::Release(cache) => {
                self.byte(6);
                self.small(cache.0);
            }
        }
    }

    fn rest(&mut self) {
        let machine = self.machine;
        self.flag(machine.grace.is_in_flight());
        self.small(machine.blocking_readers.len());
        machine.blocking_readers.iter().for_each(|task| self.small(task.0));
        match &machine.shrinker {
            None => self.byte(0),
            Some((cpu, freeing)) => {
                self.byte(1);
                self.cpu(*cpu);
                self.freeing(freeing);
            }
        }
        self.flag(machine.rcu_barrier.is_in_flight());
        self.flag(machine.kfree_rcu_barrier.is_in_flight());
        self.small(machine.barrier_callbacks);
        for owner in machine.lock_owners {
            self.small(owner.map_or(0, |task| task.0 + 1));
        }
        match machine.going_offline {
            None => self.byte(u8::MAX),
            Some(cpu) => self.cpu(cpu),
        }
        self.small(machine.cpus_readers);
        self.flag(machine.pressure);
        self.byte(machine.offline_left);
        self.byte(machine.online_left);
        self.byte(machine.shortages_left);
        self.byte(machine.shrinks_left);
        for cache in machine.caches() {
            self.small(cache.users);
            match cache.end {
                End::Alive => self.byte(0),
                End::GivenUp => self.byte(1),
                End::Lingering { reported, .. } => self.byte(2 + u8::from(reported)),
                End::Emptied => self.byte(4),
                End::AwaitsWork => self.byte(5),
                End::AwaitsCallbacks(waits) => self.small(6 + waits),
                End::Released => self.byte(u8::MAX),
            }
        }
    }

    /// Objects in the order of their numbers. Objects that were not met come last; they are alike if their
    /// beliefs are.
    fn believed(&mut self, beliefs: &Beliefs) {
        let mut order: Vec<(u8, &[u8])> = self
            .labels
            .iter()
            .enumerate()
            .map(|(place, label)| (if *label == 0 { u8::MAX } else { *label }, beliefs.line(place)))
            .collect();
        order.sort_unstable();
        order.into_iter().for_each(|(_, line)| self.bytes.extend_from_slice(line));
        self.bytes.extend_from_slice(&beliefs.rest);
    }
}

fn small(bytes: &mut Vec<u8>, number: impl TryInto<u8>) {
    bytes.push(number.try_into().unwrap_or(u8::MAX));
}

impl Beliefs {
    fn of(world: &World) -> Beliefs {
        let machine = &world.machine;
        let mut beliefs =
            Beliefs { lines: Vec::with_capacity(128), ends: Vec::new(), rest: Vec::with_capacity(32) };
        for (index, life) in (0..).map(ObjectIndex).zip(machine.objects()) {
            let cache = machine.object_setup(index).cache;
            beliefs.lines.push(cache.and_then(|cache| u8::try_from(cache.0).ok()).unwrap_or(u8::MAX));
            beliefs.lines.push(*life as u8);
            let (object, cache) = (machine.object_address(index), machine.cache_address_of(index));
            believed(world, &mut beliefs.lines, object, cache);
            beliefs.ends.push(beliefs.lines.len());
        }
        let state = world.state.view();
        let rest = &mut beliefs.rest;
        for (address, cache) in state.caches {
            small(rest, address.0);
            small(rest, cache.being_freed);
            rest.push(u8::from(cache.failed.is_some()));
        }
        for (address, end) in &state.ledger.ends {
            small(rest, address.0);
            small(rest, end.looked_by.map_or(0, |task| task.0 + 1));
            rest.push(u8::from(end.reported) | u8::from(end.released) << 1);
        }
        small(rest, state.ledger.violations.len());
        let mut broken: Vec<u8> = state.ledger.violations.iter().map(|v| v.promise as u8).collect();
        broken.sort_unstable();
        broken.dedup();
        rest.extend(broken);
        rest.push(u8::from(world.is_quiet));
        beliefs
    }

    /// The line of the object at this place.
    fn line(&self, place: usize) -> &[u8] {
        let begin = place.checked_sub(1).map_or(0, |before| self.ends[before]);
        &self.lines[begin..self.ends[place]]
    }
}

/// What is believed of one object, as far as a promise can depend on it.
fn believed(world: &World, line: &mut Vec<u8>, object: ObjectAddress, cache: CacheAddress) {
    let state = world.state.view();
    let ledger = state.ledger;
    let entry = state.caches.get(&cache).and_then(|cache| cache.outstanding.get(object));
    let queued = entry.map(|entry| (entry.queued, entry.task));
    let waiting = ledger.callbacks.get(&object).map(|waiting| (waiting.queued, waiting.task));
    line.push(u8::from(queued.is_some()) | u8::from(waiting.is_some()) << 1);
    line.push(u8::from(state.orphans.contains_key(&object)));
    line.push(u8::from(ledger.allocated.contains_key(&object)));
    let returned = ledger.returned.get(&object);
    line.push(u8::from(returned.is_some()));
    let Some((queued, task)) = queued.or(waiting) else { return };
    let is_before = |position: u64| queued.position < position;
    line.push(
        u8::from(is_before(ledger.grace_reached)) | u8::from(ledger.grace_begun.is_some_and(is_before)) << 1,
    );
    line.push(u8::try_from(task.0).unwrap_or(u8::MAX));
    for (caller, barriers) in state.open_barriers {
        for barrier in barriers {
            let by_order = *caller == task && covers(barrier.begin, queued);
            let by_return = returned.is_some_and(|position| *position < barrier.begin.position);
            let later = covers(Mark { position: queued.position, ..queued }, barrier.begin);
            line.push(u8::from(by_order || by_return) | u8::from(later) << 1);
        }
    }
}
