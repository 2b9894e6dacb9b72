//! Measured: how long things take, as samples that were observed or as constants that are assumed.
//!
//! A simulation draws a sample each time that something takes time. Each kind of input has its own generator:
//! if one kind is drawn more often, the others do not change.

use serde::{Deserialize, Serialize};

use crate::machine::facts::{FULL_PAGE_DRAIN_NS, KFREE_DRAIN_NS, LINGER_TIMEOUT_NS};
use krcu_model::event::Time;

/// Where an input comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Origin {
    /// It was measured, on the kernel whose workload is simulated.
    Observed,
    /// It was not measured; it is a constant from the kernel's source or the document.
    Assumed,
}

/// Nanoseconds that something takes: samples, each as likely as the other.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Input {
    samples: Vec<u64>,
    origin: Origin,
    source: String,
}

impl Input {
    /// A constant, for the reason in `source`.
    #[must_use]
    pub fn assumed(ns: u64, source: &str) -> Input {
        Input { samples: vec![ns], origin: Origin::Assumed, source: source.to_owned() }
    }

    /// Samples that were observed, and where; `None` if there are none.
    #[must_use]
    pub fn observed(samples: Vec<u64>, source: &str) -> Option<Input> {
        (!samples.is_empty()).then(|| Input { samples, origin: Origin::Observed, source: source.to_owned() })
    }

    /// The middle one of the samples, in nanoseconds; of two the lesser.
    #[must_use]
    pub fn median(&self) -> u64 {
        let mut sorted = self.samples.clone();
        sorted.sort_unstable();
        sorted.get(sorted.len().saturating_sub(1) / 2).copied().unwrap_or(0)
    }

    /// Where it comes from.
    #[must_use]
    pub fn origin(&self) -> Origin {
        self.origin
    }
}

/// What takes time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum InputKind {
    /// A grace period, from its beginning to its end.
    Grace,
    /// From the end of a grace period to the beginning of the next one that others need.
    BetweenGrace,
    /// The free of one object.
    Free,
    /// From the queueing of a work item to its beginning.
    WorkerDelay,
    /// From the moment at which a callback may run to its beginning, when none ran before it.
    SoftirqDelay,
    /// From the first object of a CPU's lists to its monitor.
    Drain,
    /// The same, if a page is full.
    FullPageDrain,
    /// From a lingering destroy to the report of what is left.
    LingerTimeout,
    /// From a request for a grace period, while none is in flight, to its beginning.
    GraceStart,
    /// From the entry of an exit path until its first flush has taken effect.
    FlushStart,
}

impl InputKind {
    /// All of them.
    pub const ALL: [InputKind; 10] = [
        InputKind::Grace,
        InputKind::BetweenGrace,
        InputKind::Free,
        InputKind::WorkerDelay,
        InputKind::SoftirqDelay,
        InputKind::Drain,
        InputKind::FullPageDrain,
        InputKind::LingerTimeout,
        InputKind::GraceStart,
        InputKind::FlushStart,
    ];
}

/// A grace period of the recorded run, in nanoseconds from the workload's beginning.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RecordedGrace {
    /// When it began.
    pub begin_ns: u64,
    /// When it ended.
    pub end_ns: u64,
}

/// How long things take, in nanoseconds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Measured {
    /// The recorded grace periods in their order, if they are known. A simulated one takes as long as the
    /// recorded one that began nearest to it, and others need one when a recorded one began. The reason: a
    /// grace period is long because of what runs meanwhile, and more is queued and waited for in long ones
    /// than in short ones. After the last recorded one, `grace` and `between_grace` are drawn.
    pub recorded: Vec<RecordedGrace>,
    /// A grace period, from its beginning to its end.
    pub grace: Input,
    /// From a request for a grace period, while none is in flight, to its beginning: the kernel sees a
    /// request at the next tick. An earlier request is served when the grace period in flight ends.
    pub grace_start: Input,
    /// From the end of a grace period to the beginning of the next one that tasks outside of the workload
    /// need. `None` if there are no such tasks: then a task that only polls waits until others or a batch
    /// need a grace period.
    pub between_grace: Option<Input>,
    /// The free of one object.
    pub free: Input,
    /// A work item, from its queueing to its beginning.
    pub worker_delay: Input,
    /// From the moment at which the first callback may run to its beginning.
    pub softirq_delay: Input,
    /// From the first object on a CPU's lists to its monitor (`KFREE_DRAIN_JIFFIES`).
    pub drain: Input,
    /// The same when a page is full: one jiffy.
    pub full_page_drain: Input,
    /// How long a lingering destroy waits before it reports what is left.
    pub linger_timeout: Input,
    /// From the entry of an exit path until its first flush, of lists or of sheaves, has taken effect. A work item
    /// on each CPU flushes the sheaves.
    pub flush_start: Input,
}

impl Measured {
    /// The kernel's own delays, with the given inputs for a grace period and the free of an object. Workers
    /// and softirqs begin at once.
    #[must_use]
    pub fn assuming(grace: Input, free: Input) -> Measured {
        Measured {
            recorded: Vec::new(),
            grace,
            grace_start: Input::assumed(0, "a grace period begins when it is asked for"),
            between_grace: None,
            free,
            worker_delay: Input::assumed(0, "workers begin at once"),
            softirq_delay: Input::assumed(0, "softirqs begin at once"),
            drain: Input::assumed(KFREE_DRAIN_NS, "KFREE_DRAIN_JIFFIES"),
            full_page_drain: Input::assumed(FULL_PAGE_DRAIN_NS, "one jiffy at 250 Hz"),
            linger_timeout: Input::assumed(LINGER_TIMEOUT_NS, "the document's 21 s"),
            flush_start: Input::assumed(0, "flushes take no time"),
        }
    }

    /// How long a grace period takes that begins at this time, from the recorded ones; `None` after the last
    /// of them.
    pub(super) fn recorded_length(&self, begin: Time) -> Option<u64> {
        let Time(begin_ns) = begin;
        let later = self.recorded.partition_point(|grace| grace.begin_ns < begin_ns);
        let before = later.checked_sub(1).and_then(|place| self.recorded.get(place));
        let nearest = match (before, self.recorded.get(later)) {
            (Some(before), Some(after)) if begin_ns - before.begin_ns < after.begin_ns - begin_ns => before,
            (Some(before), None) if begin_ns < before.end_ns => before,
            (_, after) => after?,
        };
        Some(nearest.end_ns.saturating_sub(nearest.begin_ns))
    }

    /// When the next recorded grace period begins, after this time.
    pub(super) fn next_recorded(&self, after: Time) -> Option<Time> {
        let place = self.recorded.partition_point(|grace| grace.begin_ns <= after.0);
        self.recorded.get(place).map(|grace| Time(grace.begin_ns))
    }

    fn input(&self, kind: InputKind) -> Option<&Input> {
        match kind {
            InputKind::Grace => Some(&self.grace),
            InputKind::GraceStart => Some(&self.grace_start),
            InputKind::BetweenGrace => self.between_grace.as_ref(),
            InputKind::Free => Some(&self.free),
            InputKind::WorkerDelay => Some(&self.worker_delay),
            InputKind::SoftirqDelay => Some(&self.softirq_delay),
            InputKind::Drain => Some(&self.drain),
            InputKind::FullPageDrain => Some(&self.full_page_drain),
            InputKind::LingerTimeout => Some(&self.linger_timeout),
            InputKind::FlushStart => Some(&self.flush_start),
        }
    }
}

/// An input that a row depends on.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct InputUse {
    /// The kind.
    pub input: InputKind,
    /// Whether it was observed.
    pub origin: Origin,
    /// Where it comes from.
    pub source: String,
    /// The number of samples.
    pub samples: u64,
    /// How often a sample was drawn, or taken at its recorded place. An input with 0 has no part in the row.
    pub draws: u64,
}

/// Draws samples.
#[derive(Debug)]
pub(super) struct Dice<'a> {
    measured: &'a Measured,
    seeds: [u64; InputKind::ALL.len()],
    draws: [u64; InputKind::ALL.len()],
}

impl<'a> Dice<'a> {
    pub(super) fn new(measured: &'a Measured, seed: u64) -> Dice<'a> {
        let seeds = InputKind::ALL.map(|kind| mix(seed ^ mix(kind as u64)));
        Dice { measured, seeds, draws: [0; InputKind::ALL.len()] }
    }

    /// A sample, in nanoseconds; `None` if there is no such input.
    pub(super) fn draw(&mut self, kind: InputKind) -> Option<u64> {
        let samples = &self.measured.input(kind)?.samples;
        let place = kind as usize;
        self.draws[place] += 1;
        if let [only] = samples.as_slice() {
            return Some(*only);
        }
        self.seeds[place] = self.seeds[place].wrapping_add(0x9e37_79b9_7f4a_7c15);
        let chosen = (u128::from(mix(self.seeds[place])) * samples.len() as u128) >> u64::BITS;
        samples.get(usize::try_from(chosen).unwrap_or(0)).copied()
    }

    /// A sample was taken at its recorded place, not drawn.
    pub(super) fn note(&mut self, kind: InputKind) {
        self.draws[kind as usize] += 1;
    }

    pub(super) fn uses(&self) -> Vec<InputUse> {
        let used = InputKind::ALL.into_iter().filter_map(|kind| Some((kind, self.measured.input(kind)?)));
        used.map(|(kind, input)| InputUse {
            input: kind,
            origin: input.origin,
            source: input.source.clone(),
            samples: input.samples.len() as u64,
            draws: self.draws[kind as usize],
        })
        .collect()
    }
}

/// The finalizer of splitmix64: every bit of the result depends on every bit of the number.
pub(crate) fn mix(number: u64) -> u64 {
    let number = (number ^ (number >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let number = (number ^ (number >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    number ^ (number >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_grace_period_is_as_long_as_the_recorded_one_that_began_nearest() {
        let grace = |begin_ns, end_ns| RecordedGrace { begin_ns, end_ns };
        let measured = Measured {
            recorded: vec![grace(100, 130), grace(200, 207)],
            ..Measured::assuming(Input::assumed(1, "a test"), Input::assumed(1, "a test"))
        };
        let lengths = [0, 100, 149, 151, 200, 206, 207].map(|begin| measured.recorded_length(Time(begin)));
        assert_eq!(lengths, [Some(30), Some(30), Some(30), Some(7), Some(7), Some(7), None]);
        let next = [0, 99, 100, 200].map(|after| measured.next_recorded(Time(after)).map(|time| time.0));
        assert_eq!(next, [Some(100), Some(100), Some(200), None]);
    }
}
