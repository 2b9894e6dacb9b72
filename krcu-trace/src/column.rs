//! Column: how a column of each type is stored in Arrow, and filled; [`crate::cells`] reads it.

use std::{fmt::Debug, marker::PhantomData, sync::Arc};

use arrow_array::{
    ArrayRef, DictionaryArray, StringArray,
    builder::{ArrayBuilder, BooleanBuilder, ListBuilder, PrimitiveBuilder, StringBuilder, UInt8Builder},
    types::{ArrowPrimitiveType, Int32Type, UInt8Type, UInt16Type, UInt32Type, UInt64Type},
};
use arrow_schema::ArrowError;
use krcu_common::{BarrierKind, Flavour, FreePath, Kind, QueueForm};
use krcu_model::{
    event::{LossReason, Scope},
    script::Word,
};

use crate::{
    cells::{Cells, Flags, Lists, Numbers, Texts, Words},
    schema::Type,
};

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
    bool = Type::Bool, BooleanBuilder, Flags;
    u16 = Type::U16, PrimitiveBuilder<UInt16Type>, Numbers<u16>;
    u32 = Type::U32, PrimitiveBuilder<UInt32Type>, Numbers<u32>;
    u64 = Type::U64, PrimitiveBuilder<UInt64Type>, Numbers<u64>;
    i32 = Type::I32, PrimitiveBuilder<Int32Type>, Numbers<i32>;
    String = Type::Text, StringBuilder, Texts;
    Vec<String> = Type::Texts, ListBuilder<StringBuilder>, Lists;
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
