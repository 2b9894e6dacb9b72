//! The simulation takes the machine's own moves: each move that it takes is enabled, and it forgets none.

use super::{
    Action, Budget, CacheSpec, Caller, Input, Measured, Scenario, Workload,
    agenda::Due,
    program::{Base, Plan},
    run::Simulation,
};
use crate::{
    approach::{self, row_name},
    machine::{CacheIndex, Machine, Move, Reclaimer, cache::End, facts::Sizes, op::Linger},
};
use krcu_model::event::{Cpu, Time};

impl Simulation<'_> {
    /// Whether the machine would let a checker make this move, or the reason why it is made anyway.
    pub(super) fn is_enabled(&self, chosen: Move) -> bool {
        let mut moves = Vec::new();
        self.machine.moves(&mut moves);
        moves.contains(&chosen)
            // Moves that a checker would not make: a grace period that others need; a timer that does not
            // know what is queued; a shrinker that runs while there is memory.
            || matches!(chosen, Move::GraceBegin | Move::LingerTimeout(_))
            || matches!(chosen, Move::Shrink(cpu) if self.machine.cpu(cpu).krc.has_queued())
    }

    /// A move that could be made but that nothing on the agenda will make.
    fn forgotten(&self) -> Option<Move> {
        let mut moves = Vec::new();
        self.machine.moves(&mut moves);
        let is_planned = |chosen: &Move| {
            let plan = |cpu: Cpu| &self.cpus[usize::from(cpu.0)];
            match *chosen {
                Move::Task(task, _) => !self.blocked.contains(&task),
                Move::GraceBegin => self.begins_grace || self.machine.grace.is_done(self.accounts.asked()),
                Move::GraceEnd => self.agenda.has(|due| *due == Due::GraceEnd),
                Move::Monitor(cpu) => plan(cpu).armed.is_some(),
                Move::Work(cpu, slot) => plan(cpu).works[usize::from(slot)],
                Move::Free(Reclaimer::Monitor(cpu)) => plan(cpu).monitor_frees,
                Move::Free(Reclaimer::Work(cpu, slot)) => plan(cpu).work_frees[usize::from(slot)],
                Move::Free(Reclaimer::Shrinker) => self.shrinker_frees,
                Move::Callback(cpu) => plan(cpu).calls,
                Move::FillPages(cpu) => plan(cpu).fills,
                Move::LingerCheck(cache) => {
                    let end = self.machine.cache(cache).end;
                    let by_timer =
                        matches!(end, End::Lingering { linger: Linger { early_checks: false, .. }, .. });
                    self.looks[usize::from(cache.0)]
                        || (by_timer && self.agenda.has(|due| *due == Due::LingerTimer(cache)))
                }
                Move::LingerTimeout(cache) => self.agenda.has(|due| *due == Due::LingerTimer(cache)),
                Move::ReleaseWork(cache) => self.to_release.contains(&cache),
                Move::Shrink(_) | Move::PressureEnds | Move::Offline(_) | Move::Dead(_) => true,
                Move::PressureBegins | Move::SheafAges(..) | Move::Online(_) => false,
            }
        };
        moves.into_iter().find(|chosen| !is_planned(chosen))
    }

    /// Like [`Simulation::run`], with a check at every instant.
    fn run_and_look(&mut self, name: &str) {
        self.begin();
        let mut before = Time(0);
        while let Some((at, due)) = self.agenda.take() {
            self.now = at;
            self.perform(due);
            assert!(at >= before, "{name}");
            before = at;
            assert_eq!(self.forgotten(), None, "{name} at {at:?} after {due:?}");
        }
    }
}

/// A workload with small parts and few objects, a different one for each number.
fn workload(number: u64) -> Workload {
    let mut random = number;
    let mut below = |limit: u64| {
        random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (random >> 33) % limit
    };
    let mut workload = Workload { sizes: Sizes::SMALL, ..Workload::new(2) };
    for (name, type_safe) in [("a", false), ("b", number.is_multiple_of(3)), ("stays", false)] {
        let spec =
            CacheSpec { name: name.to_owned(), object_bytes: 64, type_safe, slab_objects: 3, other_users: 0 };
        workload.cache(spec);
    }
    for _ in 0..25 {
        let cache = u16::try_from(below(4)).ok().filter(|cache| *cache < 3).map(CacheIndex);
        let cpu = Cpu(if below(2) == 0 { 0 } else { 1 });
        let action = match below(10) {
            0 => Action::QueueHeadless { cache, cpu },
            1 => Action::CallRcu { cache, cpu },
            2 => Action::Leak { cache: CacheIndex(0) },
            3 => Action::RcuBarrier { cpu },
            4 => Action::Pressure { is_short: below(2) == 0 },
            5 => Action::Shrink,
            _ => Action::Queue { cache, cpu },
        };
        workload.at(below(60) * 1_000_000, action);
    }
    for cache in [CacheIndex(0), CacheIndex(1)] {
        let caller = Caller(u32::try_from(below(2)).unwrap());
        let cpu = Cpu(if below(2) == 0 { 0 } else { 1 });
        workload.at(below(70) * 1_000_000, Action::Destroy { cache, caller, cpu });
    }
    workload
}

#[test]
fn every_move_is_enabled_and_none_is_forgotten() {
    let samples = |from: u64| Input::observed((0..9).map(|n| from * (1 + n % 4)).collect(), "this test");
    let measured = Measured {
        between_grace: samples(3_000_000),
        worker_delay: samples(100_000).unwrap(),
        softirq_delay: samples(300_000).unwrap(),
        ..Measured::assuming(samples(4_000_000).unwrap(), samples(200_000).unwrap())
    };
    let alone = Measured { between_grace: None, ..measured.clone() };
    for approach in approach::all() {
        for number in 0..40 {
            let workload = workload(number);
            let measured = if number % 2 == 0 { &measured } else { &alone };
            let scenario =
                Scenario { workload: &workload, measured, seed: number, budget: Budget::events(1 << 24) };
            let base = Base::new(&workload, false).unwrap();
            let plan = Plan::new(approach.as_ref(), &workload, &base, &approach.bystander()).unwrap();
            let mut ignore = |_: &_| {};
            let mut simulation = Simulation::new(plan, &scenario, Some(&mut ignore));
            simulation.run_and_look(&format!("{} {number}", row_name(approach.as_ref())));
        }
    }
}

#[test]
fn a_task_number_is_no_workers() {
    use crate::machine::TaskIndex;
    let cpus = || (0..u16::MAX).map(Cpu);
    let workers =
        cpus().flat_map(|cpu| [Reclaimer::Monitor(cpu), Reclaimer::Work(cpu, 0), Reclaimer::Work(cpu, 1)]);
    let workers = workers.chain([Reclaimer::Shrinker]).map(Machine::freer_number);
    let tasks = (0..u16::MAX).map(|task| Machine::task_number(TaskIndex(task)));
    let mut all: Vec<u32> =
        workers.chain(tasks).chain(cpus().map(Machine::softirq_number)).map(|task| task.0).collect();
    let count = all.len();
    all.sort_unstable();
    all.dedup();
    assert_eq!((all.len(), all[0]), (count, 1));
    assert_eq!(Machine::task_number(TaskIndex(498)).0, 499);
}
