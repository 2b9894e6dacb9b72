//! Player: where in a run a replay is, and how it gets elsewhere: in pieces, so that whoever drives it can say in between
//! that it is to go somewhere else. It knows no clock: it is told how much time has gone by.

use krcu_model::{
    Event, State,
    event::{Time, What},
    script,
};
use krcu_report::{Bounds, Outside, Question, Report, Reporter};

use super::{
    Command, ReplayStatus,
    tape::{Rest, Tape},
};

/// How fast a replay can be: nanoseconds of the run for a thousand of who watches.
pub const SPEEDS: [u64; 13] = [1, 2, 5, 10, 50, 100, 500, 1_000, 2_000, 5_000, 10_000, 100_000, 1_000_000];
/// As fast as it was.
const REAL: usize = 7;
/// Reports on the way to another place.
const SLICES: u64 = 40;
/// Events on the way that are taken in one piece.
const PIECE: usize = 50_000;
/// The same while it plays: of more it plays as fast as it can.
const PLAYED: usize = 10 * PIECE;
/// Thousandths of the run from its begin to its end.
const WHOLE: u64 = 1000;

/// Where it goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Goal {
    /// To this time.
    Time(Time),
    /// To the next moment at which a cache's slabs have been looked at, so that its verdict is there.
    Destroy,
}

/// How it goes there.
#[derive(Clone, Copy, Debug)]
struct Way {
    goal: Goal,
    /// From the begin, so that what was so far is of equal steps.
    is_anew: bool,
    /// Nanoseconds between two reports on the way, once it has begun.
    slice_ns: Option<u64>,
    /// Where the next one is; none yet when it is here.
    slice_end: Option<Time>,
}

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
    way: Option<Way>,
    /// Why the trace ends where it does, where it should not.
    broken: Option<String>,
}

impl<'a> Player<'a> {
    /// At the begin, playing.
    #[must_use]
    pub fn new(tape: &'a Tape) -> Player<'a> {
        let watch = &tape.label().watch;
        let (end, broken) = tape.end();
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
            way: None,
            broken,
        };
        player.rewind();
        player
    }

    fn begin(&self) -> Time {
        self.tape.label().watch.attached
    }

    fn rewind(&mut self) {
        self.rest = self.tape.rest();
        self.state = State::new(self.tape.label().watch.clone());
        self.reporter = Reporter::default();
        self.now = self.begin();
        self.events = 0;
        self.last = None;
        self.look();
        self.advance(self.now);
    }

    /// Looks at the next event. Where it cannot be read, the run ends with the one before.
    fn look(&mut self) {
        self.next = self.rest.next_event();
        if self.broken.is_none()
            && let Some((last, why)) = self.rest.broken()
        {
            self.broken = Some(why.to_owned());
            self.end = self.end.min(last);
        }
    }

    /// Takes the next event.
    fn take(&mut self) -> bool {
        let Some(event) = self.next.take() else { return false };
        self.reporter.see(&event, &self.state);
        self.state.step(event);
        self.events += 1;
        self.look();
        true
    }

    /// Takes everything up to this time.
    fn advance(&mut self, until: Time) {
        while self.next.as_ref().is_some_and(|event| event.time <= until.min(self.end)) {
            self.take();
        }
        if until >= self.end {
            // What comes behind the end: gaps that were told later.
            while self.take() {}
        }
        self.now = self.now.max(until.min(self.end));
    }

    /// So much time has gone by; whether anything has changed.
    pub fn play(&mut self, elapsed_ns: u64) -> bool {
        if !self.is_playing {
            return false;
        }
        let by = u128::from(elapsed_ns) * u128::from(SPEEDS[self.speed]) / 1000;
        let until = self.now.0.saturating_add(u64::try_from(by).unwrap_or(u64::MAX));
        self.last = None;
        for _ in 0..PLAYED {
            let Some(event) = self.next.as_ref().filter(|event| event.time.0 <= until) else {
                self.advance(Time(until));
                break;
            };
            self.now = self.now.max(event.time).min(self.end);
            self.take();
        }
        self.is_playing = self.now < self.end;
        true
    }

    /// Does what is asked, all of it; gives the reports on the way, where it goes far.
    pub fn command(&mut self, command: Command) -> Vec<Report> {
        self.start(command);
        let mut past = Vec::new();
        while self.is_going() {
            past.extend(self.go_on());
        }
        past
    }

    /// Does what is asked, or begins to where it goes far. What is asked on the way counts from where the way goes.
    pub fn start(&mut self, command: Command) {
        let begin = self.begin().0;
        let length = u128::from(self.end.0.saturating_sub(begin));
        let thousandths = |number: u64| u64::try_from(length * u128::from(number) / u128::from(WHOLE));
        match command {
            Command::Play if !self.is_playing && self.now >= self.end => {
                // Played again from the begin.
                self.is_playing = true;
                self.rewind();
            }
            Command::Play => self.is_playing = !self.is_playing,
            Command::Speed(by) => {
                let speed = i64::try_from(self.speed).unwrap_or(0) + i64::from(by);
                self.speed = usize::try_from(speed.max(0)).unwrap_or(0).min(SPEEDS.len() - 1);
            }
            Command::Step => {
                self.way = None;
                self.step();
            }
            Command::NextDestroy => {
                self.is_playing = false;
                self.go(Goal::Destroy, false);
            }
            Command::Seek(place) => {
                let by = thousandths(u64::from(place).min(WHOLE)).unwrap_or(0);
                self.go(Goal::Time(Time(begin.saturating_add(by))), true);
            }
            Command::Skip(by) => {
                let from = match self.way {
                    Some(Way { goal: Goal::Time(to), .. }) => to,
                    _ => self.now,
                };
                let far = thousandths(u64::from(by.unsigned_abs())).unwrap_or(0);
                let to = if by < 0 { from.0.saturating_sub(far) } else { from.0.saturating_add(far) };
                let is_anew = self.way.is_some_and(|way| way.is_anew);
                self.go(Goal::Time(Time(to.clamp(begin, self.end.0))), is_anew);
            }
        }
    }

    fn go(&mut self, goal: Goal, is_anew: bool) {
        self.last = None;
        if self.way.is_some_and(|way| way.goal == goal) {
            // A key that is held down does not begin it anew.
            return;
        }
        let slice_ns = self.way.filter(|_| !is_anew).and_then(|way| way.slice_ns);
        self.way = Some(Way { goal, is_anew, slice_ns, slice_end: None });
    }

    /// Whether it is on the way to another place.
    #[must_use]
    pub fn is_going(&self) -> bool {
        self.way.is_some()
    }

    /// One piece of the way; gives the report of where it began, if one is due.
    pub fn go_on(&mut self) -> Option<Report> {
        let mut way = self.way.take()?;
        let is_back = matches!(way.goal, Goal::Time(to) if to < self.now);
        if way.is_anew || is_back {
            way = Way { is_anew: false, slice_ns: None, slice_end: None, ..way };
            self.rewind();
        }
        let to = match way.goal {
            Goal::Time(to) => to.min(self.end),
            Goal::Destroy => self.end,
        };
        let slice_ns = *way.slice_ns.get_or_insert_with(|| to.since(self.now).div_ceil(SLICES).max(1));
        let past = way.slice_end.is_none().then(|| self.report(Bounds::OVERVIEW));
        let until = *way.slice_end.get_or_insert(Time(self.now.0.saturating_add(slice_ns)).min(to));
        for _ in 0..PIECE {
            let Some(event) = self.next.as_ref().filter(|event| event.time <= until) else {
                self.advance(until);
                way.slice_end = None;
                if self.now < to.min(self.end) {
                    self.way = Some(way);
                } else {
                    self.is_playing &= self.now < self.end;
                }
                return past;
            };
            if way.goal == Goal::Destroy && matches!(event.what, What::ShutdownEnd { .. }) {
                self.step();
                return past;
            }
            self.now = self.now.max(event.time);
            self.take();
        }
        self.way = Some(way);
        past
    }

    fn step(&mut self) {
        self.is_playing = false;
        if let Some(event) = &self.next {
            self.now = self.now.max(event.time).min(self.end);
            self.last = Some(script::line(event));
        }
        self.take();
    }

    /// How things are here.
    pub fn report(&mut self, bounds: Bounds) -> Report {
        let known = &self.tape.label().outside;
        // What the run knew at its end, it knew at its end only.
        let outside = if self.now >= self.end && self.next.is_none() && self.broken.is_none() {
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
    pub fn status(&self) -> ReplayStatus {
        let label = self.tape.label();
        ReplayStatus {
            name: label.name.clone(),
            at_ns: self.now.since(label.watch.attached),
            end_ns: self.end.since(label.watch.attached),
            events: self.events,
            is_playing: self.is_playing,
            speed: self.speed,
            last: self.last.clone(),
            is_seeking: self.is_going(),
            error: self.broken.clone(),
        }
    }
}
