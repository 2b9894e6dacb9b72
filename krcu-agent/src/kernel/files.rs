//! The kernel's text files, from their text to what krcu asks of them. Pure: text in, facts out.

use std::collections::BTreeMap;

/// What `/proc/kallsyms` says of the names that were asked for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Symbols {
    /// How often each name asked for occurs in the kernel proper, and the address of its last one.
    pub found: BTreeMap<String, (u32, u64)>,
    /// Whether every address read as zero: they are kept from this process.
    pub hidden: bool,
}

/// Looks the names up; modules, which come after the kernel's own symbols, are left out.
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
        // Per-CPU symbols lie at small addresses, the first of them at zero, so one is not enough.
        hidden = hidden && address.bytes().all(|digit| digit == b'0');
        if let Some((count, last)) = found.get_mut(name) {
            *count += 1;
            *last = u64::from_str_radix(address, 16).unwrap_or(0);
        }
    }
    Symbols { found: found.into_iter().map(|(name, entry)| (name.to_owned(), entry)).collect(), hidden }
}

/// Which of the names `available_filter_functions` lists: those with a place for a probe.
#[must_use]
pub fn traceable(text: &str, names: &[&str]) -> BTreeMap<String, bool> {
    let mut found: BTreeMap<&str, bool> = names.iter().map(|name| (*name, false)).collect();
    for line in text.lines() {
        // A module's function is followed by the module's name in brackets.
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn symbols_of_the_kernel_are_counted_and_those_of_modules_are_not() {
        let text = "0000000000000000 A fixed_percpu_data\n\
                    ffffffff81000000 T _text\n\
                    ffffffff81000010 t twice\n\
                    ffffffff81000020 t twice\n\
                    ffffffffc0000000 t _text\t[some_module]\n";
        let symbols = symbols(text, &["_text", "twice", "absent"]);
        assert!(!symbols.hidden);
        assert_eq!(symbols.found["_text"], (1, 0xffff_ffff_8100_0000));
        assert_eq!(symbols.found["twice"], (2, 0xffff_ffff_8100_0020));
        assert_eq!(symbols.found["absent"], (0, 0));
    }

    #[test]
    fn addresses_that_are_all_zero_are_hidden() {
        assert!(symbols("0000000000000000 T _text\n0000000000000000 T _etext\n", &[]).hidden);
    }

    #[test]
    fn a_traceable_function_is_one_listed_without_a_module() {
        let listed = traceable("kvfree\nrcu_barrier\nhelper [a_module]\n", &["kvfree", "helper", "absent"]);
        assert_eq!((listed["kvfree"], listed["helper"], listed["absent"]), (true, false, false));
    }

    #[test]
    fn lists_end_after_their_last_number() {
        assert_eq!(end_of_list("0-3\n"), Some(4));
        assert_eq!(end_of_list("0,2-7,12\n"), Some(13));
        assert_eq!(end_of_list("0\n"), Some(1));
        assert_eq!(end_of_list("\n"), None);
        assert_eq!(end_of_list("4294967295"), None);
    }

    #[test]
    fn status_and_lockdown_are_read() {
        assert_eq!(effective_capabilities("Name:\tx\nCapEff:\t000001ffffffffff\n"), Some(0x1ff_ffff_ffff));
        assert_eq!(effective_capabilities("Name:\tx\n"), None);
        assert_eq!(chosen("none [integrity] confidentiality\n"), Some("integrity"));
        assert_eq!(chosen("none integrity"), None);
    }
}
