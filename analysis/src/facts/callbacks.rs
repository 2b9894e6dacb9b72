//! Callbacks: what `call_rcu()` and its like defer, from the call to the return of the callback or of its work.
//!
//! What waits is what the state's ledger says, so a row cannot contradict a verdict. Here are only those that run.

use std::collections::BTreeMap;

use krcu_common::{BarrierKind, Flavour, FreePath, wire::ELSEWHERE};
use krcu_model::{
    State,
    event::{Event, ObjectAddress, Task, Time, What},
    state::{Freer, Waiting},
};
use krcu_report::words::queues;

use super::{graces::Graces, since_attach, words::Callback};

/// One that runs.
#[derive(Debug)]
struct Running {
    waiting: Waiting,
    began: Time,
    grace_over: Option<Time>,
}

/// Callbacks and works that have begun to run and have not returned.
#[derive(Debug, Default)]
pub(super) struct Callbacks {
    callbacks: BTreeMap<Freer, Running>,
    works: BTreeMap<Task, Running>,
}

/// Works before an event that may cancel some.
pub(super) type Works = BTreeMap<(ObjectAddress, u64), Waiting>;

/// How a life ended.
#[derive(Clone, Copy)]
struct End {
    began: Option<Time>,
    returned: Option<Time>,
    grace_over: Option<Time>,
    word: &'static str,
}

impl End {
    const fn without_run(word: &'static str) -> End {
        End { began: None, returned: None, grace_over: None, word }
    }
}

impl Callbacks {
    /// Whether something waits for a grace period.
    pub(super) fn wait(state: &State) -> bool {
        let ledger = state.view().ledger;
        !ledger.callbacks.is_empty() || !ledger.works.is_empty()
    }

    /// An event that the state takes next; the row of the life that it ends.
    pub(super) fn see(&mut self, state: &State, graces: &Graces, event: &Event) -> Option<Callback> {
        let ledger = state.view().ledger;
        let freer = Freer::of(event.task, event.cpu);
        match event.what {
            What::CallbackQueued { object, domain, .. } if domain.flavour != Flavour::Work => {
                let before = ledger.callbacks.get(&object)?;
                Some(row(state, before, End::without_run("requeued")))
            }
            What::CallbackRuns { object, .. } => {
                let waiting = *ledger.callbacks.get(&object)?;
                if waiting.is_rcu_work() {
                    // Its work has yet to run.
                    return None;
                }
                let before = self.callbacks.insert(freer, Running::new(waiting, graces, event.time))?;
                Some(before.row(state, None))
            }
            What::BatchFreed { path: FreePath::Callback } => {
                let running = self.callbacks.remove(&freer)?;
                Some(running.row(state, Some(event.time)))
            }
            What::WorkRuns { object, .. } => {
                let waiting = *first_work(state, object)?;
                let before = self.works.insert(event.task, Running::new(waiting, graces, event.time))?;
                Some(before.row(state, None))
            }
            What::WorkRan { object } => {
                let running = match self.works.remove(&event.task) {
                    Some(running) => return Some(running.row(state, Some(event.time))),
                    None => first_work(state, object)?,
                };
                let grace_over = grace_over(running, graces);
                let end = End { began: None, returned: Some(event.time), grace_over, word: "returned" };
                Some(row(state, running, end))
            }
            _ => None,
        }
    }

    /// The works that a flush may have ended, before it returns.
    pub(super) fn before_a_flush(state: &State, event: &Event) -> Option<Works> {
        use BarrierKind::{RcuWork, Work, Workqueue};
        let What::BarrierEnd { barrier: RcuWork | Work | Workqueue, .. } = event.what else { return None };
        let works = &state.view().ledger.works;
        (!works.is_empty()).then(|| works.clone())
    }

    /// Rows of those that the flush has ended and that never ran.
    pub(super) fn cancelled(&self, state: &State, before: Works) -> Vec<Callback> {
        let left = &state.view().ledger.works;
        let runs = |waiting: &Waiting| self.works.values().any(|running| running.waiting == *waiting);
        let ended = before.into_iter().filter(|(place, work)| !left.contains_key(place) && !runs(work));
        ended.map(|(_, work)| row(state, &work, End::without_run("cancelled"))).collect()
    }

    /// Those that had not returned, and those that had not run.
    pub(super) fn rest(&mut self, state: &State) -> Vec<Callback> {
        let callbacks = std::mem::take(&mut self.callbacks).into_values();
        let works: Vec<Running> = std::mem::take(&mut self.works).into_values().collect();
        let ledger = state.view().ledger;
        let runs = |waiting: &Waiting| works.iter().any(|running| running.waiting == *waiting);
        let waiting = ledger.callbacks.values().chain(ledger.works.values().filter(|work| !runs(work)));
        let waiting: Vec<Callback> =
            waiting.map(|waiting| row(state, waiting, End::without_run("waiting"))).collect();
        let running = callbacks.chain(works).map(|running| running.row(state, None));
        running.chain(waiting).collect()
    }
}

impl Running {
    fn new(waiting: Waiting, graces: &Graces, began: Time) -> Running {
        Running { grace_over: grace_over(&waiting, graces), waiting, began }
    }

    fn row(&self, state: &State, returned: Option<Time>) -> Callback {
        let word = if returned.is_some() { "returned" } else { "ran" };
        let end = End { began: Some(self.began), returned, grace_over: self.grace_over, word };
        row(state, &self.waiting, end)
    }
}

fn first_work(state: &State, head: ObjectAddress) -> Option<&Waiting> {
    let works = &state.view().ledger.works;
    works.range((head, 0)..=(head, u64::MAX)).next().map(|(_, work)| work)
}

/// When the first whole grace period since its queueing had ended; other kinds of RCU have their own, which nobody sees.
fn grace_over(waiting: &Waiting, graces: &Graces) -> Option<Time> {
    let needs_one = waiting.is_of_call_rcu() || waiting.is_rcu_work();
    needs_one.then(|| graces.over_since(waiting.queued)).flatten()
}

fn row(state: &State, waiting: &Waiting, end: End) -> Callback {
    let attached = state.watch().attached;
    let at = |time: Time| since_attach(attached, time);
    let function = state.function(waiting.function);
    let flavour = waiting.deferral.map_or(Flavour::Rcu, |deferral| deferral.flavour);
    let span = |from: Option<Time>, until: Option<Time>| Some(until?.since(from?));
    Callback {
        cache: (waiting.cache.0 != ELSEWHERE).then_some(waiting.life.0),
        object: waiting.head.0,
        function: function.name.clone(),
        module: function.module.clone(),
        queued_with: queues(flavour),
        queued_at_ns: at(waiting.queued.time),
        queued_by: waiting.task.0,
        queued_on: u32::from(waiting.cpu.0),
        site: waiting.stack.0,
        grace_over_at_ns: end.grace_over.map(at),
        ran_at_ns: end.began.map(at),
        returned_at_ns: end.returned.map(at),
        latency_ns: span(Some(waiting.queued.time), end.began),
        run_ns: span(end.began, end.returned),
        end: end.word,
    }
}
