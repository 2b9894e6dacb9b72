//! Verdict: what follows from a destroy, and why.
//!
//! [`verdicts`] looks at the state and changes nothing; it may be asked at any time, and the answer
//! is final once [`State::is_unsettled`] says that there is nothing to wait for. Each destroy has one
//! verdict; what cannot be decided is `inconclusive`, with the reasons.

use std::collections::BTreeMap;

use serde::Serialize;

use crate::{
    advice,
    event::{Cpu, Gap, LossReason},
    promise::Violation,
    stack::StackId,
    state::{Blind, Born, Destroy, Shutdown, Snapshot, State},
};

/// The verdicts of the design.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case")]
pub enum VerdictKind {
    /// Nothing of this cache was queued or allocated when it was destroyed.
    Clean,
    /// The destroy itself waited for deferred frees.
    Waited,
    /// The destroy failed, or gave memory back, with deferred frees outstanding.
    Pending,
    /// Objects that nobody queued.
    Leaked,
    /// A deferred free ran after its cache was gone.
    LateFree,
    /// Nothing was outstanding this time, but no barrier stands between.
    Unordered,
    /// The cache is shared; a reference was dropped.
    Alias,
    /// A barrier returned while something that it covers was queued.
    BarrierEarly,
    /// The kernel's own result and ours cannot both be right.
    ModelDisagrees,
    /// It cannot be decided.
    Inconclusive,
}

impl VerdictKind {
    /// The word, as it is printed.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            VerdictKind::Clean => "clean",
            VerdictKind::Waited => "waited",
            VerdictKind::Pending => "pending",
            VerdictKind::Leaked => "leaked",
            VerdictKind::LateFree => "late-free",
            VerdictKind::Unordered => "unordered",
            VerdictKind::Alias => "alias",
            VerdictKind::BarrierEarly => "barrier-early",
            VerdictKind::ModelDisagrees => "model-disagrees",
            VerdictKind::Inconclusive => "inconclusive",
        }
    }

    /// Whether it is a fault, on this kernel and on this run.
    #[must_use]
    pub fn is_flagged(self) -> bool {
        matches!(
            self,
            VerdictKind::Pending
                | VerdictKind::Leaked
                | VerdictKind::LateFree
                | VerdictKind::BarrierEarly
                | VerdictKind::ModelDisagrees
        )
    }

    /// Whether it is a fault on some kernel or on some run: what `--strict` asks.
    #[must_use]
    pub fn is_flagged_strictly(self) -> bool {
        self.is_flagged() || matches!(self, VerdictKind::Waited | VerdictKind::Unordered)
    }
}

/// What the slab shutdown returned.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case")]
pub enum KernelResult {
    /// Every slab was given back.
    Empty,
    /// Objects remain.
    ObjectsRemain,
    /// There was none: the destroy dropped a reference.
    ReferenceDropped,
    /// It was not seen.
    Unseen,
}

/// Whether every deferred free of the cache's life is ordered before its destruction.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case")]
pub enum Ordering {
    /// Nothing was ever deferred.
    NothingDeferred,
    /// A barrier that covers it stands between.
    Ordered,
    /// No such barrier.
    Unordered,
    /// What was deferred before the probes were attached is not known.
    Unknown,
}

/// Deferred frees of one queueing site.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct SiteCount {
    /// How many.
    pub objects: u64,
    /// The frames, caller first.
    pub stack: Vec<String>,
}

/// Deferred frees that one CPU queued.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct CpuCount {
    /// The CPU.
    pub cpu: Cpu,
    /// How many.
    pub objects: u64,
}

/// Who destroyed the cache.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct DestroyedBy {
    /// Name of the task.
    pub comm: String,
    /// Its thread id.
    pub task: u32,
    /// The frames, caller first.
    pub stack: Vec<String>,
}

/// One verdict, with its evidence. Counts are of objects, times in nanoseconds.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Verdict {
    /// What it is.
    pub verdict: VerdictKind,
    /// Whether it is a fault.
    pub flagged: bool,
    /// Whether `--strict` calls it one.
    pub flagged_strictly: bool,
    /// Name of the cache.
    pub cache: String,
    /// Other names under which it was asked for.
    pub aliases: Vec<String>,
    /// The module whose cache it is, where known.
    pub module: Option<String>,
    /// Bytes of an object.
    pub object_bytes: u32,
    /// Whether the cache was created while the probes were attached.
    pub created_while_watched: bool,
    /// Who destroyed it.
    pub destroyed_by: DestroyedBy,
    /// When, from the moment the probes were attached.
    pub destroyed_at_ns: u64,
    /// Objects handed to `kfree_rcu()` and not freed when the destroy looked.
    pub queued_by_kfree_rcu: u64,
    /// Objects whose callback may not have run when the destroy looked; absent when that is not known.
    pub queued_by_call_rcu: Option<u64>,
    /// Objects left that nobody queued; absent when that is not known.
    pub leaked: Option<u64>,
    /// Objects left of which it is not known whether they were queued.
    pub undecided: u64,
    /// What the kernel's slab shutdown returned.
    pub kernel_result: KernelResult,
    /// Objects left by the kernel's own counts; absent when they could not be read.
    pub kernel_objects_left: Option<u64>,
    /// Of these, objects on partial slabs: those that the kernel's report lists.
    pub kernel_objects_listed: Option<u64>,
    /// Age of the oldest deferred free when the destroy looked.
    pub oldest_age_ns: Option<u64>,
    /// Deferred frees by queueing site, most first.
    pub sites: Vec<SiteCount>,
    /// Deferred frees by the CPU that queued them.
    pub cpus: Vec<CpuCount>,
    /// Objects ever handed to `kfree_rcu()` while watched.
    pub queued_ever: u64,
    /// Callbacks in objects ever handed to `call_rcu()` while watched.
    pub callbacks_ever: u64,
    /// Whether a barrier for `kfree_rcu()` ran inside the destroy.
    pub barrier_inside: bool,
    /// How long the destroy took until it looked at its slabs.
    pub wait_ns: Option<u64>,
    /// Deferred frees of this cache for which it waited.
    pub waited_for_own: u64,
    /// Deferred frees of other watched caches that it had to wait for as well.
    pub waited_for_other: u64,
    /// Whether only the `rcu_barrier()` inside the destroy ordered callbacks of `call_rcu()` before it.
    pub waited_for_callbacks: bool,
    /// How the deferred frees are ordered before the destroy.
    pub ordering: Ordering,
    /// From the end of the last deferred free to the destroy's look.
    pub margin_ns: Option<u64>,
    /// From the return of the task's last `rcu_barrier()` to the destroy.
    pub rcu_barrier_before_ns: Option<u64>,
    /// Deferred frees seen after the look.
    pub late_frees: u64,
    /// From the look to the last of them.
    pub last_late_free_ns: Option<u64>,
    /// Why it cannot be decided, or what else to know, a sentence each.
    pub notes: Vec<String>,
    /// What to do, one sentence.
    pub advice: String,
}

/// Every verdict: the destroys in the order of their entry, then the broken promises.
#[must_use]
pub fn verdicts(state: &State) -> Vec<Verdict> {
    let destroys = state.destroys.iter().map(|destroy| of_destroy(state, destroy));
    let violations = state.violations.iter().map(|violation| of_violation(state, violation));
    destroys.chain(violations).collect()
}

/// What the kernel left behind, split by what is known of it.
#[derive(Clone, Copy, Debug, Default)]
struct Split {
    pending: u64,
    leaked: Option<u64>,
    undecided: u64,
}

fn of_destroy(state: &State, destroy: &Destroy) -> Verdict {
    let mut verdict = evidence(state, destroy);
    let losses: Vec<&Gap> = state.gaps.iter().filter(|gap| touches(state, destroy, gap)).collect();
    let (kind, notes) = decide(state, destroy, &losses, &mut verdict);
    verdict.verdict = kind;
    verdict.flagged = kind.is_flagged();
    verdict.flagged_strictly = kind.is_flagged_strictly();
    verdict.notes = notes;
    verdict.advice = advice::of(&verdict);
    verdict
}

/// Whether a loss falls into the life of this cache, as far as its verdict depends on it.
fn touches(state: &State, destroy: &Destroy, gap: &Gap) -> bool {
    let born = match &destroy.born {
        Born::Watched { at, .. } => at.time,
        Born::BeforeAttach => state.watch.attached,
    };
    let end = destroy.end.map_or(state.now.max(gap.from), |end| end.time);
    gap.from <= end && gap.until >= born
}

fn decide(
    state: &State,
    destroy: &Destroy,
    losses: &[&Gap],
    verdict: &mut Verdict,
) -> (VerdictKind, Vec<String>) {
    if destroy.facts.refcount != 1 && destroy.look.is_none() && losses.is_empty() {
        let note = match destroy.facts.refcount - 1 {
            1 => "the cache is merged with another and stays for it; this dropped a reference".to_owned(),
            others if others > 1 => {
                format!(
                    "the cache is merged with others and stays for {others} users; this dropped a reference"
                )
            }
            _ => "the cache was destroyed before, which failed: this call changes nothing".to_owned(),
        };
        return (VerdictKind::Alias, vec![note]);
    }
    let mut notes = Vec::new();
    if destroy.shutdown == Some(Shutdown::Empty) && destroy.late > 0 {
        notes.push(format!(
            "{} deferred frees ran after the memory of the cache was given back",
            destroy.late
        ));
        return (VerdictKind::LateFree, notes);
    }
    let mut lost: BTreeMap<LossReason, u64> = BTreeMap::new();
    for gap in losses {
        *lost.entry(gap.reason).or_default() += gap.events;
    }
    notes.extend(lost.iter().map(|(reason, events)| format!("{events} events were {}", reason.words())));
    let Some(shutdown) = destroy.shutdown else {
        notes.push("how the destroy ended was not seen".to_owned());
        return (VerdictKind::Inconclusive, notes);
    };
    if !losses.is_empty() {
        return (VerdictKind::Inconclusive, notes);
    }
    if state.watch.blind.contains(&Blind::Frees) && destroy.queued > 0 {
        notes.push("this kernel does not let every deferred free be seen".to_owned());
        return (VerdictKind::Inconclusive, notes);
    }
    match shutdown {
        Shutdown::Left(_) => of_failed(state, destroy, verdict, notes),
        Shutdown::Empty => of_emptied(state, destroy, verdict, notes),
    }
}

/// The kernel says that objects remain: whose are they?
fn of_failed(
    state: &State,
    destroy: &Destroy,
    verdict: &mut Verdict,
    mut notes: Vec<String>,
) -> (VerdictKind, Vec<String>) {
    let left = verdict.kernel_objects_left;
    if left.is_some_and(|left| destroy.outstanding_after > left) {
        notes.push(format!(
            "{} deferred frees are outstanding by our count, and the kernel counts {} objects",
            destroy.outstanding_after,
            left.unwrap_or(0)
        ));
        return (VerdictKind::ModelDisagrees, notes);
    }
    let split = split(state, destroy, left);
    verdict.queued_by_kfree_rcu = split.pending;
    verdict.leaked = split.leaked;
    verdict.undecided = split.undecided;
    let is_inexact = left.is_some() && split.leaked.is_none() && split.undecided == 0;
    if is_inexact {
        notes.push(
            "deferred frees ran or were queued while the kernel looked, so its count is of no one moment"
                .to_owned(),
        );
    }
    if destroy.callbacks > 0 && split.leaked.is_some_and(|leaked| leaked > 0) {
        notes.push("every callback of call_rcu() had run; what a callback hands to a work item or a timer is not followed".to_owned());
    }
    if split.undecided > 0 {
        if destroy.born == Born::BeforeAttach {
            notes.push(format!(
                "{} of the objects left were allocated before the probes were attached: attach before the module is loaded to know whether they were queued",
                split.undecided
            ));
        } else if destroy.counted {
            notes.push("deferred frees of a built-in cache are counted, not followed".to_owned());
        } else {
            verdict.queued_by_call_rcu = None;
            notes.push(format!(
                "{} of the objects left may belong to callbacks of call_rcu() that no rcu_barrier() has waited for",
                split.undecided
            ));
        }
    }
    if split.pending > 0 {
        (VerdictKind::Pending, notes)
    } else if split.undecided > 0 || is_inexact {
        (VerdictKind::Inconclusive, notes)
    } else {
        (VerdictKind::Leaked, notes)
    }
}

fn split(state: &State, destroy: &Destroy, left: Option<u64>) -> Split {
    // What was outstanding at the look; an object whose free was running then may have been free
    // already, and counts only if the kernel found something.
    let pending = destroy.at_look.outstanding + destroy.at_look.being_freed + destroy.late_unknown;
    let unknown_past = has_unknown_past(state, destroy);
    let Some(left) = left else {
        // Without the kernel's count, how many more are left is not known.
        return Split { pending, leaked: None, undecided: u64::from(pending == 0 && unknown_past) };
    };
    // The slabs were counted when the look was over, and are held against what was outstanding then:
    // frees that ran in between are in neither.
    let known = destroy.outstanding_after + destroy.being_freed_after + destroy.late_unknown;
    let rest = left.saturating_sub(known);
    if rest > 0 && unknown_past {
        return Split { pending, leaked: None, undecided: rest };
    }
    // Frees that were running may have ended while the slabs were counted, and objects that were
    // allocated meanwhile make a slab look full: then the rest says nothing.
    let is_exact = destroy.being_freed_after == 0 && !destroy.queued_during;
    Split { pending, leaked: is_exact.then_some(rest), undecided: 0 }
}

/// Whether objects may have been queued of which nothing was seen.
fn has_unknown_past(state: &State, destroy: &Destroy) -> bool {
    destroy.born == Born::BeforeAttach
        || destroy.counted
        || destroy.has_open_callbacks()
        || state.watch.blind.contains(&Blind::Callbacks)
}

/// The kernel found nothing left: by order, or by luck?
fn of_emptied(
    state: &State,
    destroy: &Destroy,
    verdict: &mut Verdict,
    mut notes: Vec<String>,
) -> (VerdictKind, Vec<String>) {
    if destroy.outstanding_after > 0 {
        notes.push(format!(
            "{} deferred frees are outstanding by our count, and the kernel found nothing left",
            destroy.outstanding_after
        ));
        return (VerdictKind::ModelDisagrees, notes);
    }
    verdict.leaked = Some(0);
    // What was being freed at the look was free when the slabs were looked at.
    verdict.queued_by_kfree_rcu = 0;
    let unseen_queue_before = destroy.freed_unknown > 0 && destroy.covered == 0;
    let unordered_frees = destroy.has_uncovered_frees() || unseen_queue_before;
    if unordered_frees || destroy.has_open_callbacks() {
        if state.watch.blind.contains(&Blind::KvfreeBarrier) && unordered_frees {
            notes.push("this kernel does not let its barrier for kfree_rcu() be seen".to_owned());
            return (VerdictKind::Inconclusive, notes);
        }
        if state.watch.blind.contains(&Blind::RcuBarrier) && !unordered_frees {
            notes.push("this kernel does not let rcu_barrier() be seen".to_owned());
            return (VerdictKind::Inconclusive, notes);
        }
        verdict.ordering = Ordering::Unordered;
        return (VerdictKind::Unordered, notes);
    }
    verdict.ordering = if destroy.queued + destroy.callbacks + destroy.freed_unknown > 0 {
        Ordering::Ordered
    } else {
        Ordering::NothingDeferred
    };
    verdict.waited_for_callbacks = destroy.waited_for_callbacks();
    let waited_for_own = destroy.at_begin.outstanding + destroy.at_begin.being_freed;
    let waited_for_frees = destroy.barrier_inside && waited_for_own + destroy.unknown_while_waiting > 0;
    if waited_for_frees || verdict.waited_for_callbacks {
        verdict.waited_for_own = waited_for_own + destroy.unknown_while_waiting;
        verdict.waited_for_other = destroy.others_at_begin;
        return (VerdictKind::Waited, notes);
    }
    let before_attach = destroy.born == Born::BeforeAttach || destroy.counted;
    if before_attach && verdict.ordering == Ordering::NothingDeferred {
        verdict.ordering = Ordering::Unknown;
    }
    if before_attach && !destroy.barrier_inside {
        verdict.ordering = Ordering::Unknown;
        notes.push(
            "nothing was left, but what was queued before the probes were attached is not known to be ordered: attach before the module is loaded to know"
                .to_owned(),
        );
    }
    (VerdictKind::Clean, notes)
}

/// What is known of a destroy before it is decided.
fn evidence(state: &State, destroy: &Destroy) -> Verdict {
    let look = destroy.look.unwrap_or(destroy.begin).time;
    let left = match destroy.shutdown {
        Some(Shutdown::Left(left)) => left,
        Some(Shutdown::Empty) | None => None,
    };
    let (site_stack, created_while_watched) = match &destroy.born {
        Born::Watched { stack, .. } => (Some(*stack), true),
        Born::BeforeAttach => (None, false),
    };
    Verdict {
        verdict: VerdictKind::Inconclusive,
        flagged: false,
        flagged_strictly: false,
        cache: destroy.facts.name.clone(),
        aliases: destroy.aliases.clone(),
        module: module_of(state, destroy, site_stack),
        object_bytes: destroy.facts.object_size,
        created_while_watched,
        destroyed_by: DestroyedBy {
            comm: destroy.comm.clone(),
            task: destroy.task.0,
            stack: frames(state, destroy.stack),
        },
        destroyed_at_ns: destroy.begin.time.since(state.watch.attached),
        queued_by_kfree_rcu: destroy.at_look.outstanding + destroy.at_look.being_freed,
        queued_by_call_rcu: (!destroy.has_open_callbacks()).then_some(0),
        leaked: None,
        undecided: 0,
        kernel_result: match destroy.shutdown {
            Some(Shutdown::Empty) => KernelResult::Empty,
            Some(Shutdown::Left(_)) => KernelResult::ObjectsRemain,
            None if destroy.facts.refcount != 1 => KernelResult::ReferenceDropped,
            None => KernelResult::Unseen,
        },
        kernel_objects_left: left.map(|left| left.objects),
        kernel_objects_listed: left.map(|left| left.listed),
        oldest_age_ns: destroy.at_look.oldest.map(|oldest| look.since(oldest)),
        sites: sites(state, destroy),
        cpus: cpus(&destroy.at_look),
        queued_ever: destroy.queued,
        callbacks_ever: destroy.callbacks,
        barrier_inside: destroy.barrier_inside,
        wait_ns: destroy.look.map(|look| look.time.since(destroy.begin.time)),
        waited_for_own: 0,
        waited_for_other: 0,
        waited_for_callbacks: false,
        ordering: Ordering::Unknown,
        margin_ns: destroy.last_freed.map(|freed| look.since(freed)),
        rcu_barrier_before_ns: destroy.rcu_barrier_before.map(|barrier| destroy.begin.time.since(barrier)),
        late_frees: destroy.late,
        last_late_free_ns: destroy.last_late.map(|late| late.since(look)),
        notes: Vec::new(),
        advice: String::new(),
    }
}

/// Whose cache: who created it, else whose code destroyed it, whose exit ran, or who queued into it.
fn module_of(state: &State, destroy: &Destroy, created: Option<StackId>) -> Option<String> {
    let of_stack = |id: StackId| state.stack(id).module().map(str::to_owned);
    created
        .and_then(of_stack)
        .or_else(|| of_stack(destroy.stack))
        .or_else(|| {
            state.stack(destroy.stack).is_module_exit().then(|| destroy.module_going.clone()).flatten()
        })
        .or_else(|| of_stack(destroy.last_queued_stack))
        .or_else(|| of_stack(destroy.last_callback_stack))
}

fn frames(state: &State, id: StackId) -> Vec<String> {
    state.stack(id).frames.iter().map(ToString::to_string).collect()
}

/// The sites of what was left at the look, or of what the destroy waited for; else the site of the last
/// deferred free.
fn sites(state: &State, destroy: &Destroy) -> Vec<SiteCount> {
    let taken = match destroy.shutdown {
        Some(Shutdown::Empty) if destroy.barrier_inside => Some(&destroy.at_begin),
        Some(Shutdown::Empty) => None,
        Some(Shutdown::Left(_)) | None => Some(&destroy.at_look),
    };
    let mut sites: Vec<SiteCount> = taken
        .into_iter()
        .flat_map(|snapshot| &snapshot.stacks)
        .map(|(id, objects)| SiteCount { objects: *objects, stack: frames(state, *id) })
        .collect();
    if sites.is_empty() {
        let last = if destroy.has_open_callbacks() {
            destroy.last_callback_stack
        } else {
            destroy.last_queued_stack
        };
        if last != StackId::default() {
            sites.push(SiteCount { objects: 0, stack: frames(state, last) });
        }
    }
    sites.sort_by_key(|site| core::cmp::Reverse(site.objects));
    sites
}

fn cpus(snapshot: &Snapshot) -> Vec<CpuCount> {
    snapshot.cpus.iter().map(|(cpu, objects)| CpuCount { cpu: *cpu, objects: *objects }).collect()
}

/// A broken promise, told of the cache that it concerns.
fn of_violation(state: &State, violation: &Violation) -> Verdict {
    let Violation::BarrierEarly { cache, begin, end, objects, oldest } = violation;
    let life = state.caches.values().find(|life| life.id == *cache);
    let destroy = state.destroys.iter().find(|destroy| destroy.cache == *cache);
    let name = life.map(|life| life.facts.name.clone()).or_else(|| destroy.map(|d| d.facts.name.clone()));
    let kind = VerdictKind::BarrierEarly;
    Verdict {
        verdict: kind,
        flagged: kind.is_flagged(),
        flagged_strictly: kind.is_flagged_strictly(),
        cache: name.unwrap_or_default(),
        queued_by_kfree_rcu: *objects,
        oldest_age_ns: Some(end.since(*oldest)),
        wait_ns: Some(end.since(*begin)),
        notes: vec![format!(
            "a barrier returned after {} ns while {objects} objects that its caller had queued before it were not freed",
            end.since(*begin)
        )],
        advice: "this is a fault of the kernel's barrier: report it with a trace".to_owned(),
        ..Verdict::of_nothing()
    }
}

impl Verdict {
    /// What a verdict says where it says nothing.
    fn of_nothing() -> Verdict {
        Verdict {
            verdict: VerdictKind::Inconclusive,
            flagged: false,
            flagged_strictly: false,
            cache: String::new(),
            aliases: Vec::new(),
            module: None,
            object_bytes: 0,
            created_while_watched: false,
            destroyed_by: DestroyedBy { comm: String::new(), task: 0, stack: Vec::new() },
            destroyed_at_ns: 0,
            queued_by_kfree_rcu: 0,
            queued_by_call_rcu: None,
            leaked: None,
            undecided: 0,
            kernel_result: KernelResult::Unseen,
            kernel_objects_left: None,
            kernel_objects_listed: None,
            oldest_age_ns: None,
            sites: Vec::new(),
            cpus: Vec::new(),
            queued_ever: 0,
            callbacks_ever: 0,
            barrier_inside: false,
            wait_ns: None,
            waited_for_own: 0,
            waited_for_other: 0,
            waited_for_callbacks: false,
            ordering: Ordering::Unknown,
            margin_ns: None,
            rcu_barrier_before_ns: None,
            late_frees: 0,
            last_late_free_ns: None,
            notes: Vec::new(),
            advice: String::new(),
        }
    }
}
