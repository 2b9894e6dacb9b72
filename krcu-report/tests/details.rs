//! Details: what a verdict says beside its word, and only where it was seen. Each run is the fewest events that lead to it.

#![expect(clippy::unwrap_used, reason = "a test's helpers fail as the test does")]

use krcu_model::{
    VerdictKind,
    reason::Reason,
    script,
    verdict::{About, DestroyedBy},
};
use krcu_report::{FlatVerdict, verdicts, words};

/// The verdicts of a run, whose lines are a millisecond apart and begin with the task.
fn told(lines: &str) -> Vec<FlatVerdict> {
    told_of("grace", lines)
}

/// The same of a watch that is blind to this.
fn told_of(blind: &str, lines: &str) -> Vec<FlatVerdict> {
    let mut text = format!("krcu-script 1\nwatch attached=0 possible_cpus=2 blind={blind}\n");
    for (number, line) in lines.lines().map(str::trim).filter(|line| !line.is_empty()).enumerate() {
        text += &format!("{} {line}\n", (number + 1) * 1_000_000);
    }
    verdicts(&script::read(&text).unwrap().replay())
}

/// The only one with this word.
fn one(word: VerdictKind, lines: &str) -> FlatVerdict {
    let mut all = told(lines);
    all.retain(|verdict| verdict.verdict == word);
    assert_eq!(all.len(), 1, "{all:#?}");
    all.remove(0)
}

/// A module with one callback of its own that queues again, and its cache.
const LOADED: &str = r#"
    10@0 module_loaded name="mine"
    10@0 function function=0x7 symbol="mine_free+0x0/0x20 [mine]"
    10@0 site site=1 frame="call_rcu+0x5/0x90" frame="mine_put+0x51/0x80 [mine]"
    10@0 site site=2 frame="call_rcu+0x5/0x90" frame="mine_again+0x16/0x40 [mine]" frame="rcu_do_batch+0x1c2/0x560"
    10@0 site site=3 frame="kvfree_call_rcu+0x5/0x90" frame="mine_again+0x16/0x40 [mine]" frame="rcu_do_batch+0x1c2/0x560"
    10@0 cache_created cache=0x1000 name="mine" object_size=64 refcount=1 asked_name="mine"
"#;
const CALLED: &str = "10@0 callback_queued object=0x40 cache=0x1000 function=0x7 site=1\n";
const RAN: &str = "0@1 callback_runs object=0x40 cache=0x1000\n0@1 batch_freed path=callback\n";
const BARRIER: &str = "10@0 barrier_begin barrier=rcu\n10@0 barrier_end barrier=rcu\n";
const DESTROY: &str = r#"
    10@0 destroy_begin cache=0x1000 name="mine" object_size=64 refcount=1 comm="rmmod"
    10@0 shutdown_begin cache=0x1000
"#;
const EMPTY: &str = "10@0 shutdown_end empty=yes\n10@0 cache_released cache=0x1000\n";
const LEFT: &str = "10@0 shutdown_end empty=no objects=1 listed=1\n";
const GONE: &str = "10@0 module_freed name=\"mine\"\n";

/// That a callback may run after its module.
fn outlives(verdict: &FlatVerdict) -> bool {
    verdict.notes.iter().any(|note| note.contains("may run after the module is gone"))
}

#[test]
fn a_callback_outlives_its_module_only_where_no_barrier_stands_before_the_end() {
    use VerdictKind::{Pending, Unordered};
    for (word, before, after) in [(Pending, "", format!("{LEFT}{RAN}")), (Unordered, RAN, EMPTY.to_owned())] {
        let run =
            |rest: &str| one_of_the_cache(word, &format!("{LOADED}{CALLED}{before}{DESTROY}{after}{rest}"));
        // It is loaded still: what its exit does afterwards is not known.
        assert!(outlives(&run("")), "{word:?}");
        assert!(outlives(&run(GONE)), "{word:?}");
        assert!(!outlives(&run(&format!("{BARRIER}{GONE}"))), "{word:?}");
        // It is loaded again, and goes again: that is another text.
        let again = format!("{GONE}10@0 module_loaded name=\"mine\"\n{CALLED}{RAN}{BARRIER}{GONE}");
        assert!(outlives(&run(&again)), "{word:?}");
    }
}

/// The only one with this word that is about a cache.
fn one_of_the_cache(word: VerdictKind, lines: &str) -> FlatVerdict {
    let mut all = told(lines);
    all.retain(|verdict| verdict.verdict == word && !verdict.cache.is_empty());
    assert_eq!(all.len(), 1, "{all:#?}");
    all.remove(0)
}

#[test]
fn what_was_being_freed_was_not_queued_after_the_destroy_began() {
    const WAITS: &str = "10@0 barrier_begin barrier=kvfree\n10@0 barrier_end barrier=kvfree\n";
    let destroy = |queued_inside: &str, left: &str| {
        let begin =
            "10@0 destroy_begin cache=0x1000 name=\"mine\" object_size=64 refcount=1 comm=\"rmmod\"\n";
        format!("{begin}{WAITS}{queued_inside}10@0 shutdown_begin cache=0x1000\n{left}")
    };
    let queued = |object: &str| format!("30@1 queued object={object} cache=0x1000 site=1\n");
    // A batch leaves before the destroy begins, and is being freed when it looks (the kernel's shrinker can do that).
    let taken = format!("{LOADED}{}20@1 freed object=0x40 cache=0x1000 path=bulk\n", queued("0x40"));
    let verdict = one(VerdictKind::Pending, &format!("{taken}{}", destroy("", LEFT)));
    assert_eq!((verdict.queued_by_kfree_rcu, verdict.being_freed), (1, 1));
    assert_eq!(
        words::ordering(&verdict).unwrap(),
        "the barrier inside the destroy did not wait for a batch of 1 object that was being freed when the destroy looked"
    );
    assert_eq!(
        verdict.advice,
        "the destroy's barrier did not wait for a batch that was being freed: unless something called kfree_rcu() meanwhile, the fault is the kernel's, whose barrier can miss such a batch; free with call_rcu() and call rcu_barrier() before destroying"
    );
    // One that comes while the destroy waits.
    let verdict = one(VerdictKind::Pending, &format!("{LOADED}{}", destroy(&queued("0x40"), LEFT)));
    assert_eq!((verdict.queued_by_kfree_rcu, verdict.being_freed), (1, 0));
    assert_eq!(
        words::ordering(&verdict).unwrap(),
        "the barrier inside the destroy covers only calls of kfree_rcu() that had returned when it began"
    );
    assert_eq!(
        verdict.advice,
        "the destroy waited for every call of kfree_rcu() that had returned when it began: stop whatever still calls kfree_rcu() before destroying"
    );
    // Both.
    let left = "10@0 shutdown_end empty=no objects=2 listed=2\n";
    let both = one(VerdictKind::Pending, &format!("{taken}{}", destroy(&queued("0x80"), left)));
    assert_eq!((both.queued_by_kfree_rcu, both.being_freed), (2, 1));
    assert!(both.advice.contains("stop whatever still calls kfree_rcu()"), "{}", both.advice);
}

#[test]
fn a_destroy_that_the_barrier_failed_names_the_barrier_and_not_the_module() {
    let queued = |task: u32, object: &str| format!("{task}@0 queued object={object} cache=0x1000 site=1\n");
    let destroyed = |queued_inside: &str, left: u32| {
        format!(
            "{LOADED}{}40@1 freed object=0x40 cache=0x1000 path=bulk\n\
             10@0 destroy_begin cache=0x1000 name=\"mine\" object_size=64 refcount=1 comm=\"rmmod\"\n\
             10@0 barrier_begin barrier=kvfree\n10@0 barrier_end barrier=kvfree\n{queued_inside}\
             10@0 shutdown_begin cache=0x1000\n10@0 shutdown_end empty=no objects={left} listed={left}\n\
             40@1 batch_freed path=bulk\n",
            queued(10, "0x40")
        )
    };
    let verdict = one(VerdictKind::Pending, &destroyed("", 1));
    assert_eq!((verdict.queued_by_kfree_rcu, verdict.missed_by_barrier), (1, 1));
    assert_eq!(
        words::ordering(&verdict).unwrap(),
        "the kernel's barrier is broken: the one inside the destroy covers 1 of these and returned before their free was over"
    );
    assert_eq!(
        verdict.advice,
        "the kernel's barrier failed here, not this exit path: report the barrier-early of this cache, with what --events writes of the run"
    );
    let early = one(VerdictKind::BarrierEarly, &destroyed("", 1));
    assert_eq!(words::clause(&early), "a barrier returned with 1 object that it covers still being freed");
    assert_eq!(
        early.notes,
        [
            "a barrier returned after 1000000 ns without the free of 1 object that had been queued before it: task 40 was in a call that frees 1 of them, which returned 3000000 ns after the barrier"
        ]
    );
    // Another task queues one more while the destroy waits.
    let both = one(VerdictKind::Pending, &destroyed(&queued(30, "0x80"), 2));
    assert_eq!((both.queued_by_kfree_rcu, both.missed_by_barrier), (2, 1));
    assert!(both.advice.contains("the kernel's barrier failed here"), "{}", both.advice);
    assert!(both.advice.contains("stop whatever calls kfree_rcu()"), "{}", both.advice);
}

#[test]
fn of_two_stages_the_barrier_that_stands_is_named() {
    use VerdictKind::{Pending, Unordered};
    // The callback queues again while the barrier waits for it.
    let again = "0@1 callback_queued object=0x40 cache=0x1000 function=0x7 site=2\n";
    let runs = "0@1 callback_runs object=0x40 cache=0x1000\n";
    let returns = "0@1 batch_freed path=callback\n";
    let begin = "10@0 barrier_begin barrier=rcu\n";
    let end = "10@0 barrier_end barrier=rcu\n";
    let first = format!("{LOADED}{CALLED}{begin}{runs}{again}{returns}{end}");
    let said = "callbacks queued again: the rcu_barrier() 1.00 ms before the destroy waited for callbacks, and not for what these queued";
    let pending = one(Pending, &format!("{first}{DESTROY}{LEFT}"));
    assert_eq!(words::ordering(&pending).unwrap(), said);
    assert_eq!(
        pending.advice,
        "callbacks queued again, and no barrier waited for that: call rcu_barrier() once more for each time that callbacks queue, before kmem_cache_destroy()"
    );
    let lucky = one(Unordered, &format!("{first}{RAN}{DESTROY}{EMPTY}"));
    assert_eq!(words::ordering(&lucky).unwrap(), said.replace("1.00 ms", "3.00 ms"));
    assert!(
        lucky.advice.ends_with(
            "call rcu_barrier() once more for each time that callbacks queue, before kmem_cache_destroy()"
        ),
        "{}",
        lucky.advice
    );
    // By kfree_rcu(), on a kernel whose destroy does not wait for it.
    let again = "0@1 queued object=0x40 cache=0x1000 site=3\n";
    let first = format!("{LOADED}{CALLED}{begin}{runs}{again}{returns}{end}");
    let pending = one(Pending, &format!("{first}{DESTROY}{LEFT}"));
    assert_eq!(
        words::ordering(&pending).unwrap(),
        "callbacks queued again by kfree_rcu(): the rcu_barrier() 1.00 ms before the destroy waited for callbacks, and not for what these queued"
    );
    // A barrier that was too early, and none.
    let early = one(Pending, &format!("{LOADED}{BARRIER}{CALLED}{DESTROY}{LEFT}"));
    assert_eq!(
        words::ordering(&early).unwrap(),
        "the rcu_barrier() 2.00 ms before the destroy was called before the last call_rcu(), and does not cover it"
    );
    let none = one(Pending, &format!("{LOADED}{CALLED}{DESTROY}{LEFT}"));
    assert_eq!(
        words::ordering(&none).unwrap(),
        "no rcu_barrier() stands between the last call_rcu() and the destroy"
    );
}

#[test]
fn a_name_that_fills_its_place_is_marked_as_cut() {
    let name = |letters: usize| "n".repeat(letters);
    let named = |name: &str| FlatVerdict { cache: name.to_owned(), ..FlatVerdict::default() };
    assert_eq!(named(&name(54)).name(), name(54));
    assert_eq!(named(&name(55)).name(), name(55) + "…");
    // Its last letter has two bytes, of which one was kept: U+FFFD stands for that.
    assert_eq!(named(&(name(54) + "\u{fffd}")).name(), name(54) + "\u{fffd}…");
    // The kernel has no longer names of modules.
    let module = FlatVerdict { about: About::Module, module: Some(name(55)), ..FlatVerdict::default() };
    assert_eq!(module.name(), name(55));
    let alias = FlatVerdict {
        verdict: VerdictKind::Alias,
        aliases: vec![name(55), name(3)],
        ..FlatVerdict::default()
    };
    assert_eq!(
        words::clause(&alias),
        format!("has {}…, nnn merged into it: only a reference was dropped", name(55))
    );
}

#[test]
fn stacks_that_print_alike_are_one_row() {
    let queued = |object: &str, site: u32| format!("10@0 queued object={object} cache=0x1000 site={site}\n");
    // The same frames under two numbers; and two that differ only behind what is printed.
    let sites = r#"
        10@0 site site=11 frame="kvfree_call_rcu+0x5/0x90" frame="mine_put+0x51/0x80 [mine]" frame="entry+0x1/0x2"
        10@0 site site=12 frame="kvfree_call_rcu+0x9/0x90" frame="mine_put+0x51/0x80 [mine]" frame="entry+0x1/0x2"
        10@0 site site=13 frame="kvfree_call_rcu+0x5/0x90" frame="mine_put+0x51/0x80 [mine]" frame="other+0x1/0x2"
        10@0 site site=14 frame="kvfree_call_rcu+0x5/0x90" frame="mine_get+0x51/0x80 [mine]" frame="entry+0x1/0x2"
    "#;
    let queue: String =
        [("0x40", 11), ("0x80", 12), ("0xc0", 13), ("0x100", 14), ("0x140", 14), ("0x180", 12)]
            .map(|(object, site)| queued(object, site))
            .concat();
    let left = "10@0 shutdown_end empty=no objects=6 listed=6\n";
    let verdict = one(VerdictKind::Pending, &format!("{LOADED}{sites}{queue}{DESTROY}{left}"));
    let rows: Vec<(u64, &str)> =
        verdict.sites.iter().map(|site| (site.objects, site.stack[1].as_str())).collect();
    assert_eq!(rows, [(3, "entry+0x1"), (2, "entry+0x1"), (1, "other+0x1")]);
    assert_eq!(words::sites(&verdict.sites), ["4 × mine_put+0x51 [mine]", "2 × mine_get+0x51 [mine]"]);
}

#[test]
fn leaked_beside_pending_is_called_so_and_both_are_advised() {
    let left = "10@0 shutdown_end empty=no objects=6 listed=6\n";
    let verdict = one(VerdictKind::Pending, &format!("{LOADED}{CALLED}{DESTROY}{left}"));
    assert_eq!((verdict.queued_by_call_rcu, verdict.leaked), (Some(1), Some(5)));
    let line = words::queued_by(&verdict).unwrap();
    assert!(line.starts_with("call_rcu  1   leaked  5   oldest "), "{line}");
    assert_eq!(
        verdict.advice,
        "nothing here waits for call_rcu(): call rcu_barrier() before kmem_cache_destroy(), after the last call_rcu(); and nobody queued 5 more objects: free every object before destroying its cache"
    );
}

#[test]
fn what_a_destroy_waited_for_is_one_number() {
    let queue = "10@0 queued object=0x40 cache=0x1000 site=1\n10@0 queued object=0x80 cache=0x1000 site=1\n";
    let free = "20@1 freed object=0x40 cache=0x1000 path=bulk\n20@1 freed object=0x80 cache=0x1000 path=bulk\n20@1 batch_freed path=bulk\n";
    let run = format!(
        "{LOADED}{queue}10@0 destroy_begin cache=0x1000 name=\"mine\" object_size=64 refcount=1 comm=\"rmmod\"\n\
         10@0 barrier_begin barrier=kvfree\n{free}10@0 barrier_end barrier=kvfree\n10@0 shutdown_begin cache=0x1000\n{EMPTY}"
    );
    let verdict = one(VerdictKind::Waited, &run);
    assert_eq!((verdict.queued_by_kfree_rcu, verdict.waited_for_own), (0, 2));
    assert_eq!(words::numbers(&verdict)[0], ("waited_for_own", Some(2)));
    assert_eq!(words::queued_by(&verdict).as_deref(), Some("kfree_rcu  2"));
    assert!(words::clause(&verdict).ends_with("for 2 deferred frees"));
    let pending = one(
        VerdictKind::Pending,
        &format!("{LOADED}{queue}{DESTROY}10@0 shutdown_end empty=no objects=2 listed=2\n"),
    );
    assert_eq!(words::numbers(&pending)[0], ("queued_by_kfree_rcu", Some(2)));
}

#[test]
fn a_place_is_the_last_act_of_an_exit_only_where_the_kernel_itself_is_the_caller() {
    let place = |frames: &[&str]| {
        let destroyed_by = DestroyedBy {
            stack: frames.iter().map(|frame| (*frame).to_owned()).collect(),
            ..DestroyedBy::default()
        };
        let module = Some("mine".to_owned());
        words::destroyed_in(&FlatVerdict { destroyed_by, module, ..FlatVerdict::default() })
    };
    let unload = "__do_sys_delete_module.constprop.0+0x1a3";
    assert_eq!(place(&[unload, "do_syscall_64+0x59"]), "as the last act of the exit of mine");
    assert_eq!(place(&["mine_exit+0x9 [mine]", unload]), "in mine_exit+0x9 [mine]");
    // A helper of the kernel's, called by the exit; and one that the exit ends with, or that a notifier called.
    let helper = "proto_unregister+0x95";
    assert_eq!(
        place(&[helper, "mine_exit+0x9 [mine]", unload]),
        "in proto_unregister+0x95, called from mine_exit+0x9 [mine]"
    );
    assert_eq!(place(&[helper, unload]), "in proto_unregister+0x95, in the unload of mine");
    assert_eq!(place(&["process_one_work+0x1d0"]), "in process_one_work+0x1d0");
    assert_eq!(place(&[]), "at an unknown place");
}

#[test]
fn a_barrier_by_chance_inside_the_destroy_is_not_called_somebody_elses() {
    let site =
        |site: u32, frames: &str| format!("10@0 site site={site} frame=\"rcu_barrier+0x5/0x90\"{frames}\n");
    let chance = site(21, " frame=\"flush_rcu_work+0x2e/0x50\" frame=\"kvfree_rcu_barrier+0xed/0x130\"");
    let theirs = site(22, " frame=\"theirs_exit+0x9/0x20 [theirs]\"");
    let begin = "10@0 destroy_begin cache=0x1000 name=\"mine\" object_size=64 refcount=1 comm=\"rmmod\"\n";
    let barrier = |task: u32, site: u32| {
        format!(
            "{task}@0 barrier_begin barrier=rcu site={site} comm=\"rmmod\"\n{task}@0 barrier_end barrier=rcu\n"
        )
    };
    let run = |barrier: &str| {
        let used = format!("{LOADED}{chance}{theirs}{CALLED}{RAN}{begin}{barrier}");
        one(VerdictKind::Unordered, &format!("{used}10@0 shutdown_begin cache=0x1000\n{EMPTY}"))
    };
    let verdict = run(&barrier(10, 21));
    assert_eq!(
        verdict.notes[0],
        "flush_rcu_work() happened to call rcu_barrier() in this task, because a work waited: it does not do so every time"
    );
    assert_eq!(
        words::ordering(&verdict).unwrap(),
        "only by an rcu_barrier() that flush_rcu_work+0x2e happened to call: it returned 1.00 ms before"
    );
    let verdict = run(&barrier(30, 22));
    assert_eq!(
        verdict.notes[0],
        "a barrier that somebody else called happened to run before the destroy: this teardown did not ask for it"
    );
    assert!(words::ordering(&verdict).unwrap().ends_with("and is no part of this teardown"));
}

#[test]
fn where_a_helper_calls_the_barrier_the_advice_is_to_call_it_in_the_exit() {
    // Nothing was lost, and the probes are older than the module: another run would see no more.
    let site = "10@0 site site=21 frame=\"rcu_barrier+0x5/0x90\" frame=\"mine_wait+0x9/0x20 [mine]\" frame=\"kthread+0xf4/0x130\"\n";
    let by_helper =
        "30@0 barrier_begin barrier=rcu site=21 comm=\"mine_helper\"\n30@0 barrier_end barrier=rcu\n";
    let all = told(&format!("{LOADED}{site}{CALLED}{RAN}{by_helper}{DESTROY}{EMPTY}{GONE}"));
    let said: Vec<(About, VerdictKind, &str)> =
        all.iter().map(|verdict| (verdict.about, verdict.verdict, verdict.advice.as_str())).collect();
    assert_eq!(
        said,
        [
            (
                About::Cache,
                VerdictKind::Inconclusive,
                "call the barrier in the task that destroys the cache, before kmem_cache_destroy(): krcu does not see whether this task waits for the one that called the barrier"
            ),
            (
                About::Module,
                VerdictKind::Inconclusive,
                "call the barrier in the module's exit function itself: krcu does not see whether the exit waits for the task that called the barrier"
            ),
        ]
    );
}

/// A destroy in the text of the module, whose callbacks have heads that lie elsewhere.
const DESTROY_ELSEWHERE: &str = r#"
    10@0 site site=25 frame="kmem_cache_destroy+0x5/0x90" frame="mine_exit+0x30/0x80 [mine]"
    10@0 destroy_begin cache=0x1000 name="mine" object_size=64 refcount=1 comm="rmmod" site=25
    10@0 shutdown_begin cache=0x1000
"#;

#[test]
fn heads_elsewhere_are_advised_the_wait_of_their_own_kind() {
    let ran = |flavour: &str| {
        let queued = format!("10@0 callback_queued object=0x9040 cache=0x0 function=0x7 {flavour}site=1\n");
        let ran = "0@1 callback_runs object=0x9040 cache=0x0\n0@1 batch_freed path=callback\n";
        let verdict = one_of_the_cache(
            VerdictKind::Inconclusive,
            &format!("{LOADED}{queued}{ran}{DESTROY_ELSEWHERE}{EMPTY}"),
        );
        assert_eq!(verdict.reasons, [Reason::HeadsElsewhere]);
        verdict.advice
    };
    let of_rcu = "call rcu_barrier() before kmem_cache_destroy(), after the last call_rcu(), if these callbacks free objects of this cache; a run with --alloc-stacks shows whether they do";
    assert_eq!(ran(""), of_rcu);
    let of_others = |waits: &str| {
        format!(
            "if these callbacks free objects of this cache, before kmem_cache_destroy() {waits}; a run with --alloc-stacks shows whether they do"
        )
    };
    // No rcu_barrier() waits for a callback of another kind.
    assert_eq!(
        ran("flavour=srcu domain=0x77 "),
        of_others(
            "call srcu_barrier() of the same domain after the last call_srcu(); cleanup_srcu_struct() waits for no callback"
        )
    );
    assert_eq!(ran("flavour=tasks "), of_others("call rcu_barrier_tasks() after the last call_rcu_tasks()"));
}

#[test]
fn a_look_at_allocations_is_advised_only_where_it_would_tell_more() {
    // Where a callback with its head elsewhere waits still, no look at allocations tells what it will free.
    let waits = "10@0 callback_queued object=0x9040 cache=0x0 function=0x7 site=1\n";
    let verdict =
        one_of_the_cache(VerdictKind::Inconclusive, &format!("{LOADED}{waits}{DESTROY_ELSEWHERE}{LEFT}"));
    assert_eq!(verdict.reasons, [Reason::HeadsElsewhere]);
    assert_eq!(
        verdict.advice,
        "wait for these callbacks before kmem_cache_destroy(), if they free objects of this cache: by rcu_barrier() for call_rcu(), by srcu_barrier() for call_srcu(), by rcu_barrier() and then a flush for works"
    );
    // Objects that callbacks may have handed on: the run that sees allocations is not sent to look at them.
    let run = |seen: &str| {
        let lines = format!("{LOADED}{seen}{CALLED}{RAN}{BARRIER}{DESTROY}{LEFT}");
        let all = told_of("grace,inside", &lines);
        assert_eq!(all.len(), 1, "{all:#?}");
        assert_eq!(all[0].reasons, [Reason::HandedOn], "{all:#?}");
        all[0].advice.clone()
    };
    let waits =
        "after rcu_barrier(), wait for what these callbacks hand their objects to, as by flush_workqueue()";
    assert_eq!(run(""), format!("{waits}; a run with --alloc-stacks shows what was freed"));
    assert_eq!(run("10@0 allocated object=0x40 cache=0x1000 site=1\n"), waits);
}

#[test]
fn objects_beside_callbacks_that_wait_may_be_freed_by_them() {
    let left = |objects: u32| {
        let left = format!("10@0 shutdown_end empty=no objects={objects} listed={objects}\n");
        told_of("grace,inside", &format!("{LOADED}{CALLED}{DESTROY}{left}")).remove(0)
    };
    let waits = "nothing here waits for call_rcu(): call rcu_barrier() before kmem_cache_destroy(), after the last call_rcu()";
    assert_eq!((left(1).advice.as_str(), left(1).undecided), (waits, 0));
    let more = left(3);
    assert_eq!((more.leaked, more.undecided), (Some(0), 2));
    assert_eq!(
        more.advice,
        format!(
            "{waits}; 2 more objects may be freed by callbacks too: if not, free every object before destroying its cache"
        )
    );
    assert_eq!(
        more.notes[0],
        "2 of the objects left may be freed by the 1 callback that was outstanding (mine_free): a callback may free more objects than the one that its head is in"
    );
}

/// The only one that is about a module.
fn one_of_a_module(lines: &str) -> FlatVerdict {
    let mut all = told(lines);
    all.retain(|verdict| verdict.about == About::Module);
    assert_eq!(all.len(), 1, "{all:#?}");
    all.remove(0)
}

#[test]
fn a_module_whose_callbacks_queue_again_is_told_so_whether_or_not_its_exit_has_a_barrier() {
    let again = "0@1 callback_queued object=0x40 cache=0x1000 function=0x7 site=2\n";
    let (begin, end) = ("10@0 barrier_begin barrier=rcu\n", "10@0 barrier_end barrier=rcu\n");
    // The one barrier of the exit waits for the first callback, which queues the second.
    let runs = "0@1 callback_runs object=0x40 cache=0x1000\n";
    let first = format!("{LOADED}{CALLED}{begin}{runs}{again}0@1 batch_freed path=callback\n{end}");
    let advice = "call rcu_barrier() in the module's exit function, and once more for each time that callbacks queue: a callback that runs later runs in text that is gone";
    let lucky = one_of_a_module(&format!("{first}{RAN}{GONE}"));
    assert_eq!((lucky.verdict, lucky.advice.as_str()), (VerdictKind::Unordered, advice));
    assert_eq!(
        words::ordering(&lucky).unwrap(),
        "callbacks queued again: the task that removed the module called no further rcu_barrier() for what they queued"
    );
    let pending = one_of_a_module(&format!("{first}{GONE}"));
    assert_eq!((pending.verdict, pending.advice.as_str()), (VerdictKind::Pending, advice));
    assert_eq!(
        words::ordering(&pending).unwrap(),
        "callbacks queued again: the module's text goes before these have returned, and no rcu_barrier() has waited for them"
    );
}

#[test]
fn callbacks_of_one_kind_of_rcu_that_queue_another_are_told_apart() {
    let advice = "callbacks queue again: call a barrier for each time that they do, of the kind of RCU in question, in the order in which they queue; cleanup_srcu_struct() waits for no callback";
    let srcu = " flavour=srcu domain=0x6000";
    let in_srcu = "srcu_invoke_callbacks+0xc5/0x180";
    for (first, second, runs, own, barrier) in [
        (srcu, "", in_srcu, BARRIER.to_owned() + &BARRIER.replace("=rcu", "=srcu"), "rcu_barrier()"),
        (srcu, srcu, in_srcu, BARRIER.replace("=rcu", "=srcu"), "srcu_barrier() of its domain"),
        ("", srcu, "rcu_do_batch+0x1c2/0x560", BARRIER.to_owned(), "srcu_barrier() of its domain"),
    ] {
        let own = own.replace("barrier_end barrier=srcu", "barrier_end barrier=srcu of=0x6000");
        let site = format!(
            "10@0 site site=27 frame=\"call_rcu+0x5/0x90\" frame=\"mine_again+0x16/0x40 [mine]\" frame=\"{runs}\"\n"
        );
        let queued = |of: &str, site: &str| CALLED.replace(" site=1", &format!("{of} site={site}"));
        let again = queued(second, "27").replace("10@0", "0@1");
        let run =
            format!("0@1 callback_runs object=0x40 cache=0x1000\n{again}0@1 batch_freed path=callback\n");
        let lines = format!("{LOADED}{site}{}{run}{RAN}{own}{DESTROY}{EMPTY}{GONE}", queued(first, "1"));
        for verdict in [one_of_the_cache(VerdictKind::Unordered, &lines), one_of_a_module(&lines)] {
            assert_eq!(
                (verdict.verdict, verdict.advice.as_str()),
                (VerdictKind::Unordered, advice),
                "{first} {second}"
            );
            assert_eq!(
                words::ordering(&verdict).unwrap(),
                format!(
                    "callbacks queued these: no {barrier} stands after a barrier that waits for those callbacks"
                )
            );
        }
    }
}

#[test]
fn what_an_init_queued_is_to_be_waited_for_also_where_it_fails() {
    // Whether the exit ran, or the init has failed, is not seen: the sentences hold for both.
    let site = "10@0 site site=26 frame=\"call_rcu+0x5/0x90\" frame=\"mine_init+0x51/0x80 [mine]\" frame=\"do_one_initcall+0x59/0x220\"\n";
    let called = CALLED.replace("site=1", "site=26");
    let lucky = one_of_a_module(&format!("{LOADED}{site}{called}{RAN}{GONE}"));
    assert_eq!(lucky.verdict, VerdictKind::Unordered);
    assert_eq!(
        words::ordering(&lucky).unwrap(),
        "the task that removed the module called no rcu_barrier() after the last call_rcu()"
    );
    assert_eq!(
        lucky.advice,
        "call rcu_barrier() in the module's exit function, and before its init function returns an error, after the last call_rcu(): a callback that runs later runs in text that is gone"
    );
    let elsewhere = one_of_a_module(&format!("{LOADED}{CALLED}{RAN}{GONE}"));
    assert!(elsewhere.advice.starts_with("call rcu_barrier() in the module's exit function, after"));
    let site =
        "10@0 site site=27 frame=\"kmem_cache_create+0x5/0x90\" frame=\"mine_init+0x20/0x80 [mine]\"\n";
    let left = one(
        VerdictKind::Abandoned,
        &format!(
            "{site}10@0 module_loaded name=\"mine\"\n10@0 cache_created cache=0x1000 name=\"mine\" object_size=64 refcount=1 asked_name=\"mine\" site=27\n{GONE}"
        ),
    );
    assert_eq!(
        left.advice,
        "if nobody else holds the cache, it stays until the machine is switched off: call kmem_cache_destroy() in the module's exit function, and before its init function returns an error"
    );
}

#[test]
fn callbacks_that_nobody_was_seen_to_queue_are_not_called_those_of_call_rcu() {
    // They were queued before the probes were attached, by call_rcu() or by call_srcu().
    let older = format!("{DESTROY}{LEFT}{RAN}");
    let verdict = one_of_the_cache(VerdictKind::Pending, &older);
    assert_eq!(verdict.queued_by_call_rcu, Some(1));
    let line = words::queued_by(&verdict).unwrap();
    assert!(line.starts_with("a call that was not seen  1"), "{line}");
    assert_eq!(
        words::ordering(&verdict).unwrap(),
        "what queued these callbacks was not seen; nothing has waited for them"
    );
    assert_eq!(
        verdict.advice,
        "wait for these callbacks before kmem_cache_destroy(), by rcu_barrier() for call_rcu(), or by srcu_barrier() for call_srcu(): which of them queued these was not seen"
    );
}
