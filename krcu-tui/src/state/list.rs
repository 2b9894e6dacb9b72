//! List: which row is selected, and which is the first on the screen.

/// A list that is longer than its screen.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct List {
    /// The selected row.
    pub selected: usize,
    /// The first row on the screen when it was last drawn.
    pub top: usize,
    /// The number of rows on the screen when it was last drawn.
    pub page: usize,
    /// Whether what is selected is not among the rows that have come; then no row is marked.
    pub is_away: bool,
}

impl List {
    /// Keeps the selected row within this many rows, and leaves no empty space below the last one.
    pub fn clamp(&mut self, rows: usize) {
        self.selected = self.selected.min(rows.saturating_sub(1));
        self.top = self.top.min(self.selected).min(rows.saturating_sub(self.page));
    }

    /// Selects the row at this place of this many rows. With `None` it marks no row, but keeps the place for
    /// when there are more rows.
    pub(super) fn put(&mut self, place: Option<usize>, rows: usize) {
        self.is_away = place.is_none();
        if let Some(place) = place {
            self.selected = place;
            self.clamp(rows);
        }
    }

    /// The row that is marked.
    #[must_use]
    pub fn marked(&self) -> Option<usize> {
        (!self.is_away).then_some(self.selected)
    }

    /// Moves this many rows down, within this many rows.
    pub fn go(&mut self, by: i64, rows: usize) {
        let selected = i64::try_from(self.selected).unwrap_or(i64::MAX).saturating_add(by).max(0);
        self.selected = usize::try_from(selected).unwrap_or(0);
        self.clamp(rows);
    }

    /// Moves a page down (or up, if negative).
    pub fn turn(&mut self, by: i32, rows: usize) {
        let page = i64::try_from(self.page.max(2) - 1).unwrap_or(1);
        self.go(i64::from(by) * page, rows);
    }

    /// The first row on a screen of this many rows, so that the selected row is visible.
    pub fn scroll(&mut self, page: usize) -> usize {
        self.page = page;
        if self.is_away {
            return 0;
        }
        if self.selected < self.top {
            self.top = self.selected;
        } else if self.selected >= self.top + page.max(1) {
            self.top = self.selected + 1 - page.max(1);
        }
        self.top
    }
}

/// How far the last drawing scrolled, which depends on the size of the screen. A part that was not drawn is
/// absent.
#[derive(Clone, Copy, Debug, Default)]
pub struct Scrolled {
    /// The list of the screen.
    pub list: Option<List>,
    /// The evidence of a verdict.
    pub evidence_top: Option<usize>,
    /// Help.
    pub help_top: Option<usize>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_selected_row_is_on_the_screen() {
        let mut list = List::default();
        list.go(7, 100);
        assert_eq!((list.scroll(5), list.selected), (3, 7));
        list.go(-5, 100);
        assert_eq!((list.scroll(5), list.selected), (2, 2));
        list.turn(1, 100);
        assert_eq!((list.selected, list.scroll(5)), (6, 2));
        list.go(i64::MAX, 100);
        assert_eq!((list.selected, list.scroll(5)), (99, 95));
        list.clamp(3);
        assert_eq!((list.selected, list.scroll(5)), (2, 0));
        list.clamp(0);
        assert_eq!((list.selected, list.scroll(0)), (0, 0));
    }
}
