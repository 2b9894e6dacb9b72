//! Every screen at two sizes, from golden traces, compared with the kept file. For each, some words must be
//! on it for a separate reason: what the trace's module did, or the verdict that the kernel's run is kept
//! with.
//!
//! `KRCU_BLESS=1 cargo test -p krcu-tui --test screens` rewrites them, after a change that is meant.

#![expect(clippy::unwrap_used, reason = "a test's helpers fail as the test does")]

mod common;

use std::{env, fs, path::PathBuf};

use common::{Deck, draw, tape, text, theme, traces};
use krcu_report::FlatVerdict;
use krcu_tui::{connection::Command, keys::Key, state::App};

const SIZES: [(u16, u16); 2] = [(80, 24), (160, 50)];

/// Compares a screen with the kept one, and returns it, at each size.
fn screens(name: &str, app: &mut App) -> Vec<String> {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/screens");
    let mut shown = Vec::new();
    for (width, height) in SIZES {
        let (buffer, _) = draw(app, (width, height), theme(), 0);
        let screen = text(&buffer);
        let path = folder.join(format!("{name}-{width}x{height}.txt"));
        if env::var_os("KRCU_BLESS").is_some() {
            fs::write(&path, &screen).unwrap();
        }
        let kept = fs::read_to_string(&path).unwrap_or_default();
        assert_eq!(screen, kept, "{} is not what is shown:\n{screen}", path.display());
        shown.push(screen);
    }
    shown
}

/// Whether each of these is on each of the screens.
fn all_have(screens: &[String], words: &[&str]) {
    for screen in screens {
        let flat = screen.split_whitespace().collect::<Vec<_>>().join(" ");
        for words in words {
            assert!(flat.contains(words), "{words:?} is not on\n{screen}");
        }
    }
}

/// The verdicts that a run on a real kernel is kept with.
fn kept(name: &str) -> Vec<FlatVerdict> {
    let text = fs::read_to_string(traces().join(format!("{name}.json"))).unwrap();
    let lines = text.lines().filter(|line| line.contains("\"kind\":\"verdict\""));
    lines.map(|line| serde_json::from_str(line).unwrap()).collect()
}

const END: Command = Command::Seek(1000);

#[test]
fn overview_of_a_destroy_that_does_not_wait() {
    let tape = tape("6.1-pending");
    let mut deck = Deck::new(&tape);
    deck.command(END);
    // The module queues 777 objects; 6.1 does not wait; every one of them is freed later.
    let shown = screens("overview-pending", &mut deck.app);
    all_have(
        &shown,
        &[
            "Linux 6.1.0-56-cloud-amd64",
            "! PENDING krcu_pending",
            "1 pending",
            "lost nothing",
            "outstanding 0",
        ],
    );
    for screen in &shown {
        for word in ["queue", "free"] {
            let line = screen.lines().find(|line| line.trim_start().starts_with(word)).unwrap();
            assert!(line.split_whitespace().any(|number| number == "777"), "{line}");
        }
    }
}

#[test]
fn overview_while_a_destroy_waits() {
    let tape = tape("6.12-pending");
    let mut deck = Deck::new(&tape);
    // Goes to the end of the first destroy, and back to where it waits: half of its wait earlier.
    deck.command(Command::NextDestroy);
    let wait_ns = deck.app.verdict_rows()[0].verdict.wait_ns.unwrap();
    let status = deck.player.status();
    let to = (status.at_ns - wait_ns / 2) * 1000 / status.end_ns;
    deck.command(Command::Seek(u16::try_from(to).unwrap()));
    let shown = screens("overview-waiting", &mut deck.app);
    all_have(&shown, &["in kmem_cache_destroy(): 777 of krcu_pending", "rmmod[166]", "outstanding 777"]);
    all_have(&shown, &["no slab cache was destroyed yet"]);
}

#[test]
fn caches_of_two_that_end_differently() {
    let tape = tape("6.1-two");
    let mut deck = Deck::new(&tape);
    deck.command(END);
    deck.press(&[Key::Char('2')]);
    // 300 objects of one cache are queued, and its destroy fails; every object of the other is freed at once.
    let shown = screens("caches-two", &mut deck.app);
    all_have(
        &shown,
        &["! krcu_two_pending", "× krcu_two_correct", "300 by kfree_rcu, 0 by call_rcu; freed 300"],
    );
}

#[test]
fn barriers_while_one_runs_and_when_all_are_over() {
    let tape = tape("6.12-pending");
    let mut deck = Deck::new(&tape);
    deck.command(Command::NextDestroy);
    let wait_ns = deck.app.verdict_rows()[0].verdict.wait_ns.unwrap();
    let status = deck.player.status();
    deck.command(Command::Seek(u16::try_from((status.at_ns - wait_ns / 2) * 1000 / status.end_ns).unwrap()));
    deck.press(&[Key::Char('3')]);
    let shown = screens("barriers-running", &mut deck.app);
    all_have(
        &shown,
        &[
            "kmem_cache_destroy rmmod[166]",
            "kvfree_rcu_barrier rmmod[166]",
            // They are 777 objects of 128 bytes.
            "why 777 of krcu_pending, 97 KiB in all; the oldest was queued",
            "at krcu_pending_flush+0x5c [krcu_pending]",
            "grace periods one has been running for",
        ],
    );
    all_have(&shown[..1], &["777 0 krcu_pending"]);
    all_have(&shown[1..], &["777 0 97 KiB krcu_pending"]);
    deck.command(END);
    let shown = screens("barriers-over", &mut deck.app);
    all_have(
        &shown,
        &["no task waits in a barrier or a destroy", "kvfree_rcu_barrier 1", "kmem_cache_destroy 1"],
    );
}

#[test]
fn verdicts_and_the_evidence_of_one() {
    for (name, trace) in [
        ("two-at-once", "truth/6.1-two_at_once"),
        ("leak-with-stacks", "truth/7.x-leak_with_stacks"),
        ("callback-pending", "truth/6.1-callback_pending"),
        ("queueing-unseen", "truth/6.1-queueing_unseen"),
    ] {
        let tape = tape(trace);
        let mut deck = Deck::new(&tape);
        deck.command(END);
        deck.press(&[Key::Char('4')]);
        let list = screens(&format!("verdicts-{name}"), &mut deck.app);
        let told = kept(trace);
        for verdict in &told {
            let word = verdict.verdict.word();
            let is_loud = verdict.flagged;
            let word = if is_loud { word.to_uppercase() } else { word.to_owned() };
            all_have(&list, &[&format!("{word} {}", verdict.cache)]);
        }
        deck.press(&[Key::Enter]);
        let evidence = screens(&format!("evidence-{name}"), &mut deck.app);
        // The newest comes first and is selected.
        let newest = told.iter().max_by_key(|verdict| verdict.destroyed_at_ns).unwrap();
        all_have(&evidence[1..], &[&newest.cache, newest.advice.as_str()]);
        for frame in &newest.destroyed_by.stack {
            all_have(&evidence[1..], &[frame]);
        }
    }
}

#[test]
fn what_if_of_a_destroy_that_does_not_wait() {
    let tape = tape("6.1-pending");
    let mut deck = Deck::new(&tape);
    deck.command(END);
    deck.press(&[Key::Char('4'), Key::Char('w')]);
    let shown = screens("what-if-pending", &mut deck.app);
    all_have(
        &shown,
        &["what each approach would have cost krcu_pending", "777 deferred frees of its own", "status-quo"],
    );
    // What the module did is unsafe; what 6.12 does is not, and waits for all of them. The first approach with the
    // same figures names the row.
    let answer = deck.app.answer.as_ref().unwrap();
    let line = |approach: &str| {
        let row = answer
            .rows
            .iter()
            .find(|row| row.row.approach == approach || row.same.iter().any(|(name, _)| name == approach));
        let name = &row.unwrap().row.approach;
        shown[1].lines().find(|line| line.contains(name.as_str())).unwrap().trim().to_owned()
    };
    assert!(line("upstream (before 6.12)").starts_with("! "), "{}", shown[1]);
    assert!(!line("upstream (6.12)").starts_with("! "), "{}", shown[1]);
    assert!(line("upstream (6.12)").contains(" 777 "), "{}", shown[1]);
}

#[test]
fn help_has_every_key_of_the_table() {
    let tape = tape("6.1-leak");
    let mut deck = Deck::new(&tape);
    deck.press(&[Key::Char('?')]);
    let shown = screens("help", &mut deck.app);
    for binding in krcu_tui::keys::KEYS.iter().filter(|binding| !binding.help.is_empty()) {
        all_have(&shown, &[&format!("{} {}", binding.label, binding.help)]);
    }
    deck.press(&[Key::Char('x')]);
    assert!(!deck.app.help, "any key closes it");
}

#[test]
fn before_the_first_destroy_every_screen_says_so() {
    let tape = tape("6.1-leak");
    let mut deck = Deck::new(&tape);
    for (key, words) in [
        ('1', "no slab cache was destroyed yet"),
        ('2', "no slab cache was seen yet"),
        ('3', "no task has waited yet"),
        ('4', "no slab cache was destroyed yet"),
        ('5', "select a destroyed cache"),
        ('6', "the probes are not known"),
    ] {
        deck.press(&[Key::Char(key)]);
        for size in SIZES {
            let (buffer, _) = draw(&mut deck.app, size, theme(), 0);
            all_have(&[text(&buffer)], &[words]);
        }
    }
}
