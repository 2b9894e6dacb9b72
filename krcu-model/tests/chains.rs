//! Chains: callbacks that queue callbacks. A teardown needs one barrier for each generation, one after the other.

#![expect(clippy::unwrap_used, reason = "a test's helpers fail as the test does")]

use krcu_model::{
    script,
    verdict::{About, VerdictKind},
    verdicts,
};

/// The module, its cache, and its callbacks. `EXIT` is task 10, callbacks run on CPU 1.
const BEGUN: &str = "\
10@0 module_loaded name=\"mine\"
10@0 function function=0x1 symbol=\"first+0x0/0x20 [mine]\"
10@0 function function=0x2 symbol=\"second+0x0/0x20 [mine]\"
10@0 function function=0x3 symbol=\"third+0x0/0x20 [mine]\"
10@0 function function=0x9 symbol=\"theirs+0x0/0x20 [other]\"
10@0 site site=1 frame=\"kmem_cache_create+0x1/0x2\" frame=\"mine_init+0x1/0x2 [mine]\"
10@0 site site=2 frame=\"call_rcu+0x1/0x2\" frame=\"first+0x1/0x2 [mine]\" frame=\"rcu_do_batch+0x1/0x2\"
10@0 site site=3 frame=\"call_rcu+0x1/0x2\" frame=\"their_irq+0x1/0x2 [other]\" frame=\"__handle_irq_event_percpu+0x1/0x2\" frame=\"first+0x1/0x2 [mine]\" frame=\"rcu_do_batch+0x1/0x2\"
10@0 cache_created cache=0x1000 name=\"cache\" object_size=192 refcount=1 asked_name=\"cache\" site=1
";

/// The destroy finds the cache empty, and the module goes.
const GONE: &str = "\
10@0 destroy_begin cache=0x1000 name=\"cache\" object_size=192 refcount=1 comm=\"rmmod\" site=0
10@0 shutdown_begin cache=0x1000 rcu_works_flushed=0
10@0 shutdown_end empty=yes
10@0 cache_released cache=0x1000
10@0 module_going name=\"mine\"
10@0 module_freed name=\"mine\"
";

/// The words for the cache and for the module after these events.
fn words(events: &str) -> (VerdictKind, VerdictKind) {
    let mut text = String::from("krcu-script 1\nwatch attached=0 possible_cpus=2 blind=inside,grace\n");
    // A test may have the destroy begin by itself.
    let gone = GONE.lines().skip(usize::from(events.contains("destroy_begin")));
    for (place, line) in BEGUN.lines().chain(events.lines()).chain(gone).enumerate() {
        text.push_str(&format!("{} {}\n", place + 1, line.trim()));
    }
    let verdicts = verdicts(&script::read(&text).unwrap().replay());
    let of = |about| verdicts.iter().find(|verdict| verdict.about == about).map(|verdict| verdict.kind());
    (of(About::Cache).unwrap(), of(About::Module).unwrap())
}

const RIGHT: (VerdictKind, VerdictKind) = (VerdictKind::Clean, VerdictKind::Clean);
const LUCK: (VerdictKind, VerdictKind) = (VerdictKind::Unordered, VerdictKind::Unordered);

/// The two kinds of RCU that a chain has here.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Kind {
    Rcu,
    Srcu,
}

impl Kind {
    /// Such a callback of this function, in the object, is queued by this task.
    fn queued(self, task: &str, function: usize) -> String {
        let flavour = if self == Kind::Rcu { "" } else { " flavour=srcu domain=0x6000" };
        format!("{task} callback_queued object=0x2020 cache=0x1000 function={function:#x}{flavour} site=0\n")
    }

    fn begins(self) -> &'static str {
        match self {
            Kind::Rcu => "10@0 barrier_begin barrier=rcu comm=\"rmmod\" site=0\n",
            Kind::Srcu => "10@0 barrier_begin barrier=srcu comm=\"rmmod\" site=0\n",
        }
    }

    fn ends(self) -> &'static str {
        match self {
            Kind::Rcu => "10@0 barrier_end barrier=rcu\n",
            Kind::Srcu => "10@0 barrier_end barrier=srcu of=0x6000\n",
        }
    }
}

/// The callback of the object runs, and this happens in its run.
fn runs(inner: &str) -> String {
    format!("0@1 callback_runs object=0x2020 cache=0x1000\n{inner}0@1 batch_freed path=callback\n")
}

/// A callback of the module that the one which runs has queued.
fn queues(kind: Kind, function: usize) -> String {
    kind.queued("0@1", function)
}

fn barrier(kind: Kind) -> String {
    kind.begins().to_owned() + kind.ends()
}

/// All lists of so many of these.
fn lists<T: Clone>(of: &[T], length: usize) -> Vec<Vec<T>> {
    if length == 0 {
        return vec![Vec::new()];
    }
    let shorter = lists(of, length - 1);
    let longer = |one: &T| {
        let one = one.clone();
        shorter.iter().map(move |rest| [vec![one.clone()], rest.clone()].concat()).collect::<Vec<_>>()
    };
    of.iter().flat_map(longer).collect()
}

/// Whether there is a barrier for each callback, of its kind, each begun after the last of them had ended.
fn is_ordered(chain: &[Kind], barriers: &[Kind]) -> bool {
    let Some((first, rest)) = chain.split_first() else { return true };
    let found = barriers.iter().position(|barrier| barrier == first);
    found.is_some_and(|place| is_ordered(rest, &barriers[place + 1..]))
}

#[test]
fn each_generation_of_callbacks_needs_one_barrier_more_whenever_they_run() {
    let (mut ordered, mut lucky) = (0, 0);
    const BOTH: &[Kind] = &[Kind::Rcu, Kind::Srcu];
    const ONE: &[Kind] = &[Kind::Rcu];
    for (length, count, kinds) in
        [(1, 1, BOTH), (2, 0, ONE), (2, 1, BOTH), (2, 2, BOTH), (3, 2, ONE), (3, 3, ONE)]
    {
        for chain in lists(kinds, length) {
            for barriers in lists(kinds, count) {
                // Callbacks run before the first barrier, inside of it, between it and the next, and so on.
                let places: Vec<usize> = (0..=2 * count).collect();
                for ran in lists(&places, length) {
                    let queued = |callback: usize| if callback == 0 { 0 } else { ran[callback - 1] };
                    // A barrier waits for a callback of its kind that was queued before it began.
                    let waits = |callback: usize| {
                        let by = |place: &usize| {
                            barriers[*place] == chain[callback] && queued(callback) <= 2 * place
                        };
                        (0..count).filter(by).all(|place| ran[callback] <= 2 * place + 1)
                    };
                    if !ran.is_sorted() || !(0..length).all(waits) {
                        continue;
                    }
                    let mut events = chain[0].queued("10@0", 1);
                    for place in places.iter().copied() {
                        for callback in (0..length).filter(|callback| ran[*callback] == place) {
                            let next = chain.get(callback + 1);
                            events += &runs(&next.map_or(String::new(), |kind| queues(*kind, callback + 2)));
                        }
                        if let Some(barrier) = barriers.get(place / 2) {
                            events += if place % 2 == 0 { barrier.begins() } else { barrier.ends() };
                        }
                    }
                    let expected = if is_ordered(&chain, &barriers) { RIGHT } else { LUCK };
                    let counter = if expected == RIGHT { &mut ordered } else { &mut lucky };
                    *counter += 1;
                    assert_eq!(words(&events), expected, "{chain:?} {barriers:?} {ran:?}");
                }
            }
        }
    }
    assert!(ordered > 40 && lucky > 150, "{ordered} {lucky}");
}

#[test]
fn a_callback_that_queues_itself_again_needs_one_barrier_more_however_often_it_ran() {
    let again = || queues(Kind::Rcu, 1);
    let often = Kind::Rcu.queued("10@0", 1) + &runs(&again()).repeat(5);
    let once = [often.as_str(), Kind::Rcu.begins(), &runs(""), Kind::Rcu.ends()].concat();
    assert_eq!(words(&once), LUCK);
    assert_eq!(words(&(once + &barrier(Kind::Rcu))), RIGHT);
    // It queued itself once more while the first barrier waited.
    let late = [often.as_str(), Kind::Rcu.begins(), &runs(&again()), Kind::Rcu.ends(), &runs("")].concat();
    assert_eq!(words(&late), LUCK);
    assert_eq!(words(&(late + &barrier(Kind::Rcu))), RIGHT);
}

#[test]
fn a_barrier_of_somebody_else_is_none_of_the_chain() {
    let chain = Kind::Rcu.queued("10@0", 1) + &runs(&queues(Kind::Rcu, 2)) + &runs("");
    let theirs = barrier(Kind::Rcu).replace("10@0", "30@0");
    assert_eq!(words(&(chain.clone() + &theirs + &barrier(Kind::Rcu))), LUCK);
    assert_eq!(words(&(chain.clone() + &barrier(Kind::Rcu) + &theirs)), LUCK);
    assert_eq!(words(&(chain + &barrier(Kind::Rcu) + &theirs + &barrier(Kind::Rcu))), RIGHT);
}

#[test]
fn what_an_interrupt_queues_in_the_middle_of_a_callback_is_not_the_callbacks() {
    let queued = |function: usize, site: usize| {
        let queued = queues(Kind::Rcu, function).replace("site=0", &format!("site={site}"));
        Kind::Rcu.queued("10@0", 1) + &runs(&queued) + &runs("")
    };
    let after = |events: String| words(&(events + &barrier(Kind::Rcu)));
    // Known by the stack, whatever module the function is in; without a stack, by the module.
    assert_eq!(after(queued(2, 2)), LUCK);
    assert_eq!(after(queued(9, 2)).0, VerdictKind::Unordered);
    assert_eq!(after(queued(2, 3)), RIGHT);
    assert_eq!(after(queued(9, 3)), RIGHT);
    assert_eq!(after(queued(9, 0)), RIGHT);
}

#[test]
fn the_barrier_inside_a_destroy_is_one_of_them_and_was_waited_for() {
    let chain = Kind::Rcu.queued("10@0", 1) + &runs(&queues(Kind::Rcu, 2)) + &runs("");
    let inside = |before: &str| {
        let destroys = GONE.lines().next().unwrap().to_owned() + "\n";
        words(&(chain.clone() + before + &destroys + &barrier(Kind::Rcu))).0
    };
    assert_eq!(inside(&barrier(Kind::Rcu)), VerdictKind::Waited);
    assert_eq!(inside(""), VerdictKind::Unordered);
    assert_eq!(inside(&barrier(Kind::Rcu).repeat(2)), VerdictKind::Clean);
}
