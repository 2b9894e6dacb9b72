//! Import: texts as they come from kernels, mails and consoles, and what becomes of each of their lines.

#![expect(clippy::unwrap_used, reason = "a test's helpers fail as the test does")]

use std::{
    fs,
    path::{Path, PathBuf},
};

use krcu_analysis::import::{Account, Odd, convert};

/// A folder with a text in it.
struct Case {
    _folder: tempfile::TempDir,
    text: PathBuf,
    script: PathBuf,
}

fn case(text: &[u8]) -> Case {
    let folder = tempfile::tempdir().unwrap();
    let (path, script) = (folder.path().join("trace.txt"), folder.path().join("trace.script"));
    fs::write(&path, text).unwrap();
    Case { _folder: folder, text: path, script }
}

/// What became of the lines, and the lines of the script that are events.
fn imported(text: &[u8]) -> (Account, Vec<String>) {
    let case = case(text);
    let account = convert(&case.text, &case.script).unwrap();
    let script = fs::read_to_string(&case.script).unwrap();
    let is_event = |line: &&str| line.starts_with(|first: char| first.is_ascii_digit());
    (account, script.lines().filter(is_event).map(str::to_owned).collect())
}

fn refused(text: &[u8]) -> String {
    let case = case(text);
    let error = convert(&case.text, &case.script).unwrap_err();
    assert!(!case.script.exists(), "nothing is written");
    format!("{error:#}").replace(case.text.parent().unwrap().to_str().unwrap(), "DIR")
}

/// Each line is in exactly one of the account's sums; of events that ran together, this knows how many.
fn adds_up(account: &Account, more_events: u64) {
    let taken: u64 = account.taken.values().sum();
    let passed: u64 = account.passed.values().sum();
    let odd: u64 = account.odd.values().map(|(count, _)| count).sum();
    assert_eq!(
        account.headings + account.lost_marks + taken + passed + odd,
        account.lines + more_events,
        "{account:?}"
    );
}

fn odd(account: &Account) -> Vec<(Odd, u64, u64)> {
    account.odd.iter().map(|(odd, (count, first))| (*odd, *count, *first)).collect()
}

/// The number of events that gaps of the script count as lost.
fn lost(events: &[String]) -> u64 {
    let gaps = events.iter().filter(|line| line.contains(" gap "));
    let count = |line: &String| line.split_once("events=")?.1.split(' ').next()?.parse::<u64>().ok();
    gaps.filter_map(count).sum()
}

#[test]
fn odd_lines_end_nothing_and_each_is_counted() {
    let text = b"\
# tracer: nop
rmmod-91 [001] .....  10.000001: rcu_callback: rcu_preempt rhp=(____ptrval____) func=free_it 1
rmmod-91 [001] .....  10.000002: rcu_callback: rcu_preempt rhp=(null) func=free_it 1
rmmod-91 [001] .....  10.000003: rcu_callback: rcu_preempt rhp=00000000aa000010 func=free_it 1
rmmod-91 [001] .....  10.000004: rcu_kvfree_callback: rcu_preempt rhp=ffff88810000aa10 func=16 2
rmmod-91 [001] .....  10.000005: rcu_kvfree_callback: rcu_preempt rhp=ffff888100
rmmod-91 [001] .....  10.000006: rcu_kvfree_ca
n\xff\xfe-91 [001] .....  10.000007: rcu_callback: rcu_preempt rhp=ffff88810000bb10 func=\xff 1
rmmod-91 [001] .....  10.000008: rcu_barrier: (rcu_barrier+0x0/0x2d0)
rmmod-91 [001] .....  10.000009: sched_switch: prev_comm=a
this is no event
rmmod-91 [001] .....  10.000010: rcu_callback: rcu_preempt rhp=ffff88810000cc10 func=free_it 1
";
    let (account, events) = imported(text);
    adds_up(&account, 0);
    assert_eq!((account.lines, account.headings, account.hashed), (12, 1, 1));
    assert_eq!(
        account.taken.iter().map(|(name, count)| (name.as_str(), *count)).collect::<Vec<_>>(),
        [("rcu_callback", 3), ("rcu_kvfree_callback", 1)]
    );
    assert_eq!(account.passed.keys().collect::<Vec<_>>(), ["rcu_barrier", "sched_switch"]);
    assert_eq!(odd(&account), [(Odd::Cut, 2, 6), (Odd::Pointer, 2, 2), (Odd::Form, 1, 11)]);
    assert_eq!(lost(&events), 4, "what may have been an event is a gap: {events:?}");
    assert!(events.iter().any(|line| line.contains("object=0xffff88810000aa00")), "less `func`: {events:?}");
    let said = account.to_string();
    assert!(
        said.contains("2  events whose pointer is not printed, counted as lost. The first is line 2\n"),
        "{said}"
    );
    assert!(said.contains("no_hash_pointers"), "{said}");
}

#[test]
fn every_program_s_mark_of_a_loss_is_a_gap() {
    let text = b"\
# entries-in-buffer/entries-written: 3/1003   #P:2
CPU:1 [LOST 20 EVENTS]
a-1 [000] ..... 10.000001: module_load: one OE
CPU:0 [300 EVENTS DROPPED]
CPU:0 [EVENTS DROPPED]
a 1 [001] 10.000002: PERF_RECORD_LOST lost 4000
a-1 [000] ..... 10.000003: module_free: one
dropped events: 50000
overrun: 0
";
    let (account, events) = imported(text);
    assert_eq!((account.lost_marks, account.lost), (6, 1000 + 20 + 300 + 1 + 4000 + 50_000));
    assert_eq!(lost(&events), account.lost);
    assert_eq!(odd(&account), [(Odd::Form, 1, 9)], "a count of nothing is no loss");
    adds_up(&account, 0);
    assert!(events[0].contains("module_loaded"), "no loss is before the first event: {events:?}");
}

#[test]
fn the_form_of_a_console_s_dump_is_read_as_a_mail_quotes_it_with_its_line_ends() {
    let text = b"\
> [   99.000001] Dumping ftrace buffer:\r
> [   99.000002] ---------------------------------\r
> [   99.000003] CPU:1 [LOST 7 EVENTS]\r
> [   99.000004]   insmod-90        0d..1. 1234us : module_load: one OE\r
> [   99.000005]   insmod-90        0.N.1. 1236us+: rcu_callback: rcu_preempt rhp=ffff88810000aa10 func=free_it 1\r
> [   99.000006] ---------------------------------\r
";
    let (account, events) = imported(text);
    adds_up(&account, 0);
    assert_eq!((account.headings, account.lost, odd(&account).len()), (3, 7, 0));
    assert_eq!(account.taken.values().sum::<u64>(), 2);
    assert!(events[0].starts_with("1234000 "), "{events:?}");
}

#[test]
fn clocks_of_nanoseconds_are_read_and_those_of_cycles_are_refused_by_name() {
    let (account, events) =
        imported(b"a-1 [000] ..... 10.000000001: module_load: one OE\na 1 [000] 10.000000002: module:module_free: one\n");
    assert_eq!(account.taken.values().sum::<u64>(), 2);
    assert!(events[1].starts_with("10000000002 "), "{events:?}");
    let told = refused(b"a-1 [000] ..... 123456789012: module_load: one OE\n");
    assert!(told.contains("echo mono >trace_clock"), "{told}");
    let told = refused(b"a     1     10.000001: module:module_load: one OE\n");
    assert!(told.contains("1  events without a CPU, not taken: `perf script -F comm,tid,cpu"), "{told}");
}

#[test]
fn events_that_ran_together_are_taken_each_and_times_are_sorted() {
    let text = b"\
a-1 [000] ..... 10.000009: module_load: late OE
a-1 [001] ..... 10.000003: module_load: early OEinsmod-90 [000] ..... 10.000004: module_load: glued OE
a-1 [001] ..... 10.000005: sched_switch: prev_comm=b-2 [000] ..... 10.0: module_load: no OE
";
    let (account, events) = imported(text);
    adds_up(&account, 1);
    assert_eq!((account.run_together, account.was_unsorted), (1, true));
    assert_eq!(odd(&account), [(Odd::Ambiguous, 1, 3)]);
    let names: Vec<&str> = events.iter().filter_map(|line| line.split('"').nth(1)).collect();
    assert_eq!(names, ["early", "glued", "late"]);
}

#[test]
fn what_is_no_text_is_refused_by_what_it_is_and_nothing_half_written_is_left() {
    assert!(refused(b"\x17\x08\x44tracing6\0").ends_with("trace-cmd report DIR/trace.txt >trace.txt"));
    assert!(
        refused(b"PERFILE2\0\0").contains("perf script -i DIR/trace.txt -F comm,tid,cpu,time,event,trace")
    );
    assert!(refused(b"\xfd7zXZ\0").contains("xz -d"));
    let nothing = refused(b"nothing here\n");
    assert!(nothing.contains("none of its 1 lines") && nothing.contains("CONFIG_RCU_TRACE"), "{nothing}");

    let case = case(b"a-1 [000] ..... 10.000001: module_load: one OE\n");
    let error = convert(&case.text, &case.text).unwrap_err().to_string();
    assert!(error.contains("is the input and the output"), "{error}");
    let other = case.text.with_file_name("other");
    std::os::unix::fs::symlink(&case.text, &other).unwrap();
    assert!(convert(&case.text, &other).is_err(), "by another name as well");
    // A text that tells nothing leaves an older script as it is, and a good one takes its place.
    fs::write(&case.script, "older").unwrap();
    let empty = case.text.with_file_name("empty");
    fs::write(&empty, "").unwrap();
    convert(&empty, &case.script).unwrap_err();
    assert_eq!(fs::read_to_string(&case.script).unwrap(), "older");
    convert(&case.text, &case.script).unwrap();
    assert!(fs::read_to_string(&case.script).unwrap().contains("module_loaded name=\"one\""));
    let left = fs::read_dir(case.text.parent().unwrap()).unwrap().count();
    assert_eq!(left, 4, "text, script, link, empty text: no temporary file");
    assert!(convert(Path::new("/nowhere"), &case.script).is_err());
}

#[test]
fn a_line_that_is_too_long_ends_nothing() {
    let mut text = b"a-1 [000] ..... 10.000001: module_load: one OE\n".to_vec();
    text.extend(vec![b'x'; 1 << 18]);
    text.extend(b"\na-1 [000] ..... 10.000002: module_free: one\n");
    let (account, events) = imported(&text);
    adds_up(&account, 0);
    assert_eq!((account.lines, odd(&account)), (3, vec![(Odd::Long, 1, 2)]));
    assert_eq!(lost(&events), 1);
}
