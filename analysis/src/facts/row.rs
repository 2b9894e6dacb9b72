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
pub trait Rows: Sized + Send + 'static {
    /// Its name, and that of its file.
    const NAME: &'static str;
    /// What one row is.
    const MEANING: &'static str;
    /// Its columns, in order.
    const COLUMNS: &'static [Column];
    /// One row.
    type Row;

    /// None yet; of their columns those that are wanted are kept.
    fn new(is_wanted: impl Fn(&str) -> bool) -> Self;
    /// Takes a row.
    fn push(&mut self, row: Self::Row);
    /// Rows that it holds.
    fn len(&self) -> usize;
    /// Whether it holds none.
    fn is_empty(&self) -> bool {
        self.len() == 0
    }
    /// The rows; nothing is left, and the same columns are wanted of what comes.
    #[must_use]
    fn take(&mut self) -> Self;
    /// The wanted columns as a frame.
    fn frame(self) -> polars::prelude::DataFrame;
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
        #[derive(Debug)]
        pub struct $rows { height: usize, $( $column: Option<Vec<$kind>>, )+ }

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

            fn new(is_wanted: impl Fn(&str) -> bool) -> $rows {
                $rows {
                    height: 0,
                    $( $column: is_wanted(stringify!($column)).then(Vec::new), )+
                }
            }

            fn push(&mut self, row: $row) {
                self.height += 1;
                $( if let Some(cells) = &mut self.$column {
                    cells.push(row.$column);
                } )+
            }

            fn len(&self) -> usize {
                self.height
            }

            fn take(&mut self) -> $rows {
                $rows {
                    height: std::mem::take(&mut self.height),
                    $( $column: self.$column.as_mut().map(std::mem::take), )+
                }
            }

            fn frame(self) -> polars::prelude::DataFrame {
                use polars::prelude::{Column, DataFrame, NamedFrom as _, Series};
                let mut columns: Vec<Column> = Vec::new();
                $( if let Some(cells) = self.$column {
                    columns.push(Series::new(stringify!($column).into(), cells).into());
                } )+
                // Columns that were filled together are equally long, and their names are Rust's.
                DataFrame::new(self.height, columns).unwrap_or_default()
            }
        }
    };
}
