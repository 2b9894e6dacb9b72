//! What the sample modules did on real kernels, replayed; and the same with one line moved, as if the
//! kernel had broken a promise.
//!
//! The traces are what `krcu check --events` wrote (`cargo xtask traces` records them again). What is
//! expected of each follows from its module's source, from the numbers of objects that the recording
//! asks for, and from what that kernel's destroy does: not from what the model said.

#![expect(clippy::expect_used, clippy::panic, reason = "a test's helpers fail as the test does")]

use std::{collections::BTreeSet, fs, path::PathBuf};

use krcu_common::BarrierKind;
use krcu_model::{
    Verdict,
    event::{CacheAddress, ObjectAddress, What},
    script::{self, Script},
    verdicts,
};

/// What must come of one cache.
struct Expected {
    cache: &'static str,
    /// One word, or those that the module leaves to the kernel's haste.
    words: &'static [&'static str],
    /// Objects handed to `kfree_rcu()`.
    queued: u64,
    /// Objects handed to `call_rcu()`.
    callbacks: u64,
    /// Objects that nobody queued; none where the verdict does not say.
    leaked: Option<u64>,
    /// Deferred frees after the destroy has looked.
    late: u64,
}

const fn expected(cache: &'static str, words: &'static [&'static str]) -> Expected {
    Expected { cache, words, queued: 0, callbacks: 0, leaked: Some(0), late: 0 }
}

/// A trace, and its caches in the order of their destroys.
struct Golden {
    trace: &'static str,
    caches: &'static [Expected],
    /// Why.
    reason: &'static str,
}

const GOLDEN: &[Golden] = &[
    Golden {
        trace: "6.1-pending",
        caches: &[Expected { queued: 777, late: 777, ..expected("krcu_pending", &["pending"]) }],
        reason: "queued, destroyed at once, and this destroy does not wait",
    },
    Golden {
        trace: "6.12-pending",
        caches: &[Expected { queued: 777, ..expected("krcu_pending", &["waited"]) }],
        reason: "the same, and this destroy waits",
    },
    Golden {
        trace: "6.1-leak",
        caches: &[Expected { leaked: Some(5), ..expected("krcu_leak", &["leaked"]) }],
        reason: "five objects are forgotten",
    },
    Golden {
        trace: "6.12-leak",
        caches: &[Expected { leaked: Some(5), ..expected("krcu_leak", &["leaked"]) }],
        reason: "waiting does not help what nobody queued",
    },
    Golden {
        trace: "6.1-mixed",
        caches: &[Expected {
            queued: 300,
            leaked: Some(5),
            late: 300,
            ..expected("krcu_mixed", &["pending"])
        }],
        reason: "some queued, five forgotten, no wait",
    },
    Golden {
        trace: "6.12-mixed",
        caches: &[Expected { queued: 300, leaked: Some(5), ..expected("krcu_mixed", &["leaked"]) }],
        reason: "the queued ones are waited for, the forgotten ones are left",
    },
    Golden {
        trace: "6.1-call_rcu",
        caches: &[Expected { callbacks: 300, ..expected("krcu_call_rcu", &["clean"]) }],
        reason: "rcu_barrier() after the last call_rcu()",
    },
    Golden {
        trace: "6.12-call_rcu",
        caches: &[Expected { callbacks: 300, ..expected("krcu_call_rcu", &["clean"]) }],
        reason: "rcu_barrier() after the last call_rcu()",
    },
    Golden {
        trace: "6.1-barrier",
        caches: &[Expected { callbacks: 300, ..expected("krcu_barrier", &["clean"]) }],
        reason: "no kvfree_rcu_barrier() here, so by call_rcu() and rcu_barrier()",
    },
    Golden {
        trace: "6.12-barrier",
        caches: &[Expected { queued: 300, ..expected("krcu_barrier", &["clean"]) }],
        reason: "kvfree_rcu_barrier() after the last kfree_rcu()",
    },
    Golden {
        trace: "6.1-lucky",
        caches: &[Expected { queued: 300, ..expected("krcu_lucky", &["unordered"]) }],
        reason: "eight seconds later all are free, and nothing made it so",
    },
    Golden {
        trace: "6.12-lucky",
        caches: &[Expected { queued: 300, ..expected("krcu_lucky", &["clean"]) }],
        reason: "the barrier inside the destroy orders them, and has nothing to wait for",
    },
    Golden {
        trace: "6.1-mightsleep",
        caches: &[Expected { queued: 300, late: 300, ..expected("krcu_mightsleep", &["pending"]) }],
        reason: "as krcu_pending; less than a page of pointers, which waits for seconds",
    },
    Golden {
        trace: "6.12-mightsleep",
        caches: &[Expected { queued: 300, ..expected("krcu_mightsleep", &["waited"]) }],
        reason: "the same, and this destroy waits",
    },
    Golden {
        trace: "6.1-two",
        caches: &[
            Expected { queued: 300, late: 300, ..expected("krcu_two_pending", &["pending"]) },
            expected("krcu_two_correct", &["clean"]),
        ],
        reason: "the pending one is destroyed first; of the other everything was freed by kmem_cache_free()",
    },
    Golden {
        trace: "6.12-two",
        caches: &[
            Expected { queued: 300, ..expected("krcu_two_pending", &["waited"]) },
            expected("krcu_two_correct", &["clean"]),
        ],
        reason: "the same, and this destroy waits",
    },
    Golden {
        trace: "6.1-race",
        caches: &[
            expected("krcu_race_quiet", &["clean"]),
            Expected { queued: 300, late: 300, ..expected("krcu_race_busy", &["pending"]) },
        ],
        reason: "less than a page of pointers, which waits for seconds, and no wait in between",
    },
    Golden {
        trace: "6.12-race",
        caches: &[
            expected("krcu_race_quiet", &["clean"]),
            Expected { queued: 300, ..expected("krcu_race_busy", &["clean", "waited"]) },
        ],
        reason: "the barrier inside the first destroy covers the busy cache too, as far as its thread had come",
    },
    Golden {
        trace: "6.1-attached_after_load",
        caches: &[
            Expected { callbacks: 300, ..expected("krcu_call_rcu", &["clean"]) },
            Expected { queued: 300, late: 300, ..expected("krcu_pending", &["pending"]) },
        ],
        reason: "as many are left as were seen queued, though the cache is older than the probes",
    },
    Golden {
        trace: "6.12-attached_after_load",
        caches: &[
            Expected { callbacks: 300, ..expected("krcu_call_rcu", &["clean"]) },
            Expected { queued: 300, ..expected("krcu_pending", &["waited"]) },
        ],
        reason: "the barrier inside the destroy covers what was queued before the probes came as well",
    },
];

fn folder() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/traces")
}

fn read(trace: &str) -> Script {
    let path = folder().join(format!("{trace}.script"));
    let text = fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    script::read(&text).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// What is said of each cache: its name and the word.
fn words(script: &Script) -> Vec<(String, &'static str)> {
    let verdicts = verdicts(&script.replay());
    verdicts.into_iter().map(|verdict| (verdict.cache.name, verdict.decision.kind.word())).collect()
}

/// The only verdict of this word.
fn the(script: &Script, word: &str) -> Verdict {
    let all = verdicts(&script.replay());
    let mut matching = all.into_iter().filter(|verdict| verdict.decision.kind.word() == word);
    let first = matching.next().unwrap_or_else(|| panic!("no verdict `{word}`"));
    assert!(matching.next().is_none(), "two verdicts `{word}`");
    first
}

#[test]
fn each_trace_comes_to_what_its_module_did() {
    for Golden { trace, caches, reason } in GOLDEN {
        let verdicts = verdicts(&read(trace).replay());
        // A verdict more would be an accusation: no kernel has broken a promise.
        assert_eq!(verdicts.len(), caches.len(), "{trace}: {reason}: {verdicts:?}");
        for (verdict, expected) in verdicts.iter().zip(*caches) {
            assert_eq!(verdict.cache.name, expected.cache, "{trace}: {reason}");
            let word = verdict.decision.kind.word();
            assert!(expected.words.contains(&word), "{trace} {}: {word}: {reason}", verdict.cache.name);
            let counts = (
                verdict.evidence.deferred.queued_ever,
                verdict.evidence.deferred.callbacks_ever,
                verdict.decision.left.leaked,
                verdict.evidence.late.frees,
                verdict.decision.left.undecided,
            );
            let Expected { queued, callbacks, leaked, late, .. } = *expected;
            assert_eq!(
                counts,
                (queued, callbacks, leaked, late, 0),
                "{trace} {}: {reason}",
                verdict.cache.name
            );
        }
    }
}

#[test]
fn every_trace_is_expected_and_every_expectation_has_one() {
    let files: BTreeSet<String> = fs::read_dir(folder())
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .filter_map(|name| name.strip_suffix(".script").map(str::to_owned))
        .collect();
    let expected: BTreeSet<String> = GOLDEN.iter().map(|golden| golden.trace.to_owned()).collect();
    assert_eq!(files, expected);
}

#[test]
fn a_trace_is_written_as_it_was_read_and_replays_to_the_same_bytes() {
    for Golden { trace, .. } in GOLDEN {
        let script = read(trace);
        let text = script::write_with(&script.watch, &script.events);
        let again = script::read(&text).unwrap();
        assert!(again == script, "{trace}");
        // But for comments, the text is the recording itself.
        let recorded = fs::read_to_string(folder().join(format!("{trace}.script"))).unwrap();
        let recorded = recorded.lines().filter(|line| !line.starts_with('#'));
        assert!(recorded.eq(text.lines()), "{trace}");
        let said = |script: &Script| format!("{:?}", verdicts(&script.replay()));
        assert_eq!(said(&script), said(&again), "{trace}");
    }
}

/// Moves one event to directly before another; everything else stays as it was.
fn moved(script: &Script, from: usize, before: usize) -> Script {
    let mut events = script.events.clone();
    let event = events.remove(from);
    events.insert(if from < before { before - 1 } else { before }, event);
    Script { watch: script.watch.clone(), events }
}

/// The place of the first event from here on that is so.
fn next(script: &Script, from: usize, is: impl Fn(&What) -> bool) -> usize {
    let place = script.events.iter().skip(from).position(|event| is(&event.what));
    from + place.expect("the trace has such an event")
}

fn address(script: &Script, name: &str) -> CacheAddress {
    let found = script.events.iter().find_map(|event| match &event.what {
        What::DestroyBegin { cache, facts, .. } if facts.name == name => Some(*cache),
        _ => None,
    });
    found.expect("the cache is destroyed")
}

/// The places of the frees of a cache's objects, each with that of the call that queued the object.
fn frees(script: &Script, name: &str) -> Vec<(usize, usize)> {
    let cache = address(script, name);
    let queued_before = |place: usize, object: ObjectAddress| {
        let before = &script.events[..place];
        before.iter().rposition(|event| matches!(event.what, What::Queued { object: o, .. } if o == object))
    };
    let places = script.events.iter().enumerate();
    places
        .filter_map(|(place, event)| match event.what {
            What::Freed { object, cache: of, .. } if of == cache => {
                queued_before(place, object).map(|queued| (place, queued))
            }
            _ => None,
        })
        .collect()
}

/// Where the first grace period that covers what was queued here began, and where it ended.
fn grace_after(script: &Script, queued: usize) -> (usize, usize) {
    let begin = next(script, queued, |what| matches!(what, What::GraceBegin { expedited: false }));
    let end = next(script, begin, |what| matches!(what, What::GraceEnd { expedited: false }));
    let is_expedited = |what: &What| {
        matches!(what, What::GraceBegin { expedited: true } | What::GraceEnd { expedited: true })
    };
    // Of an expedited one it is known only that it is over some time after its first event.
    let expedited = script.events[queued..end].iter().position(|event| is_expedited(&event.what));
    expedited.map_or((begin, end), |place| (queued + place, queued + place))
}

/// The traces in which a cache's objects are freed by `kfree_rcu()`, and that cache.
fn with_frees() -> impl Iterator<Item = (&'static str, &'static str)> {
    GOLDEN.iter().flat_map(|golden| {
        let caches = golden.caches.iter().filter(|expected| expected.queued > 0);
        caches.map(|expected| (golden.trace, expected.cache))
    })
}

#[test]
fn a_free_before_its_grace_period_is_freed_early() {
    let mut cases = 0;
    for (trace, cache) in with_frees() {
        let script = read(trace);
        // What is left is the same wherever a free that is too early stands, so all else is said as before.
        let mut expected = words(&script);
        expected.push((cache.to_owned(), "freed-early"));
        let frees = frees(&script, cache);
        for (freed, queued) in [frees.first(), frees.get(frees.len() / 2), frees.last()].into_iter().flatten()
        {
            let (begin, end) = grace_after(&script, *queued);
            assert!(*queued < begin && begin <= end && end < *freed, "{trace}: the kernel waited");
            for before in [end, begin] {
                let corrupted = moved(&script, *freed, before);
                assert_eq!(words(&corrupted), expected, "{trace}, line {freed} before {before}");
                assert_eq!(the(&corrupted, "freed-early").decision.left.frees, 1, "{trace}");
                cases += 1;
            }
            // Right after its end it is early by nobody's count.
            let uncorrupted = moved(&script, *freed, end + 1);
            assert!(!words(&uncorrupted).iter().any(|(_, word)| *word == "freed-early"), "{trace}");
        }
    }
    // Three objects of a cache in seven traces of 6.1 and eight of 6.12, each moved twice.
    assert_eq!(cases, (7 + 8) * 3 * 2);
}

/// The barrier for `kfree_rcu()` during which objects of a cache are freed: its end, and the first free.
fn barrier_over(script: &Script, name: &str) -> (usize, usize) {
    let kvfree = BarrierKind::Kvfree;
    let mut from = 0;
    loop {
        let begin = next(
            script,
            from,
            |what| matches!(what, What::BarrierBegin { barrier, .. } if *barrier == kvfree),
        );
        let end = next(
            script,
            begin,
            |what| matches!(what, What::BarrierEnd { barrier, .. } if *barrier == kvfree),
        );
        let inside = frees(script, name).into_iter().find(|(freed, _)| (begin..end).contains(freed));
        if let Some((first, _)) = inside {
            return (end, first);
        }
        from = end;
    }
}

#[test]
fn a_barrier_that_returns_before_what_it_covers_is_early() {
    for (trace, cache, objects) in [
        // The module's own call, and those inside the destroy.
        ("6.12-barrier", "krcu_barrier", 300),
        ("6.12-pending", "krcu_pending", 777),
        ("6.12-mixed", "krcu_mixed", 300),
        ("6.12-two", "krcu_two_pending", 300),
        ("6.12-mightsleep", "krcu_mightsleep", 300),
        ("6.12-attached_after_load", "krcu_pending", 300),
    ] {
        let script = read(trace);
        let mut expected = words(&script);
        // When the destroy looks, everything is free all the same, and a barrier began before it.
        expected.push((cache.to_owned(), "barrier-early"));
        let (end, first) = barrier_over(&script, cache);
        let corrupted = moved(&script, end, first);
        assert_eq!(words(&corrupted), expected, "{trace}");
        assert_eq!(the(&corrupted, "barrier-early").decision.left.frees, objects, "{trace}");
    }
}

/// The thread's calls are not ordered before the destroying task's barrier by anything that was seen.
#[test]
fn a_barrier_of_another_task_is_not_accused() {
    let script = read("6.12-race");
    let (end, first) = barrier_over(&script, "krcu_race_busy");
    assert_eq!(words(&moved(&script, end, first)), words(&script));
}

#[test]
fn a_free_after_its_cache_is_gone_is_late() {
    for (trace, cache, barriers) in [
        // Nothing but luck stands between: nobody is accused.
        ("6.1-lucky", "krcu_lucky", 0),
        // A barrier inside the destroy returned, and so did it in vain.
        ("6.12-lucky", "krcu_lucky", 1),
        ("6.12-pending", "krcu_pending", 1),
        ("6.12-two", "krcu_two_pending", 1),
        ("6.12-attached_after_load", "krcu_pending", 1),
    ] {
        let script = read(trace);
        let released = address(&script, cache);
        let (freed, _) = frees(&script, cache)[0];
        let after =
            next(&script, freed, |what| matches!(what, What::CacheReleased { cache } if *cache == released))
                + 1;
        let mut expected = words(&script);
        let of_cache = expected.iter_mut().filter(|(name, _)| name == cache);
        of_cache.for_each(|(_, word)| *word = "late-free");
        expected.extend((0..barriers).map(|_| (cache.to_owned(), "barrier-early")));
        let corrupted = moved(&script, freed, after);
        assert_eq!(words(&corrupted), expected, "{trace}");
        assert_eq!(the(&corrupted, "late-free").evidence.late.frees, 1, "{trace}");
    }
}

#[test]
fn an_empty_cache_with_objects_outstanding_disagrees_until_they_land_late() {
    for golden in GOLDEN.iter().filter(|golden| golden.trace.starts_with("6.1-")) {
        for Expected { cache, .. } in golden.caches.iter().filter(|expected| expected.words == ["pending"]) {
            let mut script = read(golden.trace);
            let mut expected = words(&script);
            let of_cache = expected.iter_mut().filter(|(name, _)| name == cache);
            of_cache.for_each(|(_, word)| *word = "late-free");
            let looked = address(&script, cache);
            let begin = next(
                &script,
                0,
                |what| matches!(what, What::ShutdownBegin { cache, .. } if *cache == looked),
            );
            let end =
                next(&script, begin, |what| matches!(what, What::ShutdownEnd { empty: Some(false), .. }));
            script.events[end].what = What::ShutdownEnd { empty: Some(true), left: None };
            // What lands afterwards lands in memory that was given back; before that, both cannot be right.
            assert_eq!(words(&script), expected, "{} {cache}", golden.trace);
            script.events.truncate(end + 1);
            assert_eq!(the(&script, "model-disagrees").cache.name, *cache, "{}", golden.trace);
        }
    }
}
