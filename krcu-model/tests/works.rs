//! Works: those that callbacks queue, that queue themselves again, and that are flushed or cancelled. Each case has the events
//! of a real run, with two of its objects.

#![expect(clippy::unwrap_used, reason = "a test's helpers fail as the test does")]

use krcu_model::{
    script,
    verdict::{About, VerdictKind},
    verdicts,
};

/// The module, its cache, and the functions of its callbacks and works. `EXIT` is task 10, the worker is task 40.
const BEGUN: &str = "\
10 module_loaded name=\"mine\"
10 function function=0x7 symbol=\"mine_free+0x0/0x20 [mine]\"
10 function function=0x8 symbol=\"mine_work+0x0/0x20 [mine]\"
10 function function=0x9 symbol=\"other_work+0x0/0x20 [other]\"
10 site site=1 frame=\"kmem_cache_create+0x1/0x2\" frame=\"mine_init+0x1/0x2 [mine]\"
10 cache_created cache=0x1000 name=\"cache\" object_size=192 refcount=1 asked_name=\"cache\" site=1
";

/// The destroy finds the cache empty, and the module goes.
const GONE: &str = "\
10 destroy_begin cache=0x1000 name=\"cache\" object_size=192 refcount=1 comm=\"rmmod\" site=0
10 shutdown_begin cache=0x1000 rcu_works_flushed=0
10 shutdown_end empty=yes
10 cache_released cache=0x1000
10 module_going name=\"mine\"
10 module_freed name=\"mine\"
";

/// The words for the cache and for the module, if there is one, after these events: one a line, without time and CPU.
fn words(events: &str) -> (VerdictKind, Option<VerdictKind>) {
    let mut text = String::from("krcu-script 1\nwatch attached=0 possible_cpus=2 blind=inside,grace\n");
    for (place, line) in BEGUN.lines().chain(events.lines()).chain(GONE.lines()).enumerate() {
        let (task, what) = line.trim().split_once(' ').unwrap();
        text.push_str(&format!("{} {task}@0 {what}\n", place + 1));
    }
    let verdicts = verdicts(&script::read(&text).unwrap().replay());
    let of = |about| verdicts.iter().find(|verdict| verdict.about == about).map(|verdict| verdict.kind());
    (of(About::Cache).unwrap(), of(About::Module))
}

/// Both are clean.
const RIGHT: (VerdictKind, Option<VerdictKind>) = (VerdictKind::Clean, Some(VerdictKind::Clean));
/// Both are ordered by luck.
const LUCK: (VerdictKind, Option<VerdictKind>) = (VerdictKind::Unordered, Some(VerdictKind::Unordered));
/// Something is outstanding.
const OUTSTANDING: (VerdictKind, Option<VerdictKind>) = (VerdictKind::Pending, Some(VerdictKind::Pending));

fn rcu_work(task: u32, head: &str) -> String {
    let place = format!("object={head} cache=0x1000 function=0x8");
    format!("{task} callback_queued {place} flavour=rcu_work domain=0x5000 site=0\n")
}

fn call_rcu() -> &'static str {
    "10 callback_queued object=0x2020 cache=0x1000 function=0x7 site=0\n"
}

/// The callback of this head runs, and what it does.
fn runs(head: &str, inner: &str) -> String {
    format!("0 callback_runs object={head} cache=0x1000\n{inner}0 batch_freed path=callback\n")
}

/// The callback that runs queues a work.
fn queues(work: &str) -> String {
    format!("0 callback_queued object={work} cache=0x0 function=0x8 flavour=work domain=0x5000 site=0\n")
}

fn ran(work: &str) -> String {
    format!("40 work_ran object={work}\n")
}

/// A barrier of this task, from begin to end.
fn barrier(task: u32, what: &str, of: &str) -> String {
    let of = if of.is_empty() { String::new() } else { format!(" of={of}") };
    format!(
        "{task} barrier_begin barrier={what} comm=\"rmmod\" site=0\n{task} barrier_end barrier={what}{of}\n"
    )
}

/// An `rcu_barrier()` of the exit, in which this happens.
fn rcu_barrier(inner: &str) -> String {
    format!("10 barrier_begin barrier=rcu comm=\"rmmod\" site=0\n{inner}10 barrier_end barrier=rcu\n")
}

#[test]
fn a_work_that_queues_itself_again_in_its_own_run_runs_twice() {
    let (rcu, flush) = (barrier(10, "rcu", ""), barrier(10, "workqueue", "0x5000"));
    // The end of the first run comes after the second queueing. The second run is told as that of a work that the callback
    // queued, at the address of the work and not of the head.
    let twice = |second: &str| {
        let first = rcu_work(10, "0x2048") + &rcu_work(10, "0x3048");
        let begun = runs("0x2048", "") + &runs("0x3048", "");
        let again = rcu_work(40, "0x2048") + &ran("0x2048") + &rcu_work(40, "0x3048") + &ran("0x3048");
        [first, rcu.clone(), begun, again, flush.clone(), second.to_owned()].concat()
    };
    let callbacks = runs("0x2048", &queues("0x2028")) + &runs("0x3048", &queues("0x3028"));
    let both_ran = ran("0x2028") + &ran("0x3028");
    let second = [rcu.as_str(), &callbacks, &both_ran, &flush].concat();
    assert_eq!(words(&twice(&second)), RIGHT);
    // Nothing waits for the second run: luck.
    assert_eq!(words(&twice(&(callbacks.clone() + &both_ran))), LUCK);
    assert_eq!(words(&twice(&[rcu.as_str(), &callbacks, &both_ran].concat())), LUCK);
    // One of the second runs is missing, or both, or the callbacks have not run again either.
    assert_eq!(words(&twice(&(callbacks.clone() + &ran("0x2028")))), OUTSTANDING);
    assert_eq!(words(&twice(&callbacks)), OUTSTANDING);
    assert_eq!(words(&twice("")), OUTSTANDING);
    // As the kernel tells it where the second queueing is known to be that of queue_rcu_work().
    let told = runs("0x2048", "") + &runs("0x3048", "") + &ran("0x2048") + &ran("0x3048");
    assert_eq!(words(&twice(&[rcu.as_str(), &told, &flush].concat())), RIGHT);
}

#[test]
fn a_second_queueing_does_not_replace_the_first_that_runs() {
    // The callback of the second queueing runs while the work still runs for the first time.
    let again = rcu_work(10, "0x2048") + &runs("0x2048", "") + &rcu_work(40, "0x2048") + &runs("0x2048", "");
    assert_eq!(words(&(again.clone() + &ran("0x2048"))), OUTSTANDING);
    assert_eq!(words(&(again + &ran("0x2048") + &ran("0x2048"))), LUCK);
    // A work that a callback queued is queued once more by another while it runs.
    let by_hand = |ends: &str| {
        let first = call_rcu().to_owned() + &runs("0x2020", &queues("0x9000"));
        words(&(first + call_rcu() + &runs("0x2020", &queues("0x9000")) + ends))
    };
    assert_eq!(by_hand(&ran("0x9000")).1, Some(VerdictKind::Pending));
    assert_eq!(by_hand(&(ran("0x9000") + &ran("0x9000"))).1, Some(VerdictKind::Unordered));
}

#[test]
fn a_work_that_was_cancelled_or_flushed_is_not_outstanding() {
    let seen = || call_rcu().to_owned() + &rcu_barrier(&runs("0x2020", &queues("0x9000")));
    // cancel_work_sync() takes the work off its queue and then flushes it: it never runs.
    assert_eq!(words(&(seen() + &barrier(10, "work", "0x9000"))), RIGHT);
    assert_eq!(words(&seen()).1, Some(VerdictKind::Pending));
    assert_eq!(words(&(seen() + &barrier(10, "work", "0x9020"))).1, Some(VerdictKind::Pending));
    // A flush of its queue has waited for it all the same.
    assert_eq!(words(&(seen() + &barrier(10, "workqueue", "0x5000"))), RIGHT);
    // Whoever cancelled it: it is over. That orders nothing for the teardown.
    assert_eq!(words(&(seen() + &barrier(30, "work", "0x9000"))), LUCK);
    // The flush had begun before the work was queued.
    let late = "10 barrier_begin barrier=work comm=\"rmmod\" site=0\n".to_owned()
        + &seen()
        + "10 barrier_end barrier=work of=0x9000\n";
    assert_eq!(words(&late).1, Some(VerdictKind::Pending));
    // The work of a struct rcu_work is cancelled, and the object is freed by the exit.
    let cancelled = rcu_work(10, "0x2048") + &rcu_barrier(&runs("0x2048", ""));
    assert_eq!(words(&(cancelled.clone() + &barrier(10, "work", "0x2048"))), RIGHT);
    assert_eq!(words(&cancelled), OUTSTANDING);
    let early = barrier(10, "work", "0x2048") + &cancelled;
    assert_eq!(words(&early), OUTSTANDING);
}

#[test]
fn a_work_is_ordered_by_the_barrier_of_the_callback_that_queues_it_and_then_a_flush() {
    let of = |flavour: &str| {
        let queued =
            format!("10 callback_queued object=0x2020 cache=0x1000 function=0x7 flavour={flavour} site=0\n");
        queued + &runs("0x2020", &queues("0x9000")) + &ran("0x9000")
    };
    let (rcu, flush) = (barrier(10, "rcu", ""), barrier(10, "workqueue", "0x5000"));
    let flush_work = barrier(10, "work", "0x9000");
    for (flavour, kind, domain) in [
        ("srcu domain=0x6000", "srcu", "0x6000"),
        ("tasks", "tasks", ""),
        ("tasks_trace", "tasks_trace", ""),
        ("rcu", "rcu", ""),
    ] {
        let own = barrier(10, kind, domain);
        for flush in [&flush, &flush_work] {
            assert_eq!(words(&[&of(flavour), &own, flush].map(String::as_str).concat()), RIGHT, "{flavour}");
            // The flush comes too early, though some other barrier stands before it.
            let other = if kind == "rcu" { barrier(10, "srcu", "0x7000") } else { rcu.clone() };
            let early = [&of(flavour), &other, flush, &own].map(String::as_str).concat();
            assert_eq!(words(&early), LUCK, "{flavour}");
            assert_eq!(words(&[&of(flavour), &other, flush].map(String::as_str).concat()), LUCK, "{flavour}");
        }
        assert_eq!(words(&[of(flavour), own].concat()), LUCK, "{flavour}");
    }
    // The barrier of another domain.
    let other = barrier(10, "srcu", "0x7000");
    assert_eq!(words(&[of("srcu domain=0x6000"), other, flush].concat()), LUCK);
}

/// A module whose work calls a barrier, of which nobody knows who queued it.
fn works_barrier(inner: &str) -> String {
    let ran = call_rcu().to_owned() + &runs("0x2020", "");
    let begin = "40 work_runs object=0x9000 function=0x8\n";
    ran + begin + inner + &barrier(40, "rcu", "") + "40 work_ran object=0x9000\n"
}

#[test]
fn a_barrier_that_a_work_of_the_module_called_is_a_helpers_though_it_has_no_frame() {
    // The function of the work ended by a jump to the barrier: the stack is that of any worker.
    let site = "10 site site=5 frame=\"process_one_work+0x1/0x2\" frame=\"worker_thread+0x1/0x2\"\n";
    let at = |events: String| {
        site.to_owned() + &events.replace("barrier=rcu comm=\"rmmod\" site=0", "barrier=rcu site=5")
    };
    let helper = (VerdictKind::Inconclusive, Some(VerdictKind::Inconclusive));
    assert_eq!(words(&at(works_barrier(""))), helper);
    // The destroying task has waited for that work since, which ended after the barrier.
    let (flush, of_another) = (barrier(10, "work", "0x9000"), barrier(10, "work", "0xa000"));
    assert_eq!(words(&at(works_barrier("") + &flush)), RIGHT);
    assert_eq!(words(&at(works_barrier("") + &of_another)), helper);
    assert_eq!(words(&at(works_barrier("") + &barrier(30, "work", "0x9000"))), helper);
    // It waited for an earlier run.
    assert_eq!(words(&at(works_barrier(&flush))), helper);
    // Something was queued after the work had called its barrier.
    let late = works_barrier("") + call_rcu() + &runs("0x2020", "") + &flush;
    assert_eq!(words(&at(late)), LUCK);
    // The same barrier of a work of another module, or of a worker that has gone on to another work, is luck.
    assert_eq!(words(&at(works_barrier("").replace("function=0x8\n", "function=0x9\n"))), LUCK);
    assert_eq!(words(&at(works_barrier("40 work_ran object=0x9000\n"))), LUCK);
}

#[test]
fn a_work_that_frees_objects_of_the_cache_has_to_be_flushed_where_frees_are_told() {
    // The head is in an object by kmalloc(), and the work frees one of the cache.
    let allocated = "10 allocated object=0x2000 cache=0x1000 site=0\n";
    let freed = "40 freed_at_once object=0x2000 cache=0x1000\n";
    let begin = |work: &str| format!("40 work_runs object={work} function=0x8\n");
    let rcu_work =
        "10 callback_queued object=0x8048 cache=0x0 function=0x8 flavour=rcu_work domain=0x5000 site=0\n";
    let by_rcu_work = |begin: &str, inner: &str| {
        let run = runs("0x8048", "").replace("0x1000", "0x0");
        [allocated, rcu_work, &rcu_barrier(&run), begin, inner, &ran("0x8048")].concat()
    };
    let by_hand = |begin: &str, inner: &str| {
        let callback = call_rcu().replace("cache=0x1000", "cache=0x0");
        let run = runs("0x2020", &queues("0x9000")).replace("0x1000", "0x0");
        [allocated, &callback, &rcu_barrier(&run), begin, inner, &ran("0x9000")].concat()
    };
    let flush = barrier(10, "workqueue", "0x5000");
    for (work, by) in [("0x8048", &by_rcu_work as &dyn Fn(&str, &str) -> String), ("0x9000", &by_hand)] {
        assert_eq!(words(&by(&begin(work), freed)), LUCK, "{work}");
        assert_eq!(words(&(by(&begin(work), freed) + &flush)), RIGHT, "{work}");
        // The work freed nothing of the cache: the exit did.
        let by_exit = by(&begin(work), "") + &freed.replace("40 ", "10 ");
        assert_eq!(words(&by_exit).0, VerdictKind::Clean, "{work}");
        // The begin of the work was not told, so what it frees is not known.
        assert_eq!(words(&by("", freed)).0, VerdictKind::Inconclusive, "{work}");
        assert_eq!(words(&(by("", freed) + &flush)), RIGHT, "{work}");
    }
}

#[test]
fn a_work_of_another_module_is_the_callbacks_where_the_stack_shows_it() {
    let site = |frames: &[&str]| {
        let frames: String = frames.iter().map(|frame| format!(" frame=\"{frame}\"")).collect();
        format!("10 site site=6{frames}\n")
    };
    let queues = "0 callback_queued object=0x9000 cache=0x0 function=0x9 flavour=work domain=0x5000 site=6\n";
    let waited = call_rcu().to_owned() + &rcu_barrier(&runs("0x2020", queues)) + &ran("0x9000");
    let flush = barrier(10, "workqueue", "0x5000");
    let (queue, batch) = ("queue_work_on+0x1/0x2", "rcu_do_batch+0x1/0x2");
    let mine = "mine_free+0x1/0x2 [mine]";
    let other = "other_queue+0x1/0x2 [other]";
    for frames in [&[queue, mine, batch] as &[&str], &[queue, batch], &[queue, other, mine, batch]] {
        // The text of the module is not in question: the function of the work lies elsewhere.
        let unordered = (VerdictKind::Unordered, Some(VerdictKind::Clean));
        assert_eq!(words(&(site(frames) + &waited)), unordered, "{frames:?}");
        assert_eq!(words(&(site(frames) + &waited + &flush)), RIGHT, "{frames:?}");
    }
    // An interrupt came in the middle of the callback, or no stack was taken.
    let interrupt =
        [queue, other, "__handle_irq_event_percpu+0x1/0x2", "asm_common_interrupt+0x1/0x2", mine, batch];
    assert_eq!(words(&(site(&interrupt) + &waited)), RIGHT);
    assert_eq!(words(&waited), RIGHT);
}

#[test]
fn a_work_that_a_work_queues_needs_one_flush_more() {
    let begin = |work: &str| format!("40 work_runs object={work} function=0x8\n");
    let next = |work: &str| queues(work).replacen("0 ", "40 ", 1);
    // The callback queues one work, and that one the next.
    let callback = call_rcu().to_owned() + &rcu_barrier(&runs("0x2020", &queues("0x9000")));
    let first = begin("0x9000") + &next("0xa000") + &ran("0x9000");
    let both = [callback.as_str(), &first, &begin("0xa000"), &ran("0xa000")].concat();
    let flush = barrier(10, "workqueue", "0x5000");
    let (of_first, of_second) = (barrier(10, "work", "0x9000"), barrier(10, "work", "0xa000"));
    for (name, waits, expected) in [
        ("twice", flush.repeat(2), RIGHT),
        ("once, by luck after the second was queued", flush.clone(), LUCK),
        ("each by itself", of_first.clone() + &of_second, RIGHT),
        ("the second alone", of_second.clone(), LUCK),
        ("in the wrong order", of_second.clone() + &of_first, LUCK),
        ("the first, then the queue", of_first.clone() + &flush, RIGHT),
    ] {
        assert_eq!(words(&(both.clone() + &waits)), expected, "{name}");
    }
    // The same work with another function is another step, and with its own function it is the same work.
    let renamed = |function: &str| {
        let again = next("0x9000").replace("function=0x8", function);
        let begins = "40 work_runs object=0x9000 function=0x8\n";
        [callback.as_str(), begins, &again, &ran("0x9000"), begins, &ran("0x9000")].concat()
    };
    let other = "function=0x6";
    let named = "10 function function=0x6 symbol=\"mine_next+0x0/0x20 [mine]\"\n".to_owned();
    assert_eq!(words(&(named.clone() + &renamed(other) + &flush)), LUCK);
    assert_eq!(words(&(named + &renamed(other) + &flush.repeat(2))), RIGHT);
    assert_eq!(words(&(renamed("function=0x8") + &flush)), RIGHT);
    // drain_workqueue() repeats its flush until nothing is queued.
    let drained = "10 site site=7 frame=\"__flush_workqueue+0x1/0x2\" frame=\"drain_workqueue+0x1/0x2\"\n";
    let drain = flush.replace("site=0", "site=7");
    assert_eq!(words(&[drained, &both, &drain].concat()), RIGHT);
    // The second has not run.
    assert_eq!(words(&(callback.clone() + &first)).1, Some(VerdictKind::Pending));
    // A work that queues itself is waited for as one.
    let again = begin("0x9000") + &next("0x9000") + &ran("0x9000") + &begin("0x9000") + &ran("0x9000");
    assert_eq!(words(&(callback.clone() + &again + &of_first)), RIGHT);
    assert_eq!(words(&(callback + &again)), LUCK);
    // A work of queue_rcu_work() queues one: flush_rcu_work() stands for the barrier and the flush.
    let by_rcu =
        rcu_work(10, "0x2048") + &runs("0x2048", "") + &begin("0x2048") + &next("0xa000") + &ran("0x2048");
    let by_rcu = by_rcu + &begin("0xa000") + &ran("0xa000");
    assert_eq!(words(&(by_rcu.clone() + &barrier(10, "rcu_work", "0x2048") + &of_second)), RIGHT);
    assert_eq!(words(&(by_rcu + &barrier(10, "rcu_work", "0x2048"))), LUCK);
}
