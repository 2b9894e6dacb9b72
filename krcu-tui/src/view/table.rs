//! Table: rows below a heading, of which one may be selected.

use ratatui::{
    layout::Rect,
    style::Style,
    text::{Line, Span},
};

use super::{
    Canvas, Target,
    text::{left, right},
};
use crate::state::{Column, List};

/// A column: how it is headed, and how wide it is.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Field {
    /// What stands above.
    pub(crate) heading: &'static str,
    /// Columns of the screen.
    pub(crate) columns: usize,
    /// Whether it is a number, which ends where the column does.
    pub(crate) is_number: bool,
    /// What a click on the heading sorts by.
    pub(crate) sorts: Option<Column>,
}

impl Field {
    /// A text.
    pub(crate) fn text(heading: &'static str, columns: usize) -> Field {
        Field { heading, columns, is_number: false, sorts: None }
    }

    /// A number.
    pub(crate) fn number(heading: &'static str, columns: usize) -> Field {
        Field { heading, columns, is_number: true, sorts: None }
    }

    /// The same, by which rows can be sorted.
    pub(crate) fn sorts(self, column: Column) -> Field {
        Field { sorts: Some(column), ..self }
    }
}

/// A row: a cell for each field, and how each is drawn.
#[derive(Clone, Debug)]
pub(crate) struct Row {
    pub(crate) cells: Vec<(String, Style)>,
}

impl Row {
    /// All cells alike.
    pub(crate) fn plain(cells: Vec<String>, style: Style) -> Row {
        Row { cells: cells.into_iter().map(|cell| (cell, style)).collect() }
    }
}

/// The cells of a line, as wide as their fields, a blank between them.
fn cells(fields: &[Field], row: &Row, over: Option<Style>) -> Line<'static> {
    let mut spans = Vec::new();
    for (field, (cell, style)) in fields.iter().zip(&row.cells) {
        let text = if field.is_number { right(cell, field.columns) } else { left(cell, field.columns) };
        spans.push(Span::styled(format!("{text} "), over.unwrap_or(*style)));
    }
    Line::from(spans)
}

/// What is left of a width for the last column.
pub(crate) fn rest(columns: u16, fields: &[Field]) -> usize {
    let taken: usize = fields.iter().map(|field| field.columns + 1).sum();
    usize::from(columns).saturating_sub(taken)
}

impl Canvas<'_, '_> {
    /// The headings; `sorted` is marked.
    pub(crate) fn headings(&mut self, area: Rect, fields: &[Field], sorted: Option<(Column, bool)>) {
        let mut row = Row { cells: Vec::new() };
        let mut x = area.x;
        for field in fields {
            let columns = u16::try_from(field.columns + 1).unwrap_or(u16::MAX);
            let mut heading = field.heading.to_owned();
            let mut style = self.theme.quiet();
            if let Some(column) = field.sorts {
                self.hits.add(Rect { x, width: columns, height: 1, ..area }, Target::Column(column));
                if let Some((_, is_reversed)) = sorted.filter(|(by, _)| *by == column) {
                    let is_up = is_reversed != (column == Column::Name);
                    let mark = if is_up { self.theme.mark('▲', '^') } else { self.theme.mark('▼', 'v') };
                    heading =
                        if field.is_number { format!("{mark}{heading}") } else { format!("{heading}{mark}") };
                    style = self.theme.heading();
                }
            }
            row.cells.push((heading, style));
            x = x.saturating_add(columns);
        }
        self.line(area, 0, cells(fields, &row, None));
    }

    /// The rows of a list, as many as there is room for, with the selected one among them.
    pub(crate) fn rows(&mut self, area: Rect, fields: &[Field], rows: &[Row], list: &mut List) {
        let top = list.scroll(area.height.into());
        for (place, row) in rows.iter().enumerate().skip(top).take(area.height.into()) {
            let y = area.y + u16::try_from(place - top).unwrap_or(0);
            let line = Rect { y, height: 1, ..area };
            let is_selected = place == list.selected;
            let over = is_selected.then(|| self.theme.selected());
            self.frame.render_widget(cells(fields, row, over), line);
            self.hits.add(line, Target::Row(place));
        }
    }

    /// Rows of which none can be selected.
    pub(crate) fn still(&mut self, area: Rect, fields: &[Field], rows: &[Row]) {
        for (place, row) in (0..area.height).zip(rows) {
            self.line(area, place, cells(fields, row, None));
        }
    }
}
