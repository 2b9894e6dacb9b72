//! The truth table: every way to free late and every way to be wrong, on every kernel, with what must come of it and why.
//!
//! Each scenario's expectation follows from the kernel's source and was written before its first run. Most of them are
//! a few words for the module `krcu_play`; `play` and `unload` are programs of the test machine that hand it a script.

mod barriers;
mod callbacks;
mod destroys;
mod frees;
mod leaks;
mod loss;
mod real;

use crate::scenarios::{Act, Expectation, Scenario};

/// The scenarios of one topic.
pub(crate) struct Topic {
    /// As a heading.
    pub(crate) title: &'static str,
    /// In the order in which they run.
    pub(crate) scenarios: &'static [Scenario],
}

/// Every topic.
pub(crate) const TOPICS: &[Topic] = &[
    Topic { title: "Freed by call_rcu()", scenarios: callbacks::SCENARIOS },
    Topic { title: "Freed by kfree_rcu()", scenarios: frees::SCENARIOS },
    Topic { title: "Ways to destroy", scenarios: destroys::SCENARIOS },
    Topic { title: "Barriers", scenarios: barriers::SCENARIOS },
    Topic { title: "Leaked or deferred", scenarios: leaks::SCENARIOS },
    Topic { title: "What was lost", scenarios: loss::SCENARIOS },
    Topic { title: "Modules of the kernel's own", scenarios: real::SCENARIOS },
];

/// Every scenario of the table.
pub(crate) fn scenarios() -> impl Iterator<Item = &'static Scenario> {
    TOPICS.iter().flat_map(|topic| topic.scenarios)
}

/// A scenario that `krcu_play` plays under the eyes of krcu, which was there first.
const fn played(
    name: &'static str,
    why: &'static str,
    text: &'static str,
    expectations: &'static [Expectation],
) -> Scenario {
    Scenario {
        name,
        why,
        modules: &["krcu_play"],
        in_tree: &[],
        act: Act::Watched { before: "", options: "", text },
        append: "",
        alone: false,
        expectations,
    }
}
