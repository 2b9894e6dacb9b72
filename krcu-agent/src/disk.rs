//! Disk: a thread that writes a trace and syncs it, and the bounded queue to it. The owner of the replay never waits for a
//! slow disk, which would fill the ring.

use std::{
    collections::VecDeque,
    fmt, io,
    path::Path,
    sync::{Arc, Condvar, Mutex, MutexGuard, OnceLock, PoisonError},
    thread,
    time::Duration,
};

use krcu_trace::disk::{Appended, Disk};

/// How often a trace is synced if nothing else is said.
pub const SYNC_EVERY: Duration = Duration::from_secs(5);
/// The most bytes that wait for the disk. If there are more, the trace is cut short.
const MOST_WAITING_BYTES: usize = 64 << 20;
/// What a call takes in memory besides its bytes, by estimate.
const CALL_BYTES: usize = 256;

/// A disk whose calls are done by a thread, one after the other. After a call has failed, the later ones are left out
/// until [`Disk::settle`] has told the error; until then every new call returns it.
pub struct Queued {
    disk: Arc<dyn Disk>,
    shared: Arc<Shared>,
}

/// A call that waits for the disk.
struct Call {
    bytes: usize,
    run: Box<dyn FnOnce() -> io::Result<()> + Send>,
}

struct Shared {
    /// Whether the disk is this machine's.
    is_local: bool,
    waiting: Mutex<Waiting>,
    changed: Condvar,
}

#[derive(Default)]
struct Waiting {
    calls: VecDeque<Call>,
    /// Bytes of these calls, and of the one that runs.
    bytes: usize,
    /// Whether a call runs.
    busy: bool,
    failed: Option<io::Error>,
    /// Whether no more calls come.
    closed: bool,
}

impl Queued {
    /// Starts the thread, which does the calls on this disk. It ends after the last call, once this is dropped.
    ///
    /// # Errors
    /// When the thread cannot be started.
    pub fn start(disk: Arc<dyn Disk>) -> io::Result<Queued> {
        let (is_local, waiting, changed) = (disk.is_local(), Mutex::default(), Condvar::new());
        let shared = Arc::new(Shared { is_local, waiting, changed });
        let theirs = Arc::clone(&shared);
        thread::Builder::new().name("krcu-disk".to_owned()).spawn(move || theirs.run())?;
        Ok(Queued { disk, shared })
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn wait<'a>(&self, waiting: MutexGuard<'a, Waiting>) -> MutexGuard<'a, Waiting> {
        self.changed.wait(waiting).unwrap_or_else(PoisonError::into_inner)
    }

    /// Queues a call.
    fn put(&self, bytes: usize, run: impl FnOnce() -> io::Result<()> + Send + 'static) -> io::Result<()> {
        let mut waiting = self.lock();
        if let Some(error) = &waiting.failed {
            return Err(copy(error));
        }
        let bytes = bytes.saturating_add(CALL_BYTES);
        if waiting.bytes.saturating_add(bytes) > MOST_WAITING_BYTES {
            let slow = if self.is_local { "disk" } else { "receiver" };
            let why = format!("the {slow} is too slow: {} bytes wait for it", waiting.bytes);
            return Err(io::Error::other(why));
        }
        waiting.bytes = waiting.bytes.saturating_add(bytes);
        waiting.calls.push_back(Call { bytes, run: Box::new(run) });
        self.changed.notify_all();
        Ok(())
    }

    /// Does the calls, until no more come.
    fn run(&self) {
        let mut waiting = self.lock();
        loop {
            let Some(call) = waiting.calls.pop_front() else {
                if waiting.closed {
                    return;
                }
                waiting = self.wait(waiting);
                continue;
            };
            waiting.busy = true;
            let is_left_out = waiting.failed.is_some();
            drop(waiting);
            let done = if is_left_out { Ok(()) } else { (call.run)() };
            waiting = self.lock();
            waiting.busy = false;
            waiting.bytes = waiting.bytes.saturating_sub(call.bytes);
            if let Err(error) = done {
                waiting.failed.get_or_insert(error);
            }
            self.changed.notify_all();
        }
    }
}

impl Disk for Queued {
    fn folder(&self, path: &Path) -> io::Result<()> {
        let (disk, path) = (Arc::clone(&self.disk), path.to_owned());
        self.shared.put(0, move || disk.folder(&path))
    }

    fn file(&self, path: &Path) -> io::Result<Box<dyn Appended>> {
        let file = Arc::<OnceLock<Box<dyn Appended>>>::default();
        let (disk, path, place) = (Arc::clone(&self.disk), path.to_owned(), Arc::clone(&file));
        self.shared.put(0, move || {
            let _ = place.set(disk.file(&path)?);
            Ok(())
        })?;
        Ok(Box::new(QueuedFile { file, shared: Arc::clone(&self.shared) }))
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        let (disk, from, to) = (Arc::clone(&self.disk), from.to_owned(), to.to_owned());
        self.shared.put(0, move || disk.rename(&from, &to))
    }

    fn sync_folder(&self, path: &Path) -> io::Result<()> {
        let (disk, path) = (Arc::clone(&self.disk), path.to_owned());
        self.shared.put(0, move || disk.sync_folder(&path))
    }

    fn is_local(&self) -> bool {
        self.disk.is_local()
    }

    fn settle(&self) -> io::Result<()> {
        let mut waiting = self.shared.lock();
        while waiting.busy || !waiting.calls.is_empty() {
            waiting = self.shared.wait(waiting);
        }
        waiting.failed.take().map_or(Ok(()), Err)
    }
}

impl Drop for Queued {
    fn drop(&mut self) {
        self.shared.lock().closed = true;
        self.shared.changed.notify_all();
    }
}

impl fmt::Debug for Queued {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Queued").field("disk", &self.disk).finish_non_exhaustive()
    }
}

/// A file of such a disk. It is there once the call that makes it was done.
struct QueuedFile {
    file: Arc<OnceLock<Box<dyn Appended>>>,
    shared: Arc<Shared>,
}

impl QueuedFile {
    fn put(
        &self,
        bytes: usize,
        call: impl FnOnce(&dyn Appended) -> io::Result<()> + Send + 'static,
    ) -> io::Result<()> {
        let file = Arc::clone(&self.file);
        // A file that was not made has failed already.
        self.shared.put(bytes, move || file.get().map_or(Ok(()), |file| call(&**file)))
    }
}

impl Appended for QueuedFile {
    fn append(&self, bytes: &[u8]) -> io::Result<()> {
        let bytes = bytes.to_owned();
        self.put(bytes.len(), move |file| file.append(&bytes))
    }

    fn sync(&self) -> io::Result<()> {
        self.put(0, |file| file.sync())
    }
}

impl fmt::Debug for QueuedFile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("QueuedFile").field("file", &self.file).finish_non_exhaustive()
    }
}

/// The same error once more.
fn copy(error: &io::Error) -> io::Error {
    match error.raw_os_error() {
        Some(number) => io::Error::from_raw_os_error(number),
        None => io::Error::new(error.kind(), error.to_string()),
    }
}

#[cfg(test)]
mod tests;
