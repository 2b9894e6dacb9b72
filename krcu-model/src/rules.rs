//! Rules: those of the judge that a check takes away one by one, to see that each is needed.
//!
//! Without the feature `mutants` no rule can be taken away, and nothing is asked while the judge runs.

macro_rules! rules {
    ($($rule:ident $words:literal)*) => {
        /// A rule that can be taken away.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
        pub enum Rule {
            $(#[doc = $words] $rule,)*
        }

        impl Rule {
            /// All of them.
            pub const ALL: &[Rule] = &[$(Rule::$rule),*];

            /// The rule in words.
            #[must_use]
            pub fn words(self) -> &'static str {
                match self {
                    $(Rule::$rule => $words,)*
                }
            }
        }
    };
}

rules! {
    FlushIsChance "an rcu_barrier() that flush_rcu_work() calls is luck"
    FlushNeedsBarrier "a flush covers the works of callbacks only after an rcu_barrier()"
    InnerBarrier "a barrier inside of the destroy counts"
    InlinedBarrier "two flushed works for each CPU prove the inlined barrier"
    SharedIsOne "a cache that is asked for again is the same cache"
    UsersLetGo "what the other users of a shared cache have waited for counts"
    OlderCallback "a callback that runs after every barrier has returned is covered by none"
    QueuedWhileLooking "what is queued during the look is left too"
    FreedWhileLooking "what is freed at once during the look may be all that it found"
    WorksFollow "a work that a callback queues is followed"
    ChainsCount "a callback that a callback queues needs one barrier more"
    EachGeneration "a callback that such a callback queues needs one barrier more again"
    ChainsUnseen "without the runs of callbacks, the order of a callback that a callback queues is open"
    FreeReturns "a free is outstanding until its call has returned"
    CallbackReturns "a callback is outstanding until it has returned"
    DropIsAlias "a destroy that meets other users drops a reference"
    LossIsOpen "a loss that may concern anything leaves the verdict open"
    LossIsBehind "a lost free or barrier leaves open what looks outstanding or unordered"
    BlindToFrees "without frees nothing is decided about kfree_rcu()"
    LateFree "a free after the end is a late one"
    UnseenCalls "an object that is freed and was not seen queued may be one of an unseen call"
    OlderFree "a free that was queued before the attach is not ordered by what came before"
    OpenFrees "kfree_rcu() that no barrier covers is unordered"
    OpenCallbacks "call_rcu() that no barrier covers is unordered"
    OpenDomains "another kind of RCU that no barrier of its own covers is unordered"
    ForeignSeen "a callback with its head elsewhere that freed an object has to be covered"
    ForeignOpen "a callback with its head elsewhere may have freed an object"
    ForeignBegun "a callback that has not begun has freed nothing"
    BlindToFlavours "without the other kinds of RCU, an unexplained free leaves open what is ordered"
    WaitIsBlind "without call_rcu() a destroy that waited may not have waited for all"
    DestroyWaits "what only the destroy itself waits for is said"
    OlderIsOpen "what an older cache had deferred leaves its order open"
    BlindToCallbacks "without call_rcu() the order of callbacks is open"
    BlindToBarriers "without rcu_barrier() nothing is unordered that needs one"
    HelperIsOpen "whether a helper's barrier was awaited is not known"
    CallerIsOpen "whose barrier it was is not known without a stack"
    EntryNotLook "a barrier that returns inside of the destroy was not awaited"
    CountIsLater "what is freed while the slabs are counted is no contradiction"
    CountOfNothing "a count of nothing after a look that found something is no count"
    RunningIsInexact "a free that runs makes the count inexact"
    MiscountIsInexact "a free during the look makes the count inexact"
    HandedOn "a callback that has returned may have handed its object on"
    SiblingsWait "a callback that waits may free further objects of the cache"
    WorksHaveSiblings "a work that a callback has queued may free further objects of the cache"
    PastIsUnknown "what is left of an older cache may have been queued"
    ForeignWaits "what is left may be held by a callback with its head elsewhere"
    ExitIsJudged "a module is judged at the return of its exit function"
    UnloadPending "a callback that has not returned as the module goes is pending"
}

/// The rules that a judge has.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Rules {
    #[cfg(feature = "mutants")]
    without: Option<Rule>,
}

impl Rules {
    /// Whether the judge has this one.
    #[inline]
    #[cfg_attr(not(feature = "mutants"), expect(clippy::unused_self, reason = "it has all"))]
    pub(crate) fn has(self, rule: Rule) -> bool {
        #[cfg(feature = "mutants")]
        return self.without != Some(rule);
        #[cfg(not(feature = "mutants"))]
        {
            let _ = rule;
            true
        }
    }
}

impl crate::State {
    /// Takes one rule away.
    #[cfg(feature = "mutants")]
    pub fn lose_rule(&mut self, rule: Rule) {
        self.rules.without = Some(rule);
    }
}
