//! Player: where in a run a replay is, and how it gets elsewhere. It knows no clock: whoever drives it says how much
//! time has gone by.

use krcu_model::{
    Event, State,
    event::{Time, What},
    report::{Bounds, Outside, Question, Report, Reporter},
    script,
};

use super::{
    Replay,
    tape::{Rest, Tape},
};
use crate::state::Command;

/// How fast a replay can be: nanoseconds of the run for a thousand of who watches.
pub const SPEEDS: [u64; 13] = [1, 2, 5, 10, 50, 100, 500, 1_000, 2_000, 5_000, 10_000, 100_000, 1_000_000];
/// As fast as it was.
const REAL: usize = 7;
/// Reports on the way to another place.
const SLICES: u64 = 40;
/// Thousandths of the run from its begin to its end.
const WHOLE: u64 = 1000;

/// A replay.
pub struct Player<'a> {
    tape: &'a Tape,
    rest: Rest<'a>,
    next: Option<Event>,
    state: State,
    reporter: Reporter,
    now: Time,
    end: Time,
    speed: usize,
    is_playing: bool,
    events: u64,
    last: Option<String>,
}

impl<'a> Player<'a> {
    /// At the begin, playing.
    ///
    /// # Errors
    /// When the trace cannot be read.
    pub fn new(tape: &'a Tape) -> anyhow::Result<Player<'a>> {
        let watch = &tape.label().watch;
        let end = tape.end()?;
        let mut player = Player {
            tape,
            rest: tape.rest(),
            next: None,
            state: State::new(watch.clone()),
            reporter: Reporter::default(),
            now: watch.attached,
            end,
            speed: REAL,
            is_playing: true,
            events: 0,
            last: None,
        };
        player.next = player.rest.next_event()?;
        player.advance(player.now)?;
        Ok(player)
    }

    fn rewind(&mut self) -> anyhow::Result<()> {
        let watch = &self.tape.label().watch;
        self.rest = self.tape.rest();
        self.state = State::new(watch.clone());
        self.reporter = Reporter::default();
        self.now = watch.attached;
        self.events = 0;
        self.last = None;
        self.next = self.rest.next_event()?;
        Ok(())
    }

    /// Takes the next event.
    fn take(&mut self) -> anyhow::Result<bool> {
        let Some(event) = self.next.take() else { return Ok(false) };
        self.reporter.see(&event, &self.state);
        self.state.step(event);
        self.events += 1;
        self.next = self.rest.next_event()?;
        Ok(true)
    }

    /// Takes everything up to this time.
    fn advance(&mut self, until: Time) -> anyhow::Result<()> {
        let until = until.min(self.end);
        while self.next.as_ref().is_some_and(|event| event.time <= until) {
            self.take()?;
        }
        if until == self.end {
            // What comes behind the end: gaps that were told later.
            while self.take()? {}
        }
        self.now = self.now.max(until);
        Ok(())
    }

    /// So much time has gone by; whether anything has changed.
    ///
    /// # Errors
    /// When the trace cannot be read.
    pub fn play(&mut self, elapsed_ns: u64) -> anyhow::Result<bool> {
        if !self.is_playing {
            return Ok(false);
        }
        let by = u128::from(elapsed_ns) * u128::from(SPEEDS[self.speed]) / 1000;
        let until = self.now.0.saturating_add(u64::try_from(by).unwrap_or(u64::MAX));
        self.last = None;
        self.advance(Time(until))?;
        if self.now >= self.end {
            self.is_playing = false;
        }
        Ok(true)
    }

    /// Does what is asked; gives the reports on the way, where it goes far.
    ///
    /// # Errors
    /// When the trace cannot be read.
    pub fn command(&mut self, command: Command) -> anyhow::Result<Vec<Report>> {
        let begin = self.tape.label().watch.attached.0;
        let length = self.end.0.saturating_sub(begin);
        let thousandth = |place: u64| {
            Time(
                begin
                    + u64::try_from(u128::from(length) * u128::from(place.min(WHOLE)) / u128::from(WHOLE))
                        .unwrap_or(length),
            )
        };
        match command {
            Command::Play if !self.is_playing && self.now >= self.end => {
                // Played again from the begin.
                self.is_playing = true;
                self.rewind()?;
                self.advance(Time(begin))?;
            }
            Command::Play => self.is_playing = !self.is_playing,
            Command::Speed(by) => {
                let speed = i64::try_from(self.speed).unwrap_or(0) + i64::from(by);
                self.speed = usize::try_from(speed.max(0)).unwrap_or(0).min(SPEEDS.len() - 1);
            }
            Command::Step => self.step()?,
            Command::NextDestroy => return self.next_destroy(),
            Command::Seek(place) => {
                // From the begin, so that what was so far is of equal steps.
                self.rewind()?;
                return self.seek(thousandth(u64::from(place)));
            }
            Command::Skip(by) => {
                let here = i128::from(self.now.0 - begin);
                let by = i128::from(length) * i128::from(by) / i128::from(WHOLE);
                let to = u64::try_from((here + by).max(0)).unwrap_or(u64::MAX);
                return self.seek(Time(begin.saturating_add(to)));
            }
        }
        Ok(Vec::new())
    }

    fn step(&mut self) -> anyhow::Result<()> {
        self.is_playing = false;
        if let Some(event) = &self.next {
            self.now = self.now.max(event.time).min(self.end);
            self.last = Some(script::line(event));
        }
        self.take()?;
        Ok(())
    }

    /// To the next moment at which a cache's slabs have been looked at, so that its verdict is there.
    fn next_destroy(&mut self) -> anyhow::Result<Vec<Report>> {
        self.is_playing = false;
        while let Some(event) = &self.next {
            let is_it = matches!(event.what, What::ShutdownEnd { .. });
            self.step()?;
            if is_it {
                return Ok(Vec::new());
            }
        }
        self.advance(self.end)?;
        Ok(Vec::new())
    }

    fn seek(&mut self, to: Time) -> anyhow::Result<Vec<Report>> {
        let to = to.min(self.end);
        if to < self.now {
            self.rewind()?;
        }
        self.last = None;
        let (from, mut past) = (self.now, Vec::new());
        let length = to.since(from);
        for slice in 0..SLICES {
            self.advance(Time(from.0 + length / SLICES * slice))?;
            past.push(self.report(Bounds::OVERVIEW));
        }
        self.advance(to)?;
        if self.now >= self.end {
            self.is_playing = false;
        }
        Ok(past)
    }

    /// How things are here.
    pub fn report(&mut self, bounds: Bounds) -> Report {
        let known = &self.tape.label().outside;
        // What the run knew at its end, it knew at its end only.
        let outside = if self.now >= self.end && self.next.is_none() {
            known.clone()
        } else {
            Outside { probes: known.probes.clone(), ..Outside::default() }
        };
        self.reporter.report(&self.state, self.now, outside, bounds)
    }

    /// What is to be simulated of a destroy.
    #[must_use]
    pub fn question(&self, destroy: u64) -> Option<Question> {
        self.reporter.question(&self.state, destroy)
    }

    /// How it stands.
    #[must_use]
    pub fn status(&self) -> Replay {
        let label = self.tape.label();
        Replay {
            name: label.name.clone(),
            at_ns: self.now.since(label.watch.attached),
            end_ns: self.end.since(label.watch.attached),
            events: self.events,
            is_playing: self.is_playing,
            speed: self.speed,
            last: self.last.clone(),
            error: None,
        }
    }
}
