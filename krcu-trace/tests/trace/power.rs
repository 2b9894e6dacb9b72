//! A cut of the power at every call of a recorded run, with every order in which a disk may have taken what was not
//! synced; and a disk that fails at every call. Nothing is read that was not written or that is not complete.
//!
//! The disk is a harsh one. Of what was not synced, any part may be there and any other part not: a write without the ones
//! before it, with zeros in their place; a size without its bytes; a half of a write, cut at a block; a name without its
//! file. Each test prints its figures, from which `cargo xtask reliability` makes its page.
#![expect(clippy::unwrap_used, reason = "a step that fails is a failed test")]

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    hash::{DefaultHasher, Hash as _, Hasher as _},
    path::{Path, PathBuf},
    sync::Arc,
};

use krcu_model::event::Time;

use crate::{
    disk::{Call, Failing, Fault, Logged},
    samples::Folder,
    told::{Read, SYNC, events, judge, record},
};

/// The smallest piece that a disk writes whole.
const BLOCK: usize = 512;
/// So many things that were not synced are tried in every choice; of more, some choices.
const EVERY_CHOICE: usize = 7;
/// The folder of the trace.
const TRACE: &str = "/t/a.krcu";

/// Something that was not synced.
#[derive(Clone, Debug)]
enum Pending {
    Name(Call),
    Bytes(usize, Vec<u8>),
}

/// What the disk has for certain, and what it may have.
#[derive(Clone, Debug, Default)]
struct Platter {
    names: BTreeMap<PathBuf, Option<usize>>,
    files: BTreeMap<usize, Vec<u8>>,
    pending: Vec<Pending>,
}

/// Files by their names, which may be on the disk after the power has come back.
type Left = BTreeMap<PathBuf, Vec<u8>>;

impl Platter {
    fn take(&mut self, call: &Call) {
        match call {
            Call::Folder(_) | Call::File(..) | Call::Rename(..) => {
                self.pending.push(Pending::Name(call.clone()));
            }
            Call::Append(file, bytes) => self.pending.push(Pending::Bytes(*file, bytes.clone())),
            Call::Sync(synced) => {
                let files = &mut self.files;
                self.pending.retain(|pending| match pending {
                    Pending::Bytes(file, bytes) if file == synced => {
                        files.entry(*file).or_default().extend(bytes);
                        false
                    }
                    _ => true,
                });
            }
            Call::SyncFolder(folder) => {
                let names = &mut self.names;
                self.pending.retain(|pending| match pending {
                    Pending::Name(call) if path_of(call).parent() == Some(folder) => {
                        rename(names, call);
                        false
                    }
                    _ => true,
                });
            }
        }
    }

    /// What is there if the disk has taken these of the pending ones. `sized`: every file has the size that it
    /// would have with all of them. `cut`: of a write, only the bytes before or only those behind a block.
    fn left(&self, taken: &[bool], sized: bool, cut: Option<(usize, usize)>) -> Left {
        let (mut names, mut files) = (self.names.clone(), self.files.clone());
        let mut whole: BTreeMap<usize, usize> =
            files.iter().map(|(file, bytes)| (*file, bytes.len())).collect();
        for (nth, (pending, taken)) in self.pending.iter().zip(taken).enumerate() {
            match pending {
                Pending::Name(call) if *taken => rename(&mut names, call),
                Pending::Name(_) => {}
                Pending::Bytes(file, bytes) => {
                    let start = whole.entry(*file).or_default();
                    let end = *start + bytes.len();
                    let content = files.entry(*file).or_default();
                    if *taken {
                        content.resize(end.max(content.len()), 0);
                        content[*start..end].copy_from_slice(bytes);
                        match cut {
                            Some((cut, place)) if cut == nth => content.truncate(*start + place),
                            _ => {}
                        }
                    } else if sized {
                        content.resize(end.max(content.len()), 0);
                    }
                    *start = end;
                }
            }
        }
        let trace = names.contains_key(Path::new(TRACE));
        let file = |(path, file): (PathBuf, Option<usize>)| {
            Some((path, files.get(&file?).cloned().unwrap_or_default()))
        };
        if trace { names.into_iter().filter_map(file).collect() } else { Left::new() }
    }

    /// Everything that may be there.
    fn all_left(&self) -> Vec<Left> {
        let count = self.pending.len();
        let mut left = Vec::new();
        for taken in choices(count) {
            left.extend([false, true].map(|sized| self.left(&taken, sized, None)));
        }
        // The writes before are there, this one is torn, and those behind it are not there.
        for (nth, pending) in self.pending.iter().enumerate() {
            let Pending::Bytes(_, bytes) = pending else { continue };
            let taken: Vec<bool> = (0..count).map(|other| other <= nth).collect();
            let places = (0..bytes.len()).step_by(BLOCK).chain([1, bytes.len() - 1]);
            left.extend(places.map(|place| self.left(&taken, false, Some((nth, place)))));
        }
        left
    }
}

/// The path whose folder has to be synced.
fn path_of(call: &Call) -> &Path {
    match call {
        Call::Folder(path) | Call::File(_, path) | Call::Rename(_, path) | Call::SyncFolder(path) => path,
        Call::Append(..) | Call::Sync(_) => Path::new(""),
    }
}

fn rename(names: &mut BTreeMap<PathBuf, Option<usize>>, call: &Call) {
    match call {
        Call::Folder(path) => drop(names.insert(path.clone(), None)),
        Call::File(file, path) => drop(names.insert(path.clone(), Some(*file))),
        Call::Rename(from, to) => {
            if let Some(file) = names.remove(from) {
                names.insert(to.clone(), file);
            }
        }
        _ => {}
    }
}

/// Which of so many pending things the disk has taken.
fn choices(count: usize) -> Vec<Vec<bool>> {
    if count <= EVERY_CHOICE {
        return (0..1_usize << count)
            .map(|bits| (0..count).map(|nth| bits >> nth & 1 == 1).collect())
            .collect();
    }
    let mut choices = Vec::new();
    for place in 0..=count {
        // All before it; all but it; it alone.
        choices.push((0..count).map(|nth| nth < place).collect());
        choices.push((0..count).map(|nth| nth != place).collect());
        choices.push((0..count).map(|nth| nth == place).collect());
    }
    let mut random = 0x9e37_79b9_7f4a_7c15_u64;
    for _ in 0..24 {
        random = random.wrapping_mul(0x5851_f42d_4c95_7f2d).wrapping_add(0x1405_7b7e_f767_814f);
        choices.push((0..count).map(|nth| random.rotate_left(11) >> (nth % 64) & 1 == 1).collect());
    }
    choices
}

/// Puts the files into a folder, and reads them.
fn read(folder: &Path, left: &Left) -> Read {
    drop(fs::remove_dir_all(folder));
    fs::create_dir(folder).unwrap();
    for (path, bytes) in left {
        fs::write(folder.join(path.strip_prefix(TRACE).unwrap()), bytes).unwrap();
    }
    judge(folder)
}

#[test]
fn nothing_is_taken_for_complete_after_a_cut_of_the_power_at_any_call() {
    let log = Logged::default();
    let mut marks = BTreeMap::new();
    let seen = |at: Option<Time>| {
        marks.insert(log.calls().len(), at);
    };
    record(Arc::new(log.clone()), Path::new(TRACE), seen).unwrap().unwrap();
    let begun = *marks.keys().next().unwrap();
    let calls = log.calls();
    let folder = Folder::new("power");
    let (mut platter, mut known) = (Platter::default(), BTreeSet::new());
    let (mut states, mut refused, mut part, mut whole, mut least) = (0, 0, 0, 0, 0);
    for cut in 0..=calls.len() {
        // What is on the disk for certain.
        let certain = read(&folder.0, &platter.left(&vec![false; platter.pending.len()], false, None));
        if cut >= begun {
            assert_ne!(certain, Read::Refused, "a trace that was begun cannot be opened after call {cut}");
        }
        if let Some(Some(at)) = marks.get(&cut) {
            // A batch waits a second, and then for the next sync.
            let old = events().iter().filter(|event| event.time.0 + SYNC + 2_000_000_000 <= at.0).count();
            let Read::Part(rows) = certain else { panic!("{certain:?} after call {cut}") };
            assert!(rows >= old, "{rows} rows are safe at {at:?}, and {old} were old enough");
            least = least.max(old);
        }
        for left in platter.all_left() {
            let mut hasher = DefaultHasher::new();
            left.hash(&mut hasher);
            if !known.insert(hasher.finish()) {
                continue;
            }
            states += 1;
            match read(&folder.0, &left) {
                Read::Refused => {
                    assert!(matches!(certain, Read::Refused | Read::Part(0)), "what was safe is refused");
                    refused += 1;
                }
                Read::Part(rows) => {
                    assert!(!matches!(certain, Read::Part(safe) if safe > rows), "what was safe is gone");
                    part += 1;
                }
                Read::Whole => whole += 1,
            }
        }
        if let Some(call) = calls.get(cut) {
            platter.take(call);
        }
    }
    assert_eq!(read(&folder.0, &platter.left(&[], false, None)), Read::Whole);
    assert!(states > 1000 && part > 500 && whole > 0 && least > 10, "{states} {part} {whole} {least}");
    println!(
        "figure: power cut at every call | {} calls, {states} states of the disk | {refused} refused with an error, \
         {part} read in part and said so, {whole} read whole | 0",
        calls.len()
    );
}

#[test]
fn a_disk_that_fails_at_any_call_is_told_and_nothing_is_taken_for_complete() {
    for (fault, name) in [(Fault::Full, "ENOSPC from every call on"), (Fault::Once, "EIO at every call")] {
        let folder = Folder::new(&format!("fails-{fault:?}"));
        let (mut at, mut part, mut refused) = (0, 0, 0);
        loop {
            drop(fs::remove_dir_all(&folder.0));
            let disk = Failing::new(fault, at);
            let outcome = record(Arc::new(disk.clone()), &folder.0, |_| ());
            let is_told = !matches!(outcome, Ok(Ok(())));
            let read = judge(&folder.0);
            if disk.calls() <= at {
                assert!(!is_told && read == Read::Whole, "no call failed: {read:?}");
                break;
            }
            // A call that needs no room does not fail on a full disk.
            if read == Read::Whole {
                assert!(!is_told || fault == Fault::Once, "call {at} failed, the trace is whole");
            } else {
                assert!(is_told, "call {at} failed, and nobody was told: {read:?}");
            }
            part += usize::from(matches!(read, Read::Part(_)));
            refused += usize::from(read == Read::Refused);
            at += 1;
        }
        assert!(part > 20, "{part} of {at} calls");
        println!(
            "figure: {name} | {at} calls | {refused} left no trace and said so, {part} left a part and said so | 0"
        );
    }
}
