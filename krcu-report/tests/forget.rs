//! A watch that goes on for long and forgets comes to the verdicts of one that keeps everything: what kernels said,
//! over and over, to both.

#![expect(clippy::unwrap_used, reason = "a test's helpers fail as the test does")]

use std::{collections::BTreeMap, fs, path::PathBuf};

use krcu_model::{
    Event, State, VerdictKind,
    event::{Time, What},
    script,
};
use krcu_report::{Bounds, Outside, Reporter, verdicts};

/// How often a trace is told: more destroys than are kept.
const TIMES: u64 = 400;

fn trace(name: &str) -> script::Script {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../krcu-model/tests/traces").join(name);
    script::read(&fs::read_to_string(path).unwrap()).unwrap()
}

/// The events once more, so much later.
fn later(event: &Event, by: u64) -> Event {
    let mut event = event.clone();
    event.time = Time(event.time.0 + by);
    if let What::Gap(gap) = &mut event.what {
        gap.from = Time(gap.from.0 + by);
        gap.until = Time(gap.until.0.saturating_add(by));
    }
    event
}

fn counts(state: &State) -> BTreeMap<VerdictKind, u64> {
    let mut counts = BTreeMap::new();
    for verdict in verdicts(state) {
        *counts.entry(verdict.verdict).or_default() += 1;
    }
    counts
}

#[test]
fn who_forgets_comes_to_the_same_verdicts_and_stays_small() {
    for name in [
        "6.12-pending.script",
        "6.1-pending.script",
        "6.12-two.script",
        "6.1-two.script",
        "6.12-call_rcu.script",
        "6.1-lucky.script",
        "truth/6.12-double_free.script",
        "truth/7.x-callback_pending.script",
        "truth/7.x-leak_with_stacks.script",
        "truth/6.12-kfence_late_free.script",
    ] {
        let script = trace(name);
        let span = script.events.iter().map(|event| event.time.0).max().unwrap() + 1_000_000_000;
        let (mut whole, mut short) = (State::new(script.watch.clone()), State::new(script.watch.clone()));
        let mut reporter = Reporter::default();
        let mut last = None;
        let mut most = 0;
        for time in 0..TIMES {
            for event in &script.events {
                let event = later(event, time * span);
                reporter.see(&event, &short);
                whole.step(event.clone());
                short.step(event);
            }
            let now = Time((time + 1) * span);
            last = Some(reporter.report(&short, now, Outside::default(), Bounds::ALL));
            reporter.forget(&mut short);
            most = most.max(short.destroys().len());
        }
        let report = last.unwrap();
        assert_eq!(report.verdict_counts, counts(&whole), "{name}");
        assert_eq!(short.outstanding(), whole.outstanding(), "{name}");
        let all = whole.destroys().len();
        assert!(all >= usize::try_from(TIMES).unwrap(), "{name}: {all} destroys");
        // The newest and the open ones, and what comes between two times of forgetting.
        assert!(most <= 256 + 256 + 128, "{name}: {most} of {all} destroys were kept");
        let newest = whole.destroys().next_back().unwrap().id.0;
        assert_eq!(short.destroys().next_back().unwrap().id.0, newest, "{name}");
        // What the kernel is accused of goes with the last destroy of its cache, and has that cache's name until then.
        let accusations: Vec<_> = report.verdicts.iter().filter(|row| row.destroy.is_none()).collect();
        assert!(accusations.len() <= most, "{name}: {} accusations", accusations.len());
        assert!(accusations.iter().all(|row| !row.verdict.cache.is_empty()), "{name}");
        assert!(short.violations().len() <= 2 * most, "{name}: {} promises", short.violations().len());
        let row = report.verdicts.iter().find_map(|row| row.destroy).unwrap();
        assert!(row <= newest && row + 64 > newest, "{name}: the newest row is of {row}, not {newest}");
    }
}

#[test]
fn what_is_destroyed_between_two_reports_is_shown_by_the_next_however_much_it_is() {
    let script = trace("6.12-pending.script");
    let span = script.events.iter().map(|event| event.time.0).max().unwrap() + 1_000_000_000;
    let mut state = State::new(script.watch.clone());
    let mut reporter = Reporter::default();
    let mut shown = |times: std::ops::Range<u64>| -> Vec<u64> {
        let until = Time(times.end * span);
        for event in times.flat_map(|time| script.events.iter().map(move |event| later(event, time * span))) {
            reporter.see(&event, &state);
            state.step(event);
        }
        let report = reporter.report(&state, until, Outside::default(), Bounds::ALL);
        assert_eq!(report.verdict_counts.values().sum::<u64>(), until.0 / span);
        let mut destroys: Vec<u64> = reporter.verdicts().iter().filter_map(|row| row.destroy).collect();
        destroys.sort_unstable();
        destroys
    };
    assert_eq!(shown(0..TIMES), (0..TIMES).collect::<Vec<_>>());
    // Of what was shown and is settled, the newest again, and what leaves them.
    assert_eq!(shown(TIMES..TIMES + 2), (TIMES - 256..TIMES + 2).collect::<Vec<_>>());
}
