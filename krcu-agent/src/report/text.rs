//! Text: a report for people: the verdict first, then the evidence, then what to do.

use std::fmt::Write as _;

use krcu_model::{
    VerdictKind,
    verdict::{About, DestroyedBy},
};
use krcu_report::FlatVerdict;
use krcu_report::words::{self, count, shown, span, wrapped};

use crate::outcome::{Incomplete, Outcome};

pub(super) use krcu_report::words::{clause, objects};

/// The highest number of columns of a line.
const WIDTH: usize = 100;
/// The column in which the name of a cache begins.
const NAME_COLUMN: usize = 14;
/// The column in which the words of the evidence begin.
const EVIDENCE_COLUMN: usize = 28;
/// How many queueing sites of a cache are shown.
const SITES: usize = 3;
/// How many one-line verdicts are shown by name.
const QUIET: usize = 12;

/// The report as text.
#[must_use]
pub fn render(outcome: &Outcome) -> String {
    let mut text = headline(outcome);
    for loss in losses(outcome) {
        let _ = writeln!(text, "      {loss}");
    }
    text.push('\n');
    let (quiet, loud): (Vec<&FlatVerdict>, Vec<&FlatVerdict>) =
        outcome.verdicts.iter().partition(|verdict| is_quiet(outcome, verdict));
    for verdict in loud {
        text += &block(outcome, verdict);
        text.push('\n');
    }
    // Of a module that went in order there is nothing to tell.
    let quiet: Vec<&FlatVerdict> =
        quiet.into_iter().filter(|verdict| verdict.about == About::Cache).collect();
    for verdict in quiet.iter().take(QUIET) {
        text += &title(outcome, verdict);
    }
    if quiet.len() > QUIET {
        let _ = writeln!(text, "{:NAME_COLUMN$}and {} more", "clean", count((quiet.len() - QUIET) as u64));
    }
    text + &conclusion(outcome)
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

/// The word of the verdict; `inconclusive` if it is undecided under this run's policy.
pub(super) fn word(outcome: &Outcome, verdict: &FlatVerdict) -> &'static str {
    if outcome.is_open(verdict) { VerdictKind::Inconclusive.word() } else { verdict.verdict.word() }
}

/// The word, the cache, the clause and the module, on one line. If there is no room, the clause goes below.
fn title(outcome: &Outcome, verdict: &FlatVerdict) -> String {
    let loud = outcome.is_flagged(verdict) || verdict.verdict == VerdictKind::Unordered;
    let word = word(outcome, verdict);
    let word = if loud { word.to_uppercase() } else { word.to_owned() };
    let (head, clause) = (format!("{word:NAME_COLUMN$}{}", verdict.name()), clause(verdict));
    let module = verdict.module.as_deref().unwrap_or_default();
    let one_line = format!("{head}  {clause}");
    // Two blanks stand between the clause and the module.
    if one_line.chars().count() + 2 + module.chars().count() <= WIDTH || clause.is_empty() {
        return with_module(&one_line, module);
    }
    with_module(&head, module) + &below(&" ".repeat(NAME_COLUMN), &clause)
}

/// A line with the module's name at its right edge.
fn with_module(line: &str, module: &str) -> String {
    let (line, module) = (shown(line), shown(module));
    let taken = line.chars().count() + module.chars().count();
    let gap = WIDTH.saturating_sub(taken).max(2);
    format!("{}\n", format!("{line}{:gap$}{module}", "").trim_end())
}

pub(super) fn block(outcome: &Outcome, verdict: &FlatVerdict) -> String {
    let mut text = title(outcome, verdict);
    for (place, note) in verdict.notes.iter().enumerate() {
        text += &evidence(if place == 0 { "why" } else { "" }, note);
    }
    if !verdict.destroyed_by.comm.is_empty() {
        let DestroyedBy { comm, task, .. } = &verdict.destroyed_by;
        let at = span(verdict.destroyed_at_ns);
        let words = format!("{comm}[{task}] {}, {at} into the run", words::destroyed_in(verdict));
        text += &evidence("destroyed by", &words);
    }
    let queued_by = words::queued_by(verdict);
    let has_line = queued_by.is_some();
    if let Some(line) = queued_by {
        text += &evidence("queued by", &line);
    }
    text += &list(if has_line { "" } else { "queued by" }, words::sites(&verdict.sites), "sites");
    let callbacks = verdict.callbacks.iter().map(words::callback).collect();
    text += &list("callbacks", callbacks, "callbacks");
    text += &list("allocated by", words::sites(&verdict.leak_sites), "sites");
    if let Some(line) = words::ordering(verdict) {
        text += &evidence("ordering", &line);
    }
    if let Some(line) = words::kernel(verdict) {
        text += &evidence("the kernel", &line);
    }
    text + &evidence("what to do", &verdict.advice)
}

/// The first of several lines of evidence, and how many more there are.
fn list(label: &str, lines: Vec<String>, noun: &str) -> String {
    let more = lines.len().saturating_sub(SITES);
    let mut text = String::new();
    let more = (more > 0).then(|| format!("and {more} more {noun} (--format json has them)"));
    for (place, line) in lines.into_iter().take(SITES).chain(more).enumerate() {
        text += &evidence(if place == 0 { label } else { "" }, &line);
    }
    text
}

/// One line of evidence. If it is wrapped, the next lines begin in the same column.
fn evidence(label: &str, words: &str) -> String {
    below(&format!("{:NAME_COLUMN$}{label:<width$}", "", width = EVIDENCE_COLUMN - NAME_COLUMN), words)
}

/// Words after `head`. If they are wrapped, the next lines begin in the same column.
fn below(head: &str, words: &str) -> String {
    let indent = " ".repeat(head.chars().count());
    wrapped([head, &indent], &shown(words), WIDTH).join("\n") + "\n"
}

pub(super) fn conclusion(outcome: &Outcome) -> String {
    let mut parts = Vec::new();
    let flagged = |about: About| {
        outcome
            .verdicts
            .iter()
            .filter(|verdict| verdict.about == about && outcome.is_flagged(verdict))
            .count()
    };
    let all = outcome.verdicts.iter().filter(|verdict| verdict.about == About::Cache).count();
    if all == 0 && outcome.losses.destroys > 0 {
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
    if outcome.open() > 0 {
        parts.push(format!("{} inconclusive", outcome.open()));
    }
    if outcome.losses.destroys > 0 {
        parts.push(format!("{} unseen", objects(outcome.losses.destroys, "destroy")));
    }
    let status = outcome.exit_status();
    if status == outcome.command_status && outcome.flagged() == 0 && !outcome.events_cut_short {
        parts.push(format!("exit status {status}, the command's own"));
    } else if outcome.incomplete == Some(Incomplete::NoGoodbye) {
        parts.push(format!("exit status {status} (the command's own is not known)"));
    } else {
        parts.push(format!("exit status {status} (the command's own was {})", outcome.command_status));
    }
    let line = parts.join(" · ");
    if line.chars().count() <= WIDTH {
        return format!("{line}\n");
    }
    // The status is the last part, and has a line of its own where there is no room for it.
    let status = parts.pop().unwrap_or_default();
    format!("{}\n{status}\n", parts.join(" · "))
}
