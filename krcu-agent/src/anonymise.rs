//! Anonymise: a trace without what says whose it is and where the kernel lies in memory.
//!
//! Addresses are renumbered, and the host, the boot, the time of day, the words of the command and the names of
//! tasks are left out. Names of caches, modules and functions stay: a report is of no use without them. Two
//! addresses that are nearer to each other than the largest object stay as far apart as they are, and all keep
//! their order, so that the same step comes to the same verdicts.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs, io,
    path::{Path, PathBuf},
};

use anyhow::Context as _;
use krcu_model::{
    Event,
    event::{CacheAddress, FunctionAddress, Gap, ObjectAddress, Scope, Time, What},
};
use krcu_trace::{
    Accounted, End, Limits, Meta, Reader, Writer,
    disk::{Direct, Disk as _, folder_of},
    meta::{Clock, Kernel, Run},
};

/// What stands for the name of a task.
pub const TASK: &str = "task";
/// Bytes of a page: the place in a page says nothing of where the kernel lies.
const PAGE_BYTES: u64 = 4096;
/// Digits of an address of the kernel as it prints one, and how they begin.
const DIGITS: usize = 16;
const KERNEL: &str = "ffff";

/// Writes a trace without what says whose it is. A trace that is damaged, or has no end, is written up to there,
/// without an end.
///
/// # Errors
/// When nothing of it can be read, or the other one cannot be written.
pub fn anonymise(from: &Path, to: &Path) -> anyhow::Result<()> {
    let reader = Reader::open(from)?;
    let mut salvage = reader.salvage()?;
    let numbers = Numbers::of(salvage.by_ref());
    let meta = Meta {
        trace: "anonymous".to_owned(),
        kernel: Kernel { host: None, boot_id: None, ..reader.meta().kernel.clone() },
        clock: Clock::default(),
        command: Vec::new(),
        ended: None,
        ..reader.meta().clone()
    };
    let mut writer = Writer::create(to, meta, Limits::default()).with_context(|| {
        format!("cannot write the trace to {}: name a folder that can be made", to.display())
    })?;
    let (mut last, mut is_whole) = (Time(reader.meta().watch.attached_ns), true);
    for event in reader.events() {
        let Ok(event) = event else {
            is_whole = false;
            break;
        };
        last = last.max(event.time);
        writer.event(&numbers.renumbered(event));
    }
    let accounted = match reader.meta().ended.clone() {
        Some(mut end) if is_whole => {
            // Reasons are a person's own words.
            end.run.known.iter_mut().for_each(|known| known.reason.clear());
            return Ok(writer.finish(end.how, Time(end.at_ns), end.run)?);
        }
        Some(End { run: Run { lost, .. }, .. }) => Some(Accounted {
            at: last,
            missed: lost.probe_missed,
            lost: lost.ring_full,
            map_full: lost.map_full,
        }),
        None => salvage.accounted(),
    };
    match accounted {
        Some(accounted) => writer.account(accounted),
        None => writer.tick(Time(u64::MAX)),
    }
    writer.sync();
    anyhow::ensure!(!writer.is_cut_short(), "cannot write all of the trace to {}", to.display());
    Ok(())
}

/// The same, in the place of the trace.
///
/// # Errors
/// As [`anonymise`]; then the trace is as it was.
pub fn in_place(trace: &Path) -> anyhow::Result<()> {
    let mut beside = trace.as_os_str().to_owned();
    beside.push(".anonymous");
    let beside = PathBuf::from(beside);
    anonymise(trace, &beside).inspect_err(|_| drop(fs::remove_dir_all(&beside)))?;
    let replace = || -> io::Result<()> {
        fs::remove_dir_all(trace)?;
        Direct.rename(&beside, trace)?;
        Direct.sync_folder(folder_of(trace))
    };
    replace().with_context(|| format!("cannot replace {}", trace.display()))
}

/// A number for each address of a trace.
#[derive(Debug)]
pub struct Numbers(BTreeMap<u64, u64>);

impl Numbers {
    /// For all addresses of these events.
    pub fn of(events: impl Iterator<Item = Event>) -> Numbers {
        let mut all = BTreeSet::new();
        let mut largest = PAGE_BYTES;
        for mut event in events {
            if let What::CacheCreated { facts, .. } | What::DestroyBegin { facts, .. } = &event.what {
                largest = largest.max(facts.object_size.into());
            }
            each(&mut event, &mut |address| {
                all.insert(*address);
            });
        }
        let (mut numbers, mut last) = (BTreeMap::new(), None);
        for address in all {
            let number = match last {
                Some((before, number)) if address - before <= largest => number + (address - before),
                Some((_, number)) => {
                    (u64::saturating_add(number, largest) / PAGE_BYTES + 1) * PAGE_BYTES
                        + address % PAGE_BYTES
                }
                None => PAGE_BYTES + address % PAGE_BYTES,
            };
            numbers.insert(address, number);
            last = Some((address, number));
        }
        Numbers(numbers)
    }

    /// The event, with numbers for addresses and without names of tasks.
    #[must_use]
    pub fn renumbered(&self, mut event: Event) -> Event {
        each(&mut event, &mut |address| *address = self.0.get(address).copied().unwrap_or(0));
        if let What::DestroyBegin { comm, .. } | What::BarrierBegin { comm, .. } = &mut event.what
            && !comm.is_empty()
        {
            TASK.clone_into(comm);
        }
        event
    }
}

/// Takes each address of an event, also those that the kernel has put into words. 0 is none.
fn each(event: &mut Event, take: &mut dyn FnMut(&mut u64)) {
    // tidy: long, since it is one arm for each shape of event.
    let mut number = |address: &mut u64| {
        if *address != 0 {
            take(address);
        }
    };
    let cache_of = |cache: &mut CacheAddress, number: &mut dyn FnMut(&mut u64)| number(&mut cache.0);
    match &mut event.what {
        What::CacheCreated { cache, facts, asked_name, .. } => {
            cache_of(cache, &mut number);
            words(&mut facts.name, &mut number);
            words(asked_name, &mut number);
        }
        What::DestroyBegin { cache, facts, .. } => {
            cache_of(cache, &mut number);
            words(&mut facts.name, &mut number);
        }
        What::ShutdownBegin { cache, .. }
        | What::CacheReleased { cache }
        | What::Lingers { cache }
        | What::Reported { cache }
        | What::SlabsFreed { cache } => cache_of(cache, &mut number),
        What::CallbackQueued {
            object: ObjectAddress(object),
            cache,
            function: FunctionAddress(function),
            domain,
            ..
        } => {
            number(object);
            cache_of(cache, &mut number);
            number(function);
            number(&mut domain.address);
        }
        What::Queued { object: ObjectAddress(object), cache, .. }
        | What::CallbackRuns { object: ObjectAddress(object), cache }
        | What::FreedAtOnce { object: ObjectAddress(object), cache }
        | What::Freed { object: ObjectAddress(object), cache, .. }
        | What::Allocated { object: ObjectAddress(object), cache, .. } => {
            number(object);
            cache_of(cache, &mut number);
        }
        What::WorkRan { object }
        | What::WorkRuns { object, .. }
        | What::QueueReturned { object }
        | What::CallbackRan { object, .. } => {
            number(&mut object.0);
        }
        What::ReadLock { object, cache } => {
            object.iter_mut().for_each(|object| number(&mut object.0));
            cache.iter_mut().for_each(|cache| number(&mut cache.0));
        }
        What::BarrierEnd { cache, of, .. } => {
            cache.iter_mut().for_each(|cache| number(&mut cache.0));
            number(of);
        }
        What::DestructionAwaited { cache } => {
            cache.iter_mut().for_each(|cache| number(&mut cache.0));
        }
        What::Function { function, symbol } => {
            number(&mut function.0);
            words(symbol, &mut number);
        }
        What::Site { frames, .. } => frames.iter_mut().for_each(|frame| words(frame, &mut number)),
        What::Gap(Gap { scope: Scope::Cache(cache), .. }) => number(&mut cache.0),
        What::Gap(_)
        | What::ShutdownEnd { .. }
        | What::BatchFreed { .. }
        | What::BarrierBegin { .. }
        | What::GraceBegin { .. }
        | What::GraceEnd { .. }
        | What::ModuleLoaded { .. }
        | What::ModuleGoing { .. }
        | What::ModuleFreed { .. }
        | What::ReadUnlock
        | What::Quiet => {}
    }
}

/// Takes each address in a text: sixteen hexadecimal digits that begin as those of the kernel.
fn words(text: &mut String, take: &mut dyn FnMut(&mut u64)) {
    let mut from = 0;
    while let Some(place) = text.get(from..).and_then(|rest| rest.find(KERNEL)).map(|place| from + place) {
        from = place + 1;
        let digits = text.get(place..place + DIGITS);
        if let Some(mut address) = digits.and_then(|digits| u64::from_str_radix(digits, 16).ok()) {
            take(&mut address);
            text.replace_range(place..place + DIGITS, &format!("{address:016x}"));
            from = place + DIGITS;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_in_words_is_renumbered_too() {
        let mut text = "0xffffffffc0123456 (ffff888000001000) effff".to_owned();
        let mut seen = Vec::new();
        words(&mut text, &mut |address| {
            seen.push(*address);
            *address = seen.len() as u64;
        });
        assert_eq!(seen, [0xffff_ffff_c012_3456, 0xffff_8880_0000_1000]);
        assert_eq!(text, "0x0000000000000001 (0000000000000002) effff");
    }
}
