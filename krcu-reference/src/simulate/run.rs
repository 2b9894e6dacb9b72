//! Run: takes what is due, makes the machine do it, and tells the watcher.

use std::collections::{BTreeSet, VecDeque};

use super::{
    Scenario,
    account::Accounts,
    agenda::{Agenda, Due},
    measured::{Dice, InputKind},
    poll::CpuPlan,
    program::{Plan, Queueing, Start},
    row::Outcome,
    workload::WorkloadError,
};
use crate::{
    approach::Approach,
    machine::{
        CacheIndex, Machine, Move, Reclaimer, Seen, TaskIndex, Telling, cache::End, parts::Duty,
        sequence::Cookie,
    },
};
use krcu_model::event::{Cpu, Event, Task, Time, What};

/// A machine, its watcher and its clock.
pub(super) struct Simulation<'a> {
    scenario: &'a Scenario<'a>,
    /// Who is told every event, if anybody is.
    watcher: Option<&'a mut dyn FnMut(&Event)>,
    pub(super) machine: Machine,
    /// What is queued on each CPU by calls that never wait, and how far that has come.
    lanes: &'a [Vec<Queueing>],
    lanes_done: Vec<usize>,
    frees_by_callback: bool,
    pub(super) now: Time,
    /// When the last thing happened.
    last: Time,
    pub(super) agenda: Agenda,
    pub(super) dice: Dice<'a>,
    pub(super) accounts: Accounts,
    pub(super) cpus: Vec<CpuPlan>,
    starts: Vec<VecDeque<Start>>,
    queuers: Vec<bool>,
    /// Tasks that wait for something, in the order in which they began to wait.
    pub(super) blocked: Vec<TaskIndex>,
    bystanders: Vec<TaskIndex>,
    /// For each task, when it began and when it had finished.
    spans: Vec<(Option<Time>, Option<Time>)>,
    others: Vec<(Time, u64, Due)>,
    pub(super) begins_grace: bool,
    /// When the last grace period ended.
    pub(super) grace_ended: Option<Time>,
    pub(super) shrinker_frees: bool,
    /// The CPU that the shrinker visits next, when it has freed what it took off.
    pub(super) shrinks_next: Option<Cpu>,
    /// Caches that began to linger, or of which the last move freed an object.
    pub(super) touched: Vec<CacheIndex>,
    /// Whether a check of a lingering cache is due.
    pub(super) looks: Vec<bool>,
    /// Type-safe caches that the work item has not taken yet.
    pub(super) to_release: VecDeque<CacheIndex>,
    /// The caches that the work item waits for.
    pub(super) releasing: BTreeSet<CacheIndex>,
    pub(super) release_due: bool,
    /// Operations of `rcu_barrier()` that no task called.
    pub(super) barriers: u64,
    graces: u64,
    seen: Seen,
    lengths: Vec<usize>,
}

impl<'a> Simulation<'a> {
    pub(super) fn new(
        mut plan: Plan<'a>,
        scenario: &'a Scenario<'a>,
        watcher: Option<&'a mut dyn FnMut(&Event)>,
    ) -> Simulation<'a> {
        let mut machine = Machine::new(plan.setup.clone());
        machine.telling = Telling { only_ends: watcher.is_none(), freed: Some(Vec::new()) };
        let tasks = plan.setup.tasks.len();
        Simulation {
            scenario,
            watcher,
            lanes: plan.lanes,
            lanes_done: vec![0; plan.lanes.len()],
            frees_by_callback: plan.frees_by_callback,
            now: Time(0),
            last: Time(0),
            agenda: Agenda::new(plan.actions),
            dice: Dice::new(scenario.measured, scenario.seed),
            accounts: Accounts::new(&mut plan),
            cpus: vec![CpuPlan::default(); usize::from(plan.setup.cpus)],
            starts: plan.starts,
            queuers: plan.queuers,
            blocked: Vec::new(),
            bystanders: plan.bystanders,
            spans: vec![(None, None); tasks],
            others: plan.others,
            begins_grace: false,
            grace_ended: None,
            shrinker_frees: false,
            shrinks_next: None,
            touched: Vec::new(),
            looks: vec![false; plan.setup.caches.len()],
            to_release: VecDeque::new(),
            releasing: BTreeSet::new(),
            release_due: false,
            barriers: 0,
            graces: 0,
            seen: Seen::new(),
            lengths: vec![0; usize::from(plan.setup.cpus)],
            machine,
        }
    }

    /// Runs from the first action until nothing is due, or until the budget is used up.
    pub(super) fn run(mut self, approach: &dyn Approach) -> Result<Outcome, WorkloadError> {
        self.begin();
        let mut events = 0;
        while let Some((at, due)) = self.agenda.take() {
            if let Some(why) = self.scenario.budget.ends(events, at.0) {
                return Err(WorkloadError::GaveUp { events, simulated_ns: self.now.0, why });
            }
            events += 1;
            self.now = at;
            self.perform(due);
        }
        if self.watcher.is_some() {
            self.seen.push(Event { time: Time(0), task: Task(0), cpu: Cpu(0), what: What::Quiet });
        }
        self.now = self.last;
        self.observe();
        Ok(self.outcome(approach))
    }

    /// Introduces the objects to the watcher, and puts the first entries on the agenda.
    pub(super) fn begin(&mut self) {
        if self.watcher.is_some() {
            self.seen = self.machine.introduction();
            self.observe();
        }
        for (place, lane) in self.lanes.iter().enumerate() {
            if let (Some(first), Ok(cpu)) = (lane.first(), u16::try_from(place)) {
                self.agenda.put_action(first.at, first.position.into(), Due::Lane(Cpu(cpu)));
            }
        }
        for (at, position, due) in std::mem::take(&mut self.others) {
            self.agenda.put_action(at, position, due);
        }
        for task in self.machine.task_indices() {
            self.schedule(task);
        }
        self.expect_others_grace();
    }

    fn outcome(self, approach: &dyn Approach) -> Outcome {
        let workload = self.scenario.workload;
        let (rows, mut sum) = self.accounts.rows(workload, approach, self.dice.uses());
        sum.grace_periods = self.graces;
        sum.rcu_barriers = self.barriers + u64::from(self.machine.rcu_barrier.snap().0 - 1);
        sum.simulated_ns = self.last.0;
        let waits = self.bystanders.iter().map(|task| {
            let (begin, end) = self.spans[usize::from(task.0)];
            Some(end?.since(begin?))
        });
        Outcome { rows, sum, bystander_waits_ns: waits.collect() }
    }

    // tidy: long, since it is one arm for each kind of due thing, of a few lines each.
    pub(super) fn perform(&mut self, due: Due) {
        match due {
            Due::Lane(cpu) => self.queue(cpu),
            Due::Unseen(cpu, grace) => {
                self.last = self.now;
                self.machine.put_unseen(cpu);
                self.agenda.put(grace.max(self.now), Due::UnseenReady(cpu));
            }
            Due::UnseenReady(cpu) => {
                self.machine.unseen_is_ready(cpu);
                self.poll(true);
            }
            Due::Task(task) => self.task_is_due(task),
            Due::GraceBegin => {
                self.begins_grace = false;
                if !self.machine.grace.is_in_flight() {
                    self.grace_begins(false);
                }
            }
            Due::OthersGrace(begun) => {
                // If nothing else remains, nobody would notice.
                let is_next = self.machine.grace.snap().0 == begun + 1 && !self.machine.grace.is_in_flight();
                if is_next && self.agenda.has_more() {
                    self.grace_begins(true);
                }
            }
            Due::GraceEnd => {
                if self.machine.can_end_grace() {
                    self.grace_ended = Some(self.now);
                    self.apply(Move::GraceEnd, None);
                    self.expect_others_grace();
                }
            }
            Due::Monitor(cpu) => {
                let plan = &mut self.cpus[usize::from(cpu.0)];
                if plan.armed.is_some_and(|(_, at)| at == self.now) {
                    plan.armed = None;
                    self.apply(Move::Monitor(cpu), None);
                }
            }
            Due::Drain => {
                self.last = self.now;
                for cpu in self.machine.cpu_numbers() {
                    if self.cpus[usize::from(cpu.0)].armed.take().is_some() {
                        self.apply(Move::Monitor(cpu), None);
                    }
                }
            }
            Due::Work(cpu, slot) => {
                self.cpus[usize::from(cpu.0)].works[usize::from(slot)] = false;
                self.apply(Move::Work(cpu, slot), None);
            }
            Due::Free(freer) => {
                match freer {
                    Reclaimer::Monitor(cpu) => self.cpus[usize::from(cpu.0)].monitor_frees = false,
                    Reclaimer::Work(cpu, slot) => {
                        self.cpus[usize::from(cpu.0)].work_frees[usize::from(slot)] = false;
                    }
                    Reclaimer::Shrinker => self.shrinker_frees = false,
                }
                if self.machine.is_freeing(freer) {
                    self.apply(Move::Free(freer), None);
                }
                if let Some(cpu) = self.shrinks_next.take_if(|_| self.machine.shrinker.is_none()) {
                    self.agenda.put(self.now, Due::Shrink(cpu));
                }
            }
            Due::Callback(cpu) => {
                let plan = &mut self.cpus[usize::from(cpu.0)];
                (plan.calls, plan.in_softirq) = (false, true);
                self.apply(Move::Callback(cpu), None);
            }
            Due::FillPages(cpu) => {
                self.cpus[usize::from(cpu.0)].fills = false;
                self.apply(Move::FillPages(cpu), None);
            }
            Due::LingerLook(cache) => self.linger_look(cache),
            Due::LingerTimer(cache) => self.linger_timer(cache),
            Due::ReleaseWork => self.release_work(),
            Due::Pressure(is_short) => {
                self.last = self.now;
                self.machine.set_pressure(is_short);
            }
            Due::Shrink(cpu) => self.shrink(cpu),
        }
    }

    /// Makes the machine move. What the move asks for is charged to an exit path, if it belongs to one.
    pub(super) fn apply(&mut self, chosen: Move, exit: Option<usize>) {
        #[cfg(test)]
        assert!(self.is_enabled(chosen), "{chosen:?} at {:?}", self.now);
        self.last = self.now;
        for (length, cpu) in self.lengths.iter_mut().zip(&self.machine.cpus) {
            *length = cpu.callbacks.len();
        }
        self.machine.apply(chosen, &mut self.seen);
        for (length, cpu) in self.lengths.iter().zip(&self.machine.cpus) {
            // What follows another's callback asks for nothing.
            let asks = |duty: &Duty| !matches!(duty, Duty::Barrier | Duty::Release(_));
            for callback in cpu.callbacks.iter().skip(*length).filter(|callback| asks(&callback.duty)) {
                self.accounts.ask(callback.cookie, exit);
            }
        }
        let mut is_plain = false;
        if let Move::Task(task, _) = chosen {
            is_plain = self.queuers[usize::from(task.0)];
            if let Some(cookie) = self.machine.task(task).waiting {
                self.accounts.ask(cookie, exit);
            }
        }
        self.observe();
        self.poll(!is_plain);
    }

    /// Notes what the last move has done, and tells the watcher what it has shown.
    fn observe(&mut self) {
        let mut seen = std::mem::take(&mut self.seen);
        for mut event in seen.drain(..) {
            event.time = self.now;
            if let Some(watcher) = &mut self.watcher {
                watcher(&event);
            }
            self.accounts.see(&event, &self.machine);
            match &event.what {
                What::Lingers { cache } => {
                    if let Some(cache) = Machine::cache_at(*cache) {
                        self.touched.push(cache);
                        self.set_linger_timer(cache);
                    }
                }
                What::CacheReleased { cache } => {
                    if let Some(cache) = Machine::cache_at(*cache) {
                        self.releasing.remove(&cache);
                    }
                }
                _ => {}
            }
        }
        self.seen = seen;
        let mut freed = self.machine.telling.freed.take().unwrap_or_default();
        for object in freed.drain(..) {
            self.accounts.is_freed(object, self.now);
            let cache = self.machine.object_setup(object).cache.filter(|cache| {
                matches!(self.machine.cache(*cache).end, End::Lingering { .. })
                    && self.touched.last() != Some(cache)
            });
            self.touched.extend(cache);
        }
        self.machine.telling.freed = Some(freed);
    }

    /// What is queued on a CPU from now on, up to the next thing that is due elsewhere.
    fn queue(&mut self, cpu: Cpu) {
        let place = usize::from(cpu.0);
        let lane = self.lanes[place].as_slice();
        let mut is_first = true;
        while let Some(queueing) = lane.get(self.lanes_done[place]) {
            let due = (queueing.at.max(self.now), u64::from(queueing.position));
            if !std::mem::take(&mut is_first) && !self.agenda.is_next(due) {
                self.agenda.put_action(due.0, due.1, Due::Lane(cpu));
                return;
            }
            (self.now, self.last) = (due.0, due.0);
            self.lanes_done[place] += 1;
            let waiting = self.machine.cpu(cpu).callbacks.len();
            let by_callback = queueing.by_callback || (queueing.is_destroyed && self.frees_by_callback);
            self.machine.queue_untold(queueing.object, cpu, by_callback);
            for callback in self.machine.cpu(cpu).callbacks.iter().skip(waiting) {
                self.accounts.ask(callback.cookie, None);
            }
            self.poll_queued(cpu);
        }
    }

    fn grace_begins(&mut self, for_others: bool) {
        self.graces += 1;
        let begins = self.machine.grace.snap();
        self.accounts.grace_begins(begins, for_others);
        let ends = match self.scenario.measured.recorded_length(self.now) {
            Some(length_ns) => {
                self.dice.note(InputKind::Grace);
                Time(self.now.0.saturating_add(length_ns))
            }
            None => self.after(InputKind::Grace),
        };
        self.agenda.put(ends, Due::GraceEnd);
        self.apply(Move::GraceBegin, None);
    }

    fn expect_others_grace(&mut self) {
        let at = match self.scenario.measured.next_recorded(self.now) {
            Some(at) => {
                self.dice.note(InputKind::BetweenGrace);
                Some(at)
            }
            None => {
                let gap_ns = self.dice.draw(InputKind::BetweenGrace);
                gap_ns.map(|gap_ns| Time(self.now.0.saturating_add(gap_ns)))
            }
        };
        if let Some(at) = at {
            let Cookie(next) = self.machine.grace.snap();
            self.agenda.put(at, Due::OthersGrace(next - 1));
        }
    }

    fn task_is_due(&mut self, task: TaskIndex) {
        let place = usize::from(task.0);
        let next = self.machine.task(task).next;
        if self.starts[place].front().is_some_and(|start| start.op == next) {
            self.starts[place].pop_front();
            self.spans[place].0.get_or_insert(self.now);
        }
        self.accounts.before_step(&self.machine, task, self.now);
        if !self.machine.can_step(task) {
            self.blocked.push(task);
            return;
        }
        let exit = self.accounts.exit_of(task);
        let cpu = self.machine.next_cpu(task);
        self.apply(Move::Task(task, cpu), exit);
        self.accounts.after_step(&self.machine, task, self.now);
        if let Some(cache) = exit.map(|exit| self.accounts.cache_of(exit)) {
            match self.machine.cache(cache).end {
                End::GivenUp => self.accounts.gives_up(&self.machine, cache, self.now),
                End::AwaitsWork => self.release_later(cache),
                _ => {}
            }
        }
        if self.machine.is_finished(task) {
            self.spans[place].1 = Some(self.now);
        } else {
            self.schedule(task);
        }
    }

    /// A task's next step is due at its time, or now, or when it can be taken.
    fn schedule(&mut self, task: TaskIndex) {
        let next = self.machine.task(task).next;
        match self.starts[usize::from(task.0)].front().filter(|start| start.op == next) {
            Some(start) => self.agenda.put_action(start.at.max(self.now), start.position, Due::Task(task)),
            None if self.machine.begins_to_flush(task) && self.accounts.flushes_first(task) => {
                let at = self.after(InputKind::FlushStart);
                self.agenda.put(at, Due::Task(task));
            }
            None if self.machine.can_step(task) => self.agenda.put(self.now, Due::Task(task)),
            None => self.blocked.push(task),
        }
    }

    /// So much later as the next sample says.
    pub(super) fn after(&mut self, kind: InputKind) -> Time {
        Time(self.now.0.saturating_add(self.dice.draw(kind).unwrap_or(0)))
    }
}
