//! Fill: how full the tables of the probes are.
//!
//! The kernel does not say how many entries a table has. The agent counts the keys now and then: that costs a call for
//! each entry, and these tables are nearly empty. A counter in the probes would cost each of their runs something.

use aya::{
    Pod,
    maps::{HashMap, Map},
};

use super::Probes;

/// How full a table is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fill {
    /// The table, as metrics name it.
    pub map: &'static str,
    /// Entries. A table that changes meanwhile may be counted wrongly by a few.
    pub entries: u64,
    /// The most entries that there is room for.
    pub size: u64,
}

type Count = fn(&Map) -> Option<(u64, u64)>;

/// The tables that could fill up: what metrics call them, and their names in the probes.
const TABLES: [(&str, &str, Count); 7] = [
    ("destroying", "DESTROYING", count::<u32, u32>),
    ("shutting_down", "SHUTTING_DOWN", count::<u32, u64>),
    ("followed", "FOLLOWED", count::<u64, u8>),
    ("works", "WORKS", count::<u64, u64>),
    ("batches", "BATCHES", count::<u64, u64>),
    ("lost", "LOST", count::<u64, u64>),
    ("sites", "SITES", count::<u32, u32>),
];

impl Probes {
    /// How full each table is. One that cannot be read is left out.
    #[must_use]
    pub fn fills(&self) -> Vec<Fill> {
        let fill = |(name, map, count): &(&'static str, &str, Count)| {
            let (entries, size) = count(self.ebpf.map(map)?)?;
            Some(Fill { map: name, entries, size })
        };
        TABLES.iter().filter_map(fill).collect()
    }
}

/// The entries of a table, and the most that there is room for.
fn count<Key: Pod, Value: Pod>(map: &Map) -> Option<(u64, u64)> {
    let Map::HashMap(data) = map else { return None };
    let size = data.info().ok()?.max_entries();
    let table = HashMap::<_, Key, Value>::try_from(map).ok()?;
    // If an entry goes while it is looked at, the kernel begins again: the count stays within the size.
    let entries = table.keys().take(usize::try_from(size).ok()?).filter(Result::is_ok).count();
    Some((u64::try_from(entries).ok()?, u64::from(size)))
}
