//! Caches: a table, sorted and filtered, with details of the selected cache.

use krcu_report::{CachePhase, CacheRow, words::count};
use ratatui::{
    layout::Rect,
    text::{Line, Span},
};

use super::{
    Canvas, Theme,
    table::{Field, Row, rest, whole},
    text::{brief, bytes, clip, evidence, left, narrow, rate, span_of},
};
use crate::state::{App, CacheSample, Column, Of, cache_name, number};

/// From this width on, the table has the modules, too.
const WIDE: u16 = 110;
/// The width of a name on a narrow screen.
const LEAST_NAME: usize = 14;
/// Rows about the selected cache.
const ABOUT: u16 = 7;
/// Outstanding objects and rates, as sparklines; each column is as wide as the longest of these headings.
const OUTSTANDING: &str = "history";
const QUEUED: &str = "queued/s history";
const FREED: &str = "freed/s history";
/// The most slices of a history.
const HISTORY: usize = 60;

pub(crate) fn draw(canvas: &mut Canvas<'_, '_>, area: Rect, app: &App) {
    let theme = *canvas.theme;
    let fields = fields(area.width);
    let order = app.sift().order;
    canvas.headings(area, &fields, Some((order.column, order.is_reversed)));
    let about = if area.height > 2 * ABOUT { ABOUT } else { 0 };
    let body = Rect { y: area.y + 1, height: area.height - 1 - about, ..area };
    let rows: Vec<Row> = app.cache_rows().into_iter().map(|cache| row(theme, app, cache, &fields)).collect();
    if rows.is_empty() {
        let words = match app.cut_caches() {
            _ if app.sift().filter.is_empty() => "no slab cache was seen yet".to_owned(),
            None => "no cache has this text in its name or module: Esc removes the filter".to_owned(),
            Some((listed, total)) => {
                format!(
                    "none of the {} listed caches of {} match: Esc removes the filter",
                    count(listed),
                    count(total)
                )
            }
        };
        canvas.line(body, 0, Line::styled(words, theme.quiet()));
    }
    canvas.rows(body, &fields, &rows, app.caches);
    let below = Rect { y: body.bottom(), height: about, ..area };
    canvas.line(below, 0, summary(theme, app, rows.len(), area.width));
    if let Some(cache) = app.selected_cache() {
        let mut lines = about_one(theme, cache, area.width.into());
        lines.insert(1, rates(theme, app, cache.id, area.width.into()));
        canvas.lines(Rect { y: below.y + 1, height: about.saturating_sub(1), ..below }, lines);
    }
}

/// The columns of the table, for a screen of this width.
pub(crate) fn fields(columns: u16) -> Vec<Field> {
    let is_wide = columns >= WIDE;
    let mut fields = vec![Field::text("", 1)];
    let name = Field::text(Column::Name.heading(), if is_wide { 28 } else { 19 });
    fields.push(name.least(LEAST_NAME).sorts(Column::Name));
    if is_wide {
        fields.push(Field::text("module", 16));
    }
    fields.push(Field::number(Column::Outstanding.heading(), 12).sorts(Column::Outstanding));
    if is_wide {
        fields.push(Field::number(Column::Bytes.heading(), 9).sorts(Column::Bytes));
    }
    fields.push(Field::number(Column::Age.heading(), 9).sorts(Column::Age));
    fields.push(Field::number(Column::QueueRate.heading(), 9).sorts(Column::QueueRate));
    fields.push(Field::number(Column::FreeRate.heading(), 8).sorts(Column::FreeRate));
    if is_wide {
        fields.push(Field::number(Column::Queued.heading(), 12).sorts(Column::Queued));
    }
    let left = rest(columns, &fields);
    let third = left.saturating_sub(2) / 3;
    if third >= QUEUED.len() {
        let rates = 2 * (third + 1);
        fields.extend([
            Field::text(OUTSTANDING, left - rates),
            Field::text(QUEUED, third),
            Field::text(FREED, third),
        ]);
    } else if left >= OUTSTANDING.len() {
        fields.push(Field::text(OUTSTANDING, left));
    }
    whole(columns, fields)
}

/// The row of a cache.
pub(crate) fn row(theme: Theme, app: &App, cache: &CacheRow, fields: &[Field]) -> Row {
    let (mark, style) = match cache.phase {
        CachePhase::Live => (' ', theme.plain()),
        CachePhase::Destroying => (theme.mark('▸', '>'), theme.bold()),
        CachePhase::Failed => ('!', theme.bad()),
        CachePhase::Released => (theme.mark('×', 'x'), theme.quiet()),
    };
    // Empty if it is not known yet.
    let rates = app.histories.rates_of(cache.id);
    let rate_of = |which: fn((f64, f64)) -> f64| rates.map_or_else(String::new, |rates| rate(which(rates)));
    let mut row = Row { cells: vec![(mark.to_string(), style)] };
    for field in &fields[1..] {
        row.cells.push(match (field.heading, field.sorts) {
            ("module", _) => (cache.module.clone().unwrap_or_default(), style),
            (_, Some(Column::Name)) => (cache_name(cache), style),
            (_, Some(Column::Outstanding)) => (narrow(cache.deferred(), field.columns), style),
            (_, Some(Column::Bytes)) => (bytes_of(cache), style),
            (_, Some(Column::Age)) => (cache.oldest_age_ns.map_or_else(|| "·".to_owned(), brief), style),
            (_, Some(Column::QueueRate)) => (rate_of(|(queued, _)| queued), style),
            (_, Some(Column::FreeRate)) => (rate_of(|(_, freed)| freed), style),
            (_, Some(Column::Queued)) => (narrow(cache.queued + cache.callbacks, field.columns), style),
            (what, _) => {
                (spark(theme, &samples(app, cache.id, what, field.columns), field.columns), theme.good())
            }
        });
    }
    row
}

/// Bytes of what is outstanding; empty if the size of an object is not known.
fn bytes_of(cache: &CacheRow) -> String {
    match (cache.deferred(), cache.object_bytes) {
        (0, _) => "·".to_owned(),
        (_, 0) => String::new(),
        _ => bytes(cache.deferred_bytes()),
    }
}

/// One history of a cache, in slices of time.
fn samples(app: &App, cache: u32, what: &str, columns: usize) -> Vec<f64> {
    let slices = app.histories.slices(columns.min(HISTORY));
    let Some(history) = app.histories.cache(cache) else { return Vec::new() };
    let (how, of): (Of, fn(&CacheSample) -> f64) = match what {
        QUEUED => (Of::Mean, |sample| sample.queued),
        FREED => (Of::Mean, |sample| sample.freed),
        _ => (Of::Largest, |sample| number(sample.outstanding)),
    };
    history.samples.sliced(slices, how, of).into_iter().map(Option::unwrap_or_default).collect()
}

fn spark(theme: Theme, samples: &[f64], columns: usize) -> String {
    theme.spark(samples.iter().copied(), columns)
}

/// The histories of both rates of the selected cache, side by side, each with its highest slice.
fn rates(theme: Theme, app: &App, cache: u32, columns: usize) -> Line<'static> {
    /// The width of a label, and of the highest slice.
    const LABEL: usize = 14;
    const HIGHEST: usize = 10;
    /// The width between the two.
    const GAP: usize = 2;
    let room = (columns.saturating_sub(2 * (LABEL + HIGHEST) + GAP) / 2).min(HISTORY);
    let half = |label: &str, what: &str| {
        let samples = samples(app, cache, what, room);
        let highest = samples.iter().copied().fold(0.0, f64::max);
        [
            Span::styled(left(label, LABEL), theme.quiet()),
            Span::styled(spark(theme, &samples, room), theme.good()),
            Span::styled(left(&format!(" ≤ {}", rate(highest)), HIGHEST), theme.quiet()),
        ]
    };
    let gap = Span::raw(" ".repeat(GAP));
    Line::from(
        [&half(Column::QueueRate.heading(), QUEUED)[..], &[gap], &half(Column::FreeRate.heading(), FREED)]
            .concat(),
    )
}

/// How many caches there are, and how many are shown.
fn summary(theme: Theme, app: &App, shown: usize, columns: u16) -> Line<'static> {
    let total = app.report.as_ref().map_or(0, |report| report.caches_total);
    let mut words = format!("{shown} shown · {} in the kernel now", count(total));
    if let Some((listed, _)) = app.cut_caches() {
        words += &format!(", {} of them listed", count(listed));
    }
    if !app.histories.all.is_empty() {
        words += &format!(" · histories of the last {}", span_of(app.histories.shown_ns()));
    }
    let rule = theme.rule(2);
    let words = clip(&format!("{rule} {words} "), columns.into());
    let rest = u16::try_from(usize::from(columns).saturating_sub(words.chars().count())).unwrap_or(0);
    Line::styled(format!("{words}{}", theme.rule(rest)), theme.quiet())
}

fn about_one(theme: Theme, cache: &CacheRow, columns: usize) -> Vec<Line<'static>> {
    let phase = match cache.phase {
        CachePhase::Live => "in use",
        CachePhase::Destroying => "being destroyed",
        CachePhase::Failed => "its destroy failed: it stays for ever (Enter: the verdict)",
        CachePhase::Released => "gone (Enter: the verdict)",
    };
    let mut about = vec![phase.to_owned()];
    about.extend(cache.module.as_ref().map(|module| format!("of {module}")));
    about.extend(
        (cache.object_bytes > 0).then(|| format!("{} bytes an object", count(cache.object_bytes.into()))),
    );
    about.extend(
        (cache.deferred_bytes() > 0).then(|| format!("{} outstanding", bytes(cache.deferred_bytes()))),
    );
    if !cache.created_while_watched {
        about.push("older than the probes".to_owned());
    }
    if cache.counted {
        about.push("counted, not followed".to_owned());
    }
    let by = cache.freed_by;
    let mut freed = Vec::new();
    for (objects, how) in [
        (by.bulk, "in pages"),
        (by.list, "off the list"),
        (by.sheaf, "in sheaves"),
        (by.callback, "by callbacks"),
        (by.within_call, "within the call"),
    ] {
        freed.extend((objects > 0).then(|| format!("{} {how}", count(objects))));
    }
    let how = if freed.is_empty() { String::new() } else { format!(": {}", freed.join(", ")) };
    let queued = format!(
        "{} by kfree_rcu, {} by call_rcu; freed {}{how}; being freed {}",
        count(cache.queued),
        count(cache.callbacks),
        count(cache.freed),
        count(cache.being_freed)
    );
    let name = Line::from(vec![Span::styled(clip(&cache_name(cache), columns), theme.bold())]);
    let mut lines = vec![name];
    lines.extend(evidence(theme, "it is", &about.join(", "), columns));
    lines.extend(evidence(theme, "queued", &queued, columns));
    lines
}
