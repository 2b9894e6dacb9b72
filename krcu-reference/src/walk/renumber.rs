//! Renumber: a world and its path without what they do not use, with the first numbers for the rest.

use krcu_model::event::Cpu;

use super::plan::{Plan, freed};
use crate::{
    check::world::Step,
    machine::{
        CacheIndex, Move, ObjectIndex, Reclaimer, TaskIndex,
        op::{Call, Op},
    },
};

/// A step with other numbers for its CPUs.
pub(super) fn on_cpus(step: Step, mut place: impl FnMut(Cpu) -> Cpu) -> Step {
    let Step::Move(chosen) = step else { return step };
    Step::Move(match chosen {
        Move::Task(task, cpu) => Move::Task(task, place(cpu)),
        Move::Monitor(cpu) => Move::Monitor(place(cpu)),
        Move::Work(cpu, slot) => Move::Work(place(cpu), slot),
        Move::Free(Reclaimer::Monitor(cpu)) => Move::Free(Reclaimer::Monitor(place(cpu))),
        Move::Free(Reclaimer::Work(cpu, slot)) => Move::Free(Reclaimer::Work(place(cpu), slot)),
        Move::Callback(cpu) => Move::Callback(place(cpu)),
        Move::FillPages(cpu) => Move::FillPages(place(cpu)),
        Move::Shrink(cpu) => Move::Shrink(place(cpu)),
        Move::SheafAges(cpu, cache) => Move::SheafAges(place(cpu), cache),
        Move::Offline(cpu) => Move::Offline(place(cpu)),
        Move::Online(cpu) => Move::Online(place(cpu)),
        Move::Dead(cpu) => Move::Dead(place(cpu)),
        other => other,
    })
}

/// New places, by the old ones.
struct Places {
    objects: Vec<Option<u32>>,
    caches: Vec<Option<u16>>,
    tasks: Vec<Option<u16>>,
}

/// Numbers those that are used, one after the other.
fn numbered<T: TryFrom<usize>>(used: &[bool]) -> Vec<Option<T>> {
    let mut next = 0;
    let mut number = |is_used: &bool| {
        let number = is_used.then(|| T::try_from(next).ok()).flatten();
        next += usize::from(*is_used);
        number
    };
    used.iter().map(&mut number).collect()
}

impl Places {
    fn of(plan: &Plan) -> Places {
        let mut objects = plan.present();
        let mut caches = vec![false; plan.caches.len()];
        for op in plan.ops() {
            if let Op::ReadLock(object) = op {
                objects[object.0 as usize] = true;
            }
            each_cache(op, |cache| {
                caches[usize::from(cache.0)] = true;
                cache
            });
        }
        for (_, object) in objects.iter().zip(&plan.objects).filter(|(is_used, _)| **is_used) {
            for cache in object.cache.into_iter().chain(object.owner) {
                caches[usize::from(cache.0)] = true;
            }
        }
        let tasks: Vec<bool> = plan.actors.iter().map(|actor| !actor.pieces.is_empty()).collect();
        Places { objects: numbered(&objects), caches: numbered(&caches), tasks: numbered(&tasks) }
    }

    fn object(&self, object: ObjectIndex) -> ObjectIndex {
        self.objects[object.0 as usize].map_or(object, ObjectIndex)
    }

    fn cache(&self, cache: CacheIndex) -> CacheIndex {
        self.caches[usize::from(cache.0)].map_or(cache, CacheIndex)
    }

    fn task(&self, task: TaskIndex) -> Option<TaskIndex> {
        self.tasks[usize::from(task.0)].map(TaskIndex)
    }

    /// The op with its new numbers; none if it waits for a task that does nothing.
    fn op(&self, op: Op) -> Option<Op> {
        let object = freed(op).map(|object| self.object(object));
        Some(match (op, object) {
            (Op::Join(task), _) => Op::Join(self.task(task)?),
            (Op::ReadLock(object), _) => Op::ReadLock(self.object(object)),
            (Op::Queue(_), Some(object)) => Op::Queue(object),
            (Op::QueueHeadless(_), Some(object)) => Op::QueueHeadless(object),
            (Op::CallRcu(_), Some(object)) => Op::CallRcu(object),
            (Op::Free(_), Some(object)) => Op::Free(object),
            _ => each_cache(op, |cache| self.cache(cache)),
        })
    }

    fn step(&self, step: Step) -> Step {
        match step {
            Step::Move(Move::Task(task, cpu)) => Step::Move(Move::Task(self.task(task).unwrap_or(task), cpu)),
            Step::Move(Move::SheafAges(cpu, cache)) => Step::Move(Move::SheafAges(cpu, self.cache(cache))),
            Step::Move(Move::ReleaseWork(cache)) => Step::Move(Move::ReleaseWork(self.cache(cache))),
            other => other,
        }
    }
}

/// The op with another cache in the place of each that it names.
fn each_cache(op: Op, mut place: impl FnMut(CacheIndex) -> CacheIndex) -> Op {
    match op {
        Op::Enter(Call::FreeBarrier(cache)) => Op::Enter(Call::FreeBarrier(place(cache))),
        Op::Leave(Call::FreeBarrier(cache)) => Op::Leave(Call::FreeBarrier(place(cache))),
        Op::FlushSheaves(Some(cache)) => Op::FlushSheaves(Some(place(cache))),
        Op::DestroyEnter(cache) => Op::DestroyEnter(place(cache)),
        Op::DropReference(cache) => Op::DropReference(place(cache)),
        Op::ShutdownFlush(cache) => Op::ShutdownFlush(place(cache)),
        Op::Look(cache, found) => Op::Look(place(cache), found),
        Op::Release(cache) => Op::Release(place(cache)),
        Op::ReleaseLater(cache) => Op::ReleaseLater(place(cache)),
        Op::Unload(cache) => Op::Unload(place(cache)),
        // No kernel's exit path has the ops of the other approaches.
        other => other,
    }
}

/// A world and its steps with the first numbers.
pub(super) fn compact(plan: &Plan, steps: &[Step]) -> (Plan, Vec<Step>) {
    let places = Places::of(plan);
    let mut smaller = plan.clone();
    smaller.actors.retain(|actor| !actor.pieces.is_empty());
    for piece in smaller.actors.iter_mut().flat_map(|actor| &mut actor.pieces) {
        piece.ops = piece.ops.iter().filter_map(|op| places.op(*op)).collect();
    }
    let of_places = |place: &Option<u16>| place.is_some();
    let caches = smaller.caches.into_iter().zip(&places.caches);
    smaller.caches = caches.filter(|(_, place)| of_places(place)).map(|(cache, _)| cache).collect();
    let objects = smaller.objects.into_iter().zip(&places.objects).filter(|(_, place)| place.is_some());
    smaller.objects = objects
        .map(|(mut object, _)| {
            object.cache = object.cache.map(|cache| places.cache(cache));
            object.owner = object.owner.map(|owner| places.cache(owner));
            object
        })
        .collect();
    smaller.leaked = smaller.leaked.into_iter().map(|object| places.object(object)).collect();
    (smaller, steps.iter().map(|step| places.step(*step)).collect())
}
