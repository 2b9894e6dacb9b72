//! Column: how a column of each type is stored in Arrow, filled and read.

use std::{fmt::Debug, marker::PhantomData, sync::Arc};

use arrow_array::{
    Array, ArrayRef, BooleanArray, DictionaryArray, ListArray, PrimitiveArray, StringArray,
    builder::{ArrayBuilder, BooleanBuilder, ListBuilder, PrimitiveBuilder, StringBuilder, UInt8Builder},
    types::{ArrowPrimitiveType, Int32Type, UInt8Type, UInt16Type, UInt32Type, UInt64Type},
};
use arrow_schema::ArrowError;
use krcu_common::{BarrierKind, Flavour, FreePath, Kind, QueueForm};
use krcu_model::{
    event::{LossReason, Scope},
    script::Word,
};

use crate::{Reason, schema::Type};

/// A type of value that a column can hold.
pub(crate) trait Held {
    /// Its type in the schema.
    const TYPE: Type;
    /// A column of this type while it is filled.
    type Builder: Filled + Debug;
    /// A column of this type when it is read.
    type Cells: Cells + Debug;
}

/// A column that is being filled.
pub(crate) trait Filled: Default {
    /// What goes into a row.
    type Value;

    /// Adds nulls until the column has this many rows.
    fn fill(&mut self, rows: usize);

    /// Adds a row. Returns how many bytes its text has.
    fn append(&mut self, value: &Self::Value) -> usize;

    /// Returns the column and begins a new one.
    fn finish(&mut self) -> Result<ArrayRef, ArrowError>;
}

/// A column that was read.
pub(crate) trait Cells: Sized {
    /// What a row has in it.
    type Value;

    /// Checks the column of this name; none if it has another type.
    fn of(column: &ArrayRef, name: &'static str) -> Result<Option<Self>, Reason>;

    /// What a row has in it, if it is not null.
    fn at(&self, row: usize) -> Option<Self::Value>;
}

/// Returns the column of this name.
pub(crate) fn taken<C: Cells>(column: Option<&ArrayRef>, name: &'static str) -> Result<C, Reason> {
    let taken = column.map(|column| C::of(column, name)).transpose()?.flatten();
    taken.ok_or_else(|| Reason::Columns(format!("the column `{name}` is of another type")))
}

macro_rules! held {
    ($($holds:ty = $type:expr, $builder:ty, $cells:ty;)*) => {
        $(impl Held for $holds {
            const TYPE: Type = $type;
            type Builder = $builder;
            type Cells = $cells;
        })*
    };
}

held! {
    bool = Type::Bool, BooleanBuilder, BooleanArray;
    u16 = Type::U16, PrimitiveBuilder<UInt16Type>, PrimitiveArray<UInt16Type>;
    u32 = Type::U32, PrimitiveBuilder<UInt32Type>, PrimitiveArray<UInt32Type>;
    u64 = Type::U64, PrimitiveBuilder<UInt64Type>, PrimitiveArray<UInt64Type>;
    i32 = Type::I32, PrimitiveBuilder<Int32Type>, PrimitiveArray<Int32Type>;
    String = Type::Text, StringBuilder, StringArray;
    Vec<String> = Type::Texts, ListBuilder<StringBuilder>, ListArray;
}

/// Words of `N` values, in their order.
const fn words<T: Word, const N: usize>() -> [&'static str; N] {
    let mut words = [""; N];
    let mut place = 0;
    while place < N {
        words[place] = T::WORDS[place].1;
        place += 1;
    }
    words
}

macro_rules! held_words {
    ($($holds:ident)*) => {
        held! {
            $($holds = Type::Words(&words::<$holds, { $holds::WORDS.len() }>()),
              Keys<$holds>, Words<$holds>;)*
        }
    };
}

held_words! { Kind Flavour FreePath QueueForm BarrierKind LossReason Scope }

macro_rules! filled {
    ($([$($of:tt)*] $builder:ty, $value:ty, $append:expr;)*) => {
        $(impl$($of)* Filled for $builder {
            type Value = $value;

            fn fill(&mut self, rows: usize) {
                let missing = rows.saturating_sub(self.len());
                if missing > 0 {
                    self.append_nulls(missing);
                }
            }

            fn append(&mut self, value: &$value) -> usize {
                let append: fn(&mut Self, &$value) -> usize = $append;
                append(self, value)
            }

            fn finish(&mut self) -> Result<ArrayRef, ArrowError> {
                Ok(Arc::new(self.finish()))
            }
        })*
    };
}

filled! {
    [] BooleanBuilder, bool, |flags, value| {
        flags.append_value(*value);
        0
    };
    [<T: ArrowPrimitiveType>] PrimitiveBuilder<T>, T::Native, |numbers, value| {
        numbers.append_value(*value);
        0
    };
    [] StringBuilder, String, |texts, value| {
        texts.append_value(value);
        value.len()
    };
    [] ListBuilder<StringBuilder>, Vec<String>, |lists, value| {
        value.iter().for_each(|text| lists.values().append_value(text));
        lists.append(true);
        value.iter().map(String::len).sum()
    };
}

/// A column of words: the place of each among the words of its type.
#[derive(Debug)]
pub(crate) struct Keys<T> {
    keys: UInt8Builder,
    /// The same object in every batch, so that a stream contains it once.
    dictionary: ArrayRef,
    of: PhantomData<T>,
}

impl<T: Word> Default for Keys<T> {
    fn default() -> Keys<T> {
        let words = T::WORDS.iter().map(|(_, word)| *word);
        let dictionary = Arc::new(StringArray::from_iter_values(words));
        Keys { keys: UInt8Builder::new(), dictionary, of: PhantomData }
    }
}

/// The key of a value in its column's dictionary.
fn key_of<T: Word>(value: T) -> u8 {
    u8::try_from(value.place()).unwrap_or(u8::MAX)
}

impl<T: Word> Filled for Keys<T> {
    type Value = T;

    fn fill(&mut self, rows: usize) {
        Filled::fill(&mut self.keys, rows);
    }

    fn append(&mut self, value: &T) -> usize {
        self.keys.append_value(key_of(*value));
        0
    }

    fn finish(&mut self) -> Result<ArrayRef, ArrowError> {
        let dictionary = Arc::clone(&self.dictionary);
        Ok(Arc::new(DictionaryArray::<UInt8Type>::try_new(self.keys.finish(), dictionary)?))
    }
}

fn downcast<A: Array + Clone + 'static>(column: &ArrayRef) -> Option<A> {
    column.as_any().downcast_ref::<A>().cloned()
}

macro_rules! cells {
    ($([$($of:tt)*] $cells:ty, $value:ty;)*) => {
        $(impl$($of)* Cells for $cells {
            type Value = $value;

            fn of(column: &ArrayRef, _name: &'static str) -> Result<Option<Self>, Reason> {
                Ok(downcast(column))
            }

            fn at(&self, row: usize) -> Option<$value> {
                self.is_valid(row).then(|| self.value(row).into())
            }
        })*
    };
}

cells! {
    [] BooleanArray, bool;
    [] StringArray, String;
    [<T: ArrowPrimitiveType>] PrimitiveArray<T>, T::Native;
}

impl Cells for ListArray {
    type Value = Vec<String>;

    fn of(column: &ArrayRef, _name: &'static str) -> Result<Option<Self>, Reason> {
        Ok(downcast(column).filter(|list: &ListArray| list.values().as_any().is::<StringArray>()))
    }

    fn at(&self, row: usize) -> Option<Vec<String>> {
        let texts = self.is_valid(row).then(|| self.value(row))?;
        let texts = texts.as_any().downcast_ref::<StringArray>()?;
        texts.iter().map(|text| text.map(str::to_owned)).collect()
    }
}

/// A column of words that was read, with what each key of its dictionary means.
#[derive(Debug)]
pub(crate) struct Words<T> {
    keys: PrimitiveArray<UInt8Type>,
    values: Vec<T>,
}

impl<T: Word> Cells for Words<T> {
    type Value = T;

    fn of(column: &ArrayRef, name: &'static str) -> Result<Option<Words<T>>, Reason> {
        let Some(column) = downcast::<DictionaryArray<UInt8Type>>(column) else { return Ok(None) };
        let no_text = || Reason::Columns(format!("the dictionary of the column `{name}` is not of text"));
        let dictionary = downcast::<StringArray>(column.values()).ok_or_else(no_text)?;
        let value = |word: Option<&str>| {
            let word = word.unwrap_or("null");
            T::of_word(word).ok_or_else(|| Reason::Word { word: word.to_owned(), column: name })
        };
        let values = dictionary.iter().map(value).collect::<Result<Vec<T>, Reason>>()?;
        Ok(Some(Words { keys: column.keys().clone(), values }))
    }

    fn at(&self, row: usize) -> Option<T> {
        self.keys.at(row).and_then(|key| self.values.get(usize::from(key)).copied())
    }
}

#[cfg(test)]
mod tests {
    use krcu_model::event::CacheAddress;

    use super::*;

    fn have_the_keys_of_their_words<T: Word + Held>() {
        let Type::Words(words) = T::TYPE else { panic!("no words") };
        for (value, word) in T::WORDS {
            assert_eq!((words[usize::from(key_of(*value))], T::of_word(word) == Some(*value)), (*word, true));
        }
    }

    #[test]
    fn a_value_has_the_key_of_its_word() {
        have_the_keys_of_their_words::<LossReason>();
        have_the_keys_of_their_words::<Kind>();
        have_the_keys_of_their_words::<Scope>();
        let a_cache = Scope::Cache(CacheAddress(1));
        assert_eq!(key_of(a_cache.of_any_cache()), key_of(Scope::Cache(CacheAddress(0))));
    }
}
