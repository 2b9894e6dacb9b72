//! What a person sees: the agent started, `krcu tui` attached to it in a real pseudo-terminal, objects queued and their
//! cache destroyed. And what a farm sees: a prometheus that scrapes the agent.
//!
//! A screen is waited for, never a time. What must be on it is what the script itself says: the module queues 300 and then
//! 400 objects while a reader holds the grace period up, so that 700 are outstanding when it destroys their cache. The
//! whole screens are compared as well, by `crate::check::screens`.

use super::{Act, Expectation, Line, NO_WAIT, Scenario, Want, quiet, reported, scenario, step};

/// What scenarios say, put before each text.
macro_rules! watched {
    ($text:expr) => {
        Act::Shell(concat!(
            "fetch() { wget -q -O- http://127.0.0.1:9747/$1 2>/dev/null; }
             say() { name=$1; shift; line=\"\\\"cache\\\":\\\"$name\\\"\"
                 while [ $# -gt 0 ]; do line=\"$line,\\\"$1\\\":$2\"; shift 2; done; echo \"{\\\"kind\\\":\\\"step\\\",$line}\"; }
             command krcu agent >&2 & agent=$!
             until fetch healthz >/dev/null; do kill -0 $agent || exit 98; usleep 400000; done
             ",
            $text,
            "
             kill -TERM $agent; wait $agent; say stopped status $?"
        ))
    };
}

/// The agent has stopped as it should.
const STOPPED: Line = step("stopped", &[("status", Want::Number(0))]);

/// Kernels whose destroy waits and on which these scenarios run.
const WAITS: &[&str] = &["6.12"];

/// A person's own words for the terminal: `shows` waits until a line is like this, `capture` keeps the screen.
macro_rules! seen {
    ($text:expr) => {
        watched!(concat!(
            "export LC_ALL=C.UTF-8; mkdir -p /dev/pts; mount -t devpts devpts /dev/pts
             screen() { tmux capture-pane -p -t krcu; }
             shows() { until screen | grep -qE \"$1\"; do kill -0 $agent || exit 97; usleep 200000; done; }
             capture() { screen >/out/terminal-$1.screen; }
             press() { tmux send-keys -t krcu \"$@\"; }
             tmux new-session -d -s krcu -x 80 -y 24 'krcu tui; echo tui ended with status $?; exec sleep 1000'
             ",
            $text
        ))
    };
}

/// Every scenario.
pub(crate) const SCENARIOS: &[Scenario] = &[
    // Whole screens are compared: nobody else has queued or destroyed anything in this machine.
    Scenario {
        alone: true,
        ..scenario(
            "terminal",
            &["krcu_play"],
            seen!(
                "shows 'attached .* ago'; shows 'no slab cache was destroyed yet'
                     play 'create a; alloc a 700; hold 15000; queue a 300'
                     shows '^ outstanding +300 '; shows '^ *a +300 +[^ ]+ [^ ]+ +· +·'; capture growing
                     press 2; shows '^ *a +300 '; say few outstanding 300
                     play 'queue a 400'; shows '^ *a +700 '; say many outstanding 700
                     shows '^ *a +700 +[^ ]+ [^ ]+ +· +·'; capture caches
                     play 'bg: destroy a'
                     press 3; shows 'kmem_cache_destroy'
                     case $(uname -r) in
                         6.1.*) capture destroy ;;
                         *) shows 'why +700 of a, 87 KiB in all'; shows 'grace periods +one' ;;
                     esac
                     play 'release; join; drain'
                     tmux resize-window -t krcu -x 200 -y 50
                     press 4; shows 'destroyed by'
                     for word in PENDING waited; do say $word shown $(screen | grep -cE \"$word +a +[^o]\"); done
                     press Enter; until ! screen | grep -q '│'; do usleep 200000; done; capture evidence
                     press 1; press '?'; shows 'everywhere'; capture help
                     press Escape; press q; shows 'tui ended with status 0'; say quit status 0
                     tmux kill-server"
            ),
            &[
                quiet(
                    WAITS,
                    &[
                        step("few", &[("outstanding", Want::Number(300))]),
                        step("many", &[("outstanding", Want::Number(700))]),
                        step("PENDING", &[("shown", Want::Number(0))]),
                        step("waited", &[("shown", Want::Number(1))]),
                        step("quit", &[("status", Want::Number(0))]),
                        STOPPED,
                    ],
                ),
                Expectation {
                    status: 0,
                    ..reported(
                        NO_WAIT,
                        &[
                            step("few", &[("outstanding", Want::Number(300))]),
                            step("many", &[("outstanding", Want::Number(700))]),
                            step("PENDING", &[("shown", Want::Number(1))]),
                            step("waited", &[("shown", Want::Number(0))]),
                            step("quit", &[("status", Want::Number(0))]),
                            STOPPED,
                        ],
                    )
                },
            ],
        )
    },
    // The farm's prometheus finds the agent, and what it tells of a module's exit is what its source implies.
    Scenario {
        alone: true,
        ..scenario(
            "agent_prometheus",
            &["krcu_pending"],
            watched!(
                "mkdir /tmp/prometheus; cd /tmp/prometheus
                 echo '{\"global\":{\"scrape_interval\":\"1s\"},\"scrape_configs\":[{\"job_name\":\"krcu\",\"static_configs\":[{\"targets\":[\"127.0.0.1:9747\"]}]}]}' >config
                 prometheus --config.file=config --storage.tsdb.path=data --web.listen-address=127.0.0.1:9090 --log.level=warn >&2 & farm=$!
                 asks() { wget -q -O- \"http://127.0.0.1:9090/api/v1/query?query=$1\" 2>/dev/null | sed -n 's/.*\\\"value\\\":\\[[^,]*,\\\"\\([^\\\"]*\\)\\\".*/\\1/p'; }
                 until [ \"$(asks up)\" = 1 ]; do kill -0 $farm || exit 97; usleep 200000; done; say scraped up 1
                 insmod /modules/krcu_pending.ko; rmmod krcu_pending
                 until [ \"$(asks 'sum(krcu_verdicts)')\" = 1 ]; do kill -0 $farm || exit 97; usleep 200000; done
                 say told queued $(asks 'krcu_events_total{word=\"queue\"}') waited $(asks 'krcu_verdicts{verdict=\"waited\"}') flagged $(asks krcu_verdicts_flagged)
                 fetch metrics >/out/agent_prometheus.metrics
                 kill -TERM $farm; wait $farm"
            ),
            &[quiet(
                WAITS,
                &[
                    step("scraped", &[("up", Want::Number(1))]),
                    step("told", &[
                        ("queued", Want::AtLeast(777)),
                        ("waited", Want::Number(1)),
                        ("flagged", Want::Number(0)),
                    ]),
                    STOPPED,
                ],
            )],
        )
    },
];
