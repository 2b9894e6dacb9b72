//! Loss: which verdicts hang on what went unseen.
//!
//! A loss that falls into a cache's life leaves its verdict open, unless it is known what follows from not having
//! seen it, and the verdict is none that could follow from that.

use crate::{
    event::{Blind, Gap, Scope},
    state::{State, cache::Born, destroy::Destroy},
    verdict::kind::VerdictKind,
};

/// What went unseen in the life of a cache, by what it does to its verdict.
pub(crate) struct Losses<'a> {
    /// May have told anything of it.
    pub(crate) open: Vec<&'a Gap>,
    /// Calls that queue, where what they queued shows by what follows: it is freed, or left.
    pub(crate) calls: Vec<&'a Gap>,
    /// Frees and barriers: what is free may seem outstanding, what is ordered may seem not to be, and nothing else.
    pub(crate) one_sided: Vec<&'a Gap>,
}

impl<'a> Losses<'a> {
    pub(crate) fn of(state: &'a State, destroy: &Destroy) -> Losses<'a> {
        let mut losses = Losses { open: Vec::new(), calls: Vec::new(), one_sided: Vec::new() };
        let sees_all = !state.watch.blind.contains(&Blind::Frees) && state.sees_callbacks_run();
        // What was deferred before the probes shows by a free or a barrier alone.
        let sees_past = !destroy.life.has_unseen_past();
        for gap in state.gaps.iter().filter(|gap| touches(state, destroy, gap)) {
            match gap.scope {
                Scope::Queueing if sees_all => losses.calls.push(gap),
                Scope::Freeing | Scope::Barriers if sees_all && sees_past => losses.one_sided.push(gap),
                _ => losses.open.push(gap),
            }
        }
        // What an unseen call has queued shows by its free, which was to be seen.
        if !losses.calls.is_empty() {
            let frees = losses.one_sided.extract_if(.., |gap| gap.scope == Scope::Freeing);
            losses.open.extend(frees);
        }
        losses
    }

    /// How many calls went unseen.
    pub(crate) fn unseen_calls(&self) -> u64 {
        self.calls.iter().map(|gap| gap.events).sum()
    }

    /// Those of one side that may be why the verdict is this one.
    pub(crate) fn behind(&self, state: &State, destroy: &Destroy, kind: VerdictKind) -> Vec<&'a Gap> {
        let is_behind = |gap: &&&Gap| match gap.scope {
            Scope::Freeing => seems_outstanding(state, destroy, kind),
            Scope::Barriers => seems_unordered(destroy, kind),
            _ => false,
        };
        self.one_sided.iter().filter(is_behind).copied().collect()
    }
}

/// Whether a loss falls into the life of this cache, as far as its verdict depends on it.
fn touches(state: &State, destroy: &Destroy, gap: &Gap) -> bool {
    let is_about = match gap.scope {
        Scope::Everything | Scope::Queueing | Scope::Freeing | Scope::Barriers => true,
        Scope::Cache(address) => address == destroy.address,
        Scope::Grace => false,
    };
    let born = match &destroy.life.born {
        Born::Watched { at, .. } => at.time,
        Born::BeforeAttach => state.watch.attached,
    };
    let end = destroy.end.map_or(state.now.max(gap.from), |end| end.time);
    // An event at its end is the first that was seen again.
    is_about && gap.from <= end && gap.until > born
}

/// Whether a free, or its end, that went unseen could be why the verdict is this one: something is outstanding, or
/// being freed, that may not be. Where each object that was queued is seen to be freed once, none was missed.
fn seems_outstanding(state: &State, destroy: &Destroy, kind: VerdictKind) -> bool {
    let running_before = [&destroy.at_begin, destroy.judged_at()].map(|moment| moment.counts.running());
    let after = destroy.after.counts;
    let is_decided = !matches!(kind, VerdictKind::Inconclusive | VerdictKind::Alias | VerdictKind::Repeated);
    let is_left = after.waiting() + after.running() + running_before.iter().sum::<u64>() > 0;
    is_decided && (is_left || kind == VerdictKind::LateFree || state.doubles.contains_key(&destroy.life.id))
}

/// Whether a barrier of which something went unseen could be why the verdict is this one. One whose begin or end is
/// missing orders nothing; and one inside of it, which was there by chance, is then taken for one of its own, which
/// concerns callbacks.
fn seems_unordered(destroy: &Destroy, kind: VerdictKind) -> bool {
    match kind {
        VerdictKind::Unordered => true,
        VerdictKind::Clean => destroy.latest().callbacks.ever > 0 || destroy.at_begin.counts.frees() > 0,
        VerdictKind::Waited => destroy.latest().callbacks.ever > 0 || destroy.at_begin.counts.frees() == 0,
        _ => false,
    }
}
