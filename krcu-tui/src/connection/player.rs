//! Player: the current time of a replay, and the way to another time. It goes there in pieces, so that its
//! driver can give it a new goal in between. It has no clock: its driver says how much time has passed.

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

/// The speeds of a replay: nanoseconds of the run for a thousand nanoseconds of real time.
pub const SPEEDS: [u64; 13] = [1, 2, 5, 10, 50, 100, 500, 1_000, 2_000, 5_000, 10_000, 100_000, 1_000_000];
/// The place of the real speed.
const REAL: usize = 7;
/// The number of reports on the way to another time.
const SLICES: u64 = 40;
/// The number of events on the way that are taken in one piece.
const PIECE: usize = 50_000;
/// The same while it plays. If there are more events, it plays as fast as it can.
const PLAYED: usize = 10 * PIECE;
/// Thousandths of the run from its beginning to its end.
const WHOLE: u64 = 1000;

/// The goal of a seek.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Goal {
    /// This time.
    Time(Time),
    /// The next moment at which a destroy has looked at its slabs, so that its verdict is there.
    Destroy,
}

/// The way to the goal.
#[derive(Clone, Copy, Debug)]
struct Way {
    goal: Goal,
    /// Whether it begins at the beginning of the run, so that the history has equal steps.
    is_anew: bool,
    /// Nanoseconds between two reports on the way, once that is known.
    slice_ns: Option<u64>,
    /// When the next report on the way is due; not known before the first piece.
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
    /// Why the trace ends too early, if it does.
    broken: Option<String>,
}

impl<'a> Player<'a> {
    /// A player at the beginning, playing.
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

    /// Looks at the next event. If it cannot be read, the run ends with the event before it.
    fn look(&mut self) {
        self.next = self.rest.next_event();
        if self.broken.is_none()
            && let Some((last, why)) = self.rest.broken()
        {
            self.broken = Some(why);
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

    /// Takes all events up to this time.
    fn advance(&mut self, until: Time) {
        while self.next.as_ref().is_some_and(|event| event.time <= until.min(self.end)) {
            self.take();
        }
        if until >= self.end {
            // Events after the end: gaps that were found later.
            while self.take() {}
        }
        self.now = self.now.max(until.min(self.end));
    }

    /// This much time has passed. Returns whether anything has changed.
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

    /// Carries out a command completely. Returns the reports on the way, if it goes far.
    pub fn command(&mut self, command: Command) -> Vec<Report> {
        self.start(command);
        let mut past = Vec::new();
        while self.is_going() {
            past.extend(self.go_on());
        }
        past
    }

    /// Carries out a command, or begins to, if it goes far. A command on the way counts from the current
    /// goal.
    pub fn start(&mut self, command: Command) {
        let begin = self.begin().0;
        let length = u128::from(self.end.0.saturating_sub(begin));
        let thousandths = |number: u64| u64::try_from(length * u128::from(number) / u128::from(WHOLE));
        match command {
            Command::Play if !self.is_playing && self.now >= self.end => {
                // At the end, it plays again from the beginning.
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
            // A key that is held down must not start it again.
            return;
        }
        let slice_ns = self.way.filter(|_| !is_anew).and_then(|way| way.slice_ns);
        self.way = Some(Way { goal, is_anew, slice_ns, slice_end: None });
    }

    /// Whether it is on the way to another time.
    #[must_use]
    pub fn is_going(&self) -> bool {
        self.way.is_some()
    }

    /// One piece of the way. Returns the report of where the piece began, if one is due.
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

    /// The report of the current time.
    pub fn report(&mut self, bounds: Bounds) -> Report {
        let known = &self.tape.label().outside;
        // What the run learned at its end is shown at the end only.
        let outside = if self.now >= self.end && self.next.is_none() && self.broken.is_none() {
            known.clone()
        } else {
            Outside { probes: known.probes.clone(), ..Outside::default() }
        };
        self.reporter.report(&self.state, self.now, outside, bounds)
    }

    /// What the simulation of a destroy needs.
    #[must_use]
    pub fn question(&self, destroy: u64) -> Option<Question> {
        self.reporter.question(&self.state, destroy)
    }

    /// The state of the replay.
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
