//! Verdicts that are flagged while the kernel's log says nothing, each argued from the module's source.
//!
//! `docs/truth.md` prints them in a section of its own. An entry holds for one word: the same cache with another verdict is
//! a fault.

use crate::check::scenarios::{BATCHES_WAIT, NO_WAIT, SERIES, SHEAVES, WAITS};

/// A verdict that is flagged rightly, though the kernel reports nothing.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Argued {
    /// The module whose cache it is, or whose unload.
    pub(crate) module: &'static str,
    /// The cache; empty for the unload of the module itself.
    pub(crate) cache: &'static str,
    /// The verdict's word.
    pub(crate) word: &'static str,
    /// The kernels for which that is so.
    pub(crate) series: &'static [&'static str],
    /// Why it is deserved, by the module's source.
    pub(crate) why: &'static str,
}

impl Argued {
    /// What it is about, as people write it.
    pub(crate) fn name(&self) -> String {
        if self.cache.is_empty() {
            format!("the module {}", self.module)
        } else {
            format!("{} of {}", self.cache, self.module)
        }
    }
}

/// All of them.
pub(crate) const ARGUED: &[Argued] = &[
    Argued {
        module: "dccp",
        cache: "dccp_bind2_bucket",
        word: "abandoned",
        series: &["6.1", "6.12"],
        why: "dccp_init() creates the cache (net/dccp/proto.c), and neither dccp_fini() nor any other function \
              destroys it: /sys/kernel/slab has it after rmmod.",
    },
    Argued {
        module: "bridge",
        cache: "net_bridge_fdb_entry",
        word: "waited",
        series: &["6.18", "7.x"],
        why: "fdb_delete() frees an entry by kfree_rcu() (net/bridge/br_fdb.c), and br_fdb_fini() leaves it to \
              kmem_cache_destroy() to wait for those of the links that have just gone.",
    },
    Argued {
        module: "krcu_play",
        cache: "churn_frees",
        word: "waited",
        series: WAITS,
        why: "The script hands twenty objects to kfree_rcu() and destroys the cache at once. \
              kmem_cache_destroy() of these kernels waits for them; that of 6.1 does not, and reports them.",
    },
    Argued {
        module: "krcu_play",
        cache: "churn_calls",
        word: "waited",
        series: SHEAVES,
        why: "The script holds a reader, so that twenty callbacks are outstanding as the cache is destroyed. \
              kmem_cache_destroy() of 7.3 calls rcu_barrier(); the older ones report the objects.",
    },
    Argued {
        module: "krcu_play",
        cache: "churn_calls",
        word: "unordered",
        series: BATCHES_WAIT,
        why: "The same script. Where somebody else has queued objects meanwhile, the destroy waits for these until the reader is \
              let go by its time, and flush_rcu_work() may happen to call rcu_barrier(). The callbacks have run then, by luck.",
    },
];

/// A script for `krcu_play` that a batch of the churn plays.
pub(super) struct Play {
    /// Its name, and the name of its cache behind `churn_`.
    pub(super) name: &'static str,
    /// What it does.
    pub(super) script: &'static str,
    /// The kernels whose log reports its objects.
    pub(super) reported_on: &'static [&'static str],
}

impl Play {
    /// The cache that it destroys.
    pub(super) fn cache(&self) -> String {
        format!("churn_{}", self.name)
    }
}

/// Faults of which we know that the kernel reports them, so that a churn in which no module of the package has one does not
/// pass without a single report; and a script without a fault.
pub(super) const PLAYS: &[Play] = &[
    Play {
        name: "leaks",
        script: "create churn_leaks; alloc churn_leaks 5; forget churn_leaks; destroy churn_leaks",
        reported_on: &SERIES,
    },
    Play {
        name: "calls",
        script: "create churn_calls; alloc churn_calls 20; hold 1000 flushed; call churn_calls 20; \
                 destroy churn_calls; release",
        reported_on: &["6.1", "6.12", "6.18"],
    },
    Play {
        name: "frees",
        script: "create churn_frees; alloc churn_frees 20; queue churn_frees 20; destroy churn_frees; drain",
        reported_on: NO_WAIT,
    },
    Play {
        name: "clean",
        script: "create churn_clean; alloc churn_clean 20; call churn_clean 20; barrier; destroy churn_clean",
        reported_on: &[],
    },
];
