//! Words: moves for a person who reads a path.

use super::{
    deferral::Stage,
    kernel::{Kernel, Move},
    setup::{How, Op, Setup, Then, Wait},
};

impl Kernel {
    /// What a move would do here, in one line.
    #[must_use]
    pub fn words(&self, setup: &Setup, chosen: Move) -> String {
        match chosen {
            Move::Attach => "the probes are attached".to_owned(),
            Move::Call(actor, place) => {
                format!("{}: {}", actor.words(), setup.ops[usize::from(place)].1.words(setup))
            }
            Move::Goes(actor) => {
                let looks = self.looks[actor as usize];
                let op = self.doing(actor).map(|place| setup.ops[usize::from(place)].1);
                let what = match (op, looks) {
                    (Some(Op::Destroy), Some(look)) if look.has_begun => "the look is over".to_owned(),
                    (Some(Op::Destroy), _) => "the destroy begins to look at the slabs".to_owned(),
                    (Some(Op::Return), _) => "the module's text is freed".to_owned(),
                    (Some(Op::Barrier(wait, _)), _) => format!("{} returns", wait.words()),
                    _ => "goes on".to_owned(),
                };
                format!("{}: {what}", actor.words())
            }
            Move::Decides(actor) => format!("{}: the kernel looks for what is left", actor.words()),
            Move::Overlooks(actor) => {
                format!("{}: the kernel looks, and does not find what is left", actor.words())
            }
            Move::Counts(actor, 0) => format!("{}: what is left is counted", actor.words()),
            Move::Counts(actor, more) => {
                format!("{}: what is left is counted, and {more} that is free", actor.words())
            }
            Move::GraceBegins => "a grace period begins".to_owned(),
            Move::GraceEnds => "the grace period ends".to_owned(),
            Move::Frees(place) => self.words_of_free(place),
            Move::FreesLate(place) => {
                format!("the timer frees o{}", self.deferrals[usize::from(place)].object + 1)
            }
        }
    }

    fn words_of_free(&self, place: u8) -> String {
        let deferral = self.deferrals[usize::from(place)];
        let object = deferral.object + 1;
        if deferral.is_kfree_rcu() {
            return match deferral.stage {
                Stage::Queued => format!("a worker begins to free o{object}"),
                Stage::Begun => format!("o{object} is free"),
                _ => format!("the worker of o{object} returns"),
            };
        }
        let callback = if deferral.after.is_none() { "the callback" } else { "the next callback" };
        match (deferral.stage, deferral.then) {
            (Stage::Queued, _) => format!("{callback} of o{object} begins to run"),
            (Stage::Begun, Then::Frees) => format!("{callback} frees o{object}"),
            (Stage::Begun, Then::FreesTwo) => format!("{callback} frees o{object} and o{}", object + 1),
            (Stage::Begun, Then::Queues(_)) => format!("{callback} queues the next callback of o{object}"),
            (Stage::Begun, Then::QueuesWork) => {
                format!("{callback} queues a work that will free o{object}")
            }
            (Stage::Begun, Then::QueuesWorkForTwo) => {
                format!("{callback} queues a work that will free o{object} and o{}", object + 1)
            }
            (Stage::Begun, Then::QueuesOtherWork) => {
                format!("{callback} queues a work, and hands o{object} on to a timer")
            }
            (Stage::Begun, Then::HandsOn) => format!("{callback} hands o{object} on to a timer"),
            (Stage::Done, _) => format!("{callback} of o{object} returns"),
            (Stage::Returned, Then::QueuesWork) => format!("the work frees o{object}"),
            (Stage::Returned, Then::QueuesWorkForTwo) => {
                format!("the work frees o{object} and o{}", object + 1)
            }
            (Stage::Returned, _) => "the work does what it does".to_owned(),
            _ => format!("the work of o{object} returns"),
        }
    }
}

impl Wait {
    /// The function.
    #[must_use]
    pub fn words(self) -> &'static str {
        match self {
            Wait::Rcu => "rcu_barrier()",
            Wait::Srcu => "srcu_barrier()",
            Wait::Kvfree => "kvfree_rcu_barrier()",
            Wait::Flush => "flush_workqueue()",
            Wait::Chance => "an rcu_barrier() that flush_rcu_work() calls",
        }
    }
}

impl Op {
    fn words(self, setup: &Setup) -> String {
        match self {
            Op::Defer(how, _, object) => {
                let is_mine = setup.objects[usize::from(object)];
                let of = if is_mine { "" } else { ", which is of another cache" };
                let object = object + 1;
                match how {
                    How::KfreeRcu => format!("kfree_rcu(o{object}){of}"),
                    How::CallRcu => format!("call_rcu(o{object}){of}"),
                    How::CallSrcu => format!("call_srcu(o{object}){of}"),
                    How::Elsewhere => {
                        format!("call_rcu() with a head elsewhere, for o{object}{of}")
                    }
                }
            }
            Op::Free(object) => format!("kmem_cache_free(o{})", object + 1),
            Op::Barrier(wait, true) => format!("{} is called", wait.words()),
            Op::Barrier(wait, false) => format!("{} is called, and no stack is taken", wait.words()),
            Op::Join => "waits until the helper has ended".to_owned(),
            Op::Share => "asks for a cache, and gets the same one".to_owned(),
            Op::Destroy => "kmem_cache_destroy()".to_owned(),
            Op::Return => "the exit function returns".to_owned(),
        }
    }
}
