//! Calls that free objects and have not returned: how many objects of which cache each has begun to
//! free.
//!
//! One call frees hundreds of objects of one cache in a row. So the current run is kept outside the map of
//! all calls. It goes into the map only when another call, cache or queueing task comes in between.

use std::collections::BTreeMap;

use krcu_common::FreePath;

use crate::{
    event::{CacheAddress, Task},
    state::{
        deferred::Outstanding,
        id::{Freer, Mark},
    },
};

/// Who frees, and by which path. A task is in at most one call of each path at a time.
pub(crate) type Call = (Freer, FreePath);

/// Objects of one cache that one call frees in a row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Run {
    pub(crate) cache: CacheAddress,
    pub(crate) objects: u64,
    /// The task that had queued them, and when it queued the first and the last; none if that was not seen.
    pub(crate) queued: Option<(Task, Mark, Mark)>,
}

/// The calls that have not returned.
#[derive(Clone, Debug, Default)]
pub(crate) struct Freeing {
    /// What the calls freed before the last run.
    calls: BTreeMap<Call, Vec<Run>>,
    last: Option<(Call, Run)>,
}

impl Freeing {
    /// Whether every call has returned.
    pub(crate) fn is_empty(&self) -> bool {
        self.last.is_none() && self.calls.is_empty()
    }

    /// Notes that a call begins to free an object of this cache.
    pub(crate) fn begin(&mut self, call: Call, cache: CacheAddress, queued: Option<&Outstanding>) {
        self.begin_run(call, Run::of_one(cache, queued));
    }

    /// The same for objects that one task had queued.
    pub(crate) fn begin_run(&mut self, call: Call, run: Run) {
        match &mut self.last {
            Some((last, known)) if *last == call && known.is_like(&run) => known.join(&run),
            _ => {
                if let Some((before, ended)) = self.last.replace((call, run)) {
                    self.keep(before, ended);
                }
            }
        }
    }

    /// Notes that a call has returned. Returns what it freed; a cache may occur twice.
    pub(crate) fn end(&mut self, call: Call) -> Vec<Run> {
        let mut freed = self.calls.remove(&call).unwrap_or_default();
        freed.extend(self.last.take_if(|(last, _)| *last == call).map(|(_, run)| run));
        freed
    }

    /// What the calls that have not returned free.
    pub(crate) fn runs(&self) -> impl Iterator<Item = (Call, &Run)> {
        let before = self.calls.iter().flat_map(|(call, runs)| runs.iter().map(|run| (*call, run)));
        before.chain(self.last.iter().map(|(call, run)| (*call, run)))
    }

    /// Forgets the cache that had this address.
    pub(crate) fn forget(&mut self, cache: CacheAddress) {
        self.last.take_if(|(_, run)| run.cache == cache);
        self.calls.retain(|_, freed| {
            freed.retain(|run| run.cache != cache);
            !freed.is_empty()
        });
    }

    fn keep(&mut self, call: Call, run: Run) {
        let freed = self.calls.entry(call).or_default();
        match freed.last_mut() {
            Some(last) if last.is_like(&run) => last.join(&run),
            _ => freed.push(run),
        }
    }
}

impl Run {
    pub(crate) fn of_one(cache: CacheAddress, queued: Option<&Outstanding>) -> Run {
        Run { cache, objects: 1, queued: queued.map(|entry| (entry.task, entry.queued, entry.queued)) }
    }

    /// Whether both are of one cache, and one task had queued both.
    pub(crate) fn is_like(&self, other: &Run) -> bool {
        let task = |run: &Run| run.queued.map(|(task, ..)| task);
        self.cache == other.cache && task(self) == task(other)
    }

    pub(crate) fn join(&mut self, other: &Run) {
        self.objects += other.objects;
        if let (Some((_, first, last)), Some((_, from, until))) = (&mut self.queued, other.queued) {
            (*first, *last) = ((*first).min(from), (*last).max(until));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::{Cpu, Task};

    #[test]
    fn each_call_has_freed_what_it_began_however_they_alternate() {
        let call = |task, path| (Freer::of(Task(task), Cpu(0)), path);
        let (one, other) = (call(7, FreePath::Bulk), call(8, FreePath::Bulk));
        let mut freeing = Freeing::default();
        assert!(freeing.is_empty());
        for (call, cache) in [(one, 1), (one, 1), (other, 2), (one, 1), (one, 3), (other, 2), (other, 1)] {
            freeing.begin(call, CacheAddress(cache), None);
        }
        let end = |freeing: &mut Freeing, call| -> Vec<(u64, u64)> {
            freeing.end(call).iter().map(|run| (run.cache.0, run.objects)).collect()
        };
        assert_eq!(end(&mut freeing, call(7, FreePath::Single)), []);
        assert_eq!(end(&mut freeing, other), [(2, 2), (1, 1)]);
        assert_eq!(end(&mut freeing, other), []);
        assert!(!freeing.is_empty());
        assert_eq!(end(&mut freeing, one), [(1, 3), (3, 1)]);
        assert!(freeing.is_empty());
    }
}
