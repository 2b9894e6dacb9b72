//! Gather: what the page tells, asked of the tables.

use std::collections::BTreeMap;

use anyhow::Result;
use polars::prelude::*;

use super::{
    charts::{Bar, COLOURS, Class, Look},
    page::{Count, Page, Table, Told},
    timeline,
};
use crate::{
    ask,
    load::Loaded,
    show::units,
    tables::{Tables, collect},
    whatif::{self, Question},
};

/// Verdicts that are shown at the most, if there are not more faults.
const MOST: usize = 200;
/// Sites that are shown at the most.
const MOST_SITES: usize = 12;

/// The page of a trace.
pub(super) fn page(loaded: &Loaded) -> Result<Page> {
    let tables = &loaded.tables;
    let mut page = Page { title: title(loaded), ..Page::default() };
    let counts = collect(ask::caches(tables)?)?;
    let colours = colours(&counts)?;
    let queued: u64 = numbers(&counts, "queued")?.iter().flatten().sum();
    let callbacks: u64 = numbers(&counts, "callbacks")?.iter().flatten().sum();
    page.facts = facts(loaded, queued, callbacks);
    page.warnings = warnings(loaded);
    (page.verdicts, page.counts) = verdicts(tables, &mut page.warnings)?;
    page.outstanding = timeline::outstanding(loaded, &colours)?;
    (page.key, page.caches) = timeline::keys(&page.outstanding);
    page.classes = classes(ask::distribution(tables)?, &colours)?;
    page.latencies = classes(ask::latencies(tables)?, &colours)?;
    page.waits = waits(tables)?;
    what_if(loaded, &mut page)?;
    page.losses = losses(tables, &mut page.warnings)?;
    page.sites = sites(tables)?;
    Ok(page)
}

fn title(loaded: &Loaded) -> String {
    loaded
        .meta
        .path
        .file_name()
        .map_or_else(|| "trace".to_owned(), |name| name.to_string_lossy().into_owned())
}

fn facts(loaded: &Loaded, queued: u64, callbacks: u64) -> Vec<(String, String)> {
    let meta = &loaded.meta;
    let (from, until) = loaded.span_ns;
    let span = units::span(u64::try_from(until - from).unwrap_or(0));
    let known =
        |text: &str| Some(text).filter(|text| !text.is_empty() && *text != "unknown").map(str::to_owned);
    [
        ("kernel", known(&meta.release)),
        ("host", known(&meta.host)),
        ("boot", known(&meta.boot)),
        ("events", Some(units::count(loaded.events))),
        ("deferred frees", Some(units::count(queued))),
        ("callbacks", Some(callbacks).filter(|callbacks| *callbacks > 0).map(units::count)),
        ("span", Some(span)),
        ("CPUs", Some(meta.watch.possible_cpus).filter(|cpus| *cpus > 0).map(|cpus| cpus.to_string())),
        ("ended", meta.ending.clone()),
    ]
    .into_iter()
    .filter_map(|(name, value)| Some((name.to_owned(), value?)))
    .collect()
}

fn warnings(loaded: &Loaded) -> Vec<String> {
    let mut warnings = loaded.meta.undecidable.clone();
    let ending = loaded.meta.ending.as_deref();
    if let Some(ending) = ending.filter(|ending| ending.starts_with("no goodbye")) {
        warnings.push(format!("This trace ends with {ending}."));
    }
    if let Some(damage) = &loaded.damage {
        warnings.push(format!("This trace is damaged, and what came after that is not known: {damage}."));
    }
    warnings
}

/// The colours of caches, by their names.
pub(super) type Colours = BTreeMap<String, usize>;

/// Caches with the most deferred frees have colours of their own.
fn colours(caches: &DataFrame) -> Result<Colours> {
    let (queued, callbacks) = (numbers(caches, "queued")?, numbers(caches, "callbacks")?);
    let queued = queued.into_iter().zip(callbacks);
    let queued = queued.map(|(queued, callbacks)| Some(queued.unwrap_or(0) + callbacks.unwrap_or(0)));
    let mut named: BTreeMap<String, u64> = BTreeMap::new();
    for (name, queued) in texts(caches, "name")?.into_iter().zip(queued) {
        *named.entry(name.unwrap_or_default()).or_default() += queued.unwrap_or(0);
    }
    let mut order: Vec<(u64, String)> = named.into_iter().map(|(name, queued)| (queued, name)).collect();
    order.sort_by(|one, other| other.0.cmp(&one.0).then_with(|| one.1.cmp(&other.1)));
    Ok(order.into_iter().enumerate().map(|(place, (_, name))| (name, place.min(COLOURS - 1))).collect())
}

pub(super) fn colour(colours: &Colours, name: &str) -> usize {
    colours.get(name).copied().unwrap_or(COLOURS - 1)
}

fn classes(question: LazyFrame, colours: &Colours) -> Result<Vec<Class>> {
    let frame = collect(question)?;
    let mut classes: BTreeMap<i32, [u64; COLOURS]> = BTreeMap::new();
    let names = texts(&frame, "cache_name")?;
    let counts = numbers(&frame, "objects")?;
    for (row, class) in signed(&frame, "class")?.into_iter().enumerate() {
        let class = i32::try_from(class.unwrap_or(0)).unwrap_or(0);
        let colour = colour(colours, names[row].as_deref().unwrap_or(""));
        classes.entry(class).or_insert([0; COLOURS])[colour] += counts[row].unwrap_or(0);
    }
    Ok(classes.into_iter().map(|(class, counts)| Class { class, counts }).collect())
}

fn waits(tables: &Tables) -> Result<Vec<Bar>> {
    let frame = collect(ask::barriers_by_cause(tables)?)?;
    let (barriers, causes) = (texts(&frame, "barrier")?, texts(&frame, "cause")?);
    let (counts, waits) = (numbers(&frame, "barriers")?, numbers(&frame, "wait_ns")?);
    let longest = numbers(&frame, "wait_max_ns")?;
    let bars = (0..frame.height()).map(|row| {
        let cause = match causes[row].as_deref() {
            Some("destroy") => "inside a destroy",
            Some("flush") => "by flush_rcu_work()",
            _ => "called by itself",
        };
        let barrier = barriers[row].clone().unwrap_or_default();
        let name = if barrier == "inside-destroy" {
            "inlined into a destroy".to_owned()
        } else {
            format!("{barrier}() {cause}")
        };
        let value_ns = waits[row].unwrap_or(0);
        let count = units::count(counts[row].unwrap_or(0));
        let note =
            format!("{} in {count}, ≤ {}", units::span(value_ns), units::span(longest[row].unwrap_or(0)));
        Bar { name, value_ns, after_ns: 0, note, look: Look::Plain }
    });
    Ok(bars.collect())
}

fn what_if(loaded: &Loaded, page: &mut Page) -> Result<()> {
    let asked = match &loaded.asked {
        Some(Ok(asked)) => asked,
        Some(Err(error)) => {
            page.no_approaches = Some(format!("Not simulated: {error}."));
            return Ok(());
        }
        None => return Ok(()),
    };
    let answer = whatif::ask(asked, &Question { approach: None, seed: 1 })?;
    let trust = answer.trust();
    page.approaches.push(Bar {
        name: "measured on this kernel".to_owned(),
        value_ns: answer.measured_ns(),
        after_ns: 0,
        note: units::span(answer.measured_ns()),
        look: Look::Measured,
    });
    for (first, others) in answer.alike() {
        let Some(sum) = answer.sums.get(first) else { continue };
        let is_flagged = sum.unsafe_destroys > 0;
        let mut note = trust.span(sum.caller_wait_ns);
        if sum.linger_ns > 0 {
            note.push_str(&format!(" + {}", trust.span(sum.linger_ns)));
        }
        note.push_str(&format!(" {}", trust.word()));
        if sum.hung > 0 {
            note.push_str(", hangs");
        }
        if is_flagged {
            note.push_str(", unsafe");
        }
        let (value_ns, after_ns) = (sum.caller_wait_ns, sum.linger_ns);
        let look = match is_flagged {
            true => Look::Fault,
            false if trust.is_far_off() => Look::Doubted,
            false => Look::Plain,
        };
        let name = whatif::named(sum, &others);
        page.approaches.push(Bar { name, value_ns, after_ns, note, look });
    }
    page.below = whatif::below(&answer);
    let frame = whatif::for_a_person(&answer)?;
    page.sums = table(&frame, &["unsafe", "hung", "false_splats"]);
    Ok(())
}

/// The rows of verdicts in the order in which a person reads them: faults, races that were won by luck, what is undecided,
/// waits, the rest; and how many there are of each word.
fn order(frame: &DataFrame) -> Result<(Vec<usize>, Vec<Count>)> {
    let (words, flagged) = (texts(frame, "verdict")?, frame.column("flagged")?.bool()?);
    let rank = |row: usize| match words[row].as_deref() {
        _ if flagged.get(row) == Some(true) => 0,
        Some("unordered") => 1,
        Some("inconclusive") => 2,
        Some("waited") => 3,
        _ => 4,
    };
    let mut order: Vec<usize> = (0..frame.height()).collect();
    order.sort_by_key(|row| rank(*row));
    let mut counts: Vec<Count> = Vec::new();
    for row in &order {
        let word = words[*row].clone().unwrap_or_default();
        let word = if rank(*row) == 0 { word.to_uppercase() } else { word };
        match counts.iter_mut().find(|known| known.word == word) {
            Some(known) => known.number += 1,
            None => counts.push(Count { word, number: 1, rank: rank(*row) }),
        }
    }
    Ok((order, counts))
}

fn verdicts(tables: &Tables, warnings: &mut Vec<String>) -> Result<(Vec<Told>, Vec<Count>)> {
    let frame = collect(ask::verdicts(tables)?)?;
    let (order, counts) = order(&frame)?;
    // No fault is left out.
    let faults: usize = counts.iter().filter(|count| count.rank == 0).map(|count| count.number).sum();
    let shown = frame.height().min(MOST.max(faults));
    if frame.height() > shown {
        warnings.push(format!(
            "{} verdicts: {shown} are shown here, and every fault is among them. `krcu analyze verdicts` has all.",
            frame.height()
        ));
    }
    let text = |name: &str| texts(&frame, name);
    let number = |name: &str| numbers(&frame, name);
    let (words, caches, modules) = (text("verdict")?, text("cache")?, text("module")?);
    let flagged = frame.column("flagged")?.bool()?;
    let strictly = frame.column("flagged_strictly")?.bool()?;
    let (by, at) = (text("destroyed_by")?, signed(&frame, "destroyed_at_ns")?);
    let (queued, oldest) = (number("queued_by_kfree_rcu")?, number("oldest_age_ns")?);
    let (own, other, wait) = (number("waited_for_own")?, number("waited_for_other")?, number("wait_ns")?);
    let (leaked, late) = (number("leaked")?, number("late_frees")?);
    let rest =
        [("queued at", text("queued_at")?), ("notes", text("notes")?), ("what to do", text("advice")?)];
    let told = order.into_iter().take(shown).map(|row| {
        let mut evidence = Vec::new();
        let mut tell = |name: &str, value: String| evidence.push((name.to_owned(), value));
        let who = by[row].clone().unwrap_or_default();
        tell("destroyed by", format!("{who}, {} into the run", units::moment(at[row].unwrap_or(0))));
        if let Some(queued) = queued[row].filter(|queued| *queued > 0) {
            let age =
                oldest[row].map(|age| format!(", the oldest {} old", units::span(age))).unwrap_or_default();
            tell("outstanding", format!("{} deferred frees when it looked{age}", units::count(queued)));
        }
        let (own, other) = (own[row].unwrap_or(0), other[row].unwrap_or(0));
        if own + other > 0 {
            let wait = wait[row].map(units::span).unwrap_or_default();
            tell(
                "waited",
                format!("{wait} for {} of its own and {} of others", units::count(own), units::count(other)),
            );
        }
        if let Some(leaked) = leaked[row].filter(|leaked| *leaked > 0) {
            tell("leaked", units::count(leaked));
        }
        if let Some(late) = late[row].filter(|late| *late > 0) {
            tell("late frees", format!("{} after it looked", units::count(late)));
        }
        for (name, values) in &rest {
            values[row].iter().filter(|value| !value.is_empty()).for_each(|value| tell(name, value.clone()));
        }
        let word = words[row].clone().unwrap_or_default();
        let is_flagged = flagged.get(row).unwrap_or(false);
        let module = modules[row].as_ref().map(|module| format!(" ({module})")).unwrap_or_default();
        let cache = format!("{}{module}", caches[row].clone().unwrap_or_default());
        let is_open = word == "inconclusive" || strictly.get(row).unwrap_or(false);
        Told {
            word: if is_flagged { word.to_uppercase() } else { word },
            is_flagged,
            is_open,
            cache,
            evidence,
        }
    });
    Ok((told.collect(), counts))
}

fn losses(tables: &Tables, warnings: &mut Vec<String>) -> Result<Table> {
    let sums = tables.scan("gaps")?.group_by([col("reason"), col("scope")]).agg([
        col("events").sum(),
        len().cast(DataType::UInt32).alias("gaps"),
        col("from_ns").min(),
        col("until_ns").max(),
    ]);
    let frame = collect(sums.sort(["reason", "scope"], SortMultipleOptions::default()))?;
    let lost: u64 = numbers(&frame, "events")?.iter().flatten().sum();
    if lost > 0 {
        warnings
            .push(format!("{} events were not seen: every count here is at least that.", units::count(lost)));
    }
    Ok(table(&frame, &["events"]))
}

fn sites(tables: &Tables) -> Result<Table> {
    let sites = ask::sites(tables)?.limit(u32::try_from(MOST_SITES).unwrap_or(u32::MAX));
    Ok(table(&collect(sites)?, &[]))
}

/// A frame as a table; in the columns named, what is above 0 is a fault.
fn table(frame: &DataFrame, faults: &[&str]) -> Table {
    let written = crate::show::terminal::cells(frame);
    let rows = (0..frame.height()).map(|row| {
        let cells = written.iter().zip(frame.columns()).map(|((_, _, cells), column)| {
            let is_fault = faults.contains(&column.name().as_str()) && cells[row] != "0";
            (cells[row].clone(), is_fault)
        });
        cells.collect()
    });
    Table {
        rows: rows.collect(),
        columns: written.iter().map(|(heading, is_right, _)| (heading.clone(), !is_right)).collect(),
    }
}

pub(super) fn texts(frame: &DataFrame, name: &str) -> PolarsResult<Vec<Option<String>>> {
    Ok(frame.column(name)?.str()?.iter().map(|text| text.map(str::to_owned)).collect())
}

pub(super) fn numbers(frame: &DataFrame, name: &str) -> PolarsResult<Vec<Option<u64>>> {
    Ok(frame.column(name)?.cast(&DataType::UInt64)?.u64()?.iter().collect())
}

pub(super) fn signed(frame: &DataFrame, name: &str) -> PolarsResult<Vec<Option<i64>>> {
    Ok(frame.column(name)?.cast(&DataType::Int64)?.i64()?.iter().collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_faults_come_first_and_each_word_is_counted() {
        let frame = df!(
            "verdict" => ["clean", "waited", "leaked", "inconclusive", "unordered", "waited", "unordered", "clean"],
            "flagged" => [false, false, true, false, false, false, true, false],
        );
        let (order, counts) = order(&frame.unwrap()).unwrap();
        assert_eq!(order, [2, 6, 4, 3, 1, 5, 0, 7]);
        let counts: Vec<String> =
            counts.iter().map(|count| format!("{} {}", count.number, count.word)).collect();
        // Under --strict, an unordered one is a fault.
        assert_eq!(
            counts,
            ["1 LEAKED", "1 UNORDERED", "1 unordered", "1 inconclusive", "2 waited", "2 clean"]
        );
    }
}
