//! More of the kernel's own modules, each used in the smallest way that is real before it goes: sockets, links, queueing
//! disciplines, file systems, device mapper.
//!
//! Expectations follow from the modules' sources in Debian's `linux-source-6.1`, `-6.12` and `-7.3`. Debian's cloud kernels
//! have no batman-adv and no f2fs. drbd, nfsd, ceph, cifs and openvswitch need a peer, a server or a daemon to be of use:
//! `sweep` and `cargo xtask churn` load and unload them.

use super::real::{AT_ONCE, BESIDE, apart, callbacks, queued, strictly_flagged};
use super::{Field, NO_RCU_BARRIER, ordering, waited_for, waited_for_callbacks};
use crate::check::scenarios::{
    ALL, BATCHES_WAIT, Line, SHEAVES, Scenario, Want, quiet, summary, verdict, word,
};

/// Nothing is flagged, nothing left open.
const NOTHING: Line = summary(&[("flagged", Want::Number(0)), ("inconclusive", Want::Number(0))]);

/// As for `play`, which empties the batches of the whole system, so that the destroy of 6.12 and 6.18 has none to wait for, and
/// calls no `rcu_barrier()` by the way.
pub(super) const PLAYED: &[&str] = &["krcu_play"];

/// Twenty sockets are bound to a local address, and closed as the program ends.
const RDS: &str = "
    modprobe rds
    perl -e 'for (1..20) { socket($s[$_], 21, 5, 0) or die; bind($s[$_], pack(\"S n C4 x8\", 2, 5000 + $_, 127, 0, 0, 1)) or die }'
    usleep 2000000
    play flush
    rmmod rds";

/// Twenty listening sockets, closed as the program ends.
const SMC: &str = "
    modprobe smc
    perl -e 'for (1..20) { socket($s[$_], 43, 1, 0) or die; bind($s[$_], pack(\"S n C4 x8\", 2, 6000 + $_, 127, 0, 0, 1)) or die; \
        listen($s[$_], 1) or die }'
    usleep 2000000
    play flush
    rmmod smc";

const TIPC: &str = "
    modprobe tipc
    perl -e 'for (1..20) { socket($s[$_], 30, 4, 0) or die }'
    until rmmod tipc 2>/dev/null; do usleep 10000; done";

const KCM: &str = "
    modprobe kcm
    perl -e 'for (1..20) { socket($s[$_], 41, 2, 0) or die }'
    rmmod kcm";

/// A tunnel with one session over UDP, and a socket of L2TP over IP.
const L2TP: &str = "
    modprobe l2tp_eth; modprobe l2tp_ip; modprobe udp_tunnel
    ip2 l2tp add tunnel tunnel_id 1 peer_tunnel_id 2 encap udp local 127.0.0.1 remote 127.0.0.1 udp_sport 5000 udp_dport 5001
    ip2 l2tp add session name l2tp0 tunnel_id 1 session_id 1 peer_session_id 2
    ip2 l2tp del session tunnel_id 1 session_id 1
    ip2 l2tp del tunnel tunnel_id 1
    perl -e 'socket($s, 2, 2, 115) or die'
    rmmod l2tp_ip; until rmmod l2tp_eth 2>/dev/null; do usleep 10000; done
    rmmod l2tp_netlink; rmmod l2tp_core";

/// A schedule for the queues of a device, taken away again.
const TAPRIO: &str = "
    modprobe veth; modprobe sch_taprio
    ip link add taprio0 type veth peer name taprio1
    ip link set taprio0 up
    tc2 qdisc add dev taprio0 root taprio num_tc 1 map 0 queues 1@0 base-time 0 sched-entry S 01 300000 clockid CLOCK_TAI
    tc2 qdisc del dev taprio0 root
    usleep 2000000
    rmmod sch_taprio
    ip link del taprio0; rmmod veth";

/// An action with parameters, changed once and deleted.
const PEDIT: &str = "
    modprobe act_pedit
    tc2 actions add action pedit munge offset 0 u8 set 1 index 1
    tc2 actions change action pedit munge offset 0 u8 set 2 index 1
    tc2 actions del action pedit index 1
    rmmod act_pedit";

/// A tunnel with a default destination, deleted.
const VXLAN: &str = "
    modprobe vxlan
    ip2 link add vxlan0 type vxlan id 1 remote 127.0.0.2 dstport 4789
    ip2 link del vxlan0
    rmmod vxlan";

/// A label's route, deleted.
const MPLS: &str = "
    modprobe mpls_router
    echo 100 >/proc/sys/net/mpls/platform_labels
    ip2 -f mpls route add 50 via inet 127.0.0.2 dev lo
    ip2 -f mpls route del 50
    rmmod mpls_router";

/// A process reads through the scheduler, and ends.
const BFQ: &str = "
    modprobe loop; modprobe bfq
    truncate -s 8M /tmp/disk; losetup /dev/loop0 /tmp/disk
    echo bfq >/sys/block/loop0/queue/scheduler
    dd if=/dev/loop0 of=/dev/null bs=64k 2>/dev/null
    echo none >/sys/block/loop0/queue/scheduler
    losetup -d /dev/loop0
    rmmod bfq; rm /tmp/disk";

/// A rule of how a command is to fail, which is there when the module goes.
const SCSI_DEBUG: &str = "
    modprobe scsi_debug
    until [ -e /sys/kernel/debug/scsi_debug/*/error ]; do usleep 10000; done
    echo '0 -10 0x12' >$(echo /sys/kernel/debug/scsi_debug/*/error)
    until rmmod scsi_debug 2>/dev/null; do usleep 10000; done";

const BTRFS: &str = "
    modprobe loop; modprobe btrfs
    truncate -s 128M /tmp/disk && mkfs.btrfs -q /tmp/disk >&2
    mkdir -p /tmp/mount && mount -t btrfs -o loop /tmp/disk /tmp/mount
    n=0; while [ $n -lt 40 ]; do echo $n >/tmp/mount/file$n; n=$((n + 1)); done
    umount /tmp/mount
    rmmod btrfs; rm /tmp/disk";

const XFS: &str = "
    modprobe loop; modprobe xfs
    truncate -s 320M /tmp/disk && mkfs.xfs -q /tmp/disk >&2
    mkdir -p /tmp/mount && mount -t xfs -o loop /tmp/disk /tmp/mount
    n=0; while [ $n -lt 40 ]; do echo $n >/tmp/mount/file$n; n=$((n + 1)); done
    umount /tmp/mount
    rmmod xfs; rm /tmp/disk";

/// A snapshot of a disk in memory, and a block of it written.
const SNAPSHOT: &str = "
    modprobe loop; modprobe dm_snapshot
    truncate -s 8M /tmp/origin; truncate -s 8M /tmp/store
    losetup /dev/loop0 /tmp/origin; losetup /dev/loop1 /tmp/store
    dmsetup create base --table '0 16384 snapshot-origin /dev/loop0'
    dmsetup create shot --table '0 16384 snapshot /dev/loop0 /dev/loop1 N 8'
    dd if=/dev/zero of=/dev/mapper/base bs=4k count=64 2>/dev/null; sync
    dmsetup remove shot; dmsetup remove base
    losetup -d /dev/loop0; losetup -d /dev/loop1
    until rmmod dm_snapshot 2>/dev/null; do usleep 10000; done
    rmmod dm_bufio; rmmod dm_mod; rm /tmp/origin /tmp/store";

/// The callbacks have run, and nothing in the teardown waits for them.
const UNORDERED: &str = "unordered";

/// The only verdict of its scenario, about a module.
const fn of_module(fields: &'static [Field]) -> Line {
    Line { kind: "verdict", cache: None, fields }
}

/// Callbacks there were.
const AT_LEAST_ONE: Field = ("callbacks_ever", Want::AtLeast(1));

/// The scenarios.
pub(super) const SCENARIOS: &[Scenario] = &[
    Scenario {
        modules: PLAYED,
        ..apart(
            "rds",
            "rds_add_bound() sets SOCK_RCU_FREE (bind.c), so that a closed socket is freed by call_rcu(__sk_destruct), a function of \
             the kernel itself (net/core/sock.c). rds_exit() calls sock_unregister(), which waits for a grace period and not for \
             callbacks, and then proto_unregister(), which destroys the cache: no rcu_barrier() stands between. The destroy of 7.3 \
             calls it.",
            &["rds"],
            RDS,
            &[
                strictly_flagged(
                    NO_RCU_BARRIER,
                    &[verdict(
                        "RDS",
                        &[
                            word(UNORDERED),
                            ordering(UNORDERED),
                            callbacks(20),
                            queued(0),
                            ("/callbacks/0/function", Want::Has("__sk_destruct")),
                        ],
                    )],
                ),
                strictly_flagged(SHEAVES, &[verdict("RDS", ORDERED_BY_THE_DESTROY)]),
            ],
        )
    },
    Scenario {
        modules: PLAYED,
        ..apart(
            "smc",
            "smc_listen() sets SOCK_RCU_FREE, as rds_add_bound() does. smc_exit() calls rcu_barrier(), but as its last act: \
             proto_unregister() has destroyed the cache before. On 6.1 nothing waits between. 6.12 has the cache of another protocol \
             destroyed first, SMC6, which has SLAB_TYPESAFE_BY_RCU as well: kmem_cache_destroy() calls rcu_barrier() itself for such \
             a cache, where 6.1 leaves that to a worker. Debian's cloud kernels since 6.18 do not have the module.",
            &["smc"],
            SMC,
            &[
                strictly_flagged(
                    &["6.1"],
                    &[verdict("SMC", &[word(UNORDERED), ordering(UNORDERED), callbacks(20), queued(0)])],
                ),
                quiet(
                    &["6.12"],
                    &[verdict("SMC", &[word("clean"), ordering("ordered"), callbacks(20), queued(0)])],
                ),
            ],
        )
    },
    apart(
        "tipc",
        "A closed socket is freed by call_rcu(tipc_sk_callback). tipc_exit() calls unregister_pernet_subsys() and \
         unregister_pernet_device() before tipc_socket_stop() destroys the cache, and each of them calls rcu_barrier() \
         (unregister_pernet_operations() in net_namespace.c). It closes its own listening socket before the second.",
        &["tipc"],
        TIPC,
        &[quiet(
            ALL,
            &[verdict(
                "TIPC",
                &[word("clean"), ordering("ordered"), ("callbacks_ever", Want::AtLeast(20)), queued(0)],
            )],
        )],
    ),
    apart(
        "kcm",
        "Each socket has a multiplexer. Up to 6.12, release_mux() frees it by call_rcu(free_mux), and kcm_exit() calls \
         unregister_pernet_device(), which calls rcu_barrier(). Since then it is freed by kfree_rcu(). proto_unregister() destroys the \
         cache of the sockets first, and on 6.18 this destroy empties the batches of all caches. On 7.x each destroy flushes the \
         sheaves of its own cache. A socket is freed at once.",
        &["kcm"],
        KCM,
        &[
            quiet(
                &["6.1"],
                &[
                    verdict("KCM", BESIDE),
                    verdict("kcm_mux_cache", &[word("clean"), ordering("ordered"), callbacks(20), queued(0)]),
                    verdict("kcm_psock_cache", BESIDE),
                ],
            ),
            quiet(
                &["6.12"],
                &[
                    verdict("KCM", BESIDE),
                    verdict("kcm_mux", &[word("clean"), ordering("ordered"), callbacks(20), queued(0)]),
                    verdict("kcm_psock", BESIDE),
                ],
            ),
            quiet(
                &["6.18"],
                &[
                    verdict("KCM", AT_ONCE),
                    verdict("kcm_mux", &[word("clean"), ordering("ordered"), callbacks(0), queued(20)]),
                    verdict("kcm_psock", AT_ONCE),
                ],
            ),
            strictly_flagged(
                SHEAVES,
                &[
                    verdict("KCM", AT_ONCE),
                    verdict(
                        "kcm_mux",
                        &[word("waited"), ordering("ordered"), waited_for(20), queued(20), callbacks(0)],
                    ),
                    verdict("kcm_psock", AT_ONCE),
                ],
            ),
        ],
    ),
    apart(
        "l2tp",
        "Tunnels and sessions are kmalloc()ed and freed by kfree_rcu(), which runs no text of a module. A socket of L2TP over IP is \
         freed at once, so its cache has nothing deferred.",
        &["l2tp_eth", "l2tp_ip", "udp_tunnel"],
        L2TP,
        &[quiet(ALL, &[verdict("L2TP/IP", AT_ONCE), NOTHING])],
    ),
    apart(
        "taprio",
        "A schedule is kmalloc()ed, and taprio_destroy() hands it to call_rcu(taprio_free_sched_cb). taprio_module_exit() calls \
         unregister_qdisc() and unregister_netdevice_notifier(), and none of them calls rcu_barrier(): on every kernel the text of a \
         callback may go before it has run.",
        &["veth", "sch_taprio"],
        TAPRIO,
        &[strictly_flagged(
            ALL,
            &[of_module(&[
                word(UNORDERED),
                ("module", Want::Text("sch_taprio")),
                AT_LEAST_ONE,
                ("/callbacks/0/function", Want::Has("taprio_free_sched_cb")),
            ])],
        )],
    ),
    apart(
        "pedit",
        "Changed parameters are handed to call_rcu(tcf_pedit_cleanup_rcu), and so are those of a deleted action. The module imports no \
         rcu_barrier(): tcf_unregister_action() calls unregister_pernet_subsys(), which calls it.",
        &["act_pedit"],
        PEDIT,
        &[quiet(
            ALL,
            &[of_module(&[
                word("clean"),
                ("module", Want::Text("act_pedit")),
                ordering("ordered"),
                callbacks(2),
            ])],
        )],
    ),
    apart(
        "vxlan",
        "Deleting the link frees its default entry by call_rcu(vxlan_fdb_free). The module imports no rcu_barrier(): \
         unregister_pernet_subsys() in vxlan_cleanup_module() calls it.",
        &["vxlan"],
        VXLAN,
        &[quiet(
            ALL,
            &[of_module(&[
                word("clean"),
                ("module", Want::Text("vxlan")),
                ordering("ordered"),
                AT_LEAST_ONE,
            ])],
        )],
    ),
    apart(
        "mpls",
        "A route is freed by call_rcu(mpls_rt_free_rcu). The module imports no rcu_barrier(): unregister_pernet_subsys() in mpls_exit() \
         calls it.",
        &["mpls_router"],
        MPLS,
        &[quiet(
            ALL,
            &[of_module(&[
                word("clean"),
                ("module", Want::Text("mpls_router")),
                ordering("ordered"),
                AT_LEAST_ONE,
            ])],
        )],
    ),
    apart(
        "scsi_debug",
        "A rule is freed with its device by call_rcu(sdebug_err_free). The module imports no rcu_barrier(): scsi_host_dev_release() \
         calls it as scsi_debug_exit() puts the last reference to its host. 6.1 has no rules. On 7.3 \
         the release was not seen before the module went, and what kept it is not known.",
        &["scsi_debug"],
        SCSI_DEBUG,
        &[quiet(
            BATCHES_WAIT,
            &[verdict(
                "",
                &[word("clean"), ("module", Want::Text("scsi_debug")), ordering("ordered"), callbacks(1)],
            )],
        )],
    ),
    apart(
        "bfq",
        "A process that reads has an object of bfq_io_cq, which goes with it: ioc_destroy_icq() hands it to \
         call_rcu(icq_free_icq_rcu), a function of the kernel itself (block/blk-ioc.c). The module imports no rcu_barrier(): \
         elv_unregister() calls it before it destroys the cache. 7.3 frees the object by kfree_rcu() into a sheaf, which that barrier \
         does not flush and the destroy does.",
        &["loop", "bfq"],
        BFQ,
        &[
            quiet(
                &["6.1", "6.12"],
                &[verdict("bfq_io_cq", &[word("clean"), ordering("ordered"), AT_LEAST_ONE, queued(0)])],
            ),
            strictly_flagged(
                SHEAVES,
                &[verdict(
                    "bfq_io_cq",
                    &[
                        word("waited"),
                        ordering("ordered"),
                        callbacks(0),
                        ("waited_for_own", Want::AtLeast(1)),
                    ],
                )],
            ),
        ],
    ),
    apart(
        "btrfs",
        "An inode is freed by call_rcu(i_callback) (fs/inode.c), and a block of a tree by call_rcu(btrfs_release_extent_buffer_rcu): \
         btrfs_destroy_cachep() and extent_buffer_free_cachep() call rcu_barrier() first. There are 40 files and the root. \
         The mount on 6.18 asks for a module by an alias, and the machine has no list of these.",
        &["loop", "btrfs"],
        BTRFS,
        &[quiet(
            &["6.1", "6.12", "7.x"],
            &[
                verdict(
                    "btrfs_inode",
                    &[word("clean"), ordering("ordered"), ("callbacks_ever", Want::AtLeast(41)), queued(0)],
                ),
                verdict(
                    "btrfs_extent_buffer",
                    &[word("clean"), ordering("ordered"), ("callbacks_ever", Want::AtLeast(5)), queued(0)],
                ),
                NOTHING,
            ],
        )],
    ),
    apart(
        "xfs",
        "An inode is freed by call_rcu(xfs_inode_free_callback) (xfs_icache.c), a buffer by call_rcu(xfs_buf_free_callback): \
         xfs_destroy_caches() calls rcu_barrier() first. There are 40 files and the root.",
        &["loop", "xfs"],
        XFS,
        &[quiet(
            ALL,
            &[
                verdict(
                    "xfs_inode",
                    &[word("clean"), ordering("ordered"), ("callbacks_ever", Want::AtLeast(41)), queued(0)],
                ),
                verdict(
                    "xfs_buf",
                    &[word("clean"), ordering("ordered"), ("callbacks_ever", Want::AtLeast(5)), queued(0)],
                ),
                NOTHING,
            ],
        )],
    ),
    apart(
        "snapshot",
        "Exceptions and jobs of the copying thread are freed at once (dm-snap.c, dm-kcopyd.c), from mempools that lie on their caches.",
        &["loop", "dm_snapshot"],
        SNAPSHOT,
        &[quiet(
            ALL,
            &[
                verdict("dm_exception", AT_ONCE),
                verdict("dm_snap_pending_exception", AT_ONCE),
                verdict("kcopyd_job", AT_ONCE),
                NOTHING,
            ],
        )],
    ),
];

/// Twenty callbacks had run by luck, and the destroy's own `rcu_barrier()` orders them.
const ORDERED_BY_THE_DESTROY: &[Field] = &[
    word("waited"),
    ordering("ordered"),
    waited_for_callbacks(0),
    ("waited_for_callbacks", Want::Flag(true)),
    callbacks(20),
    queued(0),
];
