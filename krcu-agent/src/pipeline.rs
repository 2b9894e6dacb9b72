//! One owner for the replay: bytes of the ring in, verdicts out.

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
    losses::{Ledger, Misses, Reading},
    probe::Probes,
    sinks::{Kept, Sinks, accounted},
};

pub use crate::losses::{Account, Losses, accounts};

/// What a plan leaves out of sight, in the words of the model.
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

/// What a finished replay gives.
#[derive(Debug)]
pub struct Finished {
    /// What is believed in the end.
    pub state: State,
    /// What the kernel has counted: what went unseen, and what became of everything that was seen.
    pub reading: Reading,
    /// What became of the events that were to be kept.
    pub kept: Kept,
    /// The maker of reports, if there was one.
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
    ledger: Ledger,
    /// [`Probes::losses`] at the last reading.
    losses: u64,
    /// What was counted before this replay began.
    base: Base,
    sinks: Sinks,
    /// What reports of a running watch are made by, where they are wanted.
    reporter: Option<Box<Reporter>>,
}

/// What the probes had counted when a replay began.
#[derive(Debug, Default)]
struct Base {
    /// Every counter.
    reading: Reading,
    /// How many events had a number.
    numbered: u64,
    /// Events that were counted by then and had not been taken: this replay takes them.
    owed: u64,
}

/// What [`Pipeline::part`] needs, read before it.
#[derive(Debug)]
pub struct Rows {
    /// [`Probes::losses`], read first: a loss that happens during the reading is found by the next look.
    losses: u64,
    /// The counts, but for those that come with the numbers of events.
    reading: Reading,
}

/// Reads CLOCK_MONOTONIC.
pub type Clock = fn() -> anyhow::Result<Time>;

/// How often the runs that the kernel skipped are read, in nanoseconds: each program has a file of its own.
const LOOK_FOR_MISSES: u64 = 1_000_000_000;

impl Pipeline {
    /// A replay that begins now; what it takes is kept as well, where that was asked for.
    #[must_use]
    pub fn new(watch: Watch, sinks: Sinks) -> Pipeline {
        let ledger = Ledger::new(watch.attached);
        Pipeline { state: State::new(watch), ledger, losses: 0, base: Base::default(), sinks, reporter: None }
    }

    /// The one place from which the model takes events: what is kept is what was taken.
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
    /// When it is not an event of this version: the probes and the agent are not of one build.
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

    /// Looks whether anything has gone unseen since the last time, and takes it as gaps. To be called often:
    /// a gap is as long as it is from one call to the next, or a second for runs that the kernel skipped.
    ///
    /// # Errors
    /// When the counters or the clock cannot be read.
    pub fn look_for_losses(&mut self, probes: &Probes, now: Clock) -> anyhow::Result<()> {
        let began = now()?;
        let losses = probes.losses()?;
        let misses_due = began.since(self.ledger.misses_read()) >= LOOK_FOR_MISSES;
        if losses == self.losses && !misses_due {
            self.ledger.nothing_until(began);
            return Ok(());
        }
        self.losses = losses;
        let reading = self.read(probes, misses_due)?;
        let gaps = self.ledger.take(&reading, began, now()?);
        self.gaps(gaps);
        Ok(())
    }

    /// The ring was emptied, and it is this late.
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

    /// Has reports made from here on.
    pub fn report(&mut self) {
        self.reporter = Some(Box::default());
    }

    /// The maker of reports, and what it makes them of; none unless [`Pipeline::report`] was called.
    pub fn reporter(&mut self) -> Option<(&mut Reporter, &mut State)> {
        Some((self.reporter.as_mut()?, &mut self.state))
    }

    /// Where events go besides the model.
    pub fn sinks(&mut self) -> &mut Sinks {
        &mut self.sinks
    }

    /// What is believed so far.
    #[must_use]
    pub fn state(&self) -> &State {
        &self.state
    }

    /// The kernel's counts since this replay began.
    fn read(&self, probes: &Probes, misses: bool) -> anyhow::Result<Reading> {
        Ok(read(probes, misses)?.since(&self.base.reading))
    }

    /// Whether every event that the probes have numbered was taken or is counted as lost. Right after
    /// detaching, a program may still be about to submit its last.
    ///
    /// # Errors
    /// When the counters cannot be read.
    pub fn has_all(&self, probes: &Probes) -> anyhow::Result<bool> {
        let lost = read(probes, false)?.since(&self.base.reading).losses().ring_full;
        let numbered = numbered(probes)?.saturating_sub(self.base.numbered);
        Ok(self.state.events() + lost >= numbered)
    }

    /// Reads what [`Pipeline::part`] needs. To be followed by emptying the ring, since reading makes events.
    ///
    /// # Errors
    /// When the counters cannot be read.
    pub fn rows(&self, probes: &Probes, misses: &Misses) -> anyhow::Result<Rows> {
        let losses = probes.losses()?;
        let reading =
            Reading { misses: Some(misses.clone()), counters: probes.rows()?, lost: probes.lost()? };
        Ok(Rows { losses, reading })
    }

    /// Ends this replay and begins another while the probes stay attached: the next knows nothing of this one, as
    /// if the probes had been attached now. Nothing is done, and nothing comes of it, while an event that has a
    /// number was neither taken nor counted as lost; unless it `must` be, and then what is missing is a gap.
    /// `rows` was read by [`Pipeline::rows`], and the ring emptied since.
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
            ledger: Ledger::new(at),
            losses: rows.losses,
            base: Base { reading, numbered: numbered.saturating_sub(owed), owed },
            sinks: Sinks::default(),
            reporter: None,
        };
        let ended = mem::replace(self, next);
        let numbered = numbered.saturating_sub(ended.base.numbered);
        Ok(Some(ended.close(since, Some(numbered), at)))
    }

    /// Closes the account with the kernel's counters. `is_whole` says that the probes are detached and that all
    /// they have written was taken; otherwise nobody knows what came last, and nothing is concluded from that.
    ///
    /// # Errors
    /// When the counters or the clock cannot be read.
    pub fn finish(self, probes: &Probes, is_whole: bool, now: Clock) -> anyhow::Result<Finished> {
        let end = now()?;
        let reading = self.read(probes, true)?;
        // What has a number and was not counted as lost was written and never came.
        let numbered =
            if is_whole { Some(numbered(probes)?.saturating_sub(self.base.numbered)) } else { None };
        Ok(self.close(reading, numbered, end))
    }

    /// The last gaps, of what was counted, and of so many events that have a number, where that says anything.
    fn close(mut self, reading: Reading, numbered: Option<u64>, end: Time) -> Finished {
        let gaps = self.ledger.take(&reading, end, end);
        self.gaps(gaps);
        if let Some(numbered) = numbered {
            let attached = self.state.watch().attached;
            self.gaps(missing(numbered, self.state.events() + reading.losses().ring_full, attached, end));
        }
        Finished { state: self.state, reading, kept: self.sinks.finish(), reporter: self.reporter }
    }
}

/// Events that have a number and are neither here nor counted as lost. Of no other number is anything to be
/// learnt: where the kernel can be preempted, a task may be held up between the place of its event in the ring
/// and its number, for as long as others write thousands.
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
    /// What the kernel has counted so far, all of it.
    ///
    /// # Errors
    /// When the counters cannot be read.
    pub fn reading(probes: &Probes) -> anyhow::Result<Reading> {
        read(probes, true)
    }
}

/// How many events have a number.
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
