//! Each disagreement is found, and what excuses it excuses nothing else.

use super::{Evidence, INEXACT, Judgement, contradictions};
use crate::check::scenarios::{Expectation, Line, Want};

const LOG: &str = "[  1.0] m: truth cache=c queued=777 leaked=0 outstanding=777 outstanding_min=770\n";
const LINE: &str =
    r#"{"kind":"verdict","cache":"c","verdict":"pending","n":777,"one":1,"from":[{"at":"flush+0x1"}]}"#;

fn judge(fields: &'static [(&'static str, Want)], stdout: &str) -> Vec<String> {
    judge_all(Box::leak(Box::new([Line { kind: "verdict", cache: Some("c"), fields }])), stdout)
}

fn judge_all(lines: &'static [Line], stdout: &str) -> Vec<String> {
    let expected =
        Expectation { series: &["6.1"], status: 10, lines, log_has: &["truth"], log_lacks: &["BUG"] };
    wrong(&expected, &Evidence { status: 10, stdout: stdout.to_owned(), log: LOG.to_owned() })
}

/// What is wrong, where nothing may be left open.
fn wrong(expected: &Expectation, evidence: &Evidence) -> Vec<String> {
    let Judgement { wrong, open, premise } = super::judge(expected, &[], evidence);
    assert_eq!((open.len(), premise.len()), (0, 0), "{open:?} {premise:?}");
    wrong
}

#[test]
fn fields_agree() {
    let fields = &[
        ("verdict", Want::Text("pending")),
        ("n", Want::Truth("outstanding")),
        ("n", Want::TruthBetween("outstanding_min", "outstanding")),
        ("n", Want::AtLeast(700)),
        ("one", Want::LogLines("truth")),
        ("absent", Want::Nothing),
        ("absent", Want::NumberOrNothing(0)),
        ("one", Want::NumberOrNothing(1)),
        ("/from/0/at", Want::Has("flush")),
        ("from", Want::Has("flush")),
    ];
    assert_eq!(judge(fields, LINE), Vec::<String>::new());
}

#[test]
fn each_disagreement_is_told() {
    let found = judge(
        &[("verdict", Want::Text("clean")), ("n", Want::Truth("leaked")), ("n", Want::Truth("no"))],
        LINE,
    );
    assert_eq!(found.len(), 3, "{found:?}");
    assert!(found[1].contains("777, expected 0, the module's leaked"), "{found:?}");
    assert_eq!(judge(&[], ""), ["0 lines `verdict of c`, expected one"]);
    assert_eq!(judge(&[], &format!("{LINE}\n{LINE}")), ["2 lines `verdict of c`, expected one"]);
    assert!(judge(&[], "krcu: no root").iter().any(|text| text.starts_with("not JSON")));
}

#[test]
fn lines_of_one_cache_come_in_their_order() {
    const LINES: &[Line] = &[
        Line { kind: "verdict", cache: Some("c"), fields: &[("n", Want::Number(1))] },
        Line { kind: "verdict", cache: Some("c"), fields: &[("n", Want::Number(777))] },
    ];
    let first = LINE.replace("\"n\":777", "\"n\":1");
    assert_eq!(judge_all(LINES, &format!("{first}\n{LINE}")), Vec::<String>::new());
    assert_eq!(judge_all(LINES, &format!("{LINE}\n{first}")).len(), 2);
    assert_eq!(judge_all(LINES, LINE)[0], "1 lines `verdict of c`, expected 2");
}

#[test]
fn an_alarm_about_something_else_is_false() {
    let other = LINE.replace("\"c\"", "\"other\"");
    let flagged = other.replace("\"n\"", "\"flagged\":true,\"n\"");
    assert_eq!(judge(&[], &format!("{LINE}\n{other}")), Vec::<String>::new());
    assert_eq!(judge(&[], &format!("{LINE}\n{flagged}")), ["a false alarm: other is called pending"]);
}

#[test]
fn accounts_are_added_up() {
    let judge = |text: &str| {
        let summary = serde_json::from_str(text).unwrap();
        super::value::unbalanced(&summary, &summary["accounts"])
    };
    let right = r#"{"events":5,"accounts":[{"seen":9,"delivered":3,"lost":4,"filtered":2},{"seen":2,"delivered":2,"lost":0,"filtered":0}]}"#;
    assert_eq!(judge(right), None);
    assert!(judge(&right.replace("\"seen\":9", "\"seen\":8")).unwrap().contains("not balanced"));
    assert!(
        judge(&right.replace("\"events\":5", "\"events\":6")).unwrap().contains("5 events were delivered")
    );
    assert_eq!(judge(r#"{"events":0,"accounts":[]}"#).unwrap(), "it has no accounts");
}

#[test]
fn no_kernel_is_accused() {
    let accused = LINE.replace("pending", "freed-early").replace("\"c\"", "\"other\"");
    let found = judge(&[("n", Want::Number(777))], &format!("{LINE}\n{accused}"));
    assert_eq!(found.len(), 1, "{found:?}");
    assert!(found[0].contains("accused"), "{found:?}");
}

#[test]
fn a_scenario_may_expect_an_accusation_by_its_word_and_cache() {
    let early = LINE.replace("pending", "barrier-early");
    let both: &[Line] = &[
        Line { kind: "verdict", cache: Some("c"), fields: &[("verdict", Want::Text("pending"))] },
        Line { kind: "verdict", cache: Some("c"), fields: &[("verdict", Want::Text("barrier-early"))] },
    ];
    let judged = |second: &str| judge_all(both, &format!("{LINE}\n{second}"));
    assert_eq!(judged(&early), Vec::<String>::new());
    // It has to come, it is of this cache, and it has this word.
    assert_eq!(judge_all(both, LINE).len(), 2);
    for other in [early.replace("\"c\"", "\"d\""), LINE.replace("pending", "freed-early")] {
        assert!(judged(&other).iter().any(|text| text.contains("accused")), "{other}");
    }
}

#[test]
fn status_and_log_are_judged() {
    let expected =
        Expectation { series: &[], status: 0, lines: &[], log_has: &["absent"], log_lacks: &["truth"] };
    let evidence = Evidence { status: 1, stdout: String::new(), log: LOG.to_owned() };
    assert_eq!(
        wrong(&expected, &evidence),
        ["exit status 1, expected 0", "the kernel's log lacks `absent`", "the kernel's log has `truth`"]
    );
}

#[test]
fn a_system_call_that_was_refused_is_wrong_everywhere() {
    let expected = Expectation { series: &[], status: 0, lines: &[], log_has: &[], log_lacks: &[] };
    let log = "audit: type=1326 audit(1.2:3): comm=\"krcu\" syscall=41 code=0x50000".to_owned();
    let evidence = Evidence { status: 0, stdout: String::new(), log };
    assert_eq!(wrong(&expected, &evidence), ["the kernel's log has `type=1326`"]);
}

const OPEN: &str =
    r#"{"kind":"verdict","cache":"c","verdict":"inconclusive","reasons":["probe-missed"],"n":0}"#;
const BOTH: &[Line] = &[
    Line { kind: "verdict", cache: Some("c"), fields: &[("verdict", Want::Text("pending"))] },
    Line { kind: "verdict", cache: Some("d"), fields: &[("verdict", Want::Text("pending"))] },
    Line {
        kind: "summary",
        cache: None,
        fields: &[("flagged", Want::Number(2)), ("events", Want::Number(3))],
    },
];

fn try_of(stdout: String, status: i32) -> Judgement {
    let expected = Expectation { series: &["6.1"], status: 10, lines: BOTH, log_has: &[], log_lacks: &[] };
    super::judge(&expected, &["probe-missed"], &Evidence { status, stdout, log: String::new() })
}

#[test]
fn what_was_left_open_excuses_itself_and_nothing_beside_it() {
    let summary = r#"{"kind":"summary","flagged":1,"events":3}"#;
    let d = OPEN.replace("\"c\"", "\"d\"");
    let right = LINE.replace("\"c\"", "\"d\"");
    let open = try_of(format!("{OPEN}\n{right}\n{summary}"), 10);
    assert_eq!((open.wrong.len(), open.open.len()), (0, 2), "{open:?}");
    let all = try_of(format!("{OPEN}\n{d}\n{}", summary.replace('1', "0")), 11);
    assert_eq!((all.wrong.len(), all.open.len()), (0, 4), "{all:?}");
    // The judge is at fault for one cache while a run of a probe was missed for the other.
    let clean = right.replace("pending", "clean");
    let fault = try_of(format!("{OPEN}\n{clean}\n{summary}"), 11);
    assert_eq!(fault.wrong, ["verdict of d: verdict is \"clean\", expected Text(\"pending\")"]);
    let events = try_of(format!("{OPEN}\n{right}\n{}", summary.replace('3', "4")), 10);
    assert_eq!(events.wrong.len(), 1, "{events:?}");
    // A decided verdict of the same cache is not excused by the open one before it.
    let twice = try_of(format!("{OPEN}\n{}\n{right}\n{summary}", LINE.replace("pending", "clean")), 10);
    assert_ne!(twice.wrong, Vec::<String>::new());
    for other in [r#"["ring-full"]"#, r#"["probe-missed","ring-full"]"#, "[]"] {
        let lost = OPEN.replace(r#"["probe-missed"]"#, other);
        let lost = try_of(format!("{lost}\n{right}\n{summary}"), 10);
        assert_ne!(lost.wrong, Vec::<String>::new(), "{other} excuses nothing");
    }
}

/// A module's order is left open by the same missed run that makes the status 11.
#[test]
fn an_order_that_was_left_open_excuses_the_status() {
    let expected = Expectation { series: &[], status: 0, lines: &[], log_has: &[], log_lacks: &[] };
    let judge = |ordering: &str| {
        let stdout = OPEN.replace("inconclusive\"", &format!("clean\",\"ordering\":\"{ordering}\""));
        let evidence = Evidence { status: 11, stdout, log: String::new() };
        let judged = super::judge(&expected, &["probe-missed"], &evidence);
        (judged.wrong.len(), judged.open.len())
    };
    assert_eq!(judge("unknown"), (0, 1));
    assert_eq!(judge("ordered"), (1, 0));
}

#[test]
fn a_number_that_is_said_to_be_inexact_excuses_itself_and_nothing_beside_it() {
    const LINES: &[Line] = &[Line {
        kind: "verdict",
        cache: Some("c"),
        fields: &[("leaked", Want::Number(5)), ("n", Want::Number(777))],
    }];
    let expected = Expectation { series: &[], status: 10, lines: LINES, log_has: &[], log_lacks: &[] };
    let judge = |leaked: &str, reason: &str, n: &str, open_if: &[&str]| {
        let more = format!(r#""leaked":{leaked},"reasons":["{reason}"],"n":{n}"#);
        let stdout = LINE.replace(r#""n":777"#, &more);
        let found = super::judge(&expected, open_if, &Evidence { status: 10, stdout, log: String::new() });
        (found.wrong.len(), found.open.len())
    };
    assert_eq!(judge("5", "inexact-count", "777", &[INEXACT]), (0, 0));
    assert_eq!(judge("null", "inexact-count", "777", &[INEXACT]), (0, 1));
    assert_eq!(judge("null", "inexact-count", "776", &[INEXACT]), (1, 1));
    assert_eq!(judge("4", "inexact-count", "777", &[INEXACT]), (1, 0));
    assert_eq!(judge("null", "inexact-count", "777", &[]), (1, 0));
    assert_eq!(judge("null", "late-attach", "777", &[INEXACT]), (1, 0));
}

#[test]
fn what_is_expected_to_be_inconclusive_is_judged_as_any_verdict_is() {
    const MEANT: &[Line] = &[Line {
        kind: "verdict",
        cache: Some("c"),
        fields: &[("verdict", Want::Text("inconclusive")), ("n", Want::Number(5))],
    }];
    let expected = Expectation { series: &[], status: 11, lines: MEANT, log_has: &[], log_lacks: &[] };
    let evidence = Evidence { status: 11, stdout: OPEN.to_owned(), log: String::new() };
    let judged = super::judge(&expected, &["probe-missed"], &evidence);
    assert_eq!((judged.wrong.len(), judged.open.len()), (1, 0), "{judged:?}");
}

#[test]
fn a_premise_that_did_not_come_about_explains_what_is_about_it_and_nothing_else() {
    let expected = Expectation { series: &[], status: 10, lines: BOTH, log_has: &[], log_lacks: &[] };
    let judge = |stdout: String, log: &str| {
        super::judge(&expected, &[], &Evidence { status: 10, stdout, log: log.to_owned() })
    };
    let summary = r#"{"kind":"summary","flagged":2,"events":3}"#;
    let (c, d) = (LINE.replace("pending", "clean"), LINE.replace("\"c\"", "\"d\""));
    let ended = "krcu_play: a grace period ended before the destroy of c";
    let unmet = judge(format!("{c}\n{d}\n{summary}"), ended);
    assert_eq!((unmet.wrong.len(), unmet.premise.len()), (0, 1), "{unmet:?}");
    // A wrong verdict of the other cache is found at this try.
    let beside = judge(format!("{c}\n{}\n{summary}", d.replace("pending", "clean")), ended);
    assert_eq!((beside.wrong.len(), beside.premise.len()), (1, 1), "{beside:?}");
    let held =
        judge(format!("{c}\n{}\n{summary}", d.replace("pending", "clean")), "krcu_play: a hold ran out");
    assert_eq!((held.wrong.len(), held.premise.len()), (0, 2), "{held:?}");
    let accused = judge(format!("{c}\n{d}\n{}\n{summary}", c.replace("clean", "freed-early")), ended);
    assert!(accused.wrong.iter().any(|text| text.contains("accused")), "{accused:?}");
}

#[test]
fn the_kernels_own_report_contradicts_a_verdict() {
    let log = "[ 1.0] kmem_cache_destroy c: Slab cache still has objects when called from play_destroy+0x1";
    let judge =
        |stdout: String, log: &str| contradictions(&Evidence { status: 0, stdout, log: log.to_owned() });
    let flagged = LINE.replace("\"n\"", "\"flagged\":true,\"n\"");
    assert_eq!(judge(flagged.clone(), log), Vec::<String>::new());
    assert_eq!(judge(OPEN.to_owned(), log), Vec::<String>::new());
    assert_eq!(judge(LINE.replace("pending", "clean"), log).len(), 1);
    let twice = format!("{log}\n{log}");
    assert_eq!(judge(flagged.clone(), &twice).len(), 1, "two reports, one verdict");
    let lost = "{\"kind\":\"summary\",\"lost\":{\"destroys\":1}}";
    assert_eq!(judge(format!("{flagged}\n{lost}"), &twice), Vec::<String>::new());
    assert_eq!(judge(flagged.replace("pending", "leaked"), log), Vec::<String>::new());
    assert_eq!(judge(flagged.replace("pending", "leaked"), "").len(), 1);
}
