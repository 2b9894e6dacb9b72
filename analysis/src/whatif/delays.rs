//! Delays: how long things took in the trace, each measured from what it had to wait for.
//!
//! A worker frees a batch, and a softirq runs a callback, some time after a grace period: not after the last that ended,
//! but after the first whole one since the batch was handed over. While a destroy or a barrier flushes, that moment is
//! known: it had begun.

use std::collections::{BTreeMap, BTreeSet};

use krcu_common::FreePath;
use krcu_model::{
    event::{Cpu, Task, Time},
    state::Freer,
};
use krcu_reference::simulate::{Input, Measured, RecordedGrace};

use super::samples::Samples;

/// Grace periods that are kept in their places; after more than that they are drawn.
const MOST_GRACES: usize = 1 << 22;

/// Notes of one replay.
#[derive(Debug, Default)]
pub(super) struct Delays {
    graces: Vec<(Time, Time)>,
    grace: Samples,
    between_grace: Samples,
    grace_start: Samples,
    /// Since when one is asked for, while none is in flight.
    asked: Option<Time>,
    grace_begun: Option<Time>,
    grace_ended: Option<Time>,
    /// Nanoseconds in calls that freed several, from the first to the last, and the frees after the first.
    freed_in_ns: u64,
    freed: u64,
    /// Arrays that were freed while something flushed, from the end of the grace period that they needed.
    flushed: Samples,
    /// Arrays otherwise, from the last end: at least so long.
    at_least: Samples,
    sheaf: Samples,
    callback: Samples,
    /// Callbacks of a CPU follow each other: one a grace period.
    callbacks_of: BTreeMap<Cpu, Time>,
    freeing: BTreeMap<Freer, Call>,
    /// What flushes, by who began it when.
    flushes: BTreeSet<(Time, Task)>,
}

/// A call that frees, and what was so when it began.
#[derive(Clone, Copy, Debug)]
struct Call {
    path: FreePath,
    first: Time,
    last: Time,
    objects: u64,
    /// When the last of its objects was queued that was seen queued.
    newest: Option<Time>,
    /// The beginning of the oldest flush.
    flush: Option<Time>,
    /// The last end of a grace period.
    grace_ended: Option<Time>,
}

impl Delays {
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
            if self.graces.len() < MOST_GRACES {
                self.graces.push((begun, time));
            }
        }
        self.grace_ended = Some(time);
    }

    /// A destroy or a barrier for `kfree_rcu()` is entered, while so many objects are outstanding.
    pub(super) fn flush_begins(&mut self, task: Task, time: Time, outstanding: u64) {
        self.flush_ends(task);
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

    /// An object is freed, queued then if that was seen.
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
            grace_ended: self.grace_ended,
        };
        if let Some(before) = self.freeing.insert(freer, call) {
            self.is_over(before);
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
            FreePath::Bulk => match flushed {
                Some(delay) => self.flushed.push(delay),
                None => {
                    let last = call.grace_ended.map(|ended| call.first.since(ended));
                    last.into_iter().for_each(|delay| self.at_least.push(delay));
                }
            },
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

    /// When the first whole grace period since then had ended.
    fn needed(&self, since: Time) -> Option<Time> {
        let place = self.graces.partition_point(|(begun, _)| *begun <= since);
        self.graces.get(place).map(|(_, end)| *end)
    }

    fn since_needed(&self, since: Time, time: Time) -> Option<u64> {
        self.needed(since).filter(|end| *end <= time).map(|end| time.since(end))
    }

    /// What the machine takes of them, for a workload that begins then.
    pub(super) fn measured(self, begin: Time) -> Measured {
        let recorded = self
            .graces
            .iter()
            .map(|(begun, ended)| RecordedGrace { begin_ns: begun.since(begin), end_ns: ended.since(begin) });
        let recorded = recorded.collect();
        let or = |samples: Samples, source: &str, assumed: Input| {
            Input::observed(samples.into_vec(), source).unwrap_or(assumed)
        };
        let grace = or(
            self.grace,
            "grace periods of this trace, each in its place while they last",
            Input::assumed(10_000_000, "10 ms: no grace period was seen in this trace"),
        );
        // The machine draws once for all objects of a call: one that was interrupted would be a delay for each of them.
        let free = match self.freed_in_ns.checked_div(self.freed) {
            Some(mean_ns) => {
                let source = format!(
                    "the mean of {} frees in calls that freed several in this trace, the probe's own time included",
                    self.freed
                );
                Input::observed(vec![mean_ns], &source)
            }
            None => None,
        };
        let free = free.unwrap_or_else(|| {
            Input::assumed(1_000, "1 µs: no two frees of one call were seen in this trace")
        });
        let assuming = Measured::assuming(grace, free);
        let mut softirq = self.callback.into_vec();
        softirq.extend(self.sheaf.into_vec());
        let softirq_ns = median(&softirq);
        let worker_only = |samples: Samples| -> Vec<u64> {
            samples.into_vec().into_iter().map(|ns| ns.saturating_sub(softirq_ns)).collect()
        };
        let worker = Input::observed(
            worker_only(self.flushed),
            "from the end of the grace period that a flushed array needed to its first free, less the median of softirq-delay",
        )
        .or_else(|| {
            Input::observed(
                worker_only(self.at_least),
                "at least: from the last end of a grace period to the first free of an array, less the median of softirq-delay",
            )
        });
        Measured {
            recorded,
            grace_start: or(
                self.grace_start,
                "from the beginning of a flush, while no grace period was in flight, to that of the next in this trace",
                assuming.grace_start.clone(),
            ),
            between_grace: Input::observed(
                self.between_grace.into_vec(),
                "from one grace period to the next in this trace, whoever needed them",
            ),
            worker_delay: worker.unwrap_or_else(|| assuming.worker_delay.clone()),
            softirq_delay: Input::observed(
                softirq,
                "from the end of the grace period that a callback or a sheaf needed to its run in this trace",
            )
            .unwrap_or_else(|| assuming.softirq_delay.clone()),
            ..assuming
        }
    }
}

/// The middle one; 0 of none.
fn median(samples: &[u64]) -> u64 {
    let mut sorted = samples.to_vec();
    sorted.sort_unstable();
    sorted.get(sorted.len() / 2).copied().unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(ms: u64) -> Time {
        Time(ms * 1_000_000)
    }

    #[test]
    fn a_delay_is_counted_from_the_grace_period_that_was_needed() {
        let mut delays = Delays::default();
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
        assert_eq!(delays.sheaf.into_vec(), [3_000_000], "from 30 to 33");
        assert_eq!(delays.flushed.into_vec(), [12_000_000], "from 30 to 42");
        assert_eq!(delays.at_least.into_vec(), [10_000_000], "from 40 to 50");
        assert_eq!((delays.freed_in_ns, delays.freed), (1_000_000, 2));
        assert_eq!(delays.grace_start.into_vec(), [0; 0], "one was in flight when it was asked for");
    }

    #[test]
    fn a_grace_period_that_is_asked_for_begins_later() {
        let mut delays = Delays::default();
        delays.grace_begins(at(0));
        delays.grace_ends(at(5));
        delays.flush_begins(Task(1), at(10), 0);
        delays.grace_begins(at(11));
        delays.grace_ends(at(12));
        delays.flush_begins(Task(1), at(20), 1);
        delays.grace_begins(at(24));
        assert_eq!(delays.grace_start.into_vec(), [4_000_000], "nothing was asked for at 10");
    }

    #[test]
    fn callbacks_of_one_softirq_are_one_delay() {
        let mut delays = Delays::default();
        delays.grace_begins(at(10));
        delays.grace_ends(at(20));
        for (cpu, run) in [(0, 24), (0, 26), (1, 29)] {
            delays.callback_runs(Cpu(cpu), at(run), at(5));
        }
        // Queued while it was in flight: it is not that one that was needed.
        delays.callback_runs(Cpu(0), at(30), at(15));
        assert_eq!(delays.callback.into_vec(), [4_000_000, 9_000_000]);
    }
}
