//! How the program behaves on real kernels: what it prints, what it leaves, what it refuses, whatever a cache's truth may be.

use super::{
    ALL, Act, Expectation, Line, MAY_BE_OPEN, NO_WAIT, Scenario, WAITS, Want, quiet, reported, scenario,
    step, summary, verdict, word,
};

/// Text that the krcu of all scenarios watches.
const fn watched(text: &'static str) -> Act {
    Act::Watched { before: "", options: "", text }
}

/// Every scenario.
pub(crate) const SCENARIOS: &[Scenario] = &[
    // The exit function queues 777 objects and ends in the destroy, a tail call: no frame of the module is
    // on the destroying stack. The kernel's report lists the objects of partial slabs, a line each.
    scenario(
        "pending",
        &["krcu_pending"],
        Act::Shell("krcu check --format json -- sh -c 'insmod /modules/krcu_pending.ko && rmmod krcu_pending'"),
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
        Act::Shell("krcu check --strict --exit-flagged 42 --format json -- sh -c 'insmod /modules/krcu_pending.ko && rmmod krcu_pending'"),
        &[Expectation {
            status: 42,
            ..quiet(WAITS, &[verdict("krcu_pending", &[word("waited"), ("flagged_strictly", Want::Flag(true))])])
        }],
    ),
    // The commonest use: the cache is older than the probes. All that is left was queued under their eyes.
    scenario(
        "attached_after_load",
        &["krcu_pending", "krcu_call_rcu"],
        Act::Shell("insmod /modules/krcu_pending.ko && insmod /modules/krcu_call_rcu.ko && \
         krcu check --format json -- sh -c 'rmmod krcu_call_rcu && rmmod krcu_pending'"),
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
    scenario(
        "many",
        &["krcu_pending"],
        Act::Shell("krcu check --format json -- sh -c 'insmod /modules/krcu_pending.ko objects=100000 && rmmod krcu_pending'"),
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
        "two_modules",
        &["krcu_pending", "krcu_leak"],
        watched("insmod /modules/krcu_pending.ko && insmod /modules/krcu_leak.ko && \
         { rmmod krcu_pending & rmmod krcu_leak; wait; }"),
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
        watched("insmod /modules/krcu_race.ko && rmmod krcu_race"),
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
    // A ring of one page for a hundred thousand events: most are lost, and nothing is called clean.
    scenario(
        "tiny_ring",
        &["krcu_pending"],
        Act::Replayed("krcu check --ring-bytes 4K --settle 1s --events /out/tiny_ring.events --format json -- \
         sh -c 'insmod /modules/krcu_pending.ko objects=100000 && rmmod krcu_pending'"),
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
        Act::Shell("(while [ ! -e /tmp/enough ]; do insmod /modules/krcu_pending.ko objects=300; rmmod krcu_pending; done) & loop=$!
         krcu check --format json -- sleep 1; status=$?
         touch /tmp/enough; wait $loop; rm /tmp/enough
         [ $status = 11 ] && status=0
         exit $status"),
        &[quiet(WAITS, &[summary(&[("flagged", Want::Number(0))])])],
    ),
    // A command that leaves a child behind and is killed; then a krcu that is killed. Nothing stays attached.
    scenario(
        "killed",
        &["krcu_pending"],
        Act::Shell("programs() { printf '{\"kind\":\"step\",\"cache\":\"%s\",\"programs\":%d}\\n' $1 \
             $(bpftool prog show | grep -cE '^[0-9]+: (tracing|kprobe)'); }
         krcu check --format json -- sh -c 'insmod /modules/krcu_pending.ko; (sleep 300 &); rmmod krcu_pending; kill -9 $$'
         status=$?
         programs after_the_command
         command krcu check -- sleep 300 & krcu=$!
         until bpftool prog show | grep -q queued; do usleep 100000; done
         programs while_attached
         kill -9 $krcu; wait $krcu
         while bpftool prog show | grep -q queued; do usleep 100000; done
         programs after_krcu
         killall sleep
         exit $status"),
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
    // A frame with a question mark is a stale word on the stack, and no two runs have the same. A slow machine's kernel says
    // how old a grace period of RCU for tasks is; that is no line of the report.
    scenario(
        "report_unchanged",
        &["krcu_pending", "krcu_leak"],
        Act::Shell("m=krcu_leak; [ $(uname -r | cut -d. -f1-2) = 6.1 ] && m=krcu_pending
         once() { dmesg -c >/dev/null; \"$@\" sh -c \"insmod /modules/$m.ko; rmmod $m\" >/dev/null; dmesg; }
         words() { sed -n '/^\\[[^]]*\\] BUG /,$p' | sed -e 's/^\\[[^]]*\\] //' -e '/^ ? /d' -e '/^rcu_tasks_wait_gp: /d' \
             -e '/^\\(R[A-Z0-9]*\\|FS\\|CS\\|CR2\\|PKRU\\|Code\\):/d' -e 's/0x[0-9a-f]*/ADDRESS/g' -e 's/@offset=[0-9]*/@offset/' \
             -e 's/\\(PID\\|CPU\\|UID\\): [0-9]*/\\1/g' -e 's/CPU#[0-9]*: rmmod.[0-9]*/CPU: rmmod/'; }
         once env >/dev/null
         once env | words >/out/report_without.txt
         once krcu check -- | words >/out/report_with.txt
         dmesg -c >/dev/null
         same=false; cmp -s /out/report_without.txt /out/report_with.txt && same=true
         printf '{\"kind\":\"step\",\"cache\":\"report\",\"same\":%s,\"lines\":%d}\\n' $same $(wc -l </out/report_with.txt)"),
        &[quiet(ALL, &[step("report", &[("same", Want::Flag(true)), ("lines", Want::AtLeast(20))])])],
    ),
    // Everything that can be asked for wrongly: one line that says what to do, and nothing attached.
    scenario(
        "bad_input",
        &[],
        Act::Shell("try() { name=$1; shift; said=$(\"$@\" 2>&1 >/dev/null); status=$?
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
         mount -t tmpfs none /sys/kernel/btf && try btf krcu check -- true; try agent krcu agent; umount /sys/kernel/btf
         grep -v ' kvfree_call_rcu$' /proc/kallsyms >/tmp/kallsyms
         mount -o bind /tmp/kallsyms /proc/kallsyms && try symbols krcu check -- true; umount /proc/kallsyms
         printf '{\"kind\":\"step\",\"cache\":\"after\",\"programs\":%d}\\n' $(bpftool prog show | grep -cE '^[0-9]+: (tracing|kprobe)')"),
        &[quiet(
            ALL,
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
                step("agent", &[("status", Want::Number(1)), ("lines", Want::Number(1)), ("said", Want::Has("CONFIG_DEBUG_INFO_BTF"))]),
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
        why: "",
        modules: &[],
        in_tree: &["bridge"],
        act: Act::Shell("krcu doctor >&2 || exit 1
             krcu check --format json -- sh -c 'modprobe bridge && rmmod bridge' 2>/out/attach.said; status=$?
             cat /out/attach.said >&2
             printf '{\"kind\":\"step\",\"cache\":\"attach\",\"withdrawn\":%d}\\n' $(grep -c 'without an optional probe' /out/attach.said)
             exit $status"),
        append: "",
        own_watch: "",
        open_if: MAY_BE_OPEN,
        alone: false,
        expectations: &[quiet(
            ALL,
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
        Act::Shell("krcu check --stacks 1 --format json -- sh -c 'insmod /modules/krcu_pending.ko && rmmod krcu_pending'"),
        &[
            reported(NO_WAIT, &[
                verdict("krcu_pending", &[word("pending"), ("queued_by_kfree_rcu", Want::Truth("outstanding"))]),
                summary(&[("without_site", Want::Number(778)), ("/lost/map_full", Want::Number(0))]),
            ]),
            quiet(WAITS, &[
                verdict("krcu_pending", &[word("waited")]),
                // Its barriers have no stack either.
                summary(&[("without_site", Want::AtLeast(778)), ("/lost/map_full", Want::Number(0))]),
            ]),
        ],
    ),
];
