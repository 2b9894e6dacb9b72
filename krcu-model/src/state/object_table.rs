//! The deferred frees of a cache by the address of their object: the one table that grows.
//!
//! With a million objects, memory accesses decide how fast a table is. Objects are freed in about the order
//! in which they were queued, whatever their addresses are. So the data of an object lies in a slot, and
//! slots lie in the order of queueing: one event works near the memory of the last one. Only the number of a
//! slot is found by a hash. Its index takes six to nine bytes for each object, so more of it fits into the
//! processor's caches.
//!
//! The slots of one origin are a chain, from the oldest to the newest (`Origins`). So no question needs a look at every
//! slot.

use krcu_common::QueueForm;

use crate::{
    event::{Cpu, ObjectAddress, Task, Time},
    state::{
        deferred::Outstanding,
        id::Mark,
        object_index::ObjectIndex,
        origins::{Chain, NO_SLOT, Origin, Origins},
        stack::StackId,
    },
};

/// A table never shrinks below the room for this many slots, which is a few batches.
const SMALL_TABLE: usize = 4096;

/// How many objects of a run are looked for at once.
pub(crate) const AHEAD: usize = 16;

/// The data of one object; or a free slot.
#[derive(Clone, Copy, Debug)]
#[repr(C, packed(4))]
struct Slot {
    object: ObjectAddress,
    time: Time,
    position: u64,
    /// The number of its origin.
    origin: u32,
    /// The slot of the object of the same origin that was queued before it.
    older: u32,
    /// The slot of the one that was queued after it.
    newer: u32,
}

/// The position of a free slot. No event is so far behind.
const NO_OBJECT: u64 = u64::MAX;

impl Slot {
    /// A free slot.
    const FREE: Slot = Slot {
        object: ObjectAddress(0),
        time: Time(0),
        position: NO_OBJECT,
        origin: 0,
        older: NO_SLOT,
        newer: NO_SLOT,
    };

    fn is_free(&self) -> bool {
        self.position == NO_OBJECT
    }

    fn queued(&self) -> Mark {
        Mark { position: self.position, time: self.time }
    }
}

/// Objects by address. It iterates in the order of its slots, which has no meaning.
#[derive(Clone, Debug, Default)]
pub struct ObjectTable {
    /// Numbers of the slots that hold an object, by the object's address.
    index: ObjectIndex,
    slots: Vec<Slot>,
    /// Numbers of the free slots. They are not a chain through the slots, because each event would have to
    /// wait for memory.
    free: Vec<u32>,
    origins: Origins,
}

impl ObjectTable {
    /// Objects in it.
    #[must_use]
    pub fn len(&self) -> u64 {
        self.index.len() as u64
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.index.len() == 0
    }

    /// Adds objects that one origin has queued, after all others: one at each position from this one on. It stops behind
    /// the first that was in the table before. Returns how many it has taken, and the data that the table had of that one.
    pub(crate) fn insert_run(
        &mut self,
        origin: Origin,
        position: u64,
        times_ns: &[u64],
        objects: &[u64],
    ) -> (usize, Option<Outstanding>) {
        let number = self.origins.number(origin);
        let mut taken = 0;
        for (times_ns, objects) in times_ns.chunks(AHEAD).zip(objects.chunks(AHEAD)) {
            if self.index.is_large() {
                self.index.touch(objects);
            }
            for (time_ns, object) in times_ns.iter().zip(objects) {
                let queued = Mark { position: position + taken as u64, time: Time(*time_ns) };
                taken += 1;
                let before = self.insert(ObjectAddress(*object), queued, number);
                if before.is_some() {
                    return (taken, before);
                }
            }
        }
        (taken, None)
    }

    /// Adds an object of the origin with this number. Returns the data that the table had of it before.
    fn insert(&mut self, object: ObjectAddress, queued: Mark, origin: u32) -> Option<Outstanding> {
        let unused = self.free.last().copied().or_else(|| u32::try_from(self.slots.len()).ok());
        let Some(number) = unused.filter(|_| self.index.len() < self.index.room() || self.grow_index())
        else {
            // A table that cannot have a larger index is larger than the memory of any machine. An object
            // that finds no place in it is treated as replaced, so nothing counts it.
            let Origin { task, cpu, stack, form } = self.origins.chain(origin).origin;
            return Some(Outstanding { queued, task, cpu, stack, form });
        };
        let slots = &self.slots;
        if let Some(number) = self.index.find_or_insert(object, number, |number| holds(slots, number, object))
        {
            let before = self.unlink(number);
            let before = self.outstanding(&before);
            self.put(number, object, queued, origin);
            return Some(before);
        }
        if self.free.pop().is_none() {
            if self.slots.len() == self.slots.capacity() {
                // Grows by a quarter and does not double, because slots are most of the memory of a table.
                self.slots.reserve_exact(4 + self.slots.len() / 4);
            }
            self.slots.push(Slot::FREE);
        }
        self.put(number, object, queued, origin);
        None
    }

    /// Puts an object into a free slot, as the newest of its origin.
    fn put(&mut self, number: u32, object: ObjectAddress, queued: Mark, origin: u32) {
        let older = self.origins.push(origin, number);
        if let Some(older) = self.slots.get_mut(older as usize) {
            older.newer = number;
        }
        let position = queued.position.min(NO_OBJECT - 1);
        self.slots[number as usize] =
            Slot { object, time: queued.time, position, origin, older, newer: NO_SLOT };
    }

    /// Frees a slot. Returns what was in it.
    fn unlink(&mut self, number: u32) -> Slot {
        let slot = std::mem::replace(&mut self.slots[number as usize], Slot::FREE);
        if let Some(older) = self.slots.get_mut(slot.older as usize) {
            older.newer = slot.newer;
        }
        if let Some(newer) = self.slots.get_mut(slot.newer as usize) {
            newer.older = slot.older;
        }
        self.origins.unlink(slot.origin, slot.older, slot.newer);
        slot
    }

    /// Gets ready to remove objects one after the other; it looks at no more than [`AHEAD`] of them.
    pub(crate) fn touch(&self, objects: &[u64]) {
        if self.index.is_large() {
            self.index.touch(objects.get(..AHEAD).unwrap_or(objects));
        }
    }

    /// Removes an object and returns its data.
    pub(crate) fn remove(&mut self, object: ObjectAddress) -> Option<Outstanding> {
        let number = self.index.remove(object, |number| holds(&self.slots, number, object))?;
        let slot = self.unlink(number);
        let removed = self.outstanding(&slot);
        self.free.push(number);
        if self.slots.len() > SMALL_TABLE && self.index.len() < self.slots.len() / 8 {
            self.shrink();
        }
        Some(removed)
    }

    /// Grows the index by half. Returns whether that was possible.
    #[cold]
    fn grow_index(&mut self) -> bool {
        let mut larger = ObjectIndex::with_room_for(self.index.room() + self.index.room() / 2 + 1);
        if larger.room() == 0 {
            return false;
        }
        for (number, slot) in (0u32..).zip(&self.slots).filter(|(_, slot)| !slot.is_free()) {
            larger.insert(slot.object, number);
        }
        self.index = larger;
        true
    }

    /// Gives memory back, so that it follows what is outstanding now. It keeps a quarter, so that a table
    /// that is emptied and filled again is not moved each time.
    #[cold]
    fn shrink(&mut self) {
        let room = self.slots.len() / 4;
        let mut smaller = ObjectTable {
            index: ObjectIndex::with_room_for(room),
            slots: Vec::with_capacity(room),
            free: Vec::new(),
            origins: Origins::default(),
        };
        let mut all: Vec<_> = self.iter().collect();
        all.sort_unstable_by_key(|(_, entry)| entry.queued);
        for (object, Outstanding { queued, task, cpu, stack, form }) in all {
            let origin = smaller.origins.number(Origin { task, cpu, stack, form });
            smaller.insert(object, queued, origin);
        }
        *self = smaller;
    }

    /// How many objects were queued before this mark.
    #[must_use]
    pub fn older_than(&self, mark: Mark) -> u64 {
        self.origins.chains().map(|chain| self.older_of(chain, mark)).sum()
    }

    /// The same of one chain. It looks from both ends, so that it meets the mark after the fewest objects.
    fn older_of(&self, chain: &Chain, mark: Mark) -> u64 {
        let (mut older, mut newer) = (chain.oldest, chain.newest);
        for seen in 0..chain.objects {
            let (Some(old), Some(new)) = (self.slots.get(older as usize), self.slots.get(newer as usize))
            else {
                break;
            };
            if old.queued() >= mark {
                return seen;
            }
            if new.queued() < mark {
                return chain.objects - seen;
            }
            (older, newer) = (old.newer, new.older);
        }
        chain.objects
    }

    /// The objects that a task had queued before this position, each with its mark.
    pub(crate) fn queued_before(
        &self,
        task: Task,
        position: u64,
    ) -> impl Iterator<Item = (ObjectAddress, Mark)> {
        self.origins.of_task(task).flat_map(move |chain| {
            let old = std::iter::successors(self.slots.get(chain.oldest as usize), |slot| {
                self.slots.get(slot.newer as usize)
            });
            old.take_while(move |slot| slot.position < position).map(|slot| (slot.object, slot.queued()))
        })
    }

    /// How many objects each stack and each CPU has queued.
    pub(crate) fn by_origin(&self) -> impl Iterator<Item = (StackId, Cpu, u64)> {
        self.origins.chains().map(|chain| (chain.origin.stack, chain.origin.cpu, chain.objects))
    }

    /// When the newest object without a head was queued. Whether its free is deferred is not known yet.
    pub(crate) fn newest_headless(&self) -> Option<Mark> {
        let headless = self.origins.chains().filter(|chain| chain.origin.form == QueueForm::Headless);
        headless.filter_map(|chain| self.slots.get(chain.newest as usize)).map(Slot::queued).max()
    }

    /// The entry of an object.
    #[must_use]
    pub fn get(&self, object: ObjectAddress) -> Option<Outstanding> {
        let number = self.index.find(object, |number| holds(&self.slots, number, object))?;
        self.slots.get(number as usize).map(|slot| self.outstanding(slot))
    }

    /// The entry that was queued first.
    #[must_use]
    pub fn oldest(&self) -> Option<(ObjectAddress, Outstanding)> {
        let oldest = self.origins.chains().filter_map(|chain| self.slots.get(chain.oldest as usize));
        let oldest = oldest.min_by_key(|slot| slot.queued())?;
        Some((oldest.object, self.outstanding(oldest)))
    }

    /// All entries, in an order without meaning.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (ObjectAddress, Outstanding)> {
        let taken = self.slots.iter().filter(|slot| !slot.is_free());
        taken.map(|slot| (slot.object, self.outstanding(slot)))
    }

    fn outstanding(&self, slot: &Slot) -> Outstanding {
        let Origin { task, cpu, stack, form } = self.origins.chain(slot.origin).origin;
        Outstanding { queued: slot.queued(), task, cpu, stack, form }
    }
}

/// Whether a slot with this number exists and holds this object.
fn holds(slots: &[Slot], number: u32, object: ObjectAddress) -> bool {
    slots.get(number as usize).is_some_and(|slot| { slot.object } == object)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    const ENTRY: Outstanding = Outstanding {
        queued: Mark { position: 0, time: Time(0) },
        task: Task(0),
        cpu: Cpu(0),
        stack: StackId(0),
        form: QueueForm::Head,
    };

    fn insert(table: &mut ObjectTable, object: ObjectAddress, entry: Outstanding) -> Option<Outstanding> {
        let Outstanding { queued, task, cpu, stack, form } = entry;
        let origin = Origin { task, cpu, stack, form };
        table.insert_run(origin, queued.position, &[queued.time.0], &[object.0]).1
    }

    /// Objects of this many bytes, one behind the other.
    fn objects(bytes: u64) -> impl Iterator<Item = ObjectAddress> {
        (0..100_000).map(move |object| ObjectAddress(0xffff_8880_0000_0000 + object * bytes))
    }

    #[test]
    fn memory_follows_what_is_outstanding_not_what_was() {
        let mut table = ObjectTable::default();
        assert_eq!((table.index.room(), table.slots.capacity(), table.free.capacity()), (0, 0, 0));
        objects(64).for_each(|object| assert_eq!(insert(&mut table, object, ENTRY), None));
        assert_eq!(table.len(), 100_000);
        assert!(table.slots.capacity() >= 100_000);
        assert!(table.slots.capacity() <= 125_004, "{}", table.slots.capacity());
        objects(64).for_each(|object| assert_eq!(table.remove(object), Some(ENTRY)));
        assert!(table.is_empty());
        assert!(table.slots.capacity() <= SMALL_TABLE, "{}", table.slots.capacity());
        assert!(table.index.room() <= 2 * SMALL_TABLE, "{}", table.index.room());
        assert!(table.free.capacity() <= 2 * SMALL_TABLE, "{}", table.free.capacity());
    }

    #[test]
    fn a_slot_gives_back_what_it_was_given() {
        assert_eq!(size_of::<Slot>(), 36);
        let entry = |position, cpu, stack, form| Outstanding {
            queued: Mark { position, time: Time(u64::MAX) },
            task: Task(u32::MAX),
            cpu: Cpu(cpu),
            stack: StackId(stack),
            form,
        };
        for given in [
            ENTRY,
            entry(u64::MAX - 1, u16::MAX, u32::MAX, QueueForm::Nolock),
            entry(0, u16::MAX, 0, QueueForm::Headless),
            entry(u64::MAX - 1, 0, u32::MAX >> 2, QueueForm::Head),
        ] {
            let mut table = ObjectTable::default();
            let object = ObjectAddress(u64::MAX);
            assert_eq!(insert(&mut table, object, given), None);
            assert_eq!((table.get(object), table.remove(object)), (Some(given), Some(given)));
        }
    }

    /// What a look at every object says: the answers that the table keeps as they change.
    type Scanned = BTreeMap<ObjectAddress, Outstanding>;

    fn says_what_a_scan_says(table: &ObjectTable, map: &Scanned, random: u64) {
        let mut all: Vec<_> = table.iter().collect();
        all.sort_unstable_by_key(|(object, _)| *object);
        assert!(all.into_iter().eq(map.iter().map(|(object, entry)| (*object, *entry))));
        let headless = map.values().filter(|entry| entry.form == QueueForm::Headless);
        assert_eq!(table.newest_headless(), headless.map(|entry| entry.queued).max());
        let oldest =
            map.iter().min_by_key(|(_, entry)| entry.queued).map(|(object, entry)| (*object, *entry));
        assert_eq!(table.oldest(), oldest);
        let (mut counted, mut told) = (BTreeMap::new(), BTreeMap::new());
        map.values().for_each(|entry| *counted.entry((entry.stack, entry.cpu)).or_insert(0) += 1);
        table.by_origin().for_each(|(stack, cpu, objects)| *told.entry((stack, cpu)).or_insert(0) += objects);
        assert_eq!(told, counted);
        // Marks from before the first to behind the last.
        let last = map.values().map(|entry| entry.queued.position).max().unwrap_or(0);
        for position in [0, last / 2, random % (last + 1), last, last + 1] {
            let mark = Mark { position, time: Time(0) };
            let older = map.values().filter(|entry| entry.queued < mark).count() as u64;
            assert_eq!(table.older_than(mark), older, "{position} of {last}");
            for task in 0..4 {
                let is_before =
                    |entry: &Outstanding| entry.task == Task(task) && entry.queued.position < position;
                let before = map.iter().filter(|(_, entry)| is_before(entry));
                let before: BTreeMap<_, _> = before.map(|(object, entry)| (*object, entry.queued)).collect();
                let told: Vec<_> = table.queued_before(Task(task), position).collect();
                assert_eq!((told.len(), told.into_iter().collect()), (before.len(), before));
            }
        }
    }

    #[test]
    fn it_says_what_a_scan_of_an_ordered_map_says() {
        let (mut table, mut map) = (ObjectTable::default(), Scanned::new());
        let mut random = 1u64;
        let mut most = 0;
        for position in 0..200_000 {
            random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            let object = ObjectAddress((random >> 33) % 40_000 * 8);
            // It fills and empties four times, far enough to be made smaller.
            let filling = if position / 25_000 % 2 == 0 { 90 } else { 2 };
            if (random >> 20) % 100 < filling {
                let [one, other, third, ..] = (random >> 24).to_le_bytes();
                let entry = Outstanding {
                    queued: Mark { position, time: Time(random) },
                    task: Task(u32::from(one % 4)),
                    cpu: Cpu(u16::from(other % 16)),
                    // Now and then a stack that comes once: more origins than are kept idle.
                    stack: StackId(if third < 8 { u32::try_from(position).unwrap() } else { 1 }),
                    form: [QueueForm::Head, QueueForm::Headless, QueueForm::Nolock][usize::from(third % 3)],
                };
                assert_eq!(insert(&mut table, object, entry), map.insert(object, entry));
            } else {
                assert_eq!(table.remove(object), map.remove(&object));
            }
            assert_eq!((table.len(), table.is_empty()), (map.len() as u64, map.is_empty()));
            most = most.max(table.slots.len());
            if position % 8000 == 0 || map.len() < 3 {
                says_what_a_scan_says(&table, &map, random);
            }
        }
        assert!(most > 2 * SMALL_TABLE, "{most}");
    }
}
