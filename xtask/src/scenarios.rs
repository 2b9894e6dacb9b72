//! What is run on test kernels and what must come of it: data only, the runner is in `kernel_tests`.
//!
//! A scenario's command runs as root in a machine that has krcu in its PATH and the modules in `/modules`. Its standard
//! output is JSON, one object a line, as `krcu check --format json` prints it. What is expected differs by kernel, for
//! kernels do differ: an expectation names the series it holds for, and a scenario runs on those series only.

/// Kernels that scenarios run on; 6.1 does not wait in a destroy, 6.12 does, 7.x has sheaves and per-cache barriers.
pub(crate) const SERIES: [&str; 4] = ["6.1", "6.12", "6.18", "7.x"];

/// One thing that happens on a test kernel.
pub(crate) struct Scenario {
    /// Its name, which is also the name of its files.
    pub(crate) name: &'static str,
    /// Folders below `modules/` that it loads from `/modules`.
    pub(crate) modules: &'static [&'static str],
    /// The kernel's own modules that it loads by `modprobe`.
    pub(crate) in_tree: &'static [&'static str],
    /// Shell text; several lines are welcome.
    pub(crate) command: &'static str,
    /// Whether it gets a machine of its own, because it leaves the kernel in a state that others would notice.
    pub(crate) alone: bool,
    /// Whether it leaves its events in `/out/NAME.events`, which must replay to the verdicts that it printed.
    pub(crate) replayed: bool,
    /// What must come of it.
    pub(crate) expectations: &'static [Expectation],
}

/// What must come of a scenario on some kernels.
pub(crate) struct Expectation {
    /// The kernel series, as in [`SERIES`].
    pub(crate) series: &'static [&'static str],
    /// The command's exit status.
    pub(crate) status: i32,
    /// JSON lines that must be there, each exactly once.
    pub(crate) lines: &'static [Line],
    /// Texts that the kernel's log must hold.
    pub(crate) log_has: &'static [&'static str],
    /// Texts that it must not.
    pub(crate) log_lacks: &'static [&'static str],
}

/// One JSON line: which one, and what its fields are.
pub(crate) struct Line {
    /// Its `kind`.
    pub(crate) kind: &'static str,
    /// Its `cache`, for kinds that have one.
    pub(crate) cache: Option<&'static str>,
    /// Field → value. A name that begins with `/` is a JSON pointer (`/queued_from/0/frames/0`).
    pub(crate) fields: &'static [(&'static str, Want)],
}

/// What a field must be.
#[derive(Debug, Clone, Copy)]
#[allow(dead_code, reason = "a vocabulary: which of its words the scenarios use changes with them")]
pub(crate) enum Want {
    /// This text.
    Text(&'static str),
    /// A text with this in it; of an array or object, its JSON.
    Has(&'static str),
    /// This number.
    Number(u64),
    /// A number no smaller.
    AtLeast(u64),
    /// True or false.
    Flag(bool),
    /// Null, or not there at all.
    Nothing,
    /// This number, or null.
    NumberOrNothing(u64),
    /// The number that the module itself printed under this key in its truth line for the cache.
    Truth(&'static str),
    /// The accounts of a summary, in each of which `seen = delivered + lost + filtered`, and in all of which together
    /// as many events were delivered as the summary says were taken.
    Balanced,
    /// As many lines as the kernel's log has with this text.
    LogLines(&'static str),
    /// A number between two that the module itself printed.
    TruthBetween(&'static str, &'static str),
}

/// A verdict about a cache.
const fn verdict(cache: &'static str, fields: &'static [(&'static str, Want)]) -> Line {
    Line { kind: "verdict", cache: Some(cache), fields }
}

/// The last line of a report.
const fn summary(fields: &'static [(&'static str, Want)]) -> Line {
    Line { kind: "summary", cache: None, fields }
}

/// A line that a scenario's own shell text prints about a step of it.
const fn step(name: &'static str, fields: &'static [(&'static str, Want)]) -> Line {
    Line { kind: "step", cache: Some(name), fields }
}

/// The verdict and the module; the module is the cache's own name.
const fn word(word: &'static str) -> (&'static str, Want) {
    ("verdict", Want::Text(word))
}

/// Nothing in the kernel's log, nothing flagged.
const fn quiet(series: &'static [&'static str], lines: &'static [Line]) -> Expectation {
    Expectation { series, status: 0, lines, log_has: &[], log_lacks: REPORTS }
}

/// A fault that the kernel reports as well.
const fn reported(series: &'static [&'static str], lines: &'static [Line]) -> Expectation {
    Expectation {
        series,
        status: 10,
        lines,
        log_has: &["Slab cache still has objects when called from"],
        log_lacks: &[],
    }
}

/// A scenario that shares its machine with others.
const fn scenario(
    name: &'static str,
    modules: &'static [&'static str],
    command: &'static str,
    expectations: &'static [Expectation],
) -> Scenario {
    Scenario { name, modules, in_tree: &[], command, alone: false, replayed: false, expectations }
}

/// The same, and its events are replayed on the host.
const fn replayed_scenario(
    name: &'static str,
    modules: &'static [&'static str],
    command: &'static str,
    expectations: &'static [Expectation],
) -> Scenario {
    Scenario { replayed: true, ..scenario(name, modules, command, expectations) }
}

/// What the kernel says when a cache is destroyed with objects in it.
const REPORTS: &[&str] = &["Objects remaining", "Slab cache still has objects"];
/// The destroy does not wait for `kfree_rcu()`.
const NO_WAIT: &[&str] = &["6.1"];
/// It does. (For 6.18 the archive has no headers, so none of our modules.)
const WAITS: &[&str] = &["6.12", "7.x"];
/// Every kernel that our modules can be built for.
const BUILT: &[&str] = &["6.1", "6.12", "7.x"];

/// Every scenario.
pub(crate) const SCENARIOS: &[Scenario] = &[
    // The exit function queues 777 objects and ends in the destroy, a tail call: no frame of the module is
    // on the destroying stack. The kernel's report lists the objects of partial slabs, a line each.
    scenario(
        "pending",
        &["krcu_pending"],
        "krcu check --format json -- sh -c 'insmod /modules/krcu_pending.ko && rmmod krcu_pending'",
        &[
            reported(
                NO_WAIT,
                &[
                    verdict(
                        "krcu_pending",
                        &[
                            word("pending"),
                            ("module", Want::Text("krcu_pending")),
                            ("queued_by_kfree_rcu", Want::Truth("outstanding")),
                            ("kernel_objects_left", Want::Truth("outstanding")),
                            ("kernel_objects_listed", Want::LogLines("Object 0x")),
                            ("late_frees", Want::Truth("outstanding")),
                            ("leaked", Want::Number(0)),
                            ("/sites/0/objects", Want::Truth("outstanding")),
                            ("/sites/0/stack/0", Want::Has("krcu_pending_flush")),
                            ("/destroyed_by/stack/0", Want::Has("sys_delete_module")),
                        ],
                    ),
                    summary(&[
                        ("flagged", Want::Number(1)),
                        ("exit_status", Want::Number(10)),
                        ("accounts", Want::Balanced),
                    ]),
                ],
            ),
            quiet(
                WAITS,
                &[verdict(
                    "krcu_pending",
                    &[
                        word("waited"),
                        ("waited_for_own", Want::Truth("outstanding")),
                        ("wait_ns", Want::AtLeast(1)),
                        ("barrier_inside", Want::Flag(true)),
                        ("/sites/0/stack/0", Want::Has("krcu_pending_flush")),
                    ],
                )],
            ),
        ],
    ),
    scenario(
        "strict",
        &["krcu_pending"],
        "krcu check --strict --exit-flagged 42 --format json -- sh -c 'insmod /modules/krcu_pending.ko && rmmod krcu_pending'",
        &[Expectation {
            status: 42,
            ..quiet(WAITS, &[verdict("krcu_pending", &[word("waited"), ("flagged_strictly", Want::Flag(true))])])
        }],
    ),
    // The commonest use: the cache is older than the probes. All that is left was queued under their eyes.
    scenario(
        "attached_after_load",
        &["krcu_pending", "krcu_call_rcu"],
        "insmod /modules/krcu_pending.ko && insmod /modules/krcu_call_rcu.ko && \
         krcu check --format json -- sh -c 'rmmod krcu_call_rcu && rmmod krcu_pending'",
        &[
            reported(
                NO_WAIT,
                &[
                    verdict(
                        "krcu_pending",
                        &[
                            word("pending"),
                            ("created_while_watched", Want::Flag(false)),
                            ("module", Want::Text("krcu_pending")),
                            ("queued_by_kfree_rcu", Want::Truth("outstanding")),
                            ("undecided", Want::Number(0)),
                        ],
                    ),
                    // Nothing was left; what was deferred before the probes came, nobody saw.
                    verdict("krcu_call_rcu", &[word("clean"), ("ordering", Want::Text("unknown"))]),
                ],
            ),
            quiet(
                WAITS,
                &[
                    verdict("krcu_pending", &[word("waited")]),
                    verdict("krcu_call_rcu", &[word("clean"), ("ordering", Want::Text("ordered"))]),
                ],
            ),
        ],
    ),
    // Objects allocated before the probes came, and left: leaked or queued, nobody can say.
    scenario(
        "leak_attached_after_load",
        &["krcu_leak"],
        "insmod /modules/krcu_leak.ko && krcu check --settle 1s --format json -- rmmod krcu_leak",
        &[Expectation {
            status: 11,
            ..reported(
                BUILT,
                &[verdict("krcu_leak", &[word("inconclusive"), ("undecided", Want::Truth("leaked"))])],
            )
        }],
    ),
    scenario(
        "leak",
        &["krcu_leak"],
        "krcu check --format json -- sh -c 'insmod /modules/krcu_leak.ko && rmmod krcu_leak'",
        &[reported(
            BUILT,
            &[verdict(
                "krcu_leak",
                &[
                    word("leaked"),
                    ("leaked", Want::Truth("leaked")),
                    ("kernel_objects_left", Want::Truth("leaked")),
                    ("queued_by_kfree_rcu", Want::Number(0)),
                    ("module", Want::Text("krcu_leak")),
                ],
            )],
        )],
    ),
    scenario(
        "mixed",
        &["krcu_mixed"],
        "krcu check --format json -- sh -c 'insmod /modules/krcu_mixed.ko && rmmod krcu_mixed'",
        &[
            reported(
                NO_WAIT,
                &[verdict(
                    "krcu_mixed",
                    &[
                        word("pending"),
                        ("queued_by_kfree_rcu", Want::Truth("outstanding")),
                        ("leaked", Want::Truth("leaked")),
                    ],
                )],
            ),
            // The destroy waits for what was queued, and finds the rest.
            reported(
                WAITS,
                &[verdict(
                    "krcu_mixed",
                    &[
                        word("leaked"),
                        ("queued_by_kfree_rcu", Want::Number(0)),
                        ("leaked", Want::Truth("leaked")),
                    ],
                )],
            ),
        ],
    ),
    scenario(
        "call_rcu",
        &["krcu_call_rcu"],
        "krcu check --strict --format json -- sh -c 'insmod /modules/krcu_call_rcu.ko && rmmod krcu_call_rcu'",
        &[quiet(
            BUILT,
            &[verdict(
                "krcu_call_rcu",
                &[
                    word("clean"),
                    ("callbacks_ever", Want::Truth("queued")),
                    ("ordering", Want::Text("ordered")),
                    ("module", Want::Text("krcu_call_rcu")),
                ],
            )],
        )],
    ),
    // Where the barrier is not there or not exported to modules, the module frees by call_rcu() instead.
    scenario(
        "barrier",
        &["krcu_barrier"],
        "krcu check --strict --format json -- sh -c 'insmod /modules/krcu_barrier.ko && rmmod krcu_barrier'",
        &[quiet(BUILT, &[verdict("krcu_barrier", &[word("clean"), ("ordering", Want::Text("ordered"))])])],
    ),
    // Long after the last free, and no barrier: on every run, not on the one in a thousand that loses the race.
    scenario(
        "lucky",
        &["krcu_lucky"],
        "krcu check --format json -- sh -c 'insmod /modules/krcu_lucky.ko && rmmod krcu_lucky'",
        &[
            quiet(
                NO_WAIT,
                &[verdict(
                    "krcu_lucky",
                    &[
                        word("unordered"),
                        ("ordering", Want::Text("unordered")),
                        ("queued_ever", Want::Truth("queued")),
                        ("margin_ns", Want::AtLeast(1)),
                        ("flagged", Want::Flag(false)),
                        ("flagged_strictly", Want::Flag(true)),
                        ("/sites/0/stack/0", Want::Has("krcu_lucky_flush")),
                    ],
                )],
            ),
            quiet(
                &["6.12"],
                &[verdict("krcu_lucky", &[word("clean"), ("ordering", Want::Text("ordered"))])],
            ),
            // Objects in a sheaf that is not full stay there until somebody flushes it: the destroy does.
            quiet(
                &["7.x"],
                &[verdict("krcu_lucky", &[word("waited"), ("ordering", Want::Text("ordered"))])],
            ),
        ],
    ),
    scenario(
        "many",
        &["krcu_pending"],
        "krcu check --format json -- sh -c 'insmod /modules/krcu_pending.ko objects=100000 && rmmod krcu_pending'",
        &[
            reported(
                NO_WAIT,
                &[verdict(
                    "krcu_pending",
                    &[
                        word("pending"),
                        ("queued_by_kfree_rcu", Want::Truth("outstanding")),
                        ("late_frees", Want::Truth("outstanding")),
                    ],
                )],
            ),
            quiet(WAITS, &[verdict("krcu_pending", &[word("waited"), ("queued_ever", Want::Truth("queued"))])]),
        ],
    ),
    scenario(
        "mightsleep",
        &["krcu_mightsleep"],
        "krcu check --format json -- sh -c 'insmod /modules/krcu_mightsleep.ko && rmmod krcu_mightsleep'",
        &[
            reported(
                NO_WAIT,
                &[verdict(
                    "krcu_mightsleep",
                    &[
                        word("pending"),
                        ("queued_by_kfree_rcu", Want::TruthBetween("outstanding_min", "outstanding")),
                        ("leaked", Want::Number(0)),
                    ],
                )],
            ),
            quiet(WAITS, &[verdict("krcu_mightsleep", &[word("waited")])]),
        ],
    ),
    scenario(
        "two_caches",
        &["krcu_two"],
        "krcu check --format json -- sh -c 'insmod /modules/krcu_two.ko && rmmod krcu_two'",
        &[
            reported(
                NO_WAIT,
                &[
                    verdict("krcu_two_correct", &[word("clean")]),
                    verdict(
                        "krcu_two_pending",
                        &[word("pending"), ("queued_by_kfree_rcu", Want::Truth("outstanding"))],
                    ),
                    summary(&[("flagged", Want::Number(1))]),
                ],
            ),
            quiet(
                WAITS,
                &[verdict("krcu_two_correct", &[word("clean")]), verdict("krcu_two_pending", &[word("waited")])],
            ),
        ],
    ),
    scenario(
        "two_modules",
        &["krcu_pending", "krcu_leak"],
        "krcu check --format json -- sh -c 'insmod /modules/krcu_pending.ko && insmod /modules/krcu_leak.ko && \
         { rmmod krcu_pending & rmmod krcu_leak; wait; }'",
        &[
            reported(
                NO_WAIT,
                &[
                    verdict(
                        "krcu_pending",
                        &[word("pending"), ("queued_by_kfree_rcu", Want::Truth("outstanding"))],
                    ),
                    verdict("krcu_leak", &[word("leaked"), ("leaked", Want::Truth("leaked"))]),
                    summary(&[("flagged", Want::Number(2))]),
                ],
            ),
            reported(
                WAITS,
                &[
                    verdict("krcu_pending", &[word("waited")]),
                    verdict("krcu_leak", &[word("leaked"), ("leaked", Want::Truth("leaked"))]),
                ],
            ),
        ],
    ),
    scenario(
        "race",
        &["krcu_race"],
        "krcu check --format json -- sh -c 'insmod /modules/krcu_race.ko && rmmod krcu_race'",
        &[
            reported(
                NO_WAIT,
                &[
                    verdict("krcu_race_quiet", &[word("clean")]),
                    verdict(
                        "krcu_race_busy",
                        &[
                            word("pending"),
                            ("queued_by_kfree_rcu", Want::TruthBetween("outstanding_min", "outstanding")),
                            ("queued_ever", Want::Truth("queued")),
                            // When all of them are freed while the kernel looks, its count says nothing of leaks.
                            ("leaked", Want::NumberOrNothing(0)),
                        ],
                    ),
                ],
            ),
            quiet(
                WAITS,
                &[
                    verdict("krcu_race_quiet", &[word("clean")]),
                    verdict("krcu_race_busy", &[word("waited"), ("queued_ever", Want::Truth("queued"))]),
                ],
            ),
        ],
    ),
    // The events that a run leaves give the same verdicts anywhere. One module after the other: a destroy that begins
    // while another is in the same probe on the same processor is missed, which is counted, and nothing is decided.
    replayed_scenario(
        "replay",
        &["krcu_two", "krcu_mixed", "krcu_race"],
        "krcu check --events /out/replay.events --format json -- sh -c 'for m in two mixed race; do insmod /modules/krcu_$m.ko || exit; done; \
         rmmod krcu_two; rmmod krcu_mixed; rmmod krcu_race'",
        &[
            reported(
                NO_WAIT,
                &[
                    verdict("krcu_two_correct", &[word("clean")]),
                    verdict("krcu_two_pending", &[word("pending")]),
                    verdict("krcu_mixed", &[word("pending"), ("queued_by_kfree_rcu", Want::Truth("outstanding"))]),
                    verdict("krcu_race_quiet", &[word("clean")]),
                    verdict("krcu_race_busy", &[word("pending")]),
                ],
            ),
            reported(
                WAITS,
                &[
                    verdict("krcu_two_correct", &[word("clean")]),
                    verdict("krcu_two_pending", &[word("waited")]),
                    verdict("krcu_mixed", &[word("leaked"), ("leaked", Want::Truth("leaked"))]),
                    verdict("krcu_race_quiet", &[word("clean")]),
                    verdict("krcu_race_busy", &[word("waited")]),
                ],
            ),
        ],
    ),
    // A ring of one page for a hundred thousand events: most are lost, and nothing is called clean.
    replayed_scenario(
        "tiny_ring",
        &["krcu_pending"],
        "krcu check --ring-bytes 4K --settle 1s --events /out/tiny_ring.events --format json -- \
         sh -c 'insmod /modules/krcu_pending.ko objects=100000 && rmmod krcu_pending'",
        &[
            Expectation {
                status: 11,
                log_has: &[],
                ..reported(NO_WAIT, &[summary(&[
                    ("/lost/ring_full", Want::AtLeast(1)),
                    ("accounts", Want::Balanced),
                    ("flagged", Want::Number(0)),
                ])])
            },
            Expectation {
                status: 11,
                ..quiet(WAITS, &[summary(&[
                    ("/lost/ring_full", Want::AtLeast(1)),
                    ("accounts", Want::Balanced),
                    ("flagged", Want::Number(0)),
                ])])
            },
        ],
    ),
    // Something that goes on destroying caches while krcu detaches: what it does then is not judged, or is undecided.
    scenario(
        "busy_end",
        &["krcu_pending"],
        "(while [ ! -e /tmp/enough ]; do insmod /modules/krcu_pending.ko objects=300; rmmod krcu_pending; done) & loop=$!
         krcu check --format json -- sleep 1; status=$?
         touch /tmp/enough; wait $loop; rm /tmp/enough
         [ $status = 11 ] && status=0
         exit $status",
        &[quiet(WAITS, &[summary(&[("flagged", Want::Number(0))])])],
    ),
    // A command that leaves a child behind and is killed; then a krcu that is killed. Nothing stays attached.
    scenario(
        "killed",
        &["krcu_pending"],
        "programs() { printf '{\"kind\":\"step\",\"cache\":\"%s\",\"programs\":%d}\\n' $1 \
             $(bpftool prog show | grep -cE '^[0-9]+: (tracing|kprobe)'); }
         krcu check --format json -- sh -c 'insmod /modules/krcu_pending.ko; (sleep 300 &); rmmod krcu_pending; kill -9 $$'
         status=$?
         programs after_the_command
         krcu check -- sleep 300 & krcu=$!
         until bpftool prog show | grep -q queued; do :; done
         programs while_attached
         kill -9 $krcu; wait $krcu
         while bpftool prog show | grep -q queued; do :; done
         programs after_krcu
         killall sleep
         exit $status",
        &[
            reported(
                NO_WAIT,
                &[
                    verdict("krcu_pending", &[word("pending")]),
                    summary(&[("command_status", Want::Number(137))]),
                    step("after_the_command", &[("programs", Want::Number(0))]),
                    step("while_attached", &[("programs", Want::AtLeast(10))]),
                    step("after_krcu", &[("programs", Want::Number(0))]),
                ],
            ),
            Expectation {
                status: 137,
                ..quiet(
                    WAITS,
                    &[
                        verdict("krcu_pending", &[word("waited")]),
                        step("after_the_command", &[("programs", Want::Number(0))]),
                        step("after_krcu", &[("programs", Want::Number(0))]),
                    ],
                )
            },
        ],
    ),
    // The kernel's own report with krcu and without: every reliable line of it, addresses and registers aside.
    // A frame with a question mark is a stale word on the stack, and no two runs have the same.
    scenario(
        "report_unchanged",
        &["krcu_pending", "krcu_leak"],
        "m=krcu_leak; [ $(uname -r | cut -d. -f1-2) = 6.1 ] && m=krcu_pending
         once() { dmesg -c >/dev/null; \"$@\" sh -c \"insmod /modules/$m.ko; rmmod $m\" >/dev/null; dmesg; }
         words() { sed -n '/^\\[[^]]*\\] BUG /,$p' | sed -e 's/^\\[[^]]*\\] //' -e '/^ ? /d' \
             -e '/^\\(R[A-Z0-9]*\\|FS\\|CS\\|CR2\\|PKRU\\|Code\\):/d' -e 's/0x[0-9a-f]*/ADDRESS/g' -e 's/@offset=[0-9]*/@offset/' \
             -e 's/\\(PID\\|CPU\\|UID\\): [0-9]*/\\1/g' -e 's/CPU#[0-9]*: rmmod.[0-9]*/CPU: rmmod/'; }
         once env >/dev/null
         once env | words >/out/report_without.txt
         once krcu check -- | words >/out/report_with.txt
         dmesg -c >/dev/null
         same=false; cmp -s /out/report_without.txt /out/report_with.txt && same=true
         printf '{\"kind\":\"step\",\"cache\":\"report\",\"same\":%s,\"lines\":%d}\\n' $same $(wc -l </out/report_with.txt)",
        &[quiet(BUILT, &[step("report", &[("same", Want::Flag(true)), ("lines", Want::AtLeast(20))])])],
    ),
    // Everything that can be asked for wrongly: one line that says what to do, and nothing attached.
    scenario(
        "bad_input",
        &[],
        "try() { name=$1; shift; said=$(\"$@\" 2>&1 >/dev/null); status=$?
             printf '{\"kind\":\"step\",\"cache\":\"%s\",\"status\":%d,\"lines\":%d,\"said\":\"%s\"}\\n' $name $status \
                 $(printf '%s\\n' \"$said\" | wc -l) \"$(printf %s \"$said\" | tr -d '\"\\\\' | tr '\\n' ' ')\"; }
         try option krcu check --strct -- true
         try verb krcu chek
         try command krcu check -- no-such-command
         try nothing krcu check
         try output krcu check --report /no/such/folder/report -- true
         try events krcu check --events /no/such/folder/events -- true
         try disk krcu check --events /dev/full -- true
         try size krcu check --ring-bytes 3M -- true
         echo 'somebody:x:1000:1000::/:/bin/sh' >>/etc/passwd
         try user su somebody -c 'krcu check -- true'
         mount -t tmpfs none /sys/kernel/btf && try btf krcu check -- true; umount /sys/kernel/btf
         grep -v ' kvfree_call_rcu$' /proc/kallsyms >/tmp/kallsyms
         mount -o bind /tmp/kallsyms /proc/kallsyms && try symbols krcu check -- true; umount /proc/kallsyms
         printf '{\"kind\":\"step\",\"cache\":\"after\",\"programs\":%d}\\n' $(bpftool prog show | grep -cE '^[0-9]+: (tracing|kprobe)')",
        &[quiet(
            &SERIES,
            &[
                step("option", &[("status", Want::Number(2)), ("lines", Want::Number(1)), ("said", Want::Has("--strict"))]),
                step("verb", &[("status", Want::Number(2)), ("lines", Want::Number(1)), ("said", Want::Has("check"))]),
                step("command", &[("status", Want::Number(2)), ("lines", Want::Number(1)), ("said", Want::Has("no-such-command"))]),
                step("nothing", &[("status", Want::Number(2)), ("lines", Want::Number(1)), ("said", Want::Has("CMD"))]),
                step("output", &[("status", Want::Number(1)), ("lines", Want::Number(1)), ("said", Want::Has("/no/such/folder/report"))]),
                step("events", &[("status", Want::Number(1)), ("lines", Want::Number(1)), ("said", Want::Has("/no/such/folder/events"))]),
                step("disk", &[("status", Want::Number(1)), ("lines", Want::Number(1)), ("said", Want::Has("No space left"))]),
                step("size", &[("status", Want::Number(2)), ("lines", Want::Number(1)), ("said", Want::Has("16M"))]),
                step("user", &[("status", Want::Number(1)), ("lines", Want::Number(1)), ("said", Want::Has("root"))]),
                step("btf", &[("status", Want::Number(1)), ("lines", Want::Number(1)), ("said", Want::Has("CONFIG_DEBUG_INFO_BTF"))]),
                step("symbols", &[("status", Want::Number(1)), ("lines", Want::Number(1)), ("said", Want::Has("kvfree_call_rcu"))]),
                step("after", &[("programs", Want::Number(0))]),
            ],
        )],
    ),
    // Every kernel: all that the plan offers passes the verifier and attaches, and a module of the kernel's own
    // comes and goes without an alarm. Its cache is merged with another of the same size, so the destroy only
    // drops a reference.
    Scenario {
        name: "attach",
        modules: &[],
        in_tree: &["bridge"],
        command: "krcu doctor >&2 || exit 1
             krcu check --format json -- sh -c 'modprobe bridge && rmmod bridge' 2>/out/attach.said; status=$?
             cat /out/attach.said >&2
             printf '{\"kind\":\"step\",\"cache\":\"attach\",\"withdrawn\":%d}\\n' $(grep -c 'without an optional probe' /out/attach.said)
             exit $status",
        alone: false,
        replayed: false,
        expectations: &[quiet(
            &SERIES,
            &[
                Line {
                    kind: "verdict",
                    cache: None,
                    fields: &[word("alias"), ("aliases", Want::Has("bridge")), ("module", Want::Text("bridge"))],
                },
                step("attach", &[("withdrawn", Want::Number(0))]),
            ],
        )],
    },
    // Room for one stack: the creation takes it, and the other 777 calls and the destroy have no site. The verdict is
    // what it is with all of them.
    scenario(
        "few_stacks",
        &["krcu_pending"],
        "krcu check --stacks 1 --format json -- \
         sh -c 'insmod /modules/krcu_pending.ko && rmmod krcu_pending'",
        &[
            reported(NO_WAIT, &[
                verdict("krcu_pending", &[word("pending"), ("queued_by_kfree_rcu", Want::Truth("outstanding"))]),
                summary(&[("without_site", Want::Number(778)), ("/lost/map_full", Want::Number(0))]),
            ]),
            quiet(WAITS, &[
                verdict("krcu_pending", &[word("waited")]),
                summary(&[("without_site", Want::Number(778)), ("/lost/map_full", Want::Number(0))]),
            ]),
        ],
    ),
];

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::{SCENARIOS, SERIES};
    use crate::machine;

    #[test]
    fn scenarios_have_names_of_their_own_and_modules_that_exist() {
        let names: BTreeSet<&str> = SCENARIOS.iter().map(|scenario| scenario.name).collect();
        assert_eq!(names.len(), SCENARIOS.len(), "two scenarios share a name");
        for scenario in SCENARIOS {
            assert!(!scenario.expectations.is_empty(), "{} expects nothing", scenario.name);
            for module in scenario.modules {
                let kbuild = machine::repository().join("modules").join(module).join("Kbuild");
                assert!(kbuild.is_file(), "{}: {} is missing", scenario.name, kbuild.display());
            }
        }
    }

    #[test]
    fn each_series_is_expected_once() {
        for scenario in SCENARIOS {
            let named: Vec<&str> =
                scenario.expectations.iter().flat_map(|expected| expected.series).copied().collect();
            let distinct: BTreeSet<&str> = named.iter().copied().collect();
            assert_eq!(named.len(), distinct.len(), "{} expects two things of one kernel", scenario.name);
            for series in named {
                assert!(SERIES.contains(&series), "{} names the unknown kernel {series}", scenario.name);
            }
        }
    }
}
