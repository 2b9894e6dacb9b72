//! Row: what a table of facts is made of, and the one place where its columns are told.
//!
//! [`table!`](crate::table) makes of one list of columns the row, the columns that collect rows, and the
//! [`Column`]s of the dictionary, so that none of them can say something else than the others.

/// What a column holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Column {
    /// Its name, unit last.
    pub name: &'static str,
    /// Its type, as Rust names it: `Option` where it may be absent.
    pub kind: &'static str,
    /// What it means, and what its absence means.
    pub meaning: &'static str,
}

/// Rows of one table that have not been written.
pub trait Rows: Default {
    /// Its name, and that of its file.
    const NAME: &'static str;
    /// What one row is.
    const MEANING: &'static str;
    /// Its columns, in order.
    const COLUMNS: &'static [Column];
    /// One row.
    type Row;

    /// Takes a row.
    fn push(&mut self, row: Self::Row);
    /// Rows that it holds.
    fn len(&self) -> usize;
    /// Whether it holds none.
    fn is_empty(&self) -> bool {
        self.len() == 0
    }
    /// The wanted columns of the rows as a frame; nothing is left.
    fn take(&mut self, is_wanted: impl Fn(&str) -> bool) -> polars::prelude::DataFrame;
}

/// Declares a table: its rows, columns and dictionary.
#[macro_export]
macro_rules! table {
    (
        $(#[doc = $meaning:literal])+
        $rows:ident of $row:ident, $name:literal {
            $( $(#[doc = $about:literal])+ $column:ident: $kind:ty, )+
        }
    ) => {
        $(#[doc = $meaning])+
        #[derive(Clone, Debug, PartialEq)]
        pub struct $row { $( $(#[doc = $about])+ pub $column: $kind, )+ }

        #[doc = concat!("Rows of the table `", $name, "`, by column.")]
        #[derive(Debug, Default)]
        pub struct $rows { $( $column: Vec<$kind>, )+ }

        impl $crate::facts::row::Rows for $rows {
            const NAME: &'static str = $name;
            const MEANING: &'static str = concat!($($meaning),+);
            const COLUMNS: &'static [$crate::facts::row::Column] = &[ $(
                $crate::facts::row::Column {
                    name: stringify!($column),
                    kind: stringify!($kind),
                    meaning: concat!($($about),+),
                },
            )+ ];
            type Row = $row;

            fn push(&mut self, row: $row) {
                $( self.$column.push(row.$column); )+
            }

            fn len(&self) -> usize {
                [$( self.$column.len() ),+][0]
            }

            fn take(&mut self, is_wanted: impl Fn(&str) -> bool) -> polars::prelude::DataFrame {
                use polars::prelude::{Column, DataFrame, NamedFrom as _, Series};
                let rows = std::mem::take(self);
                let height = rows.len();
                let mut columns: Vec<Column> = Vec::new();
                $( if is_wanted(stringify!($column)) {
                    columns.push(Series::new(stringify!($column).into(), rows.$column).into());
                } )+
                // Columns that were filled together are equally long, and their names are Rust's.
                DataFrame::new(height, columns).unwrap_or_default()
            }
        }
    };
}
