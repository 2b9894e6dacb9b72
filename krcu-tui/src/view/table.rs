//! Table: rows below a heading; one row may be selected.

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

/// A column: its heading and its width.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Field {
    /// The heading.
    pub(crate) heading: &'static str,
    /// The width.
    pub(crate) columns: usize,
    /// Whether it is a number, which is aligned to the right.
    pub(crate) is_number: bool,
    /// The smallest width, on a narrow screen.
    pub(crate) least: usize,
    /// The order that a click on the heading chooses.
    pub(crate) sorts: Option<Column>,
}

impl Field {
    /// A column of texts.
    pub(crate) fn text(heading: &'static str, columns: usize) -> Field {
        Field { heading, columns, is_number: false, least: columns, sorts: None }
    }

    /// A column of numbers.
    pub(crate) fn number(heading: &'static str, columns: usize) -> Field {
        Field { heading, columns, is_number: true, least: columns, sorts: None }
    }

    /// The same, with an order for a click on its heading.
    pub(crate) fn sorts(self, column: Column) -> Field {
        Field { sorts: Some(column), ..self }
    }

    /// The same, with a smallest width.
    pub(crate) fn least(self, least: usize) -> Field {
        Field { least, ..self }
    }
}

/// A row: a cell for each field, and the style of each cell.
#[derive(Clone, Debug)]
pub(crate) struct Row {
    pub(crate) cells: Vec<(String, Style)>,
}

impl Row {
    /// A row whose cells have one style.
    pub(crate) fn plain(cells: Vec<String>, style: Style) -> Row {
        Row { cells: cells.into_iter().map(|cell| (cell, style)).collect() }
    }
}

/// The cells of a line, each as wide as its field, with a blank between them.
fn cells(fields: &[Field], row: &Row, over: Option<Style>) -> Line<'static> {
    let mut spans = Vec::new();
    for (field, (cell, style)) in fields.iter().zip(&row.cells) {
        let text = if field.is_number { right(cell, field.columns) } else { left(cell, field.columns) };
        spans.push(Span::styled(format!("{text} "), over.unwrap_or(*style)));
    }
    Line::from(spans)
}

/// The fields that fit on a screen. Fields that can be narrower are made narrower. A field that still does
/// not fit is left out, since a number that is cut looks like another number.
pub(crate) fn whole(columns: u16, mut fields: Vec<Field>) -> Vec<Field> {
    let taken = |fields: &[Field]| fields.iter().map(|field| field.columns + 1).sum::<usize>();
    // The last field needs no blank after it.
    let room = usize::from(columns) + 1;
    let mut over = taken(&fields).saturating_sub(room);
    for field in &mut fields {
        let less = over.min(field.columns - field.least.min(field.columns));
        field.columns -= less;
        over -= less;
    }
    while taken(&fields) > room {
        fields.pop();
    }
    fields
}

/// The width that is left for the last column.
pub(crate) fn rest(columns: u16, fields: &[Field]) -> usize {
    let taken: usize = fields.iter().map(|field| field.columns + 1).sum();
    usize::from(columns).saturating_sub(taken)
}

impl Canvas<'_, '_> {
    /// Draws the headings. `sorted` is marked, and a click on a heading sorts by it.
    pub(crate) fn headings(&mut self, area: Rect, fields: &[Field], sorted: Option<(Column, bool)>) {
        let mut row = Row { cells: Vec::new() };
        let mut x = area.x;
        for field in fields {
            let columns = u16::try_from(field.columns + 1).unwrap_or(u16::MAX);
            let mut heading = field.heading.to_owned();
            let mut style = self.theme.quiet();
            if let Some(column) = field.sorts.filter(|_| sorted.is_some()) {
                self.hits.add(Rect { x, width: columns, height: 1, ..area }, Target::Column(column));
                let is_sorted = |(by, is_reversed): &(Column, bool)| {
                    *by == column && (column != Column::Given || *is_reversed)
                };
                if let Some((_, is_reversed)) = sorted.filter(is_sorted) {
                    let is_up = is_reversed != column.rises();
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

    /// Draws the rows of a list, as many as fit, including the selected one.
    pub(crate) fn rows(&mut self, area: Rect, fields: &[Field], rows: &[Row], list: List) {
        let top = self.scroll(list, area.height);
        for (place, row) in rows.iter().enumerate().skip(top).take(area.height.into()) {
            let y = area.y + u16::try_from(place - top).unwrap_or(0);
            let line = Rect { y, height: 1, ..area };
            let is_selected = list.marked() == Some(place);
            let over = is_selected.then(|| self.theme.selected());
            self.frame.render_widget(cells(fields, row, over), line);
            self.hits.add(line, Target::Row(place));
        }
    }

    /// Draws rows that cannot be selected.
    pub(crate) fn still(&mut self, area: Rect, fields: &[Field], rows: &[Row]) {
        for (place, row) in (0..area.height).zip(rows) {
            self.line(area, place, cells(fields, row, None));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_can_be_narrower_is_and_what_has_no_room_is_not_there() {
        let fields = || vec![Field::text("name", 20).least(10), Field::number("a", 8), Field::number("b", 8)];
        for (columns, expected) in [
            (100, vec![20, 8, 8]),
            (38, vec![20, 8, 8]),
            (37, vec![19, 8, 8]),
            (28, vec![10, 8, 8]),
            (27, vec![10, 8]),
            (18, vec![10]),
            (9, vec![]),
        ] {
            let columns_of: Vec<usize> = whole(columns, fields()).iter().map(|field| field.columns).collect();
            assert_eq!(columns_of, expected, "of {columns}");
        }
    }

    #[test]
    fn no_field_of_any_table_passes_its_area() {
        use super::super::{barriers, caches, probes, what_if};
        type Fields = fn(u16) -> Vec<Field>;
        let tables: [(Fields, &[&str]); 5] = [
            (caches::fields, &["cache", "outstanding", "oldest", "queued/s", "freed/s"]),
            (barriers::running_fields, &["waits now in", "who", "for", "own", "others"]),
            (barriers::fields, &["ago", "waited in", "for", "met", "who"]),
            (what_if::fields, &["approach", "waits", "lingers", "own", "others", "report"]),
            (probes::fields, &["program", "runs", "a second", "each", "% CPU"]),
        ];
        // Terminals of 60 to 130 columns, without their margins; and halves of wide ones.
        for columns in 58..=128 {
            for (fields, headings) in tables {
                let fields = fields(columns);
                let taken: usize = fields.iter().map(|field| field.columns + 1).sum();
                assert!(taken <= usize::from(columns) + 1, "{columns}: {fields:?}");
                for heading in headings {
                    let field = fields.iter().find(|field| field.heading == *heading).unwrap();
                    assert!(field.columns >= field.least, "{columns}: {field:?}");
                }
            }
        }
    }
}
