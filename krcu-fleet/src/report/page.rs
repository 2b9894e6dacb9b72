//! Page: the report as one HTML file. Nothing in it is fetched and nothing runs.

use krcu_analysis::{
    fleet::ledger::Outcome,
    report::document,
    show::units::{count, span},
};
use maud::{Markup, html};

use super::{Told, heat};
use crate::{
    ask::answer::{Answer, Row},
    time::moment,
};

/// Rows of a table on the page; a question has all of them.
const ROWS: usize = 50;
/// What the page has besides the style of a trace's report.
const OWN_STYLE: &str = ".heat td{text-align:center}";

/// The file.
pub(super) fn html(told: &Told) -> String {
    document("fleet", OWN_STYLE, &body(told))
}

fn body(told: &Told) -> Markup {
    let of = |outcome| told.entries.iter().filter(|entry| entry.outcome == outcome).count();
    let facts = [
        ("written", told.written.clone()),
        ("traces", told.entries.len().to_string()),
        ("without an end", of(Outcome::NoGoodbye).to_string()),
        ("damaged", of(Outcome::Damaged).to_string()),
        ("refused", of(Outcome::Refused).to_string()),
        ("events", count(told.entries.iter().map(|entry| entry.events).sum())),
    ];
    html! {
        h1 { "Fleet" }
        dl.facts { @for (name, value) in &facts { div { dt { (name) } dd { (value) } } } }
        (faults(told))
        (regressions(&told.regressions))
        (waits(told))
        (sites(&told.sites))
        (blind(told))
    }
}

fn number(row: &Row<'_>, name: &str) -> String {
    row.number(name).map(|value| value.to_string()).unwrap_or_default()
}

/// A number with what it counts.
fn counted(row: &Row<'_>, name: &str, what: &str) -> String {
    let ending = if row.number(name) == Some(1) { "" } else { "s" };
    format!("{} {what}{ending}", number(row, name))
}

/// What a row is of, from the least to the most of it.
fn between(row: &Row<'_>, name: &str) -> String {
    let (least, most) = (row.text(&format!("{name}_least")), row.text(&format!("{name}_most")));
    if least == most { least.to_owned() } else { format!("{least} to {most}") }
}

/// When what a row tells was first and last.
fn moments(row: &Row<'_>) -> [String; 2] {
    ["first_utc_ns", "last_utc_ns"].map(|name| moment(row.number(name)))
}

/// The rows with the largest number in this column.
fn largest<'a>(answer: &'a Answer, by: &str) -> Vec<Row<'a>> {
    let mut rows: Vec<Row<'a>> = answer.rows().collect();
    rows.sort_by_key(|row| std::cmp::Reverse(row.number(by)));
    rows.truncate(ROWS);
    rows
}

/// A table: headings, of which those that begin with a space are of numbers.
fn table(headings: &[&str], rows: &[Vec<String>]) -> Markup {
    let is_number = |place: usize| headings.get(place).is_some_and(|heading| heading.starts_with(' '));
    html! {
        div.scroll {
            table {
                thead {
                    tr {
                        @for heading in headings {
                            th.text[!heading.starts_with(' ')] { (heading.trim()) }
                        }
                    }
                }
                tbody {
                    @for row in rows {
                        tr {
                            @for (place, cell) in row.iter().enumerate() {
                                td.text[!is_number(place)] { (cell) }
                            }
                        }
                    }
                }
            }
        }
    }
}

fn left_out(answer: &Answer, word: &str) -> Markup {
    html! {
        @if answer.len() > ROWS {
            p.dim { "The first " (ROWS) " of " (answer.len()) " rows; krcu fleet ask " (word) " --all has every one." }
        }
    }
}

fn faults(told: &Told) -> Markup {
    html! {
        h2 { "Faults" }
        @if told.flagged.is_empty() { p { "No trace has a fault." } }
        @for row in largest(&told.flagged, "verdicts") {
            div.verdict.bad {
                h3 { b { (row.text("verdict").to_uppercase()) } " \u{a0}" (row.text("module")) " " (row.text("cache")) }
                dl {
                    dt { "signature" } dd { (row.text("signature")) }
                    dt { "seen" }
                    dd {
                        (counted(&row, "verdicts", "time")) " on " (counted(&row, "hosts", "host")) ", first "
                        (moment(row.number("first_utc_ns"))) ", last " (moment(row.number("last_utc_ns")))
                    }
                    dt { "kernels" }
                    dd {
                        @for of in told.first_seen.rows().filter(|of| of.text("signature") == row.text("signature")) {
                            (of.text("kernel")) " " (of.text("arch")) ", krcu " (of.text("krcu")) ": "
                            (counted(&of, "verdicts", "time")) " since " (moment(of.number("first_utc_ns"))) br;
                        }
                    }
                    dt { "open" } dd { code { "krcu replay traces/" (row.text("example")) } }
                }
            }
        }
        (left_out(&told.flagged, "flagged"))
    }
}

fn regressions(answer: &Answer) -> Markup {
    let rows: Vec<Vec<String>> = answer
        .rows()
        .take(ROWS)
        .map(|row| {
            let [first, last] = moments(&row);
            vec![
                row.text("module").to_owned(),
                row.text("cache").to_owned(),
                row.text("kernel").to_owned(),
                row.text("arch").to_owned(),
                row.text("module_version").chars().take(12).collect(),
                between(&row, "krcu"),
                number(&row, "flagged"),
                number(&row, "verdicts"),
                number(&row, "hosts"),
                first,
                last,
                row.text("example").to_owned(),
            ]
        })
        .collect();
    html! {
        h2 { "Clean in one version, faulty in another" }
        @if answer.is_empty() {
            p { "No cache has a fault in one version of the kernel or of its module, and none in another." }
        } @else {
            (table(&["module", "cache", "kernel", "arch", "module's version", "krcu", " faults", " of", " hosts",
                "first", "last", "a trace"], &rows))
            (left_out(answer, "regressions"))
        }
    }
}

fn waits(told: &Told) -> Markup {
    let quantile = |classes: &heat::Classes, of| classes.quantile_ns(of).map(span).unwrap_or_default();
    let rows: Vec<Vec<String>> = heat::waits(&told.barriers, &["kernel", "arch", "barrier", "cause"])
        .iter()
        .map(|(key, classes)| {
            let mut row: Vec<String> = key.iter().map(|text| (*text).to_owned()).collect();
            row.push(classes.krcu());
            row.push(count(classes.count()));
            row.extend([500, 990, 1000].map(|of| quantile(classes, of)));
            row.extend(classes.moments().map(moment));
            row
        })
        .collect();
    let map = heat::map(&told.by_day);
    html! {
        h2 { "Waits" }
        @if rows.is_empty() {
            p { "No barrier was seen." }
        } @else {
            (table(&["kernel", "arch", "barrier", "cause", "krcu", " waits", " half of them within", " 99 of 100", " all",
                "first", "last"], &rows))
            p.dim { "Each span is the largest one of its class, at most 12.5 % above the wait itself." }
            h2 { "Waits by day" }
            figure {
                div.scroll {
                    table.heat {
                        thead { tr { th.text { "kernel" } @for day in &map.days { th { (day) } } } }
                        tbody {
                            @for (kernel, cells) in &map.kernels {
                                tr {
                                    td.text { (kernel) }
                                    @for cell in cells {
                                        @if let Some((ns, heat)) = cell {
                                            td style={ "background:rgb(217 130 43/" (heat) "%)" } { (span(*ns)) }
                                        } @else {
                                            td {}
                                        }
                                    }
                                }
                            }
                        }
                    }
                }
                figcaption { "What 99 of 100 waits of the day did not exceed; the longest is the darkest." }
            }
        }
    }
}

fn sites(answer: &Answer) -> Markup {
    let rows: Vec<Vec<String>> = largest(answer, "objects")
        .iter()
        .map(|row| {
            let function = row.text("function");
            let [first, last] = moments(row);
            vec![
                if function.is_empty() { "(no stack was taken)".to_owned() } else { function.to_owned() },
                row.text("module").to_owned(),
                row.text("cache").to_owned(),
                number(row, "objects"),
                number(row, "not_freed"),
                row.number("age_max_ns").and_then(|ns| u64::try_from(ns).ok()).map(span).unwrap_or_default(),
                number(row, "hosts"),
                between(row, "kernel"),
                between(row, "arch"),
                between(row, "krcu"),
                first,
                last,
            ]
        })
        .collect();
    html! {
        @if !answer.is_empty() {
            h2 { "Who queues" }
            (table(&["function", "module", "cache", " objects", " not freed", " oldest", " hosts", "kernels", "arch",
                "krcu", "first", "last"], &rows))
            (left_out(answer, "sites"))
        }
    }
}

fn blind(told: &Told) -> Markup {
    let losses: Vec<Vec<String>> = largest(&told.losses, "events")
        .iter()
        .map(|row| {
            ["reason", "scope", "programs", "kernel", "arch", "krcu"]
                .map(|name| row.text(name).to_owned())
                .into_iter()
                .chain(["gaps", "events", "hosts"].map(|name| number(row, name)))
                .chain(moments(row))
                .chain([row.text("example").to_owned()])
                .collect()
        })
        .collect();
    let runs: Vec<Vec<String>> = largest(&told.runs, "runs")
        .iter()
        .map(|row| {
            ["kernel", "arch", "krcu", "ended", "blind"]
                .map(|name| row.text(name).to_owned())
                .into_iter()
                .chain(["runs", "hosts", "events", "lost"].map(|name| number(row, name)))
                .chain(moments(row))
                .collect()
        })
        .collect();
    let bad: Vec<Vec<String>> = told
        .entries
        .iter()
        .filter(|entry| matches!(entry.outcome, Outcome::Refused | Outcome::Damaged))
        .take(ROWS)
        .map(|entry| {
            vec![entry.trace.clone(), entry.outcome.word().to_owned(), entry.why.clone().unwrap_or_default()]
        })
        .collect();
    html! {
        h2 { "What was not seen" }
        @if losses.is_empty() {
            p { "No event is known to be missing." }
        } @else {
            (table(&["reason", "about", "programs", "kernel", "arch", "krcu", " gaps", " events", " hosts", "first",
                "last", "a trace"], &losses))
        }
        h2 { "What was watched" }
        (table(&["kernel", "arch", "krcu", "ended", "no probe sees", " runs", " hosts", " events", " lost",
            "first", "last"], &runs))
        @if !bad.is_empty() {
            h2 { "Traces that are damaged" }
            (table(&["trace", "outcome", "why"], &bad))
        }
    }
}
