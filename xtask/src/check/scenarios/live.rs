//! How `krcu agent` behaves on real kernels: that it shows what happens, lets go of everything, and outlives whatever is
//! done to it.
//!
//! Each text begins with the words of `live!`: `start`, `stop`, `metric`. A count is waited for, never a time. An agent
//! that can be reached has a report: `start` ends the scenario when it is told anything else.

use super::{Act, Expectation, Line, NO_WAIT, Scenario, Want, quiet, reported, scenario, step};

/// Where the destroy does not wait, and where it does: how the agent behaves is not the kernel's doing.
const BOTH: &[&str] = &["6.1", "6.12"];
/// Where it waits.
const LATER: &[&str] = &["6.12"];
/// The same, and the newest.
const LATER_AND_NEWEST: &[&str] = &["6.12", "7.x"];

/// What scenarios say: shell functions, put before each text.
macro_rules! live {
    ($text:expr) => {
        Act::Shell(concat!(
            "trap 'exit 97' TERM; trap '[ -z \"$agent\" ] || kill -9 $agent 2>/dev/null' EXIT
             programs() { bpftool prog show | grep -cE '^[0-9]+: (tracing|kprobe)'; }
             fetch() { wget -q -O- http://127.0.0.1:9747/$1 2>/dev/null; }
             metric() { fetch metrics | awk -v m=\"$1\" '$1 == m { print int($2) }'; }
             reaches() { until [ \"$(metric \"$1\")\" -ge \"$2\" ]; do usleep 400000; done 2>/dev/null; }
             say() { name=$1; shift; line=\"\\\"cache\\\":\\\"$name\\\"\"
                 while [ $# -gt 0 ]; do line=\"$line,\\\"$1\\\":$2\"; shift 2 || exit 95; done; echo \"{\\\"kind\\\":\\\"step\\\",$line}\"; }
             start() { command krcu agent \"$@\" >&2 & agent=$!
                 until said=$(wget -q -O- http://127.0.0.1:9747/healthz 2>&1); do
                     case $said in *'server returned error'*) echo \"$said\" >&2; exit 96;; esac
                     kill -0 $agent || exit 98; usleep 400000; done; }
             stop() { kill -TERM $agent; wait $agent; say stopped status $? programs $(programs) files $(ls /run/krcu | wc -l); agent=; }
             decided() { sum=0; for word in clean waited pending leaked unordered late-free model-disagrees; do
                 sum=$((sum + $(metric \"krcu_verdicts{verdict=\\\"$word\\\"}\"))); done; echo $sum; }
             socket=/run/krcu/krcu.sock
             ",
            $text
        ))
    };
}

pub(crate) use live;

/// Everything is let go: no program, no file.
pub(crate) const STOPPED: Line = step(
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
             until [ $(($(metric 'krcu_verdicts{verdict=\"pending\"}') + $(metric 'krcu_verdicts{verdict=\"waited\"}'))) = 1 ]; do usleep 200000; done
             peer $socket lines 2 >/tmp/lines
             say watched pending $(metric 'krcu_verdicts{verdict=\"pending\"}') waited $(metric 'krcu_verdicts{verdict=\"waited\"}') \
                 lines $(wc -l </tmp/lines) hello $(head -n1 /tmp/lines | grep -c '\"kind\":\"hello\"') \
                 capabilities $(cat /proc/$agent/task/*/status | grep -E '^Cap(Eff|Prm|Bnd|Inh|Amb)' | grep -vc '0000000000000000')
             stop"
        ),
        &[
            Expectation {
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
                LATER_AND_NEWEST,
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
             until [ $(programs) = 0 ]; do usleep 400000; done
             say left programs $(programs) files $(ls /run/krcu | wc -l)
             command krcu replay --format json /tmp/killed/krcu-000001.krcu >/tmp/replay; status=$?
             say replay status $status incomplete $(grep -c '\"incomplete\":\"no-goodbye\"' /tmp/replay)
             start --record /tmp/killed
             say again traces $(ls /tmp/killed | wc -l)
             stop
             command krcu replay --format json /tmp/killed/krcu-000002.krcu >/tmp/replay; say whole status $?"
        ),
        &[quiet(
            BOTH,
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
            BOTH,
            &[
                step("crowd", &[("served", Want::Number(100)), ("refused", Want::Number(0))]),
                step("counted", &[("garbage", Want::Number(1)), ("oversized", Want::Number(1)), ("lines", Want::Number(3))]),
                STOPPED,
            ],
        )],
    ),
    // A disk without room ends the trace, and not the agent: its other sinks go on, and it says so. The trace is left, since
    // it has rows. The agent begins on a full disk, too, and leaves nothing there that is no trace.
    scenario(
        "agent_disk_full",
        &["krcu_pending"],
        live!(
            "mkdir -p /tmp/small; mount -t tmpfs -o size=128k none /tmp/small
             start --record /tmp/small
             until [ $(wc -l </tmp/small/krcu-000001.krcu/events-00000.index) -gt 1 ]; do usleep 400000; done
             head -c 200000 /dev/zero >/tmp/small/fill 2>/dev/null
             reaches krcu_traces_cut_short_total 1
             until [ \"$(metric 'krcu_sink_up{sink=\"recorder\"}')\" = 0 ]; do usleep 400000; done
             say full up $(metric 'krcu_sink_up{sink=\"recorder\"}') well $(fetch healthz | grep -c '^ok')
             stop
             cat /dev/zero >>/tmp/small/fill 2>/dev/null
             start --record /tmp/small
             say still up $(metric 'krcu_sink_up{sink=\"recorder\"}') well $(fetch healthz | grep -c '^ok') \
                 traces $(ls -d /tmp/small/krcu-* | wc -l)
             stop; umount /tmp/small"
        ),
        &[quiet(
            BOTH,
            &[
                step("full", &[("up", Want::Number(0)), ("well", Want::Number(1))]),
                STOPPED,
                step("still", &[("up", Want::Number(0)), ("well", Want::Number(1)), ("traces", Want::Number(1))]),
                STOPPED,
            ],
        )],
    ),
    // What cannot be written without privileges is refused at once, and so is a folder in which another agent keeps traces.
    scenario(
        "agent_folders",
        &[],
        live!(
            "mkdir /tmp/theirs; chown 1000:1000 /tmp/theirs
             refused() { command krcu agent \"$@\" >&2 2>/tmp/said; status=$?; cat /tmp/said >&2; }
             refused --record /tmp/theirs/traces
             say foreign status $status told $(grep -c '/tmp/theirs/traces.*record.folder' /tmp/said) programs $(programs)
             start --record /tmp/ours
             refused --record /tmp/ours --socket /tmp/second.sock --metrics 127.0.0.1:9748
             say second status $status told $(grep -c 'another krcu keeps its traces in /tmp/ours' /tmp/said) \
                 traces $(ls /tmp/ours | wc -l) sockets $(ls /tmp/second.sock 2>/dev/null | wc -l)
             stop"
        ),
        &[quiet(
            BOTH,
            &[
                step("foreign", &[
                    ("status", Want::Number(1)),
                    ("told", Want::Number(1)),
                    ("programs", Want::Number(0)),
                ]),
                step("second", &[
                    ("status", Want::Number(1)),
                    ("told", Want::Number(1)),
                    ("traces", Want::Number(1)),
                    ("sockets", Want::Number(0)),
                ]),
                STOPPED,
            ],
        )],
    ),
    // A reader that sleeps loses what finds no room. Nothing of that time is called anything but inconclusive, and what is
    // created and destroyed after it is decided. All of it would be clean: callbacks, and a barrier before the destroy.
    scenario(
        "agent_suspended",
        &["krcu_play"],
        live!(
            "start --set probes.ring_bytes=64K
             kill -STOP $agent
             play 'create first; destroy first'
             for turn in 1 2 3; do
                 play \"create asleep$turn; alloc asleep$turn 5000; call asleep$turn 5000; barrier; destroy asleep$turn\"; done
             sleep 10
             kill -CONT $agent
             reaches krcu_lost_events_total{reason=\\\"ring_full\\\"} 1
             reaches krcu_verdicts{verdict=\\\"inconclusive\\\"} 1
             say asleep decided $(decided) flagged $(metric krcu_verdicts_flagged)
             until [ \"$(metric 'krcu_verdicts{verdict=\"clean\"}')\" -ge 1 ]; do
                 play 'create awake; alloc awake 100; call awake 100; barrier; destroy awake'; usleep 1000000; done
             say awake flagged $(metric krcu_verdicts_flagged)
             stop"
        ),
        &[quiet(
            BOTH,
            &[
                step("asleep", &[("decided", Want::Number(0)), ("flagged", Want::Number(0))]),
                step("awake", &[("flagged", Want::Number(0))]),
                STOPPED,
            ],
        )],
    ),
    // More happens than it can read, and goes on while it is told to stop: it ends by itself, within its time, and the trace
    // has its end. Under such a load the kernel takes seconds to detach, and on a busy computer minutes.
    scenario(
        "agent_loaded",
        &["krcu_play"],
        live!(
            "start --record /tmp/loaded --set probes.ring_bytes=64K --set stop.deadline=3m 2>/tmp/loaded.log
             play 'create loaded'
             while [ ! -e /tmp/enough ]; do play 'alloc loaded 5000; call loaded 5000' || exit 97; done & load=$!
             reaches krcu_lost_events_total{reason=\\\"ring_full\\\"} 1
             stop
             kill -0 $load; say load ended $?
             touch /tmp/enough; wait $load; say load ended $?
             play 'barrier; destroy loaded'
             cat /tmp/loaded.log >&2
             say log ended $(grep -c 'nothing is attached' /tmp/loaded.log) late $(grep -c 'took longer' /tmp/loaded.log)
             command krcu replay --format json /tmp/loaded/krcu-000001.krcu >/tmp/replay
             say replay status $? incomplete $(grep -c '\"incomplete\":\"' /tmp/replay)"
        ),
        &[quiet(
            BOTH,
            &[
                STOPPED,
                step("load", &[("ended", Want::Number(0))]),
                step("load", &[("ended", Want::Number(0))]),
                step("log", &[("ended", Want::Number(1)), ("late", Want::Number(0))]),
                step("replay", &[("status", Want::Number(0)), ("incomplete", Want::Number(0))]),
            ],
        )],
    ),
    // A task that does not sleep holds up Tasks RCU, and so each detaching. The agent does not wait for it longer than half of
    // its time: the trace gets an end that says what is not known, everybody is told, and the kernel does the rest when it can.
    scenario(
        "agent_detach_hangs",
        &["krcu_play"],
        live!(
            "start --record /tmp/held --set stop.deadline=8s 2>/tmp/held.log
             play 'hold 15000'
             kill -TERM $agent
             until grep -q 'still attached' /tmp/held.log; do usleep 10000; done
             say held programs $(programs) trace $(grep -c 'the trace krcu-000001.krcu ends' /tmp/held.log)
             play 'release'
             wait $agent; status=$?
             cat /tmp/held.log >&2
             say ended status $status programs $(programs) files $(ls /run/krcu | wc -l) late $(grep -c 'took longer' /tmp/held.log)
             command krcu replay --format json /tmp/held/krcu-000001.krcu >/tmp/replay
             say replay status $? incomplete $(grep -c '\"incomplete\":\"cut-short\"' /tmp/replay)"
        ),
        &[quiet(
            BOTH,
            &[
                step("held", &[("programs", Want::AtLeast(10)), ("trace", Want::Number(1))]),
                step("ended", &[
                    ("status", Want::Number(0)),
                    ("programs", Want::Number(0)),
                    ("files", Want::Number(0)),
                    ("late", Want::Number(0)),
                ]),
                step("replay", &[("status", Want::Number(1)), ("incomplete", Want::Number(1))]),
            ],
        )],
    ),
    // The disk hangs, as a server's that is gone: the trace cannot be closed, and so the agent is not stopped when its time is
    // over. It ends all the same, and says so where that can be heard: the second time its log hangs as well.
    scenario(
        "agent_stop_hangs",
        &[],
        live!(
            "mkfifo /tmp/unread; exec 9<>/tmp/unread
             hang() { mkfifo /tmp/hung/krcu-00000$1.krcu/meta.json.new; }
             start --record /tmp/hung --set stop.deadline=1s 2>/tmp/hung.log
             hang 1; kill -TERM $agent; wait $agent; status=$?
             cat /tmp/hung.log >&2
             say late status $status programs $(programs) told $(grep -c 'stopping took longer than 1 s' /tmp/hung.log) \
                 ended $(grep -c 'nothing is attached' /tmp/hung.log)
             start --record /tmp/hung --set stop.deadline=1s 2>/tmp/unread
             hang 2; yes >/tmp/unread & filler=$!
             until grep -q pipe /proc/$filler/wchan; do usleep 10000; done
             kill -TERM $agent; wait $agent
             say mute status $? programs $(programs); agent=; kill $filler"
        ),
        &[quiet(
            BOTH,
            &[
                step("late", &[
                    ("status", Want::Number(1)),
                    ("programs", Want::Number(0)),
                    ("told", Want::Number(1)),
                    ("ended", Want::Number(0)),
                ]),
                step("mute", &[("status", Want::Number(1)), ("programs", Want::Number(0))]),
            ],
        )],
    ),
    // Nobody reads what it logs: lines are dropped and counted, and everything else goes on, its end too. What it has to log is
    // a wrong key of three thousand characters, each time that it is asked to read its configuration again.
    scenario(
        "agent_log_stalls",
        &["krcu_play"],
        live!(
            "mkfifo /tmp/unread; exec 9<>/tmp/unread; : >/tmp/agent.toml
             start --config /tmp/agent.toml 2>/tmp/unread
             head -c 3000 /dev/zero | tr '\\0' x >/tmp/agent.toml; echo ' = 1' >>/tmp/agent.toml
             until [ \"$(metric 'krcu_sink_dropped_total{sink=\"log\"}')\" -ge 1 ]; do
                 for turn in $(seq 200); do kill -HUP $agent; usleep 1000; done; done
             play 'create heard; alloc heard 10; call heard 10; barrier; destroy heard'
             reaches krcu_verdicts{verdict=\\\"clean\\\"} 1
             say stalled clean $(metric 'krcu_verdicts{verdict=\"clean\"}') well $(fetch healthz | grep -c '^ok')
             stop"
        ),
        &[quiet(
            BOTH,
            &[step("stalled", &[("clean", Want::Number(1)), ("well", Want::Number(1))]), STOPPED],
        )],
    ),
    // Connections that say nothing have their places for ten seconds, or until one more comes: it is answered at once, in
    // the place of the oldest. What is not GET of the two paths, or asks for another host, is refused.
    // How long the programs run is told while the kernel measures it,
    // without any privilege.
    scenario(
        "agent_metrics",
        &[],
        live!(
            "start --set metrics.connections=4
             mkfifo /tmp/silence; exec 9<>/tmp/silence
             silent() { nc 127.0.0.1 9747 </tmp/silence >/dev/null & }
             silents() { until [ $(awk '$2 ~ /:2613$/ && $4 == \"01\"' /proc/net/tcp | wc -l) -ge $1 ]; do usleep 10000; done; }
             answer() { nc 127.0.0.1 9747 2>/dev/null | head -n1 | cut -d' ' -f2; }
             silent; silent; silent; silents 3
             say silent three $(fetch healthz | grep -c '^ok')
             silent; silents 4
             say silent four $(fetch healthz | grep -c '^ok')
             reaches krcu_requests_total{outcome=\\\"displaced\\\"} 1
             reaches krcu_requests_total{outcome=\\\"broken\\\"} 3
             say answers text $(printf 'nothing of the kind\\r\\n\\r\\n' | answer) \
                 other $(printf 'GET /etc/passwd HTTP/1.1\\r\\nHost: localhost\\r\\n\\r\\n' | answer) \
                 post $(printf 'POST /metrics HTTP/1.1\\r\\nHost: krcu-vm\\r\\n\\r\\n' | answer) \
                 foreign $(printf 'GET /metrics HTTP/1.1\\r\\nHost: evil.example\\r\\n\\r\\n' | answer)
             head -c 65536 /dev/urandom | answer >/dev/null
             say unmeasured programs $(fetch metrics | grep -c '^krcu_probe_run_time')
             echo 1 >/proc/sys/kernel/bpf_stats_enabled
             until [ $(fetch metrics | grep -c '^krcu_probe_run_time') -ge 10 ]; do usleep 400000; done
             echo 0 >/proc/sys/kernel/bpf_stats_enabled
             say after refused $(metric 'krcu_requests_total{outcome=\"refused\"}') well $(fetch healthz | grep -c '^ok')
             stop"
        ),
        &[quiet(
            BOTH,
            &[
                step("silent", &[("three", Want::Number(1))]),
                step("silent", &[("four", Want::Number(1))]),
                step("answers", &[
                    ("text", Want::Number(400)),
                    ("other", Want::Number(404)),
                    ("post", Want::Number(405)),
                    ("foreign", Want::Number(421)),
                ]),
                step("unmeasured", &[("programs", Want::Number(0))]),
                step("after", &[("refused", Want::Number(3)), ("well", Want::Number(1))]),
                STOPPED,
            ],
        )],
    ),
    // Hundreds of tasks each destroy an alias, which only drops a reference, and end. No entry of the probes' table stays: the
    // agent counts the entries every ten seconds, and this goes on for longer.
    scenario(
        "agent_tables_end",
        &["krcu_play"],
        live!(
            "start
             play 'create a merge'; most=0; done=0; up() { cut -d. -f1 /proc/uptime; }; began=$(up)
             some=; for n in $(seq 50); do some=\"$some create b merge; bg: destroy b; join;\"; done
             until [ $done -ge 300 ] && [ $(($(up) - began)) -ge 12 ]; do
                 play \"$some\"; done=$((done + 50))
                 now=$(metric 'krcu_map_entries{map=\"destroying\"}'); [ ${now:-0} -le $most ] || most=$now
             done
             reaches krcu_verdicts{verdict=\\\"alias\\\"} $done
             say filled stay $((most > 2)) more $(($(metric 'krcu_verdicts{verdict=\"alias\"}') - done)) \
                 room $(metric 'krcu_map_size{map=\"destroying\"}') \
                 full $(metric 'krcu_lost_events_total{reason=\"map_full\"}')
             play 'create late; destroy late'
             reaches krcu_verdicts{verdict=\\\"clean\\\"} 1
             stop"
        ),
        &[quiet(
            BOTH,
            &[
                step("filled", &[
                    ("stay", Want::Number(0)),
                    ("more", Want::Number(0)),
                    ("room", Want::Number(8192)),
                    ("full", Want::Number(0)),
                ]),
                STOPPED,
            ],
        )],
    ),
    // The clock of the day goes a day ahead while a module is loaded, and two days back after that: nothing is counted by it.
    scenario(
        "agent_clock_steps",
        &["krcu_pending"],
        live!(
            "start --record /tmp/clock
             step() { date -s @$(($(date +%s) + $1)) >/dev/null; }
             insmod /modules/krcu_pending.ko; step 86400; rmmod krcu_pending; step -172800
             until [ \"$(decided)\" -ge 1 ]; do usleep 400000; done
             say stepped pending $(metric 'krcu_verdicts{verdict=\"pending\"}') waited $(metric 'krcu_verdicts{verdict=\"waited\"}') \
                 well $(fetch healthz | grep -c '^ok')
             stop; step 86400
             say recorded traces $(ls /tmp/clock | wc -l)
             command krcu replay --format json /tmp/clock/krcu-000001.krcu >/tmp/replay; say replay status $?"
        ),
        &[
            Expectation {
                status: 0,
                ..reported(
                    NO_WAIT,
                    &[
                        step(
                            "stepped",
                            &[("pending", Want::Number(1)), ("waited", Want::Number(0)), ("well", Want::Number(1))],
                        ),
                        STOPPED,
                        step("recorded", &[("traces", Want::Number(1))]),
                        step("replay", &[("status", Want::Number(10))]),
                    ],
                )
            },
            quiet(
                LATER,
                &[
                    step(
                        "stepped",
                        &[("pending", Want::Number(0)), ("waited", Want::Number(1)), ("well", Want::Number(1))],
                    ),
                    STOPPED,
                    step("recorded", &[("traces", Want::Number(1))]),
                    step("replay", &[("status", Want::Number(0))]),
                ],
            ),
        ],
    ),
];
