//! Compares what krcu counts as outstanding at one moment with what the machine's memory held at that moment.
//!
//! Both must be the same objects. Two kinds of difference follow from where a task was stopped. Each is accepted only where
//! the memory shows that task:
//!
//! - A task was inside of a function that queues. krcu saw the call at its entry, and the object is on no list yet. This
//!   explains one object for each such task, and it must be that task's.
//! - A task was inside of a function that frees, and has taken a list over. krcu takes an object off when its free begins. What
//!   is left must be the end of that list. The begin of a list of rcu_heads may be in a register that the stack does not give
//!   back. Then this explains any object that was queued with an rcu_head; these are counted by themselves.
//!
//! An object that krcu does not count is one whose queueing it has missed. There may be as many of these as krcu itself says
//! that it has lost: its account of a whole run is checked against all moments together.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use anyhow::{Context as _, Result};
use serde::Deserialize;

/// A deferred free: by which function, and the address.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
pub(super) struct Deferred {
    /// `kfree_rcu` or `call_rcu`.
    how: String,
    /// The object; of `call_rcu` its head.
    object: String,
}

/// A line of `contrib/krcu_outstanding.py`.
#[derive(Deserialize)]
#[serde(tag = "kind")]
enum InMemory {
    #[serde(rename = "outstanding")]
    Outstanding {
        #[serde(flatten)]
        deferred: Deferred,
        cache: Option<String>,
        place: String,
    },
    #[serde(rename = "in hand")]
    InHand {
        #[serde(flatten)]
        deferred: Deferred,
        cache: Option<String>,
        task: u32,
        list: String,
    },
    #[serde(rename = "inside")]
    Inside { task: u32, comm: String, function: String },
    #[serde(rename = "unread")]
    Unread {},
    #[serde(rename = "no stack")]
    NoStack {},
}

/// What the memory held of some caches.
#[derive(Debug, Default)]
pub(super) struct Memory {
    /// What lies on the kernel's lists, and on which.
    on_lists: BTreeMap<Deferred, String>,
    /// What is on two lists.
    twice: Vec<Deferred>,
    /// What a task has taken over, by task and list, in the order in which it is freed.
    in_hand: BTreeMap<(u32, String), Vec<Deferred>>,
    /// Tasks that are inside of a function.
    inside: Vec<(u32, String, String)>,
    /// Whether a task has a list in hand whose begin is not known.
    has_unread: bool,
}

impl Memory {
    /// From what the script printed: the caches whose names begin with `prefix`.
    ///
    /// # Errors
    ///
    /// When a line is none of the script's.
    pub(super) fn read(text: &str, prefix: &str) -> Result<Self> {
        let is_ours = |cache: &Option<String>| cache.as_ref().is_some_and(|cache| cache.starts_with(prefix));
        let mut memory = Self::default();
        for line in text.lines() {
            match serde_json::from_str(line).with_context(|| format!("reading {line}"))? {
                InMemory::Outstanding { deferred, cache, place } if is_ours(&cache) => {
                    if memory.on_lists.insert(deferred.clone(), place).is_some() {
                        memory.twice.push(deferred);
                    }
                }
                InMemory::InHand { deferred, cache, task, list } if is_ours(&cache) => {
                    memory.in_hand.entry((task, list)).or_default().push(deferred);
                }
                InMemory::Inside { task, comm, function } => memory.inside.push((task, comm, function)),
                InMemory::Unread {} => memory.has_unread = true,
                InMemory::Outstanding { .. } | InMemory::InHand { .. } | InMemory::NoStack {} => {}
            }
        }
        Ok(memory)
    }
}

/// A line of the example `outstanding`: what krcu counts at a moment, or how many events it took for that.
#[derive(Debug, Deserialize)]
#[serde(untagged)]
enum Counted {
    Outstanding {
        at_ns: u64,
        #[serde(flatten)]
        deferred: Deferred,
        #[serde(flatten)]
        from: From,
    },
    Close {
        at_ns: u64,
        lost: u64,
    },
}

/// Where a deferred free comes from, by krcu's count.
#[derive(Debug, Deserialize)]
struct From {
    cache: String,
    /// Queued by the form without an rcu_head.
    headless: bool,
    task: u32,
}

/// What krcu counts at one moment.
#[derive(Debug, Default)]
pub(super) struct Count {
    /// What is outstanding.
    outstanding: BTreeMap<Deferred, From>,
    /// Events that were lost until then.
    pub(super) lost: u64,
}

/// What krcu counts, by moment.
///
/// # Errors
///
/// When a line is none of the example's.
pub(super) fn counts(text: &str) -> Result<BTreeMap<u64, Count>> {
    let mut counts: BTreeMap<u64, Count> = BTreeMap::new();
    for line in text.lines() {
        match serde_json::from_str(line).with_context(|| format!("reading {line}"))? {
            Counted::Outstanding { at_ns, deferred, from } => {
                counts.entry(at_ns).or_default().outstanding.insert(deferred, from);
            }
            Counted::Close { at_ns, lost } => counts.entry(at_ns).or_default().lost = lost,
        }
    }
    Ok(counts)
}

/// What comparing brought, of one moment or of several.
#[derive(Debug, Default)]
pub(super) struct Compared {
    /// Objects that krcu counts and that lie on a list, by the place of that list.
    pub(super) places: BTreeMap<String, u64>,
    /// The same, by cache.
    pub(super) caches: BTreeMap<String, u64>,
    /// Objects of tasks that were inside of a function that queues.
    pub(super) queueing: u64,
    /// Objects that a task had taken over to free them.
    pub(super) in_hand: u64,
    /// Objects that may be on a list which a task had taken over, and whose begin is not known.
    pub(super) unread: u64,
    /// Objects that krcu does not count, with the place of each.
    pub(super) missed: BTreeMap<Deferred, String>,
    /// What is wrong.
    pub(super) wrong: Vec<String>,
}

impl Compared {
    /// Objects that lie where krcu says.
    pub(super) fn agreed(&self) -> u64 {
        self.places.values().sum()
    }

    /// Adds another moment's.
    pub(super) fn add(&mut self, other: Compared) {
        let add = |to: &mut BTreeMap<String, u64>, from: BTreeMap<String, u64>| {
            for (name, count) in from {
                *to.entry(name).or_default() += count;
            }
        };
        add(&mut self.places, other.places);
        add(&mut self.caches, other.caches);
        self.queueing += other.queueing;
        self.in_hand += other.in_hand;
        self.unread += other.unread;
        self.missed.extend(other.missed);
        self.wrong.extend(other.wrong);
    }
}

impl fmt::Display for Compared {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let list = |counts: &BTreeMap<String, u64>| {
            let words: Vec<String> = counts.iter().map(|(name, count)| format!("{name} {count}")).collect();
            words.join(", ")
        };
        write!(
            formatter,
            "{} objects are where krcu says ({}; {}); {} of tasks that were queueing, {} in hand of tasks that were freeing, {} on \
             such lists that cannot be read, {} missed; {} differences",
            self.agreed(),
            list(&self.caches),
            list(&self.places),
            self.queueing,
            self.in_hand,
            self.unread,
            self.missed.len(),
            self.wrong.len(),
        )
    }
}

/// Compares one moment.
pub(super) fn compare(count: &Count, memory: &Memory) -> Compared {
    let mut compared = Compared::default();
    let twice = memory.twice.iter().map(|one| format!("the kernel has {} twice", one.object));
    compared.wrong.extend(twice);
    for (deferred, place) in &memory.on_lists {
        if let Some(from) = count.outstanding.get(deferred) {
            *compared.places.entry(place.clone()).or_default() += 1;
            *compared.caches.entry(from.cache.clone()).or_default() += 1;
        } else {
            compared.missed.insert(deferred.clone(), place.clone());
        }
    }
    let mut left: BTreeMap<&Deferred, &From> =
        count.outstanding.iter().filter(|(deferred, _)| !memory.on_lists.contains_key(deferred)).collect();
    for ((task, list), objects) in &memory.in_hand {
        let waiting: Vec<bool> = objects.iter().map(|object| left.remove(object).is_some()).collect();
        let begun = waiting.iter().take_while(|waits| !**waits).count();
        if waiting.iter().skip(begun).any(|waits| !waits) {
            compared.wrong.push(format!(
                "task {task} frees {} objects of its {list} in another order than krcu says",
                objects.len()
            ));
        }
        compared.in_hand += (objects.len() - begun) as u64;
    }
    let mut explained = BTreeSet::new();
    for (Deferred { how, object }, From { cache, headless, task }) in left {
        if memory.is_queueing(*task, how) && explained.insert((*task, how)) {
            compared.queueing += 1;
        } else if memory.has_unread && how == "kfree_rcu" && !headless {
            compared.unread += 1;
        } else {
            compared.wrong.push(format!(
                "{object} of {cache} by {how} in task {task}: krcu counts it, and it lies on no list{}",
                memory.words_of(*task)
            ));
        }
    }
    compared
}

impl Memory {
    /// Whether a task is inside of a function that queues in this way.
    fn is_queueing(&self, task: u32, how: &str) -> bool {
        self.inside.iter().any(|(of, _, function)| {
            let queues = match how {
                "kfree_rcu" => {
                    function.starts_with("kvfree_call_rcu") || function.starts_with("kfree_call_rcu")
                }
                _ => function.starts_with("call_rcu") || function.starts_with("__call_rcu"),
            };
            *of == task && queues
        })
    }

    /// Where tasks were, for a person who has to find out why.
    fn words_of(&self, task: u32) -> String {
        let all: Vec<String> = self
            .inside
            .iter()
            .map(|(of, comm, function)| {
                format!("{comm}[{of}]{} in {function}", if *of == task { ", which is it," } else { "" })
            })
            .collect();
        if all.is_empty() { String::new() } else { format!(" ({})", all.join("; ")) }
    }
}

#[cfg(test)]
mod tests {
    use super::{Compared, Count, Memory, compare, counts};

    const MEMORY: &str = r#"
{"kind": "outstanding", "how": "kfree_rcu", "object": "0x10", "cache": "ours_a", "cpu": 0, "place": "page"}
{"kind": "outstanding", "how": "kfree_rcu", "object": "0x11", "cache": "other", "cpu": 0, "place": "page"}
{"kind": "outstanding", "how": "call_rcu", "object": "0x12", "cache": null, "cpu": 0, "place": "callbacks: wait"}
{"kind": "in hand", "how": "kfree_rcu", "object": "0x20", "cache": "ours_a", "task": 7, "list": "pages", "function": "f"}
{"kind": "in hand", "how": "kfree_rcu", "object": "0x30", "cache": "ours_a", "task": 7, "list": "pages", "function": "f"}
{"kind": "inside", "task": 9, "comm": "c", "function": "kvfree_call_rcu", "frames": []}
"#;

    fn of(memory: &str, counted: &[(&str, u32)]) -> Compared {
        let mut text = String::new();
        for (object, task) in counted {
            text.push_str(&format!(
                "{{\"at_ns\":5,\"how\":\"kfree_rcu\",\"cache\":\"ours_a\",\"object\":\"{object}\",\"headless\":false,\"task\":{task}}}\n"
            ));
        }
        text.push_str("{\"at_ns\":5,\"events\":9,\"lost\":0,\"outstanding\":3}\n");
        let counts = counts(&text).unwrap();
        let none = Count::default();
        compare(counts.get(&5).unwrap_or(&none), &Memory::read(memory.trim(), "ours_").unwrap())
    }

    #[test]
    fn what_both_have_agrees_and_tasks_explain_the_rest() {
        let compared = of(MEMORY, &[("0x10", 1), ("0x30", 1), ("0x40", 9)]);
        assert_eq!(compared.wrong, Vec::<String>::new());
        assert_eq!((compared.agreed(), compared.in_hand, compared.queueing), (1, 1, 1));
    }

    #[test]
    fn an_object_that_only_one_has_is_told() {
        let missed: Vec<String> = of(MEMORY, &[]).missed.into_values().collect();
        assert_eq!(missed, ["page"]);
        assert_eq!(
            of(MEMORY, &[("0x10", 1), ("0x50", 1)]).wrong,
            [
                "0x50 of ours_a by kfree_rcu in task 1: krcu counts it, and it lies on no list (c[9] in kvfree_call_rcu)"
            ]
        );
        assert_eq!(of(MEMORY, &[("0x10", 1), ("0x40", 9), ("0x41", 9)]).wrong.len(), 1, "a task queues one");
    }

    #[test]
    fn what_is_in_hand_is_freed_from_the_begin() {
        let compared = of(MEMORY, &[("0x10", 1), ("0x20", 1)]);
        assert_eq!(
            compared.wrong,
            ["task 7 frees 2 objects of its pages in another order than krcu says"],
            "the first waits, and the second does not"
        );
        assert_eq!(of(MEMORY, &[("0x10", 1), ("0x20", 1), ("0x30", 1)]).in_hand, 2);
    }

    #[test]
    fn a_list_that_cannot_be_read_explains_what_was_queued_with_a_head() {
        let memory =
            format!("{MEMORY}{}\n", r#"{"kind": "unread", "task": 7, "function": "f", "list": "head"}"#);
        let compared = of(&memory, &[("0x10", 1), ("0x50", 1), ("0x51", 1)]);
        assert_eq!((compared.unread, compared.wrong.len()), (2, 0));
    }

    #[test]
    fn an_object_on_two_lists_is_told() {
        let twice = MEMORY.replace("0x11\", \"cache\": \"other", "0x10\", \"cache\": \"ours_a");
        assert_eq!(of(&twice, &[("0x10", 1)]).wrong, ["the kernel has 0x10 twice"]);
    }
}
