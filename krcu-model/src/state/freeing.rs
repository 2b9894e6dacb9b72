//! Calls that free objects and have not returned: how many objects of which cache each has begun to
//! free.
//!
//! One call frees hundreds of objects of one cache in a row. So the current run is kept outside the map of
//! all calls. It goes into the map only when another call or another cache comes in between.

use std::collections::BTreeMap;

use krcu_common::FreePath;

use crate::{event::CacheAddress, state::id::Freer};

/// Who frees, and by which path. A task is in at most one call of each path at a time.
pub(crate) type Call = (Freer, FreePath);

/// Objects of one cache that one call freed in a row.
#[derive(Clone, Copy, Debug)]
struct Run {
    call: Call,
    cache: CacheAddress,
    objects: u64,
}

/// The calls that have not returned.
#[derive(Clone, Debug, Default)]
pub(crate) struct Freeing {
    /// What the calls freed before the last run.
    calls: BTreeMap<Call, Vec<(CacheAddress, u64)>>,
    last: Option<Run>,
}

impl Freeing {
    /// Whether every call has returned.
    pub(crate) fn is_empty(&self) -> bool {
        self.last.is_none() && self.calls.is_empty()
    }

    /// Notes that a call begins to free an object of this cache.
    pub(crate) fn begin(&mut self, call: Call, cache: CacheAddress) {
        match &mut self.last {
            Some(run) if run.call == call && run.cache == cache => run.objects += 1,
            _ => {
                if let Some(ended) = self.last.replace(Run { call, cache, objects: 1 }) {
                    self.keep(ended);
                }
            }
        }
    }

    /// Notes that a call has returned. Returns how many objects of which caches it freed; a cache may occur
    /// twice.
    pub(crate) fn end(&mut self, call: Call) -> Vec<(CacheAddress, u64)> {
        let mut freed = self.calls.remove(&call).unwrap_or_default();
        freed.extend(self.last.take_if(|run| run.call == call).map(|run| (run.cache, run.objects)));
        freed
    }

    /// Forgets the cache that had this address.
    pub(crate) fn forget(&mut self, cache: CacheAddress) {
        self.last.take_if(|run| run.cache == cache);
        self.calls.retain(|_, freed| {
            freed.retain(|(of, _)| *of != cache);
            !freed.is_empty()
        });
    }

    fn keep(&mut self, run: Run) {
        let freed = self.calls.entry(run.call).or_default();
        match freed.last_mut() {
            Some((last, objects)) if *last == run.cache => *objects += run.objects,
            _ => freed.push((run.cache, run.objects)),
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
            freeing.begin(call, CacheAddress(cache));
        }
        assert_eq!(freeing.end(call(7, FreePath::Single)), []);
        assert_eq!(freeing.end(other), [(CacheAddress(2), 2), (CacheAddress(1), 1)]);
        assert_eq!(freeing.end(other), []);
        assert!(!freeing.is_empty());
        assert_eq!(freeing.end(one), [(CacheAddress(1), 3), (CacheAddress(3), 1)]);
        assert!(freeing.is_empty());
    }
}
