//! Kernel: the generations that a walk goes through, and the faults that are known of each.

use krcu_model::promise::Promise;

use crate::{
    approach::{self, Approach, rcu_barrier, row_name},
    machine::{
        CacheIndex,
        facts::{Generation, Repairs},
        op::{Call, Op},
    },
};

/// A generation of the kernel, by the version in which it first appeared.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Kernel {
    /// As 6.1.
    Before612,
    /// `kvfree_rcu_barrier()` in the destroy.
    In612,
    /// Sheaves.
    In618,
    /// The barrier waits for the callbacks of the sheaves.
    In619,
    /// It also holds CPU hotplug off.
    In7,
}

/// A fault that is known of a kernel. It can be switched off, so that a walk goes on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Known {
    /// `kmem_cache_destroy()` does not wait for anything. Switched off by the barrier of 6c6c47b063b5.
    DestroyDoesNotWait,
    /// The shrinker calls the monitor directly, and no barrier waits for what it has taken off.
    ShrinkerWindow,
    /// The barrier cancels a monitor that a later call has armed.
    MonitorCancelled,
    /// The barrier flushes sheaves and does not wait for their callbacks. Switched off by b55b423e8518.
    SheavesNotAwaited,
    /// The barrier leaves out the sheaves of a CPU that is going offline. Switched off by 67ea9d353d0b.
    SheavesMissHotplug,
    /// No code flushes a sheaf that is not full and not used any more.
    IdleSheaf,
}

impl Known {
    /// All of them.
    pub const ALL: [Known; 6] = [
        Known::DestroyDoesNotWait,
        Known::ShrinkerWindow,
        Known::MonitorCancelled,
        Known::SheavesNotAwaited,
        Known::SheavesMissHotplug,
        Known::IdleSheaf,
    ];

    /// Its name, for a command line.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Known::DestroyDoesNotWait => "destroy-does-not-wait",
            Known::ShrinkerWindow => "shrinker-window",
            Known::MonitorCancelled => "monitor-cancelled",
            Known::SheavesNotAwaited => "sheaves-not-awaited",
            Known::SheavesMissHotplug => "sheaves-miss-hotplug",
            Known::IdleSheaf => "idle-sheaf",
        }
    }

    /// The fault in words.
    #[must_use]
    pub fn words(self) -> &'static str {
        match self {
            Known::DestroyDoesNotWait => "the destroy does not wait (before 6c6c47b063b5)",
            Known::ShrinkerWindow => "no barrier waits for what the shrinker has taken off the lists",
            Known::MonitorCancelled => "the barrier cancels a monitor that a later call has armed",
            Known::SheavesNotAwaited => "sheaves are flushed but not waited for (before b55b423e8518)",
            Known::SheavesMissHotplug => {
                "sheaves are flushed without holding CPU hotplug off (before 67ea9d353d0b)"
            }
            Known::IdleSheaf => "no code flushes a sheaf that is not full",
        }
    }

    /// What it is switched off by.
    #[must_use]
    pub fn repair(self) -> &'static str {
        match self {
            Known::DestroyDoesNotWait => "the destroy of 6.12",
            Known::ShrinkerWindow => "the barrier waits for the shrinker, too",
            Known::MonitorCancelled => "the barrier arms the monitor again if something is on the lists",
            Known::SheavesNotAwaited => "the barrier of 6.19",
            Known::SheavesMissHotplug => "the barrier of 7.x",
            Known::IdleSheaf => "a sheaf that is not full is flushed after some time",
        }
    }

    /// The promises that it breaks.
    #[must_use]
    pub fn breaks(self) -> &'static [Promise] {
        match self {
            Known::DestroyDoesNotWait => {
                &[Promise::MemoryOutlivesObjects, Promise::NoFalseSplat, Promise::DestroyCompletes]
            }
            Known::ShrinkerWindow => &[
                Promise::BarrierCovers,
                Promise::MemoryOutlivesObjects,
                Promise::NoFalseSplat,
                Promise::DestroyCompletes,
            ],
            Known::MonitorCancelled | Known::IdleSheaf => &[Promise::DeferredFreeComes],
            Known::SheavesNotAwaited | Known::SheavesMissHotplug => &[Promise::BarrierCovers],
        }
    }
}

impl Kernel {
    /// All of them.
    pub const ALL: [Kernel; 5] =
        [Kernel::Before612, Kernel::In612, Kernel::In618, Kernel::In619, Kernel::In7];

    /// Its name.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Kernel::Before612 => "before 6.12",
            Kernel::In612 => "6.12",
            Kernel::In618 => "6.18",
            Kernel::In619 => "6.19",
            Kernel::In7 => "7.x",
        }
    }

    /// The faults that are known of it.
    #[must_use]
    pub fn known(self) -> &'static [Known] {
        match self {
            // Its monitor frees nothing itself, so its shrinker has no window. Nothing cancels a monitor.
            Kernel::Before612 => &[Known::DestroyDoesNotWait],
            Kernel::In612 => &[Known::ShrinkerWindow, Known::MonitorCancelled],
            Kernel::In618 => &[
                Known::ShrinkerWindow,
                Known::MonitorCancelled,
                Known::SheavesNotAwaited,
                Known::SheavesMissHotplug,
                Known::IdleSheaf,
            ],
            Kernel::In619 => {
                &[Known::ShrinkerWindow, Known::MonitorCancelled, Known::SheavesMissHotplug, Known::IdleSheaf]
            }
            Kernel::In7 => &[Known::ShrinkerWindow, Known::MonitorCancelled, Known::IdleSheaf],
        }
    }

    pub(super) fn has_sheaves(self) -> bool {
        matches!(self, Kernel::In618 | Kernel::In619 | Kernel::In7)
    }

    /// Its machinery, with all known faults repaired but these.
    pub(super) fn generation(self, on: &[Known]) -> Generation {
        let generation = match self {
            Kernel::Before612 => Generation::BATCHES,
            Kernel::In612 => Generation::COOKIES,
            Kernel::In618 | Kernel::In619 | Kernel::In7 => Generation::SHEAVES,
        };
        let repairs = Repairs {
            shrinker_is_awaited: !on.contains(&Known::ShrinkerWindow),
            monitor_is_kept: !on.contains(&Known::MonitorCancelled),
            sheaves_age: !on.contains(&Known::IdleSheaf),
        };
        Generation { repairs, ..generation }
    }

    /// The row of the table whose destroy it has, with all known faults repaired but these.
    fn row(self, on: &[Known]) -> &'static str {
        match self {
            Kernel::Before612 if on.contains(&Known::DestroyDoesNotWait) => "upstream (before 6.12)",
            Kernel::Before612 | Kernel::In612 => "upstream (6.12)",
            _ if on.contains(&Known::SheavesNotAwaited) => "upstream (6.18)",
            _ if on.contains(&Known::SheavesMissHotplug) => "upstream (6.19)",
            _ => "upstream (7.x)",
        }
    }

    /// `kmem_cache_destroy()`.
    pub(super) fn destroy(self, on: &[Known], cache: CacheIndex, type_safe: bool) -> Vec<Op> {
        let Some(row) = named(self.row(on)) else { return Vec::new() };
        let releases = match self {
            Kernel::Before612 => vec![Op::ReleaseLater(cache)],
            _ => row.release_type_safe(cache),
        };
        let release = |op| match op {
            Op::Release(_) if type_safe => releases.clone(),
            op => vec![op],
        };
        row.exit(cache).into_iter().flat_map(release).collect()
    }

    /// `kvfree_rcu_barrier()`, which any module may call. A kernel without it has `rcu_barrier()` only.
    pub(super) fn barrier(self) -> Vec<Op> {
        if self == Kernel::Before612 {
            return rcu_barrier();
        }
        let call = Call::KfreeRcuBarrier;
        let mut ops = vec![Op::Enter(call)];
        if self.has_sheaves() {
            ops.extend([Op::CpusReadLock, Op::FlushSheaves(None), Op::CpusReadUnlock]);
            ops.extend(rcu_barrier());
        }
        ops.extend([Op::Offload, Op::Drain, Op::Leave(call)]);
        ops
    }
}

fn named(name: &str) -> Option<Box<dyn Approach>> {
    approach::all().into_iter().find(|row| row_name(row.as_ref()) == name)
}
