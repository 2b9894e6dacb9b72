//! Files: the facts in the kernel's text files. Pure: text in, facts out.

use std::collections::BTreeMap;

/// What `/proc/kallsyms` says about some names.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Symbols {
    /// How often each name occurs in the kernel without its modules, and the address of its last occurrence.
    pub found: BTreeMap<String, (u32, u64)>,
    /// Whether every address was zero: the kernel hides them from this process.
    pub hidden: bool,
}

impl Symbols {
    /// Whether the kernel has a symbol of a name that was looked for.
    #[must_use]
    pub fn has(&self, name: &str) -> bool {
        self.found.get(name).is_some_and(|(count, _)| *count > 0)
    }
}

/// Looks the names up. It leaves out modules, which come after the kernel's own symbols.
#[must_use]
pub fn symbols(text: &str, names: &[&str]) -> Symbols {
    let mut found: BTreeMap<&str, (u32, u64)> = names.iter().map(|name| (*name, (0, 0))).collect();
    let mut hidden = true;
    for line in text.lines() {
        let mut fields = line.split_ascii_whitespace();
        let (Some(address), Some(_kind), Some(name), None) =
            (fields.next(), fields.next(), fields.next(), fields.next())
        else {
            continue;
        };
        // Per-CPU symbols have small addresses, and the first one has zero. So one zero proves nothing.
        hidden = hidden && address.bytes().all(|digit| digit == b'0');
        if let Some((count, last)) = found.get_mut(name) {
            *count += 1;
            *last = u64::from_str_radix(address, 16).unwrap_or(0);
        }
    }
    Symbols { found: found.into_iter().map(|(name, entry)| (name.to_owned(), entry)).collect(), hidden }
}

/// Which of the names `available_filter_functions` lists. Those have a place for a probe.
#[must_use]
pub fn traceable(text: &str, names: &[&str]) -> BTreeMap<String, bool> {
    let mut found: BTreeMap<&str, bool> = names.iter().map(|name| (*name, false)).collect();
    for line in text.lines() {
        // The name of a module follows its function, in brackets.
        if let Some(listed) = found.get_mut(line.trim_end()) {
            *listed = true;
        }
    }
    found.into_iter().map(|(name, listed)| (name.to_owned(), listed)).collect()
}

/// One more than the highest number of a list such as `0-3,8`.
#[must_use]
pub fn end_of_list(text: &str) -> Option<u32> {
    let last = text.trim().rsplit([',', '-']).next()?;
    last.parse::<u32>().ok()?.checked_add(1)
}

/// The size of a page in bytes, from a process's auxiliary vector of pairs of words.
#[must_use]
pub fn page_size(vector: &[u8]) -> Option<u64> {
    /// `AT_PAGESZ`.
    const PAGE_SIZE: u64 = 6;
    let words: Vec<u64> =
        vector.chunks_exact(8).filter_map(|word| word.try_into().ok().map(u64::from_ne_bytes)).collect();
    words.chunks_exact(2).find_map(|pair| match pair {
        [PAGE_SIZE, bytes] => Some(*bytes),
        _ => None,
    })
}

/// The effective capabilities in `/proc/self/status`.
#[must_use]
pub fn effective_capabilities(text: &str) -> Option<u64> {
    let line = text.lines().find_map(|line| line.strip_prefix("CapEff:"))?;
    u64::from_str_radix(line.trim(), 16).ok()
}

/// The word in brackets, as in `none [integrity] confidentiality`.
#[must_use]
pub fn chosen(text: &str) -> Option<&str> {
    let (_, after) = text.split_once('[')?;
    after.split_once(']').map(|(word, _)| word)
}
