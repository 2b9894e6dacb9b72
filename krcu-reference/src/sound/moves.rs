//! Moves: what may happen next in the small kernel.

use super::{
    deferral::Stage,
    kernel::{Kernel, Move, kernel_held},
    setup::{Actor, Op, Setup, Wait},
};

impl Kernel {
    /// Every move that may happen next.
    #[must_use]
    pub fn moves(&self, setup: &Setup) -> Vec<Move> {
        let mut moves = Vec::new();
        if !self.attached && self.looks.iter().all(Option::is_none) {
            moves.push(Move::Attach);
        }
        for actor in Actor::ALL {
            self.moves_of(setup, actor, &mut moves);
        }
        if setup.has_graces && !self.in_grace && self.deferrals.iter().any(|d| !d.ready) {
            moves.push(Move::GraceBegins);
        }
        if self.in_grace {
            moves.push(Move::GraceEnds);
        }
        for (place, deferral) in (0..).zip(&self.deferrals) {
            let can_go_on = match deferral.stage {
                // The callback that queues it is a reader of its kind.
                Stage::Queued => deferral.ready && self.has_queuer_returned(deferral),
                Stage::Begun | Stage::Done => true,
                Stage::Returned => deferral.queues_work(),
                Stage::LaterDone => true,
                Stage::LaterReturned => false,
            };
            if deferral.has_handed_on() && deferral.stage >= Stage::Returned {
                moves.push(Move::FreesLate(place));
            }
            if can_go_on {
                moves.push(Move::Frees(place));
            }
        }
        moves
    }

    fn moves_of(&self, setup: &Setup, actor: Actor, moves: &mut Vec<Move>) {
        let thread = self.tasks[actor as usize];
        if let Some(doing) = thread.doing {
            let is_over = |place: &usize| {
                let wait = match setup.ops[usize::from(doing.op)].1 {
                    Op::Barrier(wait, _) => wait,
                    _ if self.deferrals[*place].is_kfree_rcu() => Wait::Kvfree,
                    _ => Wait::Rcu,
                };
                doing.waits & (1 << place) == 0 || self.deferrals[*place].is_over(wait)
            };
            if !(0..self.deferrals.len()).all(|place| is_over(&place)) {
                return;
            }
            match self.looks[actor as usize] {
                Some(look) if look.is_under_way() && !look.has_decided => {
                    moves.push(Move::Decides(actor));
                    if setup.overlooks && kernel_held(setup, self) > 0 {
                        moves.push(Move::Overlooks(actor));
                    }
                }
                Some(look) if look.awaits_count() => {
                    moves.push(Move::Counts(actor, 0));
                    let is_freed_during = look.held < look.held_before;
                    if setup.miscounts && is_freed_during && look.has_failed {
                        // That one, or its whole slab.
                        moves.push(Move::Counts(actor, 1));
                        let whole = look.free_then;
                        moves.extend((whole > 1).then_some(Move::Counts(actor, whole)));
                    }
                }
                _ => moves.push(Move::Goes(actor)),
            }
            return;
        }
        for (place, (by, op)) in (0..).zip(setup.ops) {
            if *by == actor && place >= thread.next && self.may_call(setup, actor, *op) {
                moves.push(Move::Call(actor, place));
            }
        }
    }

    fn may_call(&self, setup: &Setup, actor: Actor, op: Op) -> bool {
        // The text of the module that has gone calls nothing more.
        let is_gone = self.unloaded.is_some() && actor != Actor::Other;
        let has_destroyed = self.looks[actor as usize].is_some();
        let is_mine_gone = self.looks.iter().flatten().any(|look| look.counted.is_some());
        !is_gone
            && match op {
                Op::Defer(_, then, object) => {
                    let mut objects = then.objects(object).map(usize::from);
                    let is_more = self.deferrals.len() >= setup.most;
                    !is_more && objects.all(|object| self.is_untouched(object)) && !is_mine_gone
                }
                Op::Free(object) => self.is_untouched(usize::from(object)) && !is_mine_gone,
                Op::Join => self.tasks[Actor::Helper as usize].doing.is_none(),
                Op::Share => self.users > 0 && !is_mine_gone,
                Op::Destroy => self.attached && (actor != Actor::Other || self.is_shared),
                Op::Return => self.attached && has_destroyed,
                Op::Barrier(..) => true,
            }
    }
}
