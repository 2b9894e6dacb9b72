//! Question: what is asked of a fleet, as a value. [`super::engine`] hands it to polars, [`super::sql`] writes it for any other
//! engine; both read the same value, and so cannot ask two things.
//!
//! Every question is a join of one table with `runs`, a condition, keys, and sums of integers: counts, sums, smallest and
//! largest values. A quantile follows from counts by class. So each engine comes to the same rows, bit for bit.

use clap::ValueEnum;

/// What can be asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Ask {
    /// Faults by signature: on how many hosts and kernels, first and last seen, and a trace to open
    Flagged,
    /// Faults by signature, kernel and version of krcu: when each was first seen
    FirstSeen,
    /// Caches by version, with how many of their verdicts are faults: where one version is clean and another is not
    Regressions,
    /// Waits for deferred frees by kernel, barrier and cause, by class of time
    Barriers,
    /// The places that queue deferred frees, by cache
    Sites,
    /// What was not seen, and why
    Losses,
    /// What was watched: runs and events by kernel, how they ended, and what no probe could see
    Runs,
}

/// Which of the two joined tables has a column.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Side {
    /// The table that is asked.
    Fact,
    /// `runs`.
    Run,
}

/// A column of one of the two.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Source(pub Side, pub &'static str);

/// How rows of a group become one value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sum {
    /// How many rows there are.
    Rows,
    /// How many different values.
    Different(Source),
    /// The sum; 0 where there is no value.
    Total(Source),
    /// The smallest, of numbers or texts.
    Least(Source),
    /// The largest.
    Most(Source),
}

/// Whether a column holds texts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Integers.
    Number,
    /// Texts.
    Text,
}

/// A question.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Question {
    /// The table that is asked.
    pub table: &'static str,
    /// A column of it that has to be 1.
    pub only: Option<&'static str>,
    /// What rows are grouped by.
    pub keys: Vec<Source>,
    /// What is told of a group: the name, how it is made, and what it holds.
    pub sums: Vec<(&'static str, Sum, Kind)>,
}

/// What a question may be grouped by besides: the word, the column, and whether only `verdicts` has it.
const BY: [(&str, Source, bool); 8] = [
    ("kernel", Source(Side::Run, "kernel"), false),
    ("arch", Source(Side::Run, "arch"), false),
    ("krcu", Source(Side::Run, "krcu"), false),
    ("host", Source(Side::Run, "host"), false),
    ("day", Source(Side::Run, "utc_day"), false),
    ("module", Source(Side::Fact, "module"), true),
    ("module-version", Source(Side::Fact, "module_version"), true),
    ("verdict", Source(Side::Fact, "verdict"), true),
];

const fn fact(column: &'static str) -> Source {
    Source(Side::Fact, column)
}

const fn run(column: &'static str) -> Source {
    Source(Side::Run, column)
}

const KERNEL: Source = run("kernel");
const HOSTS: (&str, Sum, Kind) = ("hosts", Sum::Different(run("host")), Kind::Number);
const EXAMPLE: (&str, Sum, Kind) = ("example", Sum::Least(run("trace")), Kind::Text);
const FIRST: (&str, Sum, Kind) = ("first_utc_ns", Sum::Least(fact("at_utc_ns")), Kind::Number);
const LAST: (&str, Sum, Kind) = ("last_utc_ns", Sum::Most(fact("at_utc_ns")), Kind::Number);
/// Of what kernels, machines and versions of krcu a row is, where it is not by them.
const SETTING: [(&str, Sum, Kind); 7] = [
    ("kernels", Sum::Different(KERNEL), Kind::Number),
    ("kernel_least", Sum::Least(KERNEL), Kind::Text),
    ("kernel_most", Sum::Most(KERNEL), Kind::Text),
    ("arch_least", Sum::Least(run("arch")), Kind::Text),
    ("arch_most", Sum::Most(run("arch")), Kind::Text),
    KRCU[0],
    KRCU[1],
];
/// The versions of krcu.
const KRCU: [(&str, Sum, Kind); 2] =
    [("krcu_least", Sum::Least(run("krcu")), Kind::Text), ("krcu_most", Sum::Most(run("krcu")), Kind::Text)];
/// When the runs of a row began, of a table that has no moments of its own.
const RUNS: [(&str, Sum, Kind); 2] = [
    ("first_utc_ns", Sum::Least(run("attached_utc_ns")), Kind::Number),
    ("last_utc_ns", Sum::Most(run("attached_utc_ns")), Kind::Number),
];

impl Ask {
    /// Its word.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Ask::Flagged => "flagged",
            Ask::FirstSeen => "first-seen",
            Ask::Regressions => "regressions",
            Ask::Barriers => "barriers",
            Ask::Sites => "sites",
            Ask::Losses => "losses",
            Ask::Runs => "runs",
        }
    }

    /// The question, grouped by these words besides.
    ///
    /// # Errors
    /// With the words that this question can be grouped by.
    pub fn question(self, by: &[String]) -> Result<Question, String> {
        let mut question = self.plain();
        for word in by {
            let is_there = |(name, _, only_verdicts): &&(&str, Source, bool)| {
                name == word && (!only_verdicts || question.table == "verdicts")
            };
            let Some((_, column, _)) = BY.iter().find(is_there) else {
                let known: Vec<&str> = BY
                    .iter()
                    .filter(|(_, _, only_verdicts)| !only_verdicts || question.table == "verdicts")
                    .map(|(name, _, _)| *name)
                    .collect();
                return Err(format!(
                    "`{}` is not by {word:?}: it may be by {}",
                    self.word(),
                    known.join(", ")
                ));
            };
            if !question.keys.contains(column) {
                question.keys.push(*column);
            }
        }
        // What is a key already is not told once more.
        let keys: Vec<&str> = question.keys.iter().map(|key| key.1).collect();
        question.sums.retain(|(name, _, _)| !keys.contains(name));
        Ok(question)
    }

    fn plain(self) -> Question {
        match self {
            Ask::Flagged => Question {
                table: "verdicts",
                only: Some("flagged"),
                keys: ["verdict", "module", "cache", "signature"].map(fact).into(),
                sums: [
                    &[("verdicts", Sum::Rows, Kind::Number), HOSTS][..],
                    &SETTING,
                    &[FIRST, LAST, EXAMPLE],
                ]
                .concat(),
            },
            Ask::FirstSeen => Question {
                table: "verdicts",
                only: Some("flagged"),
                keys: vec![fact("signature"), KERNEL, run("arch"), run("krcu")],
                sums: vec![
                    ("verdicts", Sum::Rows, Kind::Number),
                    HOSTS,
                    ("first_day", Sum::Least(run("utc_day")), Kind::Text),
                    FIRST,
                    LAST,
                    EXAMPLE,
                ],
            },
            Ask::Regressions => Question {
                table: "verdicts",
                only: None,
                keys: vec![fact("module"), fact("cache"), KERNEL, run("arch"), fact("module_version")],
                sums: vec![
                    ("verdicts", Sum::Rows, Kind::Number),
                    ("flagged", Sum::Total(fact("flagged")), Kind::Number),
                    ("flagged_strictly", Sum::Total(fact("flagged_strictly")), Kind::Number),
                    HOSTS,
                    KRCU[0],
                    KRCU[1],
                    FIRST,
                    LAST,
                    EXAMPLE,
                ],
            },
            Ask::Barriers | Ask::Sites | Ask::Losses | Ask::Runs => self.about_time_and_losses(),
        }
    }

    fn about_time_and_losses(self) -> Question {
        match self {
            Ask::Barriers => Question {
                table: "barriers",
                only: None,
                keys: vec![KERNEL, run("arch"), fact("barrier"), fact("cause"), fact("wait_class")],
                sums: vec![
                    ("waits", Sum::Rows, Kind::Number),
                    HOSTS,
                    ("wait_ns", Sum::Total(fact("wait_ns")), Kind::Number),
                    ("wait_max_ns", Sum::Most(fact("wait_ns")), Kind::Number),
                    ("outstanding", Sum::Total(fact("outstanding")), Kind::Number),
                    ("freed_own", Sum::Total(fact("freed_own")), Kind::Number),
                    KRCU[0],
                    KRCU[1],
                    FIRST,
                    LAST,
                ],
            },
            Ask::Sites => Question {
                table: "ages",
                only: None,
                keys: ["module", "function", "cache", "site_key"].map(fact).into(),
                sums: [
                    &[
                        ("objects", Sum::Total(fact("objects")), Kind::Number),
                        ("not_freed", Sum::Total(fact("not_freed")), Kind::Number),
                        ("age_ns", Sum::Total(fact("age_ns")), Kind::Number),
                        ("age_max_ns", Sum::Most(fact("age_max_ns")), Kind::Number),
                        HOSTS,
                    ][..],
                    &SETTING,
                    &RUNS,
                    &[("stack", Sum::Least(fact("stack")), Kind::Text), EXAMPLE],
                ]
                .concat(),
            },
            Ask::Losses => Question {
                table: "gaps",
                only: None,
                keys: vec![fact("reason"), fact("scope"), fact("programs"), KERNEL, run("arch"), run("krcu")],
                sums: vec![
                    ("gaps", Sum::Rows, Kind::Number),
                    ("events", Sum::Total(fact("events")), Kind::Number),
                    HOSTS,
                    RUNS[0],
                    RUNS[1],
                    EXAMPLE,
                ],
            },
            _ => Question {
                table: "runs",
                only: None,
                keys: vec![KERNEL, run("arch"), run("krcu"), fact("ended"), fact("damaged"), fact("blind")],
                sums: vec![
                    ("runs", Sum::Rows, Kind::Number),
                    HOSTS,
                    ("events", Sum::Total(fact("events")), Kind::Number),
                    ("lost", Sum::Total(fact("lost")), Kind::Number),
                    RUNS[0],
                    RUNS[1],
                ],
            },
        }
    }
}

/// Columns that hold integers; the others hold texts.
const NUMBERS: [&str; 3] = ["wait_class", "site_key", "damaged"];

impl Question {
    /// The columns of the answer, in order.
    #[must_use]
    pub fn columns(&self) -> Vec<(&'static str, Kind)> {
        let kind = |name| if NUMBERS.contains(&name) { Kind::Number } else { Kind::Text };
        let keys = self.keys.iter().map(|key| (key.1, kind(key.1)));
        keys.chain(self.sums.iter().map(|(name, _, kind)| (*name, *kind))).collect()
    }
}
