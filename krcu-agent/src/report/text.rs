//! Text: one screen for a person. The verdict first, then the evidence, then what to do.

use std::fmt::Write as _;

use krcu_model::{
    VerdictKind,
    verdict::{About, DestroyedBy},
};
use krcu_report::FlatVerdict;
use krcu_report::words::{self, count, span, wrapped};

use crate::outcome::{Incomplete, Outcome};

pub(super) use krcu_report::words::{clause, objects};

/// Columns that a line may take.
const WIDTH: usize = 100;
/// Where the name of a cache begins.
const NAME_COLUMN: usize = 14;
/// Where the words of the evidence begin.
const EVIDENCE_COLUMN: usize = 28;
/// Queueing sites shown of one cache.
const SITES: usize = 3;
/// Verdicts of one line that are shown by name.
const QUIET: usize = 12;

/// The report as a person reads it.
#[must_use]
pub fn render(outcome: &Outcome) -> String {
    let mut text = headline(outcome);
    for loss in losses(outcome) {
        let _ = writeln!(text, "      {loss}");
    }
    text.push('\n');
    let (quiet, loud): (Vec<&FlatVerdict>, Vec<&FlatVerdict>) =
        outcome.verdicts.iter().partition(|verdict| is_quiet(outcome, verdict));
    for verdict in loud {
        text += &block(outcome, verdict);
        text.push('\n');
    }
    // Of a module that went in order there is nothing to tell.
    let quiet: Vec<&FlatVerdict> =
        quiet.into_iter().filter(|verdict| verdict.about == About::Cache).collect();
    for verdict in quiet.iter().take(QUIET) {
        text += &title(outcome, verdict);
    }
    if quiet.len() > QUIET {
        let _ = writeln!(text, "{:NAME_COLUMN$}and {} more", "clean", count((quiet.len() - QUIET) as u64));
    }
    text + &conclusion(outcome)
}

pub(super) fn headline(outcome: &Outcome) -> String {
    format!(
        "krcu: Linux {} · {} probes · {} events, {} lost · {}\n",
        outcome.release,
        outcome.probes,
        count(outcome.events),
        count(outcome.losses.total()),
        span(outcome.duration_ns)
    )
}

/// What was lost, a reason each.
pub(super) fn losses(outcome: &Outcome) -> Vec<String> {
    let mut parts = Vec::new();
    parts.extend(outcome.incomplete.map(|incomplete| incomplete.sentence().to_owned()));
    if outcome.losses.ring_full > 0 {
        parts.push(format!(
            "{} events found the ring full (enlarge it with --ring-bytes)",
            count(outcome.losses.ring_full)
        ));
    }
    if outcome.losses.probe_missed > 0 {
        parts.push(format!(
            "{} runs of a probe were skipped by the kernel",
            count(outcome.losses.probe_missed)
        ));
    }
    if outcome.losses.map_full > 0 {
        parts.push(format!("{} times a map of the probes was full", count(outcome.losses.map_full)));
    }
    if outcome.without_site > 0 {
        parts.push(format!(
            "{} events have no site (make room for more stacks with --stacks)",
            count(outcome.without_site)
        ));
    }
    parts
}

/// Whether a verdict needs one line only.
pub(super) fn is_quiet(outcome: &Outcome, verdict: &FlatVerdict) -> bool {
    matches!(verdict.verdict, VerdictKind::Clean | VerdictKind::Alias | VerdictKind::Repeated)
        && !outcome.is_open(verdict)
}

/// The verdict in one word, as far as it answers what this run asks.
pub(super) fn word(outcome: &Outcome, verdict: &FlatVerdict) -> &'static str {
    if outcome.is_open(verdict) { VerdictKind::Inconclusive.word() } else { verdict.verdict.word() }
}

/// What, of which cache, in one clause, and whose: on one line, or the clause below where it has no room.
fn title(outcome: &Outcome, verdict: &FlatVerdict) -> String {
    let loud = outcome.is_flagged(verdict) || verdict.verdict == VerdictKind::Unordered;
    let word = word(outcome, verdict);
    let word = if loud { word.to_uppercase() } else { word.to_owned() };
    let (head, clause) = (format!("{word:NAME_COLUMN$}{}", verdict.name()), clause(verdict));
    let module = verdict.module.as_deref().unwrap_or_default();
    let one_line = format!("{head}  {clause}");
    // Two blanks stand between the clause and the module.
    if one_line.chars().count() + 2 + module.chars().count() <= WIDTH || clause.is_empty() {
        return with_module(&one_line, module);
    }
    with_module(&head, module) + &below(&" ".repeat(NAME_COLUMN), &clause)
}

/// A line that ends in the module's name, at the right edge.
fn with_module(line: &str, module: &str) -> String {
    let taken = line.chars().count() + module.chars().count();
    let gap = WIDTH.saturating_sub(taken).max(2);
    format!("{}\n", format!("{line}{:gap$}{module}", "").trim_end())
}

pub(super) fn block(outcome: &Outcome, verdict: &FlatVerdict) -> String {
    let mut text = title(outcome, verdict);
    for (place, note) in verdict.notes.iter().enumerate() {
        text += &evidence(if place == 0 { "why" } else { "" }, note);
    }
    if !verdict.destroyed_by.comm.is_empty() {
        let DestroyedBy { comm, task, .. } = &verdict.destroyed_by;
        let at = span(verdict.destroyed_at_ns);
        let words = format!("{comm}[{task}] {}, {at} into the run", words::destroyed_in(verdict));
        text += &evidence("destroyed by", &words);
    }
    let queued_by = words::queued_by(verdict);
    let has_line = queued_by.is_some();
    if let Some(line) = queued_by {
        text += &evidence("queued by", &line);
    }
    text += &list(if has_line { "" } else { "queued by" }, words::sites(&verdict.sites), "sites");
    let callbacks = verdict.callbacks.iter().map(words::callback).collect();
    text += &list("callbacks", callbacks, "callbacks");
    text += &list("allocated by", words::sites(&verdict.leak_sites), "sites");
    if let Some(line) = words::ordering(verdict) {
        text += &evidence("ordering", &line);
    }
    if let Some(line) = words::kernel(verdict) {
        text += &evidence("the kernel", &line);
    }
    text + &evidence("what to do", &verdict.advice)
}

/// The first of several lines of evidence, and how many there are beside them.
fn list(label: &str, lines: Vec<String>, noun: &str) -> String {
    let more = lines.len().saturating_sub(SITES);
    let mut text = String::new();
    let more = (more > 0).then(|| format!("and {more} more {noun} (--format json has them)"));
    for (place, line) in lines.into_iter().take(SITES).chain(more).enumerate() {
        text += &evidence(if place == 0 { label } else { "" }, &line);
    }
    text
}

/// One line of evidence, wrapped under itself.
fn evidence(label: &str, words: &str) -> String {
    below(&format!("{:NAME_COLUMN$}{label:<width$}", "", width = EVIDENCE_COLUMN - NAME_COLUMN), words)
}

/// Words behind `head`, and where they do not end on its line, below one another.
fn below(head: &str, words: &str) -> String {
    let indent = " ".repeat(head.chars().count());
    wrapped([head, &indent], words, WIDTH).join("\n") + "\n"
}

pub(super) fn conclusion(outcome: &Outcome) -> String {
    let mut parts = Vec::new();
    let flagged = |about: About| {
        outcome
            .verdicts
            .iter()
            .filter(|verdict| verdict.about == about && outcome.is_flagged(verdict))
            .count()
    };
    let all = outcome.verdicts.iter().filter(|verdict| verdict.about == About::Cache).count();
    if all == 0 && outcome.losses.destroys > 0 {
        parts.push("no slab cache was seen to be destroyed".to_owned());
    } else if all == 0 {
        parts.push("no slab cache was destroyed".to_owned());
    } else {
        let caches = if all == 1 { "destroyed cache" } else { "destroyed caches" };
        parts.push(format!("{} of {} {caches} flagged", flagged(About::Cache), all));
    }
    let modules = flagged(About::Module);
    if modules > 0 {
        parts.push(format!("{} flagged", objects(modules as u64, "module")));
    }
    if outcome.open() > 0 {
        parts.push(format!("{} inconclusive", outcome.open()));
    }
    if outcome.losses.destroys > 0 {
        parts.push(format!("{} unseen", objects(outcome.losses.destroys, "destroy")));
    }
    let status = outcome.exit_status();
    if status == outcome.command_status && outcome.flagged() == 0 && !outcome.events_cut_short {
        parts.push(format!("exit status {status}, the command's own"));
    } else if outcome.incomplete == Some(Incomplete::NoGoodbye) {
        parts.push(format!("exit status {status} (the command's own is not known)"));
    } else {
        parts.push(format!("exit status {status} (the command's own was {})", outcome.command_status));
    }
    let line = parts.join(" · ");
    if line.chars().count() <= WIDTH {
        return format!("{line}\n");
    }
    // The status is the last part, and has a line of its own where there is no room for it.
    let status = parts.pop().unwrap_or_default();
    format!("{}\n{status}\n", parts.join(" · "))
}

#[cfg(test)]
mod tests {
    use krcu_common::{FreePath, QueueForm};
    use krcu_model::{
        Event, State, Watch,
        event::{
            CacheAddress, CacheFacts, Cpu, Gap, Leftover, LossReason, ObjectAddress, Scope, Site, Task, Time,
            What,
        },
        state::Blind,
    };
    use krcu_report::verdicts;

    use super::{WIDTH, render};
    use crate::{
        outcome::{EXIT_FAILED, EXIT_INCONCLUSIVE, Outcome, Policy},
        pipeline::Losses,
    };

    const CACHE: CacheAddress = CacheAddress(1);
    const EXIT: Task = Task(412);

    /// A module's exit: 777 objects are queued on two CPUs and destroyed 3 ms later; `rest` follows.
    fn my_module(before_look: &[What], rest: Vec<What>) -> Outcome {
        // These events tell of no grace period.
        seen_by(vec![Blind::CallbackRuns, Blind::Grace], before_look, rest)
    }

    fn seen_by(blind: Vec<Blind>, before_look: &[What], rest: Vec<What>) -> Outcome {
        let facts = CacheFacts { name: "my_cache".to_owned(), object_size: 64, refcount: 1 };
        let frames =
            ["kvfree_call_rcu+0x5/0x90", "my_flush+0x51/0x80 [my_module]", "my_exit+0x37f/0x3a0 [my_module]"];
        let site = What::Site { site: Site(1), frames: frames.map(str::to_owned).to_vec() };
        let queued = |object| What::Queued {
            object: ObjectAddress(object),
            cache: CACHE,
            site: Site(1),
            form: QueueForm::Head,
        };
        let mut state = State::new(Watch { attached: Time(0), possible_cpus: 2, blind });
        let mut now = 1_200_000_000;
        let mut step = |cpu, what| {
            now += 1_000;
            state.step(Event { time: Time(now), task: EXIT, cpu: Cpu(cpu), what });
        };
        step(0, site);
        step(
            0,
            What::CacheCreated {
                cache: CACHE,
                facts: facts.clone(),
                asked_name: "my_cache".to_owned(),
                site: Site(1),
            },
        );
        for object in 0..777 {
            step(u16::from(object >= 700), queued(object));
        }
        before_look.iter().for_each(|what| step(0, what.clone()));
        step(
            0,
            What::DestroyBegin {
                cache: CACHE,
                facts,
                site: Site(1),
                comm: "rmmod".to_owned(),
                counted: false,
            },
        );
        step(0, What::ShutdownBegin { cache: CACHE, rcu_works_flushed: 0 });
        rest.into_iter().for_each(|what| step(0, what));
        Outcome {
            release: "6.1.0-56-cloud-amd64".to_owned(),
            probes: 16,
            events: state.events(),
            losses: Losses::default(),
            without_site: 0,
            accounts: Vec::new(),
            attach_ns: 0,
            duration_ns: 3_200_000_000,
            verdicts: verdicts(&state),
            command_status: 0,
            events_cut_short: false,
            incomplete: None,
            policy: Policy { strict: false, exit_flagged: 10 },
        }
    }

    fn left() -> What {
        What::ShutdownEnd { empty: Some(false), left: Some(Leftover { objects: 777, listed: 29 }) }
    }

    #[test]
    fn a_fault_is_one_screen_with_the_verdict_first_and_the_advice_last() {
        let screen = "\
krcu: Linux 6.1.0-56-cloud-amd64 · 16 probes · 782 events, 0 lost · 3.20 s

PENDING       my_cache  destroyed with 777 deferred frees outstanding                      my_module
              destroyed by  rmmod[412] in my_flush+0x51 [my_module], 1.20 s into the run
              queued by     kfree_rcu  777   oldest 778 µs   CPU 0: 700, CPU 1: 77
                            777 × my_flush+0x51 ← my_exit+0x37f [my_module]
              ordering      no barrier that covers kfree_rcu() stands before the destroy
              the kernel    counts 777 objects left; its report lists the 29 on partial slabs
              what to do    this kernel's kmem_cache_destroy() does not wait for kfree_rcu(): free
                            with call_rcu() and call rcu_barrier() before destroying

1 of 1 destroyed cache flagged · exit status 10 (the command's own was 0)
";
        let outcome = my_module(&[], vec![left()]);
        assert_eq!(render(&outcome), screen);
        assert_eq!(outcome.exit_status(), 10);
    }

    #[test]
    fn a_loss_is_on_the_screen_and_in_the_verdict() {
        let gap = Gap {
            reason: LossReason::RingFull,
            events: 9,
            from: Time(1),
            until: Time(2_000_000_000),
            scope: Scope::Everything,
            programs: Vec::new(),
        };
        let mut outcome = my_module(&[], vec![left(), What::Gap(gap.clone())]);
        outcome.losses.ring_full = 9;
        let text = render(&outcome);
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!(lines[0], "krcu: Linux 6.1.0-56-cloud-amd64 · 16 probes · 782 events, 9 lost · 3.20 s");
        assert_eq!(lines[1], "      9 events found the ring full (enlarge it with --ring-bytes)");
        assert!(lines[3].starts_with("inconclusive  my_cache  cannot be decided"), "{text}");
        assert_eq!(lines[4], "              why           9 events were lost because the ring was full");
        assert_eq!(outcome.exit_status(), EXIT_INCONCLUSIVE);
        // Of runs that were skipped it is said of which programs.
        let programs = vec!["destroy_begin".to_owned(), "cache_created".to_owned()];
        let gap = Gap { reason: LossReason::ProbeMissed, programs, ..gap };
        let text = render(&my_module(&[], vec![left(), What::Gap(gap)]));
        assert!(text.contains("cannot be decided: probe-missed (cache_created, destroy_begin)"), "{text}");
    }

    #[test]
    fn a_race_won_by_luck_is_as_loud_as_a_fault_and_fails_only_when_strict() {
        let frees: Vec<What> = (0..777)
            .map(|object| What::Freed { object: ObjectAddress(object), cache: CACHE, path: FreePath::Bulk })
            .chain([What::BatchFreed { path: FreePath::Bulk }])
            .collect();
        let mut outcome = my_module(&frees, vec![What::ShutdownEnd { empty: Some(true), left: None }]);
        let text = render(&outcome);
        assert!(
            text.contains(
                "\nUNORDERED     my_cache  nothing outstanding, by luck: the last free was 3.00 µs before"
            ),
            "{text}"
        );
        assert_eq!(outcome.exit_status(), 0);
        outcome.policy.strict = true;
        assert_eq!(outcome.exit_status(), 10);
    }

    /// Grace periods are seen and none has passed: the module's queueing calls are in one task.
    #[test]
    fn what_the_kernel_broke_is_told_beside_the_verdict() {
        let free = What::Freed { object: ObjectAddress(5), cache: CACHE, path: FreePath::Bulk };
        let returned = What::BatchFreed { path: FreePath::Bulk };
        let mut outcome = seen_by(vec![Blind::CallbackRuns], &[], vec![left(), free, returned]);
        let text = render(&outcome);
        assert!(text.contains("\nPENDING       my_cache"), "{text}");
        assert!(
            text.contains("\nFREED-EARLY   my_cache  1 object freed before a grace period had passed\n"),
            "{text}"
        );
        assert_eq!((outcome.flagged(), outcome.exit_status()), (2, 10));
        outcome.events_cut_short = true;
        assert_eq!(outcome.exit_status(), EXIT_FAILED);
        outcome.command_status = EXIT_FAILED;
        assert!(!render(&outcome).contains("the command's own\n"), "krcu's own failure is not the command's");
    }

    #[test]
    fn no_line_is_wider_than_a_screen() {
        for outcome in [my_module(&[], vec![left()]), my_module(&[], Vec::new())] {
            for line in render(&outcome).lines() {
                assert!(line.chars().count() <= WIDTH, "{line}");
            }
        }
    }
}
