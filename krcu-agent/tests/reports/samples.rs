//! Reports as runs give them, with figures chosen so that each can be found again in what is printed.

use krcu_agent::outcome::{Outcome, Policy, Setting};
use krcu_model::{
    Event, State, VerdictKind, Watch,
    event::{CacheAddress, CacheFacts, Cpu, Losses, Task, Time, What},
    verdict::{CpuCount, DestroyedBy, KernelResult, Ordering, SiteCount},
};
use krcu_report::{FlatVerdict, verdicts};
use krcu_trace::meta::Account;

/// The advice for `pending`, as the model words it.
const DEFER_OTHERWISE: &str = "this kernel's kmem_cache_destroy() does not wait for kfree_rcu(): free with \
                               call_rcu() and call rcu_barrier() before destroying";

fn strings(texts: &[&str]) -> Vec<String> {
    texts.iter().map(|text| (*text).to_owned()).collect()
}

/// A cache of 64 bytes that `rmmod` destroyed 1.2 s into the run, with nothing left and nothing deferred.
pub(crate) fn clean(cache: &str, module: &str) -> FlatVerdict {
    let mut state =
        State::new(Watch { attached: Time(0), possible_cpus: 2, blind: Vec::new(), ..Watch::default() });
    let address = CacheAddress(1);
    let facts = CacheFacts { name: cache.to_owned(), object_size: 64, refcount: 1 };
    let comm = "rmmod".to_owned();
    let site = krcu_model::event::Site(0);
    let created =
        What::CacheCreated { cache: address, facts: facts.clone(), asked_name: cache.to_owned(), site };
    let destroy = What::DestroyBegin { cache: address, facts, site, comm, counted: false };
    let look = What::ShutdownBegin { cache: address, rcu_works_flushed: 0 };
    let end = What::ShutdownEnd { empty: Some(true), left: None };
    for (ns, what) in [(5, created), (1_204_000_000, destroy), (1_204_000_900, look), (1_204_002_000, end)] {
        state.step(Event { time: Time(ns), task: Task(412), cpu: Cpu(0), what });
    }
    let mut verdict = verdicts(&state).remove(0);
    assert_eq!(verdict.verdict, VerdictKind::Clean);
    verdict.module = Some(module.to_owned());
    let frame = format!("my_exit+0x384 [{module}]");
    verdict.destroyed_by = DestroyedBy { comm: "rmmod".to_owned(), task: 412, stack: vec![frame] };
    verdict
}

/// 777 deferred frees at the look, on a kernel that does not wait; all land while krcu settles.
pub(crate) fn pending() -> FlatVerdict {
    let site = |objects, frames: &[&str]| SiteCount { objects, stack: strings(frames) };
    FlatVerdict {
        verdict: VerdictKind::Pending,
        flagged: true,
        flagged_strictly: true,
        queued_by_kfree_rcu: 777,
        kernel_result: KernelResult::ObjectsRemain,
        kernel_objects_left: Some(777),
        kernel_objects_listed: Some(29),
        oldest_age_ns: Some(3_149_000),
        sites: vec![
            site(700, &["my_flush+0x51 [my_module]", "my_exit+0x37f [my_module]", "do_syscall_64+0x59"]),
            site(77, &["my_timer+0x20 [my_module]", "call_timer_fn+0x24"]),
        ],
        cpus: vec![CpuCount { cpu: Cpu(0), objects: 700 }, CpuCount { cpu: Cpu(1), objects: 77 }],
        queued_ever: 1_604,
        ordering: Ordering::Unordered,
        rcu_barrier_before_ns: Some(812_000),
        late_frees: 777,
        last_late_free_ns: Some(21_400_000),
        advice: DEFER_OTHERWISE.to_owned(),
        ..clean("my_cache", "my_module")
    }
}

/// The destroy waited for its own 10,000 and three of another cache.
pub(crate) fn waited() -> FlatVerdict {
    FlatVerdict {
        verdict: VerdictKind::Waited,
        flagged_strictly: true,
        queued_ever: 10_000,
        barrier_inside: true,
        wait_ns: Some(38_250_000),
        waited_for_own: 10_000,
        waited_for_other: 3,
        waited_grace_periods: Some(2),
        ordering: Ordering::Ordered,
        sites: vec![SiteCount { objects: 10_000, stack: strings(&["my_flush+0x51 [my_module]"]) }],
        cpus: vec![CpuCount { cpu: Cpu(1), objects: 10_000 }],
        advice: "safe here; this exit path needs a kernel whose kmem_cache_destroy() waits (mainline: 6.12 \
                 and later)"
            .to_owned(),
        ..clean("my_cache", "my_module")
    }
}

/// One deferred free that happened to end 400 ms before the destroy.
pub(crate) fn unordered() -> FlatVerdict {
    FlatVerdict {
        verdict: VerdictKind::Unordered,
        flagged_strictly: true,
        queued_ever: 1,
        ordering: Ordering::Unordered,
        margin_ns: Some(400_000_000),
        sites: vec![SiteCount { objects: 0, stack: strings(&["my_put+0x18 [my_module]"]) }],
        advice: "the race exists and was won by luck: no barrier on this path covers kfree_rcu(); free with \
                 call_rcu() and call rcu_barrier() before destroying, or need a kernel whose destroy waits"
            .to_owned(),
        ..clean("lucky_cache", "my_module")
    }
}

/// Events were lost while the cache lived.
pub(crate) fn inconclusive() -> FlatVerdict {
    FlatVerdict {
        verdict: VerdictKind::Inconclusive,
        queued_ever: 23,
        ordering: Ordering::Unknown,
        leaked: None,
        notes: strings(&[
            "1200 events were lost because the ring was full",
            "3 events were missed because the probe was already running on that CPU",
        ]),
        advice: "decide it by a run that sees everything: attach before the module is loaded, and with a \
                 larger --ring-bytes if events were lost"
            .to_owned(),
        ..clean("my_cache", "my_module")
    }
}

/// Five objects that nobody queued, of a cache whose module is not known.
pub(crate) fn leaked() -> FlatVerdict {
    FlatVerdict {
        verdict: VerdictKind::Leaked,
        flagged: true,
        flagged_strictly: true,
        module: None,
        leaked: Some(5),
        kernel_result: KernelResult::ObjectsRemain,
        kernel_objects_left: Some(5),
        kernel_objects_listed: Some(5),
        advice: "nobody queued these objects: free every object before destroying its cache".to_owned(),
        ..clean("leaky", "my_module")
    }
}

/// A reference to a merged cache was dropped.
pub(crate) fn alias() -> FlatVerdict {
    FlatVerdict {
        verdict: VerdictKind::Alias,
        aliases: strings(&["my_inode"]),
        kernel_result: KernelResult::ReferenceDropped,
        leaked: None,
        notes: strings(&["the cache is merged with another and stays for it; this dropped a reference"]),
        ..clean("kmalloc-64", "my_module")
    }
}

/// A cache that is older than the probes and was found empty.
pub(crate) fn older() -> FlatVerdict {
    FlatVerdict {
        created_while_watched: false,
        ordering: Ordering::Unknown,
        notes: strings(&[
            "nothing was left, but what was queued before the probes were attached is not known to be \
             ordered: attach before the module is loaded to know",
        ]),
        advice: "nothing to do for this run; with --strict, attach before the module is loaded".to_owned(),
        ..clean("old_cache", "my_module")
    }
}

/// A run of 3.2 s on Debian 6.1 in which the command succeeded and nothing was lost.
pub(crate) fn report(verdicts: Vec<FlatVerdict>) -> Outcome {
    Outcome {
        setting: Setting {
            run: "boot-7-412".to_owned(),
            arch: "x86_64".to_owned(),
            host: Some("test-host".to_owned()),
            began_ns: Some(1_795_971_200_000_000_000),
            command: Some(vec!["rmmod".to_owned(), "my_module".to_owned()]),
        },
        release: "6.1.0-56-cloud-amd64".to_owned(),
        probes: 16,
        events: 1_604,
        losses: Losses::default(),
        without_site: 0,
        accounts: vec![Account {
            cpu: 1,
            kind: "queued".to_owned(),
            seen: 777,
            delivered: 777,
            lost: 0,
            filtered: 0,
        }],
        attach_ns: 250_000_000,
        duration_ns: 3_204_000_000,
        verdicts,
        command_status: 0,
        events_cut_short: false,
        incomplete: None,
        failed: None,
        policy: Policy { strict: false, exit_flagged: 10, ..Policy::default() },
    }
}

/// The same with losses of every sort, one destroy among them.
pub(crate) fn report_with_losses(verdicts: Vec<FlatVerdict>) -> Outcome {
    Outcome {
        losses: Losses { ring_full: 1_200, probe_missed: 3, destroys: 1, ..Losses::default() },
        ..report(verdicts)
    }
}

/// The same under `--strict`.
pub(crate) fn strict(mut report: Outcome) -> Outcome {
    report.policy.strict = true;
    report
}
