//! Stretches: what a what-if says of a trace in parts is what it says of the whole.

#![expect(clippy::unwrap_used, reason = "a test's helpers fail as the test does")]

use std::path::Path;

use krcu_analysis::{
    ask::Needs,
    load,
    whatif::{self, Answer, Question, words::WhatIf},
};

/// Objects are queued in one rush, in which nothing is freed, by the kernel or by the machine: wherever a cut falls, the
/// last stretch has them all.
const RUSHES: [&str; 6] = ["6.1-barrier", "6.1-lucky", "6.1-two", "6.12-barrier", "6.12-lucky", "6.12-two"];
/// The machine frees the first while the last are queued, which the kernel did not: these come again after a cut. (Not in
/// 6.12-pending: there the `rcu_barrier()` of the misuse waits for an unseen callback about as long as the lists need to be
/// freed, so what a cut does to the pages of a CPU decides whether the destroy finds objects.)
const STREAMS: [&str; 3] = ["6.1-pending", "6.1-race", "6.12-race"];

fn answer(name: &str, together: u64) -> Answer {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../krcu-model/tests/traces");
    let loaded = load::load(&folder.join(format!("{name}.script")), Needs::SMALL, Some(together)).unwrap();
    whatif::ask(&loaded.asked.unwrap().unwrap(), &Question { approach: None, seed: 1 }).unwrap()
}

fn both(name: &str) -> (Answer, Answer) {
    let (whole, parts) = (answer(name, 1 << 20), answer(name, 100));
    assert_eq!(whole.stretches.0, 1);
    assert!(parts.stretches.0 >= 4, "{name}: {:?}", parts.stretches);
    (whole, parts)
}

#[test]
fn a_rush_is_whole_in_its_last_stretch() {
    for name in RUSHES {
        let (whole, parts) = both(name);
        assert_eq!(parts.rows, whole.rows, "{name}");
        assert_eq!(parts.back_test, whole.back_test, "{name}");
    }
}

#[test]
fn each_destroy_is_judged_alike() {
    for name in STREAMS {
        let (whole, parts) = both(name);
        let judged = |answer: &Answer| {
            let of = |row: &WhatIf| {
                (row.approach.clone(), row.destroy, row.cache.clone(), row.is_unsafe, row.splat.clone())
            };
            answer.rows.iter().map(of).collect::<Vec<_>>()
        };
        assert_eq!(judged(&parts), judged(&whole), "{name}");
    }
}
