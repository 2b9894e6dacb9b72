//! Refuse: the reasons why nothing can be watched. The most basic reason comes first, because a person has to mend it
//! first.

use krcu_common::count::LINES;

use super::{Offer, Probe};
use crate::error::Refusal;
use crate::kernel::facts::{Facts, Source};
use crate::kernel::memory::{self, Memory};

/// All reasons that hold on this kernel.
pub(super) fn refusals(facts: &Facts, probes: &[Probe], lacking: &[&'static str]) -> Vec<Refusal> {
    let mut refusals = Vec::new();
    let memory = Memory::of(&facts.arch);
    if memory.is_none() {
        refusals.push(Refusal::Arch { arch: facts.arch.clone() });
    }
    if let Some(cpus) = facts.possible_cpus.filter(|cpus| *cpus as usize > LINES) {
        refusals.push(Refusal::Cpus { cpus });
    }
    refusals.extend(privileges(facts));
    if facts.lockdown.as_deref() == Some("confidentiality") {
        refusals.push(Refusal::Lockdown { mode: "confidentiality".to_owned() });
    }
    if facts.jit == Some(false) {
        refusals.push(Refusal::Jit);
    }
    if facts.ftrace == Some(false) {
        refusals.push(Refusal::Ftrace);
    }
    if facts.direct_calls == Some(false) && facts.kallsyms == Source::Read {
        refusals.push(Refusal::DirectCalls);
    }
    refusals.extend(btf(&facts.btf));
    refusals.extend(kallsyms(facts));
    refusals.extend(memory.and_then(|memory| places(facts, memory)));
    // If the sources could not be read, nobody knows what the kernel lacks. A list of that would hide the real reason.
    if facts.btf == Source::Read && !lacking.is_empty() {
        refusals.push(Refusal::Layout { names: lacking.join(", ") });
    }
    if facts.btf == Source::Read && facts.kallsyms == Source::Read {
        refusals.extend(required(probes));
    }
    refusals
}

fn privileges(facts: &Facts) -> Option<Refusal> {
    let has = facts.privileges?;
    let missing: Vec<&str> = [
        ("CAP_BPF", has.bpf || has.sys_admin),
        ("CAP_PERFMON", has.perfmon || has.sys_admin),
        ("CAP_SYSLOG", has.syslog),
    ]
    .into_iter()
    .filter(|(_, had)| !had)
    .map(|(name, _)| name)
    .collect();
    (!missing.is_empty()).then(|| Refusal::Privileges { missing: missing.join(", ") })
}

fn btf(source: &Source) -> Option<Refusal> {
    match source {
        Source::Read => None,
        Source::Missing => Some(Refusal::NoBtf),
        Source::NotMounted => Some(Refusal::NotMounted { path: "/sys", kind: "sysfs" }),
        Source::Hidden => Some(Refusal::Btf { why: "hidden".to_owned() }),
        Source::Unreadable(why) => Some(Refusal::Btf { why: why.clone() }),
    }
}

fn kallsyms(facts: &Facts) -> Option<Refusal> {
    match &facts.kallsyms {
        Source::Missing => Some(Refusal::Kallsyms { why: "there is none".to_owned() }),
        Source::NotMounted => Some(Refusal::NotMounted { path: "/proc", kind: "proc" }),
        Source::Unreadable(why) => Some(Refusal::Kallsyms { why: why.clone() }),
        // Who may not see addresses has been told so.
        Source::Hidden if facts.privileges.is_some_and(|has| !has.syslog) => None,
        Source::Hidden => Some(Refusal::Hidden),
        Source::Read => None,
    }
}

/// What is not known of the kernel's memory. Whether somebody may read it at all has been said.
fn places(facts: &Facts, memory: Memory) -> Option<Refusal> {
    if facts.kallsyms != Source::Read {
        return None;
    }
    if facts.page_size.is_none() {
        return Some(Refusal::NotMounted { path: "/proc", kind: "proc" });
    }
    let missing = |names: [&str; 3], is_known: &dyn Fn(&str) -> bool| -> Option<String> {
        let names: Vec<&str> = names.into_iter().filter(|name| !is_known(name)).collect();
        (!names.is_empty()).then(|| names.join(", "))
    };
    match memory {
        Memory::Chosen => missing(memory::VARIABLES, &|name| facts.addresses.contains_key(name))
            .map(|names| Refusal::Symbols { names }),
        Memory::Noted => missing(memory::NUMBERS, &|name| facts.memory.contains_key(name))
            .map(|names| Refusal::Memory { names }),
    }
}

fn required(probes: &[Probe]) -> Option<Refusal> {
    let mut names: Vec<String> = Vec::new();
    for probe in probes.iter().filter(|probe| probe.required) {
        if let Offer::NotOffered(why) | Offer::NotNeeded(why) = &probe.offer {
            let name = format!("{} ({why})", probe.target);
            if !names.contains(&name) {
                names.push(name);
            }
        }
    }
    (!names.is_empty()).then(|| Refusal::Probes { names: names.join("; ") })
}
