//! The kernel's own modules that own slab caches: each is used, then unloaded.
//!
//! Expectations follow from the modules' sources in Debian's `linux-source-6.1`, `-6.12` and `-7.3`. Caches
//! of the same size are merged unless `slab_nomerge` is set, and the destroy of a merged cache says nothing.

use super::{Field, NO_RCU_BARRIER, ordering, waited_for};
use crate::check::scenarios::{
    ALL, Act, Expectation, Line, MAY_BE_OPEN, OWNERS, SHEAVES, Scenario, WAITS, Want, quiet, step, summary,
    undecided, verdict, word,
};

/// Caches are not merged.
const APART: &str = "slab_nomerge";

/// A scenario in a machine whose caches are not merged. It uses `--strict`, so that an exit path that needs a
/// newer kernel is reported.
pub(super) const fn apart(
    name: &'static str,
    why: &'static str,
    in_tree: &'static [&'static str],
    text: &'static str,
    expectations: &'static [Expectation],
) -> Scenario {
    let act = Act::Watched { before: "", options: "--strict", text };
    Scenario {
        name,
        why,
        modules: &[],
        in_tree,
        act,
        append: APART,
        own_watch: "",
        open_if: MAY_BE_OPEN,
        alone: false,
        expectations,
    }
}

/// The number of callbacks of `call_rcu()` whose heads lay in objects of the cache, in its whole life.
pub(super) const fn callbacks(number: u64) -> Field {
    ("callbacks_ever", Want::Number(number))
}

/// The number of objects of the cache that were handed to `kfree_rcu()`, in its whole life.
pub(super) const fn queued(number: u64) -> Field {
    ("queued_ever", Want::Number(number))
}

/// Every object was freed at once, or there was none.
pub(super) const AT_ONCE: &[Field] = &[word("clean"), ordering("nothing-deferred"), callbacks(0), queued(0)];

/// The same, where a barrier covers callbacks of the module's that may have freed objects of it.
pub(super) const BESIDE: &[Field] = &[word("clean"), ordering("ordered"), callbacks(0), queued(0)];

/// As many modules as the package has were loaded and unloaded.
const SWEPT: Line = step("sweep", &[("tried", Want::AtLeast(80)), ("loaded", Want::AtLeast(80))]);

/// Like [`quiet`], but `--strict` counts a destroy that waited for `kfree_rcu()`.
pub(super) const fn strictly_flagged(series: &'static [&'static str], lines: &'static [Line]) -> Expectation {
    Expectation { status: 10, ..quiet(series, lines) }
}

/// The kernels whose bridge frees by `call_rcu()`, and the name of its cache there.
const BRIDGE_BY_CALLBACKS: [&str; 2] = ["6.1", "6.12"];
/// The kernels whose WireGuard frees by `call_rcu()`.
const WIREGUARD_BY_CALLBACKS: &[&str] = &["6.1", "6.12", "6.18"];

/// Two interfaces, one after the other, with six peers and twelve prefixes. Four peers of the first are
/// removed before it is deleted. The second is still there when the module goes.
const WIREGUARD: &str = "
    modprobe wireguard
    umask 077; wg genkey >/tmp/key
    for i in 0 1; do
        ip link add wg$i type wireguard
        wg set wg$i private-key /tmp/key listen-port $((51820 + i))
        ip address add 10.$i.0.1/16 dev wg$i
        ip link set wg$i up
        for p in 1 2 3 4 5 6; do
            wg genkey | wg pubkey >/tmp/peer$p
            wg set wg$i peer $(cat /tmp/peer$p) allowed-ips 10.$i.$p.0/24,fd00:$i:$p::/48
        done
        [ $i = 1 ] && continue
        for p in 1 2 3 4; do wg set wg$i peer $(cat /tmp/peer$p) remove; done
        ip link delete wg$i
    done
    rmmod wireguard";

/// Three peers, in a machine whose caches are merged.
const WIREGUARD_MERGED: &str = "
    modprobe wireguard
    ip link add wg0 type wireguard
    for p in 1 2 3; do
        peer=$(wg genkey | wg pubkey)
        wg set wg0 peer $peer allowed-ips 10.0.$p.0/24
        [ $p = 1 ] && wg set wg0 peer $peer remove
    done
    ip link delete wg0
    rmmod wireguard";

/// Two bridges learn ten stations each behind a port; one of the bridges is there when the module goes. A
/// station with another address announces each. The bridge itself says how many entries it had; it leaves out
/// its own addresses, at most two for each bridge.
const BRIDGE: &str = "
    modprobe bridge; modprobe veth
    echo 1 >/proc/sys/net/ipv4/conf/all/arp_notify
    learned() { hexdump -v -e '16/1 \"%02x\" \"\\n\"' /sys/class/net/br$1/brforward | grep -c ^020000000$1; }
    entries=0
    for b in 0 1; do
        ip link add br$b type bridge
        ip link add port$b type veth; ip link set veth0 name station$b
        brctl addif br$b port$b
        ip address add 10.9.$b.2/24 dev station$b
        for name in br port station; do ip link set $name$b up; done
        until [ $(cat /sys/class/net/port$b/brport/state) = 3 ]; do usleep 10000; done
        for s in 0 1 2 3 4 5 6 7 8 9; do ip link set station$b address 02:00:00:00:0$b:0$s; done
        until [ $(learned $b) = 10 ]; do usleep 10000; done
        size=$(wc -c </sys/class/net/br$b/brforward)
        entries=$((entries + size / 16))
        [ $b = 0 ] && ip link delete br0
    done
    name=net_bridge_fdb_entry; [ -d /sys/kernel/slab/bridge_fdb_cache ] && name=bridge_fdb_cache
    echo \"bridge: truth cache=$name listed=$entries all=$((entries + 4))\" >/dev/kmsg
    rmmod bridge";

/// A file system on a loop device: forty files, and the three inodes that each mount has.
const FAT: &str = "
    modprobe loop; modprobe nls_cp437; modprobe nls_ascii; modprobe vfat
    truncate -s 64M /tmp/disk && mkdosfs /tmp/disk
    mkdir -p /tmp/mount && mount -t vfat -o loop,codepage=437,iocharset=ascii /tmp/disk /tmp/mount
    n=0; while [ $n -lt 40 ]; do echo $n >/tmp/mount/file$n; n=$((n + 1)); done
    umount /tmp/mount
    rmmod vfat; rmmod fat; rm /tmp/disk";

/// One file of a lower layer is copied up, others are made in the upper one.
const OVERLAY: &str = "
    modprobe overlay
    mkdir -p /tmp/layers && mount -t tmpfs none /tmp/layers && cd /tmp/layers && mkdir lower upper work merged
    echo one >lower/one
    mount -t overlay -o lowerdir=lower,upperdir=upper,workdir=work none merged
    echo two >>merged/one
    n=0; while [ $n -lt 20 ]; do echo $n >merged/file$n; n=$((n + 1)); done
    umount merged; cd /; umount /tmp/layers
    rmmod overlay";

/// Five destinations have an entry each in a hash table, and one connection to each is tracked, until the
/// rules go. A worker destroys the rules and holds the module until it is done.
pub(super) const NETFILTER: &str = "
    modprobe nft_compat; modprobe nf_conntrack; modprobe xt_hashlimit; modprobe xt_conntrack
    iptables -A OUTPUT -p icmp -m hashlimit --hashlimit-name t --hashlimit-mode dstip --hashlimit-upto 1/hour --hashlimit-htable-expire 3600000 -j ACCEPT
    iptables -A OUTPUT -p icmp -m conntrack --ctstate INVALID -j ACCEPT
    for d in 1 2 3 4 5; do ping -c 1 -W 1 127.0.0.$d; done >&2
    iptables -F; iptables -X
    until rmmod xt_hashlimit 2>/dev/null; do usleep 10000; done
    for name in xt_conntrack nft_compat nf_tables; do until rmmod $name 2>/dev/null; do usleep 10000; done; done
    until rmmod nf_conntrack 2>/dev/null; do usleep 10000; done";

/// Each module is loaded, and unloaded again with every module that came with it, the newest first. The shell compares names
/// by itself: a program for each would take most of the time.
const SWEEP: &str = "
    names() { names=; while read name rest; do names=\"$names $name\"; done </proc/modules; }
    is_known() { case \"$known \" in *\" $1 \"*) true ;; *) false ;; esac; }
    names; known=\"$names\"
    tried=0; loaded=0; refused=; kept=
    for module in $(cat /scenarios/owners); do
        tried=$((tried + 1))
        if modprobe $module 2>/dev/null; then loaded=$((loaded + 1)); else refused=\"$refused $module\"; fi
        again=yes
        while [ $again ]; do
            again=; names
            for name in $names; do
                is_known $name || { rmmod $name 2>/dev/null && again=yes; }
            done
        done
        names
        for name in $names; do
            is_known $name || { kept=\"$kept $name\"; known=\"$known $name\"; }
        done
    done
    printf '{\"kind\":\"step\",\"cache\":\"sweep\",\"tried\":%d,\"loaded\":%d,\"refused\":\"%s\",\"kept\":\"%s\"}\\n' \\
        $tried $loaded \"${refused# }\" \"${kept# }\"";

/// The scenarios.
pub(super) const SCENARIOS: &[Scenario] = &[
    apart(
        "wireguard",
        "Six prefixes of one family are in a tree of eleven nodes (allowedips.c). Removing a peer frees its \
         node and the inner node above it in each family: 16 nodes for four peers. Deleting the interface \
         hands the root of each family to call_rcu(root_free_rcu), which frees everything below it. Up to \
         6.18, call_rcu(node_free_rcu) frees the 16 nodes too: that makes 16 + 2 heads, and 2 of the second \
         interface; wg_allowedips_slab_uninit() calls rcu_barrier(). 7.x frees the 16 by kfree_rcu(): they \
         lie in a sheaf of 60 that is not full. rcu_barrier() does not wait for this sheaf; the destroy \
         flushes it. A peer is freed by call_rcu(rcu_release): 12 in all, and wg_destruct() calls \
         rcu_barrier(). The rate limiter's cache lives as long as there are interfaces, and without \
         handshakes it has no entries.",
        &["wireguard"],
        WIREGUARD,
        &[
            quiet(
                WIREGUARD_BY_CALLBACKS,
                &[
                    verdict("ratelimiter_entry", BESIDE),
                    verdict("ratelimiter_entry", BESIDE),
                    verdict("wg_peer", &[word("clean"), ordering("ordered"), callbacks(12), queued(0)]),
                    verdict(
                        "allowedips_node",
                        &[word("clean"), ordering("ordered"), callbacks(20), queued(0)],
                    ),
                ],
            ),
            strictly_flagged(
                SHEAVES,
                &[
                    verdict("ratelimiter_entry", BESIDE),
                    verdict("ratelimiter_entry", BESIDE),
                    verdict("wg_peer", &[word("clean"), ordering("ordered"), callbacks(12), queued(0)]),
                    verdict(
                        "allowedips_node",
                        &[
                            word("waited"),
                            ordering("ordered"),
                            callbacks(4),
                            queued(16),
                            waited_for(16),
                            ("flagged", Want::Flag(false)),
                            ("flagged_strictly", Want::Flag(true)),
                        ],
                    ),
                ],
            ),
        ],
    ),
    Scenario {
        act: Act::Watched { before: "", options: "--strict", text: WIREGUARD_MERGED },
        append: "",
        ..apart(
            "wireguard_merged",
            "Without slab_nomerge, allowedips_node and ratelimiter_entry, of 72 bytes each, are merged into \
             the first cache of that size without SLAB_ACCOUNT: in /sys/kernel/slab they are links to \
             :0000072, which is Acpi-Operand on 6.1 and vmap_area since then. Destroying them drops a \
             reference. No other cache has the size of wg_peer: it is destroyed, after the callbacks of \
             three peers.",
            &["wireguard"],
            WIREGUARD_MERGED,
            &[
                quiet(
                    &["6.1"],
                    &[
                        verdict(
                            "Acpi-Operand",
                            &[word("alias"), ("aliases", Want::Has("ratelimiter_entry"))],
                        ),
                        verdict("wg_peer", &[word("clean"), ordering("ordered"), callbacks(3), queued(0)]),
                        verdict("Acpi-Operand", &[word("alias"), ("aliases", Want::Has("allowedips_node"))]),
                    ],
                ),
                quiet(
                    WAITS,
                    &[
                        verdict("vmap_area", &[word("alias"), ("aliases", Want::Has("ratelimiter_entry"))]),
                        verdict("wg_peer", &[word("clean"), ordering("ordered"), callbacks(3), queued(0)]),
                        verdict("vmap_area", &[word("alias"), ("aliases", Want::Has("allowedips_node"))]),
                    ],
                ),
            ],
        )
    },
    apart(
        "bridge",
        "Each learned station is an entry (br_fdb.c), and so is each address of a port or a bridge. On 6.1 \
         and 6.12 fdb_delete() frees entries by call_rcu(fdb_rcu_free), and br_deinit() calls rcu_barrier() \
         for that. On 6.18 and 7.x it frees them by kfree_rcu(). On 6.18 the entries of the second bridge \
         are in a batch that leaves only five seconds later; on 7.x all are in sheaves of 60 until the \
         destroy flushes them.",
        &["bridge", "veth"],
        BRIDGE,
        &[
            quiet(
                &[BRIDGE_BY_CALLBACKS[0]],
                &[verdict(
                    "bridge_fdb_cache",
                    &[
                        word("clean"),
                        ordering("ordered"),
                        ("callbacks_ever", Want::TruthBetween("listed", "all")),
                        queued(0),
                    ],
                )],
            ),
            quiet(
                &[BRIDGE_BY_CALLBACKS[1]],
                &[verdict(
                    "net_bridge_fdb_entry",
                    &[
                        word("clean"),
                        ordering("ordered"),
                        ("callbacks_ever", Want::TruthBetween("listed", "all")),
                        queued(0),
                    ],
                )],
            ),
            strictly_flagged(
                &["6.18"],
                &[verdict(
                    "net_bridge_fdb_entry",
                    &[
                        word("waited"),
                        ordering("ordered"),
                        ("queued_ever", Want::TruthBetween("listed", "all")),
                        ("waited_for_own", Want::AtLeast(10)),
                        callbacks(0),
                    ],
                )],
            ),
            strictly_flagged(
                SHEAVES,
                &[verdict(
                    "net_bridge_fdb_entry",
                    &[
                        word("waited"),
                        ordering("ordered"),
                        ("queued_ever", Want::TruthBetween("listed", "all")),
                        ("waited_for_own", Want::TruthBetween("listed", "all")),
                        callbacks(0),
                    ],
                )],
            ),
        ],
    ),
    apart(
        "fat",
        "An inode is freed by call_rcu(i_callback), a function of the kernel itself (fs/inode.c), which \
         calls fat_free_inode(): 40 files, the root, and the two inodes that fat_fill_super() makes. \
         fat_destroy_inodecache() calls rcu_barrier(). The cache of clusters frees at once, and exit_fat_fs() destroys it before that \
         barrier, after a callback of the module's own, delayed_free(), had run by luck. That this one frees a struct msdos_sb_info \
         and no cluster is not seen, so the cache of clusters is open; 7.3's destroy waits for it.",
        &["loop", "nls_cp437", "nls_ascii", "vfat"],
        FAT,
        &[
            undecided(
                NO_RCU_BARRIER,
                &[
                    verdict(
                        "fat_cache",
                        &[
                            word("inconclusive"),
                            callbacks(0),
                            ("/reasons/0", Want::Text("heads-elsewhere")),
                            ("/callbacks/0/function", Want::Text("delayed_free")),
                        ],
                    ),
                    verdict(
                        "fat_inode_cache",
                        &[word("clean"), ordering("ordered"), callbacks(43), queued(0)],
                    ),
                ],
            ),
            quiet(
                SHEAVES,
                &[
                    verdict("fat_cache", &[word("clean"), ordering("ordered"), callbacks(0), queued(0)]),
                    verdict(
                        "fat_inode_cache",
                        &[word("clean"), ordering("ordered"), callbacks(43), queued(0)],
                    ),
                ],
            ),
        ],
    ),
    apart(
        "overlay",
        "As in any file system, call_rcu() frees the inodes, and ovl_exit() calls rcu_barrier(). There are \
         at least the root, the file that was copied up, and twenty files.",
        &["overlay"],
        OVERLAY,
        &[quiet(
            ALL,
            &[verdict(
                "ovl_inode",
                &[word("clean"), ordering("ordered"), ("callbacks_ever", Want::AtLeast(22)), queued(0)],
            )],
        )],
    ),
    apart(
        "netfilter",
        "The hash table of a rule is destroyed with the rule: dsthash_free() hands each of the five entries \
         to call_rcu(dsthash_free_rcu), and hashlimit_mt_exit() calls rcu_barrier(). A tracked connection is \
         freed at once, because its cache has SLAB_TYPESAFE_BY_RCU (nf_conntrack_core.c). No connection was \
         expected, so nf_conntrack_expect has no objects.",
        &["nft_compat", "nf_conntrack", "xt_hashlimit", "xt_conntrack"],
        NETFILTER,
        &[quiet(
            ALL,
            &[
                verdict("xt_hashlimit", &[word("clean"), ordering("ordered"), callbacks(5), queued(0)]),
                verdict("nf_conntrack", AT_ONCE),
                verdict("nf_conntrack_expect", AT_ONCE),
            ],
        )],
    ),
    Scenario {
        name: "sweep",
        why: "Every module of the package that owns a slab cache is loaded and unloaded in turn, from boot \
            to shutdown. None of them destroys a cache with objects in it, or the kernel would say so; \
            anything that krcu flags is a false alarm. Few of them defer anything before they are used. One is flagged rightly: \
            The dccp of 6.1 and 6.12 never destroys dccp_bind2_bucket, which dccp_init() creates: /sys/kernel/slab has it after rmmod.",
        modules: &[],
        in_tree: &[OWNERS],
        act: Act::Watched { before: "", options: "", text: SWEEP },
        append: APART,
        own_watch: "",
        open_if: MAY_BE_OPEN,
        alone: true,
        expectations: &[
            Expectation {
                status: 10,
                ..quiet(
                    &["6.1", "6.12"],
                    &[
                        SWEPT,
                        verdict("dccp_bind2_bucket", &[word("abandoned"), ("module", Want::Text("dccp"))]),
                        summary(&[
                            ("flagged", Want::Number(1)),
                            ("inconclusive", Want::Number(0)),
                            ("/verdicts/clean", Want::AtLeast(290)),
                            ("accounts", Want::Balanced),
                        ]),
                    ],
                )
            },
            quiet(
                &["6.18", "7.x"],
                &[
                    SWEPT,
                    summary(&[
                        ("flagged", Want::Number(0)),
                        ("inconclusive", Want::Number(0)),
                        ("/verdicts/clean", Want::AtLeast(290)),
                        ("accounts", Want::Balanced),
                    ]),
                ],
            ),
        ],
    },
];
