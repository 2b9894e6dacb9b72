//! krcu in surroundings that it does not choose: inside its own walls, beside another krcu, in a container, under lockdown,
//! on a host that sleeps or has a thousand modules. Each says what krcu must say there.

use super::live::{STOPPED, live};
use super::{
    Act, Expectation, NO_WAIT, Scenario, Want, quiet, reported, scenario, step, summary, verdict, word,
};

/// Where the destroy does not wait, and where it does.
const BOTH: &[&str] = &["6.1", "6.12"];
/// Where it waits.
const LATER: &[&str] = &["6.12"];

/// A scenario that leaves its machine in a state that others would notice.
const fn alone(
    name: &'static str,
    modules: &'static [&'static str],
    act: Act,
    expectations: &'static [Expectation],
) -> Scenario {
    Scenario { alone: true, ..scenario(name, modules, act, expectations) }
}

/// Scenarios that take a machine long.
const LONG: [&str; 3] = ["host_sleeps", "locked_down", "thousand_modules"];
/// The kernel on which an ordinary run plays the others.
const ORDINARY: &str = "6.12";

/// The names of all of them.
pub(crate) fn names() -> Vec<String> {
    SCENARIOS.iter().map(|scenario| scenario.name.to_owned()).collect()
}

/// Whether an ordinary run leaves this scenario out on a kernel: what surrounds krcu is the same on every kernel. `cargo xtask
/// test --surroundings` plays them all.
pub(crate) fn is_left_out(scenario: &Scenario, series: &str) -> bool {
    let is_one = SCENARIOS.iter().any(|one| one.name == scenario.name);
    is_one && (series != ORDINARY || LONG.contains(&scenario.name))
}

/// Every scenario.
pub(crate) const SCENARIOS: &[Scenario] = &[
    // Once attached, the agent has no capability, no file but its own, and the system calls of its list. The configuration is
    // replaced by a link to a file of root's that is elsewhere: the agent's user is root, and Landlock refuses it.
    scenario(
        "agent_confined",
        &["krcu_pending"],
        live!(
            "mkdir /tmp/own /tmp/elsewhere; : >/tmp/own/agent.toml; echo '[log]' >/tmp/elsewhere/secret
             start --config /tmp/own/agent.toml --record /tmp/confined 2>/tmp/confined.log
             status() { cat /proc/$agent/task/*/status; }
             is_up() { metric \"krcu_confined{what=\\\"$1\\\"}\"; }
             say threads all $(status | grep -c '^Name:') \
                 unfiltered $(status | grep '^Seccomp:' | grep -vc '2$') \
                 renewed $(status | grep '^NoNewPrivs:' | grep -vc '1$') \
                 capabilities $(is_up capabilities) folders $(is_up folders) calls $(is_up system_calls)
             ln -sf /tmp/elsewhere/secret /tmp/own/agent.toml; kill -HUP $agent
             until grep -q 'stays as it was' /tmp/confined.log; do usleep 10000; done
             say elsewhere refused $(grep -c '/tmp/own/agent.toml: Permission denied' /tmp/confined.log)
             rm /tmp/own/agent.toml; echo '[log]' >/tmp/own/agent.toml; kill -HUP $agent
             until grep -q 'was read again' /tmp/confined.log; do usleep 10000; done
             insmod /modules/krcu_pending.ko; rmmod krcu_pending
             reaches krcu_events_total{word=\\\"free\\\"} 777
             stop; cat /tmp/confined.log >&2
             command krcu replay --format json /tmp/confined/krcu-000001.krcu >/tmp/replay
             say replay events $(grep -c '\"cache\":\"krcu_pending\"' /tmp/replay) incomplete $(grep -c '\"incomplete\":\"' /tmp/replay)"
        ),
        &[
            Expectation { status: 0, ..reported(NO_WAIT, CONFINED) },
            quiet(LATER, CONFINED),
        ],
    ),
    // The filter is set when the command runs. The command has none: it could not do its work.
    scenario(
        "check_confined",
        &[],
        Act::Shell(
            "cat >/tmp/confined.sh <<'END'
filter() { awk '/^Seccomp:/ { print $2 }' /proc/$1/status; }
until [ \"$(filter $PPID)\" = 2 ]; do :; done
echo \"{\\\"kind\\\":\\\"step\\\",\\\"cache\\\":\\\"command\\\",\\\"filter\\\":$(filter self),\\\"renewed\\\":$(awk '/^NoNewPrivs/ { print $2 }' /proc/self/status)}\"
END
             command krcu check --format json -o /tmp/confined.krcu --anonymise -- sh /tmp/confined.sh; status=$?
             printf '{\"kind\":\"step\",\"cache\":\"trace\",\"files\":%d}\\n' $(ls /tmp/confined.krcu | wc -l)
             exit $status",
        ),
        &[quiet(
            BOTH,
            &[
                step("command", &[("filter", Want::Number(0)), ("renewed", Want::Number(0))]),
                step("trace", &[("files", Want::AtLeast(2))]),
                summary(&[("flagged", Want::Number(0))]),
            ],
        )],
    ),
    // The process that ships has no capability, and does nothing before the run is over. Behind sudo it is the user's, and so is
    // the trace, and its fleet has to be the user's too. Whether the trace is shipped does not change the status.
    scenario(
        "check_ships",
        &["krcu_pending"],
        Act::Shell(
            "cat >/tmp/shipped.sh <<'END'
pid=$(pidof krcu-ship)
field() { awk -v f=\"$1:\" '$1 == f { print $2 }' /proc/$pid/status; }
printf '{\"kind\":\"step\",\"cache\":\"waits\",\"user\":%d,\"group\":%d,\"renewed\":%d,\"capable\":%d,\"there\":%d}\\n' \
    $(field Uid) $(field Gid) $(field NoNewPrivs) $(grep -E '^Cap(Eff|Prm|Inh|Amb)' /proc/$pid/status | grep -vc 0000000000000000) \
    $(ls /tmp/$1 | wc -l)
insmod /modules/krcu_pending.ko; rmmod krcu_pending
END
             mkdir /tmp/roots /tmp/users; chown 1000:1000 /tmp/users
             ships() { command krcu check --format json -o /tmp/$1.krcu --ship /tmp/$2 -- sh /tmp/shipped.sh $2 2>/tmp/said; status=$?
                 cat /tmp/said >&2
                 printf '{\"kind\":\"step\",\"cache\":\"shipped\",\"status\":%d,\"there\":%d,\"owner\":%d,\"told\":%d,\"again\":%d}\\n' \
                     $status $(ls -d /tmp/$2/traces/day=*/host=*/boot=*/*.krcu/DONE | wc -l) $(stat -c %u /tmp/$1.krcu/meta.json) \
                     $(grep -c 'shipped 1 traces' /tmp/said) $(grep -c 'krcu ship /tmp/three.krcu --to /tmp/roots. tries again' /tmp/said); }
             ships one roots
             export SUDO_UID=1000 SUDO_GID=1000
             ships two users
             ships three roots
             command krcu check -o /tmp/four.krcu --ship /tmp/absent -- touch /tmp/ran 2>/tmp/said; status=$?
             cat /tmp/said >&2
             printf '{\"kind\":\"step\",\"cache\":\"absent\",\"status\":%d,\"ran\":%d,\"told\":%d}\\n' $status $(ls -d /tmp/ran /tmp/four.krcu | wc -l) \
                 $(grep -c 'cannot ship to /tmp/absent' /tmp/said)",
        ),
        &[quiet(LATER, SHIPPED)],
    ),
    // Two agents and a check see the same destroy, each with probes of its own; nobody's counters have another's events.
    scenario(
        "two_agents_and_a_check",
        &["krcu_pending"],
        live!(
            "start; alone=$(programs)
             command krcu agent >/tmp/said 2>&1; status=$?; cat /tmp/said >&2
             say same status $status told $(grep -c 'another agent answers at /run/krcu/krcu.sock' /tmp/said)
             mkdir /tmp/two
             command krcu agent --socket /tmp/two/krcu.sock --metrics 127.0.0.1:9748 >&2 & second=$!
             other() { wget -q -O- http://127.0.0.1:9748/metrics | awk -v m=\"$1\" '$1 == m { print int($2) }'; }
             until wget -q -O- http://127.0.0.1:9748/healthz >/dev/null 2>&1; do kill -0 $second || exit 98; usleep 400000; done
             say both more $(($(programs) - 2 * alone))
             command krcu check --format json -- sh -c 'insmod /modules/krcu_pending.ko; rmmod krcu_pending' >/tmp/check; status=$?
             cat /tmp/check
             for word in pending waited; do
                 checked=$(grep -c \"\\\"verdict\\\":\\\"$word\\\"\" /tmp/check)
                 m=\"krcu_verdicts{verdict=\\\"$word\\\"}\"
                 until [ \"$(metric $m)\" = $checked ] && [ \"$(other $m)\" = $checked ]; do usleep 400000; done
                 say $word first $(metric $m) second $(other $m)
             done
             kill -TERM $second; wait $second
             say second status $? left $(($(programs) - alone))
             stop; exit $status"
        ),
        &[
            reported(
                NO_WAIT,
                &[
                    SAME_PLACE,
                    step("both", &[("more", Want::Number(0))]),
                    verdict("krcu_pending", &[word("pending"), ("queued_by_kfree_rcu", Want::Truth("outstanding"))]),
                    step("pending", &[("first", Want::Number(1)), ("second", Want::Number(1))]),
                    step("waited", &[("first", Want::Number(0)), ("second", Want::Number(0))]),
                    step("second", &[("status", Want::Number(0)), ("left", Want::Number(0))]),
                    STOPPED,
                ],
            ),
            quiet(
                LATER,
                &[
                    SAME_PLACE,
                    step("both", &[("more", Want::Number(0))]),
                    verdict("krcu_pending", &[word("waited"), ("queued_ever", Want::Truth("queued"))]),
                    step("pending", &[("first", Want::Number(0)), ("second", Want::Number(0))]),
                    step("waited", &[("first", Want::Number(1)), ("second", Want::Number(1))]),
                    step("second", &[("status", Want::Number(0)), ("left", Want::Number(0))]),
                    STOPPED,
                ],
            ),
        ],
    ),
    // A container of a test farm: process, mount, host and network namespaces of its own, and the host's kernel. The verdict
    // is the same. Numbers of processes are those of the host, since the probes see the host's. Without capabilities krcu says
    // which ones it lacks.
    scenario(
        "check_in_container",
        &["krcu_pending"],
        Act::Shell(
            "unshare -m -u -n -p -f sh -c 'mount -t proc proc /proc; \
                 krcu check --format json -- sh -c \"insmod /modules/krcu_pending.ko && rmmod krcu_pending\"'; status=$?
             said=$(unshare -m -p -f sh -c 'mount -t proc proc /proc; umount -l /sys; krcu check -- true' 2>&1 >/dev/null); bare=$?
             printf '{\"kind\":\"step\",\"cache\":\"bare\",\"status\":%d,\"lines\":%d,\"said\":\"%s\"}\\n' $bare \
                 $(printf '%s\\n' \"$said\" | wc -l) \"$(printf %s \"$said\" | tr -d '\"\\\\')\"
             exit $status",
        ),
        &[
            reported(
                NO_WAIT,
                &[
                    verdict(
                        "krcu_pending",
                        &[
                            word("pending"),
                            ("queued_by_kfree_rcu", Want::Truth("outstanding")),
                            ("/destroyed_by/comm", Want::Text("rmmod")),
                        ],
                    ),
                    NO_SYS,
                ],
            ),
            quiet(
                LATER,
                &[
                    verdict(
                        "krcu_pending",
                        &[word("waited"), ("waited_for_own", Want::Truth("outstanding")), ("/destroyed_by/comm", Want::Text("rmmod"))],
                    ),
                    NO_SYS,
                ],
            ),
        ],
    ),
    // Lockdown can be raised and not lowered. Integrity forbids no probe. Confidentiality forbids programs to read the kernel's
    // memory when they are loaded: an agent that is loaded already goes on, and a new krcu says why it cannot begin.
    alone(
        "locked_down",
        &["krcu_pending"],
        live!(
            "insmod /modules/krcu_pending.ko
             echo integrity >/sys/kernel/security/lockdown || exit 99
             start
             echo confidentiality >/sys/kernel/security/lockdown || exit 99
             rmmod krcu_pending
             until [ \"$(decided)\" -ge 1 ]; do usleep 400000; done
             say attached decided $(decided) inconclusive $(metric 'krcu_verdicts{verdict=\"inconclusive\"}')
             refused() { name=$1; shift; command krcu \"$@\" >/tmp/said 2>&1; status=$?; cat /tmp/said >&2
                 say $name status $status lines $(wc -l </tmp/said) told $(grep -c 'locked down (confidentiality)' /tmp/said); }
             refused check check -- true
             refused agent agent --socket /tmp/other.sock --metrics 127.0.0.1:9748
             stop"
        ),
        &[
            Expectation { status: 0, ..reported(NO_WAIT, LOCKED) },
            quiet(LATER, LOCKED),
        ],
    ),
    // The host sleeps between the queueing and the destroy. The clock of the events stands still meanwhile, and no event is
    // lost: the verdict is what it is without the sleep.
    alone(
        "host_sleeps",
        &["krcu_play"],
        Act::Shell(
            "krcu check --format json -- sh -c \"play 'create a; alloc a 20; call a 20'
                 echo deep >/sys/power/mem_sleep && echo +4 >/sys/class/rtc/rtc0/wakealarm && echo mem >/sys/power/state && echo slept >/tmp/slept
                 play 'barrier; destroy a'\"; status=$?
             printf '{\"kind\":\"step\",\"cache\":\"sleep\",\"slept\":%d}\\n' $(grep -c slept /tmp/slept)
             exit $status",
        ),
        &[quiet(
            BOTH,
            &[
                verdict("a", &[word("clean"), ("ordering", Want::Text("ordered")), ("callbacks_ever", Want::Number(20))]),
                summary(&[("/lost/ring_full", Want::Number(0)), ("/lost/probe_missed", Want::Number(0))]),
                step("sleep", &[("slept", Want::Number(1))]),
            ],
        )],
    ),
    // A thousand modules, each a copy of another name: attaching still works, the verdict is the same, nothing is lost, and the
    // idle agent is no bigger than it promises.
    alone(
        "thousand_modules",
        &["krcu_pending", "krcu_leak"],
        live!(
            "peer copies /modules/krcu_leak.ko krcu_leak 1000 1999 || exit 99
             say modules loaded $(lsmod | grep -c '^krcu_1')
             start
             insmod /modules/krcu_pending.ko; rmmod krcu_pending
             reaches krcu_events_total{word=\\\"free\\\"} 777
             until [ \"$(decided)\" -ge 1 ]; do usleep 400000; done
             say watched decided $(decided) lost $(metric 'krcu_lost_events_total{reason=\"ring_full\"}') \
                 larger $(awk '/^VmRSS:/ { print ($2 > 24576) }' /proc/$agent/status)
             stop"
        ),
        &[
            Expectation { status: 0, ..reported(NO_WAIT, THOUSAND) },
            quiet(LATER, THOUSAND),
        ],
    ),
    // The probes' own cost is told: the memory that the kernel keeps for them, and their time once the kernel measures it. The
    // ring is 4 MB, and the table of stacks has room for 4,096 stacks of a kilobyte.
    scenario(
        "own_cost",
        &[],
        live!(
            "start
             bytes=$(metric krcu_probe_memory_bytes)
             say memory bytes $bytes beyond $((bytes > 67108864))
             stop"
        ),
        &[quiet(
            BOTH,
            &[step("memory", &[("bytes", Want::AtLeast(6291456)), ("beyond", Want::Number(0))]), STOPPED],
        )],
    ),
];

const CONFINED: &[super::Line] = &[
    step(
        "threads",
        &[
            ("all", Want::AtLeast(2)),
            ("unfiltered", Want::Number(0)),
            ("renewed", Want::Number(0)),
            ("capabilities", Want::Number(1)),
            ("folders", Want::Number(1)),
            ("calls", Want::Number(1)),
        ],
    ),
    step("elsewhere", &[("refused", Want::Number(1))]),
    STOPPED,
    step("replay", &[("events", Want::AtLeast(1)), ("incomplete", Want::Number(0))]),
];

const SAME_PLACE: super::Line = step("same", &[("status", Want::Number(1)), ("told", Want::Number(1))]);

const NO_SYS: super::Line =
    step("bare", &[("status", Want::Number(1)), ("lines", Want::Number(1)), ("said", Want::Has("/sys"))]);

const LOCKED: &[super::Line] = &[
    step("attached", &[("decided", Want::Number(1)), ("inconclusive", Want::Number(0))]),
    step("check", &[("status", Want::Number(1)), ("lines", Want::Number(1)), ("told", Want::Number(1))]),
    step("agent", &[("status", Want::Number(1)), ("lines", Want::Number(1)), ("told", Want::Number(1))]),
    STOPPED,
];

const THOUSAND: &[super::Line] = &[
    step("modules", &[("loaded", Want::Number(1000))]),
    step("watched", &[("decided", Want::Number(1)), ("lost", Want::Number(0)), ("larger", Want::Number(0))]),
    STOPPED,
];

/// The process that waits, before each run is over.
macro_rules! waits {
    (user $user:literal, there $there:literal) => {
        step(
            "waits",
            &[
                ("user", Want::Number($user)),
                ("group", Want::Number($user)),
                ("renewed", Want::Number(1)),
                ("capable", Want::Number(0)),
                ("there", Want::Number($there)),
            ],
        )
    };
}

/// What came of it. A fleet has one trace at most: the third run's goes to the fleet of the first.
macro_rules! shipped {
    (owner $owner:literal, told $told:literal, again $again:literal) => {
        step(
            "shipped",
            &[
                ("status", Want::Number(0)),
                ("there", Want::Number(1)),
                ("owner", Want::Number($owner)),
                ("told", Want::Number($told)),
                ("again", Want::Number($again)),
            ],
        )
    };
}

/// The third fleet is root's, and the process is a user's.
const SHIPPED: &[super::Line] = &[
    waits!(user 0, there 0),
    waits!(user 1000, there 0),
    waits!(user 1000, there 1),
    shipped!(owner 0, told 1, again 0),
    shipped!(owner 1000, told 1, again 0),
    shipped!(owner 1000, told 0, again 1),
    step("absent", &[("status", Want::Number(1)), ("ran", Want::Number(0)), ("told", Want::Number(1))]),
];
