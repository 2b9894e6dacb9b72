//! The machine, driven by what real kernels were asked to do, gets the same results.
//!
//! A trace says which task queued what, where and when, when each cache was destroyed, and how long grace
//! periods took. The machine of that kernel's generation does the same. The kernel itself says whether
//! objects were left when each destroy looked, and whether they had leaked; the machine must agree.

#![expect(clippy::unwrap_used, reason = "a test's helpers fail as the test does")]

use std::{collections::BTreeMap, fs, path::Path};

use krcu_common::QueueForm;
use krcu_model::{
    event::{CacheAddress, Time, What},
    script::{self, Script},
};
use krcu_reference::{
    approach::{self, row_name},
    machine::CacheIndex,
    simulate::{Action, Budget, CacheSpec, Caller, Input, Measured, Scenario, Splat, Workload, simulate},
};

/// A trace, the row of its kernel, the number of objects that its module leaks from its one leaking cache (by
/// the module's source), and for each of its destroys whether the module was unsafe there and what was waited
/// for (by what that kernel's destroy does).
type Case = (&'static str, u64, &'static [(bool, u64)]);

const BEFORE: &[Case] = &[
    ("pending", 0, &[(true, 0)]),
    ("mightsleep", 0, &[(true, 0)]),
    ("two", 0, &[(true, 0), (false, 0)]),
    ("mixed", 5, &[(true, 0)]),
    ("leak", 5, &[(false, 0)]),
    // Eight seconds later, the monitor has run.
    ("lucky", 0, &[(false, 0)]),
];
const SINCE: &[Case] = &[
    ("pending", 0, &[(false, 777)]),
    ("mightsleep", 0, &[(false, 300)]),
    ("two", 0, &[(false, 300), (false, 0)]),
    ("mixed", 5, &[(false, 300)]),
    ("leak", 5, &[(false, 0)]),
    ("lucky", 0, &[(false, 0)]),
];

/// What a trace's kernel was asked to do, and for each destroy whether it found every slab empty.
fn asked(script: &Script, leaks: u64) -> (Workload, Measured, Vec<bool>) {
    let mut workload = Workload::new(2);
    let mut caches = BTreeMap::<CacheAddress, CacheIndex>::new();
    let (mut found_empty, mut graces, mut begun) = (Vec::new(), Vec::new(), None);
    for event in &script.events {
        let at_ns = event.time.since(script.watch.attached);
        match &event.what {
            What::CacheCreated { cache, facts, .. } => {
                let object_bytes = facts.object_size;
                let name = facts.name.clone();
                let slab_objects = 4096 / object_bytes.max(1);
                let spec = CacheSpec { name, object_bytes, type_safe: false, slab_objects, other_users: 0 };
                caches.insert(*cache, workload.cache(spec));
            }
            What::Queued { cache, form, .. } => {
                let (cache, cpu) = (caches.get(cache).copied(), event.cpu);
                let queued = if *form == QueueForm::Headless {
                    Action::QueueHeadless { cache, cpu }
                } else {
                    Action::Queue { cache, cpu }
                };
                workload.at(at_ns, queued);
            }
            What::DestroyBegin { cache, .. } => {
                let caller = Caller(event.task.0);
                workload.at(at_ns, Action::Destroy { cache: caches[cache], caller, cpu: event.cpu });
            }
            What::ShutdownEnd { empty, .. } => found_empty.push(empty.unwrap()),
            What::GraceBegin { expedited: false } => begun = Some(event.time),
            What::GraceEnd { expedited: false } => {
                graces.extend(begun.take().map(|begun: Time| event.time.since(begun)));
            }
            _ => {}
        }
    }
    // In each module that leaks, the first cache is the leaking one.
    (0..leaks).for_each(|_| {
        workload.at(0, Action::Leak { cache: CacheIndex(0) });
    });
    let grace = Input::observed(graces, "the trace").unwrap();
    (workload, Measured::assuming(grace, Input::assumed(1000, "a microsecond")), found_empty)
}

#[test]
fn the_machine_comes_to_what_the_kernel_said() {
    for (series, name, cases) in
        [("6.1", "upstream (before 6.12)", BEFORE), ("6.12", "upstream (6.12)", SINCE)]
    {
        let row = approach::all().into_iter().find(|row| row_name(row.as_ref()) == name).unwrap();
        for (trace, leaks, destroys) in cases {
            let path = Path::new(env!("CARGO_MANIFEST_DIR"))
                .join(format!("../krcu-model/tests/traces/{series}-{trace}.script"));
            let script = script::read(&fs::read_to_string(path).unwrap()).unwrap();
            let (workload, measured, found_empty) = asked(&script, *leaks);
            let scenario = Scenario {
                workload: &workload,
                measured: &measured,
                seed: 1,
                budget: Budget::events(1 << 24),
            };
            let outcome = simulate(row.as_ref(), &scenario).unwrap();
            let came: Vec<(bool, u64)> =
                outcome.rows.iter().map(|row| (row.is_unsafe, row.waited_for_own)).collect();
            assert_eq!(came, *destroys, "{series}-{trace}");
            // What the kernel itself says.
            let silent: Vec<bool> = outcome.rows.iter().map(|row| row.splat == Splat::None).collect();
            assert_eq!(silent, found_empty, "{series}-{trace}");
            let is_leak = outcome.rows.iter().any(|row| row.splat == Splat::TrueLeak);
            assert_eq!(is_leak, *leaks > 0, "{series}-{trace}");
        }
    }
}
