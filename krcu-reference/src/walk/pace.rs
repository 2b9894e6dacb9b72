//! Pace: how likely each kind of move is. It changes again and again in a walk.
//!
//! If every move were as likely as every other, no page would ever be full: the monitor would have come long before.
//! So each kind of move has a weight, which is drawn anew from time to time: now workers stand still and objects
//! pile up, now grace periods follow each other.

use super::random::Random;
use crate::{
    check::world::Step,
    machine::{Machine, Move, Reclaimer, op::Op},
};

/// A kind of move.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[repr(usize)]
pub enum Kind {
    /// A task queues an object, or frees it.
    Queue,
    /// A task takes a step of a barrier or of an exit.
    Wait,
    /// A reader enters.
    Read,
    /// It leaves.
    Leave,
    /// A grace period begins.
    GraceBegin,
    /// It ends.
    GraceEnd,
    /// A monitor runs.
    Monitor,
    /// A worker takes a batch off.
    Work,
    /// Somebody frees the next part of what was taken off.
    Free,
    /// The shrinker does.
    Reclaim,
    /// A callback runs.
    Callback,
    /// A page cache is filled.
    Fill,
    /// The shrinker calls a monitor.
    Shrink,
    /// A shortage of memory begins or ends.
    Pressure,
    /// A CPU goes offline.
    Offline,
    /// The second half of that.
    Dead,
    /// A CPU comes back.
    Online,
    /// A sheaf that is not full is flushed.
    Age,
    /// The end of a cache goes on.
    End,
    /// Nothing more happens.
    Quiet,
}

impl Kind {
    /// All of them.
    pub const ALL: [Kind; 20] = [
        Kind::Queue,
        Kind::Wait,
        Kind::Read,
        Kind::Leave,
        Kind::GraceBegin,
        Kind::GraceEnd,
        Kind::Monitor,
        Kind::Work,
        Kind::Free,
        Kind::Reclaim,
        Kind::Callback,
        Kind::Fill,
        Kind::Shrink,
        Kind::Pressure,
        Kind::Offline,
        Kind::Dead,
        Kind::Online,
        Kind::Age,
        Kind::End,
        Kind::Quiet,
    ];

    /// The kind in words, for a table.
    #[must_use]
    pub fn words(self) -> &'static str {
        match self {
            Kind::Queue => "a task queues or frees an object",
            Kind::Wait => "a task takes a step of a barrier or of an exit",
            Kind::Read => "a reader enters",
            Kind::Leave => "a reader leaves",
            Kind::GraceBegin => "a grace period begins",
            Kind::GraceEnd => "a grace period ends",
            Kind::Monitor => "a monitor runs",
            Kind::Work => "a worker takes a batch off",
            Kind::Free => "a worker or a monitor frees a page, or an object of a list",
            Kind::Reclaim => "the shrinker does",
            Kind::Callback => "a callback runs",
            Kind::Fill => "a page cache is filled",
            Kind::Shrink => "the shrinker calls a monitor",
            Kind::Pressure => "a shortage of memory begins or ends",
            Kind::Offline => "a CPU goes offline",
            Kind::Dead => "its sheaves are flushed",
            Kind::Online => "a CPU comes back",
            Kind::Age => "a sheaf that is not full is flushed (repair)",
            Kind::End => "the end of a type-safe cache goes on",
            Kind::Quiet => "nothing more happens: the end of a world",
        }
    }

    /// The kind of a step.
    pub(super) fn of(machine: &Machine, step: Step) -> Kind {
        let Step::Move(chosen) = step else { return Kind::Quiet };
        match chosen {
            Move::Task(task, _) => match machine.next_op(task) {
                Some(Op::Queue(_) | Op::QueueHeadless(_) | Op::CallRcu(_) | Op::Free(_)) => Kind::Queue,
                Some(Op::ReadLock(_)) => Kind::Read,
                Some(Op::ReadUnlock) => Kind::Leave,
                _ => Kind::Wait,
            },
            Move::GraceBegin => Kind::GraceBegin,
            Move::GraceEnd => Kind::GraceEnd,
            Move::Monitor(_) => Kind::Monitor,
            Move::Work(..) => Kind::Work,
            Move::Free(Reclaimer::Shrinker) => Kind::Reclaim,
            Move::Free(_) => Kind::Free,
            Move::Callback(_) => Kind::Callback,
            Move::FillPages(_) => Kind::Fill,
            Move::Shrink(_) => Kind::Shrink,
            Move::PressureBegins | Move::PressureEnds => Kind::Pressure,
            Move::Offline(_) => Kind::Offline,
            Move::Dead(_) => Kind::Dead,
            Move::Online(_) => Kind::Online,
            Move::SheafAges(..) => Kind::Age,
            Move::LingerCheck(_) | Move::LingerTimeout(_) | Move::ReleaseWork(_) => Kind::End,
        }
    }

    /// The largest weight is a power of two below this one. What happens a few times only in a world is rare, so
    /// that it happens at any time of the world.
    fn powers(self) -> u64 {
        match self {
            Kind::Quiet | Kind::Age | Kind::Reclaim => 4,
            Kind::Pressure | Kind::Offline | Kind::Online => 6,
            Kind::Leave => 8,
            _ => 11,
        }
    }
}

/// The weights of the kinds, for some time.
pub(super) struct Pace {
    weights: [u64; Kind::ALL.len()],
    left: u64,
}

impl Pace {
    pub(super) fn draw(random: &mut Random) -> Pace {
        let weights = Kind::ALL.map(|kind| {
            let is_still = random.percent(match kind {
                Kind::Age => 70,
                Kind::Monitor => 30,
                _ => 10,
            });
            if is_still { 0 } else { random.power(kind.powers()) }
        });
        Pace { weights, left: random.power(12) }
    }

    /// The next step, one of these.
    pub(super) fn choose(&mut self, random: &mut Random, machine: &Machine, steps: &[Step]) -> Option<Step> {
        if self.left == 0 {
            *self = Pace::draw(random);
        }
        self.left -= 1;
        let kinds: Vec<Kind> = steps.iter().map(|step| Kind::of(machine, *step)).collect();
        let mut counts = [0usize; Kind::ALL.len()];
        kinds.iter().for_each(|kind| counts[*kind as usize] += 1);
        let weight = |kind: Kind| if counts[kind as usize] > 0 { self.weights[kind as usize] } else { 0 };
        let mut at = random.below(Kind::ALL.into_iter().map(weight).sum());
        let chosen = Kind::ALL.into_iter().find(|kind| {
            let is_here = at < weight(*kind);
            at = at.saturating_sub(weight(*kind));
            is_here
        });
        let Some(chosen) = chosen else { return steps.get(random.index(steps.len())).copied() };
        let nth = random.index(counts[chosen as usize]);
        let of_kind = kinds.iter().zip(steps).filter(|(kind, _)| **kind == chosen);
        let step = *of_kind.map(|(_, step)| step).nth(nth)?;
        Some(if random.percent(85) { Pace::stay(machine, step, steps) } else { step })
    }

    /// A task goes on where it is, if it can.
    fn stay(machine: &Machine, step: Step, steps: &[Step]) -> Step {
        let Step::Move(Move::Task(task, _)) = step else { return step };
        let here = Step::Move(Move::Task(task, machine.task(task).cpu));
        let is_bound = machine.next_op(task).is_some_and(Op::goes_over_all) || !steps.contains(&here);
        if is_bound { step } else { here }
    }
}
