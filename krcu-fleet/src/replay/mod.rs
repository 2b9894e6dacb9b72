//! Replay: the traces that the ledger does not have, each replayed once.
//!
//! The traces are packed by their bytes. A pack is handed to `krcu-analyze facts`, which writes facts and ledger; so
//! whoever starts it, where and how often does not matter. [`local`] starts it on this machine, [`crate::spark`] in tasks.

mod local;
pub mod plan;

use std::{
    collections::BTreeMap,
    env,
    path::{Path, PathBuf},
};

use anyhow::{Context as _, Result, bail};
use krcu_analysis::fleet::ledger::{Entry, Outcome};
use serde::Deserialize;

pub use local::replay as on_this_machine;
pub use plan::{Plan, plan};

/// A line of `krcu-analyze facts`.
#[derive(Clone, Debug, Deserialize)]
pub struct Line {
    /// `new`, `known` or `not-done`.
    pub replay: String,
    /// The trace.
    pub trace: String,
    /// Its row.
    pub entry: Option<Entry>,
}

impl Line {
    /// Reads a line.
    ///
    /// # Errors
    /// When `krcu-analyze` of this version did not write it.
    pub fn parse(text: &str) -> Result<Line> {
        serde_json::from_str(text).with_context(|| format!("this is no line of `krcu-analyze facts`: {text}"))
    }
}

/// What a replay of the fleet came to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Done {
    /// Traces that were replayed, by what became of them.
    pub replayed: BTreeMap<Outcome, usize>,
    /// Events of these.
    pub events: u64,
    /// Traces that somebody else replayed meanwhile.
    pub known: usize,
    /// Traces that were refused, and why.
    pub refused: Vec<(String, String)>,
    /// Traces that could not be replayed, and why: that says nothing of the trace, and the next replay tries again.
    pub failed: Vec<(String, String)>,
}

impl Done {
    /// Takes a line.
    pub fn add(&mut self, line: &Line) {
        match (line.replay.as_str(), &line.entry) {
            ("new", Some(entry)) => {
                *self.replayed.entry(entry.outcome).or_default() += 1;
                self.events += entry.events;
                if entry.outcome == Outcome::Refused {
                    self.refused.push((entry.trace.clone(), entry.why.clone().unwrap_or_default()));
                }
            }
            ("known", _) => self.known += 1,
            // It was whole when this began; the next replay looks again.
            _ => {}
        }
    }

    /// Takes what another part of the work came to.
    pub fn merge(&mut self, other: Done) {
        for (outcome, count) in other.replayed {
            *self.replayed.entry(outcome).or_default() += count;
        }
        self.events += other.events;
        self.known += other.known;
        self.refused.extend(other.refused);
        self.failed.extend(other.failed);
    }
}

/// The program that replays: the one that is named, or `krcu-analyze` beside this program.
///
/// # Errors
/// When it is not there.
pub fn program(named: Option<&Path>) -> Result<PathBuf> {
    let path = match named {
        Some(path) => path.to_owned(),
        None => env::current_exe().context("where this program is")?.with_file_name("krcu-analyze"),
    };
    if !path.is_file() {
        bail!("{} is not there: build it, or name krcu-analyze with --program", path.display());
    }
    path.canonicalize().with_context(|| path.display().to_string())
}
