//! Pipeline: owns the replay. It takes records of the ring, steps the state, and feeds the sinks.

use std::mem;

use anyhow::Context as _;
use krcu_common::{Fate, decode::decode};
use krcu_model::{
    Event, State, Watch,
    event::{Cpu, Gap, LossReason, Scope, Task, Time, What},
    state::Blind,
};
use krcu_report::Reporter;

use crate::{
    kernel::plan::{Offer, Plan},
    losses::{LossTracker, Misses, Reading},
    probe::Probes,
    sinks::{Kept, Sinks, accounted},
};

pub use crate::losses::accounts;

/// What krcu does not see with this plan, in the words of the judge.
#[must_use]
pub fn blind(plan: &Plan) -> Vec<Blind> {
    let mut blind: Vec<Blind> = plan
        .probes
        .iter()
        .filter(|probe| matches!(probe.offer, Offer::NotOffered(_)))
        .filter_map(|probe| probe.blind)
        .collect();
    blind.push(Blind::Inside);
    blind.sort_unstable();
    blind.dedup();
    blind
}

/// The result of a finished replay.
#[derive(Debug)]
pub struct Finished {
    /// The last state.
    pub state: State,
    /// What the kernel has counted: the losses, and what happened to everything that the probes saw.
    pub reading: Reading,
    /// The files of the events, if they were asked for.
    pub kept: Kept,
    /// The reporter, if there was one.
    pub reporter: Option<Box<Reporter>>,
}

impl Finished {
    /// Leaves open what depends on anything after the newest event, since nobody took what came.
    pub fn leave_open(&mut self) {
        let time = self.state.now();
        let what = What::Gap(Gap {
            reason: LossReason::NotInTrace,
            events: 0,
            from: time,
            until: Time(u64::MAX),
            scope: Scope::Everything,
            programs: Vec::new(),
        });
        self.state.step(Event { time, task: Task(0), cpu: Cpu(0), what });
    }
}

/// The replay, and the account of what is missing in it.
#[derive(Debug)]
pub struct Pipeline {
    state: State,
    tracker: LossTracker,
    /// [`Probes::losses`] at the last reading.
    losses: u64,
    /// What was counted before this replay began.
    base: Base,
    sinks: Sinks,
    /// Makes the reports of a running watch, if they are wanted.
    reporter: Option<Box<Reporter>>,
}

/// What the probes had counted when a replay began.
#[derive(Debug, Default)]
struct Base {
    /// Every counter.
    reading: Reading,
    /// How many events had a number.
    numbered: u64,
    /// The number of events that were counted before this replay and that this replay takes.
    owed: u64,
}

/// The counts that [`Pipeline::part`] needs. They are read before it.
#[derive(Debug)]
pub struct Rows {
    /// [`Probes::losses`]. It is read first, so the next look finds a loss that happens during the reading.
    losses: u64,
    /// The other counts, without those that come with the numbers of events.
    reading: Reading,
}

/// A function that reads CLOCK_MONOTONIC.
pub type Clock = fn() -> anyhow::Result<Time>;

/// How often the skipped runs are read, in nanoseconds. That is seldom, because each program has a file of its own.
const LOOK_FOR_MISSES: u64 = 1_000_000_000;

impl Pipeline {
    /// A replay that begins now. Its events go into the sinks as well.
    #[must_use]
    pub fn new(watch: Watch, sinks: Sinks) -> Pipeline {
        let tracker = LossTracker::new(watch.attached);
        Pipeline {
            state: State::new(watch),
            tracker,
            losses: 0,
            base: Base::default(),
            sinks,
            reporter: None,
        }
    }

    /// Hands an event to the sinks, the reporter and the state. No other code does, so the sinks have the same events
    /// as the state.
    fn step(&mut self, event: Event) {
        self.sinks.event(&event);
        if let Some(reporter) = &mut self.reporter {
            reporter.see(&event, &self.state);
        }
        self.state.step(event);
    }

    /// Takes one record of the ring.
    ///
    /// # Errors
    /// When it is not an event of this version, because the probes and the agent are of different builds.
    pub fn take(&mut self, record: &[u8]) -> anyhow::Result<()> {
        let (header, body) = decode(record).context("the ring holds what the probes do not write")?;
        self.step(Event::from_wire(&header, &body));
        Ok(())
    }

    fn gaps(&mut self, gaps: Vec<Gap>) {
        for gap in gaps {
            self.step(Event { time: gap.until, task: Task(0), cpu: Cpu(0), what: What::Gap(gap) });
        }
    }

    /// Reads the counts of losses, and takes new ones as gaps. Call it often: a gap is as long as the time between two
    /// calls, or a second for skipped runs.
    ///
    /// # Errors
    /// When the counters or the clock cannot be read.
    pub fn look_for_losses(&mut self, probes: &Probes, now: Clock) -> anyhow::Result<()> {
        let began = now()?;
        let losses = probes.losses()?;
        let misses_due = began.since(self.tracker.misses_read()) >= LOOK_FOR_MISSES;
        if losses == self.losses && !misses_due {
            self.tracker.nothing_until(began);
            return Ok(());
        }
        self.losses = losses;
        let reading = self.read(probes, misses_due)?;
        let gaps = self.tracker.take(&reading, began, now()?);
        self.gaps(gaps);
        Ok(())
    }

    /// Tells the sinks that the ring was empty at this time.
    ///
    /// # Errors
    /// When the counters cannot be read.
    pub fn tick(&mut self, probes: &Probes, now: Time) -> anyhow::Result<()> {
        self.sinks.tick(now);
        if self.sinks.wants_account(now) {
            let reading = self.read(probes, true)?;
            self.sinks.account(accounted(now, &reading));
        }
        Ok(())
    }

    /// Makes reports possible from here on.
    pub fn report(&mut self) {
        self.reporter = Some(Box::default());
    }

    /// The reporter and the state; none unless [`Pipeline::report`] was called.
    pub fn reporter(&mut self) -> Option<(&mut Reporter, &mut State)> {
        Some((self.reporter.as_mut()?, &mut self.state))
    }

    /// The sinks of the events.
    pub fn sinks(&mut self) -> &mut Sinks {
        &mut self.sinks
    }

    /// The current state.
    #[must_use]
    pub fn state(&self) -> &State {
        &self.state
    }

    /// The kernel's counts since this replay began.
    fn read(&self, probes: &Probes, misses: bool) -> anyhow::Result<Reading> {
        Ok(read(probes, misses)?.since(&self.base.reading))
    }

    /// Whether every event that has a number was taken, or is counted as lost. Right after detaching, a program may
    /// still have to submit its last event.
    ///
    /// # Errors
    /// When the counters cannot be read.
    pub fn has_all(&self, probes: &Probes) -> anyhow::Result<bool> {
        let lost = read(probes, false)?.since(&self.base.reading).losses().ring_full;
        let numbered = numbered(probes)?.saturating_sub(self.base.numbered);
        Ok(self.state.events() + lost >= numbered)
    }

    /// Reads the counts for [`Pipeline::part`]. Empty the ring after it, because reading makes events.
    ///
    /// # Errors
    /// When the counters cannot be read.
    pub fn rows(&self, probes: &Probes, misses: &Misses) -> anyhow::Result<Rows> {
        let losses = probes.losses()?;
        let reading =
            Reading { misses: Some(misses.clone()), counters: probes.rows()?, lost: probes.lost()? };
        Ok(Rows { losses, reading })
    }

    /// Ends this replay and begins another one, while the probes stay attached. The next replay knows nothing of this
    /// one, as if the probes had been attached now. `rows` comes from [`Pipeline::rows`], and the ring has to be
    /// emptied after that.
    ///
    /// Returns none, and changes nothing, while there is an event that has a number and was neither taken nor counted
    /// as lost. With `must`, it does not wait for such events: they become a gap.
    ///
    /// # Errors
    /// When the counters or the clock cannot be read.
    pub fn part(
        &mut self,
        probes: &Probes,
        rows: Rows,
        must: bool,
        now: Clock,
    ) -> anyhow::Result<Option<Finished>> {
        let at = now()?;
        let (counters, numbered) = probes.with_lines(rows.reading.counters)?;
        let reading = Reading { counters, ..rows.reading };
        let since = reading.since(&self.base.reading);
        let counted = since.all(Fate::Delivered) + self.base.owed;
        let owed = counted.saturating_sub(self.state.events());
        let is_whole = counted == self.state.events()
            && counted + since.losses().ring_full == numbered.saturating_sub(self.base.numbered);
        if !is_whole && !must {
            return Ok(None);
        }
        let next = Pipeline {
            state: State::new(Watch { attached: at, ..self.state.watch().clone() }),
            tracker: LossTracker::new(at),
            losses: rows.losses,
            base: Base { reading, numbered: numbered.saturating_sub(owed), owed },
            sinks: Sinks::default(),
            reporter: None,
        };
        let ended = mem::replace(self, next);
        let numbered = numbered.saturating_sub(ended.base.numbered);
        Ok(Some(ended.close(since, Some(numbered), at)))
    }

    /// Closes the account with the kernel's counters. `is_whole` says that the probes are detached and that all their
    /// events were taken. Otherwise the last events are not known, and nothing is concluded from their numbers.
    ///
    /// # Errors
    /// When the counters or the clock cannot be read.
    pub fn finish(self, probes: &Probes, is_whole: bool, now: Clock) -> anyhow::Result<Finished> {
        let end = now()?;
        let reading = self.read(probes, true)?;
        // An event that has a number and is not counted as lost was written, and never came.
        let numbered =
            if is_whole { Some(numbered(probes)?.saturating_sub(self.base.numbered)) } else { None };
        Ok(self.close(reading, numbered, end))
    }

    /// Takes the last gaps: of the losses that were counted, and, if `numbered` is known, of events that have a number
    /// and never came.
    fn close(mut self, reading: Reading, numbered: Option<u64>, end: Time) -> Finished {
        let gaps = self.tracker.take(&reading, end, end);
        self.gaps(gaps);
        if let Some(numbered) = numbered {
            let attached = self.state.watch().attached;
            self.gaps(missing(numbered, self.state.events() + reading.losses().ring_full, attached, end));
        }
        Finished { state: self.state, reading, kept: self.sinks.finish(), reporter: self.reporter }
    }
}

/// A gap for the events that have a number and were neither taken nor counted as lost.
///
/// Only the total says something. The number of a single event does not: on a preemptible kernel, a task may be held up
/// between reserving the place in the ring and taking the number, while other tasks write thousands of events.
fn missing(numbered: u64, accounted: u64, from: Time, until: Time) -> Vec<Gap> {
    let events = numbered.saturating_sub(accounted);
    let gap = Gap {
        reason: LossReason::RingFull,
        events,
        from,
        until,
        scope: Scope::Everything,
        programs: Vec::new(),
    };
    if events > 0 { vec![gap] } else { Vec::new() }
}

impl Pipeline {
    /// Everything that the kernel has counted since the probes were loaded.
    ///
    /// # Errors
    /// When the counters cannot be read.
    pub fn reading(probes: &Probes) -> anyhow::Result<Reading> {
        read(probes, true)
    }
}

/// The number of events that have a number.
fn numbered(probes: &Probes) -> anyhow::Result<u64> {
    Ok(probes.sequences()?.iter().sum())
}

/// Reads the kernel's counts, in the order that [`crate::losses`] asks for.
fn read(probes: &Probes, misses: bool) -> anyhow::Result<Reading> {
    let misses = misses.then(|| probes.recursion_misses());
    Ok(Reading { misses, counters: probes.counters()?, lost: probes.lost()? })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernel::plan::tests::debian;

    #[test]
    fn a_watch_without_one_end_of_a_grace_period_is_blind_to_it() {
        let whole = Plan::of(&debian("6.12"));
        assert_eq!(blind(&whole), [Blind::Inside]);
        for program in ["grace_begin", "grace_end", "expedited_begin", "expedited_end"] {
            let mut plan = whole.clone();
            plan.withdraw(program, "busy".to_owned());
            assert_eq!(blind(&plan), [Blind::Grace, Blind::Inside], "{program}");
        }
    }

    #[test]
    fn what_never_came_and_was_not_counted_is_a_gap_of_the_whole_watch() {
        assert_eq!(missing(7, 7, Time(1), Time(9)), []);
        let [gap] = missing(7, 5, Time(1), Time(9)).try_into().unwrap();
        assert_eq!((gap.events, gap.from, gap.until, gap.scope), (2, Time(1), Time(9), Scope::Everything));
    }
}
