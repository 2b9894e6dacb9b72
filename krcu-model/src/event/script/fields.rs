//! The words of the notation: the names of values, the same for reading and writing, in a script and in a
//! trace.

use krcu_common::{BarrierKind, Flavour, FreePath, Kind, QueueForm};

use crate::event::{Blind, CacheAddress, LossReason, Scope};

/// The first line, with the version of the notation.
pub(super) const HEADING: &str = "krcu-script 1";

/// A type whose values each have a word.
pub trait Word: Copy + PartialEq + 'static {
    /// All values, each with its word.
    const WORDS: &'static [(Self, &'static str)];

    /// Its word.
    fn word(self) -> &'static str {
        Self::WORDS.iter().find(|(value, _)| *value == self).map_or("", |(_, word)| word)
    }

    /// Its place among all values.
    fn place(self) -> usize {
        Self::WORDS.iter().position(|(value, _)| *value == self).unwrap_or(0)
    }

    /// The value with this word.
    fn of_word(text: &str) -> Option<Self> {
        Self::WORDS.iter().find(|(_, word)| *word == text).map(|(value, _)| *value)
    }
}

macro_rules! kinds {
    ($($kind:ident { $number:literal, $word:literal, $($rest:tt)* })*) => {
        impl Word for Kind {
            const WORDS: &'static [(Kind, &'static str)] = &[$((Kind::$kind, $word)),*];

            fn place(self) -> usize {
                usize::from(Kind::place(self))
            }
        }
    };
}

krcu_common::kinds!(kinds);

macro_rules! of_the_wire {
    ($($choice:ident)*) => {
        $(impl Word for $choice {
            const WORDS: &'static [($choice, &'static str)] = $choice::WORDS;
        })*
    };
}

of_the_wire! { Flavour FreePath BarrierKind QueueForm }

impl Word for LossReason {
    const WORDS: &'static [(LossReason, &'static str)] = &[
        (LossReason::RingFull, "ring_full"),
        (LossReason::ProbeMissed, "probe_missed"),
        (LossReason::MapFull, "map_full"),
        (LossReason::NotInTrace, "not_in_trace"),
    ];
}

impl Scope {
    /// Its word. Every scope of a cache has the same word.
    #[must_use]
    pub fn word(self) -> &'static str {
        Word::word(self.of_any_cache())
    }

    /// The same scope, but of no particular cache.
    #[must_use]
    pub fn of_any_cache(self) -> Scope {
        if matches!(self, Scope::Cache(_)) { Scope::Cache(CacheAddress(0)) } else { self }
    }
}

/// One value stands for all scopes of a cache: see [`Scope::of_any_cache`].
impl Word for Scope {
    const WORDS: &'static [(Scope, &'static str)] = &[
        (Scope::Everything, "everything"),
        (Scope::Cache(CacheAddress(0)), "cache"),
        (Scope::Grace, "grace"),
        (Scope::Queueing, "queueing"),
        (Scope::Freeing, "freeing"),
        (Scope::Barriers, "barriers"),
    ];
}

impl Word for Blind {
    const WORDS: &'static [(Blind, &'static str)] = &[
        (Blind::Frees, "frees"),
        (Blind::Callbacks, "callbacks"),
        (Blind::Flavours, "flavours"),
        (Blind::RcuBarrier, "rcu_barrier"),
        (Blind::KvfreeBarrier, "kvfree_barrier"),
        (Blind::CallbackRuns, "callback_runs"),
        (Blind::Grace, "grace"),
        (Blind::Inside, "inside"),
    ];
}

impl Word for bool {
    const WORDS: &'static [(bool, &'static str)] = &[(false, "no"), (true, "yes")];
}
