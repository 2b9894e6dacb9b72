//! Screens that scenarios leave (`NAME-STEP.screen`), compared with those that are kept in `xtask/screens/SERIES`.
//!
//! What differs from run to run is masked by these rules, before a screen is kept and before it is compared; every other
//! word and number is what the kernel did:
//!
//! - a number with a unit of time behind it is `TIME`, a process's number `[N]`, what stands behind `Linux` is `RELEASE`, an
//!   offset in a function `+OFFSET`, a share of hundred `N %`, the highest rate of a history `≤ N`;
//! - pictures are gone (rates, fill, where something lies in time), and several blanks are one;
//! - of a row of events, and of the row `seen`, the numbers are gone: the rest of the kernel does such things as well; so is
//!   how many grace periods ended;
//! - of stacks that look the same one is left, and how many came by it is `N ×`; several empty lines are one.
//!
//! `KRCU_BLESS=1 cargo xtask test …` keeps the new screens, after a change that is meant.

use std::env;
use std::fs;
use std::path::{Path, PathBuf};

use crate::cache;
use crate::check::judge::Judgement;
use crate::host;

/// How a captured screen's file ends.
const ENDING: &str = ".screen";

/// Removes what an earlier run of a scenario has left.
pub(crate) fn clear(out: &Path, scenario: &str) {
    for (_, path) in captured(out, scenario) {
        drop(fs::remove_file(path));
    }
}

/// How the screens of a scenario differ from the kept ones. A screen that says that the kernel skipped a run of a probe cannot
/// be the same: it is left open, if each decided verdict on it is on the kept screen as well.
pub(crate) fn judge(out: &Path, series: &str, scenario: &str) -> Judgement {
    let folder = host::repository().join("xtask/screens").join(series);
    let mut found = Vec::new();
    let mut open = Vec::new();
    let captured = captured(out, scenario);
    for (step, path) in &captured {
        let shown = masked(&fs::read_to_string(path).unwrap_or_default());
        let kept = folder.join(format!("{scenario}-{step}.txt"));
        if env::var_os("KRCU_BLESS").is_some() {
            if let Err(error) = cache::write_file(&kept, shown.as_bytes()) {
                found.push(format!("{error:#}"));
            }
            continue;
        }
        let wanted = fs::read_to_string(&kept).unwrap_or_default();
        if wanted != shown {
            let text = format!("the screen is not {}:\n{shown}", kept.display());
            let list = if is_excused(&shown, &wanted) { &mut open } else { &mut found };
            list.push(text);
        }
    }
    let steps = fs::read_dir(&folder).into_iter().flatten().flatten();
    for name in steps.map(|entry| entry.file_name().to_string_lossy().into_owned()) {
        let step = name.strip_suffix(".txt").and_then(|name| name.strip_prefix(scenario)?.strip_prefix('-'));
        if let Some(step) = step
            && !captured.iter().any(|(captured, _)| captured == step)
        {
            found.push(format!("it left no screen `{step}`"));
        }
    }
    Judgement { wrong: found, open, premise: Vec::new() }
}

/// Whether a skipped run of a probe explains all that differs from the wanted screen.
fn is_excused(shown: &str, wanted: &str) -> bool {
    let is_decided = |line: &&str| line.split_whitespace().any(|word| DECIDED.contains(&word));
    shown.contains(SKIPPED)
        && shown.lines().filter(is_decided).all(|line| wanted.lines().any(|wanted| wanted == line))
}

/// What a screen says where the kernel skipped a run of a probe.
const SKIPPED: &str = "probe missed";
/// Words of verdicts that are decided, as screens have them.
const DECIDED: [&str; 20] = [
    "clean",
    "waited",
    "unordered",
    "pending",
    "leaked",
    "late-free",
    "alias",
    "repeated",
    "barrier-early",
    "freed-early",
    "double-free",
    "model-disagrees",
    "PENDING",
    "LEAKED",
    "LATE-FREE",
    "BARRIER-EARLY",
    "FREED-EARLY",
    "DOUBLE-FREE",
    "MODEL-DISAGREES",
    "UNORDERED",
];

/// The screens that a scenario has left: of which step, and where.
fn captured(out: &Path, scenario: &str) -> Vec<(String, PathBuf)> {
    let entries = fs::read_dir(out).into_iter().flatten().flatten();
    let mut found: Vec<_> = entries
        .filter_map(|entry| {
            let name = entry.file_name().to_string_lossy().into_owned();
            let step = name.strip_suffix(ENDING)?.strip_prefix(scenario)?.strip_prefix('-')?;
            Some((step.to_owned(), entry.path()))
        })
        .collect();
    found.sort();
    found
}

/// A screen without what differs from run to run.
fn masked(screen: &str) -> String {
    let mut lines: Vec<String> = Vec::new();
    let mut stacks: Vec<Vec<String>> = Vec::new();
    for line in screen.lines().map(masked_line) {
        match stacks.last_mut() {
            Some(stack) if line.starts_with(CALLER) => {
                stack.push(line);
                continue;
            }
            _ if line.starts_with(STACK) => {
                stacks.push(vec![line]);
                continue;
            }
            _ => {}
        }
        stacks.dedup();
        lines.extend(stacks.drain(..).flatten());
        if !(line.is_empty() && lines.last().is_some_and(String::is_empty)) {
            lines.push(line);
        }
    }
    lines.extend(stacks.into_iter().flatten());
    lines.iter().map(|line| format!("{line}\n")).collect()
}

/// A stack begins with this, and goes on with that.
const STACK: &str = "N × ";
const CALLER: &str = "← ";
/// Units of time, as people are told them.
const UNITS: [&str; 6] = ["ns", "µs", "ms", "s", "min", "h"];
/// Rows of events: the rest of the kernel causes such as well.
const EVENTS: [&str; 7] = ["cache", "queue", "batch", "grace", "free", "barrier", "seen"];
/// What stands before the highest rate of a history.
const HIGHEST: &str = "≤";
/// What pictures are made of.
const PICTURES: &str = "▁▂▃▄▅▆▇█░▒▓●─━";

fn masked_line(line: &str) -> String {
    let words: Vec<&str> = line.split_whitespace().collect();
    let is_picture = |word: &str| word.chars().all(|letter| PICTURES.contains(letter));
    if words.len() == 1 && words.iter().all(|word| is_picture(word)) {
        return "─".to_owned();
    }
    let is_event = words.get(1).is_some_and(|rate| *rate == "·" || is_number(rate));
    if let Some(first) = words.first().filter(|first| EVENTS.contains(first) && is_event) {
        return (*first).to_owned();
    }
    let mut masked: Vec<String> = Vec::new();
    let mut rest = words.iter().copied().filter(|word| !is_picture(word)).peekable();
    while let Some(word) = rest.next() {
        let next = rest.peek().copied().unwrap_or_default();
        let unit = next.trim_end_matches([',', ')', ':']);
        if is_number(word) && UNITS.contains(&unit) {
            masked.push(format!("TIME{}", &next[unit.len()..]));
            rest.next();
        } else if is_number(word) && ["%", "×", "grace"].contains(&unit) {
            masked.push("N".to_owned());
        } else if word == HIGHEST {
            masked.push(format!("{HIGHEST} N"));
            rest.next();
        } else if word == "Linux" {
            masked.push("Linux RELEASE".to_owned());
            rest.next();
        } else {
            masked.push(masked_word(word));
        }
    }
    masked.join(" ")
}

/// Whether people are told a number by this: digits, a sign before them, commas and a point among them.
fn is_number(word: &str) -> bool {
    let digits = word.trim_start_matches(['+', '-']);
    digits.starts_with(|first: char| first.is_ascii_digit())
        && digits.chars().all(|letter| letter.is_ascii_digit() || ",.".contains(letter))
}

/// A word without a process's number and without an offset.
fn masked_word(word: &str) -> String {
    if let Some((before, after)) = word.split_once("+0x") {
        let rest = after.trim_start_matches(|letter: char| letter.is_ascii_hexdigit());
        return format!("{before}+OFFSET{rest}");
    }
    match word.split_once('[') {
        Some((before, after)) if after.starts_with(|first: char| first.is_ascii_digit()) => {
            let rest = after.trim_start_matches(|letter: char| letter.is_ascii_digit());
            format!("{before}[N{rest}")
        }
        _ => word.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::{is_excused, masked, masked_line};

    #[test]
    fn a_skipped_run_excuses_what_is_open_and_no_verdict() {
        let wanted = "pending a krcu_play\nwaited b krcu_play\n";
        assert!(is_excused("pending a krcu_play\ninconclusive b probe missed\n", wanted));
        assert!(!is_excused("clean a krcu_play\ninconclusive b probe missed\n", wanted));
        assert!(!is_excused("pending a krcu_play\ninconclusive b\n", wanted), "nothing was skipped");
    }

    #[test]
    fn of_stacks_that_look_the_same_one_is_left() {
        let stack = |n: u32, caller: &str| format!("   {n} × f+0x5f [m]\n     ← {caller}+0x97\n");
        let screen =
            format!("by  kfree_rcu 700\n{}{}{}\n\nend\n", stack(699, "g"), stack(1, "g"), stack(5, "h"));
        let one = |caller: &str| format!("N × f+OFFSET [m]\n← {caller}+OFFSET\n");
        assert_eq!(masked(&screen), format!("by kfree_rcu 700\n{}{}\nend\n", one("g"), one("h")));
    }

    #[test]
    fn what_differs_is_masked_and_nothing_else() {
        for (line, masked) in [
            ("────", "─"),
            (" queue       1,200      300     ▁▂█", "queue"),
            (" free            ·      350      ▁ █", "free"),
            (" cache      ▼outstanding   oldest", "cache ▼outstanding oldest"),
            (" a     700    1.12 s     ·    ▆█", "a 700 TIME ·"),
            (" outstanding  300  oldest 369 ms   ██", "outstanding 300 oldest TIME"),
            ("play[243] in f+0x7f [krcu_play], 3.45 s into", "play[N] in f+OFFSET [krcu_play], TIME into"),
            (" krcu  Linux 6.12.1+deb12 · attached 3 s ago", "krcu Linux RELEASE · attached TIME ago"),
            ("timeline  +718 ms  ────●─  it looks", "timeline TIME it looks"),
            ("counts 700 objects left", "counts 700 objects left"),
        ] {
            assert_eq!(masked_line(line), masked, "{line}");
        }
    }
}
