//! The screen of a run, from its events on.

use krcu_agent::{
    outcome::{EXIT_FAILED, EXIT_INCONCLUSIVE, Outcome, Policy, Setting},
    report::text::render,
};
use krcu_common::{FreePath, QueueForm};
use krcu_model::{
    Event, State, Watch,
    event::{
        CacheAddress, CacheFacts, Cpu, Gap, Leftover, LossReason, Losses, ObjectAddress, Scope, Site, Task,
        Time, What,
    },
    state::Blind,
};
use krcu_report::verdicts;

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
    let mut state = State::new(Watch { attached: Time(0), possible_cpus: 2, blind, ..Watch::default() });
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
        What::DestroyBegin { cache: CACHE, facts, site: Site(1), comm: "rmmod".to_owned(), counted: false },
    );
    step(0, What::ShutdownBegin { cache: CACHE, rcu_works_flushed: 0 });
    rest.into_iter().for_each(|what| step(0, what));
    Outcome {
        setting: Setting::default(),
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
        failed: None,
        policy: Policy { strict: false, exit_flagged: 10, ..Policy::default() },
    }
}

fn left() -> What {
    What::ShutdownEnd { empty: Some(false), left: Some(Leftover { objects: 777, listed: 29 }) }
}

#[test]
fn a_fault_is_one_screen_with_the_verdict_first_and_the_advice_last() {
    let screen = "\
krcu: Linux 6.1.0-56-cloud-amd64 · 16 probes · 782 events, 0 lost · 3.20 s
      1 PENDING

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
    assert!(lines[4].starts_with("inconclusive  my_cache  cannot be decided"), "{text}");
    assert_eq!(lines[2], "      1 inconclusive");
    assert_eq!(lines[5], "              why           9 events were lost because the ring was full");
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
            assert!(line.chars().count() <= 100, "{line}");
        }
    }
}
