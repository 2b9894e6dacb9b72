//! Disks for tests: one that logs the calls, and one that lets one of them fail.
#![expect(clippy::unwrap_used, reason = "a step that fails is a failed test")]

use std::{
    io,
    path::{Path, PathBuf},
    sync::{Arc, Mutex},
};

use krcu_trace::disk::{Appended, Direct, Disk};

/// A call to the system. A file has a number, since its name may change.
#[derive(Clone, Debug)]
pub(crate) enum Call {
    Folder(PathBuf),
    File(usize, PathBuf),
    Append(usize, Vec<u8>),
    Sync(usize),
    Rename(PathBuf, PathBuf),
    SyncFolder(PathBuf),
}

/// Logs the calls, and does nothing.
#[derive(Clone, Debug, Default)]
pub(crate) struct Logged(Arc<Mutex<Vec<Call>>>);

#[derive(Debug)]
struct LoggedFile(Logged, usize);

impl Logged {
    pub(crate) fn calls(&self) -> Vec<Call> {
        self.0.lock().unwrap().clone()
    }

    fn log(&self, call: Call) -> io::Result<()> {
        self.0.lock().unwrap().push(call);
        Ok(())
    }
}

impl Disk for Logged {
    fn folder(&self, path: &Path) -> io::Result<()> {
        self.log(Call::Folder(path.to_owned()))
    }

    fn file(&self, path: &Path) -> io::Result<Box<dyn Appended>> {
        let number = self.calls().len();
        self.log(Call::File(number, path.to_owned()))?;
        Ok(Box::new(LoggedFile(self.clone(), number)))
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.log(Call::Rename(from.to_owned(), to.to_owned()))
    }

    fn sync_folder(&self, path: &Path) -> io::Result<()> {
        self.log(Call::SyncFolder(path.to_owned()))
    }
}

impl Appended for LoggedFile {
    fn append(&self, bytes: &[u8]) -> io::Result<()> {
        self.0.log(Call::Append(self.1, bytes.to_owned()))
    }

    fn sync(&self) -> io::Result<()> {
        self.0.log(Call::Sync(self.1))
    }
}

/// How a call fails.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    /// Every call that needs room fails from then on: ENOSPC.
    Full,
    /// This call fails, the next ones do not: EIO.
    Once,
}

/// The system itself, but for the faults.
#[derive(Clone, Debug)]
pub(crate) struct Failing {
    fault: Fault,
    at: usize,
    calls: Arc<Mutex<usize>>,
}

#[derive(Debug)]
struct FailingFile(Failing, Box<dyn Appended>);

impl Failing {
    pub(crate) fn new(fault: Fault, at: usize) -> Failing {
        Failing { fault, at, calls: Arc::default() }
    }

    /// How many calls there were.
    pub(crate) fn calls(&self) -> usize {
        *self.calls.lock().unwrap()
    }

    fn call(&self, needs_room: bool) -> io::Result<()> {
        let mut calls = self.calls.lock().unwrap();
        *calls += 1;
        match self.fault {
            Fault::Full if needs_room && *calls > self.at => Err(io::Error::from_raw_os_error(28)),
            Fault::Once if *calls == self.at + 1 => Err(io::Error::from_raw_os_error(5)),
            _ => Ok(()),
        }
    }
}

impl Disk for Failing {
    fn folder(&self, path: &Path) -> io::Result<()> {
        self.call(true)?;
        Direct.folder(path)
    }

    fn file(&self, path: &Path) -> io::Result<Box<dyn Appended>> {
        self.call(true)?;
        Ok(Box::new(FailingFile(self.clone(), Direct.file(path)?)))
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.call(false)?;
        Direct.rename(from, to)
    }

    fn sync_folder(&self, _: &Path) -> io::Result<()> {
        self.call(false)
    }
}

impl Appended for FailingFile {
    fn append(&self, bytes: &[u8]) -> io::Result<()> {
        self.0.call(true).inspect_err(|_| drop(self.1.append(&bytes[..bytes.len() / 2])))?;
        self.1.append(bytes)
    }

    fn sync(&self) -> io::Result<()> {
        self.0.call(false)
    }
}
