//! Barriers: who waits in one and for what, and how long others have.

use krcu_model::{
    report::{BarrierRow, FinishedBarrier, Histogram, Report, WaitKind},
    words::{count, objects},
};
use ratatui::{
    layout::Rect,
    text::{Line, Span},
};

use super::{
    Canvas, Theme,
    table::{Field, Row, rest},
    text::{left, right, short, span_of},
};
use crate::state::{App, number};

/// Columns of the longest function's name.
const FUNCTION: usize = 27;
/// Columns of one bucket.
const BUCKET: usize = 2;
/// Labels of the axis, and the buckets above which they begin.
const LABELS: [(usize, &str); 6] =
    [(0, ".1ms"), (4, "10ms"), (7, "100ms"), (10, "1s"), (13, "10s"), (16, ">")];
/// Columns from which on the mean is there as well.
const WIDE: u16 = 100;

pub(crate) fn draw(canvas: &mut Canvas<'_, '_>, area: Rect, app: &mut App) {
    let Some(report) = &app.report else { return };
    let theme = *canvas.theme;
    let used = running(canvas, area, report);
    let used = used + histogram(canvas, below(area, used), report);
    let fields = fields(area.width);
    let table = below(area, used);
    if report.barriers_finished.is_empty() {
        canvas.line(table, 0, Line::styled("nobody has waited yet", theme.quiet()));
        return;
    }
    canvas.headings(table, &fields, None);
    let rows: Vec<Row> = report.barriers_finished.iter().map(|row| finished(theme, report, row)).collect();
    let mut list = app.barriers;
    canvas.rows(below(table, 1), &fields, &rows, &mut list);
    app.barriers = list;
}

fn below(area: Rect, rows: u16) -> Rect {
    Rect { y: area.y + rows.min(area.height), height: area.height.saturating_sub(rows), ..area }
}

/// Those that somebody waits in, with bars of what they still wait for; gives the rows that it took.
fn running(canvas: &mut Canvas<'_, '_>, area: Rect, report: &Report) -> u16 {
    let theme = *canvas.theme;
    if report.barriers_running.is_empty() {
        canvas.line(area, 0, Line::styled("nobody waits in a barrier or a destroy", theme.quiet()));
        return 2;
    }
    let mut fields = vec![
        Field::text("waits now in", FUNCTION),
        Field::text("who", 14),
        Field::number("for", 8),
        Field::number("own", 6),
        Field::number("others", 6),
    ];
    fields.push(Field::text("cache", rest(area.width, &fields)));
    // The history below has room for some lines, too.
    let most = usize::from(area.height / 3).max(1);
    let rows: Vec<Row> = report
        .barriers_running
        .iter()
        .take(most)
        .map(|row| {
            let name = if row.inside_destroy {
                format!(" {}", row.kind.function())
            } else {
                row.kind.function().to_owned()
            };
            let doubt = if row.end_may_be_unseen { "?" } else { "" };
            let cells = vec![
                name,
                who(row.comm.as_deref(), row.task),
                format!("{}{doubt}", span_of(row.since_ns)),
                short(row.own_outstanding),
                short(row.other_outstanding),
                row.cache.clone().unwrap_or_default(),
            ];
            Row::plain(cells, theme.bold())
        })
        .collect();
    canvas.headings(area, &fields, None);
    canvas.still(below(area, 1), &fields, &rows);
    let mut used = 1 + u16::try_from(rows.len()).unwrap_or(0);
    if report.barriers_running.len() > rows.len() {
        let words = format!("and {} more", report.barriers_running.len() - rows.len());
        canvas.line(below(area, used), 0, Line::styled(words, theme.quiet()));
        used += 1;
    }
    used + 1
}

/// One that somebody waits in, as a sentence.
pub(crate) fn sentence(row: &BarrierRow) -> String {
    let (own, others) = (row.own_outstanding, row.other_outstanding);
    let still = match &row.cache {
        Some(cache) if others > 0 => format!("{} of {cache}, {} of others", count(own), count(others)),
        Some(cache) => format!("{} of {cache}", count(own)),
        None => {
            objects(own + others, if row.kind == WaitKind::RcuBarrier { "callback" } else { "deferred free" })
        }
    };
    let doubt = if row.end_may_be_unseen { "; its end may be lost" } else { "" };
    let (who, function) = (who(row.comm.as_deref(), row.task), row.kind.function());
    format!("{who}, {} in {function}(): {still}{doubt}", span_of(row.since_ns))
}

/// How long waits took, a line for each kind; gives the rows that it took.
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
    let axis = axis();
    canvas.line(area, 0, Line::styled(format!("{heading}{axis}"), theme.quiet()));
    let kinds = WaitKind::ALL.into_iter().filter_map(|kind| Some((kind, report.waits.get(&kind)?)));
    let mut used = 1;
    for (kind, histogram) in kinds {
        canvas.line(area, used, waits(theme, kind, histogram, is_wide));
        used += 1;
    }
    used + 1
}

fn waits(theme: Theme, kind: WaitKind, histogram: &Histogram, is_wide: bool) -> Line<'static> {
    let mut head = format!("{} {:>6} ", left(kind.function(), FUNCTION), short(histogram.count));
    if is_wide {
        head += &format!("{} ", right(&span_of(histogram.sum_ns / histogram.count.max(1)), 9));
    }
    head += &format!("{}  ", right(&span_of(histogram.longest_ns), 8));
    let counts = histogram.counts();
    // Each bar twice, so that it is as wide as its label's column.
    let doubled = counts.iter().flat_map(|count| [number(*count); BUCKET]);
    let bars = theme.spark(doubled.collect::<Vec<f64>>().into_iter(), counts.len() * BUCKET);
    Line::from(vec![Span::raw(head), Span::styled(bars, theme.good())])
}

/// The labels of the buckets, each above its own.
fn axis() -> String {
    let mut axis = String::new();
    for (bucket, label) in LABELS {
        axis = format!("{axis:<columns$}{label}", columns = bucket * BUCKET);
    }
    axis
}

fn fields(columns: u16) -> Vec<Field> {
    let mut fields = vec![
        Field::number("ago", 9),
        Field::text("waited in", FUNCTION),
        Field::number("for", 9),
        Field::number("met", 9),
        Field::text("who", 16),
    ];
    let left = rest(columns, &fields);
    if left >= 8 {
        fields.push(Field::text("cache", left));
    } else if let Some(who) = fields.last_mut() {
        who.columns = who.columns.saturating_add(left);
    }
    fields
}

fn finished(theme: Theme, report: &Report, row: &FinishedBarrier) -> Row {
    let ago = report.at_ns.saturating_sub(row.began_ns.saturating_add(row.wait_ns));
    let name =
        if row.inside_destroy { format!(" {}", row.kind.function()) } else { row.kind.function().to_owned() };
    let cells = vec![
        span_of(ago),
        name,
        span_of(row.wait_ns),
        short(row.at_begin),
        who(row.comm.as_deref(), row.task),
        row.cache.clone().unwrap_or_default(),
    ];
    Row::plain(cells, theme.plain())
}

fn who(comm: Option<&str>, task: u32) -> String {
    comm.map_or_else(|| format!("task {task}"), |comm| format!("{comm}[{task}]"))
}

#[cfg(test)]
mod tests {
    use krcu_model::report::BOUNDS_NS;

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
