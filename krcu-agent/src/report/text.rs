//! Text: a report for people: the verdict first, then the evidence, then what to do.

use std::fmt::Write as _;

use anstyle::{AnsiColor, Style};
use krcu_model::{
    VerdictKind,
    verdict::{About, DestroyedBy},
};
use krcu_report::FlatVerdict;
use krcu_report::words::{self, count, shown, span, wrapped};

use super::{
    alike::{self, Group},
    view::{COLUMNS, View},
};
use crate::outcome::{EXIT_INCONCLUSIVE, Incomplete, Outcome};

pub(super) use krcu_report::words::{clause, objects};

/// The column in which the name of a cache begins.
const NAME_COLUMN: usize = 14;
/// The column in which the words of the evidence begin.
const EVIDENCE_COLUMN: usize = 28;
/// How many queueing sites of a cache are shown.
const SITES: usize = 3;
/// How many groups of one-line verdicts are shown by name.
const QUIET: usize = 12;

/// The report as text.
#[must_use]
pub fn render(outcome: &Outcome) -> String {
    render_for(outcome, &View::default())
}

/// The report as text, for this view: what counts comes first.
#[must_use]
pub fn render_for(outcome: &Outcome, view: &View) -> String {
    let page = Page { outcome, columns: view.columns, colour: view.colour };
    let mut text = headline(outcome);
    for loss in losses(outcome) {
        let _ = writeln!(text, "      {loss}");
    }
    // Of a module that went in order there is nothing to tell.
    let is_told = |verdict: &&FlatVerdict| verdict.about == About::Cache || !is_quiet(outcome, verdict);
    let mut told: Vec<&FlatVerdict> = outcome.verdicts.iter().filter(is_told).collect();
    told.sort_by_key(|verdict| rank(outcome, verdict));
    if !told.is_empty() {
        let _ = writeln!(text, "      {}", page.summary(&told));
    }
    text.push('\n');
    if view.flagged {
        told.retain(|verdict| outcome.is_flagged(verdict) || outcome.is_open(verdict));
    }
    let (quiet, loud): (Vec<Group<'_>>, Vec<Group<'_>>) =
        alike::groups(outcome, &told).into_iter().partition(|group| page.is_short(group.most));
    for group in loud {
        text += &page.group(&group);
        text.push('\n');
    }
    for group in quiet.iter().take(QUIET) {
        text += &page.group(group);
    }
    if quiet.len() > QUIET {
        let _ = writeln!(text, "{:NAME_COLUMN$}and {} more", "clean", count((quiet.len() - QUIET) as u64));
    }
    for remark in outcome.known_remarks() {
        let _ = writeln!(text, "{}", shown(&remark));
    }
    text + &page.conclusion()
}

/// What comes before what: faults, races that were won by luck, what is undecided, waits, what is known, the rest.
fn rank(outcome: &Outcome, verdict: &FlatVerdict) -> u8 {
    match verdict.verdict {
        _ if outcome.known(verdict).is_some() => 4,
        _ if outcome.is_flagged(verdict) => 0,
        VerdictKind::Unordered => 1,
        _ if outcome.is_open(verdict) => 2,
        VerdictKind::Waited => 3,
        _ => 5,
    }
}

pub(super) fn headline(outcome: &Outcome) -> String {
    format!(
        "krcu: Linux {} · {} probes · {} events, {} lost · {}\n",
        shown(&outcome.release),
        outcome.probes,
        count(outcome.events),
        count(outcome.losses.total()),
        span(outcome.duration_ns)
    )
}

/// The losses, one line for each reason.
pub(super) fn losses(outcome: &Outcome) -> Vec<String> {
    let mut parts = Vec::new();
    parts.extend(outcome.incomplete.map(|incomplete| incomplete.sentence().to_owned()));
    if outcome.losses.ring_full > 0 {
        parts.push(format!(
            "{} events found the ring full (enlarge it with --ring-bytes)",
            count(outcome.losses.ring_full)
        ));
    }
    if outcome.losses.probe_missed > 0 {
        parts.push(format!(
            "{} runs of a probe were skipped by the kernel",
            count(outcome.losses.probe_missed)
        ));
    }
    if outcome.losses.map_full > 0 {
        parts.push(format!("{} times a map of the probes was full", count(outcome.losses.map_full)));
    }
    if outcome.without_site > 0 {
        parts.push(format!(
            "{} events have no site (make room for more stacks with --stacks)",
            count(outcome.without_site)
        ));
    }
    parts
}

/// Whether a verdict needs one line only.
pub(super) fn is_quiet(outcome: &Outcome, verdict: &FlatVerdict) -> bool {
    matches!(verdict.verdict, VerdictKind::Clean | VerdictKind::Alias | VerdictKind::Repeated)
        && !outcome.is_open(verdict)
}

/// The word as it stands before a name: in capitals if it is a fault, or a race that was won by luck.
fn title_word(outcome: &Outcome, verdict: &FlatVerdict) -> String {
    if outcome.known(verdict).is_some() {
        return "known".to_owned();
    }
    let word = outcome.word(verdict);
    let loud = outcome.is_flagged(verdict) || verdict.verdict == VerdictKind::Unordered;
    if loud { word.to_uppercase() } else { word.to_owned() }
}

pub(super) fn block(outcome: &Outcome, verdict: &FlatVerdict) -> String {
    let page = Page { outcome, columns: COLUMNS, colour: false };
    page.title(verdict) + &page.body(verdict)
}

/// What all lines of a report have in common.
struct Page<'a> {
    outcome: &'a Outcome,
    columns: usize,
    colour: bool,
}

impl Page<'_> {
    /// Whether one line is enough, or two.
    fn is_short(&self, verdict: &FlatVerdict) -> bool {
        is_quiet(self.outcome, verdict) || self.outcome.known(verdict).is_some()
    }

    /// How many verdicts there are of each word.
    fn summary(&self, told: &[&FlatVerdict]) -> String {
        let mut counts: Vec<(String, &FlatVerdict, u64)> = Vec::new();
        for verdict in told {
            let word = title_word(self.outcome, verdict);
            match counts.iter_mut().find(|(known, ..)| *known == word) {
                Some((.., number)) => *number += 1,
                None => counts.push((word, verdict, 1)),
            }
        }
        let part = |(word, verdict, number): &(String, &FlatVerdict, u64)| {
            format!("{} {}", count(*number), self.painted(word, word, verdict))
        };
        counts.iter().map(part).collect::<Vec<_>>().join(" · ")
    }

    /// What is said of verdicts that are alike. Of several, the evidence is that of one.
    fn group(&self, group: &Group<'_>) -> String {
        let verdict = group.most;
        let mut text = if group.number > 1 { self.title_of_group(group) } else { self.title(verdict) };
        if let Some(known) = self.outcome.known(verdict) {
            return text + &self.evidence("until", &format!("{}: {}", known.until, known.reason));
        }
        if self.is_short(verdict) {
            return text;
        }
        if group.number > 1 {
            text += &self.evidence("for example", &format!("{}: {}", verdict.name(), clause(verdict)));
        }
        text + &self.body(verdict)
    }

    fn title_of_group(&self, group: &Group<'_>) -> String {
        let word = title_word(self.outcome, group.most);
        let head = format!("{} × {word}", count(group.number));
        let width = NAME_COLUMN.max(head.chars().count() + 2);
        let range = group.range.as_ref().map_or_else(String::new, |range| format!("{range}: "));
        let line = format!("{head:width$}{range}{}", group.names);
        let module = group.most.module.as_deref().unwrap_or_default();
        let title = if line.chars().count() + 2 + module.chars().count() <= self.columns {
            self.with_module(&line, module)
        } else {
            self.with_module(head.trim_end(), module)
                + &self.below(&" ".repeat(NAME_COLUMN), &format!("{range}{}", group.names))
        };
        self.painted(&title, &word, group.most)
    }

    /// The word, the cache, the clause and the module, on one line. If there is no room, the clause goes below.
    fn title(&self, verdict: &FlatVerdict) -> String {
        let word = title_word(self.outcome, verdict);
        let mut clause = clause(verdict);
        if self.outcome.known(verdict).is_some() {
            clause = format!("{}: {clause}", self.outcome.word(verdict));
        }
        let head = format!("{word:NAME_COLUMN$}{}", verdict.name());
        let module = verdict.module.as_deref().unwrap_or_default();
        let one_line = format!("{head}  {clause}");
        // Two blanks stand between the clause and the module.
        let title =
            if one_line.chars().count() + 2 + module.chars().count() <= self.columns || clause.is_empty() {
                self.with_module(&one_line, module)
            } else {
                self.with_module(&head, module) + &self.below(&" ".repeat(NAME_COLUMN), &clause)
            };
        self.painted(&title, &word, verdict)
    }

    /// The text with the first place of this word in the colour of its verdict, if there are colours.
    fn painted(&self, text: &str, word: &str, verdict: &FlatVerdict) -> String {
        let colour = match rank(self.outcome, verdict) {
            0 => AnsiColor::Red,
            1 | 2 => AnsiColor::Yellow,
            3 | 4 => AnsiColor::Cyan,
            _ => AnsiColor::Green,
        };
        self.in_colour(text, word, colour)
    }

    fn in_colour(&self, text: &str, word: &str, colour: AnsiColor) -> String {
        if !self.colour {
            return text.to_owned();
        }
        let style = Style::new().bold().fg_color(Some(colour.into()));
        text.replacen(word, &format!("{style}{word}{style:#}"), 1)
    }

    /// A line with the module's name at its right edge.
    fn with_module(&self, line: &str, module: &str) -> String {
        let (line, module) = (shown(line), shown(module));
        let taken = line.chars().count() + module.chars().count();
        let gap = self.columns.saturating_sub(taken).max(2);
        format!("{}\n", format!("{line}{:gap$}{module}", "").trim_end())
    }

    /// Everything below the title.
    fn body(&self, verdict: &FlatVerdict) -> String {
        let mut text = String::new();
        if let Some(entry) = self.outcome.entry_of(verdict) {
            let over = if entry.expired { ", which is over" } else { "" };
            text += &self.evidence("known", &format!("until {}{over}: {}", entry.until, entry.reason));
        }
        for (place, note) in verdict.notes.iter().enumerate() {
            text += &self.evidence(if place == 0 { "why" } else { "" }, note);
        }
        if !verdict.destroyed_by.comm.is_empty() {
            let DestroyedBy { comm, task, .. } = &verdict.destroyed_by;
            let at = span(verdict.destroyed_at_ns);
            let words = format!("{comm}[{task}] {}, {at} into the run", words::destroyed_in(verdict));
            text += &self.evidence("destroyed by", &words);
        }
        let queued_by = words::queued_by(verdict);
        let has_line = queued_by.is_some();
        if let Some(line) = queued_by {
            text += &self.evidence("queued by", &line);
        }
        text += &self.list(if has_line { "" } else { "queued by" }, words::sites(&verdict.sites), "sites");
        let callbacks = verdict.callbacks.iter().map(words::callback).collect();
        text += &self.list("callbacks", callbacks, "callbacks");
        text += &self.list("allocated by", words::sites(&verdict.leak_sites), "sites");
        if let Some(line) = words::ordering(verdict) {
            text += &self.evidence("ordering", &line);
        }
        if let Some(line) = words::kernel(verdict) {
            text += &self.evidence("the kernel", &line);
        }
        text + &self.evidence("what to do", &verdict.advice)
    }

    /// The first of several lines of evidence, and how many more there are.
    fn list(&self, label: &str, lines: Vec<String>, noun: &str) -> String {
        let more = lines.len().saturating_sub(SITES);
        let mut text = String::new();
        let more = (more > 0).then(|| format!("and {more} more {noun} (--format json has them)"));
        for (place, line) in lines.into_iter().take(SITES).chain(more).enumerate() {
            text += &self.evidence(if place == 0 { label } else { "" }, &line);
        }
        text
    }

    /// One line of evidence. If it is wrapped, the next lines begin in the same column.
    fn evidence(&self, label: &str, words: &str) -> String {
        let width = EVIDENCE_COLUMN - NAME_COLUMN;
        self.below(&format!("{:NAME_COLUMN$}{label:<width$}", ""), words)
    }

    /// Words after `head`. If they are wrapped, the next lines begin in the same column.
    fn below(&self, head: &str, words: &str) -> String {
        let indent = " ".repeat(head.chars().count());
        wrapped([head, &indent], &shown(words), self.columns).join("\n") + "\n"
    }

    fn conclusion(&self) -> String {
        let text = conclusion_in(self.outcome, self.columns);
        let colour = match self.outcome.exit_status() {
            0 => AnsiColor::Green,
            status if status == EXIT_INCONCLUSIVE => AnsiColor::Yellow,
            _ => AnsiColor::Red,
        };
        let first = text.lines().next().unwrap_or_default().to_owned();
        self.in_colour(&text, &first, colour)
    }
}

pub(super) fn conclusion(outcome: &Outcome) -> String {
    conclusion_in(outcome, COLUMNS)
}

fn conclusion_in(outcome: &Outcome, columns: usize) -> String {
    let mut parts = findings(outcome);
    let status = outcome.exit_status();
    if status == outcome.command_status && !outcome.has_fault() && !outcome.events_cut_short {
        parts.push(format!("exit status {status}, the command's own"));
    } else if outcome.incomplete == Some(Incomplete::NoGoodbye) || outcome.failed.is_some() {
        parts.push(format!("exit status {status} (the command's own is not known)"));
    } else {
        parts.push(format!("exit status {status} (the command's own was {})", outcome.command_status));
    }
    let line = parts.join(" · ");
    if line.chars().count() <= columns {
        return format!("{line}\n");
    }
    // The status is the last part, and has a line of its own where there is no room for it.
    let status = parts.pop().unwrap_or_default();
    format!("{}\n{status}\n", parts.join(" · "))
}

/// What was found, in the parts of a sentence.
fn findings(outcome: &Outcome) -> Vec<String> {
    let mut parts = Vec::new();
    let flagged = |about: About| {
        let is_one = |verdict: &&FlatVerdict| verdict.about == about && outcome.is_flagged(verdict);
        outcome.verdicts.iter().filter(is_one).count()
    };
    let all = outcome.verdicts.iter().filter(|verdict| verdict.about == About::Cache).count();
    if all == 0 && outcome.is_blind() {
        parts.push("no slab cache was seen to be destroyed".to_owned());
    } else if all == 0 {
        parts.push("no slab cache was destroyed".to_owned());
    } else {
        let caches = if all == 1 { "destroyed cache" } else { "destroyed caches" };
        parts.push(format!("{} of {} {caches} flagged", flagged(About::Cache), all));
    }
    let modules = flagged(About::Module);
    if modules > 0 {
        parts.push(format!("{} flagged", objects(modules as u64, "module")));
    }
    for cache in outcome.not_destroyed() {
        let what = if cache.is_empty() { "a cache" } else { cache };
        parts.push(format!("{} was required to be destroyed", shown(what)));
    }
    let known = outcome.verdicts.iter().filter(|verdict| outcome.known(verdict).is_some()).count();
    if known > 0 {
        parts.push(format!("{known} known"));
    }
    if outcome.open() > 0 {
        parts.push(format!("{} inconclusive", outcome.open()));
    }
    if outcome.losses.destroys > 0 {
        parts.push(format!("{} unseen", objects(outcome.losses.destroys, "destroy")));
    }
    parts
}
