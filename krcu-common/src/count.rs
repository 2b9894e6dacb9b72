//! Count: the fate of each run of a probe, counted by CPU and by kind.
//!
//! The counters are in two places. Those that every event and nearly every call changes are in a
//! [line](LINE_WORDS) of memory for each CPU, which a program reaches with a few instructions. All others are
//! in rows of a per-CPU map, with one row for each kind.

use crate::Kind;

/// What happened to one thing that a probe saw.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u32)]
pub enum Fate {
    /// It was written into the ring. Only lines count this.
    Delivered = 0,
    /// The ring was full.
    LostRing = 1,
    /// An object of a kmalloc cache, which is never destroyed. Rows and lines count this.
    FilteredKmalloc = 2,
    /// An object of a cache that was created by built-in code under a literal name.
    FilteredBuiltin = 3,
    /// Not a slab object: from vmalloc, or from a kmalloc that is larger than a slab.
    FilteredNotSlab = 4,
    /// The second copy of a program saw it, in an interrupt during a run of the first copy, where the kernel
    /// skips the first copy. It also has one of the fates above.
    Nested = 5,
    /// A map had no room for what the program had to remember. It also has one of the first fates.
    MapFull = 6,
    /// An event has no site because its stack could not be taken, nearly always because the stack table had
    /// no room.
    NoSite = 7,
}

impl Fate {
    /// Every fate, in the order of its number.
    pub const ALL: [Fate; ROW_WORDS as usize] = [
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

/// Rows of counters: one for each kind that probes write. Their numbers begin at 1, so row 0 stays empty.
pub const ROWS: u32 = 1 + Kind::PROBED_COUNT;
/// Words of a row: a counter for each fate, whose numbers begin at 0.
pub const ROW_WORDS: u32 = 8;

/// Words of all rows of one CPU.
pub const COUNTERS: u32 = ROWS * ROW_WORDS;

/// The number of lines, one for each CPU. krcu refuses a machine with more CPUs, because two of them would
/// share the counters of a line.
pub const LINES: usize = 1024;
/// Words of a line: the number of the CPU's next event, the delivered events of each kind, and what [`known`]
/// counts.
pub const LINE_WORDS: usize = 32;
/// The word of a line that has the number of the next event.
pub const SEQUENCE: usize = 0;

/// The word of a line that counts the delivered events of a kind.
#[must_use]
pub const fn delivered(kind: Kind) -> usize {
    kind as usize
}

/// The word of a line that counts objects which a first check finds to be of a kmalloc cache; none for kinds
/// without such a word.
#[must_use]
pub const fn known(kind: Kind) -> Option<usize> {
    match kind {
        Kind::Queued => Some(ROWS as usize),
        Kind::CallbackQueued => Some(ROWS as usize + 1),
        _ => None,
    }
}

const _: () = assert!(ROWS as usize + 2 <= LINE_WORDS);

/// The key of the map of losses: the cache of the lost event's objects, and the reason of the loss. Losses
/// without a cache are only in the counters.
///
/// Addresses of caches are even, so the lowest bit is free to tell the reasons apart.
#[must_use]
pub const fn loss_key(cache: u64, fate: Fate) -> u64 {
    match fate {
        Fate::MapFull => cache | MAP_FULL,
        _ => cache & !MAP_FULL,
    }
}

/// The cache and the fate that a key stands for: [`Fate::LostRing`] or [`Fate::MapFull`].
#[must_use]
pub const fn of_loss_key(key: u64) -> (u64, Fate) {
    (key & !MAP_FULL, if key & MAP_FULL == 0 { Fate::LostRing } else { Fate::MapFull })
}

/// The bit that tells a full map from a full ring.
const MAP_FULL: u64 = 1;

/// The place of a counter among the words of a CPU. The words are ordered row by row.
#[must_use]
pub const fn counter(kind: Kind, fate: Fate) -> u32 {
    kind as u32 * ROW_WORDS + fate as u32
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_loss_is_found_again_by_its_key() {
        for (cache, fate) in [(0xff3a_02d4_c270_1c00, Fate::LostRing), (0xff3a_02d4_c270_1c08, Fate::MapFull)]
        {
            assert_eq!(of_loss_key(loss_key(cache, fate)), (cache, fate));
        }
    }

    #[test]
    fn every_counter_has_a_place_of_its_own() {
        let mut taken = [false; COUNTERS as usize];
        for kind in Kind::PROBED {
            for fate in Fate::ALL {
                let place = &mut taken[counter(kind, fate) as usize];
                assert!(!*place, "{kind:?} {fate:?} shares its place");
                *place = true;
            }
        }
    }
}
