//! List: which row is selected, which is the first on the screen, and how caches are sorted.

use std::cmp::Ordering;

use krcu_report::CacheRow;

use super::{Histories, cache_name};

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

/// A column of the table of caches.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum Column {
    /// Its name.
    Name,
    /// Outstanding deferred frees.
    #[default]
    Outstanding,
    /// The age of the oldest of them.
    Age,
    /// Queued a second.
    QueueRate,
    /// Freed a second.
    FreeRate,
    /// Objects ever queued.
    Queued,
}

impl Column {
    /// All columns, from left to right.
    pub const ALL: [Column; 6] =
        [Column::Name, Column::Outstanding, Column::Age, Column::QueueRate, Column::FreeRate, Column::Queued];

    /// The heading.
    #[must_use]
    pub fn heading(self) -> &'static str {
        match self {
            Column::Name => "cache",
            Column::Outstanding => "outstanding",
            Column::Age => "oldest",
            Column::QueueRate => "queued/s",
            Column::FreeRate => "freed/s",
            Column::Queued => "queued",
        }
    }

    /// The next column.
    #[must_use]
    pub fn next(self) -> Column {
        let place = Column::ALL.iter().position(|column| *column == self).unwrap_or(0);
        Column::ALL[(place + 1) % Column::ALL.len()]
    }
}

/// How caches are sorted. Numbers begin with the largest, names with A, unless the order is reversed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Order {
    /// The column.
    pub column: Column,
    /// Whether the order is reversed.
    pub is_reversed: bool,
}

impl Order {
    /// Sorts by this column; if that is so already, reverses the order.
    pub fn by(&mut self, column: Column) {
        let is_reversed = self.column == column && !self.is_reversed;
        *self = Order { column, is_reversed };
    }

    /// Sorts the rows. Rows that are equal in the column keep their order.
    pub fn sort(self, rows: &mut [&CacheRow], histories: &Histories) {
        let rate = |row: &CacheRow, column| {
            let (queued, freed) = histories.rates_of(row.id).unwrap_or((0.0, 0.0));
            if column == Column::QueueRate { queued } else { freed }
        };
        let compare = |a: &&CacheRow, b: &&CacheRow| -> Ordering {
            match self.column {
                Column::Name => cache_name(a).cmp(&cache_name(b)),
                Column::Outstanding => b.deferred().cmp(&a.deferred()),
                Column::Age => b.oldest_age_ns.cmp(&a.oldest_age_ns),
                Column::Queued => (b.queued + b.callbacks).cmp(&(a.queued + a.callbacks)),
                Column::QueueRate | Column::FreeRate => rate(b, self.column).total_cmp(&rate(a, self.column)),
            }
        };
        rows.sort_by(|a, b| if self.is_reversed { compare(b, a) } else { compare(a, b) });
    }
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

    #[test]
    fn a_column_that_is_chosen_again_is_reversed() {
        let mut order = Order::default();
        order.by(Column::Age);
        assert_eq!(order, Order { column: Column::Age, is_reversed: false });
        order.by(Column::Age);
        assert!(order.is_reversed);
        order.by(Column::Name);
        assert!(!order.is_reversed);
    }
}
