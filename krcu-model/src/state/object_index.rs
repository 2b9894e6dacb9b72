//! Object index: finds the slot of an object in its table. Most searches read one cache line of one array.
//!
//! This is a hash table of numbers only; the objects themselves lie in the slots that the numbers name. An
//! entry has four bytes: the number of a slot, and above it a tag, which is as much of the object's hash as
//! fits. Because of the tag, a search rarely looks at a wrong slot. A line of sixteen words holds fifteen
//! entries. Its first word counts the entries that went to a later line because this one was full. If that
//! count is 0, a search stops at this line. For that reason, removing an entry leaves no mark in its place.

use std::hash::BuildHasher;

use foldhash::fast::FixedState;

use crate::event::ObjectAddress;

/// Entries of a line.
const ENTRIES: usize = 15;
/// The average number of entries in a line at which the index is full.
const FULL_ENTRIES: usize = 11;
/// Lines of the largest index: a number and one bit of the tag must fit into an entry.
const MOST_LINES: usize = (1 << 31) / (ENTRIES + 1);
/// Address bits within a block of memory whose objects share a line.
///
/// A slab hands out neighbouring objects one after the other, and they are often queued one after the other.
/// So the next event often finds the line that this event used. With a larger block, the smallest objects
/// would fill the line at once and go to later lines.
const NEIGHBOUR_BITS: u32 = 7;
/// Bytes of an index that surely stay in a processor's cache.
const CACHED_BYTES: usize = 256 << 10;
/// The lowest address bits, which are the same for all objects.
const OBJECT_BITS: u32 = 3;

/// A line of the processor's cache.
#[derive(Clone, Copy, Debug, Default)]
#[repr(align(64))]
struct Line {
    /// The number of objects whose search has to continue after this line.
    passed: u32,
    /// Tags, each above the number of a slot plus one; 0 where there is no entry.
    entries: [u32; ENTRIES],
}

impl Line {
    /// The places of the entries that meet a condition, as bits. It looks at all entries, because a processor
    /// cannot predict where a search would end.
    fn places(&self, is_true: impl Fn(u32) -> bool) -> u32 {
        let bits = self.entries.iter().enumerate().map(|(place, entry)| u32::from(is_true(*entry)) << place);
        bits.fold(0, |places, bit| places | bit)
    }
}

/// The hash of an object, in the two parts in which it is used.
#[derive(Clone, Copy)]
struct Hash {
    line: usize,
    tag: u32,
}

/// Numbers of slots by the address of the object in each.
#[derive(Clone, Debug, Default)]
pub(crate) struct ObjectIndex {
    lines: Vec<Line>,
    len: usize,
    /// How many bits of an entry hold the number.
    number_bits: u32,
}

impl ObjectIndex {
    /// Makes an index for at least this many objects. If that is too many, the index takes none.
    pub(crate) fn with_room_for(objects: usize) -> ObjectIndex {
        let lines = objects.div_ceil(FULL_ENTRIES);
        if lines > MOST_LINES {
            return ObjectIndex::default();
        }
        let capacity = lines * ENTRIES;
        ObjectIndex {
            lines: vec![Line::default(); lines],
            len: 0,
            // Numbers are smaller than the room, which is smaller than this.
            number_bits: usize::BITS - capacity.leading_zeros(),
        }
    }

    /// Objects in it.
    pub(crate) fn len(&self) -> usize {
        self.len
    }

    /// The number of objects that it can take.
    pub(crate) fn room(&self) -> usize {
        self.lines.len() * FULL_ENTRIES
    }

    /// The number of an object's slot. `is_there` says whether the object is in the slot with a number. It
    /// may be called with the number of a slot that does not exist.
    pub(crate) fn find(&self, object: ObjectAddress, is_there: impl Fn(u32) -> bool) -> Option<u32> {
        self.search(self.hash(object), is_there).map(|(_, _, number)| number)
    }

    /// The number of an object's slot, if it has one. Else it gets this number, which must be smaller than the room,
    /// and there has to be room. `is_there` is as for [`ObjectIndex::find`].
    pub(crate) fn find_or_insert(
        &mut self,
        object: ObjectAddress,
        number: u32,
        is_there: impl Fn(u32) -> bool,
    ) -> Option<u32> {
        let hash = self.hash(object);
        let entry = (hash.tag << self.number_bits) | (number + 1);
        let found = self.search(hash, is_there).map(|(_, _, number)| number);
        if found.is_none() {
            // Most find room in their first line.
            let line = &mut self.lines[hash.line];
            let free = line.places(|entry| entry == 0).trailing_zeros() as usize;
            match line.entries.get_mut(free) {
                Some(free) => {
                    *free = entry;
                    self.len += 1;
                }
                None => self.insert_at(hash, number),
            }
        }
        found
    }

    /// Reads the lines of objects that are searched for next. The processor then waits for memory once for all of them,
    /// and not once for each.
    pub(crate) fn touch(&self, objects: &[u64]) {
        let places = objects.iter().map(|object| self.hash(ObjectAddress(*object)).line);
        let passed = places.filter_map(|place| self.lines.get(place)).map(|line| line.passed);
        std::hint::black_box(passed.fold(0, |all: u32, passed| all ^ passed));
    }

    /// Whether the processor's caches are too small for it.
    pub(crate) fn is_large(&self) -> bool {
        self.lines.len() * size_of::<Line>() > CACHED_BYTES
    }

    /// Adds the slot number of an object that is not in the index. If the index is full, nothing happens. The
    /// number must be smaller than the room.
    pub(crate) fn insert(&mut self, object: ObjectAddress, number: u32) {
        self.insert_at(self.hash(object), number);
    }

    fn insert_at(&mut self, hash: Hash, number: u32) {
        let Hash { line: mut place, tag } = hash;
        let entry = (tag << self.number_bits) | (number + 1);
        while self.len < self.room() {
            let line = &mut self.lines[place];
            let free = line.places(|entry| entry == 0).trailing_zeros() as usize;
            if let Some(free) = line.entries.get_mut(free) {
                *free = entry;
                self.len += 1;
                return;
            }
            line.passed += 1;
            place = self.behind(place);
        }
    }

    /// Removes an object and returns the number of its slot. `is_there` is as for [`ObjectIndex::find`].
    pub(crate) fn remove(&mut self, object: ObjectAddress, is_there: impl Fn(u32) -> bool) -> Option<u32> {
        let hash = self.hash(object);
        let (line, place, number) = self.search(hash, is_there)?;
        self.lines[line].entries[place] = 0;
        self.len -= 1;
        let mut passed = hash.line;
        while passed != line {
            self.lines[passed].passed -= 1;
            passed = self.behind(passed);
        }
        Some(number)
    }

    /// Where the entry of an object is: the line, the place in the line, and the number of the slot.
    fn search(&self, hash: Hash, is_there: impl Fn(u32) -> bool) -> Option<(usize, usize, u32)> {
        let wanted = hash.tag << self.number_bits;
        let mut place = hash.line;
        for _ in 0..self.lines.len() {
            let line = &self.lines[place];
            let mut alike = line.places(|entry| (entry ^ wanted) >> self.number_bits == 0);
            while alike != 0 {
                let at = alike.trailing_zeros() as usize;
                let number = (line.entries[at] ^ wanted).wrapping_sub(1);
                if is_there(number) {
                    return Some((place, at, number));
                }
                alike &= alike - 1;
            }
            if line.passed == 0 {
                return None;
            }
            place = self.behind(place);
        }
        None
    }

    /// The line that takes the entries for which this line has no room.
    fn behind(&self, line: usize) -> usize {
        if line + 1 == self.lines.len() { 0 } else { line + 1 }
    }

    fn hash(&self, object: ObjectAddress) -> Hash {
        let hash = FixedState::default().hash_one(object.0 >> NEIGHBOUR_BITS);
        // The upper bits choose the line; the lower bits tell apart the objects that share it.
        let line = (u128::from(hash) * self.lines.len() as u128) >> u64::BITS;
        let tag = hash.wrapping_add(object.0 >> OBJECT_BITS) & u64::from(u32::MAX);
        Hash { line: usize::try_from(line).unwrap_or(0), tag: u32::try_from(tag).unwrap_or(0) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Objects of this many bytes, one behind the other; each has its place as its number.
    fn objects(count: u32, bytes: u64) -> impl Iterator<Item = (ObjectAddress, u32)> {
        (0..count)
            .map(move |number| (ObjectAddress(0xffff_8880_0000_0000 + u64::from(number) * bytes), number))
    }

    fn filled(count: u32, bytes: u64) -> ObjectIndex {
        let mut index = ObjectIndex::with_room_for(count as usize);
        objects(count, bytes).for_each(|(object, number)| index.insert(object, number));
        index
    }

    #[test]
    fn a_line_is_one_of_the_processors_cache() {
        assert_eq!((size_of::<Line>(), align_of::<Line>()), (64, 64));
    }

    #[test]
    fn what_is_put_in_is_found_until_it_is_taken_out_and_leaves_nothing_behind() {
        for (count, bytes) in [(1, 64), (11, 8), (22, 8), (5000, 8), (5000, 32), (5000, 192), (5000, 4096)] {
            let mut index = filled(count, bytes);
            assert_eq!(index.len(), count as usize);
            for (object, number) in objects(count, bytes) {
                assert_eq!(index.find(object, |found| found == number), Some(number));
            }
            // Every second one, and then the rest, backwards: past lines that were full when they came.
            let (even, odd): (Vec<_>, Vec<_>) =
                objects(count, bytes).partition(|(_, number)| number % 2 == 0);
            for (object, number) in even.into_iter().chain(odd.into_iter().rev()) {
                assert_eq!(index.remove(object, |found| found == number), Some(number));
                assert_eq!(index.remove(object, |found| found == number), None);
            }
            assert_eq!(index.len(), 0);
            assert!(index.lines.iter().all(|line| line.passed == 0 && line.entries == [0; ENTRIES]));
        }
    }

    #[test]
    fn slots_are_rarely_looked_at_in_vain_and_lines_rarely_passed() {
        for bytes in [32, 64, 128, 192, 1024] {
            let index = filled(100_000, bytes);
            assert!(index.len() * 20 > index.room() * 19, "as full as it gets");
            let passed: u64 = index.lines.iter().map(|line| u64::from(line.passed)).sum();
            assert!(passed < 25_000, "{passed} of 100000 objects of {bytes} bytes");
            let in_vain = std::cell::Cell::new(0);
            for (object, number) in objects(100_000, bytes) {
                let _ = index.find(object, |found| {
                    in_vain.set(in_vain.get() + u32::from(found != number));
                    found == number
                });
            }
            assert!(in_vain.get() < 500, "{} of 100000 objects of {bytes} bytes", in_vain.get());
        }
    }

    #[test]
    fn an_index_without_room_takes_nothing() {
        for mut index in [ObjectIndex::default(), ObjectIndex::with_room_for(usize::MAX)] {
            assert_eq!((index.len(), index.room(), index.lines.capacity()), (0, 0, 0));
            index.insert(ObjectAddress(8), 0);
            assert_eq!(index.find(ObjectAddress(8), |_| true), None);
            assert_eq!(index.remove(ObjectAddress(8), |_| true), None);
        }
    }
}
