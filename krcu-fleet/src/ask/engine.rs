//! Engine: a question to polars, on this machine.

use krcu_analysis::{fleet::committed::Committed, tables::collect};
use polars::prelude::*;
use serde_json::Value;

use super::{
    answer::Answer,
    question::{Kind, Question, Side, Source, Sum},
};

/// The name of a column once both tables are one.
fn name(from: Source) -> String {
    match from.0 {
        Side::Fact => format!("f.{}", from.1),
        Side::Run => format!("r.{}", from.1),
    }
}

fn sum(sum: Sum) -> Expr {
    match sum {
        Sum::Rows => len().cast(DataType::Int64),
        Sum::Different(from) => col(name(from)).drop_nulls().n_unique().cast(DataType::Int64),
        Sum::Total(from) => col(name(from)).sum(),
        Sum::Least(from) => col(name(from)).min(),
        Sum::Most(from) => col(name(from)).max(),
    }
}

/// The columns that a question needs of a side, and the run.
fn needed(question: &Question, side: Side) -> Vec<Expr> {
    let sums = question.sums.iter().filter_map(|(_, sum, _)| match sum {
        Sum::Rows => None,
        Sum::Different(from) | Sum::Total(from) | Sum::Least(from) | Sum::Most(from) => Some(*from),
    });
    let only = question.only.map(|column| Source(Side::Fact, column));
    let mut columns: Vec<&str> = question
        .keys
        .iter()
        .copied()
        .chain(sums)
        .chain(only)
        .filter(|from| from.0 == side)
        .map(|from| from.1)
        .collect();
    columns.sort_unstable();
    columns.dedup();
    let renamed = columns.into_iter().map(|column| col(column).alias(name(Source(side, column))));
    std::iter::once(col("run")).chain(renamed).collect()
}

/// Asks.
///
/// # Errors
/// When the fleet has no facts, or they cannot be read.
pub fn ask(question: &Question, facts: &Committed) -> PolarsResult<Answer> {
    let table = facts.scan(question.table)?.select(needed(question, Side::Fact));
    let runs = facts.scan("runs")?.select(needed(question, Side::Run));
    let mut joined = table.join(runs, [col("run")], [col("run")], JoinArgs::new(JoinType::Inner));
    if let Some(only) = question.only {
        joined = joined.filter(col(name(Source(Side::Fact, only))).eq(lit(1i64)));
    }
    let keys: Vec<Expr> = question.keys.iter().map(|key| col(name(*key)).alias(key.1)).collect();
    let sums: Vec<Expr> = question.sums.iter().map(|(name, of, _)| sum(*of).alias(*name)).collect();
    let frame = collect(joined.group_by(keys).agg(sums))?;
    rows(question, &frame)
}

fn rows(question: &Question, frame: &DataFrame) -> PolarsResult<Answer> {
    let columns = question.columns();
    let mut rows = vec![Vec::with_capacity(columns.len()); frame.height()];
    for (name, kind) in &columns {
        let column = frame.column(name)?;
        match kind {
            Kind::Number => {
                let values = column.cast(&DataType::Int64)?;
                rows.iter_mut()
                    .zip(values.i64()?.iter())
                    .for_each(|(row, value)| row.push(Value::from(value)));
            }
            Kind::Text => {
                let values = column.cast(&DataType::String)?;
                rows.iter_mut()
                    .zip(values.str()?.iter())
                    .for_each(|(row, value)| row.push(Value::from(value)));
            }
        }
    }
    Ok(Answer::new(columns, rows))
}
