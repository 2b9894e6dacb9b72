//! The kernel's own tests under krcu, and krcu beside the kernel's own checkers, on kernels that are built for it
//! (`crate::debian::built`).
//!
//! Expectations follow from the sources of the tests (`lib/tests/slub_kunit.c`, `kernel/rcu/rcuscale.c`,
//! `kernel/rcu/rcutorture.c`) and not from what krcu says. KASAN, lockdep with PROVE_RCU, and the debug objects of RCU's heads
//! complain of nothing on any of these kernels.

use super::{Act, Expectation, Line, Scenario, Want, quiet, summary, verdict, word};

/// Kernels that are built for a purpose.
pub(crate) const SERIES: [&str; 6] =
    ["6.12-test", "7.x-test", "6.12-kasan", "6.12-single", "6.12-lazy", "6.12-realtime"];
const ALL: &[&str] = &SERIES;
/// Those whose `slub_kunit` is a module.
const WITHOUT_KASAN: &[&str] = &["6.12-test", "7.x-test", "6.12-lazy", "6.12-realtime"];
const KASAN: &[&str] = &["6.12-kasan"];
const SINGLE: &[&str] = &["6.12-single"];

/// What a checker of the kernel says when something is wrong with what krcu, a test or a module does.
const COMPLAINTS: &[&str] = &[
    "BUG: KASAN",
    "WARNING: suspicious RCU usage",
    "possible circular locking dependency",
    "possible recursive locking",
    "inconsistent lock state",
    "BUG: sleeping function called",
    "INFO: rcu_",
    "ODEBUG:",
];

/// What a kernel without complaints logs, and what krcu says of it.
const fn well(series: &'static [&'static str], status: i32, lines: &'static [Line]) -> Expectation {
    Expectation { series, status, lines, log_has: &[], log_lacks: COMPLAINTS }
}

/// Nothing was lost.
const NOTHING_LOST: (&str, Want) = ("accounts", Want::Balanced);

/// What is said of a cache whose test frees each object at once, whatever it breaks in between and repairs again.
const AT_ONCE: &[(&str, Want)] =
    &[word("clean"), ("queued_ever", Want::Number(0)), ("callbacks_ever", Want::Number(0))];

/// `test_kfree_rcu()`: one object, freed by `kfree_rcu()` just before the destroy, which waits for it.
const KFREE_RCU: Line = verdict("TestSlub_kfree_rcu", &[word("waited"), ("waited_for_own", Want::Number(1))]);
/// `test_leak_destroy()`: one object that nobody frees.
const LEAK_DESTROY: Line = verdict(
    "TestSlub_leak_destroy",
    &[word("leaked"), ("leaked", Want::Number(1)), ("kernel_objects_left", Want::Number(1))],
);
/// One fault is flagged, and it is the leak that the test makes. The status is that of the search for the tests' own result.
const LEAK_ONLY: Line = summary(&[
    ("flagged", Want::Number(1)),
    ("inconclusive", Want::Number(0)),
    ("command_status", Want::Number(0)),
    NOTHING_LOST,
]);

/// The same where the test is built in. The name of such a cache is a literal in the kernel's read-only data, so its objects are
/// counted and not streamed, whenever it was created (ARCHITECTURE.md, "The way of an event"). Its creation and its destroy are
/// seen all the same. Nothing was left, so nothing is wrong; but whether anything was queued, and ordered, nobody saw.
const AT_ONCE_COUNTED: &[(&str, Want)] = &[
    word("clean"),
    ("ordering", Want::Text("unknown")),
    ("reasons", Want::Has("[\"counted\"]")),
    ("created_while_watched", Want::Flag(true)),
    ("queued_ever", Want::Number(0)),
    ("callbacks_ever", Want::Number(0)),
];
/// `test_leak_destroy()` there: the kernel counts one object, and whether somebody had queued it is not seen.
const LEAK_COUNTED: Line = verdict(
    "TestSlub_leak_destroy",
    &[
        word("inconclusive"),
        ("reasons", Want::Has("[\"counted\"]")),
        ("undecided", Want::Number(1)),
        ("leaked", Want::Nothing),
        ("created_while_watched", Want::Flag(true)),
        ("kernel_objects_left", Want::Number(1)),
    ],
);
/// Nothing is flagged there, and the leak is what is open: that the order of nothing is unknown is no fault without `--strict`.
const LEAK_OPEN: Line = summary(&[
    ("flagged", Want::Number(0)),
    ("inconclusive", Want::Number(1)),
    ("command_status", Want::Number(0)),
    NOTHING_LOST,
]);

/// Every test of `slub_kunit` runs while the module is loaded.
const SLUB_KUNIT: Act = Act::Watched {
    before: "",
    options: "",
    text: "modprobe slub_kunit; rmmod slub_kunit
        dmesg | grep -q '# slub_test: pass:[0-9]* fail:0'",
};

/// The same test built in: its caches are created by built-in code after krcu has attached. It ran at boot as well.
const SLUB_BUILT_IN: Act = Act::Watched {
    before: "mount -t debugfs debugfs /sys/kernel/debug 2>/dev/null || true",
    options: "",
    text: "echo 1 > /sys/kernel/debug/kunit/slub_test/run
        dmesg | grep -q '# slub_test: pass:[0-9]* fail:0'",
};

/// Two threads allocate and queue 10,000 objects each, in four rounds, and the module goes.
const RCUSCALE: Act = Act::Watched {
    before: "",
    options: "",
    text: "modprobe rcuscale kfree_rcu_test=1 kfree_nthreads=2 kfree_alloc_num=2500 kfree_loops=4 shutdown=0
        until dmesg | grep -q 'Total time taken by all kfree'; do usleep 100000; done
        rmmod rcuscale; rmmod torture",
};

/// Readers, writers and callbacks of RCU for some seconds; the cleanup calls `rcu_barrier()` by `cur_ops->cb_barrier()`.
const RCUTORTURE: Act = Act::Watched {
    before: "",
    options: "--strict",
    text: "modprobe rcutorture nreaders=2 nfakewriters=1 stat_interval=0 shutdown_secs=0 onoff_interval=0
        usleep 3000000
        rmmod rcutorture; rmmod torture
        dmesg | grep -q 'rcu-torture.*End of test: SUCCESS'",
};

const fn scenario(
    name: &'static str,
    why: &'static str,
    modules: &'static [&'static str],
    in_tree: &'static [&'static str],
    act: Act,
    expectations: &'static [Expectation],
) -> Scenario {
    Scenario { why, in_tree, ..super::scenario(name, modules, act, expectations) }
}

/// Every scenario.
pub(crate) const SCENARIOS: &[Scenario] = &[
    scenario(
        "slub_kunit",
        "each test destroys a cache of its own: `test_kfree_rcu()` with an object queued, `test_leak_destroy()` with one that \
         nobody frees, the others with none. With KASAN three tests are not compiled",
        &[],
        &["slub_kunit"],
        SLUB_KUNIT,
        &[
            well(
                WITHOUT_KASAN,
                10,
                &[
                    verdict("TestSlub_RZ_alloc", AT_ONCE),
                    verdict("TestSlub_next_ptr_free", AT_ONCE),
                    verdict("TestSlub_1th_word_free", AT_ONCE),
                    verdict("TestSlub_50th_word_free", AT_ONCE),
                    verdict("TestSlub_RZ_free", AT_ONCE),
                    verdict("TestSlub_RZ_kmalloc", AT_ONCE),
                    KFREE_RCU,
                    LEAK_DESTROY,
                    LEAK_ONLY,
                ],
            ),
            well(
                KASAN,
                10,
                &[
                    verdict("TestSlub_RZ_alloc", AT_ONCE),
                    verdict("TestSlub_RZ_free", AT_ONCE),
                    verdict("TestSlub_RZ_kmalloc", AT_ONCE),
                    KFREE_RCU,
                    LEAK_DESTROY,
                    LEAK_ONLY,
                ],
            ),
        ],
    ),
    scenario(
        "slub_kunit_built_in",
        "`test_kfree_rcu()` skips itself where it is built in. The caches are made by built-in code, under literal names, after \
         the attach: their objects are counted, and what depends on them is left open",
        &[],
        &[],
        SLUB_BUILT_IN,
        &[well(
            SINGLE,
            11,
            &[
                verdict("TestSlub_RZ_alloc", AT_ONCE_COUNTED),
                verdict("TestSlub_next_ptr_free", AT_ONCE_COUNTED),
                verdict("TestSlub_1th_word_free", AT_ONCE_COUNTED),
                verdict("TestSlub_50th_word_free", AT_ONCE_COUNTED),
                verdict("TestSlub_RZ_free", AT_ONCE_COUNTED),
                verdict("TestSlub_RZ_kmalloc", AT_ONCE_COUNTED),
                LEAK_COUNTED,
                LEAK_OPEN,
            ],
        )],
    ),
    scenario(
        "rcuscale",
        "`kfree_scale_thread()` frees what it allocates by `kfree_rcu()` and `kfree_rcu_mightsleep()`, and no callback of it is in \
         the module's text: 20,000 objects, no cache of its own, nothing flagged",
        &[],
        &["rcuscale"],
        RCUSCALE,
        &[well(
            ALL,
            0,
            &[summary(&[("flagged", Want::Number(0)), ("inconclusive", Want::Number(0)), NOTHING_LOST])],
        )],
    ),
    scenario(
        "rcutorture",
        "`rcu_torture_cleanup()` stops its threads and then calls `cur_ops->cb_barrier()`, which is `rcu_barrier()`: no callback of \
         the module is left, and its own teardown ordered them",
        &[],
        &["rcutorture"],
        RCUTORTURE,
        &[well(
            ALL,
            0,
            &[summary(&[("flagged", Want::Number(0)), ("inconclusive", Want::Number(0)), NOTHING_LOST])],
        )],
    ),
    scenario(
        "checked_pending",
        "the destroy waits for what the exit function queued; the kernel's checkers watch krcu's probes meanwhile",
        &["krcu_pending"],
        &[],
        Act::Watched {
            before: "",
            options: "",
            text: "insmod /modules/krcu_pending.ko && rmmod krcu_pending",
        },
        &[well(
            ALL,
            0,
            &[verdict("krcu_pending", &[word("waited"), ("waited_for_own", Want::Truth("outstanding"))])],
        )],
    ),
    scenario(
        "checked_leak",
        "objects that nobody frees are no fault of RCU's, with or without a call_rcu_hurry() of its own",
        &["krcu_leak"],
        &[],
        Act::Watched { before: "", options: "", text: "insmod /modules/krcu_leak.ko && rmmod krcu_leak" },
        &[well(ALL, 10, &[verdict("krcu_leak", &[word("leaked"), ("leaked", Want::Truth("leaked"))])])],
    ),
    scenario(
        "checked_callbacks",
        "the exit function calls rcu_barrier() between the last callback and the destroy",
        &["krcu_call_rcu"],
        &[],
        Act::Watched {
            before: "",
            options: "--strict",
            text: "insmod /modules/krcu_call_rcu.ko && rmmod krcu_call_rcu",
        },
        &[Expectation {
            log_lacks: COMPLAINTS,
            ..quiet(ALL, &[verdict("krcu_call_rcu", &[word("clean"), ("ordering", Want::Text("ordered"))])])
        }],
    ),
];
