//! Delays: how long things took, each measured from what it had to wait for.
//!
//! A worker frees a batch, and a softirq runs a callback, some time after a grace period. That is not the last
//! one that ended, but the first whole one since the batch was handed over. While a destroy or a barrier
//! flushes, it is known when the batch was handed over: when the flush began.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use krcu_common::FreePath;
use krcu_model::{
    event::{Cpu, Task, Time},
    state::Freer,
};

use super::samples::Samples;
use crate::question::{Took, TookGrace};

/// The most flushes and freers that are remembered at one time: each is open until its end is seen.
const MOST_OPEN: usize = 1024;

/// What was measured so far.
#[derive(Clone, Debug)]
pub(super) struct Delays {
    graces: VecDeque<(Time, Time)>,
    most_graces: usize,
    grace: Samples,
    between_grace: Samples,
    grace_start: Samples,
    /// Since when one is asked for, while none is in flight.
    asked: Option<Time>,
    grace_begun: Option<Time>,
    grace_ended: Option<Time>,
    freed_in_ns: u64,
    freed: u64,
    flushed: Samples,
    sheaf: Samples,
    flush_start: Samples,
    callback: Samples,
    /// For each CPU, the grace period after which its last callbacks ran: they follow each other.
    callbacks_of: BTreeMap<Cpu, Time>,
    freeing: BTreeMap<Freer, Call>,
    /// What flushes, by who began it when.
    flushes: BTreeSet<(Time, Task)>,
}

/// A call that frees, and the circumstances of its begin.
#[derive(Clone, Copy, Debug)]
struct Call {
    path: FreePath,
    first: Time,
    last: Time,
    objects: u64,
    /// When the last of its objects was queued that was seen queued.
    newest: Option<Time>,
    /// The begin of the oldest flush.
    flush: Option<Time>,
}

impl Delays {
    pub(super) fn new(most_graces: usize, most_samples: usize) -> Delays {
        let samples = || Samples::new(most_samples);
        Delays {
            graces: VecDeque::new(),
            most_graces: most_graces.max(1),
            grace: samples(),
            between_grace: samples(),
            grace_start: samples(),
            asked: None,
            grace_begun: None,
            grace_ended: None,
            freed_in_ns: 0,
            freed: 0,
            flushed: samples(),
            sheaf: samples(),
            flush_start: samples(),
            callback: samples(),
            callbacks_of: BTreeMap::new(),
            freeing: BTreeMap::new(),
            flushes: BTreeSet::new(),
        }
    }

    pub(super) fn grace_begins(&mut self, time: Time) {
        if let Some(ended) = self.grace_ended {
            self.between_grace.push(time.since(ended));
        }
        if let Some(asked) = self.asked.take() {
            self.grace_start.push(time.since(asked));
        }
        self.grace_begun = Some(time);
    }

    pub(super) fn grace_ends(&mut self, time: Time) {
        if let Some(begun) = self.grace_begun.take() {
            self.grace.push(time.since(begun));
            if self.graces.len() == self.most_graces {
                self.graces.pop_front();
            }
            self.graces.push_back((begun, time));
        }
        self.grace_ended = Some(time);
    }

    /// An event of a grace period was lost: the one in flight has no length.
    pub(super) fn grace_is_lost(&mut self) {
        (self.grace_begun, self.grace_ended, self.asked) = (None, None, None);
    }

    /// Whether a destroy or a barrier flushes now.
    pub(super) fn is_flushing(&self) -> bool {
        !self.flushes.is_empty()
    }

    /// A destroy or a barrier for `kfree_rcu()` is entered, while so many objects are outstanding.
    pub(super) fn flush_begins(&mut self, task: Task, time: Time, outstanding: u64) {
        self.flush_ends(task);
        if self.flushes.len() == MOST_OPEN {
            self.flushes.pop_first();
        }
        self.flushes.insert((time, task));
        self.asks(time, outstanding);
    }

    /// A batch is handed over, if there is anything to hand over.
    pub(super) fn asks(&mut self, time: Time, outstanding: u64) {
        self.asked = (outstanding > 0 && self.grace_begun.is_none()).then_some(time);
    }

    /// It has flushed what it had to.
    pub(super) fn flush_ends(&mut self, task: Task) {
        self.asked = None;
        self.flushes.retain(|(_, other)| *other != task);
    }

    /// Something else than a free, by somebody who may have freed.
    pub(super) fn frees_no_more(&mut self, freer: Freer) {
        if !self.freeing.is_empty()
            && let Some(call) = self.freeing.remove(&freer)
        {
            self.is_over(call);
        }
    }

    /// An object is freed; `queued` says when its free was deferred, if that is known.
    pub(super) fn is_freed(&mut self, freer: Freer, path: FreePath, time: Time, queued: Option<Time>) {
        if path == FreePath::Single && queued.is_none() {
            // `kvfree()` of what nobody had deferred.
            self.frees_no_more(freer);
            return;
        }
        if let Some(call) = self.freeing.get_mut(&freer).filter(|call| call.path == path) {
            (call.last, call.objects) = (time, call.objects + 1);
            call.newest = call.newest.max(queued);
            return;
        }
        let call = Call {
            path,
            first: time,
            last: time,
            objects: 1,
            newest: queued,
            flush: self.flushes.first().map(|(begun, _)| *begun),
        };
        if let Some(before) = self.freeing.insert(freer, call) {
            self.is_over(before);
        }
        if self.freeing.len() > MOST_OPEN {
            self.freeing.pop_first();
        }
    }

    fn is_over(&mut self, call: Call) {
        self.freed_in_ns = self.freed_in_ns.saturating_add(call.last.since(call.first));
        self.freed += call.objects - 1;
        let flushed = call.flush.and_then(|begun| {
            let handed_over = call.newest.map_or(begun, |newest| newest.max(begun));
            self.since_needed(handed_over, call.first)
        });
        match call.path {
            FreePath::Bulk => flushed.into_iter().for_each(|delay| self.flushed.push(delay)),
            // A full sheaf is handed over by the call that fills it, before any flush: with its newest object.
            FreePath::Sheaf => {
                let full = || call.newest.and_then(|newest| self.since_needed(newest, call.first));
                flushed.or_else(full).into_iter().for_each(|delay| self.sheaf.push(delay));
            }
            FreePath::Single | FreePath::Callback => {}
        }
    }

    /// A callback begins to run that was queued then.
    pub(super) fn callback_runs(&mut self, cpu: Cpu, time: Time, queued: Time) {
        let Some(end) = self.needed(queued).filter(|end| *end <= time) else { return };
        if self.callbacks_of.insert(cpu, end) != Some(end) {
            self.callback.push(time.since(end));
        }
    }

    /// The first barrier inside a destroy begins that was entered then.
    pub(super) fn first_barrier(&mut self, entered: Time, time: Time) {
        self.flush_start.push(time.since(entered));
    }

    /// An `rcu_barrier()` that began then has returned: its own callback ran after the last grace period that ended
    /// meanwhile, if one did. If none was in flight when it began, it has waited for the next to begin.
    pub(super) fn barrier_ends(&mut self, begun: Time, time: Time) {
        let next = self.graces.partition_point(|(begin, _)| *begin <= begun);
        let is_idle =
            next.checked_sub(1).and_then(|last| self.graces.get(last)).is_some_and(|last| last.1 <= begun);
        if let Some((begin, _)) = self.graces.get(next).filter(|_| is_idle) {
            self.grace_start.push(begin.since(begun));
        }
        if let Some((_, end)) = self.graces.back().filter(|(_, end)| *end > begun) {
            self.callback.push(time.since(*end));
        }
    }

    /// The end of the first whole grace period since then.
    fn needed(&self, since: Time) -> Option<Time> {
        let place = self.graces.partition_point(|(begun, _)| *begun <= since);
        self.graces.get(place).map(|(_, end)| *end)
    }

    /// The end of the last grace period, if that was since then.
    pub(super) fn last_ended(&self, since: Time) -> Option<Time> {
        self.graces.back().map(|(_, end)| *end).filter(|end| *end > since)
    }

    fn since_needed(&self, since: Time, time: Time) -> Option<u64> {
        self.needed(since).filter(|end| *end <= time).map(|end| time.since(end))
    }

    /// What was measured, for a workload that begins then.
    pub(super) fn took(&self, begin: Time) -> Took {
        let from = self.graces.partition_point(|(begun, _)| *begun < begin);
        let graces = self.graces.iter().skip(from);
        Took {
            graces: graces.map(|(begun, ended)| TookGrace(begun.since(begin), ended.since(begin))).collect(),
            grace_ns: self.grace.to_vec(),
            between_grace_ns: self.between_grace.to_vec(),
            grace_start_ns: self.grace_start.to_vec(),
            freed_in_ns: self.freed_in_ns,
            freed: self.freed,
            flushed_array_ns: self.flushed.to_vec(),
            callback_ns: self.callback.to_vec(),
            sheaf_ns: self.sheaf.to_vec(),
            flush_start_ns: self.flush_start.to_vec(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(ms: u64) -> Time {
        Time(ms * 1_000_000)
    }

    #[test]
    fn a_delay_is_counted_from_the_grace_period_that_was_needed() {
        let mut delays = Delays::new(16, 16);
        // One is in flight when the flush begins, the next is the first whole one, and a third says nothing.
        for (begin, end) in [(0, 20), (21, 30), (31, 40)] {
            delays.grace_begins(at(begin));
            if begin == 0 {
                delays.flush_begins(Task(1), at(10), 2);
            }
            delays.grace_ends(at(end));
        }
        let freer = Freer::of(Task(7), Cpu(0));
        delays.is_freed(freer, FreePath::Bulk, at(42), Some(at(9)));
        delays.is_freed(freer, FreePath::Bulk, at(43), Some(at(8)));
        delays.frees_no_more(freer);
        delays.flush_ends(Task(1));
        delays.is_freed(freer, FreePath::Bulk, at(50), Some(at(45)));
        delays.frees_no_more(freer);
        // A sheaf that was full at 5, in which the oldest object had been since 1: the one from 21 on was needed.
        delays.is_freed(freer, FreePath::Sheaf, at(33), Some(at(1)));
        delays.is_freed(freer, FreePath::Sheaf, at(33), Some(at(5)));
        delays.frees_no_more(freer);
        for ms in [60, 70] {
            delays.is_freed(freer, FreePath::Single, at(ms), None);
        }
        assert_eq!(delays.sheaf.to_vec(), [3_000_000], "from 30 to 33");
        assert_eq!(delays.flushed.to_vec(), [12_000_000], "from 30 to 42");
        assert_eq!((delays.freed_in_ns, delays.freed), (1_000_000, 2));
        assert_eq!(delays.grace_start.to_vec(), [0; 0], "one was in flight when it was asked for");
    }

    #[test]
    fn a_grace_period_that_is_asked_for_begins_later() {
        let mut delays = Delays::new(16, 16);
        delays.grace_begins(at(0));
        delays.grace_ends(at(5));
        delays.flush_begins(Task(1), at(10), 0);
        delays.grace_begins(at(11));
        delays.grace_ends(at(12));
        delays.flush_begins(Task(1), at(20), 1);
        delays.grace_begins(at(24));
        assert_eq!(delays.grace_start.to_vec(), [4_000_000], "nothing was asked for at 10");
    }

    #[test]
    fn callbacks_of_one_softirq_are_one_delay() {
        let mut delays = Delays::new(16, 16);
        delays.grace_begins(at(10));
        delays.grace_ends(at(20));
        for (cpu, run) in [(0, 24), (0, 26), (1, 29)] {
            delays.callback_runs(Cpu(cpu), at(run), at(5));
        }
        // Queued while it was in flight: it is not that one that was needed.
        delays.callback_runs(Cpu(0), at(30), at(15));
        assert_eq!(delays.callback.to_vec(), [4_000_000, 9_000_000]);
        // A barrier that waited for it, and one that had nothing to wait for.
        delays.barrier_ends(at(15), at(23));
        delays.barrier_ends(at(24), at(25));
        assert_eq!(delays.callback.to_vec(), [4_000_000, 9_000_000, 3_000_000]);
    }

    #[test]
    fn the_newest_are_kept() {
        let mut delays = Delays::new(2, 2);
        for turn in 0..4 {
            delays.grace_begins(at(10 * turn));
            delays.grace_ends(at(10 * turn + turn));
        }
        assert_eq!(delays.grace.to_vec(), [2_000_000, 3_000_000]);
        let graces = delays.took(at(25)).graces;
        assert_eq!(graces, [TookGrace(5_000_000, 8_000_000)]);
    }
}
