//! How `krcu agent` behaves on real kernels: that it shows what happens, lets go of everything, and outlives whatever is
//! done to it.
//!
//! Each text begins with [`WORDS`]: `start`, `stop`, `metric`. A count is waited for, never a time.

use super::{ALL, Act, NO_WAIT, Scenario, WAITS, Want, quiet, reported, scenario, step};

/// What scenarios say: shell functions, put before each text.
macro_rules! live {
    ($text:expr) => {
        Act::Shell(concat!(
            "programs() { bpftool prog show | grep -cE '^[0-9]+: (tracing|kprobe)'; }
             fetch() { wget -q -O- http://127.0.0.1:9747/$1 2>/dev/null; }
             metric() { fetch metrics | awk -v m=\"$1\" '$1 == m { print int($2) }'; }
             reaches() { until [ \"$(metric \"$1\")\" -ge \"$2\" ]; do usleep 100000; done 2>/dev/null; }
             say() { name=$1; shift; line=\"\\\"cache\\\":\\\"$name\\\"\"
                 while [ $# -gt 0 ]; do line=\"$line,\\\"$1\\\":$2\"; shift 2; done; echo \"{\\\"kind\\\":\\\"step\\\",$line}\"; }
             start() { command krcu agent \"$@\" >&2 & agent=$!
                 until fetch healthz >/dev/null; do kill -0 $agent || exit 98; usleep 100000; done; }
             stop() { kill -TERM $agent; wait $agent; say stopped status $? programs $(programs) files $(ls /run/krcu | wc -l); }
             socket=/run/krcu/krcu.sock
             ",
            $text
        ))
    };
}

/// Everything is let go: no program, no file.
const STOPPED: super::Line = step(
    "stopped",
    &[("status", Want::Number(0)), ("programs", Want::Number(0)), ("files", Want::Number(0))],
);

/// Every scenario.
pub(crate) const SCENARIOS: &[Scenario] = &[
    // The module queues 777 objects and destroys their cache at once: on 6.1 they are pending, elsewhere it waits.
    scenario(
        "agent_watches",
        &["krcu_pending"],
        live!(
            "start
             insmod /modules/krcu_pending.ko; rmmod krcu_pending
             reaches krcu_events_total{word=\\\"free\\\"} 777
             until [ $(($(metric 'krcu_verdicts{verdict=\"pending\"}') + $(metric 'krcu_verdicts{verdict=\"waited\"}'))) = 1 ]; do :; done
             peer $socket lines 2 >/tmp/lines
             say watched pending $(metric 'krcu_verdicts{verdict=\"pending\"}') waited $(metric 'krcu_verdicts{verdict=\"waited\"}') \
                 lines $(wc -l </tmp/lines) hello $(head -n1 /tmp/lines | grep -c '\"kind\":\"hello\"') \
                 capabilities $(cat /proc/$agent/task/*/status | grep -E '^Cap(Eff|Prm|Bnd|Inh|Amb)' | grep -vc '0000000000000000')
             stop"
        ),
        &[
            super::Expectation {
                status: 0,
                ..reported(
                    NO_WAIT,
                    &[
                        step("watched", &[
                            ("pending", Want::Number(1)),
                            ("waited", Want::Number(0)),
                            ("lines", Want::Number(2)),
                            ("hello", Want::Number(1)),
                            ("capabilities", Want::Number(0)),
                        ]),
                        STOPPED,
                    ],
                )
            },
            quiet(
                WAITS,
                &[
                    step("watched", &[
                        ("pending", Want::Number(0)),
                        ("waited", Want::Number(1)),
                        ("lines", Want::Number(2)),
                        ("hello", Want::Number(1)),
                        ("capabilities", Want::Number(0)),
                    ]),
                    STOPPED,
                ],
            ),
        ],
    ),
    // The kernel closes what a killed process had; the trace has all but its last second, and says that it lacks its end.
    scenario(
        "agent_killed",
        &["krcu_pending"],
        live!(
            "start --record /tmp/killed
             say attached programs $(programs)
             kill -9 $agent; wait $agent
             until [ $(programs) = 0 ]; do usleep 100000; done
             say left programs $(programs) files $(ls /run/krcu | wc -l)
             command krcu replay --format json /tmp/killed/krcu-000001.krcu >/tmp/replay; status=$?
             say replay status $status incomplete $(grep -c '\"incomplete\":\"no-goodbye\"' /tmp/replay)
             start --record /tmp/killed
             say again traces $(ls /tmp/killed | wc -l)
             stop
             command krcu replay --format json /tmp/killed/krcu-000002.krcu >/tmp/replay; say whole status $?"
        ),
        &[quiet(
            ALL,
            &[
                step("attached", &[("programs", Want::AtLeast(10))]),
                step("left", &[("programs", Want::Number(0)), ("files", Want::Number(1))]),
                step("replay", &[("status", Want::Number(11)), ("incomplete", Want::Number(1))]),
                step("again", &[("traces", Want::Number(2))]),
                STOPPED,
                step("whole", &[("status", Want::Number(0))]),
            ],
        )],
    ),
    // Two hundred clients, a hundred of which never read, and three that talk nonsense: each is counted, and one more is served.
    scenario(
        "agent_clients",
        &[],
        live!(
            "start --set socket.clients=256
             echo 'GET / HTTP/1.1' | peer $socket send >/dev/null
             head -c 4096 /dev/zero | tr '\\0' x | peer $socket send >/dev/null
             set -- $(peer $socket crowd 200 100); say crowd served $1 refused $2
             peer $socket lines 3 >/tmp/lines
             say counted garbage $(metric 'krcu_clients_dropped_total{reason=\"garbage\"}') \
                 oversized $(metric 'krcu_clients_dropped_total{reason=\"oversized\"}') lines $(wc -l </tmp/lines)
             stop"
        ),
        &[quiet(
            ALL,
            &[
                step("crowd", &[("served", Want::Number(100)), ("refused", Want::Number(0))]),
                step("counted", &[("garbage", Want::Number(1)), ("oversized", Want::Number(1)), ("lines", Want::Number(3))]),
                STOPPED,
            ],
        )],
    ),
    // A disk without room ends the trace, and not the agent: its other sinks go on, and it says so.
    scenario(
        "agent_disk_full",
        &["krcu_pending"],
        live!(
            "mkdir -p /tmp/small; mount -t tmpfs -o size=128k none /tmp/small
             start --record /tmp/small
             head -c 200000 /dev/zero >/tmp/small/fill 2>/dev/null
             reaches krcu_traces_cut_short_total 1
             until [ \"$(metric 'krcu_sink_up{sink=\"recorder\"}')\" = 0 ]; do usleep 100000; done
             say full up $(metric 'krcu_sink_up{sink=\"recorder\"}') well $(fetch healthz | grep -c '^ok')
             stop; umount /tmp/small"
        ),
        &[quiet(ALL, &[step("full", &[("up", Want::Number(0)), ("well", Want::Number(1))]), STOPPED])],
    ),
    // A reader that sleeps loses what finds no room. Nothing of that time is called anything but inconclusive, and what is
    // created and destroyed after it is decided.
    scenario(
        "agent_suspended",
        &["krcu_pending"],
        live!(
            "start --set probes.ring_bytes=64K
             kill -STOP $agent
             for turn in 1 2 3; do insmod /modules/krcu_pending.ko objects=5000; rmmod krcu_pending; done
             sleep 10
             kill -CONT $agent
             reaches krcu_lost_events_total{reason=\\\"ring_full\\\"} 1
             decided=0; for word in clean waited pending leaked unordered late-free model-disagrees; do
                 decided=$((decided + $(metric \"krcu_verdicts{verdict=\\\"$word\\\"}\"))); done
             say asleep decided $decided flagged $(metric krcu_verdicts_flagged)
             until [ \"$(metric 'krcu_verdicts{verdict=\"waited\"}')\" -ge 1 ]; do
                 insmod /modules/krcu_pending.ko objects=100; rmmod krcu_pending; usleep 1000000; done
             say awake waited $(metric 'krcu_verdicts{verdict=\"waited\"}') flagged $(metric krcu_verdicts_flagged)
             stop"
        ),
        &[quiet(
            WAITS,
            &[
                step("asleep", &[("decided", Want::Number(0)), ("flagged", Want::Number(0))]),
                step("awake", &[("waited", Want::AtLeast(1)), ("flagged", Want::Number(0))]),
                STOPPED,
            ],
        )],
    ),
];
