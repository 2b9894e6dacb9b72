//! What became of each run of a probe, counted by CPU and by kind.
//!
//! The identity that a test holds: `seen = delivered + lost + filtered`, for every kind.

use crate::wire::Kind;

/// What became of one thing that a probe saw.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u32)]
pub enum Fate {
    /// Seen at all; the sum of the fates up to [`Fate::FilteredNotSlab`].
    Seen = 0,
    /// Written into the ring.
    Delivered = 1,
    /// The ring was full.
    LostRing = 2,
    /// An object of a kmalloc cache, which is never destroyed.
    FilteredKmalloc = 3,
    /// An object of a cache that was created by built-in code under a literal name.
    FilteredBuiltin = 4,
    /// No slab object: vmalloc, or kmalloc of more than a slab holds.
    FilteredNotSlab = 5,
    /// Seen by a program's second copy, in an interrupt during a run of the first, which the kernel
    /// skips then. Not a part of the sum: the same thing has one of the fates above as well.
    Nested = 6,
    /// A map had no room for what the program had to remember. Not a part of the sum either.
    MapFull = 7,
    /// The stack table had no room, so an event has no site. Not a part of the sum.
    NoSite = 8,
}

impl Fate {
    /// Every fate, in the order of its number.
    pub const ALL: [Fate; 9] = [
        Fate::Seen,
        Fate::Delivered,
        Fate::LostRing,
        Fate::FilteredKmalloc,
        Fate::FilteredBuiltin,
        Fate::FilteredNotSlab,
        Fate::Nested,
        Fate::MapFull,
        Fate::NoSite,
    ];
}

/// Rows of counters: one for each kind, whose numbers begin at 1; row 0 stays empty.
pub const ROWS: u32 = 21;
/// Fates, whose numbers begin at 0.
const FATES: u32 = 9;

const _: () = assert!(ROWS as usize == Kind::ALL.len() + 1 && FATES as usize == Fate::ALL.len());

/// Words of a row: a counter for each fate, and [`RUNNING`].
pub const ROW_WORDS: u32 = FATES + 1;
/// Place in its row of the word by which the two copies of a program on a hot function know of each other.
pub const RUNNING: u32 = FATES;

/// Words that a CPU has: all rows.
pub const COUNTERS: u32 = ROWS * ROW_WORDS;

/// Place of a counter among the words of a CPU, row by row.
#[must_use]
pub const fn counter(kind: Kind, fate: Fate) -> u32 {
    kind as u32 * ROW_WORDS + fate as u32
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_counter_has_a_place_of_its_own() {
        let mut taken = [false; COUNTERS as usize];
        for kind in Kind::ALL {
            for fate in Fate::ALL {
                let place = &mut taken[counter(kind, fate) as usize];
                assert!(!*place, "{kind:?} {fate:?} shares its place");
                *place = true;
            }
        }
    }
}
