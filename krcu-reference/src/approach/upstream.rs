//! Upstream: what was merged, generation by generation, each a set of facts that a kernel shows.
//!
//! Before 6.12 the destroy waits for nobody. 6.12 calls `kvfree_rcu_barrier()` in it: for each CPU,
//! what is on the lists becomes a batch, then monitors are cancelled and batches flushed. With sheaves
//! (6.18) the sheaves of the cache are flushed first, to `call_rcu()`; the generation that first did so
//! per cache did not wait for those callbacks in the barrier (b55b423e8518 does) and did not hold CPU
//! hotplug off meanwhile (67ea9d353d0b does). Each of these is a row, and each fix a mutant.
//!
//! Two windows that reading the source suggests are rows of their own: the shrinker calls the monitor
//! directly, so that what it has taken off its lists is nobody's work item; and the barrier cancels a
//! monitor that a later call has armed meanwhile.

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
    /// Nothing.
    Before612,
    /// Nothing, and a type-safe cache, which a work item releases.
    Before612TypeSafe,
    /// `kvfree_rcu_barrier()` in the destroy.
    In612,
    /// The same, and a type-safe cache, for which it calls `rcu_barrier()`.
    In612TypeSafe,
    /// The same, with a shrinker that runs.
    In612Shrinker,
    /// The same, beside somebody whose cache stays.
    In612Neighbour,
    /// Sheaves; the barrier flushes them and does not wait for the callbacks.
    In618,
    /// It waits; CPU hotplug is not held off.
    In619,
    /// It is.
    In7,
    /// The same, beside a cache that nobody uses any more.
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

/// The part of the barrier that is about lists and batches.
fn lists() -> Vec<Op> {
    vec![Op::Offload, Op::Drain]
}

impl Upstream {
    fn has_sheaves(&self) -> bool {
        matches!(self.0, Merged::In618 | Merged::In619 | Merged::In7 | Merged::In7Idle)
    }

    /// The part that is about sheaves.
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
        chain([vec![Op::Enter(call)], self.sheaves(cache), lists(), vec![Op::Leave(call)]])
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
            Merged::In612Neighbour => "6.12, beside a cache that stays",
            Merged::In618 => "6.18",
            Merged::In619 => "6.19",
            Merged::In7 => "7.x",
            Merged::In7Idle => "7.x, beside an idle cache",
        }
    }

    fn section(&self) -> &'static str {
        "(what was merged)"
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
            // What it is about is the second module's cache; the first frees by callbacks, as it has to.
            Merged::Before612TypeSafe => return chain([rcu_barrier(), plain_destroy(cache)]),
            _ => {}
        }
        // The shutdown flushes sheaves once more, and waits for them, where there are any.
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
            Merged::In612Neighbour | Merged::In7Idle => vec![],
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
        self.0 == Merged::In612Shrinker
    }

    fn breaks(&self) -> &'static [(Promise, &'static str)] {
        match self.0 {
            Merged::Before612 => &[
                (Promise::MemoryOutlivesObjects, "the destroy waits for nobody"),
                (Promise::NoFalseSplat, "what is queued looks like a leak"),
                (Promise::DestroyCompletes, "a cache that was given up stays for ever"),
            ],
            Merged::Before612TypeSafe | Merged::In612 | Merged::In612TypeSafe | Merged::In7 => &[],
            Merged::In612Shrinker => &[
                (Promise::BarrierCovers, "what the shrinker took off the lists is no work item's"),
                (Promise::MemoryOutlivesObjects, "so the destroy finds its objects"),
                (Promise::NoFalseSplat, "and reports them"),
                (Promise::DestroyCompletes, "a cache that was given up stays for ever"),
            ],
            Merged::In612Neighbour => {
                &[(Promise::DeferredFreeComes, "the barrier cancels a monitor that a later call has armed")]
            }
            Merged::In618 => &[(Promise::BarrierCovers, "the sheaves' callbacks are not waited for")],
            Merged::In619 => &[(
                Promise::BarrierCovers,
                "a CPU that is going offline is not online, and its sheaves are not flushed yet",
            )],
            Merged::In7Idle => &[(Promise::DeferredFreeComes, "nothing flushes a sheaf that is not full")],
        }
    }

    fn api_changes(&self) -> &'static str {
        "none"
    }
}
