//! The deferred frees of a cache by the address of their object: the one table that grows.
//!
//! With a million objects, memory accesses decide how fast a table is. Objects are freed in about the order
//! in which they were queued, whatever their addresses are. So the data of an object lies in a slot, and
//! slots lie in the order of queueing: one event works near the memory of the last one. Only the number of a
//! slot is found by a hash. Its index takes six to nine bytes for each object, so more of it fits into the
//! processor's caches.

use krcu_common::QueueForm;

use crate::{
    event::{Cpu, ObjectAddress, Task, Time},
    state::{deferred::Outstanding, id::Mark, object_index::ObjectIndex, stack::StackId},
};

/// A table never shrinks below the room for this many slots, which is a few batches.
const SMALL_TABLE: usize = 4096;

/// The data of one object, in half a cache line; or a free slot.
#[derive(Clone, Copy, Debug)]
struct Slot {
    object: ObjectAddress,
    time: Time,
    /// The position, above sixteen bits of the CPU's number.
    position_and_cpu: u64,
    task: Task,
    /// The stack, above two bits that are the form of the queueing.
    stack_and_form: u32,
}

/// Bits of the form of a queueing.
const FORM_BITS: u32 = 2;
const FORM_MASK: u32 = (1 << FORM_BITS) - 1;
const HEADLESS: u32 = QueueForm::Headless as u32;
const NOLOCK: u32 = QueueForm::Nolock as u32;
/// Bits of a CPU's number.
const CPU_BITS: u32 = u16::BITS;
/// The last position that a slot can hold. Ten million events a second reach it on the 325th day.
const LAST_POSITION: u64 = (1 << (u64::BITS - CPU_BITS)) - 2;
/// The value of a free slot instead of the position and the CPU. No position is so high.
const NO_OBJECT: u64 = u64::MAX;

impl Slot {
    /// A free slot.
    const FREE: Slot = Slot {
        object: ObjectAddress(0),
        time: Time(0),
        position_and_cpu: NO_OBJECT,
        task: Task(0),
        stack_and_form: 0,
    };

    fn new(object: ObjectAddress, outstanding: &Outstanding) -> Slot {
        let Outstanding { queued, task, cpu, stack, form } = *outstanding;
        // A stack whose number is too high counts as not known, as it does where stacks are numbered.
        let stack = if stack.0 >> (u32::BITS - FORM_BITS) == 0 { stack } else { StackId::default() };
        Slot {
            object,
            time: queued.time,
            position_and_cpu: queued.position.min(LAST_POSITION) << CPU_BITS | u64::from(cpu.0),
            task,
            stack_and_form: stack.0 << FORM_BITS | form as u32,
        }
    }

    fn is_free(&self) -> bool {
        self.position_and_cpu == NO_OBJECT
    }

    fn outstanding(&self) -> Outstanding {
        let [cpu_low, cpu_high, ..] = self.position_and_cpu.to_le_bytes();
        Outstanding {
            queued: Mark { position: self.position_and_cpu >> CPU_BITS, time: self.time },
            task: self.task,
            cpu: Cpu(u16::from_le_bytes([cpu_low, cpu_high])),
            stack: StackId(self.stack_and_form >> FORM_BITS),
            form: match self.stack_and_form & FORM_MASK {
                HEADLESS => QueueForm::Headless,
                NOLOCK => QueueForm::Nolock,
                _ => QueueForm::Head,
            },
        }
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

    /// Adds the data of an object. Returns the data that the table had of it before.
    pub(crate) fn insert(&mut self, object: ObjectAddress, outstanding: Outstanding) -> Option<Outstanding> {
        let slot = Slot::new(object, &outstanding);
        if let Some(number) = self.index.find(object, |number| holds(&self.slots, number, object)) {
            return Some(std::mem::replace(&mut self.slots[number as usize], slot).outstanding());
        }
        let unused = self.free.last().copied().or_else(|| u32::try_from(self.slots.len()).ok());
        let Some(number) = unused.filter(|_| self.index.len() < self.index.room() || self.grow_index())
        else {
            // A table that cannot have a larger index is larger than the memory of any machine. An object
            // that finds no place in it is treated as replaced, so nothing counts it.
            return Some(outstanding);
        };
        self.index.insert(object, number);
        if self.free.pop().is_some() {
            self.slots[number as usize] = slot;
        } else {
            if self.slots.len() == self.slots.capacity() {
                // Grows by a quarter and does not double, because slots are most of the memory of a table.
                self.slots.reserve_exact(4 + self.slots.len() / 4);
            }
            self.slots.push(slot);
        }
        None
    }

    /// Removes an object and returns its data.
    pub(crate) fn remove(&mut self, object: ObjectAddress) -> Option<Outstanding> {
        let number = self.index.remove(object, |number| holds(&self.slots, number, object))?;
        let removed = std::mem::replace(&mut self.slots[number as usize], Slot::FREE);
        self.free.push(number);
        if self.slots.len() > SMALL_TABLE && self.index.len() < self.slots.len() / 8 {
            self.shrink();
        }
        Some(removed.outstanding())
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
        };
        for (object, outstanding) in self.iter() {
            smaller.insert(object, outstanding);
        }
        *self = smaller;
    }

    /// How many objects were queued before this mark.
    #[must_use]
    pub fn older_than(&self, mark: Mark) -> u64 {
        self.iter().filter(|(_, entry)| entry.queued < mark).count() as u64
    }

    /// When the newest object without a head was queued. Whether its free is deferred is not known yet.
    pub(crate) fn newest_headless(&self) -> Option<Mark> {
        self.iter()
            .filter(|(_, entry)| entry.form == QueueForm::Headless)
            .map(|(_, entry)| entry.queued)
            .max()
    }

    /// The entry of an object.
    #[must_use]
    pub fn get(&self, object: ObjectAddress) -> Option<Outstanding> {
        let number = self.index.find(object, |number| holds(&self.slots, number, object))?;
        self.slots.get(number as usize).map(Slot::outstanding)
    }

    /// The entry that was queued first.
    #[must_use]
    pub fn oldest(&self) -> Option<(ObjectAddress, Outstanding)> {
        self.iter().min_by_key(|(_, entry)| entry.queued)
    }

    /// All entries, in an order without meaning.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (ObjectAddress, Outstanding)> {
        self.slots.iter().filter(|slot| !slot.is_free()).map(|slot| (slot.object, slot.outstanding()))
    }
}

/// Whether a slot with this number exists and holds this object.
fn holds(slots: &[Slot], number: u32, object: ObjectAddress) -> bool {
    slots.get(number as usize).is_some_and(|slot| slot.object == object)
}

#[cfg(test)]
mod tests {
    use super::*;

    const ENTRY: Outstanding = Outstanding {
        queued: Mark { position: 0, time: Time(0) },
        task: Task(0),
        cpu: Cpu(0),
        stack: StackId(0),
        form: QueueForm::Head,
    };

    /// Objects of this many bytes, one behind the other.
    fn objects(bytes: u64) -> impl Iterator<Item = ObjectAddress> {
        (0..100_000).map(move |object| ObjectAddress(0xffff_8880_0000_0000 + object * bytes))
    }

    #[test]
    fn memory_follows_what_is_outstanding_not_what_was() {
        let mut table = ObjectTable::default();
        assert_eq!((table.index.room(), table.slots.capacity(), table.free.capacity()), (0, 0, 0));
        objects(64).for_each(|object| assert_eq!(table.insert(object, ENTRY), None));
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
    fn a_slot_is_half_a_cache_line_and_gives_back_what_it_was_given() {
        assert_eq!(size_of::<Slot>(), 32);
        let entry = |position, cpu, stack, form| Outstanding {
            queued: Mark { position, time: Time(u64::MAX) },
            task: Task(u32::MAX),
            cpu: Cpu(cpu),
            stack: StackId(stack),
            form,
        };
        let given_back = |entry: Outstanding| {
            Some(Slot::new(ObjectAddress(u64::MAX), &entry)).filter(|slot| !slot.is_free())
        };
        for entry in [
            ENTRY,
            entry(LAST_POSITION, u16::MAX, u32::MAX >> 2, QueueForm::Nolock),
            entry(0, u16::MAX, 0, QueueForm::Headless),
            entry(LAST_POSITION, 0, u32::MAX >> 2, QueueForm::Head),
        ] {
            assert_eq!(given_back(entry).map(|slot| slot.outstanding()), Some(entry));
        }
        // Beyond what a slot can say: the last position, and no stack.
        assert_eq!(
            given_back(entry(u64::MAX, u16::MAX, u32::MAX, QueueForm::Headless))
                .map(|slot| slot.outstanding()),
            Some(entry(LAST_POSITION, u16::MAX, 0, QueueForm::Headless))
        );
    }

    #[test]
    fn it_says_what_an_ordered_map_says() {
        let (mut table, mut map) = (ObjectTable::default(), std::collections::BTreeMap::new());
        let mut random = 1u64;
        let mut most = 0;
        for position in 0..200_000 {
            random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            let object = ObjectAddress((random >> 33) % 40_000 * 8);
            // It fills and empties four times, far enough to be made smaller.
            let insert = if position / 25_000 % 2 == 0 { 90 } else { 2 };
            if (random >> 20) % 100 < insert {
                let entry = Outstanding {
                    queued: Mark { position, time: Time(random) },
                    form: QueueForm::of(random & 1 == 0),
                    ..ENTRY
                };
                assert_eq!(table.insert(object, entry), map.insert(object, entry));
            } else {
                assert_eq!(table.remove(object), map.remove(&object));
            }
            assert_eq!((table.len(), table.is_empty()), (map.len() as u64, map.is_empty()));
            most = most.max(table.slots.len());
            if position % 5000 == 0 {
                let mut all: Vec<_> = table.iter().collect();
                all.sort_unstable_by_key(|(object, _)| *object);
                assert!(all.into_iter().eq(map.iter().map(|(object, entry)| (*object, *entry))));
                let newest = map
                    .values()
                    .filter(|entry| entry.form == QueueForm::Headless)
                    .map(|entry| entry.queued)
                    .max();
                assert_eq!(table.newest_headless(), newest);
            }
        }
        assert!(most > 2 * SMALL_TABLE, "{most}");
    }
}
