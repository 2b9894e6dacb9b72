//! Plan: which traces are to be replayed, and how they are packed.

use std::path::Path;

use anyhow::{Context as _, Result};
use krcu_analysis::fleet::facts::{self, Look};
use krcu_ship::layout::{DONE, Fleet, Place};
use walkdir::WalkDir;

/// Bytes of a pack, unless one trace alone has more.
const PACK_BYTES: u64 = 256 << 20;
/// Traces of a pack: what is done again if its process is killed.
const PACK_TRACES: usize = 32;

/// What is to be done.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Plan {
    /// The packs, each a list of traces.
    pub packs: Vec<Vec<String>>,
    /// Traces that the ledger has.
    pub known: usize,
    /// Traces without DONE.
    pub not_done: usize,
    /// Folders among the traces that are of another form.
    pub strange: Vec<String>,
}

impl Plan {
    /// Traces that are to be replayed.
    #[must_use]
    pub fn due(&self) -> usize {
        self.packs.iter().map(Vec::len).sum()
    }
}

/// Looks at every trace. There are to be so many packs at least, if there are as many traces.
///
/// # Errors
/// When the fleet's folder cannot be read.
pub fn plan(fleet: &Fleet, again: bool, at_least: usize) -> Result<Plan> {
    let mut plan = Plan::default();
    let mut due: Vec<(u64, String)> = Vec::new();
    for (folder, place) in places(fleet)? {
        let Some(place) = place else {
            plan.strange.push(folder);
            continue;
        };
        match facts::look(fleet, &place, again)? {
            Look::NotDone => plan.not_done += 1,
            Look::Known(_) => plan.known += 1,
            Look::Due { done, .. } => due.push((done.map_or(0, |done| done.bytes()), folder)),
        }
    }
    // The largest first: what is begun last is short.
    due.sort_unstable_by(|(one, name), (other, second)| other.cmp(one).then(name.cmp(second)));
    plan.packs = packed(due, at_least);
    Ok(plan)
}

fn packed(due: Vec<(u64, String)>, at_least: usize) -> Vec<Vec<String>> {
    let traces = due.len().div_ceil(at_least.max(1)).clamp(1, PACK_TRACES);
    let mut packs: Vec<Vec<String>> = Vec::new();
    let mut bytes = 0;
    for (size, trace) in due {
        match packs.last_mut() {
            Some(pack) if pack.len() < traces && bytes + size <= PACK_BYTES => {
                bytes += size;
                pack.push(trace);
            }
            _ => {
                bytes = size;
                packs.push(vec![trace]);
            }
        }
    }
    packs
}

/// The folders of all traces, in order, with their places.
///
/// # Errors
/// When the fleet's folder cannot be read.
pub fn places(fleet: &Fleet) -> Result<Vec<(String, Option<Place>)>> {
    let root = fleet.traces();
    let mut places = Vec::new();
    for entry in WalkDir::new(&root).min_depth(4).max_depth(4).sort_by_file_name() {
        let entry = entry.with_context(|| format!("{} is no fleet's folder", root.display()))?;
        if entry.file_name() == DONE || !entry.file_type().is_dir() {
            continue;
        }
        let below = entry.path().strip_prefix(&root).unwrap_or(Path::new(""));
        let folder = below.to_string_lossy().into_owned();
        let place = Place::of_folder(&folder);
        places.push((folder, place));
    }
    Ok(places)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn packs_are_bounded_in_bytes_and_traces_and_lose_none() {
        let due =
            |sizes: &[u64]| sizes.iter().enumerate().map(|(at, size)| (*size, at.to_string())).collect();
        let lengths = |sizes: &[u64], at_least| -> Vec<usize> {
            packed(due(sizes), at_least).iter().map(Vec::len).collect()
        };
        assert_eq!(lengths(&[PACK_BYTES * 2, PACK_BYTES, 1, 1], 1), [1, 1, 2]);
        assert_eq!(lengths(&[1; 70], 1), [32, 32, 6]);
        assert_eq!(lengths(&[1; 8], 4), [2, 2, 2, 2]);
        assert_eq!(lengths(&[1; 2], 8), [1, 1]);
        assert!(lengths(&[], 8).is_empty());
    }
}
