//! Run: what the tests of verdicts make their events with.

#![allow(dead_code, reason = "no test file needs all of it")]

use krcu_common::{BarrierKind, FreePath, QueueForm};
use krcu_model::{
    Event, State, Verdict, VerdictKind, Watch,
    event::{
        CacheAddress, CacheFacts, Cpu, Domain, FunctionAddress, Gap, Leftover, LossReason, ObjectAddress,
        Scope, Site, Task, Time, What,
    },
    state::Blind,
    verdicts,
};

pub(crate) const CACHE: CacheAddress = CacheAddress(0x1000);
pub(crate) const OTHER: CacheAddress = CacheAddress(0x2000);
/// The task that runs a module's exit function.
pub(crate) const EXIT: u32 = 10;
/// The task on top of which callbacks run.
pub(crate) const SOFTIRQ: u32 = 0;
/// A callback has returned.
pub(crate) const RETURNED: What = What::BatchFreed { path: FreePath::Callback };
/// A worker that frees.
pub(crate) const WORKER: u32 = 20;

/// A run: events, a microsecond apart unless a case says otherwise.
pub(crate) struct Run {
    pub(crate) state: State,
    now: u64,
}

impl Run {
    pub(crate) fn new() -> Run {
        Run::with(Vec::new())
    }

    /// Callbacks are seen queued and not run; grace periods are not seen, unless a case is about them.
    pub(crate) fn with(mut blind: Vec<Blind>) -> Run {
        blind.extend([Blind::CallbackRuns, Blind::Grace]);
        Run::seeing(blind)
    }

    /// A live watch from which nothing is hidden but grace periods, which these cases are not about.
    pub(crate) fn live() -> Run {
        Run::seeing(vec![Blind::Grace, Blind::Inside])
    }

    pub(crate) fn seeing(blind: Vec<Blind>) -> Run {
        Run {
            state: State::new(Watch { attached: Time(0), possible_cpus: 2, blind, ..Watch::default() }),
            now: 0,
        }
    }

    /// The same, with modules that are older and may have queued callbacks before.
    pub(crate) fn late(deferring: Vec<String>) -> Run {
        let blind = vec![Blind::Grace, Blind::Inside];
        let watch = Watch { attached: Time(0), possible_cpus: 2, blind, deferring };
        Run { state: State::new(watch), now: 0 }
    }

    /// On a machine with this many CPUs.
    pub(crate) fn on(possible_cpus: u16) -> Run {
        let (possible_cpus, blind) = (u32::from(possible_cpus), vec![Blind::CallbackRuns, Blind::Grace]);
        Run {
            state: State::new(Watch { attached: Time(0), possible_cpus, blind, ..Watch::default() }),
            now: 0,
        }
    }

    /// The same, whose last probe was attached at this microsecond.
    pub(crate) fn attached(microseconds: u64) -> Run {
        let (attached, blind) = (Time(microseconds * 1000), vec![Blind::Grace, Blind::Inside]);
        Run { state: State::new(Watch { attached, possible_cpus: 2, blind, ..Watch::default() }), now: 0 }
    }

    pub(crate) fn at(mut self, microseconds: u64) -> Run {
        self.now = microseconds * 1000;
        self
    }

    pub(crate) fn then(mut self, task: u32, what: What) -> Run {
        self.state.step(Event { time: Time(self.now), task: Task(task), cpu: Cpu(0), what });
        self.now += 1000;
        self
    }

    pub(crate) fn created(self, cache: CacheAddress) -> Run {
        let what =
            What::CacheCreated { cache, facts: facts(1), asked_name: "cache".to_owned(), site: Site(0) };
        self.then(EXIT, what)
    }

    pub(crate) fn queued(self, task: u32, objects: std::ops::Range<u64>) -> Run {
        objects.fold(self, |run, object| run.then(task, queued(object, false)))
    }

    /// Objects are queued on a CPU.
    pub(crate) fn queued_on(mut self, cpu: Cpu, objects: std::ops::Range<u64>) -> Run {
        for object in objects {
            let what = queued(object, false);
            self.state.step(Event { time: Time(self.now), task: Task(EXIT), cpu, what });
            self.now += 1000;
        }
        self
    }

    pub(crate) fn freed(self, objects: std::ops::Range<u64>, path: FreePath) -> Run {
        objects
            .fold(self, |run, object| run.then(WORKER, freed(object, path)))
            .then(WORKER, What::BatchFreed { path })
    }

    /// Callbacks are queued, a microsecond apart, with a head in each object.
    pub(crate) fn callbacks(self, task: u32, heads: std::ops::Range<u64>) -> Run {
        heads.fold(self, |run, head| run.then(task, callback(head)))
    }

    /// Callbacks run and return, one after the other.
    pub(crate) fn ran(self, heads: std::ops::Range<u64>) -> Run {
        heads.fold(self, |run, head| run.then(SOFTIRQ, runs(head)).then(SOFTIRQ, RETURNED))
    }

    pub(crate) fn barrier(self, task: u32, barrier: BarrierKind) -> Run {
        self.then(
            task,
            What::BarrierBegin { barrier, rcu_works_flushed: 0, site: Site(0), comm: String::new() },
        )
        .then(task, What::BarrierEnd { barrier, cache: None, of: 0 })
    }

    /// From here on, this number stands for these frames.
    pub(crate) fn site(self, site: u32, frames: &[&str]) -> Run {
        let frames = frames.iter().map(|frame| (*frame).to_owned()).collect();
        self.then(EXIT, What::Site { site: Site(site), frames })
    }

    /// A barrier whose caller is known, from begin to end.
    pub(crate) fn barrier_from(self, task: u32, barrier: BarrierKind, site: u32) -> Run {
        let (site, comm) = (Site(site), "somebody".to_owned());
        self.then(task, What::BarrierBegin { barrier, rcu_works_flushed: 0, site, comm })
            .then(task, What::BarrierEnd { barrier, cache: None, of: 0 })
    }

    pub(crate) fn destroy_begin(self) -> Run {
        self.destroy_begin_from(0)
    }

    pub(crate) fn destroy_begin_from(self, site: u32) -> Run {
        let what = What::DestroyBegin {
            cache: CACHE,
            facts: facts(1),
            site: Site(site),
            comm: "rmmod".to_owned(),
            counted: false,
        };
        self.then(EXIT, what)
    }

    pub(crate) fn look(self, rcu_works_flushed: u32) -> Run {
        self.then(EXIT, What::ShutdownBegin { cache: CACHE, rcu_works_flushed })
    }

    pub(crate) fn emptied(self) -> Run {
        self.then(EXIT, What::ShutdownEnd { empty: Some(true), left: None })
            .then(EXIT, What::CacheReleased { cache: CACHE })
    }

    pub(crate) fn left(self, objects: u64) -> Run {
        let left = Some(Leftover { objects, listed: objects });
        self.then(EXIT, What::ShutdownEnd { empty: Some(false), left })
    }

    pub(crate) fn gap(self, from: u64, until: u64) -> Run {
        let (from, until) = (Time(from * 1000), Time(until * 1000));
        self.then(
            0,
            What::Gap(Gap {
                reason: LossReason::RingFull,
                events: 3,
                from,
                until,
                scope: Scope::Everything,
                programs: Vec::new(),
            }),
        )
    }

    /// The only verdict.
    pub(crate) fn verdict(&self) -> Verdict {
        let mut all = verdicts(&self.state);
        assert_eq!(all.len(), 1, "{all:#?}");
        all.remove(0)
    }

    pub(crate) fn kinds(&self) -> Vec<VerdictKind> {
        verdicts(&self.state).iter().map(|verdict| verdict.decision.kind).collect()
    }
}

pub(crate) fn facts(refcount: i32) -> CacheFacts {
    CacheFacts { name: "cache".to_owned(), object_size: 64, refcount }
}

pub(crate) fn queued(object: u64, headless: bool) -> What {
    What::Queued { object: ObjectAddress(object), cache: CACHE, site: Site(0), form: QueueForm::of(headless) }
}

pub(crate) fn freed(object: u64, path: FreePath) -> What {
    What::Freed { object: ObjectAddress(object), cache: CACHE, path }
}

/// A barrier of one task from begin to end, with what another does in between.
pub(crate) fn around(run: Run, task: u32, barrier: BarrierKind, inner: impl FnOnce(Run) -> Run) -> Run {
    let run = inner(run.then(
        task,
        What::BarrierBegin { barrier, rcu_works_flushed: 0, site: Site(0), comm: String::new() },
    ));
    run.then(task, What::BarrierEnd { barrier, cache: None, of: 0 })
}

pub(crate) fn callback(object: u64) -> What {
    What::CallbackQueued {
        object: ObjectAddress(object),
        cache: CACHE,
        function: FunctionAddress(0),
        text: None,
        domain: Domain::default(),
        site: Site(0),
    }
}

pub(crate) fn freed_by_its_call(object: u64) -> What {
    freed(object, FreePath::Single)
}

pub(crate) fn runs(head: u64) -> What {
    What::CallbackRuns { object: ObjectAddress(head), cache: CACHE }
}
