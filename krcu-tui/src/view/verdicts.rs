//! Verdicts: the list, and the evidence of the selected verdict.

use krcu_report::words::count;
use ratatui::{layout::Rect, text::Line};

use super::{
    Canvas, Target, Theme, evidence, overview,
    table::{Field, rest},
    text::{clip, width},
};
use crate::state::{App, Column, List, Order};

/// From this width on, the evidence is beside the list.
const WIDE: u16 = 140;

pub(crate) fn draw(canvas: &mut Canvas<'_, '_>, area: Rect, app: &App) {
    let theme = *canvas.theme;
    let mut area = area;
    if app.is_verdict_gone {
        let words = "the verdict that was selected is no longer listed";
        canvas.line(area, 0, Line::styled(clip(words, area.width.into()), theme.doubtful()));
        area = Rect { y: area.y + 1, height: area.height - 1, ..area };
    }
    let Some(row) = app.selected_verdict() else {
        let words = if app.verdicts().is_empty() {
            "no slab cache was destroyed yet"
        } else if app.verdict_rows().is_empty() {
            "no verdict has this text in its word, cache or module: Esc removes the filter"
        } else {
            "waiting for the whole list"
        };
        canvas.line(area, 0, Line::styled(words, theme.quiet()));
        return;
    };
    if app.evidence {
        let lines = evidence::lines(theme, row, area.width.into(), true);
        let most = lines.len().saturating_sub(area.height.into());
        let top = app.evidence_top.min(most);
        canvas.scrolled.evidence_top = Some(top);
        canvas.scrolled.list = Some(List { page: area.height.into(), ..app.verdicts });
        let below = most - top;
        canvas.lines(area, lines.into_iter().skip(top).collect());
        if below > 0 {
            more(canvas, area, &format!(" {below} more below "));
        }
        return;
    }
    let cut = app.cut_verdicts();
    let cut = cut.map(|(listed, total)| format!(" the newest {} of {} ", count(listed), count(total)));
    let (list, beside) = if area.width >= WIDE {
        let columns = area.width / 2;
        for row in 0..area.height {
            let place = Rect { x: area.x + columns, y: area.y + row, width: 1, height: 1 };
            canvas.line(place, 0, Line::styled(theme.mark('│', '|').to_string(), theme.quiet()));
        }
        let right = Rect { x: area.x + columns + 1, width: area.width - columns - 1, ..area };
        let list = Rect { width: columns, ..area };
        let list = Rect { height: list.height - u16::from(cut.is_some()), ..list };
        if let Some(words) = cut {
            canvas.line(Rect { y: list.bottom(), height: 1, ..list }, 0, Line::styled(words, theme.quiet()));
        }
        (list, right)
    } else {
        let rows = u16::try_from(app.verdict_rows().len()).unwrap_or(u16::MAX);
        let height = rows.saturating_add(1).clamp(2, area.height / 3);
        let below = Rect { y: area.y + height + 1, height: area.height - height - 1, ..area };
        canvas.line(
            Rect { y: area.y + height, height: 1, ..area },
            0,
            Line::styled(rule(theme, &cut.unwrap_or_default(), area.width), theme.quiet()),
        );
        (Rect { height, ..area }, below)
    };
    let lines = evidence::lines(theme, row, beside.width.into(), false);
    let is_cut = lines.len() > beside.height.into();
    canvas.lines(beside, lines);
    if is_cut {
        more(canvas, beside, " Enter: show all ");
    }
    rows(canvas, list, app);
}

/// Draws the rows of the list, as many as fit, including the selected one.
fn rows(canvas: &mut Canvas<'_, '_>, list: Rect, app: &App) {
    let theme = *canvas.theme;
    let order = app.sift().order;
    canvas.headings(list, &fields(list.width, order), Some((order.column, order.is_reversed)));
    let list = Rect { y: list.y + 1, height: list.height.saturating_sub(1), ..list };
    let top = canvas.scroll(app.verdicts, list.height);
    for (place, row) in app.verdict_rows().iter().enumerate().skip(top).take(list.height.into()) {
        let y = list.y + u16::try_from(place - top).unwrap_or(0);
        let line = Rect { y, height: 1, ..list };
        let mut drawn = overview::verdict(theme, row, list.width.into());
        if app.verdicts.marked() == Some(place) {
            let text: String = drawn.spans.iter().map(|span| span.content.as_ref()).collect();
            drawn = Line::styled(clip(&text, list.width.into()), theme.selected());
        }
        canvas.line(line, 0, drawn);
        canvas.hits.add(line, Target::Row(place));
    }
}

/// The headings, each above its part of a line of [`overview::verdict`].
fn fields(columns: u16, order: Order) -> Vec<Field> {
    let says = match (order.column, order.is_reversed) {
        (Column::Wait, false) => "the longest wait first",
        (Column::Wait, true) => "the shortest wait first",
        _ => "what it says",
    };
    let mut fields = vec![
        Field::text("", 1),
        Field::text("verdict", overview::WORD).sorts(Column::Fault),
        Field::text("cache", overview::NAME).sorts(Column::Name),
    ];
    let room = rest(columns, &fields).saturating_sub(overview::WHEN + 1);
    fields.extend([Field::text(says, room), Field::number("at", overview::WHEN).sorts(Column::Given)]);
    fields
}

/// Says at the lower right that there is more.
fn more(canvas: &mut Canvas<'_, '_>, area: Rect, words: &str) {
    let columns = u16::try_from(words.len()).unwrap_or(u16::MAX).min(area.width);
    let corner =
        Rect { x: area.right() - columns, y: area.bottom().saturating_sub(1), width: columns, height: 1 };
    canvas.line(corner, 0, Line::styled(words.to_owned(), canvas.theme.selected()));
}

/// A rule with words in it.
fn rule(theme: Theme, words: &str, columns: u16) -> String {
    let before = if words.is_empty() { 0 } else { 2 };
    let taken = u16::try_from(width(words)).unwrap_or(u16::MAX);
    format!("{}{words}{}", theme.rule(before), theme.rule(columns.saturating_sub(taken + before)))
}
