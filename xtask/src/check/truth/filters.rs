//! Netfilter's modules, used by iptables: counted and tracked connections, where caches are merged and where they are not.
//!
//! Expectations follow from the modules' sources, as in `real` and `used`. Which caches are merged is what /sys/kernel/slab has
//! as links to one name on a default boot of these kernels.

use super::real::{AT_ONCE, BESIDE, NETFILTER, apart, callbacks, queued, strictly_flagged};
use super::used::PLAYED;
use super::{Field, NO_RCU_BARRIER, ordering};
use crate::check::scenarios::{Act, Line, NO_WAIT, SHEAVES, Scenario, Want, quiet, verdict, word};

/// Sixty-four destinations have a count each, in one of 256 trees, until their connections time out. Sixty-four others are
/// counted then.
const CONNLIMIT: &str = "
    modprobe nft_compat; modprobe nf_conntrack; modprobe xt_connlimit
    echo 1 >/proc/sys/net/netfilter/nf_conntrack_udp_timeout
    iptables -A OUTPUT -p udp -m connlimit --connlimit-above 9 --connlimit-daddr -j DROP
    perl -e 'socket(S, 2, 2, 17); for $n (1, 2) {
        for (1..64) { send(S, \"x\", 0, pack(\"S n C4 x8\", 2, 9, 127, 0, $n, $_)) } sleep 3 }'
    iptables -F; iptables -X
    until rmmod xt_connlimit 2>/dev/null; do usleep 10000; done
    usleep 1000000
    play flush
    rmmod nf_conncount
    for name in nft_compat nf_tables nf_conntrack; do until rmmod $name 2>/dev/null; do usleep 10000; done; done";

/// A scenario on a default boot, under `--strict`.
const fn merged(scenario: &Scenario, text: &'static str) -> Scenario {
    Scenario { act: Act::Watched { before: "", options: "--strict", text }, append: "", ..*scenario }
}

/// The cache of tuples, of 72 bytes, is a reference to an older one.
const TUPLES: Line = verdict("vmap_area", TUPLES_ALIAS);
const TUPLES_ALIAS: &[Field] = &[word("alias"), ("aliases", Want::Has("nf_conncount_tuple"))];
/// So is that of counts, of 96 bytes. What was counted has callbacks all the same, with heads in what is now the kernel's cache.
const COUNTS: Line = verdict(
    "trace_event_file",
    &[word("alias"), ("aliases", Want::Has("nf_conncount_rb")), ("callbacks_ever", Want::AtLeast(1))],
);
/// The module's text has callbacks that nothing orders before it goes.
const TEXT: Line = verdict(
    "",
    &[
        word("unordered"),
        ("module", Want::Text("nf_conncount")),
        ("callbacks_ever", Want::AtLeast(1)),
        ("/callbacks/0/function", Want::Has("__tree_nodes_free")),
    ],
);
const TEXT_ORDERED: Line = verdict(
    "",
    &[
        word("clean"),
        ("module", Want::Text("nf_conncount")),
        ordering("ordered"),
        ("callbacks_ever", Want::AtLeast(1)),
    ],
);
/// nf_tables frees the old rules of a chain by call_rcu(), and nf_tables_module_exit() calls rcu_barrier().
const TABLES: Line = verdict("", &[word("clean"), ("module", Want::Text("nf_tables")), ordering("ordered")]);

/// What is the same in both boots.
const HASHLIMIT: Line =
    verdict("xt_hashlimit", &[word("clean"), ordering("ordered"), callbacks(5), queued(0)]);
const CONNTRACK: Line = verdict("nf_conntrack", AT_ONCE);

/// The scenarios.
pub(super) const SCENARIOS: &[Scenario] = &[
    Scenario {
        modules: PLAYED,
        ..apart(
            "connlimit",
            "A count whose connections have ended is freed as another of the same tree is made: tree_nodes_free() hands it to \
             call_rcu(__tree_nodes_free) (nf_conncount.c). Up to 6.18, nf_conncount_modexit() destroys the cache and calls no \
             rcu_barrier(), and both the object and the text of its callback go. In 7.3 it calls rcu_barrier(). A tuple is freed at \
             once. That the callbacks before free none is not seen, so up to 6.18 its cache is open.",
            &["nft_compat", "nf_conntrack", "xt_connlimit"],
            CONNLIMIT,
            &[
                strictly_flagged(
                    NO_RCU_BARRIER,
                    &[
                        verdict(
                            "nf_conncount_tuple",
                            &[
                                word("inconclusive"),
                                callbacks(0),
                                queued(0),
                                ("/reasons/0", Want::Text("heads-elsewhere")),
                                ("/callbacks/0/function", Want::Has("__tree_nodes_free")),
                            ],
                        ),
                        verdict(
                            "nf_conncount_rb",
                            &[
                                word("unordered"),
                                ordering("unordered"),
                                ("callbacks_ever", Want::AtLeast(1)),
                                queued(0),
                                ("/callbacks/0/function", Want::Has("__tree_nodes_free")),
                            ],
                        ),
                    ],
                ),
                quiet(
                    SHEAVES,
                    &[
                        verdict("nf_conncount_tuple", BESIDE),
                        verdict(
                            "nf_conncount_rb",
                            &[
                                word("clean"),
                                ordering("ordered"),
                                ("callbacks_ever", Want::AtLeast(1)),
                                queued(0),
                            ],
                        ),
                    ],
                ),
            ],
        )
    },
    merged(
        &Scenario {
            modules: PLAYED,
            ..apart(
                "connlimit_merged",
                "Without slab_nomerge, nf_conncount_rb is a reference to trace_event_file, and nf_conncount_tuple to a cache of 72 bytes. \
                 Destroying them drops the references. The callbacks are the module's all the same: their text goes, and up to 6.18 \
                 nothing in the teardown waits for them.",
                &["nft_compat", "nf_conntrack", "xt_connlimit"],
                CONNLIMIT,
                &[
                    strictly_flagged(NO_WAIT, &[verdict("Acpi-Operand", TUPLES_ALIAS), COUNTS, TEXT, TABLES]),
                    strictly_flagged(&["6.12", "6.18"], &[TUPLES, COUNTS, TEXT, TABLES]),
                    quiet(SHEAVES, &[TUPLES, COUNTS, TEXT_ORDERED, TABLES]),
                ],
            )
        },
        CONNLIMIT,
    ),
    Scenario {
        act: Act::Watched { before: "", options: "", text: NETFILTER },
        ..merged(
            &apart(
                "netfilter_merged",
                "Without slab_nomerge, nf_conntrack_expect is a reference to ip4-frags on 6.1 and 6.12. No other cache has the size of \
             xt_hashlimit, and nf_conntrack has SLAB_TYPESAFE_BY_RCU, which is never merged. It is not run strictly: of hundreds of calls \
             6.1 misses one in most runs, and a missed call leaves the order of the modules' text open.",
                &["nft_compat", "nf_conntrack", "xt_hashlimit", "xt_conntrack"],
                NETFILTER,
                &[
                    quiet(
                        &["6.1", "6.12"],
                        &[
                            HASHLIMIT,
                            CONNTRACK,
                            verdict(
                                "ip4-frags",
                                &[word("alias"), ("aliases", Want::Has("nf_conntrack_expect"))],
                            ),
                        ],
                    ),
                    quiet(&["6.18", "7.x"], &[HASHLIMIT, CONNTRACK, verdict("nf_conntrack_expect", AT_ONCE)]),
                ],
            ),
            NETFILTER,
        )
    },
];
