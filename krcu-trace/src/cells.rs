//! Cells: the columns of a batch while it is read.
//!
//! A column is decompressed when the first row asks for it, so a batch in which nothing rare happens costs what its few
//! columns cost. The memory of each column is kept for the next batch. Arrow's own reader would check every value of
//! every column again; here each is checked when it is read.

use std::{collections::BTreeMap, fmt::Debug, ops::Range};

use krcu_model::script::Word;

use crate::{
    Reason,
    packed::{Number, Packed, Places},
};

/// The batch that columns are read from, and the words of its columns, by the column's node.
#[derive(Debug, Default)]
pub(crate) struct Source {
    pub(crate) packed: Packed,
    pub(crate) dictionaries: BTreeMap<usize, Vec<String>>,
}

impl Source {
    /// Reads the texts of a dictionary in the chunk, and keeps them for these columns.
    pub(crate) fn learn(&mut self, places: Places, columns: &[usize]) -> Result<(), Reason> {
        let length = places.nodes.first().map_or(0, |node| node.length);
        self.packed.places = places;
        let mut texts = Texts::default();
        texts.load(self, 0)?;
        let word = |row| Ok(texts.at(row)?.unwrap_or_else(|| "null".to_owned()));
        let words = (0..length).map(word).collect::<Result<Vec<String>, Reason>>()?;
        self.dictionaries.extend(columns.iter().map(|column| (*column, words.clone())));
        Ok(())
    }
}

/// The values of a column of one type.
pub(crate) trait Cells: Default {
    /// What a row has in it.
    type Value;

    /// Reads the column whose first node this is.
    fn load(&mut self, source: &mut Source, node: usize) -> Result<(), Reason>;

    /// What a row has in it, if it is not null.
    fn at(&self, row: usize) -> Result<Option<Self::Value>, Reason>;
}

/// A column.
#[derive(Debug)]
pub(crate) struct Column<C> {
    name: &'static str,
    node: usize,
    is_loaded: bool,
    cells: C,
}

impl<C: Cells> Column<C> {
    /// The column of this name, whose first node this is.
    pub(crate) fn new(name: &'static str, node: usize) -> Column<C> {
        Column { name, node, is_loaded: false, cells: C::default() }
    }

    /// Its batch is over.
    pub(crate) fn forget(&mut self) {
        self.is_loaded = false;
    }

    /// Its values in this batch.
    pub(crate) fn cells(&mut self, source: &mut Source) -> Result<&C, Reason> {
        if !self.is_loaded {
            // Older traces lack the last columns.
            if source.packed.node(self.node).is_some() {
                let loaded = self.cells.load(source, self.node);
                loaded.map_err(|reason| match reason {
                    Reason::Word { word, .. } => Reason::Word { word, column: self.name },
                    reason => reason,
                })?;
            } else {
                self.cells = C::default();
            }
            self.is_loaded = true;
        }
        Ok(&self.cells)
    }

    /// What was loaded before.
    pub(crate) fn loaded(&self) -> &C {
        &self.cells
    }

    /// What a row has in it, if it is not null.
    pub(crate) fn at(&mut self, source: &mut Source, row: usize) -> Result<Option<C::Value>, Reason> {
        self.cells(source)?.at(row)
    }
}

/// Which values are not null: one bit each, or none at all if no value is null.
#[derive(Debug, Default)]
struct Validity(Vec<u8>);

impl Validity {
    fn load(&mut self, source: &mut Source, node: usize) -> Result<usize, Reason> {
        let node = source.packed.node(node).ok_or(Reason::Framing("a batch lacks a column"))?;
        source.packed.validity(node, &mut self.0)?;
        Ok(node.first)
    }

    fn is_valid(&self, row: usize) -> bool {
        self.0.is_empty() || self.0.get(row / 8).is_some_and(|bits| bits >> (row % 8) & 1 == 1)
    }

    /// Whether no value of these rows is null.
    fn are_valid(&self, rows: Range<usize>) -> bool {
        if self.0.is_empty() {
            return true;
        }
        let (first, end) = (rows.start.next_multiple_of(8).min(rows.end), rows.end / 8 * 8);
        let whole = self.0.get(first / 8..end.max(first) / 8);
        whole.is_some_and(|bytes| bytes.iter().all(|byte| *byte == u8::MAX))
            && (rows.start..first).chain(end.max(first)..rows.end).all(|row| self.is_valid(row))
    }

    /// Gives every null this value, so that equal values are both null or both not.
    fn put_nulls<T: Number>(&self, values: &mut [T], null: T) {
        let mut from = 0;
        // Nulls mostly come in thousands: those of one kind of event.
        for alike in self.0.chunk_by(|one, next| one == next) {
            let until = (from + alike.len() * 8).min(values.len());
            let values = values.get_mut(from..until).unwrap_or_default();
            match alike.first() {
                None | Some(&u8::MAX) => {}
                Some(0) => values.fill(null),
                Some(bits) => {
                    let nulls = values.iter_mut().enumerate().filter(|(row, _)| bits >> (row % 8) & 1 == 0);
                    nulls.for_each(|(_, value)| *value = null);
                }
            }
            from = until;
        }
    }
}

/// Whether all of these values are this one. It looks at all of them, because that takes one instruction for many.
fn are<T: Number>(values: Option<&[T]>, one: T) -> bool {
    values.is_some_and(|values| values.iter().fold(true, |all, value| all & (*value == one)))
}

/// Numbers; 0 where one is null.
#[derive(Debug, Default)]
pub(crate) struct Numbers<T> {
    values: Vec<T>,
    validity: Validity,
}

impl<T: Number> Cells for Numbers<T> {
    type Value = T;

    fn load(&mut self, source: &mut Source, node: usize) -> Result<(), Reason> {
        let first = self.validity.load(source, node)?;
        source.packed.numbers(first + 1, &mut self.values)?;
        self.validity.put_nulls(&mut self.values, T::default());
        Ok(())
    }

    fn at(&self, row: usize) -> Result<Option<T>, Reason> {
        Ok(self.values.get(row).copied().filter(|_| self.validity.is_valid(row)))
    }
}

impl<T: Number> Numbers<T> {
    /// The values of some rows.
    pub(crate) fn of(&self, rows: Range<usize>) -> &[T] {
        self.values.get(rows).unwrap_or_default()
    }

    /// Whether no value of these rows is null.
    pub(crate) fn are_valid(&self, rows: Range<usize>) -> bool {
        self.validity.are_valid(rows)
    }

    /// Whether all of these rows have what another row has.
    pub(crate) fn are_like(&self, row: usize, rows: Range<usize>) -> bool {
        self.values.get(row).is_some_and(|one| are(self.values.get(rows), *one))
    }
}

/// Yes or no.
#[derive(Debug, Default)]
pub(crate) struct Flags {
    bits: Vec<u8>,
    validity: Validity,
}

impl Cells for Flags {
    type Value = bool;

    fn load(&mut self, source: &mut Source, node: usize) -> Result<(), Reason> {
        let first = self.validity.load(source, node)?;
        source.packed.numbers(first + 1, &mut self.bits)
    }

    fn at(&self, row: usize) -> Result<Option<bool>, Reason> {
        let bits = self.bits.get(row / 8).filter(|_| self.validity.is_valid(row));
        Ok(bits.map(|bits| bits >> (row % 8) & 1 == 1))
    }
}

/// A key that no dictionary has: that of a null.
const NO_KEY: u8 = u8::MAX;

/// Words of a dictionary.
#[derive(Debug)]
pub(crate) struct Words<T> {
    keys: Vec<u8>,
    validity: Validity,
    /// What each key means.
    meanings: Vec<T>,
}

impl<T> Default for Words<T> {
    fn default() -> Words<T> {
        Words { keys: Vec::new(), validity: Validity::default(), meanings: Vec::new() }
    }
}

impl<T: Word> Cells for Words<T> {
    type Value = T;

    fn load(&mut self, source: &mut Source, node: usize) -> Result<(), Reason> {
        let first = self.validity.load(source, node)?;
        source.packed.numbers(first + 1, &mut self.keys)?;
        self.validity.put_nulls(&mut self.keys, NO_KEY);
        let no_words = Reason::Framing("a column of words has no dictionary");
        let words = source.dictionaries.get(&node).ok_or(no_words)?;
        let meaning = |word: &String| {
            let no_word = || Reason::Word { word: word.clone(), column: "?" };
            T::of_word(word).ok_or_else(no_word)
        };
        self.meanings.clear();
        for word in words {
            self.meanings.push(meaning(word)?);
        }
        Ok(())
    }

    fn at(&self, row: usize) -> Result<Option<T>, Reason> {
        match self.keys.get(row) {
            None | Some(&NO_KEY) => Ok(None),
            Some(key) => {
                let meaning = self.meanings.get(usize::from(*key)).copied();
                meaning.map(Some).ok_or(Reason::Framing("a key is of no word in its dictionary"))
            }
        }
    }
}

impl<T> Words<T> {
    /// Whether all of these rows have what another row has.
    pub(crate) fn are_like(&self, row: usize, rows: Range<usize>) -> bool {
        self.keys.get(row).is_some_and(|one| are(self.keys.get(rows), *one))
    }
}

/// Texts.
#[derive(Debug, Default)]
pub(crate) struct Texts {
    offsets: Vec<i32>,
    bytes: Vec<u8>,
    validity: Validity,
}

/// From where to where a value goes, if that is told.
fn between(offsets: &[i32], row: usize) -> Option<Range<usize>> {
    let offset = |row| offsets.get(row).and_then(|offset: &i32| usize::try_from(*offset).ok());
    Some(offset(row)?..offset(row.checked_add(1)?)?)
}

impl Cells for Texts {
    type Value = String;

    fn load(&mut self, source: &mut Source, node: usize) -> Result<(), Reason> {
        let first = self.validity.load(source, node)?;
        source.packed.numbers(first + 1, &mut self.offsets)?;
        source.packed.numbers(first + 2, &mut self.bytes)
    }

    fn at(&self, row: usize) -> Result<Option<String>, Reason> {
        if self.offsets.is_empty() || !self.validity.is_valid(row) {
            return Ok(None);
        }
        let text = between(&self.offsets, row).and_then(|range| self.bytes.get(range));
        let text = text.ok_or(Reason::Framing("a text goes beyond its column"))?;
        let text = str::from_utf8(text).map_err(|_| Reason::Framing("a text is not UTF-8"))?;
        Ok(Some(text.to_owned()))
    }
}

/// Lists of texts.
#[derive(Debug, Default)]
pub(crate) struct Lists {
    offsets: Vec<i32>,
    texts: Texts,
    validity: Validity,
}

impl Cells for Lists {
    type Value = Vec<String>;

    fn load(&mut self, source: &mut Source, node: usize) -> Result<(), Reason> {
        let first = self.validity.load(source, node)?;
        source.packed.numbers(first + 1, &mut self.offsets)?;
        self.texts.load(source, node + 1)
    }

    fn at(&self, row: usize) -> Result<Option<Vec<String>>, Reason> {
        if self.offsets.is_empty() || !self.validity.is_valid(row) {
            return Ok(None);
        }
        let rows = between(&self.offsets, row).ok_or(Reason::Framing("a list goes beyond its column"))?;
        rows.map(|row| self.texts.at(row)).collect()
    }
}
