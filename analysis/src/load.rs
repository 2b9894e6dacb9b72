//! Load: a trace to its tables, in one pass.

use std::path::Path;

use anyhow::{Context as _, Result, bail};
use krcu_model::event::What;
use polars::prelude::{LazyFrame, PolarsResult, all, lit};

use crate::{
    ask::Needs,
    facts::{Replay, Sink as _, row::Rows as _, runs, words::Runs},
    source::{Meta, SourceError, Trace},
    tables::{Tables, Writing},
    whatif::{Asked, Gather, WhatIfError},
};

/// A trace whose questions can be asked.
#[derive(Debug)]
pub struct Loaded {
    /// What the trace says of itself.
    pub meta: Meta,
    /// The facts.
    pub tables: Tables,
    /// What the machine is asked, where that was wanted.
    pub asked: Option<Result<Asked, WhatIfError>>,
    /// Events of the trace, without gaps.
    pub events: u64,
    /// When the first and the last event were, in nanoseconds from the attach.
    pub span_ns: (i64, i64),
    /// What of a recorded trace is damaged; the events are those before it.
    pub damage: Option<String>,
}

impl Loaded {
    /// The number of the run.
    #[must_use]
    pub fn run(&self) -> i64 {
        runs::number(&self.meta)
    }

    /// A table as it leaves: its first column says of which run it is.
    ///
    /// # Errors
    /// When its file cannot be read.
    pub fn table(&self, name: &str) -> PolarsResult<LazyFrame> {
        let table = self.tables.scan(name)?;
        Ok(if name == Runs::NAME { table } else { with_run(table, self.run()) })
    }

    /// Says, after an answer, that a part of the trace is damaged.
    ///
    /// # Errors
    /// When it is.
    pub fn is_whole(&self) -> Result<()> {
        match &self.damage {
            Some(damage) => bail!(
                "the answer is of the events before the damage, and what came after is not known: {damage}"
            ),
            None => Ok(()),
        }
    }
}

/// A table with the number of a run before its columns.
pub(crate) fn with_run(table: LazyFrame, run: i64) -> LazyFrame {
    table.select([lit(run).alias("run"), all().as_expr()])
}

/// Deferred frees that a what-if simulates together when nobody says otherwise: under a gigabyte on two CPUs.
pub const SIMULATED_TOGETHER: u64 = 1 << 21;

/// Reads a trace for a question that needs this; `simulate` says how many deferred frees a what-if simulates together.
///
/// # Errors
/// When nothing of the trace can be read, or the tables cannot be written.
pub fn load(path: &Path, needs: Needs, simulate: Option<u64>) -> Result<Loaded> {
    let trace = Trace::open(path)?;
    let meta = trace.meta.clone();
    let mut replay = Replay::new(meta.watch.clone(), Writing::new(needs)?);
    let mut gather = simulate.map(Gather::new).transpose()?;
    let mut lost = 0u64;
    let read = trace.read(&mut |event| {
        if let What::Gap(gap) = &event.what {
            lost = lost.saturating_add(gap.events);
        }
        let deferred = gather.as_mut().and_then(|gather| gather.see(&event, replay.state()));
        replay.step(event);
        if let (Some(gather), Some(deferred)) = (&mut gather, deferred) {
            gather.keep(deferred, replay.state());
        }
        !replay.sink().has_failed() && !gather.as_ref().is_some_and(Gather::has_failed)
    });
    let damage = match read {
        Ok(()) => None,
        Err(SourceError::Recorded(error)) if replay.state().events() > 0 => Some(error.to_string()),
        Err(error) => return Err(error.into()),
    };
    let asked = gather.map(|gather| gather.finish(replay.state()));
    let span_ns = replay.span_ns();
    let (state, mut writing) = replay.finish();
    let events = state.events();
    writing.run(runs::row(&meta, &runs::Counted { events, lost, span_ns, damaged: damage.is_some() }));
    runs::modules(&meta).into_iter().for_each(|module| writing.module(module));
    let tables = writing.finish().with_context(|| format!("the tables of {}", path.display()))?;
    Ok(Loaded { meta, tables, asked, events, span_ns, damage })
}
