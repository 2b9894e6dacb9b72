//! Names: the words of each column that holds words, in the order of their keys.

use krcu_common::{BarrierKind, FreePath, QueueForm};
use krcu_model::{
    event::{CacheAddress, LossReason, Scope},
    script::Word,
};

use crate::Kind;

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

pub(crate) const PATHS: &[&str] = &words::<FreePath, { FreePath::WORDS.len() }>();
pub(crate) const FORMS: &[&str] = &words::<QueueForm, { QueueForm::WORDS.len() }>();
pub(crate) const BARRIERS: &[&str] = &words::<BarrierKind, { BarrierKind::WORDS.len() }>();
pub(crate) const REASONS: &[&str] = &words::<LossReason, { LossReason::WORDS.len() }>();
pub(crate) const SCOPES: &[&str] = &["everything", "cache", "grace", "queueing", "freeing", "barriers"];
pub(crate) const KINDS: &[&str] = &kinds();

const fn kinds() -> [&'static str; Kind::ALL.len()] {
    let mut words = [""; Kind::ALL.len()];
    let mut place = 0;
    while place < words.len() {
        words[place] = Kind::ALL[place].word();
        place += 1;
    }
    words
}

/// The key of a value in its column's dictionary.
pub(crate) fn key_of<T: Word>(value: T) -> u8 {
    let place = T::WORDS.iter().position(|(other, _)| *other == value).unwrap_or(0);
    u8::try_from(place).unwrap_or(u8::MAX)
}

/// The key of a scope, and the cache that goes into a column of its own.
pub(crate) fn key_of_scope(scope: Scope) -> (u8, Option<CacheAddress>) {
    match scope {
        Scope::Everything => (0, None),
        Scope::Cache(cache) => (1, Some(cache)),
        Scope::Grace => (2, None),
        Scope::Queueing => (3, None),
        Scope::Freeing => (4, None),
        Scope::Barriers => (5, None),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_has_the_key_of_its_word() {
        for (value, word) in LossReason::WORDS {
            assert_eq!(REASONS[usize::from(key_of(*value))], *word);
        }
        for kind in Kind::ALL {
            assert_eq!(KINDS[*kind as usize], kind.word());
        }
        let cache = CacheAddress(1);
        for (scope, word) in [
            (Scope::Everything, "everything"),
            (Scope::Cache(cache), "cache"),
            (Scope::Grace, "grace"),
            (Scope::Queueing, "queueing"),
            (Scope::Freeing, "freeing"),
            (Scope::Barriers, "barriers"),
        ] {
            let (key, of) = key_of_scope(scope);
            assert_eq!((SCOPES[usize::from(key)], of.is_some()), (word, word == "cache"));
        }
    }
}
