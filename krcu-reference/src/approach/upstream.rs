//! Upstream: what the kernel has merged, generation by generation. Each generation is a set of facts about a
//! kernel.
//!
//! Before 6.12 the destroy does not wait. In 6.12 the destroy calls `kvfree_rcu_barrier()`: for each CPU it
//! makes a batch of what is on the lists, then cancels the monitor and flushes the batches. With sheaves
//! (6.18) it first flushes the sheaves of the cache, to `call_rcu()`. The first generation that did so for
//! each cache did not wait for those callbacks in the barrier (b55b423e8518 does) and did not hold CPU
//! hotplug off meanwhile (67ea9d353d0b does). Each of these is a row, and each fix is a mutant.
//!
//! The source suggests two windows, which are rows of their own. First, the shrinker calls the monitor
//! directly, so what it has taken off the lists belongs to no work item. Second, the barrier can cancel a
//! monitor that a later call has armed meanwhile. Each has a row beside it with a barrier that no kernel has: one
//! that waits for the shrinker, and one that arms the monitors again.

use super::{
    Approach,
    steps::{chain, plain_destroy, rcu_barrier},
};
use crate::machine::{
    CacheIndex, ObjectIndex,
    facts::Generation,
    op::{Call, Found, Op},
};
use krcu_model::promise::Promise;

#[derive(Clone, Copy, PartialEq)]
enum Merged {
    /// The destroy does not wait.
    Before612,
    /// The destroy does not wait, and the cache is type-safe: a work item releases it.
    Before612TypeSafe,
    /// `kvfree_rcu_barrier()` in the destroy.
    In612,
    /// The same, with a type-safe cache, for which the destroy calls `rcu_barrier()`.
    In612TypeSafe,
    /// The same, with a shrinker that runs.
    In612Shrinker,
    /// The same, and the barrier waits for it.
    In612ShrinkerAwaited,
    /// The same as in 6.12, beside a module whose cache stays.
    In612Neighbour,
    /// The same, and the barrier arms the monitors again.
    In612NeighbourRearmed,
    /// Sheaves: the barrier flushes them but does not wait for the callbacks.
    In618,
    /// The barrier waits for the callbacks, but does not hold CPU hotplug off.
    In619,
    /// The barrier also holds CPU hotplug off.
    In7,
    /// The same, beside a cache that is not used any more.
    In7Idle,
}

struct Upstream(Merged);

pub(super) fn rows() -> Vec<Box<dyn Approach>> {
    [
        Merged::Before612,
        Merged::Before612TypeSafe,
        Merged::In612,
        Merged::In612TypeSafe,
        Merged::In612Shrinker,
        Merged::In612Neighbour,
        Merged::In618,
        Merged::In619,
        Merged::In7,
        Merged::In7Idle,
    ]
    .map(|merged| Box::new(Upstream(merged)) as _)
    .into()
}

/// The barrier of 6.12 with a change against each window.
pub(super) fn mended() -> Vec<Box<dyn Approach>> {
    [Merged::In612ShrinkerAwaited, Merged::In612NeighbourRearmed]
        .map(|merged| Box::new(Upstream(merged)) as _)
        .into()
}

impl Upstream {
    fn has_sheaves(&self) -> bool {
        matches!(self.0, Merged::In618 | Merged::In619 | Merged::In7 | Merged::In7Idle)
    }

    /// The part of the barrier for lists and batches. From the first step on, what the barrier covers is on no list, so what the
    /// shrinker takes off later is not covered: it is enough to wait for it once.
    fn lists(&self) -> Vec<Op> {
        match self.0 {
            Merged::In612ShrinkerAwaited => vec![Op::Offload, Op::AwaitShrinker, Op::Drain],
            Merged::In612NeighbourRearmed => vec![Op::Offload, Op::Drain, Op::Rearm],
            _ => vec![Op::Offload, Op::Drain],
        }
    }

    /// The part of the barrier for sheaves.
    fn sheaves(&self, cache: CacheIndex) -> Vec<Op> {
        let flush = vec![Op::FlushSheaves(Some(cache))];
        let wait = rcu_barrier();
        match self.0 {
            Merged::In618 => flush,
            Merged::In619 => chain([flush, wait]),
            Merged::In7 | Merged::In7Idle => {
                chain([vec![Op::CpusReadLock], flush, vec![Op::CpusReadUnlock], wait])
            }
            _ => vec![],
        }
    }

    fn barrier(&self, cache: CacheIndex) -> Vec<Op> {
        let call = if self.has_sheaves() { Call::FreeBarrier(cache) } else { Call::KfreeRcuBarrier };
        chain([vec![Op::Enter(call)], self.sheaves(cache), self.lists(), vec![Op::Leave(call)]])
    }
}

impl Approach for Upstream {
    fn id(&self) -> &'static str {
        "upstream"
    }

    fn option(&self) -> &'static str {
        match self.0 {
            Merged::Before612 => "before 6.12",
            Merged::Before612TypeSafe => "before 6.12, a type-safe cache",
            Merged::In612 => "6.12",
            Merged::In612TypeSafe => "6.12, a type-safe cache",
            Merged::In612Shrinker => "6.12, the shrinker runs",
            Merged::In612ShrinkerAwaited => "6.12, the shrinker is awaited",
            Merged::In612Neighbour => "6.12, beside a cache that stays",
            Merged::In612NeighbourRearmed => "6.12, monitors armed again",
            Merged::In618 => "6.18",
            Merged::In619 => "6.19",
            Merged::In7 => "7.x",
            Merged::In7Idle => "7.x, beside an idle cache",
        }
    }

    fn section(&self) -> &'static str {
        "Merged upstream"
    }

    fn generation(&self) -> Generation {
        match self.0 {
            Merged::Before612 | Merged::Before612TypeSafe => Generation::BATCHES,
            _ if self.has_sheaves() => Generation::SHEAVES,
            _ => Generation::COOKIES,
        }
    }

    fn exit(&self, cache: CacheIndex) -> Vec<Op> {
        match self.0 {
            Merged::Before612 => return plain_destroy(cache),
            // The row is about the second module's cache. The first module frees by callbacks, as it has to.
            Merged::Before612TypeSafe => return chain([rcu_barrier(), plain_destroy(cache)]),
            _ => {}
        }
        // The shutdown flushes sheaves once more, if there are any, and waits for them.
        let shutdown =
            if self.has_sheaves() { chain([vec![Op::ShutdownFlush(cache)], rcu_barrier()]) } else { vec![] };
        chain([
            vec![Op::DestroyEnter(cache)],
            self.barrier(cache),
            vec![Op::DropReference(cache)],
            shutdown,
            vec![Op::Look(cache, Found::Report), Op::Release(cache)],
        ])
    }

    /// Since 6.12 the destroy itself calls `rcu_barrier()` for such a cache.
    fn release_type_safe(&self, cache: CacheIndex) -> Vec<Op> {
        if self.0 == Merged::Before612 {
            return vec![Op::ReleaseLater(cache)];
        }
        chain([rcu_barrier(), vec![Op::Release(cache)]])
    }

    fn second(&self, cache: CacheIndex) -> Vec<Op> {
        match self.0 {
            Merged::In612Neighbour | Merged::In612NeighbourRearmed | Merged::In7Idle => vec![],
            Merged::Before612TypeSafe => {
                let mut ops = plain_destroy(cache);
                ops.pop();
                ops.push(Op::ReleaseLater(cache));
                ops
            }
            Merged::In612TypeSafe => {
                let mut ops = self.exit(cache);
                ops.pop();
                chain([ops, rcu_barrier(), vec![Op::Release(cache)]])
            }
            _ => self.exit(cache),
        }
    }

    fn free(&self, object: ObjectIndex) -> Op {
        match self.0 {
            Merged::Before612TypeSafe => Op::CallRcu(object),
            _ => Op::Queue(object),
        }
    }

    fn has_type_safe_cache(&self) -> bool {
        matches!(self.0, Merged::Before612TypeSafe | Merged::In612TypeSafe)
    }

    fn has_shrinker(&self) -> bool {
        matches!(self.0, Merged::In612Shrinker | Merged::In612ShrinkerAwaited)
    }

    fn breaks(&self) -> &'static [(Promise, &'static str)] {
        match self.0 {
            Merged::Before612 => &[
                (Promise::MemoryOutlivesObjects, "the destroy does not wait"),
                (Promise::NoFalseSplat, "objects that are queued look like a leak"),
                (Promise::DestroyCompletes, "a cache that the kernel has given up stays for ever"),
            ],
            Merged::Before612TypeSafe
            | Merged::In612
            | Merged::In612TypeSafe
            | Merged::In612ShrinkerAwaited
            | Merged::In612NeighbourRearmed
            | Merged::In7 => &[],
            Merged::In612Shrinker => &[
                (
                    Promise::BarrierCovers,
                    "objects that the shrinker took off the lists belong to no work \
                    item",
                ),
                (Promise::MemoryOutlivesObjects, "so the destroy finds its objects"),
                (Promise::NoFalseSplat, "and reports them"),
                (Promise::DestroyCompletes, "a cache that the kernel has given up stays for ever"),
            ],
            Merged::In612Neighbour => {
                &[(Promise::DeferredFreeComes, "the barrier cancels a monitor that a later call has armed")]
            }
            Merged::In618 => &[(
                Promise::BarrierCovers,
                "the barrier does not wait for the callbacks of the \
                sheaves",
            )],
            Merged::In619 => &[(
                Promise::BarrierCovers,
                "a CPU that is going offline is no longer online, but its sheaves are not flushed yet",
            )],
            Merged::In7Idle => &[(Promise::DeferredFreeComes, "no code flushes a sheaf that is not full")],
        }
    }

    fn api_changes(&self) -> &'static str {
        "none"
    }
}
