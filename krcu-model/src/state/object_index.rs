//! Where in its table an object's slot is: one cache line of one array, most of the time.
//!
//! A hash table of numbers alone; the objects themselves lie in the slots that the numbers name. An
//! entry is four bytes, a slot's number and as much of the object's hash (its tag) as fits above it,
//! so that a slot is rarely looked at in vain. A line of sixteen words holds fifteen entries, and
//! counts in its first word how many others went past it because it was full: no line behind it need
//! be searched when there are none, and nothing is left behind where an entry was taken out.

use std::hash::BuildHasher;

use foldhash::fast::FixedState;

use crate::event::ObjectAddress;

/// Entries of a line.
const ENTRIES: usize = 15;
/// Entries to a line, of all lines together, at which the index is full.
const FULL_ENTRIES: usize = 11;
/// Lines of the largest index: a number and a bit of the tag must fit into an entry.
const MOST_LINES: usize = (1 << 31) / (ENTRIES + 1);
/// Bits of an address within the few bytes of memory whose objects share a line.
///
/// A slab hands out what lies side by side to what is queued side by side, so the next event often
/// finds the line that this one used. More bytes than these, and the smallest objects in them would
/// fill the line at once and go past it.
const NEIGHBOUR_BITS: u32 = 7;
/// Bits of an address that tell no two objects apart.
const OBJECT_BITS: u32 = 3;

/// A line of the processor's cache.
#[derive(Clone, Copy, Debug, Default)]
#[repr(align(64))]
struct Line {
    /// Objects whose search has to go on behind this line.
    passed: u32,
    /// Tags, each above the number of a slot plus one; 0 where there is no entry.
    entries: [u32; ENTRIES],
}

impl Line {
    /// The places, as bits, of the entries of which something is true. All are looked at, for where
    /// the search ends is what no processor foresees.
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
    /// Bits of an entry that are the number.
    number_bits: u32,
}

impl ObjectIndex {
    /// An index that takes at least this many objects; one that takes none if that is too many.
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

    /// Objects that it takes.
    pub(crate) fn room(&self) -> usize {
        self.lines.len() * FULL_ENTRIES
    }

    /// The number of an object's slot. `is_there` says whether the object is in a slot of that number;
    /// it may be asked for a slot that does not exist.
    pub(crate) fn find(&self, object: ObjectAddress, is_there: impl Fn(u32) -> bool) -> Option<u32> {
        self.search(self.hash(object), is_there).map(|(_, _, number)| number)
    }

    /// Puts in the number of the slot of an object that is not here. Has no effect on an index that is
    /// full; the number is smaller than the room.
    pub(crate) fn insert(&mut self, object: ObjectAddress, number: u32) {
        let Hash { line: mut place, tag } = self.hash(object);
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

    /// Takes out an object; gives the number of its slot. `is_there` is as for [`ObjectIndex::find`].
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

    /// Where the entry of an object is: the line, the place in it, and the number that it names.
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

    /// The line that takes what a line has no room for.
    fn behind(&self, line: usize) -> usize {
        if line + 1 == self.lines.len() { 0 } else { line + 1 }
    }

    fn hash(&self, object: ObjectAddress) -> Hash {
        let hash = FixedState::default().hash_one(object.0 >> NEIGHBOUR_BITS);
        // The upper bits choose the line, the lower ones tell apart who shares it.
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
