//! Timeline: what the first picture of a report shows, asked of the tables.

use std::collections::BTreeMap;

use anyhow::Result;
use polars::prelude::*;

use super::{
    charts::{COLOURS, Line, Mark, Outstanding},
    gather::{Colours, colour, numbers, signed, texts},
};
use crate::{
    ask::{self, outstanding::Counted},
    load::Loaded,
    show::units,
    tables::{Tables, collect},
};

/// Parts into which the span of a trace is cut: more than a wide page has room for.
const PARTS: i64 = 960;
/// Barriers and destroys that are shown at the most.
const MOST: u32 = 200;
/// Grace periods that are shown at the most: the longest.
const MOST_GRACES: u32 = 600;
/// Characters of a destroy's label.
const LABEL: usize = 28;

/// The picture.
pub(super) fn outstanding(loaded: &Loaded, colours: &Colours) -> Result<Outstanding> {
    let tables = &loaded.tables;
    let span_ns = busy_span(tables, loaded.span_ns)?;
    let mut lines = lines(tables, Counted::Objects, span_ns, colours)?;
    lines.extend(self::lines(tables, Counted::Callbacks, span_ns, colours)?);
    let destroys = collect(ask::destroys(tables)?.sort(["flagged"], most_first()).limit(MOST))?;
    let barriers = tables
        .scan("barriers")?
        .filter(col("cause").neq(lit("flush")))
        .sort(["wait_ns"], most_first())
        .limit(MOST);
    Ok(Outstanding {
        span_ns,
        parts: PARTS,
        lines,
        destroys: destroy_marks(&destroys)?,
        barriers: barrier_marks(&collect(barriers)?, span_ns.1)?,
        graces: grace_marks(tables, span_ns)?,
    })
}

/// Names and their colours.
type Key = Vec<(String, usize)>;

/// The names of the lines, and those of the caches, with their colours.
pub(super) fn keys(shown: &Outstanding) -> (Key, Key) {
    let name = |line: &Line| match line.is_callbacks {
        false => line.name.clone(),
        true => format!("callbacks of {} (broken line)", line.name),
    };
    (key(shown, name), key(shown, |line| line.name.clone()))
}

fn key(shown: &Outstanding, name: impl Fn(&Line) -> String) -> Key {
    let mut key: Key = shown.lines.iter().map(|line| (name(line), line.colour)).collect();
    key.sort_by(|one, other| one.1.cmp(&other.1).then_with(|| one.0.cmp(&other.0)));
    key.dedup();
    let others = key.iter().filter(|(_, colour)| *colour == COLOURS - 1).count();
    if others > 1 {
        key.retain(|(_, colour)| *colour < COLOURS - 1);
        key.push((format!("{others} others"), COLOURS - 1));
    }
    key
}

fn most_first() -> SortMultipleOptions {
    let order = SortMultipleOptions::default().with_order_descending(true).with_nulls_last(true);
    order.with_maintain_order(true)
}

fn lines(tables: &Tables, counted: Counted, span_ns: (i64, i64), colours: &Colours) -> Result<Vec<Line>> {
    let frame = collect(ask::outstanding::over_time(tables, counted, span_ns, PARTS)?)?;
    let is_callbacks = counted == Counted::Callbacks;
    let mut lines: BTreeMap<Option<u64>, Line> = BTreeMap::new();
    let names = texts(&frame, "cache_name")?;
    let (parts, counts) = (signed(&frame, "part")?, signed(&frame, "outstanding")?);
    for (row, cache) in numbers(&frame, "cache")?.into_iter().enumerate() {
        let name = names[row].clone().unwrap_or_else(|| "no cache".to_owned());
        let colour = colour(colours, &name);
        let new = Line { name, colour, is_callbacks, points: Vec::new() };
        let line = lines.entry(cache).or_insert(new);
        line.points.push((parts[row].unwrap_or(0), counts[row].unwrap_or(0)));
    }
    Ok(lines.into_values().collect())
}

/// From the first thing that is shown to the last, with a margin: krcu stays attached long after all is over.
fn busy_span(tables: &Tables, whole: (i64, i64)) -> Result<(i64, i64)> {
    let part = |table: &str, columns: &[&str]| -> PolarsResult<Vec<LazyFrame>> {
        let frame = tables.scan(table)?;
        Ok(columns.iter().map(|column| frame.clone().select([col(*column).alias("at_ns")])).collect())
    };
    let mut parts = part("objects", &["queued_at_ns", "over_at_ns"])?;
    parts.extend(part("callbacks", &["queued_at_ns", "returned_at_ns"])?);
    parts.extend(part("destroys", &["begin_at_ns", "look_at_ns", "end_at_ns"])?);
    parts.extend(part("barriers", &["begin_at_ns", "end_at_ns"])?);
    let ends = concat(parts, UnionArgs::default())?
        .select([col("at_ns").min().alias("first"), col("at_ns").max().alias("last")]);
    let ends = collect(ends)?;
    let end = |name: &str, or: i64| -> Result<i64> {
        Ok(signed(&ends, name)?.first().copied().flatten().unwrap_or(or))
    };
    let (first, last) = (end("first", whole.0)?, end("last", whole.1)?);
    let margin = ((last - first) / 25).max(1_000);
    Ok(((first - margin).max(whole.0), (last + margin).min(whole.1.max(last))))
}

fn destroy_marks(frame: &DataFrame) -> Result<Vec<Mark>> {
    let (begins, words) = (signed(frame, "begin_at_ns")?, texts(frame, "verdict")?);
    let (names, flagged) = (texts(frame, "cache_name")?, frame.column("flagged")?.bool()?);
    let marks = begins.into_iter().enumerate().map(|(row, begin)| {
        let from_ns = begin.unwrap_or(0);
        let is_flagged = flagged.get(row).unwrap_or(false);
        let (word, name) = (words[row].clone().unwrap_or_default(), names[row].clone().unwrap_or_default());
        let told = format!("{name} destroyed at {}: {word}", units::moment(from_ns));
        let label = if is_flagged { format!("{name}: {}", word.to_uppercase()) } else { name };
        Mark { from_ns, until_ns: from_ns, is_flagged, label: shortened(&label), told }
    });
    Ok(marks.collect())
}

fn shortened(label: &str) -> String {
    if label.chars().count() <= LABEL {
        return label.to_owned();
    }
    label.chars().take(LABEL - 1).chain(['…']).collect()
}

fn barrier_marks(frame: &DataFrame, until: i64) -> Result<Vec<Mark>> {
    let (begins, ends) = (signed(frame, "begin_at_ns")?, signed(frame, "end_at_ns")?);
    let words = texts(frame, "barrier")?;
    let marks = begins.into_iter().enumerate().map(|(row, begin)| {
        let (from_ns, until_ns) = (begin.unwrap_or(0), ends[row].unwrap_or(until));
        let barrier = words[row].clone().unwrap_or_default();
        let told = format!("{barrier} at {}: {}", units::moment(from_ns), span(from_ns, until_ns));
        Mark { from_ns, until_ns, is_flagged: false, label: barrier, told }
    });
    Ok(marks.collect())
}

/// The longest grace periods that have a part in the span, in the order of time.
fn grace_marks(tables: &Tables, (from, until): (i64, i64)) -> Result<Vec<Mark>> {
    let seen = tables
        .scan("graces")?
        .with_columns([col("begin_at_ns").fill_null(lit(from)), col("end_at_ns").fill_null(lit(until))])
        .filter(col("end_at_ns").gt(lit(from)).and(col("begin_at_ns").lt(lit(until))));
    let longest = seen
        .with_columns([(col("end_at_ns") - col("begin_at_ns")).alias("took_ns")])
        .sort(["took_ns"], most_first())
        .limit(MOST_GRACES)
        .sort(["begin_at_ns"], SortMultipleOptions::default());
    let frame = collect(longest)?;
    let (begins, ends) = (signed(&frame, "begin_at_ns")?, signed(&frame, "end_at_ns")?);
    let expedited = frame.column("expedited")?.bool()?;
    let marks = begins.into_iter().zip(ends).enumerate().map(|(row, (begin, end))| {
        let (from_ns, until_ns) = (begin.unwrap_or(from), end.unwrap_or(until));
        let is_flagged = expedited.get(row).unwrap_or(false);
        let kind = if is_flagged { "expedited grace period" } else { "grace period" };
        let told = format!("{kind} at {}: {}", units::moment(from_ns), span(from_ns, until_ns));
        Mark { from_ns, until_ns, is_flagged, label: String::new(), told }
    });
    Ok(marks.collect())
}

fn span(from_ns: i64, until_ns: i64) -> String {
    units::span(u64::try_from(until_ns - from_ns).unwrap_or(0))
}
