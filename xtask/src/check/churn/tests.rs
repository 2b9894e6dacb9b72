//! A small churn, right and with each kind of wrong verdict put in by hand.

use std::collections::BTreeMap;

use super::argued::{ARGUED, Argued, PLAYS};
use super::judge::{Evidence, Fault, Verdict, judge, mistakes_not_found};
use super::log::KernelLog;
use super::order::order;
use super::steps::Steps;
use super::{attached_ns, verdicts};
use crate::check::scenarios::SERIES;

/// The log's clock is 0.25 s before krcu's; the cache `a` is reported twice.
const LOG: &str = "\
6,7,1750000,-;krcu-churn: clock 2.00
6,8,3000000,-;a module says something
4,9,11800000,-;kmem_cache_destroy a: Slab cache still has objects when called from one_exit+0x1/0x2 [one]
 SUBSYSTEM=none
6,10,20750100,-;krcu-churn: clock 21.00
4,11,31800000,-;kmem_cache_destroy a: Slab cache still has objects when called from one_exit+0x1/0x2 [one]
";
/// The probes were attached two seconds into the life of the machine.
const ATTACHED_NS: i64 = 2_000_000_000;
const ARGUMENTS: &[Argued] = &[
    Argued { module: "two", cache: "b", word: "abandoned", series: &["6.1"], why: "It does." },
    Argued { module: "two", cache: "", word: "unordered", series: &["6.1"], why: "It does not." },
];

/// A verdict so many seconds after the probes were attached.
fn of(cache: &str, word: &str, flagged: bool, seconds: i64) -> Verdict {
    Verdict {
        verdict: word.to_owned(),
        flagged,
        flagged_strictly: flagged,
        cache: cache.to_owned(),
        module: Some(if cache == "a" { "one" } else { "two" }.to_owned()),
        destroyed_at_ns: seconds * 1_000_000_000,
        ..Verdict::default()
    }
}

fn unload(word: &str, flagged_strictly: bool) -> Verdict {
    Verdict { about: "module".to_owned(), flagged_strictly, ..of("", word, false, 50) }
}

/// Two destroys of `a` that are reported, one between them that is not, and others that are argued for.
fn right() -> Vec<Verdict> {
    vec![
        of("a", "leaked", true, 10),
        of("a", "clean", false, 20),
        of("a", "inconclusive", false, 30),
        of("b", "abandoned", true, 40),
        unload("unordered", true),
    ]
}

fn evidence(verdicts: Vec<Verdict>) -> Evidence<'static> {
    Evidence { series: "6.1", log: LOG, verdicts, attached_ns: ATTACHED_NS }
}

fn faults(verdicts: Vec<Verdict>) -> Vec<Fault> {
    judge(&evidence(verdicts), ARGUMENTS).faults
}

/// The right verdicts, of which one is changed.
fn changed(place: usize, word: &str, flagged: bool) -> Vec<Verdict> {
    let mut verdicts = right();
    verdicts[place].verdict = word.to_owned();
    verdicts[place].flagged = flagged;
    verdicts[place].flagged_strictly = flagged;
    verdicts
}

#[test]
fn right_verdicts_have_no_fault_and_are_counted() {
    let judgement = judge(&evidence(right()), ARGUMENTS);
    assert_eq!(judgement.faults, []);
    let counts = |counts: &BTreeMap<String, usize>| -> Vec<(String, usize)> {
        counts.iter().map(|(word, count)| (word.clone(), *count)).collect()
    };
    let word = |word: &str| (word.to_owned(), 1);
    let of_caches = [word("abandoned"), word("clean"), word("inconclusive"), word("leaked")];
    assert_eq!(counts(&judgement.of_caches), of_caches);
    assert_eq!(counts(&judgement.of_modules), [word("unordered")]);
    assert_eq!((judgement.reported.len(), judgement.argued.len(), judgement.open.len()), (2, 2, 1));
}

#[test]
fn a_warning_beside_a_verdict_that_does_not_flag_it_is_a_fault() {
    for word in ["clean", "waited", "unordered"] {
        let found = faults(changed(2, word, false));
        assert!(
            matches!(&found[..], [Fault::Overlooked { warning, word: said }]
                if said == word && warning.at_us == 31_800_000),
            "{found:?}"
        );
    }
}

#[test]
fn a_warning_without_a_verdict_is_a_fault() {
    let mut verdicts = right();
    verdicts.remove(0);
    assert!(matches!(&faults(verdicts)[..], [Fault::Unjudged(warning)] if warning.at_us == 11_800_000));
    // Another cache's verdict at the same moment is none of this one.
    let mut verdicts = right();
    verdicts[0].cache = "c".to_owned();
    let found = faults(verdicts);
    assert!(found.iter().any(|fault| matches!(fault, Fault::Unjudged(_))), "{found:?}");
}

#[test]
fn a_flagged_verdict_without_a_warning_or_an_entry_is_a_fault() {
    let found = faults(changed(1, "pending", true));
    let [Fault::Unargued { name, word, at_us }] = &found[..] else { panic!("{found:?}") };
    assert_eq!((name.as_str(), word.as_str(), *at_us), ("a of one", "pending", 21_750_000));
    // An entry is about some kernels.
    let elsewhere = Evidence { series: "6.12", ..evidence(right()) };
    assert_eq!(judge(&elsewhere, ARGUMENTS).faults.len(), 2);
}

#[test]
fn a_flagged_verdict_with_another_word_than_is_argued_is_a_fault() {
    let found = faults(changed(3, "late-free", true));
    assert!(matches!(&found[..], [Fault::ArguedOtherwise { argued: "abandoned", .. }]), "{found:?}");
    let mut verdicts = right();
    verdicts[4] = unload("pending", true);
    assert!(matches!(&faults(verdicts)[..], [Fault::ArguedOtherwise { argued: "unordered", .. }]));
}

#[test]
fn a_warning_is_of_the_destroy_before_it_and_of_no_other() {
    // The warning came before this destroy began, or long after it had ended.
    for seconds in [11, -20] {
        let mut verdicts = right();
        verdicts[0].destroyed_at_ns = seconds * 1_000_000_000;
        let found = faults(verdicts);
        assert!(found.iter().any(|fault| matches!(fault, Fault::Unjudged(_))), "{seconds}: {found:?}");
    }
    // A destroy that waited for half a minute reports late.
    let mut verdicts = right();
    verdicts[0].destroyed_at_ns = -20_000_000_000;
    verdicts[0].wait_ns = Some(29_000_000_000);
    assert_eq!(faults(verdicts), []);
}

#[test]
fn what_is_not_in_the_log_is_not_passed_over() {
    let without = LOG.replace("6,8,3000000,-;a module says something\n", "");
    let judgement = judge(&Evidence { log: &without, ..evidence(right()) }, ARGUMENTS);
    assert_eq!(judgement.faults, [Fault::Gap { before: 7, after: 9 }]);
    let without = LOG.replace("krcu-churn: clock", "clock");
    let judgement = judge(&Evidence { log: &without, ..evidence(right()) }, ARGUMENTS);
    assert_eq!(judgement.faults, [Fault::NoClock]);
    // Read twice, it is the same.
    let twice = format!("{LOG}{LOG}");
    assert_eq!(KernelLog::read(&twice), KernelLog::read(LOG));
    assert!(verdicts("{\"kind\":\"verdict\",\"verdict\":\"clean\",\"cache\":\"a\"}\n").is_err());
}

#[test]
fn mistakes_that_are_put_in_by_hand_are_found() {
    assert_eq!(mistakes_not_found(&evidence(right()), ARGUMENTS), (4, vec![]));
    // Where nothing is reported and nothing argued, one can be made all the same.
    let few = evidence(vec![of("c", "clean", false, 5)]);
    assert_eq!(mistakes_not_found(&Evidence { log: &LOG[..50], ..few }, ARGUMENTS), (1, vec![]));
}

#[test]
fn a_seed_determines_the_order_and_each_pass_has_each_module() {
    let modules: Vec<String> = ["a", "b", "c", "d", "e", "f", "g"].map(str::to_owned).to_vec();
    let text = order(&modules, 3, 1);
    assert_eq!(text, order(&modules, 3, 1));
    assert_ne!(text, order(&modules, 3, 2));
    let passes: Vec<&str> = text.split("pass\n").skip(1).collect();
    assert_eq!(passes.len(), 4);
    for pass in passes {
        let mut names: Vec<&str> =
            pass.split_whitespace().filter(|name| !name.starts_with("play:")).collect();
        names.sort_unstable();
        assert_eq!(names, modules);
    }
}

#[test]
fn steps_are_counted_and_what_was_skipped_has_its_reason() {
    let steps = Steps::read(
        "pass 1\nloaded a\nloaded a\nloaded play:leaks\nunloaded a\nrefused b No such device\n\
         refused b No such device\nrefused c No such device\nstays d it is used\n",
    );
    assert_eq!((steps.passes, steps.loads, steps.modules, steps.unloads), (1, 2, 1, 1));
    assert_eq!(steps.plays, BTreeMap::from([("leaks".to_owned(), 1)]));
    let skipped = [
        (("not loaded", "No such device".to_owned()), vec!["b".to_owned(), "c".to_owned()]),
        (("not unloaded", "it is used".to_owned()), vec!["d".to_owned()]),
    ];
    assert_eq!(steps.skipped, BTreeMap::from(skipped));
}

#[test]
fn entries_name_kernels_and_scripts_are_reported_or_argued() {
    for entry in ARGUED {
        assert!(entry.series.iter().all(|series| SERIES.contains(series)), "{}", entry.name());
        assert!(entry.why.ends_with('.'), "{} has no sentence", entry.name());
    }
    for play in PLAYS {
        let cache = play.cache();
        assert!(play.script.contains(&cache), "{}", play.name);
        for series in SERIES {
            let mut entries = ARGUED.iter().filter(|entry| entry.cache == cache);
            let is_argued = entries.any(|entry| entry.series.contains(&series));
            let is_reported = play.reported_on.contains(&series);
            assert_eq!(is_reported || is_argued, play.name != "clean", "{} on {series}", play.name);
        }
    }
}

#[test]
fn the_head_of_a_trace_says_when_the_probes_were_attached() {
    assert_eq!(attached_ns("{\"watch\":{\"attached_ns\":7,\"blind\":[]},\"format\":1}").unwrap(), 7);
    assert!(attached_ns("{}").is_err());
}
