//! The truth table: every way to free late and every way to be wrong, on every kernel, with the verdicts that
//! must follow and why.
//!
//! Each scenario's expectation follows from the kernel's source, not from what krcu says. Most scenarios are
//! a short script for the module `krcu_play`. `play` and `unload` are programs of the test machine that hand
//! the script to the module.

mod barriers;
mod callbacks;
mod counts;
mod destroys;
mod filters;
mod flavours;
mod frees;
mod golden;
mod handing;
mod leaks;
mod loss;
mod merged;
mod modules;
mod orders;
mod real;
pub(crate) mod run;
mod table;
mod used;

use crate::check::scenarios::surroundings;
use crate::check::scenarios::{
    Act, Expectation, Line, MAY_BE_OPEN, SERIES, SHEAVES, Scenario, Want, quiet, verdict, word,
};

/// The scenarios of one topic.
pub(crate) struct Topic {
    /// The heading.
    pub(crate) title: &'static str,
    /// Where an ordinary run plays them.
    pub(crate) kernels: Kernels,
    /// The scenarios, in the order in which they run.
    pub(crate) scenarios: &'static [Scenario],
}

/// On which kernels an ordinary run plays the scenarios of a topic. `cargo xtask truth --all` plays each of them on all.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kernels {
    /// On every kernel for which something is expected.
    Every,
    /// Each on one of them: what a scenario is about is decided by the same rule of the judge on every kernel.
    One,
}

/// Every topic.
pub(crate) const TOPICS: &[Topic] = &[
    Topic { title: "Freed by call_rcu()", kernels: Kernels::Every, scenarios: callbacks::SCENARIOS },
    Topic { title: "Freed by kfree_rcu()", kernels: Kernels::Every, scenarios: frees::SCENARIOS },
    Topic { title: "Ways to destroy", kernels: Kernels::Every, scenarios: destroys::SCENARIOS },
    Topic { title: "Barriers", kernels: Kernels::Every, scenarios: barriers::SCENARIOS },
    Topic { title: "Leaked or deferred", kernels: Kernels::Every, scenarios: leaks::SCENARIOS },
    Topic { title: "What was lost", kernels: Kernels::Every, scenarios: loss::SCENARIOS },
    Topic { title: "Whose barrier it is", kernels: Kernels::One, scenarios: orders::SCENARIOS },
    Topic {
        title: "Merged with what is not the module's",
        kernels: Kernels::One,
        scenarios: merged::SCENARIOS,
    },
    Topic { title: "Heads elsewhere, and works", kernels: Kernels::One, scenarios: handing::SCENARIOS },
    Topic { title: "Other kinds of RCU", kernels: Kernels::One, scenarios: flavours::SCENARIOS },
    Topic { title: "Modules that go", kernels: Kernels::One, scenarios: modules::SCENARIOS },
    Topic { title: "What may be said of a number", kernels: Kernels::One, scenarios: counts::SCENARIOS },
    Topic { title: "Modules of the kernel's own", kernels: Kernels::Every, scenarios: real::SCENARIOS },
    Topic { title: "Netfilter", kernels: Kernels::One, scenarios: filters::SCENARIOS },
    Topic { title: "More modules of the kernel's own", kernels: Kernels::One, scenarios: used::SCENARIOS },
];

/// Scenarios that krcu does not meet yet. No run includes them and the kept table lacks them; a name is taken off this list
/// when its scenario is met.
const UNMET: &[&str] = &[];

/// Scenarios that take a machine long. An ordinary run leaves them out and says so; `cargo xtask truth --all` runs them.
pub(crate) const LONG: &[&str] = &["btrfs", "xfs"];

/// Scenarios of topics that are played on one kernel each, which an ordinary run plays on every kernel all the same: it has every
/// word of a verdict on each kernel.
const ON_EVERY: &[&str] = &["abandoned"];

/// Every scenario of the table.
pub(crate) fn scenarios() -> impl Iterator<Item = &'static Scenario> {
    TOPICS.iter().flat_map(Topic::met)
}

/// Whether an ordinary run plays this scenario on a kernel.
pub(crate) fn is_ordinary(scenario: &Scenario, series: &str) -> bool {
    if LONG.contains(&scenario.name) || surroundings::is_left_out(scenario, series) {
        return false;
    }
    let topic = TOPICS.iter().find(|topic| topic.met().any(|one| one.name == scenario.name));
    match topic.map(|topic| topic.kernels) {
        Some(Kernels::One) => ON_EVERY.contains(&scenario.name) || turn_of(scenario) == Some(series),
        Some(Kernels::Every) | None => true,
    }
}

/// The kernel on which an ordinary run plays a scenario that it plays on one. It follows from the name alone, so that a new
/// scenario moves no other.
fn turn_of(scenario: &Scenario) -> Option<&'static str> {
    let mut on = SERIES.into_iter().filter(|series| scenario.is_on(series));
    let all = on.clone().count();
    let sum: usize = scenario.name.bytes().map(usize::from).sum();
    on.nth(sum.checked_rem(all)?)
}

impl Topic {
    /// Its scenarios that krcu meets.
    pub(crate) fn met(&self) -> impl Iterator<Item = &'static Scenario> {
        self.scenarios.iter().filter(|scenario| !UNMET.contains(&scenario.name))
    }
}

/// A scenario that `krcu_play` plays while krcu watches; krcu is attached first.
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
        own_watch: "",
        open_if: MAY_BE_OPEN,
        alone: false,
        expectations,
    }
}

/// Like `played`, with a command that runs before krcu is attached, and with options for krcu.
const fn watched(
    name: &'static str,
    why: &'static str,
    act: Act,
    expectations: &'static [Expectation],
) -> Scenario {
    Scenario { act, ..played(name, why, "", expectations) }
}

/// Their destroy calls no `rcu_barrier()`, but for one that `flush_rcu_work()` happens to call.
const NO_RCU_BARRIER: &[&str] = &["6.1", "6.12", "6.18"];

/// Twenty callbacks of the cache `a` had run by luck, and the destroy's own `rcu_barrier()` orders them.
const BY_THE_DESTROY: Expectation = quiet(
    SHEAVES,
    &[verdict(
        "a",
        &[
            word("waited"),
            ordering("ordered"),
            waited_for_callbacks(0),
            ("waited_for_callbacks", Want::Flag(true)),
            ("callbacks_ever", Want::Number(20)),
        ],
    )],
);

/// A field of a verdict, and what it must be.
type Field = (&'static str, Want);

/// Objects handed to `kfree_rcu()` and outstanding when the destroy looked.
const fn by_kfree_rcu(objects: u64) -> Field {
    ("queued_by_kfree_rcu", Want::Number(objects))
}

/// Objects whose callbacks were outstanding when the destroy looked.
const fn by_call_rcu(objects: u64) -> Field {
    ("queued_by_call_rcu", Want::Number(objects))
}

/// Objects left that nobody queued.
const fn leaked(objects: u64) -> Field {
    ("leaked", Want::Number(objects))
}

/// Objects left by the kernel's own counts.
const fn left(objects: u64) -> Field {
    ("kernel_objects_left", Want::Number(objects))
}

/// Deferred frees seen after the look.
const fn late(objects: u64) -> Field {
    ("late_frees", Want::Number(objects))
}

/// Objects handed to `kfree_rcu()` that the destroy waited for.
const fn waited_for(objects: u64) -> Field {
    ("waited_for_own", Want::Number(objects))
}

/// Callbacks that the destroy waited for.
const fn waited_for_callbacks(objects: u64) -> Field {
    ("waited_for_own_callbacks", Want::Number(objects))
}

/// Of the cache `a`: the destroy looked while 20 objects of `kfree_rcu()` were outstanding, and they were freed later.
const PENDING: Line = verdict("a", &[word("pending"), by_kfree_rcu(20), leaked(0), left(20), late(20)]);

/// Of the cache `a`: the destroy waited for 20 objects of `kfree_rcu()`.
const WAITED: Line = verdict("a", &[word("waited"), waited_for(20)]);

/// How the deferred frees are ordered before the destroy.
const fn ordering(word: &'static str) -> Field {
    ("ordering", Want::Text(word))
}

/// Objects left of which krcu does not know whether they were queued.
const fn unknown(objects: u64) -> Field {
    ("undecided", Want::Number(objects))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::{is_ordinary, scenarios};
    use crate::check::scenarios::SERIES;

    #[test]
    fn an_ordinary_run_has_every_word_of_the_table_on_each_kernel_and_every_scenario_somewhere() {
        for series in SERIES {
            let words = |ordinary: bool| -> BTreeSet<&str> {
                let played = scenarios().filter(|one| !ordinary || is_ordinary(one, series));
                let lines = played.filter_map(|one| one.on(series)).flat_map(|expectation| expectation.lines);
                lines.filter_map(|line| line.word()).collect()
            };
            assert_eq!(words(true), words(false), "on {series}");
        }
        let nowhere: Vec<&str> = scenarios()
            .filter(|one| !SERIES.into_iter().any(|series| one.is_on(series) && is_ordinary(one, series)))
            .map(|one| one.name)
            .collect();
        assert_eq!(nowhere, super::LONG);
    }
}
