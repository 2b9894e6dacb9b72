//! Overview: the most important of everything, on one screen.

use krcu_model::VerdictKind;
use krcu_report::{
    BarrierRow, EventWord, LossRow, Report, SinkState, VerdictRow,
    words::{cache_name, clause, count, objects},
};
use ratatui::{
    layout::Rect,
    text::{Line, Span},
};

use super::{
    Canvas, Theme, barriers, caches,
    text::{brief, bytes, clip, left, narrow, rate, right, short, span_of, width},
    why,
};
use crate::state::{App, Of, Sample, Slices, number};

/// From this width on, the screen has two halves.
const WIDE: u16 = 120;
/// The widths of a verdict's word, of the name of its cache and of its time.
pub(crate) const WORD: usize = 15;
pub(crate) const NAME: usize = 17;
pub(crate) const WHEN: usize = 9;
/// The width of a label.
const LABEL: usize = 13;
/// The widths of a rate, of the highest one, and of a total.
const RATE: usize = 9;
const HIGHEST: usize = 9;
const TOTAL: usize = 11;
/// The width of the words and numbers before a history.
const BEFORE_SPARK: usize = LABEL + RATE + HIGHEST + TOTAL;
/// The most slices of a history: more would be shorter than what a report covers.
const MOST_SLICES: usize = 120;
/// The fewest rows below the verdicts that have room for caches.
const LEAST_CACHES: u16 = 3;

pub(crate) fn draw(canvas: &mut Canvas<'_, '_>, area: Rect, app: &App) {
    let Some(report) = &app.report else { return };
    let theme = *canvas.theme;
    let is_wide = area.width >= WIDE;
    let half = if is_wide { area.width / 2 - 1 } else { area.width };
    let mut lines = events(theme, app, report, half.into());
    lines.push(Line::default());
    lines.extend(state(theme, app, report, half.into()));
    lines.extend(sinks(theme, report, half.into(), is_wide));
    let mut height = u16::try_from(lines.len()).unwrap_or(u16::MAX);
    canvas.lines(Rect { width: half, ..area }, lines);
    if is_wide {
        let right = Rect { x: area.x + half + 2, width: area.width - half - 2, ..area };
        height = height.max(beside(canvas, right, app, report));
    } else {
        let waiting = waiting(theme, report, 1, area.width.into());
        let below = Rect { y: area.y + height, height: area.height.saturating_sub(height), ..area };
        height += u16::try_from(waiting.len()).unwrap_or(0);
        canvas.lines(below, waiting);
    }
    let gap = height + u16::from(height + 4 < area.height);
    let below = Rect { y: area.y + gap, height: area.height.saturating_sub(gap), ..area };
    let used = verdicts(canvas, below, report);
    let rest = Rect { y: below.y + used, height: below.height.saturating_sub(used), ..below };
    if !is_wide && rest.height > LEAST_CACHES {
        top_caches(canvas, Rect { y: rest.y + 1, height: rest.height - 1, ..rest }, app, report);
    }
}

/// The caches with the most outstanding objects, as many as there is room for. Returns the number of rows.
fn top_caches(canvas: &mut Canvas<'_, '_>, area: Rect, app: &App, report: &Report) -> u16 {
    let theme = *canvas.theme;
    let rows: Vec<_> = report.caches.iter().take(area.height.saturating_sub(1).into()).collect();
    if rows.is_empty() {
        return 0;
    }
    let fields = caches::fields(area.width);
    canvas.headings(area, &fields, None);
    let below = Rect { y: area.y + 1, height: area.height.saturating_sub(1), ..area };
    let drawn: Vec<_> = rows.iter().map(|row| caches::row(theme, app, row, &fields)).collect();
    canvas.still(below, &fields, &drawn);
    1 + u16::try_from(rows.len()).unwrap_or(0)
}

/// The histories of everything: where they stand on the screen, and which slices of time they have.
fn history(app: &App, columns: usize) -> (usize, Slices) {
    // Two blanks stand before it.
    let room = columns.saturating_sub(BEFORE_SPARK + 2);
    (room, app.histories.slices(room.min(MOST_SLICES)))
}

/// The axis of the histories: how long ago they begin, and how long a slice is.
fn axis(theme: Theme, slices: Slices) -> String {
    let ago = format!("{} ago", short_span(slices.span_ns()));
    let now = format!("{} each, now", short_span(slices.each_ns));
    let rule = slices.number.saturating_sub(width(&ago) + width(&now) + 2);
    if rule == 0 {
        return right(&now, slices.number);
    }
    format!("{ago} {} {now}", theme.mark('─', '-').to_string().repeat(rule))
}

/// A length of slices, which is a round number: at most one digit behind the point.
fn short_span(ns: u64) -> String {
    const UNITS: [(u64, &str); 5] = [
        (3_600_000_000_000, "h"),
        (60_000_000_000, "min"),
        (1_000_000_000, "s"),
        (1_000_000, "ms"),
        (1_000, "µs"),
    ];
    let Some((unit, name)) = UNITS.iter().find(|(unit, _)| ns >= *unit && ns.is_multiple_of(unit / 10))
    else {
        return brief(ns);
    };
    match ns % unit / (unit / 10) {
        0 => format!("{} {name}", ns / unit),
        tenth => format!("{}.{tenth} {name}", ns / unit),
    }
}

/// Events by kind: a second, in all, and a sparkline.
fn events(theme: Theme, app: &App, report: &Report, columns: usize) -> Vec<Line<'static>> {
    let (room, slices) = history(app, columns);
    let axis = if app.histories.all.is_empty() { String::new() } else { axis(theme, slices) };
    let heading = format!(
        "{:LABEL$}{:>RATE$}{:>HIGHEST$}{:>TOTAL$}  {axis:>room$}",
        "events", "a second", "highest", "in all"
    );
    let mut lines = vec![Line::styled(heading, theme.quiet())];
    let newest = app.histories.newest();
    for (place, word) in EventWord::ALL.into_iter().enumerate().filter(|(_, word)| *word != EventWord::Other)
    {
        let (samples, highest) = sliced(app, slices, Of::Mean, |sample| sample.rates[place]);
        lines.push(Line::from(vec![
            Span::raw(format!("{:LABEL$}", word.word())),
            Span::raw(right(&rate(newest.rates[place]), RATE)),
            Span::styled(right(&rate(highest), HIGHEST), theme.quiet()),
            Span::raw(right(&narrow(report.events.of(word), TOTAL - 1), TOTAL)),
            Span::styled(format!("  {}", theme.spark(samples.into_iter(), room)), theme.good()),
        ]));
    }
    lines
}

/// A history in slices, and its highest one.
fn sliced(app: &App, slices: Slices, how: Of, number: impl Fn(&Sample) -> f64) -> (Vec<f64>, f64) {
    let sliced = app.histories.all.sliced(slices, how, number);
    let samples: Vec<f64> = sliced.into_iter().map(Option::unwrap_or_default).collect();
    let highest = samples.iter().copied().fold(0.0, f64::max);
    (samples, highest)
}

/// Outstanding objects, the filling of the ring, and losses.
fn state(theme: Theme, app: &App, report: &Report, columns: usize) -> Vec<Line<'static>> {
    let (room, slices) = history(app, columns);
    let label = |word: &str| Span::raw(format!("{word:LABEL$}"));
    let (outstanding, highest) = sliced(app, slices, Of::Largest, |sample| number(sample.outstanding));
    let size = report.outstanding_bytes.filter(|_| report.outstanding > 0).map_or_else(String::new, bytes);
    let age =
        report.oldest_age_ns.map_or_else(String::new, |age| format!(", the oldest free {}", span_of(age)));
    let callbacks = match report.callbacks_waiting {
        Some(0) => "none waits".to_owned(),
        Some(1) => "1 waits".to_owned(),
        Some(waiting) => format!("{} wait", count(waiting)),
        None => "not seen when they run".to_owned(),
    };
    let mut lines = vec![
        Line::from(vec![
            label("outstanding"),
            Span::styled(right(&narrow(report.outstanding, RATE), RATE), theme.bold()),
            Span::styled(right(&rate(highest), HIGHEST), theme.quiet()),
            Span::raw(right(&size, TOTAL)),
            Span::styled(format!("  {}", theme.spark(outstanding.into_iter(), room)), theme.good()),
        ]),
        Line::from(vec![label("callbacks"), Span::raw(format!("{callbacks}{age}"))]),
    ];
    if let Some(ring) = report.ring {
        let hundredths = ring.used_bytes.saturating_mul(100) / ring.bytes.max(1);
        let style = if hundredths >= 80 { theme.bad() } else { theme.plain() };
        let full = usize::try_from(hundredths / 5).unwrap_or(20).min(20);
        let bar = |mark: char, columns| mark.to_string().repeat(columns);
        lines.push(Line::from(vec![
            label("ring"),
            Span::styled(bar(theme.mark('█', '#'), full), style),
            Span::styled(bar(theme.mark('░', '.'), 20 - full), theme.quiet()),
            Span::styled(format!("  {hundredths} % of {}", bytes(ring.bytes)), style),
        ]));
    }
    lines.push(Line::from(
        [vec![label("lost")], losses(theme, report, columns.saturating_sub(LABEL))].concat(),
    ));
    if report.without_site > 0 {
        // These are counted and judged as usual: nothing is lost.
        let words = format!("of {}: no room for their stacks", objects(report.without_site, "event"));
        lines
            .push(Line::from(vec![label("no site"), Span::raw(clip(&words, columns.saturating_sub(LABEL)))]));
    }
    if let Some(accounts) = report.accounts {
        let words = format!(
            "{} = {} delivered + {} filtered + {} lost",
            short(accounts.seen),
            short(accounts.delivered),
            short(accounts.filtered),
            short(accounts.lost)
        );
        lines.push(Line::from(vec![label("seen"), Span::raw(clip(&words, columns.saturating_sub(LABEL)))]));
    }
    lines
}

/// Losses, by reason: in red, and in words.
fn losses(theme: Theme, report: &Report, columns: usize) -> Vec<Span<'static>> {
    let LossRow { counted: losses, not_in_trace, last_at_ns } = report.losses;
    let mut parts = Vec::new();
    for (number, what) in [
        (losses.ring_full, "ring full"),
        (losses.probe_missed, "probe missed"),
        (losses.map_full, "map full"),
    ] {
        parts.extend((number > 0).then(|| format!("{} {what}", count(number))));
    }
    if losses.destroys > 0 {
        parts.push(format!("{} unseen", objects(losses.destroys, "destroy")));
    }
    if not_in_trace {
        parts.push("the trace ends before its run".to_owned());
    }
    if parts.is_empty() {
        return vec![Span::raw("nothing")];
    }
    let ago = last_at_ns.map(|at| format!(" · {} ago", span_of(report.at_ns.saturating_sub(at))));
    let how_many = if losses.total() > 0 { format!("{} ", count(losses.total())) } else { String::new() };
    let words = format!("{how_many}LOST: {}{}", parts.join(", "), ago.unwrap_or_default());
    vec![Span::styled(clip(&words, columns), theme.bad())]
}

/// The sinks of the agent; on a narrow screen, only those that miss something.
fn sinks(theme: Theme, report: &Report, columns: usize, all: bool) -> Vec<Line<'static>> {
    let mut lines = Vec::new();
    let shown =
        report.sinks.iter().filter(|sink| all || sink.state != SinkState::Working || sink.why.is_some());
    for (place, sink) in shown.enumerate() {
        let (word, style) = match sink.state {
            SinkState::Working => ("works", theme.plain()),
            SinkState::Slow => ("SLOW", theme.doubtful()),
            SinkState::Failed => ("FAILED", theme.bad()),
        };
        let mut words = word.to_owned();
        if sink.dropped > 0 {
            words += &format!(", {} dropped", count(sink.dropped));
        }
        if let Some(why) = &sink.why {
            words += &format!(": {why}");
        }
        let label = if place == 0 { "sinks" } else { "" };
        let name = format!("{label:LABEL$}{:<10}", clip(&sink.name, 9));
        let room = columns.saturating_sub(width(&name));
        lines.push(Line::from(vec![Span::raw(name), Span::styled(clip(&words, room), style)]));
    }
    lines
}

/// The tasks that wait, one line each.
fn waiting(theme: Theme, report: &Report, most: usize, columns: usize) -> Vec<Line<'static>> {
    // If a task waits in a barrier inside of another, only the outer one is shown.
    let rows = report.barriers_running.iter().enumerate();
    let is_outermost = |(place, row): &(usize, &BarrierRow)| {
        report.barriers_running[..*place].iter().all(|before| before.call.task != row.call.task)
    };
    let running: Vec<&BarrierRow> = rows.filter(is_outermost).map(|(_, row)| row).collect();
    if running.is_empty() {
        return vec![Line::from(format!("{:LABEL$}nobody", "waiting"))];
    }
    let line = |(place, row): (usize, &BarrierRow)| {
        let label = if place == 0 { "waiting" } else { "" };
        let words = clip(&barriers::sentence(row), columns.saturating_sub(LABEL));
        Line::from(vec![Span::raw(format!("{label:LABEL$}")), Span::styled(words, theme.bold())])
    };
    let mut lines: Vec<Line<'static>> = running.iter().copied().enumerate().take(most).map(line).collect();
    if let Some(words) = running.first().and_then(|row| why::in_short(row)) {
        let words = clip(&words, columns.saturating_sub(LABEL));
        lines.insert(1, Line::styled(format!("{:LABEL$}{words}", ""), theme.quiet()));
    }
    if running.len() > most {
        let more = barriers::more(report, running.len() - most);
        lines.push(Line::styled(format!("{:LABEL$}{more}", ""), theme.quiet()));
    }
    lines
}

/// On a wide screen, beside the numbers: the tasks that wait, and the most important caches. Returns the
/// number of rows.
fn beside(canvas: &mut Canvas<'_, '_>, area: Rect, app: &App, report: &Report) -> u16 {
    let theme = *canvas.theme;
    let mut lines = waiting(theme, report, 3, area.width.into());
    lines.push(Line::default());
    let above = u16::try_from(lines.len()).unwrap_or(0);
    canvas.lines(area, lines);
    // The verdicts have the lower half of the screen.
    let room = (area.height / 2).saturating_sub(above);
    above + top_caches(canvas, Rect { y: area.y + above, height: room, ..area }, app, report)
}

/// The number of verdicts of each word, and the last ones. Returns the number of rows.
fn verdicts(canvas: &mut Canvas<'_, '_>, area: Rect, report: &Report) -> u16 {
    let theme = *canvas.theme;
    let mut counts: Vec<(VerdictKind, u64)> =
        report.verdict_counts.iter().map(|(kind, count)| (*kind, *count)).collect();
    counts.sort_by_key(|(kind, _)| std::cmp::Reverse(kind.is_flagged()));
    let mut spans = vec![Span::styled(format!("{:LABEL$}", "verdicts"), theme.quiet())];
    for (place, (kind, number)) in counts.iter().enumerate() {
        let style = if kind.is_flagged() { theme.bad() } else { theme.plain() };
        spans.push(Span::raw(if place == 0 { "" } else { " · " }));
        spans.push(Span::styled(format!("{} {}", count(*number), kind.word()), style));
    }
    if counts.is_empty() {
        spans.push(Span::styled("no slab cache was destroyed yet", theme.quiet()));
    }
    let mut lines = vec![Line::from(spans)];
    let last = report.verdicts.iter().map(|row| verdict(theme, row, area.width.into()));
    lines.extend(last);
    let used = u16::try_from(lines.len()).unwrap_or(u16::MAX);
    canvas.lines(area, lines);
    used
}

/// One verdict on one line.
pub(crate) fn verdict(theme: Theme, row: &VerdictRow, columns: usize) -> Line<'static> {
    let verdict = &row.verdict;
    let (mark, word, style) = theme.verdict(verdict);
    // An accusation of the kernel is not about a destroy, and an agent may not say when it was found.
    let has_time = row.destroy.is_some() || row.at_ns > 0;
    let when = right(&if has_time { brief(row.at_ns) } else { String::new() }, WHEN);
    let head = format!("{mark} {word:<WORD$} ");
    let room = columns.saturating_sub(width(&head) + NAME + 2 + width(&when));
    Line::from(vec![
        Span::styled(head, style),
        Span::raw(format!("{} ", left(&cache_name(&verdict.cache), NAME))),
        Span::raw(format!("{} ", left(&clause(verdict), room))),
        Span::styled(when, theme.quiet()),
    ])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lengths_of_slices_are_told_in_the_largest_unit_with_one_digit() {
        const MS: u64 = 1_000_000;
        for (ms, expected) in [
            (170, "170 ms"),
            (1_700, "1.7 s"),
            (36_000, "36 s"),
            (60_000, "1 min"),
            (90_000, "1.5 min"),
            (5_400_000, "1.5 h"),
        ] {
            assert_eq!(short_span(ms * MS), expected);
        }
        assert_eq!(short_span(5), "5 ns");
    }

    #[test]
    fn the_axis_is_as_wide_as_its_slices() {
        let theme = Theme::new(true, true);
        for number in [20, 36, 120] {
            let slices = Slices { number, each_ns: 50_000_000, end_ns: 0 };
            assert_eq!(width(&axis(theme, slices)), number);
        }
    }
}
