//! Lives: what an object is from the call that queues it to the one that frees it, as the state believes it.

use std::collections::BTreeMap;

use krcu_common::{FreePath, QueueForm};
use krcu_model::{
    State,
    event::{CacheAddress, Cpu, ObjectAddress, Task, Time},
    script::Word as _,
    state::{CacheId, Freer, Outstanding},
};

use super::{batches::path_word, since_attach, words::Object};

/// Objects whose cache was released while they were outstanding.
#[derive(Debug, Default)]
pub(super) struct Orphans(BTreeMap<ObjectAddress, (CacheId, Outstanding)>);

/// What is known of an object that is freed.
#[derive(Clone, Copy, Debug)]
pub(super) struct Life {
    pub(super) object: ObjectAddress,
    pub(super) cache: CacheId,
    pub(super) queued: Outstanding,
    /// Whether its cache was gone.
    pub(super) late: bool,
}

/// How a free was.
#[derive(Clone, Copy, Debug)]
pub(super) struct Free {
    pub(super) at: Time,
    pub(super) freer: Freer,
    pub(super) path: FreePath,
    pub(super) batch: u64,
}

impl Orphans {
    /// What the state will take a free of this object for, before it does.
    pub(super) fn life(&mut self, state: &State, object: ObjectAddress, cache: CacheAddress) -> Option<Life> {
        if state.is_orphan(object) {
            return self.0.remove(&object).map(|(cache, queued)| Life { object, cache, queued, late: true });
        }
        let cache = state.cache_at(cache)?;
        let queued = cache.outstanding.get(object)?;
        Some(Life { object, cache: cache.life.id, queued, late: false })
    }

    /// A cache was released with these objects; gives what was known of others at these addresses.
    pub(super) fn take(&mut self, cache: CacheId, objects: Vec<(ObjectAddress, Outstanding)>) -> Vec<Life> {
        let replaced = objects.into_iter().filter_map(|(object, queued)| {
            let (cache, queued) = self.0.insert(object, (cache, queued))?;
            Some(Life { object, cache, queued, late: true })
        });
        replaced.collect()
    }

    /// Those that were not seen freed.
    pub(super) fn rest(&mut self) -> Vec<Life> {
        let rest = std::mem::take(&mut self.0).into_iter();
        rest.map(|(object, (cache, queued))| Life { object, cache, queued, late: true }).collect()
    }
}

/// Its caller says how it ended.
pub(super) fn row(
    attached: Time,
    life: &Life,
    grace_over: Option<Time>,
    free: Option<Free>,
    (end, again): (&'static str, Option<Time>),
) -> Object {
    let queued = life.queued;
    Object {
        cache: life.cache.0,
        object: life.object.0,
        queued_at_ns: since_attach(attached, queued.queued.time),
        queued_by: queued.task.0,
        queued_on: u32::from(queued.cpu.0),
        site: queued.stack.0,
        form: queued.form.word(),
        grace_over_at_ns: grace_over.map(|over| since_attach(attached, over)),
        freed_at_ns: free.map(|free| since_attach(attached, free.at)),
        path: free.map(|free| path_word(free.path)),
        batch: free.map(|free| free.batch),
        age_ns: free.map(|free| free.at.since(queued.queued.time)),
        over_at_ns: free.map(|free| free.at).or(again).map(|over| since_attach(attached, over)),
        end,
    }
}

/// How the life of an object ends that is freed so.
pub(super) fn end_of(life: &Life, free: &Free) -> &'static str {
    let Outstanding { task, cpu, form, .. } = life.queued;
    if life.late {
        "late"
    } else if form == QueueForm::Headless && free.path == FreePath::Single && free.freer == freer(task, cpu) {
        "within-call"
    } else {
        "freed"
    }
}

fn freer(task: Task, cpu: Cpu) -> Freer {
    Freer::of(task, cpu)
}
