//! What is run on test kernels and what must come of it: the words that scenarios are written in; the runner is
//! `kernel_tests`.
//!
//! Two kinds share them: `agent`, how the program behaves, and `crate::check::truth`, whether its verdicts are true. A
//! scenario runs as root in a machine that has krcu in its PATH and the modules in `/modules`. Its standard output is JSON,
//! one object a line, as `krcu check --format json` prints it. Kernels differ, and so does what is expected: an expectation
//! names the series that it holds for, and a scenario runs on those series only.

pub(crate) mod agent;
pub(crate) mod custom;
pub(crate) mod live;
pub(crate) mod surroundings;
pub(crate) mod terminal;

use crate::check::judge::INEXACT;

/// Kernels that scenarios run on; 6.1 does not wait in a destroy, 6.12 does, 6.18 flushes the cache's sheaves too, 7.x has
/// sheaves for all caches and waits for callbacks.
pub(crate) const SERIES: [&str; 4] = ["6.1", "6.12", "6.18", "7.x"];

/// In [`Scenario::in_tree`]: every module of the kernel's that owns a slab cache; their names are in `/scenarios/owners`.
pub(crate) const OWNERS: &str = "owners";

/// One thing that happens on a test kernel.
pub(crate) struct Scenario {
    /// Its name, which is also the name of its files.
    pub(crate) name: &'static str,
    /// Why what is expected must come of it: the kernel's function, and what it does. Empty where the name says it.
    pub(crate) why: &'static str,
    /// Folders below `modules/` that it loads from `/modules`.
    pub(crate) modules: &'static [&'static str],
    /// The kernel's own modules that it loads by `modprobe`.
    pub(crate) in_tree: &'static [&'static str],
    /// What is done.
    pub(crate) act: Act,
    /// Added to the kernel's command line; scenarios of one text share a machine.
    pub(crate) append: &'static str,
    /// Why it is not watched by the krcu that watches all scenarios of a machine, one after the other; empty where it is.
    /// What krcu does before its first event and after its last needs no reason ([`Act::is_watched_with_others`]).
    pub(crate) own_watch: &'static str,
    /// For which reasons a verdict may be inconclusive here by bad luck: then the scenario is tried again.
    pub(crate) open_if: &'static [&'static str],
    /// Whether it gets a machine of its own, because it leaves the kernel in a state that others would notice.
    pub(crate) alone: bool,
    /// What must come of it.
    pub(crate) expectations: &'static [Expectation],
}

/// What a scenario does, as shell text; several lines are welcome.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Act {
    /// Text that starts krcu itself.
    Shell(&'static str),
    /// The same, and it leaves its events in `/out/NAME.events`, which must replay to the verdicts that it printed.
    Replayed(&'static str),
    /// Text that runs under `krcu check`, whose events are replayed as well.
    Watched {
        /// What is done before krcu comes; may be empty.
        before: &'static str,
        /// Options of `krcu check` besides those for the output; may be empty.
        options: &'static str,
        /// What krcu watches.
        text: &'static str,
    },
}

impl Scenario {
    /// Whether the krcu that watches all scenarios of a machine watches it.
    pub(crate) fn is_watched_with_others(&self) -> bool {
        self.own_watch.is_empty() && self.act.is_watched_with_others()
    }

    /// What must come of it on a kernel; nothing where it does not run.
    pub(crate) fn on(&self, series: &str) -> Option<&'static Expectation> {
        self.expectations.iter().find(|expectation| expectation.series.contains(&series))
    }

    /// Whether it runs on a kernel.
    pub(crate) fn is_on(&self, series: &str) -> bool {
        self.on(series).is_some()
    }
}

impl Act {
    /// Whether it can be: it is about nothing that is decided as krcu attaches.
    const fn is_watched_with_others(self) -> bool {
        match self {
            Self::Watched { before, options, .. } => before.is_empty() && is_of_one_command(options),
            Self::Shell(_) | Self::Replayed(_) => false,
        }
    }

    /// Whether the scenario leaves its events.
    pub(crate) const fn leaves_events(self) -> bool {
        !matches!(self, Self::Shell(_))
    }

    /// What is done.
    pub(crate) const fn text(self) -> &'static str {
        match self {
            Self::Shell(text) | Self::Replayed(text) | Self::Watched { text, .. } => text,
        }
    }
}

/// Whether these options may differ between commands that one krcu watches.
const fn is_of_one_command(options: &str) -> bool {
    matches!(options.as_bytes(), b"" | b"--strict")
}

/// What may befall any scenario. An interrupt may hit a run of a probe: the kernel then skips the run that the interrupt
/// would make. Frees may run while the kernel counts what is left, since a timer that somebody else armed starts them.
pub(crate) const MAY_BE_OPEN: &[&str] = &["probe-missed", INEXACT];

/// What must come of a scenario on some kernels.
pub(crate) struct Expectation {
    /// The kernel series, as in [`SERIES`].
    pub(crate) series: &'static [&'static str],
    /// The command's exit status.
    pub(crate) status: i32,
    /// JSON lines that must be there; those of one kind and cache are as many as named, in this order.
    pub(crate) lines: &'static [Line],
    /// Texts that the kernel's log must hold.
    pub(crate) log_has: &'static [&'static str],
    /// Texts that it must not.
    pub(crate) log_lacks: &'static [&'static str],
}

/// One JSON line: which one, and what its fields are.
pub(crate) struct Line {
    /// Its `kind`.
    pub(crate) kind: &'static str,
    /// Its `cache`, for kinds that have one.
    pub(crate) cache: Option<&'static str>,
    /// Field → value. A name that begins with `/` is a JSON pointer (`/queued_from/0/frames/0`).
    pub(crate) fields: &'static [(&'static str, Want)],
}

impl Line {
    /// The verdict that is expected.
    pub(crate) fn word(&self) -> Option<&'static str> {
        self.fields.iter().find_map(|(field, want)| match want {
            Want::Text(word) if *field == "verdict" => Some(*word),
            _ => None,
        })
    }
}

/// What a field must be.
#[derive(Debug, Clone, Copy)]
#[allow(dead_code, reason = "a vocabulary: which of its words the scenarios use changes with them")]
pub(crate) enum Want {
    /// This text.
    Text(&'static str),
    /// A text with this in it; of an array or object, its JSON.
    Has(&'static str),
    /// This number.
    Number(u64),
    /// A number no smaller.
    AtLeast(u64),
    /// True or false.
    Flag(bool),
    /// Null, or not there at all.
    Nothing,
    /// This number, or null.
    NumberOrNothing(u64),
    /// The number that the module itself printed under this key in its truth line for the cache.
    Truth(&'static str),
    /// The accounts of a summary, in each of which `seen = delivered + lost + filtered`, and in all of which together
    /// as many events were delivered as the summary says were taken.
    Balanced,
    /// As many lines as the kernel's log has with this text.
    LogLines(&'static str),
    /// A number between two that the module itself printed.
    TruthBetween(&'static str, &'static str),
}

/// A verdict about a cache.
pub(crate) const fn verdict(cache: &'static str, fields: &'static [(&'static str, Want)]) -> Line {
    Line { kind: "verdict", cache: Some(cache), fields }
}

/// The last line of a report.
pub(crate) const fn summary(fields: &'static [(&'static str, Want)]) -> Line {
    Line { kind: "summary", cache: None, fields }
}

/// A line that a scenario's own shell text prints about a step of it.
pub(crate) const fn step(name: &'static str, fields: &'static [(&'static str, Want)]) -> Line {
    Line { kind: "step", cache: Some(name), fields }
}

/// The verdict and the module; the module is the cache's own name.
pub(crate) const fn word(word: &'static str) -> (&'static str, Want) {
    ("verdict", Want::Text(word))
}

/// Nothing in the kernel's log, nothing flagged.
pub(crate) const fn quiet(series: &'static [&'static str], lines: &'static [Line]) -> Expectation {
    Expectation { series, status: 0, lines, log_has: &[], log_lacks: REPORTS }
}

/// A fault that the kernel reports as well.
pub(crate) const fn reported(series: &'static [&'static str], lines: &'static [Line]) -> Expectation {
    Expectation {
        series,
        status: 10,
        lines,
        log_has: &["Slab cache still has objects when called from"],
        log_lacks: &[],
    }
}

/// It is undecided; the kernel's log says nothing of caches.
pub(crate) const fn undecided(series: &'static [&'static str], lines: &'static [Line]) -> Expectation {
    Expectation { status: 11, ..quiet(series, lines) }
}

/// Flagged by krcu alone: the kernel noticed nothing.
pub(crate) const fn unnoticed(series: &'static [&'static str], lines: &'static [Line]) -> Expectation {
    Expectation { status: 10, ..quiet(series, lines) }
}

/// A scenario that shares its machine with others.
pub(crate) const fn scenario(
    name: &'static str,
    modules: &'static [&'static str],
    act: Act,
    expectations: &'static [Expectation],
) -> Scenario {
    Scenario {
        name,
        why: "",
        modules,
        in_tree: &[],
        act,
        append: "",
        own_watch: "",
        open_if: MAY_BE_OPEN,
        alone: false,
        expectations,
    }
}

/// What the kernel says when a cache is destroyed with objects in it.
pub(crate) const REPORTS: &[&str] = &["Objects remaining", "Slab cache still has objects"];
/// The destroy does not wait for `kfree_rcu()`.
pub(crate) const NO_WAIT: &[&str] = &["6.1"];
/// It does.
pub(crate) const WAITS: &[&str] = &["6.12", "6.18", "7.x"];
/// It does, and a cache of ours has no sheaves: objects that are queued are in batches only.
pub(crate) const BATCHES_WAIT: &[&str] = &["6.12", "6.18"];
/// Every cache has sheaves, and the destroy waits for callbacks of `call_rcu()` as well.
pub(crate) const SHEAVES: &[&str] = &["7.x"];
/// Every kernel.
pub(crate) const ALL: &[&str] = &SERIES;

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::agent;
    use super::custom;
    use super::live;
    use super::surroundings;
    use super::terminal;
    use super::{SERIES, Scenario};
    use crate::check::truth;
    use crate::host;

    fn all() -> impl Iterator<Item = &'static Scenario> {
        let own = agent::SCENARIOS.iter().chain(live::SCENARIOS).chain(surroundings::SCENARIOS);
        own.chain(terminal::SCENARIOS).chain(truth::scenarios()).chain(custom::SCENARIOS)
    }

    #[test]
    fn scenarios_have_names_of_their_own_and_modules_that_exist() {
        let names: BTreeSet<&str> = all().map(|scenario| scenario.name).collect();
        assert_eq!(names.len(), all().count(), "two scenarios share a name");
        for scenario in all() {
            assert!(!scenario.expectations.is_empty(), "{} expects nothing", scenario.name);
            for module in scenario.modules {
                let kbuild = host::repository().join("modules").join(module).join("Kbuild");
                assert!(kbuild.is_file(), "{}: {} is missing", scenario.name, kbuild.display());
            }
        }
    }

    #[test]
    fn each_series_is_expected_once() {
        for scenario in all() {
            let named: Vec<&str> =
                scenario.expectations.iter().flat_map(|expected| expected.series).copied().collect();
            let distinct: BTreeSet<&str> = named.iter().copied().collect();
            assert_eq!(named.len(), distinct.len(), "{} expects two things of one kernel", scenario.name);
            for series in named {
                let is_known = SERIES.contains(&series) || custom::SERIES.contains(&series);
                assert!(is_known, "{} names the unknown kernel {series}", scenario.name);
            }
        }
    }
}
