//! Verdicts: the list of them, and of the selected one what it rests on.

use ratatui::{layout::Rect, text::Line};

use super::{Canvas, Target, evidence, overview, text::clip};
use crate::state::App;

/// Columns from which on the evidence is beside the list.
const WIDE: u16 = 140;

pub(crate) fn draw(canvas: &mut Canvas<'_, '_>, area: Rect, app: &mut App) {
    let theme = *canvas.theme;
    let Some(row) = app.selected_verdict() else {
        canvas.line(area, 0, Line::styled("no slab cache was destroyed yet", theme.quiet()));
        return;
    };
    if app.evidence {
        let lines = evidence::lines(theme, row, area.width.into(), true);
        let most = lines.len().saturating_sub(area.height.into());
        app.evidence_top = app.evidence_top.min(most);
        app.verdicts.page = area.height.into();
        canvas.lines(area, lines.into_iter().skip(app.evidence_top).collect());
        return;
    }
    let rows = app.verdict_rows().len();
    let (list, beside) = if area.width >= WIDE {
        let columns = area.width / 2;
        let right = Rect { x: area.x + columns + 1, width: area.width - columns - 1, ..area };
        (Rect { width: columns, ..area }, right)
    } else {
        let height = u16::try_from(rows).unwrap_or(u16::MAX).clamp(1, area.height / 3);
        let below = Rect { y: area.y + height + 1, height: area.height - height - 1, ..area };
        canvas.line(
            Rect { y: area.y + height, height: 1, ..area },
            0,
            Line::styled(theme.rule(area.width), theme.quiet()),
        );
        (Rect { height, ..area }, below)
    };
    let lines = evidence::lines(theme, row, beside.width.into(), false);
    canvas.lines(beside, lines);
    let mut scrolled = app.verdicts;
    let top = scrolled.scroll(list.height.into());
    app.verdicts = scrolled;
    for (place, row) in app.verdict_rows().iter().enumerate().skip(top).take(list.height.into()) {
        let y = list.y + u16::try_from(place - top).unwrap_or(0);
        let line = Rect { y, height: 1, ..list };
        let mut drawn = overview::verdict(theme, &row.verdict, list.width.into());
        if place == app.verdicts.selected {
            let text: String = drawn.spans.iter().map(|span| span.content.as_ref()).collect();
            drawn = Line::styled(clip(&text, list.width.into()), theme.selected());
        }
        canvas.line(line, 0, drawn);
        canvas.hits.add(line, Target::Row(place));
    }
}
