//! Wrong: judges that are wrong on purpose, each in one way. The check must refute each of them.

use krcu_common::{BarrierKind, Flavour};
use krcu_model::{
    Event, State, Verdict, VerdictKind,
    event::{Task, What},
    rules::Rule,
};

use super::{promise::Sound, setup::Actor};

/// What is wrong with a judge.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wrong {
    /// Nothing.
    Nothing,
    /// It has not this rule.
    Without(Rule),
    /// It takes everybody's barrier for one of the destroying task.
    AnybodysBarrierCounts,
    /// It takes a cache that is shared for a new one.
    SharedIsNew,
    /// It does not follow callbacks whose heads lie elsewhere.
    NothingIsElsewhere,
    /// It does not follow works that callbacks queue.
    NothingIsHandedOn,
    /// It takes each kind of RCU for that of `call_rcu()`.
    EveryKindIsRcu,
    /// It does not know that something was lost.
    GapsAreMissed,
    /// It does not see that grace periods end.
    GracesNeverEnd,
    /// It counts one undecided object too many.
    UndecidedTooMany,
    /// It counts one object too many that waits.
    PendingTooMany,
    /// It says `inconclusive` where it knows that nothing is ordered.
    OpenIfUnordered,
    /// It says `clean` where the destroy has waited.
    CleanIfWaited,
    /// It says `leaked` where objects wait.
    LeakedIfPending,
}

impl Wrong {
    /// All of them, each with the promise that it must break.
    pub const ALL: [(Wrong, Sound); 12] = [
        (Wrong::AnybodysBarrierCounts, Sound::CleanIsClean),
        (Wrong::SharedIsNew, Sound::CleanIsClean),
        (Wrong::NothingIsElsewhere, Sound::CleanIsClean),
        (Wrong::NothingIsHandedOn, Sound::CleanIsClean),
        (Wrong::EveryKindIsRcu, Sound::CleanIsClean),
        (Wrong::GapsAreMissed, Sound::CleanIsClean),
        (Wrong::GracesNeverEnd, Sound::KernelNotAccused),
        (Wrong::UndecidedTooMany, Sound::CountsAreTrue),
        (Wrong::PendingTooMany, Sound::CountsAreTrue),
        (Wrong::OpenIfUnordered, Sound::OpenIsNotLazy),
        (Wrong::CleanIfWaited, Sound::CleanIsClean),
        (Wrong::LeakedIfPending, Sound::FlagIsEarned),
    ];

    /// The judge in words.
    #[must_use]
    pub fn words(self) -> &'static str {
        match self {
            Wrong::Nothing => "as it is",
            Wrong::Without(rule) => rule.words(),
            Wrong::AnybodysBarrierCounts => "takes everybody's barrier for one of the destroying task",
            Wrong::SharedIsNew => "takes a cache that is shared for a new one",
            Wrong::NothingIsElsewhere => "does not follow callbacks whose heads lie elsewhere",
            Wrong::NothingIsHandedOn => "does not follow works that callbacks queue",
            Wrong::EveryKindIsRcu => "takes each kind of RCU for that of call_rcu()",
            Wrong::GapsAreMissed => "does not know that something was lost",
            Wrong::GracesNeverEnd => "does not see that grace periods end",
            Wrong::UndecidedTooMany => "counts one undecided object too many",
            Wrong::PendingTooMany => "counts one object too many that waits",
            Wrong::OpenIfUnordered => "says `inconclusive` where it knows that nothing is ordered",
            Wrong::CleanIfWaited => "says `clean` where the destroy has waited",
            Wrong::LeakedIfPending => "says `leaked` where objects wait",
        }
    }

    pub(super) fn begins(self, state: &mut State) {
        if let Wrong::Without(rule) = self {
            state.lose_rule(rule);
        }
    }

    /// What such a judge takes an event for.
    pub(super) fn hears(self, mut event: Event) -> Option<Event> {
        match (self, &mut event.what) {
            (Wrong::AnybodysBarrierCounts, What::BarrierBegin { .. } | What::BarrierEnd { .. }) => {
                event.task = Task(Actor::Exit.task());
            }
            (Wrong::SharedIsNew, What::CacheCreated { facts, .. }) => facts.refcount = 1,
            (Wrong::NothingIsElsewhere, What::CallbackQueued { cache, domain, .. })
                if cache.0 == krcu_common::wire::ELSEWHERE && domain.flavour == Flavour::Rcu =>
            {
                return None;
            }
            (Wrong::NothingIsHandedOn, What::CallbackQueued { domain, .. })
                if domain.flavour == Flavour::Work =>
            {
                return None;
            }
            (Wrong::EveryKindIsRcu, What::CallbackQueued { domain, .. })
                if domain.flavour == Flavour::Srcu =>
            {
                domain.flavour = Flavour::Rcu;
            }
            (
                Wrong::EveryKindIsRcu,
                What::BarrierBegin { barrier, .. } | What::BarrierEnd { barrier, .. },
            ) if *barrier == BarrierKind::Srcu => {
                *barrier = BarrierKind::Rcu;
            }
            (Wrong::GapsAreMissed, What::Gap(_)) | (Wrong::GracesNeverEnd, What::GraceEnd { .. }) => {
                return None;
            }
            _ => {}
        }
        Some(event)
    }

    /// What such a judge says instead.
    pub(super) fn says(self, mut verdict: Verdict) -> Verdict {
        let decision = &mut verdict.decision;
        match (self, decision.kind) {
            (Wrong::UndecidedTooMany, _) if decision.left.undecided > 0 => decision.left.undecided += 1,
            (Wrong::PendingTooMany, VerdictKind::Pending) => decision.left.frees += 1,
            (Wrong::OpenIfUnordered, VerdictKind::Unordered) => decision.kind = VerdictKind::Inconclusive,
            (Wrong::CleanIfWaited, VerdictKind::Waited) => decision.kind = VerdictKind::Clean,
            (Wrong::LeakedIfPending, VerdictKind::Pending) => decision.kind = VerdictKind::Leaked,
            _ => {}
        }
        verdict
    }
}
