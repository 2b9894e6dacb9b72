//! Sender: which traces are to be shipped, and each of them once.

use std::{
    fs::{self, File},
    io,
    path::{Path, PathBuf},
    time::{Duration, SystemTime},
};

use anyhow::{Context as _, Result, bail};
use krcu_trace::{Meta, meta};
use nix::fcntl::{Flock, FlockArg};

use crate::{
    destination::Destination,
    done::Done,
    layout::{DONE, Place, place_of},
};

/// The identity of the boot that runs.
const BOOT_ID: &str = "/proc/sys/kernel/random/boot_id";
/// A trace of another machine or boot whose files have not changed for so long gets no end any more: a receiver writes what a
/// recorder sends, which is something each second.
const STILL: Duration = Duration::from_secs(600);

/// What became of a trace.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sent {
    /// It is there now; so many bytes were sent.
    Now(u64),
    /// It was there.
    Before,
    /// Its recorder may still be at work.
    Unfinished,
    /// It would have been more than may be sent.
    Left(u64),
}

/// What may be sent.
#[derive(Clone, Copy, Debug)]
pub struct Bound {
    /// Bytes that are left.
    pub bytes: u64,
    /// Whether traces without an end are sent as well.
    pub unfinished: bool,
}

/// The traces in these folders: each is a trace, or has traces in it.
///
/// # Errors
/// When one cannot be read, or is neither.
pub fn traces(folders: &[PathBuf]) -> Result<Vec<PathBuf>> {
    let mut traces = Vec::new();
    for folder in folders {
        if folder.join(meta::FILE).is_file() {
            traces.push(folder.clone());
            continue;
        }
        let mut within = Vec::new();
        for entry in fs::read_dir(folder).with_context(|| format!("{} cannot be read", folder.display()))? {
            let path = entry.with_context(|| folder.display().to_string())?.path();
            if path.join(meta::FILE).is_file() {
                within.push(path);
            }
        }
        if within.is_empty() && folder.extension().is_some_and(|ending| ending == "krcu") {
            bail!("{} is no trace: it has no {}", folder.display(), meta::FILE);
        }
        within.sort_unstable();
        traces.extend(within);
    }
    Ok(traces)
}

/// Ships a trace, unless it is there already. What an earlier run brought is not sent again; DONE comes last. If somebody else
/// ships it at this moment, that comes first.
///
/// # Errors
/// When it cannot be read, the destination does not take it, or has another trace in its place.
pub fn send(trace: &Path, to: &dyn Destination, bound: &mut Bound) -> Result<Sent> {
    let _alone = lock(trace)?;
    let about = Meta::load(trace)?;
    if about.ended.is_none() && !bound.unfinished && (is_of_this_boot(&about) || is_written(trace)?) {
        return Ok(Sent::Unfinished);
    }
    let place = place_of(&about).with_context(|| {
        format!("{} does not say when it was recorded, so it has no day in a fleet", trace.display())
    })?;
    let folder = place.folder();
    if let Some(text) = to.read(&format!("{folder}/{DONE}"))? {
        return is_there(trace, &Done::parse(&text)?, &place).map(|()| Sent::Before);
    }
    let done = Done::of(trace)?;
    if done.bytes() > bound.bytes {
        return Ok(Sent::Left(done.bytes()));
    }
    let mut sent = 0;
    for part in &done.files {
        let path = format!("{folder}/{}", part.name);
        if to.size(&path)? != Some(part.bytes) {
            to.put(&path, &trace.join(&part.name), part)?;
            sent += part.bytes;
        }
    }
    to.write(&format!("{folder}/{DONE}"), &done.text())?;
    bound.bytes -= done.bytes();
    Ok(Sent::Now(sent))
}

/// Whether the trace is the one that is there, by the names and sizes of its files.
fn is_there(trace: &Path, done: &Done, place: &Place) -> Result<()> {
    for part in &done.files {
        let found = fs::metadata(trace.join(&part.name)).map(|found| found.len());
        if found.ok() != Some(part.bytes) {
            bail!(
                "{} was shipped as {}, and has changed since ({}): it is not shipped again",
                trace.display(),
                place.folder(),
                part.name
            );
        }
    }
    Ok(())
}

/// Waits until nobody else ships the trace. A file system without locks gives none.
fn lock(trace: &Path) -> Result<Option<Flock<File>>> {
    let folder = File::open(trace).with_context(|| format!("{} cannot be read", trace.display()))?;
    Ok(Flock::lock(folder, FlockArg::LockExclusive).ok())
}

/// Whether a file of the trace has changed lately.
fn is_written(trace: &Path) -> Result<bool> {
    let reading = || format!("{} cannot be read", trace.display());
    for entry in fs::read_dir(trace).with_context(reading)? {
        let changed = entry.and_then(|entry| entry.metadata()?.modified()).with_context(reading)?;
        // A time to come is of a clock that was set, and no reason to wait for it.
        if SystemTime::now().duration_since(changed).is_ok_and(|since| since < STILL) {
            return Ok(true);
        }
    }
    Ok(false)
}

fn is_of_this_boot(about: &Meta) -> bool {
    let boot: io::Result<String> = fs::read_to_string(BOOT_ID);
    boot.is_ok_and(|boot| about.kernel.boot_id.as_deref() == Some(boot.trim()))
}
