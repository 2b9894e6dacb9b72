//! The socket: writes lines of JSON to each client that may connect. It writes the newest report whenever the client
//! has room for one.
//!
//! A client sends an [`Ask`] of at most [`MOST_ASK_BYTES`] bytes, which is not trusted. A client that sends nothing or
//! something else, or does not read, is disconnected and counted.

use std::{
    fs,
    os::unix::fs::MetadataExt as _,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use anyhow::Context as _;
use krcu_report::{Ask, Detail, Hello, Line, MOST_ASK_BYTES, Question, Refused, SCHEMA, Version};
use nix::{
    sys::stat,
    unistd::{Gid, setfsgid},
};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{
        UnixListener, UnixStream,
        unix::{OwnedReadHalf, OwnedWriteHalf},
    },
    sync::{Semaphore, mpsc, oneshot},
    time::timeout,
};

use super::{
    health::{Health, SocketHealth},
    published::{self, Asked, Newest},
};

/// How long a client may take to say hello.
const HELLO_WITHIN: Duration = Duration::from_secs(5);
/// How long a client may take to read a line.
const READ_WITHIN: Duration = Duration::from_secs(10);

/// The socket and its file. Dropping it deletes the file.
#[derive(Debug)]
pub(super) struct Bound {
    path: PathBuf,
    /// The identity of the file. Another agent may have put a file of its own there.
    inode: Option<u64>,
    listener: UnixListener,
}

/// Does something with a umask of its own. The threads that run by now create no files.
fn with_umask<T>(umask: u32, act: impl FnOnce() -> T) -> T {
    let before = stat::umask(stat::Mode::from_bits_truncate(umask));
    let result = act();
    stat::umask(before);
    result
}

/// Does something as a member of a group, if this thread may be one: new files then belong to the group.
fn with_group<T>(group: Gid, act: impl FnOnce() -> T) -> T {
    let before = setfsgid(group);
    let result = act();
    setfsgid(before);
    result
}

fn inode_of(path: &Path) -> Option<u64> {
    fs::symlink_metadata(path).ok().map(|meta| meta.ino())
}

impl Bound {
    /// Creates the file, for root and a group.
    ///
    /// # Errors
    /// When the file cannot be created, or another agent answers there.
    pub(super) fn to(path: &Path, group: &str) -> anyhow::Result<Bound> {
        let named = || format!("cannot serve at {}", path.display());
        if let Some(folder) =
            path.parent().filter(|folder| !folder.as_os_str().is_empty() && !folder.exists())
        {
            // Whatever the umask says, the group has to get through it.
            let create = || fs::create_dir_all(folder);
            with_umask(0o022, create).with_context(named)?;
        }
        if std::os::unix::net::UnixStream::connect(path).is_ok() {
            anyhow::bail!(
                "another agent answers at {}: stop it, or give this one a socket of its own (socket.path)",
                path.display()
            );
        }
        match fs::symlink_metadata(path) {
            // Left by one that was killed.
            Ok(meta) if std::os::unix::fs::FileTypeExt::is_socket(&meta.file_type()) => {
                fs::remove_file(path).with_context(named)?;
            }
            Ok(_) => {
                anyhow::bail!("{} is there and is no socket: choose another socket.path", path.display())
            }
            Err(_) => {}
        }
        let group = nix::unistd::Group::from_name(group).ok().flatten();
        // The file has its group and its mode when it appears. Nothing is done to the path later, since somebody else's
        // file could be there by then.
        let umask = if group.is_some() { 0o117 } else { 0o177 };
        let create = || with_umask(umask, || UnixListener::bind(path));
        let listener = match &group {
            Some(group) => with_group(group.gid, create),
            None => create(),
        }
        .with_context(named)?;
        let bound = Bound { path: path.to_owned(), inode: inode_of(path), listener };
        if let Some(group) = &group
            && fs::symlink_metadata(path).with_context(named)?.gid() != group.gid.as_raw()
        {
            anyhow::bail!(
                "cannot give {} to the group {}: this user has to be one of it (under systemd by Group= or \
                 SupplementaryGroups=), or socket.group another",
                path.display(),
                group.name
            );
        }
        Ok(bound)
    }

    /// The path of the file.
    pub(super) fn path(&self) -> &Path {
        &self.path
    }
}

impl Drop for Bound {
    fn drop(&mut self) {
        if self.inode == inode_of(&self.path) {
            let _ = fs::remove_file(&self.path);
        }
    }
}

/// The data for all clients.
#[derive(Clone)]
pub(super) struct Serve {
    /// The first line for each client.
    pub(super) hello: Arc<Hello>,
    /// The newest report. Its sender is dropped when the agent stops.
    pub(super) newest: Newest,
    /// The queue to the owner, which has the data to simulate a destroy.
    pub(super) asks: mpsc::Sender<Asked>,
    pub(super) health: Arc<Health>,
}

/// Accepts clients until the agent stops. The clients that are connected then get the last report.
pub(super) async fn serve(bound: &Bound, most: usize, serve: Serve) {
    let places = Arc::new(Semaphore::new(most));
    let mut stopped = serve.newest.clone();
    let mut clients = tokio::task::JoinSet::new();
    loop {
        let accepted = tokio::select! {
            accepted = bound.listener.accept() => accepted,
            Some(_) = clients.join_next() => continue,
            () = closed(&mut stopped) => break,
        };
        let Ok((stream, _)) = accepted else {
            // No descriptors are left, or the client is gone: another one may have more luck in a while.
            tokio::time::sleep(Duration::from_millis(100)).await;
            continue;
        };
        match Arc::clone(&places).try_acquire_owned() {
            Ok(place) => {
                let serve = serve.clone();
                clients.spawn(async move {
                    serve.health.socket.clients.one_more();
                    client(stream, &serve).await;
                    serve.health.socket.clients.one_less();
                    drop(place);
                });
            }
            Err(_) => refuse(&stream, most, &serve.health.socket),
        }
    }
    while clients.join_next().await.is_some() {}
}

/// Waits until no more report will come.
async fn closed(newest: &mut Newest) {
    while newest.changed().await.is_ok() {}
}

fn refuse(stream: &UnixStream, most: usize, health: &SocketHealth) {
    health.too_many.one_more();
    let why = format!("{most} clients are connected, which is all that socket.clients allows");
    // What finds no room in a new socket is not waited for.
    let _ = stream.try_write(published::line(&Line::Refused(Refused { schema: SCHEMA, why })).as_bytes());
}

/// Why a client is disconnected.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum End {
    /// The client disconnected, or the agent stops.
    Gone,
    SlowHello,
    Garbage,
    /// The client speaks this other version of the lines.
    OtherVersion(u32),
    Oversized,
    Stalled,
}

async fn client(stream: UnixStream, serve: &Serve) {
    let health = &serve.health.socket;
    match converse(stream, serve).await {
        End::Gone => {}
        End::SlowHello => health.slow_hello.one_more(),
        End::Garbage | End::OtherVersion(_) => health.garbage.one_more(),
        End::Oversized => health.oversized.one_more(),
        End::Stalled => health.stalled.one_more(),
    }
}

async fn converse(stream: UnixStream, serve: &Serve) -> End {
    let (read, mut write) = stream.into_split();
    let mut asks = Asks { read, buffer: [0; MOST_ASK_BYTES], filled: 0, has_asked: false };
    let hello = published::line(&Line::Hello((*serve.hello).clone()));
    if let Err(end) = put(&mut write, hello.as_bytes()).await {
        return end;
    }
    let mut detail = match timeout(HELLO_WITHIN, asks.next()).await {
        Ok(Ok(detail)) => detail,
        Ok(Err(end)) => return told_why(&mut write, end).await,
        Err(_) => return End::SlowHello,
    };
    serve.health.socket.served.one_more();
    let mut newest = serve.newest.clone();
    let mut told: Option<u64> = None;
    let mut wanted = Wanted::default();
    newest.mark_changed();
    loop {
        tokio::select! {
            // What was asked for holds from the next report on, however often it is asked.
            again = asks.next() => match again {
                Ok(again) => detail = again,
                Err(end) => return told_why(&mut write, end).await,
            },
            question = wanted.question() => {
                let line = published::line(&Line::Question(Box::new(question)));
                if let Err(end) = put(&mut write, line.as_bytes()).await {
                    return end;
                }
            }
            changed = newest.changed() => {
                let Some(report) = newest.borrow_and_update().clone() else {
                    if changed.is_err() { return End::Gone } else { continue }
                };
                let seq = report.report.seq;
                let is_new = told != Some(seq);
                if is_new {
                    let lost = told.map_or(0, |before| seq.saturating_sub(before + 1));
                    serve.health.socket.reports_lost.add(lost);
                    told = Some(seq);
                    if let Detail::Destroy(destroy) = detail {
                        wanted.want(destroy, serve);
                    }
                    let line = report.line(detail);
                    if let Err(end) = put(&mut write, line.as_bytes()).await {
                        return end;
                    }
                }
                if changed.is_err() {
                    return End::Gone;
                }
            }
        }
    }
}

/// Tells a client of another version why it is disconnected.
async fn told_why(write: &mut OwnedWriteHalf, end: End) -> End {
    if let End::OtherVersion(schema) = end {
        let why = format!(
            "this agent speaks version {SCHEMA} of its lines, and the terminal version {schema}: use a krcu-tui of \
             the agent's own release"
        );
        // It may have gone.
        let _ = put(write, published::line(&Line::Refused(Refused { schema: SCHEMA, why })).as_bytes()).await;
    }
    end
}

async fn put(write: &mut OwnedWriteHalf, line: &[u8]) -> Result<(), End> {
    match timeout(READ_WITHIN, write.write_all(line)).await {
        Ok(Ok(())) => Ok(()),
        Ok(Err(_)) => Err(End::Gone),
        Err(_) => Err(End::Stalled),
    }
}

/// Reads a client's lines, with room for one line.
struct Asks {
    read: OwnedReadHalf,
    buffer: [u8; MOST_ASK_BYTES],
    filled: usize,
    /// Whether the client has said hello.
    has_asked: bool,
}

impl Asks {
    /// Reads the next line. The future may be dropped, and a new one continues: what was read so far is kept.
    async fn next(&mut self) -> Result<Detail, End> {
        loop {
            let filled = self.buffer.get(..self.filled).unwrap_or_default();
            if let Some(end) = filled.iter().position(|byte| *byte == b'\n') {
                let detail = parse(filled.get(..end).unwrap_or_default());
                self.buffer.copy_within(end + 1..self.filled, 0);
                self.filled -= end + 1;
                self.has_asked = true;
                return detail;
            }
            let room = self.buffer.get_mut(self.filled..).unwrap_or_default();
            if room.is_empty() {
                return Err(End::Oversized);
            }
            match self.read.read(room).await {
                // It has said all that it wanted to; whether it is there shows when it is written to.
                Ok(0) if self.filled == 0 && self.has_asked => std::future::pending().await,
                Ok(0) if self.filled == 0 => return Err(End::Gone),
                Ok(0) => return Err(End::Garbage),
                Ok(read) => self.filled += read,
                Err(_) => return Err(End::Gone),
            }
        }
    }
}

fn parse(line: &[u8]) -> Result<Detail, End> {
    match serde_json::from_slice::<Version>(line) {
        Ok(Version { schema }) if schema != SCHEMA => Err(End::OtherVersion(schema)),
        _ => {
            let Ask::Hello { detail, .. } = serde_json::from_slice(line).map_err(|_| End::Garbage)?;
            Ok(detail)
        }
    }
}

/// The question that a client wants. The owner is asked for it once, and it is sent when the owner has gathered it.
#[derive(Default)]
struct Wanted {
    destroy: Option<u64>,
    waiting: Option<oneshot::Receiver<Option<Question>>>,
}

impl Wanted {
    /// Asks the owner for the question of a destroy, unless that was done already.
    fn want(&mut self, destroy: u64, serve: &Serve) {
        if self.destroy == Some(destroy) {
            return;
        }
        let (reply, waiting) = oneshot::channel();
        // Where too many ask, the next report asks again.
        if serve.asks.try_send(Asked { destroy, reply }).is_ok() {
            *self = Wanted { destroy: Some(destroy), waiting: Some(waiting) };
        }
    }

    /// Waits for the question. If there is none yet for this destroy, the owner is asked again.
    async fn question(&mut self) -> Question {
        if let Some(waiting) = &mut self.waiting {
            let question = waiting.await;
            self.waiting = None;
            match question {
                Ok(Some(question)) => return question,
                _ => self.destroy = None,
            }
        }
        std::future::pending().await
    }
}

#[cfg(test)]
mod tests;
