//! Plan: what krcu does on a kernel, from its facts: which probes, which offsets, and what cannot be decided.
//!
//! Pure. Every kernel has a plan. If nothing works on a kernel, its plan says so.

use krcu_common::Config;
use krcu_model::state::Blind;
use serde::Serialize;

use super::catalog::{self, Absence, Attach, Entry, Leaving, Need, Skipped, Word};
use super::facts::{Facts, Function, Source};
use crate::error::Refusal;

mod configure;
mod refuse;

/// What krcu does on a kernel.
#[derive(Clone, Debug)]
pub struct Plan {
    /// The configuration of the probes. The options of the run are filled in when the probes are loaded.
    pub config: Config,
    /// Every probe, in the order of attaching.
    pub probes: Vec<Probe>,
    /// What cannot be decided on this kernel, one sentence for each thing.
    pub undecidable: Vec<String>,
    /// Why nothing can be watched at all, the most basic reason first. Empty if `check` can run.
    pub refusals: Vec<Refusal>,
}

/// One program of the plan.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Probe {
    /// Name of the program in the object of the probes.
    pub program: &'static str,
    /// The word it belongs to.
    pub word: Word,
    /// How it is attached.
    pub attach: Attach,
    /// What it is attached to.
    pub target: &'static str,
    /// Whether krcu refuses to run without it.
    pub required: bool,
    /// Whether this kernel offers it.
    pub offer: Offer,
    /// What cannot be decided without it, as a sentence.
    pub without: &'static str,
    /// What the judge does not see if this program is not offered.
    #[serde(skip)]
    pub blind: Option<Blind>,
    /// The group with which it is detached.
    #[serde(skip)]
    pub leaves: Leaving,
}

/// Whether a kernel offers a probe.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case", tag = "offer", content = "why")]
pub enum Offer {
    /// Every fact that could be read says that the kernel offers it.
    Offered,
    /// Some fact could not be read. Attaching the probe will show whether the kernel offers it.
    CouldNotLook(String),
    /// The probe is not needed: another program does its job, or this kernel never does what the probe would see.
    NotNeeded(String),
    /// The kernel does not offer it, so krcu does not see something that the kernel does.
    NotOffered(String),
}

impl Probe {
    /// Whether it has to be loaded and attached.
    #[must_use]
    pub fn is_planned(&self) -> bool {
        matches!(self.offer, Offer::Offered | Offer::CouldNotLook(_))
    }
}

impl Plan {
    /// What krcu does on the kernel with these facts.
    #[must_use]
    pub fn of(facts: &Facts) -> Plan {
        Plan::asked(facts, false)
    }

    /// The same, with the probes that see each allocation if `allocations` is set.
    #[must_use]
    pub fn asked(facts: &Facts, allocations: bool) -> Plan {
        let mut probes: Vec<Probe> = catalog::PROBES.iter().map(|entry| probe(facts, entry)).collect();
        leave_out_substitutes(&mut probes);
        leave_out_hurry(facts, &mut probes);
        leave_out_maker(&mut probes);
        if !allocations {
            leave_out_what_nobody_asked_for(&mut probes);
        }
        let (mut config, lacking) = configure::config(facts);
        config.alloc_stacks = u32::from(allocations);
        // Both the begin and the end of a work that walks its lists itself.
        let is_of_work =
            |probe: &Probe| probe.attach == Attach::Fentry && probe.target == catalog::BATCHING[0];
        config.arrays_in_work = u32::from(probes.iter().any(|probe| is_of_work(probe) && probe.is_planned()));
        let refusals = refuse::refusals(facts, &probes, &lacking);
        let undecidable = undecidable(facts, &probes, &config);
        Plan { config, probes, undecidable, refusals }
    }

    /// Records that an optional probe failed to attach after all.
    pub fn withdraw(&mut self, program: &str, why: String) {
        let Some(probe) = self.probes.iter_mut().find(|probe| probe.program == program) else { return };
        probe.offer = Offer::NotOffered(why);
        let sentence = probe.without.to_owned();
        if !self.undecidable.contains(&sentence) {
            self.undecidable.push(sentence);
        }
    }
}

fn probe(facts: &Facts, entry: &Entry) -> Probe {
    let targets = entry.targets.iter().filter(|target| match **target {
        catalog::MERGER => makes(facts),
        catalog::UNLINK => unlinks_always(facts),
        _ => true,
    });
    let offers = targets.map(|target| (*target, offer(facts, entry, target)));
    let best = offers.clone().find(|(_, offer)| matches!(offer, Offer::Offered | Offer::CouldNotLook(_)));
    // If no target can be used, a target that exists and cannot be probed explains more than one that does not exist.
    let there = || offers.clone().find(|(_, offer)| matches!(offer, Offer::NotOffered(_)));
    let (target, offer) =
        best.or_else(there).or_else(|| offers.clone().next()).unwrap_or(("", Offer::Offered));
    Probe {
        program: entry.program,
        word: entry.word,
        attach: entry.attach,
        target,
        required: entry.need == Need::Required,
        offer,
        without: entry.without.sentence,
        blind: entry.without.blind,
        leaves: entry.leaves,
    }
}

fn offer(facts: &Facts, entry: &Entry, target: &str) -> Offer {
    let offer = offer_of_place(facts, entry, target);
    match entry.reads.iter().find(|member| (member.offset)(&facts.layout).is_none()) {
        Some(lacking) if matches!(offer, Offer::Offered | Offer::CouldNotLook(_)) => {
            Offer::NotOffered(format!("the type information lacks {}", lacking.name))
        }
        _ => offer,
    }
}

/// Whether a program can be attached to a place. This does not say whether the kernel has what it would read there.
fn offer_of_place(facts: &Facts, entry: &Entry, target: &str) -> Offer {
    if entry.attach == Attach::BtfTracepoint {
        return match facts.tracepoints.get(target).copied().flatten() {
            Some(true) => Offer::Offered,
            Some(false) => Offer::NotOffered("no such tracepoint here".to_owned()),
            None => Offer::NotOffered("no type information".to_owned()),
        };
    }
    let function = facts.functions.get(target).copied().unwrap_or_default();
    match function {
        Function { btf: Some(false) | None, symbols: Some(0), .. } => match entry.absence {
            Absence::NothingToSee => Offer::NotNeeded("no such function here".to_owned()),
            Absence::Unseen => Offer::NotOffered("absent or inlined".to_owned()),
        },
        Function { symbols: Some(0), .. } => Offer::NotOffered("it is inlined".to_owned()),
        Function { symbols: Some(count), .. } if count > 1 => {
            Offer::NotOffered(format!("{count} functions have this name"))
        }
        Function { btf: None, .. } => Offer::NotOffered("no type information".to_owned()),
        Function { btf: Some(false), .. } => Offer::NotOffered("not in the type information".to_owned()),
        Function { traceable: Some(false), .. } => {
            Offer::NotOffered("it has no place for a probe".to_owned())
        }
        Function { symbols: None, .. } => Offer::CouldNotLook("symbols not read".to_owned()),
        Function { traceable: None, .. } => Offer::CouldNotLook(match &facts.tracefs {
            Source::Unreadable(why) => format!("tracefs: {why}"),
            _ => "tracefs not mounted".to_owned(),
        }),
        _ => Offer::Offered,
    }
}

/// Where they could not be had all the same, they stay missing: whoever asks for them next wants to know.
fn leave_out_what_nobody_asked_for(probes: &mut [Probe]) {
    for (probe, entry) in probes.iter_mut().zip(catalog::PROBES) {
        if entry.need == Need::OnRequest && probe.is_planned() {
            probe.offer = Offer::NotNeeded("only with --alloc-stacks".to_owned());
        }
    }
}

/// If two programs do the same job, keeps the better one of those that are offered.
fn leave_out_substitutes(probes: &mut [Probe]) {
    let planned: Vec<&str> =
        probes.iter().filter(|probe| probe.is_planned()).map(|probe| probe.program).collect();
    for (probe, entry) in probes.iter_mut().zip(catalog::PROBES) {
        let Need::InsteadOf(better) = entry.need else { continue };
        if planned.contains(&better) {
            probe.offer = Offer::NotNeeded(format!("{better} does the same"));
        }
    }
    // If the substitute is used, nothing is lost without the better one.
    let used: Vec<(&str, &str)> = probes
        .iter()
        .zip(catalog::PROBES)
        .filter(|(probe, _)| probe.is_planned())
        .filter_map(|(probe, entry)| match entry.need {
            Need::InsteadOf(better) => Some((better, probe.program)),
            _ => None,
        })
        .collect();
    for probe in probes {
        let substitute = used.iter().find(|(better, _)| *better == probe.program);
        if let (Some((_, substitute)), Offer::NotOffered(_)) = (substitute, &probe.offer) {
            probe.offer = Offer::NotNeeded(format!("{substitute} is used instead"));
        }
    }
}

/// Whether this kernel makes each new cache by a function that can be probed.
fn makes(facts: &Facts) -> bool {
    let function = facts.functions.get(catalog::MAKER).copied().unwrap_or_default();
    function.btf == Some(true)
        && function.symbols.is_none_or(|count| count == 1)
        && function.traceable != Some(false)
}

/// Whether a destroy takes the cache out of sysfs whether it fails or not.
fn unlinks_always(facts: &Facts) -> bool {
    let barrier = facts.functions.get(catalog::ALL_FREES).copied().unwrap_or_default();
    barrier.symbols.is_some_and(|count| count > 0)
}

/// Of creations, one probe sees all, or one the new caches and one the merged ones.
fn leave_out_maker(probes: &mut [Probe]) {
    let is_merger = |probe: &Probe| probe.is_planned() && probe.target == catalog::MERGER;
    if probes.iter().any(is_merger) {
        return;
    }
    if let Some(maker) = probes.iter_mut().find(|probe| probe.target == catalog::MAKER) {
        maker.offer = Offer::NotNeeded("cache_created sees new caches too".to_owned());
    }
}

/// Where RCU is never lazy, `call_rcu_hurry()` calls `call_rcu()`, whose probe sees both.
fn leave_out_hurry(facts: &Facts, probes: &mut [Probe]) {
    let is_never_lazy = facts.functions.get(catalog::LAZY).is_some_and(|lazy| lazy.symbols == Some(0));
    let hurry = probes.iter_mut().find(|probe| probe.program == catalog::HURRY);
    if let Some(hurry) = hurry.filter(|hurry| is_never_lazy && matches!(hurry.offer, Offer::NotOffered(_))) {
        hurry.offer = Offer::NotNeeded("it calls call_rcu() here, which is probed".to_owned());
    }
}

fn undecidable(facts: &Facts, probes: &[Probe], config: &Config) -> Vec<String> {
    let mut sentences: Vec<String> = Vec::new();
    // A missing second copy matters only if there is a first copy.
    let is_first = |name: &str| probes.iter().any(|probe| probe.program == name && probe.is_planned());
    let missing = probes.iter().zip(catalog::PROBES);
    for (probe, entry) in missing.filter(|(probe, _)| matches!(probe.offer, Offer::NotOffered(_))) {
        if matches!(entry.skipped, Skipped::SecondOf(first) if !is_first(first)) {
            continue;
        }
        if !sentences.iter().any(|sentence| sentence == probe.without) {
            sentences.push(probe.without.to_owned());
        }
    }
    if !batches(facts) {
        sentences.push(
            "Each kfree_rcu() is a callback of its own here, which no probe sees: whether it ran cannot be decided."
                .to_owned(),
        );
    }
    if probes.iter().any(|probe| probe.target == "kmem_cache_create")
        && facts.functions.get(catalog::CREATE_USERCOPY).is_some_and(|function| function.symbols != Some(0))
    {
        sentences.push(
            "Caches created by kmem_cache_create_usercopy() during the run cannot be told from older ones."
                .to_owned(),
        );
    }
    if config.nodes == 0 {
        sentences.push("Whether a destroy left objects behind, and how many, cannot be read; only a cache that is released was emptied.".to_owned());
    }
    if config.rodata_end == 0 {
        sentences.push(
            "Caches of built-in code cannot be told apart, so their objects are streamed too.".to_owned(),
        );
    }
    sentences
}

/// Whether this kernel frees in batches. `true` if that is not known, because nearly all kernels do.
fn batches(facts: &Facts) -> bool {
    catalog::BATCHING.iter().any(|name| {
        let function = facts.functions.get(*name).copied().unwrap_or_default();
        function.symbols != Some(0) || function.btf == Some(true)
    })
}

#[cfg(test)]
pub(crate) mod tests;
