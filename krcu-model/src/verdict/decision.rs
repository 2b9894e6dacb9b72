//! Decision: the result of a rule, as a value. A [`Verdict`] is a decision with its evidence.
//!
//! A new rule returns a decision. Besides the word, it can give a [`Reason`], a [`Note`], or a number that is
//! a member here. For a new note, the compiler asks for its sentence in the one place that reports verdicts.

use serde::{Deserialize, Serialize};

use crate::verdict::{
    evidence::{AboutCache, Evidence, LuckyBarrier},
    kind::{Ordering, VerdictKind},
    note::Note,
    reason::Reason,
};

/// The objects that were left when a destroy looked, by their origin.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Left {
    /// Objects handed to `kfree_rcu()`.
    pub frees: u64,
    /// Of these, objects whose free had begun and not returned.
    pub being_freed: u64,
    /// Of these, objects that the barrier inside the destroy covers and did not wait for.
    pub missed_by_barrier: u64,
    /// Objects whose callback of `call_rcu()` had not run; absent if that is not known.
    pub callbacks: Option<u64>,
    /// Objects that wait for another kind of RCU than `call_rcu()` does, or for a work.
    pub others: u64,
    /// Objects that nobody queued; absent if that is not known.
    pub leaked: Option<u64>,
    /// Objects of which it is not known whether they were queued.
    pub undecided: u64,
}

/// What a destroy waited for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Waited {
    /// Deferred frees of its cache.
    pub own_frees: u64,
    /// Deferred frees of other watched caches.
    pub other_frees: u64,
    /// Callbacks of its cache that had not run at the entry.
    pub own_callbacks: u64,
    /// Whether only the `rcu_barrier()` inside ordered callbacks before it.
    pub for_callbacks: bool,
    /// Of the deferred frees of its cache, objects that lay in sheaves.
    pub in_sheaves: u64,
}

/// What is decided.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Decision {
    /// The word.
    pub kind: VerdictKind,
    /// How the deferred frees are ordered before the destroy.
    pub ordering: Ordering,
    /// What was left.
    pub left: Left,
    /// What the destroy waited for.
    pub waited: Waited,
    /// The barrier of somebody else that happened to cover all that was deferred, where the teardown's own do not.
    pub lucky: Option<LuckyBarrier>,
    /// Why it cannot be decided; of a `clean` whose ordering is not known, why not.
    pub reasons: Vec<Reason>,
    /// The programs whose runs were skipped, if that is a reason.
    pub missed_programs: Vec<String>,
    /// Further sentences: why it cannot be decided, or what else the reader should know.
    pub notes: Vec<Note>,
}

impl Decision {
    /// The same decision with this word.
    #[must_use]
    pub(crate) fn is(mut self, kind: VerdictKind) -> Decision {
        self.kind = kind;
        self
    }

    /// The same decision with this note.
    #[must_use]
    pub(crate) fn note(mut self, note: impl Into<Note>) -> Decision {
        self.notes.push(note.into());
        self
    }

    /// The same decision with this reason and a note about it.
    #[must_use]
    pub(crate) fn because(mut self, reason: Reason, note: impl Into<Note>) -> Decision {
        self.reasons.push(reason);
        self.note(note)
    }
}

/// What a verdict is about.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case")]
pub enum About {
    /// A cache.
    #[default]
    Cache,
    /// The text of a module that goes.
    Module,
}

/// One verdict.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Verdict {
    /// What it is about.
    pub about: About,
    /// The cache that it is about; of a module, its name.
    pub cache: AboutCache,
    /// What is decided.
    pub decision: Decision,
    /// What else is known.
    pub evidence: Evidence,
}

impl Verdict {
    /// The word.
    #[must_use]
    pub fn kind(&self) -> VerdictKind {
        self.decision.kind
    }
}
