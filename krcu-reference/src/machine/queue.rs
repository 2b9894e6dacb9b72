//! Queue: where `kfree_rcu()` puts an object, under the lock of the CPU that it runs on.
//!
//! It tries these places in turn. First, a sheaf of the object's cache, where the kernel has sheaves: an
//! array that goes to `call_rcu()` as a whole when it is full. Before that, only a barrier, the cache's
//! shutdown or the CPU going away flushes it. Second, the CPU's `krc`: the newest page of pointers of the
//! object's channel, if it has room or a cached page can take its place. Last, the fallback list, linked
//! through the objects' own heads. Without a head, the call itself waits for a grace period.

use super::{
    CacheIndex, Life, Machine, Move, ObjectIndex, Seen,
    fault::Fault,
    parts::{Callback, Duty, Page},
    sequence::Cookie,
};
use krcu_common::QueueForm;
use krcu_model::event::{Cpu, Site, Task, What};

/// What happened to a pointer that was to be queued.
pub(crate) enum Put {
    /// It is in a sheaf, on a page or on the list.
    Queued,
    /// There is no room, and no head to make a list of: the call itself has to wait.
    MustWait,
}

impl Machine {
    /// Whether a CPU holds objects whose free is deferred.
    #[must_use]
    pub fn holds_objects(&self, cpu: Cpu) -> bool {
        let processor = self.cpu(cpu);
        let krc = &processor.krc;
        krc.has_queued()
            || krc.krw.iter().any(|krw| !krw.is_idle())
            || processor.sheaves.iter().any(|sheaf| !sheaf.objects.is_empty())
            || processor.callbacks.iter().any(|callback| matches!(callback.duty, Duty::Module(_)))
    }

    /// `kvfree_call_rcu()`, up to the point where a call without memory would wait.
    pub(crate) fn put(
        &mut self,
        object: ObjectIndex,
        task: Task,
        cpu: Cpu,
        headless: bool,
        seen: &mut Seen,
    ) -> Put {
        let what = What::Queued {
            object: self.object_address(object),
            cache: self.cache_address_of(object),
            site: Site(0),
            form: QueueForm::of(headless),
        };
        self.say(seen, task, cpu, what);
        self.set_life(object, Life::Queued);
        if self.put_in_sheaf(object, cpu) {
            return Put::Queued;
        }
        let added = self.put_on_page(object, cpu, headless);
        if !added {
            self.cpu_mut(cpu).krc.fill = true;
            if headless {
                return Put::MustWait;
            }
            let cookie = self.ask();
            let keep = self.has_fault(Fault::FirstListCookieKept);
            let krc = &mut self.cpu_mut(cpu).krc;
            if !keep || krc.head.is_empty() {
                krc.head_cookie = cookie;
            }
            krc.head.push(object);
        }
        self.arm_monitor(cpu);
        Put::Queued
    }

    /// The queueing call returns.
    pub(crate) fn say_returned(&self, object: ObjectIndex, task: Task, cpu: Cpu, seen: &mut Seen) {
        self.say(seen, task, cpu, What::QueueReturned { object: self.object_address(object) });
    }

    /// `kfree_rcu_sheaf()`: whether a sheaf took it.
    fn put_in_sheaf(&mut self, object: ObjectIndex, cpu: Cpu) -> bool {
        let Some(cache) = self.object_setup(object).cache.filter(|_| self.setup.generation.has_sheaves)
        else {
            return false;
        };
        let (pressure, capacity) = (self.pressure, self.setup.sizes.sheaf_capacity);
        let sheaf = &mut self.cpu_mut(cpu).sheaves[usize::from(cache.0)];
        if !sheaf.present && pressure {
            return false;
        }
        sheaf.present = true;
        sheaf.objects.push(object);
        if sheaf.objects.len() >= capacity {
            self.detach_sheaf(cpu, cache, cpu);
        }
        true
    }

    /// The sheaves of a CPU that may be flushed although they are not full.
    pub(crate) fn sheaf_moves(&self, cpu: Cpu, moves: &mut Vec<Move>) {
        if self.setup.generation.repairs.sheaves_age {
            let caches = (0..).map(CacheIndex).zip(&self.cpu(cpu).sheaves);
            let old = caches.filter(|(_, sheaf)| !sheaf.objects.is_empty());
            moves.extend(old.map(|(cache, _)| Move::SheafAges(cpu, cache)));
        }
    }

    /// Takes the sheaf of a cache off a CPU, and hands it to `call_rcu()` on that CPU or another.
    pub(crate) fn detach_sheaf(&mut self, cpu: Cpu, cache: CacheIndex, on: Cpu) {
        let sheaf = std::mem::take(&mut self.cpu_mut(cpu).sheaves[usize::from(cache.0)]);
        if sheaf.present {
            let cookie =
                if self.has_fault(Fault::SheafWithoutGrace) { Cookie::default() } else { self.ask() };
            self.cpu_mut(on)
                .callbacks
                .push_back(Callback { duty: Duty::Sheaf(cache, sheaf.objects), cookie });
        }
    }

    /// `add_ptr_to_bulk_krc_lock()`.
    fn put_on_page(&mut self, object: ObjectIndex, cpu: Cpu, headless: bool) -> bool {
        let channel = usize::from(self.object_setup(object).cache.is_none());
        let (entries, pressure) = (self.setup.sizes.bulk_entries, self.pressure);
        let cookie = self.ask();
        let keep = self.has_fault(Fault::FirstCookieKept);
        let krc = &mut self.cpu_mut(cpu).krc;
        let has_room = krc.bulk[channel].last().is_some_and(|page| page.objects.len() < entries);
        if !has_room {
            if krc.cached_pages > 0 {
                krc.cached_pages -= 1;
            } else if !headless || pressure {
                return false;
            }
            krc.bulk[channel].push(Page { objects: Vec::new(), cookie });
        }
        let Some(page) = krc.bulk[channel].last_mut() else { return false };
        if !keep {
            page.cookie = cookie;
        }
        page.objects.push(object);
        true
    }

    /// The cookie for a request that is made now (`get_state_synchronize_rcu()`).
    pub(crate) fn ask(&self) -> Cookie {
        if self.has_fault(Fault::HalfAGrace) { self.grace.half_a_snap() } else { self.grace.snap() }
    }

    /// `fill_page_cache_func()`.
    pub(crate) fn fill_pages(&mut self, cpu: Cpu) {
        let (pressure, target) = (self.pressure, self.setup.sizes.cached_pages);
        let krc = &mut self.cpu_mut(cpu).krc;
        krc.fill = false;
        if !pressure {
            krc.cached_pages = krc.cached_pages.max(target);
        }
    }
}
