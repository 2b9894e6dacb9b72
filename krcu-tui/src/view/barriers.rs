//! Barriers: which tasks wait in one and for what, and how long others have waited.

use krcu_report::{
    BarrierCall, BarrierRow, Bounds, FinishedBarrier, Histogram, Report, WaitKind,
    words::{cache_name, count, objects},
};
use ratatui::{
    layout::Rect,
    text::{Line, Span},
};

use super::{
    Canvas, Theme,
    table::{Field, Row, rest, whole},
    text::{brief, bytes, evidence, left, narrow, right, span_of},
    why,
};
use crate::state::{App, Column, number};

/// The width of the longest function's name.
const FUNCTION: usize = 27;
/// The same on a narrow screen.
const LEAST_FUNCTION: usize = 19;
/// The smallest width of a cache's name.
const LEAST_CACHE: usize = 8;
/// The width of one bucket.
const BUCKET: usize = 2;
/// Below this width the buckets are not drawn: without the longest waits they would be misleading.
const BARS: u16 = 78;
/// The labels of the axis, each with the bucket that it begins above.
const LABELS: [(usize, &str); 6] =
    [(0, ".1ms"), (4, "10ms"), (7, "100ms"), (10, "1s"), (13, "10s"), (16, ">")];
/// From this width on, the mean is shown as well.
const WIDE: u16 = 100;

pub(crate) fn draw(canvas: &mut Canvas<'_, '_>, area: Rect, app: &App) {
    let Some(report) = &app.report else { return };
    let theme = *canvas.theme;
    let used = running(canvas, area, report);
    let used = used + why_lines(canvas, below(area, used), report);
    let used = used + histogram(canvas, below(area, used), report);
    let fields = fields(area.width);
    let table = below(area, used);
    if report.barriers_finished.is_empty() {
        canvas.line(table, 0, Line::styled("no task has waited yet", theme.quiet()));
        return;
    }
    let order = app.sift().order;
    canvas.headings(table, &fields, Some((order.column, order.is_reversed)));
    let finished = |row| finished(theme, report, row, &fields);
    let rows: Vec<Row> = app.barrier_rows().into_iter().map(finished).collect();
    canvas.rows(below(table, 1), &fields, &rows, app.barriers);
}

fn below(area: Rect, rows: u16) -> Rect {
    Rect { y: area.y + rows.min(area.height), height: area.height.saturating_sub(rows), ..area }
}

/// Draws the barriers with waiting tasks, with bars for what they still wait for. Returns the number of rows.
fn running(canvas: &mut Canvas<'_, '_>, area: Rect, report: &Report) -> u16 {
    let theme = *canvas.theme;
    if report.barriers_running.is_empty() {
        canvas.line(area, 0, Line::styled("no task waits in a barrier or a destroy", theme.quiet()));
        return 2;
    }
    let fields = running_fields(area.width);
    // Leaves some lines for the history below.
    let most = usize::from(area.height / 3).max(1);
    let rows: Vec<Row> = report
        .barriers_running
        .iter()
        .take(most)
        .map(|row| {
            let doubt = if row.end_may_be_unseen { "?" } else { "" };
            let mut cells = vec![
                function(&row.call),
                who(&row.call),
                format!("{}{doubt}", brief(row.since_ns)),
                narrow(row.own_outstanding, 6),
                narrow(row.other_outstanding, 6),
            ];
            let has_bytes = fields.iter().any(|field| field.heading == "bytes");
            // An older agent does not say how many.
            let size = Some(row.waits_for.bytes).filter(|bytes| *bytes > 0);
            cells.extend(has_bytes.then(|| size.map_or_else(String::new, bytes)));
            cells.push(row.call.cache.as_deref().map(cache_name).unwrap_or_default().into_owned());
            Row::plain(cells, theme.bold())
        })
        .collect();
    canvas.headings(area, &fields, None);
    canvas.still(below(area, 1), &fields, &rows);
    let mut used = 1 + u16::try_from(rows.len()).unwrap_or(0);
    if report.barriers_running.len() > rows.len() {
        let words = more(report, report.barriers_running.len() - rows.len());
        canvas.line(below(area, used), 0, Line::styled(words, theme.quiet()));
        used += 1;
    }
    used + 1
}

/// Draws why the task waits that waits the longest, and how the grace periods are. Returns the number of rows.
fn why_lines(canvas: &mut Canvas<'_, '_>, area: Rect, report: &Report) -> u16 {
    let theme = *canvas.theme;
    let Some(words) = report.barriers_running.iter().map(why::why).find(|words| !words.is_empty()) else {
        return 0;
    };
    let told = |label, words: &str| evidence(theme, label, words, area.width.into());
    let grace = report.grace.as_ref().map(why::grace);
    let grace = grace.map_or_else(Vec::new, |words| told("grace periods", &words));
    let mut lines = told("why", &words);
    // Leaves the other half for those that are over.
    lines.truncate(usize::from(area.height / 2).saturating_sub(grace.len()));
    lines.extend(grace);
    let used = u16::try_from(lines.len()).unwrap_or(0);
    canvas.lines(area, lines);
    used + u16::from(used > 0)
}

/// How many more barriers have waiting tasks; "at least" if the report does not list all.
pub(crate) fn more(report: &Report, besides: usize) -> String {
    let bounds = [Bounds::OVERVIEW.barriers, Bounds::ALL.barriers];
    let is_cut = bounds.contains(&report.barriers_running.len());
    format!("and {}{besides} more", if is_cut { "at least " } else { "" })
}

/// A barrier with a waiting task, as a sentence.
pub(crate) fn sentence(row: &BarrierRow) -> String {
    let (own, others) = (row.own_outstanding, row.other_outstanding);
    let still = match row.call.cache.as_deref().map(cache_name) {
        Some(cache) if others > 0 => format!("{} of {cache}, {} of others", count(own), count(others)),
        Some(cache) => format!("{} of {cache}", count(own)),
        None => objects(
            own + others,
            if row.call.kind == WaitKind::RcuBarrier { "callback" } else { "deferred free" },
        ),
    };
    let doubt = if row.end_may_be_unseen { "; its end may be lost" } else { "" };
    let (who, function) = (who(&row.call), row.call.kind.function());
    format!("{who}, {} in {function}(): {still}{doubt}", span_of(row.since_ns))
}

/// How long waits took, one line for each kind. Returns the number of rows.
fn histogram(canvas: &mut Canvas<'_, '_>, area: Rect, report: &Report) -> u16 {
    let theme = *canvas.theme;
    if report.waits.is_empty() {
        return 0;
    }
    let is_wide = area.width >= WIDE;
    let mut heading = format!("{:FUNCTION$} {:>6} ", "waits by their length", "waits");
    if is_wide {
        heading += &format!("{:>9} ", "mean");
    }
    heading += &format!("{:>8}  ", "longest");
    let axis = if area.width < BARS { String::new() } else { axis() };
    canvas.line(area, 0, Line::styled(format!("{heading}{axis}"), theme.quiet()));
    let kinds = WaitKind::ALL.into_iter().filter_map(|kind| Some((kind, report.waits.get(&kind)?)));
    let mut used = 1;
    for (kind, histogram) in kinds {
        canvas.line(area, used, waits(theme, kind, histogram, area.width));
        used += 1;
    }
    used + 1
}

fn waits(theme: Theme, kind: WaitKind, histogram: &Histogram, columns: u16) -> Line<'static> {
    let mut head = format!("{} {:>6} ", left(kind.function(), FUNCTION), narrow(histogram.count, 6));
    if columns >= WIDE {
        head += &format!("{} ", right(&brief(histogram.sum_ns / histogram.count.max(1)), 9));
    }
    head += &format!("{}  ", right(&brief(histogram.longest_ns), 8));
    if columns < BARS {
        return Line::raw(head);
    }
    let counts = histogram.counts();
    // Each bar is drawn twice, so that it is as wide as its label.
    let doubled = counts.iter().flat_map(|count| [number(*count); BUCKET]);
    let bars = theme.spark(doubled.collect::<Vec<f64>>().into_iter(), counts.len() * BUCKET);
    Line::from(vec![Span::raw(head), Span::styled(bars, theme.good())])
}

/// The labels of the buckets, each above its bucket.
fn axis() -> String {
    let mut axis = String::new();
    for (bucket, label) in LABELS {
        axis = format!("{axis:<columns$}{label}", columns = bucket * BUCKET);
    }
    axis
}

/// The columns for barriers with waiting tasks.
pub(crate) fn running_fields(columns: u16) -> Vec<Field> {
    let mut fields = vec![
        Field::text("waits now in", FUNCTION).least(LEAST_FUNCTION),
        Field::text("who", 14),
        Field::number("for", 8),
        Field::number("own", 6),
        Field::number("others", 6),
    ];
    if columns >= WIDE {
        fields.push(Field::number("bytes", 9));
    }
    let left = rest(columns, &fields);
    if left >= LEAST_CACHE {
        fields.push(Field::text("cache", left));
    }
    whole(columns, fields)
}

/// The columns for barriers that are over.
pub(crate) fn fields(columns: u16) -> Vec<Field> {
    let mut fields = vec![
        Field::number("ago", 9).least(8).sorts(Column::Given),
        Field::text("waited in", FUNCTION).least(LEAST_FUNCTION).sorts(Column::Function),
        Field::number("for", 9).least(8).sorts(Column::Wait),
        Field::number("met", 9).least(7).sorts(Column::Met),
        Field::text("who", 16).least(12).sorts(Column::Who),
    ];
    let left = rest(columns, &fields);
    if left >= LEAST_CACHE {
        fields.push(Field::text("cache", left));
    } else if let Some(who) = fields.last_mut() {
        who.columns = who.columns.saturating_add(left);
    }
    whole(columns, fields)
}

fn finished(theme: Theme, report: &Report, row: &FinishedBarrier, fields: &[Field]) -> Row {
    let ago = report.at_ns.saturating_sub(row.call.began_ns.saturating_add(row.wait_ns));
    let met = fields.iter().find(|field| field.heading == "met").map_or(0, |field| field.columns);
    let cells = vec![
        brief(ago),
        function(&row.call),
        brief(row.wait_ns),
        narrow(row.at_begin, met),
        who(&row.call),
        row.call.cache.as_deref().map(cache_name).unwrap_or_default().into_owned(),
    ];
    Row::plain(cells, theme.plain())
}

/// The function, indented if it is inside a destroy.
fn function(call: &BarrierCall) -> String {
    let function = call.kind.function();
    if call.inside_destroy { format!(" {function}") } else { function.to_owned() }
}

fn who(call: &BarrierCall) -> String {
    let task = call.task;
    call.comm.as_ref().map_or_else(|| format!("task {task}"), |comm| format!("{comm}[{task}]"))
}

#[cfg(test)]
mod tests {
    use krcu_report::BOUNDS_NS;

    use super::*;

    #[test]
    fn each_label_of_the_axis_stands_at_its_bucket() {
        let axis = axis();
        for (label, bound_ns) in [
            (".1ms", 100_000),
            ("10ms", 10_000_000),
            ("100ms", 100_000_000),
            ("1s", 1_000_000_000),
            ("10s", 10_000_000_000),
        ] {
            let bucket = BOUNDS_NS.iter().position(|bound| *bound == bound_ns).unwrap();
            assert_eq!(axis.get(bucket * BUCKET..bucket * BUCKET + label.len()), Some(label), "{axis}");
        }
        assert!(axis.len() <= (BOUNDS_NS.len() + 1) * BUCKET);
    }
}
