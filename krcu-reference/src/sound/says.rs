//! Says: the events of the small kernel, with their addresses.

use krcu_common::{BarrierKind, Flavour, QueueForm};
use krcu_model::event::{CacheAddress, CacheFacts, Domain, FunctionAddress, ObjectAddress, Site, What};

use super::setup::{Actor, How, Setup, Wait};

pub(super) const ELSEWHERE: CacheAddress = CacheAddress(krcu_common::wire::ELSEWHERE);
pub(super) const SRCU: u64 = 0x5000;
pub(super) const QUEUE: u64 = 0x6000;
/// The cache that is judged.
pub(super) const MINE: CacheAddress = CacheAddress(0x1000);
/// Another cache.
pub(super) const THEIRS: CacheAddress = CacheAddress(0x2000);

pub(super) fn kind(wait: Wait) -> BarrierKind {
    match wait {
        Wait::Rcu | Wait::Chance => BarrierKind::Rcu,
        Wait::Srcu => BarrierKind::Srcu,
        Wait::Kvfree => BarrierKind::Kvfree,
        Wait::Flush => BarrierKind::Workqueue,
    }
}

pub(super) fn inner_begins(actor: Actor, barrier: BarrierKind) -> What {
    let (site, comm) = (Site(actor as u32 + 1), actor.words().to_owned());
    What::BarrierBegin { barrier, rcu_works_flushed: 0, site, comm }
}

pub(super) fn facts(refcount: i32) -> CacheFacts {
    CacheFacts { name: "mine".to_owned(), object_size: 64, refcount }
}

pub(super) fn created(users: i32) -> What {
    let (asked_name, site) = ("mine".to_owned(), Site(4));
    What::CacheCreated { cache: MINE, facts: facts(users), asked_name, site }
}

pub(super) fn object_address(object: u8) -> ObjectAddress {
    ObjectAddress(0x10000 + u64::from(object) * 64)
}

pub(super) fn cache_of(setup: &Setup, object: u8) -> CacheAddress {
    if setup.objects[usize::from(object)] { MINE } else { THEIRS }
}

pub(super) fn head(how: How, object: u8, number: usize) -> ObjectAddress {
    if how == How::Elsewhere {
        return ObjectAddress(0x20000 + number as u64 * 64);
    }
    ObjectAddress(object_address(object).0 + 16)
}

pub(super) fn work(number: usize) -> ObjectAddress {
    ObjectAddress(0x30000 + number as u64 * 64)
}

/// The address of the callback in the text of the module, of this task.
pub(super) fn function(actor: Actor) -> FunctionAddress {
    FunctionAddress(if actor == Actor::Other { 0x702 } else { 0x701 })
}

pub(super) fn queued(setup: &Setup, how: How, object: u8, number: usize, by: Actor) -> What {
    let (address, cache, site) = (object_address(object), cache_of(setup, object), Site(by as u32 + 1));
    let flavour = if how == How::CallSrcu { Flavour::Srcu } else { Flavour::Rcu };
    let domain = Domain { flavour, address: if how == How::CallSrcu { SRCU } else { 0 } };
    match how {
        How::KfreeRcu => What::Queued { object: address, cache, site, form: QueueForm::Head },
        _ => What::CallbackQueued {
            object: head(how, object, number),
            cache: if how == How::Elsewhere { ELSEWHERE } else { cache },
            function: function(by),
            text: None,
            domain,
            site,
        },
    }
}

/// A callback of the module queues another one, with the same head. So many generations follow that one.
pub(super) fn queued_by_callback(setup: &Setup, of: (How, usize), object: u8, by: Actor) -> What {
    let (how, more) = of;
    let mut what = queued(setup, how, object, 0, by);
    if let What::CallbackQueued { function, site, .. } = &mut what {
        (*function, *site) = (FunctionAddress(0x704 + more as u64), Site(6));
    }
    what
}

pub(super) fn work_queued(number: usize) -> What {
    What::CallbackQueued {
        object: work(number),
        cache: ELSEWHERE,
        function: FunctionAddress(0x703),
        text: None,
        domain: Domain { flavour: Flavour::Work, address: QUEUE },
        site: Site(0),
    }
}
