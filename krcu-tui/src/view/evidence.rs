//! Evidence: what one verdict is based on, with its stacks and a timeline.

use krcu_model::verdict::SiteCount;
use krcu_report::{
    FlatVerdict, VerdictRow,
    words::{
        cache_name, callback, clause, count, destroyed_in, kernel, objects, ordering, queued_by, site, sites,
    },
};
use ratatui::text::{Line, Span};

use super::{
    Theme,
    text::{brief, clip, evidence, right, span_of},
};

/// The number of sites that are shown without their stacks.
const FEW: usize = 3;

/// All of the evidence; with whole stacks if it fills the screen.
pub(crate) fn lines(theme: Theme, row: &VerdictRow, columns: usize, is_whole: bool) -> Vec<Line<'static>> {
    let verdict = &row.verdict;
    let mut lines = title(theme, row, columns);
    let mut tell = |label: &str, words: &str| lines.extend(evidence(theme, label, words, columns));
    for (place, note) in verdict.notes.iter().enumerate() {
        tell(if place == 0 { "why" } else { "" }, note);
    }
    let by = &verdict.destroyed_by;
    if !by.comm.is_empty() {
        let (place, at) = (destroyed_in(verdict), span_of(verdict.destroyed_at_ns));
        tell("destroyed by", &format!("{}[{}] {place}, {at} into the run", by.comm, by.task));
        if is_whole {
            by.stack.iter().skip(1).for_each(|frame| tell("", &format!("← {frame}")));
        }
    }
    if let Some(words) = queued_by(verdict) {
        tell("queued by", &words);
    }
    tell_sites(&mut tell, "", &verdict.sites, is_whole);
    for (place, one) in verdict.callbacks.iter().enumerate() {
        tell(if place == 0 { "callbacks" } else { "" }, &callback(one));
    }
    tell_sites(&mut tell, "allocated by", &verdict.leak_sites, is_whole);
    if let Some(words) = ordering(verdict) {
        tell("ordering", &words);
    }
    if let Some(words) = kernel(verdict) {
        tell("the kernel", &words);
    }
    if !verdict.advice.is_empty() {
        tell("what to do", &verdict.advice);
    }
    lines.extend(timeline(theme, verdict, columns));
    lines
}

/// The word, the cache, its module, and the clause.
fn title(theme: Theme, row: &VerdictRow, columns: usize) -> Vec<Line<'static>> {
    let verdict = &row.verdict;
    let (mark, word, style) = theme.verdict(verdict);
    let module = verdict.module.as_ref().map_or_else(String::new, |module| format!(" of {module}"));
    let open = if row.settled { "" } else { "  (may still change)" };
    let size = format!(", {} bytes an object", count(verdict.object_bytes.into()));
    let size = if verdict.object_bytes > 0 { size } else { String::new() };
    let head = format!("{mark} {word}  ");
    let room = columns.saturating_sub(head.chars().count());
    let about = clip(&format!("{}{module}{size}{open}", cache_name(&verdict.cache)), room);
    let mut lines = vec![Line::from(vec![Span::styled(head, style), Span::styled(about, theme.bold())])];
    let clause = clause(verdict);
    if !clause.is_empty() {
        lines.extend(evidence(theme, "", &clause, columns));
    }
    lines
}

fn tell_sites(tell: &mut dyn FnMut(&str, &str), label: &str, of: &[SiteCount], is_whole: bool) {
    if is_whole {
        for (place, one) in of.iter().enumerate() {
            let first = one.stack.first().map_or("an unknown place", String::as_str);
            tell(if place == 0 { label } else { "" }, &site(one.objects, &[first.to_owned()]));
            one.stack.iter().skip(1).for_each(|frame| tell("", &format!("← {frame}")));
        }
        return;
    }
    let lines = sites(of);
    for (place, line) in lines.iter().take(FEW).enumerate() {
        tell(if place == 0 { label } else { "" }, line);
    }
    if lines.len() > FEW {
        tell("", &format!("and {} more (Enter)", objects((lines.len() - FEW) as u64, "site")));
    }
}

/// What happened and when, from the entry of the destroy on: nanoseconds, and words.
pub(crate) fn moments(verdict: &FlatVerdict) -> Vec<(i128, &'static str)> {
    if verdict.destroyed_by.comm.is_empty() {
        return Vec::new();
    }
    let look = verdict.wait_ns.map(i128::from);
    let at_look = look.unwrap_or(0);
    let mut moments = vec![(0, "the destroy is entered")];
    let mut add = |at: Option<i128>, what| moments.extend(at.map(|at| (at, what)));
    add(look, "it looks at its slabs");
    add(verdict.oldest_age_ns.map(|age| at_look - i128::from(age)), "the oldest one is queued");
    add(verdict.margin_ns.map(|margin| at_look - i128::from(margin)), "the last free lands");
    add(verdict.rcu_barrier_before_ns.map(|before| -i128::from(before)), "its rcu_barrier() returns");
    add(verdict.last_late_free_ns.map(|after| at_look + i128::from(after)), "the last late free lands");
    moments.sort_by_key(|(at, _)| *at);
    moments
}

/// The same as a picture: one line for each moment, with a mark between the first and the last.
fn timeline(theme: Theme, verdict: &FlatVerdict, columns: usize) -> Vec<Line<'static>> {
    /// The width before the picture: the label and a time.
    const BEFORE: usize = 14 + 10 + 2;
    /// The width of the longest words.
    const WORDS: usize = 26;
    let moments = moments(verdict);
    let (Some(first), Some(last)) = (moments.first(), moments.last()) else { return Vec::new() };
    let track = columns.saturating_sub(BEFORE + WORDS + 2).clamp(8, 60);
    let length = (last.0 - first.0).max(1);
    let line = |(number, (at, what)): (usize, &(i128, &'static str))| {
        let place = usize::try_from((at - first.0) * (track as i128 - 1) / length).unwrap_or(0);
        let (rule, dot) = (theme.mark('─', '-'), theme.mark('●', 'o'));
        let rules = |columns: usize| rule.to_string().repeat(columns);
        let sign = if *at < 0 {
            "-"
        } else if *at > 0 {
            "+"
        } else {
            ""
        };
        let at = brief(u64::try_from(at.unsigned_abs()).unwrap_or(u64::MAX));
        let label = if number == 0 { "timeline" } else { "" };
        let room = columns.saturating_sub(BEFORE + track + 1);
        Line::from(vec![
            Span::styled(format!("{label:14}"), theme.quiet()),
            Span::raw(format!("{}  ", right(&format!("{sign}{at}"), 10))),
            Span::styled(rules(place), theme.quiet()),
            Span::styled(dot.to_string(), theme.bold()),
            Span::styled(rules(track - 1 - place), theme.quiet()),
            Span::raw(format!(" {}", clip(what, room))),
        ])
    };
    moments.iter().enumerate().map(line).collect()
}
