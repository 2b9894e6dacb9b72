//! Help: the table of keys.

use ratatui::{
    layout::Rect,
    text::{Line, Span},
};

use super::{Canvas, text::left};
use crate::keys::{KEYS, Where};

/// Columns of a key's label.
const LABEL: usize = 11;
/// Lines of the first column, so that the second is about as long.
const MOST: usize = 17;

pub(crate) fn draw(canvas: &mut Canvas<'_, '_>, area: Rect) {
    let theme = *canvas.theme;
    let mut blocks: Vec<Vec<Line<'static>>> = Vec::new();
    for place in Where::ALL {
        let mut block = vec![Line::styled(place.heading(), theme.heading())];
        for binding in KEYS.iter().filter(|one| one.place == place && !one.help.is_empty()) {
            block.push(Line::from(vec![
                Span::styled(left(binding.label, LABEL), theme.bold()),
                Span::raw(binding.help),
            ]));
        }
        blocks.push(block);
    }
    let (x, columns) = (area.x, area.width / 2);
    let halves = [Rect { x, width: columns, ..area }, Rect { x: x + columns, width: columns, ..area }];
    // A block is in one column as a whole.
    let mut first: Vec<Line<'static>> = Vec::new();
    let mut second: Vec<Line<'static>> = Vec::new();
    let most = usize::from(area.height).saturating_sub(2);
    for block in blocks {
        let is_first = second.is_empty() && first.len() + block.len() <= most.min(MOST);
        let column = if is_first { &mut first } else { &mut second };
        column.extend(block);
    }
    let marks = "! a fault   ~ a fault elsewhere, or by luck not here   ? cannot be decided";
    canvas.lines(halves[0], first);
    canvas.lines(halves[1], second);
    canvas.line(area, area.height.saturating_sub(1), Line::styled(marks, theme.quiet()));
}
