//! Page: the report as one HTML file. Nothing in it is fetched and nothing runs: pictures are inline, the style is above them.

use std::fmt::Write as _;

use super::{
    charts::{self, Bar, Class, NARROW, Outstanding, Size, WIDE},
    svg::escape,
};
use crate::show::units;

const STYLE: &str = include_str!("style.css");

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
    /// Caches and their colours.
    pub(super) key: Vec<(String, usize)>,
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
    /// Verdicts.
    pub(super) verdicts: Vec<Told>,
    /// What was not seen.
    pub(super) losses: Table,
    /// Sites.
    pub(super) sites: Table,
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
        let mut page = String::new();
        let title = escape(&self.title);
        let _ = write!(
            page,
            "<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\">\
             <meta name=\"viewport\" content=\"width=device-width,initial-scale=1\">\
             <meta name=\"color-scheme\" content=\"light dark\">\
             <title>krcu: {title}</title><style>{STYLE}</style></head><body><main><h1>{title}</h1>"
        );
        page.push_str("<dl class=\"facts\">");
        for (name, value) in &self.facts {
            let _ = write!(page, "<div><dt>{}</dt><dd>{}</dd></div>", escape(name), escape(value));
        }
        page.push_str("</dl>");
        for warning in &self.warnings {
            let _ = write!(page, "<p class=\"note\">{}</p>", escape(warning));
        }
        self.verdicts(&mut page);
        self.pictures(&mut page);
        self.what_if(&mut page);
        if !self.sites.rows.is_empty() {
            page.push_str("<h2>Who queues</h2>");
            self.sites.html(&mut page);
        }
        page.push_str("<h2>What was not seen</h2>");
        if self.losses.rows.is_empty() {
            page.push_str("<p>No event of this trace is known to be missing.</p>");
        } else {
            self.losses.html(&mut page);
        }
        page.push_str("</main></body></html>\n");
        page
    }

    fn verdicts(&self, page: &mut String) {
        page.push_str("<h2>Verdicts</h2>");
        if self.verdicts.is_empty() {
            page.push_str("<p>No cache was destroyed in this trace.</p>");
        }
        for verdict in &self.verdicts {
            let class = match (verdict.is_flagged, verdict.is_open) {
                (true, _) => "verdict bad",
                (false, true) => "verdict open",
                (false, false) => "verdict",
            };
            let (word, cache) = (escape(&verdict.word), escape(&verdict.cache));
            let _ = write!(page, "<div class=\"{class}\"><h3><b>{word}</b> &nbsp;{cache}</h3><dl>");
            for (name, value) in &verdict.evidence {
                let _ = write!(page, "<dt>{}</dt><dd>{}</dd>", escape(name), escape(value));
            }
            page.push_str("</dl></div>");
        }
    }

    fn pictures(&self, page: &mut String) {
        page.push_str("<h2>Outstanding deferred frees</h2>");
        if self.outstanding.lines.is_empty() {
            page.push_str("<p>Nothing was deferred in this trace.</p>");
        } else {
            figure(
                page,
                |size| charts::outstanding(&self.outstanding, size),
                &format!(
                    "Objects handed to kfree_rcu() and not freed, from the first to the last of them; 0 is the moment at which the probes were attached.{}{} A part that is shorter than {} is not shown.",
                    if self.outstanding.destroys.is_empty() {
                        ""
                    } else {
                        " Lines with a dot: destroys, red where flagged."
                    },
                    if self.outstanding.barriers.is_empty() { "" } else { " Bands: barriers." },
                    units::span(part_ns(&self.outstanding)),
                ),
                &self.key,
            );
        }
        if !self.classes.is_empty() {
            page.push_str("<h2>From queueing to free</h2>");
            figure(
                page,
                |size| charts::distribution(&self.classes, size),
                "Objects by the time that their free took; each column is a quarter of a doubling.",
                &self.key,
            );
        }
        page.push_str("<h2>Barrier waits by cause</h2>");
        if self.waits.is_empty() {
            page.push_str("<p>No barrier was seen in this trace.</p>");
        } else {
            figure(
                page,
                |size| charts::bars(&self.waits, "Barrier waits by cause", size),
                "The sum of the waits; bars grow with the logarithm.",
                &[],
            );
        }
    }

    fn what_if(&self, page: &mut String) {
        page.push_str("<h2>What other approaches would have cost</h2>");
        if let Some(reason) = &self.no_approaches {
            let _ = write!(page, "<p>{}</p>", escape(reason));
            return;
        }
        figure(
            page,
            |size| charts::bars(&self.approaches, "Caller wait under each approach", size),
            "How long the destroying tasks would have waited, all together; lighter: how long caches linger after that. Red: memory would have been given back, or a cache given up, with objects outstanding. Bars grow with the logarithm. Simulated by the reference machine from this trace's own measurements.",
            &[],
        );
        let _ = write!(page, "<pre class=\"scroll\"><code>{}</code></pre>", escape_lines(self.below.trim()));
        self.sums.html(page);
    }
}

fn part_ns(shown: &Outstanding) -> u64 {
    u64::try_from((shown.span_ns.1 - shown.span_ns.0) / shown.parts.max(1)).unwrap_or(0)
}

fn escape_lines(text: &str) -> String {
    text.lines().map(escape).collect::<Vec<_>>().join("\n")
}

fn figure(page: &mut String, chart: impl Fn(Size) -> String, caption: &str, key: &[(String, usize)]) {
    let _ = write!(
        page,
        "<figure><div class=\"wide\">{}</div><div class=\"narrow\">{}</div>",
        chart(WIDE),
        chart(NARROW)
    );
    if !key.is_empty() {
        page.push_str("<ul class=\"key\">");
        for (name, colour) in key {
            let swatch = format!(
                "<svg viewBox=\"0 0 12 12\" aria-hidden=\"true\"><rect class=\"c{colour}\" width=\"12\" height=\"12\"/></svg>"
            );
            let _ = write!(page, "<li>{swatch}{}</li>", escape(name));
        }
        page.push_str("</ul>");
    }
    let _ = write!(page, "<figcaption>{}</figcaption></figure>", escape(caption));
}

impl Table {
    fn html(&self, page: &mut String) {
        page.push_str("<div class=\"scroll\"><table><thead><tr>");
        for (name, is_text) in &self.columns {
            let class = if *is_text { " class=\"text\"" } else { "" };
            let _ = write!(page, "<th{class}>{}</th>", escape(name));
        }
        page.push_str("</tr></thead><tbody>");
        for row in &self.rows {
            page.push_str("<tr>");
            for ((cell, is_bad), (_, is_text)) in row.iter().zip(&self.columns) {
                let class = match (is_text, is_bad) {
                    (_, true) => " class=\"bad\"",
                    (true, false) => " class=\"text\"",
                    (false, false) => "",
                };
                let _ = write!(page, "<td{class}>{}</td>", escape(cell));
            }
            page.push_str("</tr>");
        }
        page.push_str("</tbody></table></div>");
    }
}
