//! Sql: a question in SQL, over the tables of one trace or of several.
//!
//! polars' own SQL answers it. It is asked once of empty tables before a trace is read, so that a wrong name is told at once;
//! the tables that it names are then the ones that the replay writes.

use std::path::{Path, PathBuf};

use anyhow::{Context as _, Error, Result, anyhow, bail};
use polars::{
    prelude::*,
    sql::{SQLContext, extract_table_identifiers},
};

use crate::{
    ask::{Columns, Needs},
    facts::{
        row::Rows as _,
        words::{Batches, Callbacks, Objects},
    },
    load::{self, Loaded, SIMULATED_TOGETHER, with_run},
    tables::{self, collect},
    whatif::{self, Question, words::WhatIfs},
};

/// The answer, and the traces that it is of.
///
/// # Errors
/// When a trace cannot be read, the question is no SQL, or names what is not there.
pub fn ask(query: &str, traces: &[PathBuf]) -> Result<(Vec<Loaded>, DataFrame)> {
    let named = asked_of_nothing(query)?;
    let has = |name: &str| is_about(&named, name);
    let columns = if has(Objects::NAME) { Columns::All } else { Columns::None };
    let needs = Needs { objects: columns, batches: has(Batches::NAME), callbacks: has(Callbacks::NAME) };
    let together = named.iter().any(|name| name == WhatIfs::NAME).then_some(SIMULATED_TOGETHER);
    let load = |path: &PathBuf| load::load(path, needs, together);
    let loaded = traces.iter().map(load).collect::<Result<Vec<_>>>()?;
    each_once(&loaded)?;
    let answer = answer(query, &named, &loaded)?;
    Ok((loaded, answer))
}

/// Whether a question with these names is about this table: `SHOW TABLES` names none, and is about all.
fn is_about(named: &[String], table: &str) -> bool {
    named.is_empty() || named.iter().any(|name| name == table)
}

fn answer(query: &str, named: &[String], loaded: &[Loaded]) -> Result<DataFrame> {
    let mut context = SQLContext::new();
    for name in tables::NAMES.into_iter().filter(|name| is_about(named, name) || !grows(name)) {
        let parts = loaded.iter().map(|loaded| loaded.table(name)).collect::<PolarsResult<Vec<_>>>()?;
        context.register(name, concat(parts, UnionArgs::default())?);
    }
    if named.iter().any(|name| name == WhatIfs::NAME) {
        let parts = loaded.iter().map(simulated).collect::<Result<Vec<_>>>()?;
        context.register(WhatIfs::NAME, concat(parts, UnionArgs::default())?);
    }
    context.execute(query).and_then(collect).map_err(|error| told(&error, named))
}

/// Whether a table is written only where a question needs it.
fn grows(name: &str) -> bool {
    [Objects::NAME, Batches::NAME, Callbacks::NAME].contains(&name)
}

/// Two folders with one run would count everything twice.
fn each_once(loaded: &[Loaded]) -> Result<()> {
    for (place, one) in loaded.iter().enumerate() {
        if let Some(other) = loaded.iter().take(place).find(|other| other.run() == one.run()) {
            let path = |loaded: &Loaded| loaded.meta.path.display().to_string();
            bail!("{} and {} are the same run: name one of them", path(other), path(one));
        }
    }
    Ok(())
}

/// The rows of a what-if, with the number of the run.
fn simulated(loaded: &Loaded) -> Result<LazyFrame> {
    let path: &Path = &loaded.meta.path;
    let asked = loaded.asked.as_ref().context("only `krcu analyze sql` simulates the table whatif")?;
    let asked = asked.as_ref().map_err(|error| anyhow!("{}: {error}", path.display()))?;
    let answer = whatif::ask(asked, &Question { approach: None, seed: 1 })?;
    Ok(with_run(whatif::rows_of(&answer).lazy(), loaded.run()))
}

/// Asks tables without a row, and gives back the names after `FROM` and `JOIN`.
fn asked_of_nothing(query: &str) -> Result<Vec<String>> {
    let named = extract_table_identifiers(query, false, true)
        .map_err(|error| anyhow!("this is no SQL that polars reads: {}", plain(&error)))?;
    let mut context = SQLContext::new();
    for (name, frame) in tables::empty() {
        context.register(name, frame.lazy());
    }
    let answer = context.execute(query).and_then(|mut frame| frame.collect_schema());
    answer.map_err(|error| told(&error, &named))?;
    Ok(named)
}

/// What is wrong with a question, and the names that there are.
fn told(error: &PolarsError, named: &[String]) -> Error {
    let error = root(error);
    let message = plain(error);
    let empty = tables::empty();
    if let Some(unknown) = named.iter().find(|name| message.contains(&format!("'{name}' was not found"))) {
        let names: Vec<&str> = empty.iter().map(|(name, _)| *name).collect();
        return anyhow!("there is no table {unknown:?}; the tables are {}", names.join(", "));
    }
    let is_name = matches!(error, PolarsError::ColumnNotFound(_)) || message.contains("column named");
    if !is_name {
        return anyhow!("polars cannot answer this: {message}");
    }
    let about = empty.iter().filter(|(name, _)| named.iter().any(|asked| asked == name));
    let columns = |frame: &DataFrame| {
        frame.get_column_names().into_iter().map(PlSmallStr::as_str).collect::<Vec<_>>().join(", ")
    };
    let tables: String = about.map(|(name, frame)| format!("\n  {name}: {}", columns(frame))).collect();
    let first = message.split(['\n', ';']).next().unwrap_or_default();
    anyhow!("{first}; the columns are{tables}")
}

/// The error itself, without the steps that led to it.
fn root(error: &PolarsError) -> &PolarsError {
    match error {
        PolarsError::Context { error, .. } | PolarsError::ExprContext { error, .. } => root(error),
        own => own,
    }
}

/// polars' words, without the word for the kind of error before them.
fn plain(error: &PolarsError) -> String {
    match error {
        PolarsError::ColumnNotFound(words)
        | PolarsError::SQLInterface(words)
        | PolarsError::SQLSyntax(words)
        | PolarsError::SchemaFieldNotFound(words)
        | PolarsError::InvalidOperation(words)
        | PolarsError::ComputeError(words) => words.to_string(),
        other => other.to_string(),
    }
}
