//! Setup: what does not change in a world of the judge: its tasks, what they may call, and what its kernel waits for.

use super::watch::{Loss, Plan};

/// A task.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Actor {
    /// The exit function of the module whose cache is judged.
    Exit,
    /// Another task of the same module.
    Helper,
    /// A task of another module.
    Other,
}

impl Actor {
    /// All of them, by their place.
    pub const ALL: [Actor; 3] = [Actor::Exit, Actor::Helper, Actor::Other];

    /// The task in words.
    #[must_use]
    pub fn words(self) -> &'static str {
        match self {
            Actor::Exit => "exit",
            Actor::Helper => "helper",
            Actor::Other => "other module",
        }
    }

    pub(super) fn bit(self) -> u8 {
        1 << (self as u8)
    }

    pub(super) fn task(self) -> u32 {
        10 + self as u32
    }
}

/// The call that defers a free.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum How {
    /// `kfree_rcu()`.
    KfreeRcu,
    /// `call_rcu()` with the object's own head.
    CallRcu,
    /// `call_srcu()` with the object's own head.
    CallSrcu,
    /// `call_rcu()` with a head that lies in no object of the cache.
    Elsewhere,
}

/// What a callback does with its object.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Then {
    /// It frees the object.
    Frees,
    /// It frees the object and the next one.
    FreesTwo,
    /// It queues a callback of the first of these kinds, which queues the rest likewise; the last one frees the object.
    Queues(&'static [How]),
    /// It queues a work that frees the object.
    QueuesWork,
    /// It queues a work that frees the object and the next one.
    QueuesWorkForTwo,
    /// It queues a work that has nothing to do with the object, which it hands on.
    QueuesOtherWork,
    /// It hands the object on to something that krcu does not follow, such as a timer.
    HandsOn,
}

impl Then {
    /// The objects that a callback frees whose head lies in this one, at once or later.
    pub(super) fn objects(self, object: u8) -> impl Iterator<Item = u8> {
        let has_two = matches!(self, Then::FreesTwo | Then::QueuesWorkForTwo);
        (object..).take(1 + usize::from(has_two))
    }
}

/// A barrier.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Wait {
    /// `rcu_barrier()`.
    Rcu,
    /// `srcu_barrier()` of the module's domain.
    Srcu,
    /// `kvfree_rcu_barrier()`.
    Kvfree,
    /// `flush_workqueue()` of the queue that the module's works are on.
    Flush,
    /// The `rcu_barrier()` that `flush_rcu_work()` calls if it happens to meet a batch that waits.
    Chance,
}

/// A call that a task may make.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Op {
    /// Defers the free of this object.
    Defer(How, Then, u8),
    /// Frees this object at once.
    Free(u8),
    /// Calls a barrier. Its stack is taken, or is not.
    Barrier(Wait, bool),
    /// Waits until the helper has ended.
    Join,
    /// Asks for a cache, and gets the one that exists.
    Share,
    /// `kmem_cache_destroy()`.
    Destroy,
    /// The exit function returns, and the module's text is freed.
    Return,
}

/// What the destroy itself waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Inner {
    /// For nothing (before 6.12).
    Nothing,
    /// `kvfree_rcu_barrier()` (6.12).
    Barrier,
    /// The same barrier, inlined (6.18).
    Inlined,
    /// The same, and `rcu_barrier()` (7.x).
    AndCallbacks,
}

/// A world.
#[derive(Clone, Debug)]
pub struct Setup {
    /// Its name.
    pub name: &'static str,
    /// What the destroy waits for.
    pub inner: Inner,
    /// For each object: whether it is of the cache that is judged. All are allocated at the beginning.
    pub objects: &'static [bool],
    /// What the tasks may call. A task calls them in this order, and may leave out any of them.
    pub ops: &'static [(Actor, Op)],
    /// With which plans and losses a judge listens to it, besides the full plan that loses nothing.
    pub watches: &'static [(Plan, Loss)],
    /// Whether the probes are attached at some moment, not at the beginning.
    pub attaches: bool,
    /// The most objects whose frees are deferred.
    pub most: usize,
    /// Users of the cache at the beginning.
    pub users: u8,
    /// Whether grace periods are moves of their own. Else a callback may run as soon as it is queued.
    pub has_graces: bool,
    /// Whether what a callback does with its object, and what a look counts, are moves of their own. Else nothing happens
    /// between the begin of a look and its end, and a callback has done what it does as soon as it has begun.
    pub is_fine: bool,
    /// Whether an object that is freed during the look may be counted as one that is left.
    pub miscounts: bool,
    /// Whether the kernel may break its promise: it finds nothing in the slabs where something is left.
    pub overlooks: bool,
    /// Whether more is possible than this world holds: who defers during the look may have allocated during it. Then it
    /// is not asked whether `inconclusive` is lazy.
    pub hides: bool,
}

/// A world in which nobody calls anything.
pub const PLAIN: Setup = Setup {
    name: "",
    inner: Inner::Nothing,
    objects: &[true],
    ops: &[],
    watches: &[],
    attaches: false,
    most: usize::MAX,
    users: 1,
    has_graces: false,
    is_fine: false,
    miscounts: false,
    overlooks: false,
    hides: false,
};
