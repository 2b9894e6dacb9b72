//! Batches: which objects one call frees together.

use std::collections::{BTreeMap, BTreeSet};

use krcu_common::FreePath;
use krcu_model::{
    event::{CacheAddress, Cpu, Event, Task, Time, What},
    state::Freer,
};

use super::{since_attach, words::Batch};

/// The word for a path.
pub(super) fn path_word(path: FreePath) -> &'static str {
    match path {
        FreePath::Bulk => "bulk",
        FreePath::Single => "single",
        FreePath::Sheaf => "sheaf",
        FreePath::Callback => "callback",
    }
}

#[derive(Debug)]
struct Open {
    batch: u64,
    task: Task,
    cpu: Cpu,
    first: Time,
    last: Time,
    objects: u64,
    unknown: u64,
    caches: BTreeSet<CacheAddress>,
    oldest: Option<Time>,
    since_grace_ns: Option<u64>,
}

/// The calls that free and have not returned.
#[derive(Debug, Default)]
pub(super) struct Batches {
    open: BTreeMap<(Freer, FreePath), Open>,
    next: u64,
}

impl Batches {
    /// A call frees one more object, queued then if that was seen; gives the batch.
    pub(super) fn frees(
        &mut self,
        event: &Event,
        (path, cache): (FreePath, CacheAddress),
        queued: Option<Time>,
        since_grace_ns: Option<u64>,
    ) -> u64 {
        let next = &mut self.next;
        let open = self.open.entry((Freer::of(event.task, event.cpu), path)).or_insert_with(|| {
            let batch = *next;
            *next += 1;
            Open {
                batch,
                task: event.task,
                cpu: event.cpu,
                first: event.time,
                last: event.time,
                objects: 0,
                unknown: 0,
                caches: BTreeSet::new(),
                oldest: None,
                since_grace_ns,
            }
        });
        open.last = event.time;
        open.caches.insert(cache);
        match queued {
            Some(queued) => {
                open.objects += 1;
                open.oldest = Some(open.oldest.map_or(queued, |oldest| oldest.min(queued)));
            }
            None => open.unknown += 1,
        }
        open.batch
    }

    /// What this event ends: what its task freed one by one, when it does something else now, or the call that returns.
    pub(super) fn ended_by(&mut self, event: &Event, attached: Time) -> Option<Batch> {
        let freer = Freer::of(event.task, event.cpu);
        let path = match &event.what {
            What::BatchFreed { path } => *path,
            What::Freed { .. } | What::Gap(_) => return None,
            _ => FreePath::Single,
        };
        let returned = matches!(event.what, What::BatchFreed { .. }).then_some(event.time);
        self.open.remove(&(freer, path)).map(|open| open.row(path, attached, returned))
    }

    /// Those that had not ended.
    pub(super) fn rest(&mut self, attached: Time) -> Vec<Batch> {
        std::mem::take(&mut self.open)
            .into_iter()
            .map(|((_, path), open)| open.row(path, attached, None))
            .collect()
    }
}

impl Open {
    fn row(self, path: FreePath, attached: Time, returned: Option<Time>) -> Batch {
        Batch {
            batch: self.batch,
            path: path_word(path),
            task: self.task.0,
            cpu: u32::from(self.cpu.0),
            first_at_ns: since_attach(attached, self.first),
            last_at_ns: since_attach(attached, self.last),
            returned_at_ns: returned.map(|returned| since_attach(attached, returned)),
            objects: self.objects,
            unknown: self.unknown,
            caches: u32::try_from(self.caches.len()).unwrap_or(u32::MAX),
            oldest_queued_at_ns: self.oldest.map(|oldest| since_attach(attached, oldest)),
            since_grace_ns: self.since_grace_ns,
        }
    }
}
