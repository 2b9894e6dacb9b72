//! The deferred frees of a cache by the address of their object: the one table that grows.

use std::hash::{BuildHasher, Hasher};

use foldhash::fast::FixedState;
use hashbrown::HashMap;

use crate::{
    event::ObjectAddress,
    state::{Mark, Outstanding},
};

/// Where an object is in the table: objects of one page lie close together, pages anywhere.
///
/// A slab hands out what lies side by side to what is queued side by side. A hash that scatters each
/// object makes each event wait for memory; this one finds most of them where the last one was.
#[derive(Clone, Debug, Default)]
struct PageHasher {
    pages: FixedState,
    hash: u64,
}

/// Bits of an address within its page.
const PAGE_BITS: u32 = 12;
/// Bits of an address that tell no two objects apart: one with an `rcu_head` and anything else is larger.
const OBJECT_BITS: u32 = 5;

impl BuildHasher for PageHasher {
    type Hasher = PageHasher;

    fn build_hasher(&self) -> PageHasher {
        PageHasher::default()
    }
}

impl Hasher for PageHasher {
    fn write_u64(&mut self, address: u64) {
        let page = self.pages.hash_one(address >> PAGE_BITS);
        let place = (address & ((1 << PAGE_BITS) - 1)) >> OBJECT_BITS;
        // The table takes the lower bits for the place, and compares the upper seven before the key.
        self.hash = page.wrapping_add(place) ^ (place << 57);
    }

    fn write(&mut self, bytes: &[u8]) {
        self.hash = self.pages.hash_one(bytes);
    }

    fn finish(&self) -> u64 {
        self.hash
    }
}

/// Objects for which a table keeps room once it has had it: a few batches.
const SMALL_TABLE: usize = 4096;

/// Objects by address. Never iterated in the order of the table, which is nobody's order.
#[derive(Clone, Debug, Default)]
pub struct ObjectTable {
    table: HashMap<ObjectAddress, Outstanding, PageHasher>,
}

impl ObjectTable {
    /// Objects in it.
    #[must_use]
    pub fn len(&self) -> u64 {
        self.table.len() as u64
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.table.is_empty()
    }

    pub(crate) fn insert(&mut self, object: ObjectAddress, outstanding: Outstanding) -> Option<Outstanding> {
        self.table.insert(object, outstanding)
    }

    pub(crate) fn remove(&mut self, object: ObjectAddress) -> Option<Outstanding> {
        let removed = self.table.remove(&object);
        // Memory follows what is outstanding now, not what once was. To a quarter and no further, so that
        // a table that is emptied and filled again is not moved each time.
        if self.table.capacity() > SMALL_TABLE && self.table.len() < self.table.capacity() / 8 {
            self.table.shrink_to(self.table.capacity() / 4);
        }
        removed
    }

    /// The oldest object of the form without a head: whether its free is deferred is not known yet.
    pub(crate) fn oldest_headless(&self) -> Option<Mark> {
        self.by_age().into_iter().find(|(_, entry)| entry.headless).map(|(_, entry)| entry.queued)
    }

    /// The entry of an object.
    #[must_use]
    pub fn get(&self, object: ObjectAddress) -> Option<Outstanding> {
        self.table.get(&object).copied()
    }

    /// The oldest entry.
    pub(crate) fn oldest(&self) -> Option<(ObjectAddress, Outstanding)> {
        self.by_age().into_iter().next()
    }

    /// All entries, oldest first.
    #[must_use]
    pub fn by_age(&self) -> Vec<(ObjectAddress, Outstanding)> {
        let mut all: Vec<_> = self.table.iter().map(|(object, entry)| (*object, *entry)).collect();
        all.sort_unstable_by_key(|(object, entry)| (entry.queued, *object));
        all
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        event::{Cpu, Task, Time},
        stack::StackId,
    };

    const ENTRY: Outstanding = Outstanding {
        queued: Mark { position: 0, time: Time(0) },
        task: Task(0),
        cpu: Cpu(0),
        stack: StackId(0),
        headless: false,
    };

    /// Objects of this many bytes, one behind the other.
    fn objects(bytes: u64) -> impl Iterator<Item = ObjectAddress> {
        (0..100_000).map(move |object| ObjectAddress(0xffff_8880_0000_0000 + object * bytes))
    }

    #[test]
    fn memory_follows_what_is_outstanding_not_what_was() {
        let mut table = ObjectTable::default();
        objects(64).for_each(|object| assert_eq!(table.insert(object, ENTRY), None));
        assert_eq!(table.len(), 100_000);
        assert!(table.table.capacity() >= 100_000);
        objects(64).for_each(|object| assert_eq!(table.remove(object), Some(ENTRY)));
        assert!(table.is_empty());
        assert!(table.table.capacity() <= 2 * SMALL_TABLE, "{}", table.table.capacity());
    }

    #[test]
    fn the_objects_of_a_page_lie_close_together_and_no_two_alike() {
        let hash = |address: u64| PageHasher::default().hash_one(ObjectAddress(address));
        let page = 0xffff_8880_0000_0000;
        let mut hashes: Vec<u64> = (0..128).map(|place| hash(page + place * 32)).collect();
        // The table's lower bits: places of one page are neighbours, and the next page is elsewhere.
        let places: Vec<u64> =
            hashes.iter().map(|hash| (hash & 0xffff).wrapping_sub(hashes[0]) & 0xffff).collect();
        assert_eq!(places, (0..128).collect::<Vec<u64>>());
        assert!((hash(page + 4096).wrapping_sub(hashes[0]) & 0xffff) > 128);
        // The seven bits that are compared before the key tell them apart.
        hashes.iter_mut().for_each(|hash| *hash >>= 57);
        hashes.sort_unstable();
        hashes.dedup();
        assert_eq!(hashes.len(), 128);
    }
}
