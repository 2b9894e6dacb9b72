//! Runs the parts of a test run side by side: a machine that is emulated takes one processor and sleeps a third of its
//! time; what compiles or checks on the host runs beside the machines, one at a time.
//!
//! The longest machine begins first, by the times of the last runs, which are kept in the cache.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::num::NonZero;
use std::panic;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use crate::cache;
use crate::progress::say;

/// How often it is said what runs.
const SAY_EVERY: Duration = Duration::from_secs(30);
/// The name of the times in the cache.
const TIMES: &str = "test-times.json";

/// Where a part runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Place {
    /// Here: one at a time, in the order given, as soon as there is room.
    Host,
    /// In a machine of its own.
    Machine,
}

/// A part of a run.
pub(crate) struct Part<'a> {
    /// What it is called.
    pub(crate) name: String,
    /// Where it runs.
    pub(crate) place: Place,
    /// Parts that must be over before it begins.
    pub(crate) after: Vec<String>,
    /// An estimate in seconds, for a part that was never measured.
    pub(crate) reckoned: f32,
    /// What is done.
    pub(crate) work: Box<dyn FnOnce() + Send + 'a>,
}

impl<'a> Part<'a> {
    /// A part that waits for nothing.
    pub(crate) fn new(name: &str, place: Place, reckoned: f32, work: impl FnOnce() + Send + 'a) -> Self {
        Self { name: name.to_owned(), place, after: Vec::new(), reckoned, work: Box::new(work) }
    }

    /// The same, after others.
    pub(crate) fn after(self, names: &[&str]) -> Self {
        Self { after: names.iter().map(|name| (*name).to_owned()).collect(), ..self }
    }
}

/// What waits, runs and is over.
struct State<'a> {
    waiting: Vec<Part<'a>>,
    running: BTreeMap<String, (Instant, Place)>,
    over: BTreeSet<String>,
    times: BTreeMap<String, f32>,
    /// How many machines run at a time.
    most_machines: usize,
}

impl<'a> State<'a> {
    /// The next part that may run: one of the host's if none of these runs, else the longest machine if there is room
    /// for one.
    fn next(&mut self) -> Option<Part<'a>> {
        let is_ready = |part: &Part<'_>| {
            // What nobody runs need not be waited for.
            part.after.iter().all(|name| {
                self.over.contains(name)
                    || !(self.running.contains_key(name)
                        || self.waiting.iter().any(|other| other.name == *name))
            })
        };
        let host_is_busy = self.running.values().any(|(_, place)| *place == Place::Host);
        let running = self.running.values().filter(|(_, place)| *place == Place::Machine).count();
        let has_room = running < self.most_machines;
        let host = self.waiting.iter().position(|part| part.place == Place::Host && is_ready(part));
        let long = |part: &Part<'_>| self.times.get(&part.name).copied().unwrap_or(part.reckoned);
        let machines = self
            .waiting
            .iter()
            .enumerate()
            .filter(|(_, part)| part.place == Place::Machine && is_ready(part));
        let machine = machines.max_by(|(_, a), (_, b)| long(a).total_cmp(&long(b))).map(|(place, _)| place);
        let place = host.filter(|_| !host_is_busy).or(machine.filter(|_| has_room))?;
        Some(self.waiting.remove(place))
    }
}

/// Runs all parts; returns when they are over. The times of a whole run are kept for the next one.
pub(crate) fn run(parts: Vec<Part<'_>>, keep_times: bool) {
    let processors = thread::available_parallelism().map_or(1, NonZero::get);
    // An emulated machine takes some sixty percent of one processor. What runs on the host takes what they leave.
    let most_machines = processors + processors / 2;
    let workers = most_machines + 1;
    let state = State {
        waiting: parts,
        running: BTreeMap::new(),
        over: BTreeSet::new(),
        times: times(),
        most_machines,
    };
    let (state, changed) = (Mutex::new(state), Condvar::new());
    let panicked = Mutex::new(None);
    let work = || loop {
        let mut guard = locked(&state);
        let part = loop {
            if guard.waiting.is_empty() {
                return;
            }
            if let Some(part) = guard.next() {
                break part;
            }
            guard = changed.wait(guard).unwrap_or_else(PoisonError::into_inner);
        };
        let begun = Instant::now();
        guard.running.insert(part.name.clone(), (begun, part.place));
        drop(guard);
        // Whatever it does, the others are told that it is over.
        let outcome = panic::catch_unwind(panic::AssertUnwindSafe(part.work));
        let mut guard = locked(&state);
        guard.running.remove(&part.name);
        guard.times.insert(part.name.clone(), begun.elapsed().as_secs_f32());
        guard.over.insert(part.name);
        drop(guard);
        changed.notify_all();
        if let Err(cause) = outcome {
            // The others go on; who started them hears of it in the end.
            panicked.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert(cause);
        }
    };
    thread::scope(|scope| {
        for _ in 0..workers {
            scope.spawn(work);
        }
        scope.spawn(|| tell(&state, &changed));
    });
    if let Some(cause) = panicked.into_inner().unwrap_or_else(PoisonError::into_inner) {
        panic::resume_unwind(cause);
    }
    let times = state.into_inner().unwrap_or_else(PoisonError::into_inner).times;
    if let (true, Ok(root), Ok(text)) = (keep_times, cache::root(), serde_json::to_string_pretty(&times)) {
        // Without them the next run begins in another order, which is no worse than the first.
        drop(cache::write_file(&root.join(TIMES), text.as_bytes()));
    }
}

fn locked<'a, 'b>(state: &'a Mutex<State<'b>>) -> MutexGuard<'a, State<'b>> {
    state.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Says now and then what runs, until nothing does.
fn tell(state: &Mutex<State<'_>>, changed: &Condvar) {
    loop {
        let guard = locked(state);
        let (guard, _) = changed.wait_timeout(guard, SAY_EVERY).unwrap_or_else(PoisonError::into_inner);
        if guard.waiting.is_empty() && guard.running.is_empty() {
            return;
        }
        if guard.running.values().all(|(begun, _)| begun.elapsed() < SAY_EVERY) {
            continue;
        }
        let running = guard.running.iter();
        let running: Vec<String> =
            running.map(|(name, (begun, _))| format!("{name} ({} s)", begun.elapsed().as_secs())).collect();
        say(&format!("running: {}; {} more wait", running.join(", "), guard.waiting.len()));
    }
}

fn times() -> BTreeMap<String, f32> {
    let text = cache::root().ok().and_then(|root| fs::read_to_string(root.join(TIMES)).ok());
    text.and_then(|text| serde_json::from_str(&text).ok()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use std::collections::{BTreeMap, BTreeSet};
    use std::time::Instant;

    use super::{Part, Place, State};

    fn part(name: &str, place: Place, reckoned: f32) -> Part<'static> {
        Part::new(name, place, reckoned, || {})
    }

    fn state(waiting: Vec<Part<'static>>) -> State<'static> {
        let times = BTreeMap::from([("short".to_owned(), 5.0)]);
        State { waiting, running: BTreeMap::new(), over: BTreeSet::new(), times, most_machines: 2 }
    }

    #[test]
    fn the_host_has_one_and_the_longest_machine_is_first() {
        let mut state = state(vec![
            part("short", Place::Machine, 500.0),
            part("long", Place::Machine, 100.0),
            part("lints", Place::Host, 1.0),
            part("crates", Place::Host, 1.0),
        ]);
        let mut order = Vec::new();
        while let Some(next) = state.next() {
            state.running.insert(next.name.clone(), (Instant::now(), next.place));
            order.push(next.name);
        }
        assert_eq!(order, ["lints", "long", "short"], "a measured time counts more than a reckoned one");
        state.waiting.push(part("one too many", Place::Machine, 1.0));
        assert!(state.next().is_none());
        state.running.remove("lints");
        assert_eq!(state.next().map(|part| part.name).as_deref(), Some("crates"));
    }

    #[test]
    fn a_part_waits_for_those_that_are_run_at_all() {
        let mut state = state(vec![
            part("judge", Place::Host, 1.0).after(&["machine", "of another choice"]),
            part("machine", Place::Machine, 1.0),
        ]);
        let first = state.next().unwrap();
        assert_eq!(first.name, "machine");
        state.running.insert(first.name.clone(), (Instant::now(), first.place));
        assert!(state.next().is_none());
        state.running.remove("machine");
        state.over.insert("machine".to_owned());
        assert_eq!(state.next().map(|part| part.name).as_deref(), Some("judge"));
    }
}
