//! Help: the table of keys.

use ratatui::{
    layout::Rect,
    text::{Line, Span},
};

use super::{Canvas, text::left};
use crate::{
    keys::{KEYS, Where},
    state::App,
};

/// The width of a key's label.
const LABEL: usize = 11;
/// The meaning of the marks before verdicts, at the foot.
const MARKS: &str = "! a fault   ~ a fault on other kernels, or avoided by luck   ? undecided";
/// The most lines of the first column, so that the second is about as long.
const MOST: usize = 16;

pub(crate) fn draw(canvas: &mut Canvas<'_, '_>, area: Rect, app: &App) {
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
    // A block is never divided between the columns.
    let mut first: Vec<Line<'static>> = Vec::new();
    let mut second: Vec<Line<'static>> = Vec::new();
    for block in blocks {
        let is_first = second.is_empty() && first.len() + block.len() <= MOST;
        let column = if is_first { &mut first } else { &mut second };
        column.extend(block);
    }
    // The last row has the marks, or the number of lines below.
    let height = area.height.saturating_sub(1);
    let most = first.len().max(second.len()).saturating_sub(height.into());
    let top = app.help_top.min(most);
    canvas.scrolled.help_top = Some(top);
    // A blank separates the two columns.
    let left = Rect { x, width: columns.saturating_sub(1), height, ..area };
    let halves = [left, Rect { x: x + columns, width: columns, height, ..area }];
    for (half, lines) in halves.into_iter().zip([first, second]) {
        canvas.lines(half, lines.into_iter().skip(top).collect());
    }
    let last = match most - top {
        0 => MARKS.to_owned(),
        below => format!("{below} more below: ↓"),
    };
    canvas.line(area, height, Line::styled(last, theme.quiet()));
}
