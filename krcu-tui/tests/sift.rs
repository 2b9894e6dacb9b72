//! Each list has a filter and an order of its own, and what is selected stays selected. The rows are invented here.

mod common;

use common::watch::{SECOND, Watch, barrier};
use krcu_report::{ProbeRow, ProbeState};
use krcu_tui::{
    keys::Key,
    state::{Column, Screen},
};

fn destroys(watch: &Watch) -> Vec<u64> {
    watch.app.verdict_rows().iter().filter_map(|row| row.destroy).collect()
}

fn sorted_by(watch: &Watch) -> Column {
    watch.app.sift().order.column
}

/// Twelve verdicts, the newest first: the destroy 7 has waited the longest, and all but 3 are faults.
fn verdicts() -> Watch {
    let mut watch = Watch::new(1, 12);
    watch.all.verdicts[4].verdict.wait_ns = Some(9 * SECOND);
    watch.all.verdicts[8].verdict.flagged = false;
    watch.press(&[Key::Char('4')]);
    assert_eq!(destroys(&watch), [11, 10, 9, 8, 7, 6, 5, 4, 3, 2, 1, 0]);
    watch
}

#[test]
fn verdicts_are_sorted_by_fault_name_and_wait() {
    let mut watch = verdicts();
    watch.press(&[Key::Char('s')]);
    assert_eq!((sorted_by(&watch), destroys(&watch).last()), (Column::Fault, Some(&3)));
    watch.press(&[Key::Char('s')]);
    assert_eq!(sorted_by(&watch), Column::Name);
    assert_eq!(destroys(&watch), [0, 1, 10, 11, 2, 3, 4, 5, 6, 7, 8, 9]);
    watch.press(&[Key::Char('s')]);
    assert_eq!((sorted_by(&watch), destroys(&watch)[..2].to_vec()), (Column::Wait, vec![7, 11]));
    assert!(watch.shown(80).contains("the longest wait first"));
    watch.press(&[Key::Char('r')]);
    assert_eq!(destroys(&watch).last(), Some(&7));
    assert!(watch.shown(80).contains("the shortest wait first"));
    watch.press(&[Key::Char('s')]);
    assert_eq!((sorted_by(&watch), destroys(&watch)[0]), (Column::Given, 11));
}

#[test]
fn a_filter_of_verdicts_says_what_it_hides_and_the_key_to_the_next_fault_takes_it_off() {
    let mut watch = verdicts();
    watch.down(4);
    assert_eq!(watch.destroy(), Some(7));
    watch.press(&[Key::Char('/')]);
    watch.type_words("CACHE_1");
    assert_eq!(destroys(&watch), [11, 10, 1]);
    assert!(watch.shown(80).contains("3 of 12 with \"CACHE_1\" in a name; Esc shows all"));
    // It is hidden, and comes back.
    watch.press(&[Key::Escape]);
    assert_eq!((watch.destroy(), destroys(&watch).len()), (Some(7), 12));
    // No fault is left by this one.
    watch.press(&[Key::Char('/')]);
    watch.type_words("cache_3");
    watch.press(&[Key::Enter]);
    assert_eq!((watch.destroy(), destroys(&watch)), (Some(3), vec![3]));
    watch.press(&[Key::Char('n')]);
    assert_eq!((watch.app.sift().filter.as_str(), destroys(&watch).len()), ("", 12));
    assert!(watch.app.selected_verdict().is_some_and(|row| row.verdict.flagged));
    // Other lists have filters of their own.
    watch.press(&[Key::Char('/')]);
    watch.type_words("nothing");
    watch.press(&[Key::Enter]);
    assert!(watch.shown(80).contains("no verdict has this text"));
    watch.press(&[Key::Char('2')]);
    assert_eq!((watch.app.screen, watch.app.sift().filter.as_str()), (Screen::Caches, ""));
    assert_eq!(watch.cache(), Some(0));
}

#[test]
fn barriers_are_filtered_by_their_task_and_sorted_by_their_wait() {
    let mut watch = Watch::new(1, 1);
    watch.all.barriers_finished =
        [(31, 2), (32, 5), (41, 1)].map(|(task, s)| barrier(task, s * SECOND)).into();
    watch.press(&[Key::Char('3'), Key::Down, Key::Down]);
    let tasks =
        |watch: &Watch| -> Vec<u32> { watch.app.barrier_rows().iter().map(|row| row.call.task).collect() };
    watch.press(&[Key::Char('s'), Key::Char('s')]);
    assert_eq!((sorted_by(&watch), tasks(&watch)), (Column::Wait, vec![32, 31, 41]));
    watch.press(&[Key::Char('r')]);
    // The one that was selected is the first now.
    assert_eq!((tasks(&watch), watch.app.barriers.marked()), (vec![41, 31, 32], Some(0)));
    watch.press(&[Key::Char('/')]);
    watch.type_words("3");
    watch.press(&[Key::Enter]);
    assert_eq!(tasks(&watch), [31, 32]);
    watch.press(&[Key::Escape]);
    assert_eq!(tasks(&watch).len(), 3);
}

#[test]
fn a_selected_probe_stays_selected_whatever_the_order() {
    let probe = |program: &str, runs| ProbeRow {
        program: program.to_owned(),
        function: "kvfree_call_rcu".to_owned(),
        way: String::new(),
        state: ProbeState::Attached,
        why: None,
        runs: Some(runs),
        run_time_ns: Some(100),
        missed: 0,
    };
    let mut watch = Watch::new(1, 1);
    watch.all.probes = vec![probe("queued", 5), probe("freed", 50), probe("grace_begin", 2)];
    watch.press(&[Key::Char('6'), Key::Down]);
    let programs = |watch: &Watch| -> Vec<String> {
        watch.app.probe_rows().iter().map(|row| row.program.clone()).collect()
    };
    let marked = |watch: &Watch| watch.app.probes.marked().map(|place| programs(watch)[place].clone());
    assert_eq!(marked(&watch).as_deref(), Some("freed"));
    watch.press(&[Key::Char('s'), Key::Char('s'), Key::Char('r')]);
    assert_eq!(
        (sorted_by(&watch), programs(&watch)),
        (Column::Runs, ["grace_begin", "queued", "freed"].map(str::to_owned).to_vec())
    );
    assert_eq!(marked(&watch).as_deref(), Some("freed"));
}
