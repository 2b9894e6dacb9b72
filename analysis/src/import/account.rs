//! Account: what became of each line, so that nothing is lost in silence.

use std::{collections::BTreeMap, fmt};

pub use super::line::Odd;

/// Names of tracepoints that are passed over, which are shown.
const MOST_NAMES: usize = 8;

/// What became of the lines of a text. Each line counts once, except that several events that ran together on one line
/// count one each.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Account {
    /// Lines that were read.
    pub lines: u64,
    /// Of these: headings, frames of stacks, empty lines.
    pub headings: u64,
    /// Events that were taken, by tracepoint.
    pub taken: BTreeMap<String, u64>,
    /// Events of other tracepoints, by name.
    pub passed: BTreeMap<String, u64>,
    /// Lines or events that were not taken, each with its number, and the number of the first such line.
    pub odd: BTreeMap<Odd, (u64, u64)>,
    /// Lines that say that events were lost.
    pub lost_marks: u64,
    /// Events that these say were lost.
    pub lost: u64,
    /// Lines on which several events ran together.
    pub run_together: u64,
    /// Objects of arrays, of which only the number is told.
    pub in_arrays: u64,
    /// Pointers that were hashed.
    pub hashed: u64,
    /// Whether the times of the text went back.
    pub was_unsorted: bool,
}

impl Account {
    /// Counts something odd in this line.
    pub(super) fn note(&mut self, odd: Odd, line: u64) {
        self.odd.entry(odd).or_insert((0, line)).0 += 1;
    }
}

impl fmt::Display for Account {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut row = |count: u64, what: &str| match count {
            0 => Ok(()),
            count => writeln!(f, "{count:>9}  {what}"),
        };
        for (name, count) in &self.taken {
            row(*count, name)?;
        }
        let names: Vec<&str> = self.passed.keys().take(MOST_NAMES).map(String::as_str).collect();
        let more = if self.passed.len() > MOST_NAMES { ", …" } else { "" };
        row(
            self.passed.values().sum(),
            &format!("of other tracepoints, passed over: {}{more}", names.join(", ")),
        )?;
        for (odd, (count, first)) in &self.odd {
            row(*count, &format!("{} The first is line {first}", odd.sentence()))?;
        }
        row(self.lost, "events that the text says were lost")?;
        row(self.in_arrays, "objects freed in arrays, which no tracepoint names")?;
        row(
            self.hashed,
            "pointers are hashed, so objects of kfree_rcu() cannot be matched with those of kmem_cache_free(): boot with \
             no_hash_pointers, or `echo nohash-ptr >trace_options`",
        )?;
        row(self.run_together, "lines on which several events ran together; each event was taken")?;
        row(u64::from(self.was_unsorted), "text whose times went back: its events were sorted")
    }
}

impl Odd {
    /// What it is, and what to do about it.
    fn sentence(self) -> &'static str {
        match self {
            Self::NoCpu => {
                "events without a CPU, not taken: `perf script -F comm,tid,cpu,time,event,trace` prints it."
            }
            Self::Clock => {
                "events whose time is no number of seconds, not taken: record with `echo mono >trace_clock`, since the \
                 clocks x86-tsc and counter count something else."
            }
            Self::Cut => "events that end too early, counted as lost.",
            Self::Pointer => "events whose pointer is not printed, counted as lost.",
            Self::Ambiguous => {
                "lines that can be read in two ways, because of a task's name or a text of a user, counted as lost."
            }
            Self::Long => "lines that are too long to be read, counted as lost.",
            Self::Form => "lines of no form that is known, passed over.",
        }
    }
}
