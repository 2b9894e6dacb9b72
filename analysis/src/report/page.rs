//! Page: the report as one HTML file. Nothing in it is fetched and nothing runs: pictures are inline, the style is above them.
//!
//! maud escapes every text. Its templates are Rust, so the compiler checks them, and charts and tables are functions within them.

use maud::{Markup, html};

use super::{
    charts::{self, Axis, Bar, Class, NARROW, Outstanding, Size, WIDE},
    document,
};
use crate::show::units;

/// What the page tells.
#[derive(Debug, Default)]
pub(super) struct Page {
    /// The trace's name.
    pub(super) title: String,
    /// Names and values of what is known of the trace.
    pub(super) facts: Vec<(String, String)>,
    /// What a reader has to know before he believes a number, a sentence each.
    pub(super) warnings: Vec<String>,
    /// The first chart.
    pub(super) outstanding: Outstanding,
    /// The second.
    pub(super) classes: Vec<Class>,
    /// From `call_rcu()` to the run of the callback.
    pub(super) latencies: Vec<Class>,
    /// The lines of the first chart and their colours.
    pub(super) key: Vec<(String, usize)>,
    /// Caches and their colours.
    pub(super) caches: Vec<(String, usize)>,
    /// The third.
    pub(super) waits: Vec<Bar>,
    /// The fourth.
    pub(super) approaches: Vec<Bar>,
    /// Why there is no fourth.
    pub(super) no_approaches: Option<String>,
    /// What stands below it: the back-test and the inputs.
    pub(super) below: String,
    /// Every approach, as a table.
    pub(super) sums: Table,
    /// How many verdicts there are of each word, the faults first.
    pub(super) counts: Vec<Count>,
    /// Verdicts, in the same order.
    pub(super) verdicts: Vec<Told>,
    /// What was not seen.
    pub(super) losses: Table,
    /// Sites.
    pub(super) sites: Table,
}

/// How many verdicts have a word.
#[derive(Debug, Default)]
pub(super) struct Count {
    /// The word.
    pub(super) word: String,
    /// How many.
    pub(super) number: usize,
    /// 0 for faults, 1 to 3 for what is a fault on some kernel or run or cannot be decided, more for the rest.
    pub(super) rank: u8,
}

/// A verdict with its evidence.
#[derive(Debug, Default)]
pub(super) struct Told {
    /// The word.
    pub(super) word: String,
    /// Whether it is a fault.
    pub(super) is_flagged: bool,
    /// Whether it cannot be decided, or is a fault on some run.
    pub(super) is_open: bool,
    /// The cache, and whose it is.
    pub(super) cache: String,
    /// Names and values.
    pub(super) evidence: Vec<(String, String)>,
}

/// A table of text.
#[derive(Debug, Default)]
pub(super) struct Table {
    /// Headings, and whether a column is text.
    pub(super) columns: Vec<(String, bool)>,
    /// Cells, and whether one is a fault.
    pub(super) rows: Vec<Vec<(String, bool)>>,
}

impl Page {
    /// The file.
    #[must_use]
    pub(super) fn html(&self) -> String {
        document(&self.title, "", &self.body())
    }

    fn body(&self) -> Markup {
        html! {
            h1 { (self.title) }
            @if !self.counts.is_empty() {
                p.counts {
                    @for count in &self.counts {
                        b.bad[count.rank == 0].open[(1..=3).contains(&count.rank)] {
                            (count.number) " " (count.word)
                        }
                        " "
                    }
                }
            }
            dl.facts { @for (name, value) in &self.facts { div { dt { (name) } dd { (value) } } } }
            @for warning in &self.warnings { p.note { (warning) } }
            h2 { "Verdicts" }
            @if self.verdicts.is_empty() { p { "No cache was destroyed in this trace." } }
            @for verdict in &self.verdicts { (verdict.html()) }
            (self.pictures())
            h2 { "What other approaches would have cost" }
            (self.what_if())
            @if !self.sites.rows.is_empty() { h2 { "Who queues" } (self.sites.html()) }
            h2 { "What was not seen" }
            @if self.losses.rows.is_empty() {
                p { "No event of this trace is known to be missing." }
            } @else {
                (self.losses.html())
            }
        }
    }

    fn pictures(&self) -> Markup {
        html! {
            h2 { "Outstanding deferred frees" }
            @if self.outstanding.lines.is_empty() {
                p { "Nothing was deferred in this trace." }
            } @else {
                @let drawn = |size| charts::outstanding(&self.outstanding, size);
                (figure(drawn, &self.key, &self.below_outstanding()))
            }
            @for (heading, classes, axes) in self.distributions() {
                @if !classes.is_empty() {
                    h2 { (heading) }
                    (figure(|size| charts::distribution(classes, axes, size), &self.caches, &html! {
                        "Each column is a quarter of a doubling."
                    }))
                }
            }
            h2 { "Barrier waits by cause" }
            @if self.waits.is_empty() {
                p { "No barrier was seen in this trace." }
            } @else {
                @let axis = Axis { title: "Barrier waits by cause", name: "the sum of the waits", until_ns: None };
                (figure(|size| charts::bars(&self.waits, axis, size), &[], &html! {
                    "The sum of the waits, how many there were, and the longest one."
                }))
            }
        }
    }

    fn distributions(&self) -> [(&'static str, &[Class], (&'static str, &'static str)); 2] {
        [
            ("From queueing to free", &self.classes, ("objects", "time from kfree_rcu() to the free")),
            (
                "From call_rcu() to the callback",
                &self.latencies,
                ("callbacks", "time from call_rcu() or its like to the run"),
            ),
        ]
    }

    fn below_outstanding(&self) -> Markup {
        let shown = &self.outstanding;
        html! {
            "Objects handed to kfree_rcu() and not freed, and callbacks of call_rcu() that have not run (broken lines), from \
             the first to the last of them; 0 is the moment at which the probes were attached."
            @if !shown.destroys.is_empty() {
                " Lines with a dot: destroys, red where flagged; a label stands where it has room."
            }
            @if !shown.barriers.is_empty() { " Bands: barriers." }
            @if !shown.graces.is_empty() { " GPs: grace periods, the expedited ones in another colour." }
            " What is shorter than " (units::span(part_ns(shown))) " is not shown."
        }
    }

    fn what_if(&self) -> Markup {
        let axis = Axis {
            title: "Caller wait under each approach",
            name: "how long the destroying tasks wait, all together",
            until_ns: charts::reach_ns(&self.approaches),
        };
        let waits = |size| charts::bars(&self.approaches, axis, size);
        html! {
            @if let Some(reason) = &self.no_approaches {
                p { (reason) }
            } @else {
                (figure(waits, &[], &html! {
                    "How long the destroying tasks would have waited, all together; lighter: how long caches linger \
                     after that. The broken line is what was measured on this kernel. Each time has the error that the \
                     machine has where it repeats what the kernel did; grey: it is far off there, or untested. Red: memory \
                     would have been given back, or a cache given up, with objects outstanding. Approaches with the same \
                     figures are one bar. A bar with a gap goes on beyond the axis. Simulated by the reference machine from this \
                     trace's own measurements."
                }))
                pre.scroll { code { (self.below.trim()) } }
                (self.sums.html())
            }
        }
    }
}

impl Told {
    fn html(&self) -> Markup {
        html! {
            div.verdict.bad[self.is_flagged].open[self.is_open && !self.is_flagged] {
                h3 { b { (self.word) } " \u{a0}" (self.cache) }
                dl { @for (name, value) in &self.evidence { dt { (name) } dd { (value) } } }
            }
        }
    }
}

fn part_ns(shown: &Outstanding) -> u64 {
    u64::try_from((shown.span_ns.1 - shown.span_ns.0) / shown.parts.max(1)).unwrap_or(0)
}

pub(super) fn figure(chart: impl Fn(Size) -> Markup, key: &[(String, usize)], caption: &Markup) -> Markup {
    html! {
        figure {
            div.wide { (chart(WIDE)) }
            div.narrow { (chart(NARROW)) }
            @if !key.is_empty() {
                ul.key {
                    @for (name, colour) in key {
                        li {
                            svg viewBox="0 0 12 12" aria-hidden="true" {
                                rect class={ "c" (colour) } width="12" height="12" {}
                            }
                            (name)
                        }
                    }
                }
            }
            figcaption { (caption) }
        }
    }
}

impl Table {
    fn html(&self) -> Markup {
        html! {
            div.scroll {
                table {
                    thead {
                        tr {
                            @for (name, is_text) in &self.columns {
                                th class=[is_text.then_some("text")] { (name) }
                            }
                        }
                    }
                    tbody {
                        @for row in &self.rows {
                            tr {
                                @for ((cell, is_bad), (_, is_text)) in row.iter().zip(&self.columns) {
                                    @let class = if *is_bad { Some("bad") } else { is_text.then_some("text") };
                                    td class=[class] { (cell) }
                                }
                            }
                        }
                    }
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_control_character_of_a_name_does_not_reach_the_page() {
        let page = Page { title: "<b>\u{1b}[0m\u{1}\t".to_owned(), ..Page::default() }.html();
        assert!(page.contains("<h1>&lt;b&gt;\u{fffd}[0m\u{fffd}\u{fffd}</h1>"), "{page}");
    }
}
