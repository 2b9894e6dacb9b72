//! Stream: a trace on its way to another machine. The calls of a [`Disk`] go over a connection, one after the other, and
//! the other end makes the same calls in a folder of its own.
//!
//! A stream is a line, [`HEAD`], and then frames: a word of one byte, the size of the body and its CRC-32 in four bytes
//! each, the lowest byte first, and the body. Every body begins with the number of a file, four bytes as well.
//!
//! | word | what it asks for | body after the number |
//! | --- | --- | --- |
//! | `f` | a new file | its name |
//! | `a` | append to the file | the bytes |
//! | `s` | the file is to be on the disk for certain | |
//! | `r` | the file gets another name | the name |
//!
//! There is no frame for the end: a trace whose head says how it ended is whole. What came before a cut is a trace without
//! an end, which every reader takes.

use std::{
    collections::BTreeMap,
    fmt,
    io::{self, ErrorKind, Read, Write},
    path::{Path, PathBuf},
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU32, Ordering},
    },
};

use crate::{
    End, How, Meta, TraceError,
    disk::{Appended, Direct, Disk},
    meta,
};

/// How a stream begins.
pub const HEAD: &[u8] = b"krcu-stream 1\n";

const FILE: u8 = b'f';
const APPEND: u8 = b'a';
const SYNC: u8 = b's';
const RENAME: u8 = b'r';

/// Bytes of a frame before its body.
const FRAME_BYTES: usize = 9;
/// Bytes of a file's number.
const NUMBER_BYTES: usize = 4;
/// The most bytes that one frame appends.
const MOST_APPENDED: usize = 1 << 20;
/// The most files of a stream, and the most bytes of a name.
const MOST_FILES: usize = 1 << 16;
const MOST_NAME: usize = 64;

/// The end of a stream that is written to. It keeps nothing.
pub struct Sender {
    wire: Arc<Wire>,
}

struct Wire {
    /// None after the other end did not take something: what it has is cut there.
    out: Mutex<Option<Box<dyn Write + Send>>>,
    /// The files by their names, for those that get another one.
    names: Mutex<BTreeMap<PathBuf, u32>>,
    files: AtomicU32,
}

impl Sender {
    /// Begins a stream.
    ///
    /// # Errors
    /// When the other end does not take it.
    pub fn begin(mut out: impl Write + Send + 'static) -> io::Result<Sender> {
        out.write_all(HEAD)?;
        let wire =
            Wire { out: Mutex::new(Some(Box::new(out))), names: Mutex::default(), files: AtomicU32::new(0) };
        Ok(Sender { wire: Arc::new(wire) })
    }
}

impl Wire {
    fn frame(&self, word: u8, file: u32, rest: &[u8]) -> io::Result<()> {
        let mut body = Vec::with_capacity(FRAME_BYTES + NUMBER_BYTES + rest.len());
        body.extend(file.to_le_bytes());
        body.extend(rest);
        let size = u32::try_from(body.len()).map_err(io::Error::other)?;
        let mut frame = vec![word];
        frame.extend(size.to_le_bytes());
        frame.extend(crc32fast::hash(&body).to_le_bytes());
        frame.append(&mut body);
        let mut place = self.out.lock().unwrap_or_else(PoisonError::into_inner);
        let out = place.as_mut().ok_or(ErrorKind::BrokenPipe)?;
        out.write_all(&frame).inspect_err(|_| *place = None)
    }

    fn named(&self) -> std::sync::MutexGuard<'_, BTreeMap<PathBuf, u32>> {
        self.names.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for Sender {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sender").finish_non_exhaustive()
    }
}

impl Disk for Sender {
    /// The other end has a folder.
    fn folder(&self, _: &Path) -> io::Result<()> {
        Ok(())
    }

    fn file(&self, path: &Path) -> io::Result<Box<dyn Appended>> {
        let number = self.wire.files.fetch_add(1, Ordering::Relaxed);
        self.wire.frame(FILE, number, name_of(path)?)?;
        self.wire.named().insert(path.to_owned(), number);
        Ok(Box::new(Sent { wire: Arc::clone(&self.wire), number }))
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        let number = self.wire.named().remove(from).ok_or(ErrorKind::NotFound)?;
        self.wire.frame(RENAME, number, name_of(to)?)?;
        self.wire.named().insert(to.to_owned(), number);
        Ok(())
    }

    /// A file that is synced has its name synced by the other end.
    fn sync_folder(&self, _: &Path) -> io::Result<()> {
        Ok(())
    }

    fn is_local(&self) -> bool {
        false
    }
}

/// A file of the other end.
struct Sent {
    wire: Arc<Wire>,
    number: u32,
}

impl fmt::Debug for Sent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sent").field("number", &self.number).finish_non_exhaustive()
    }
}

impl Appended for Sent {
    fn append(&self, bytes: &[u8]) -> io::Result<()> {
        bytes.chunks(MOST_APPENDED).try_for_each(|bytes| self.wire.frame(APPEND, self.number, bytes))
    }

    fn sync(&self) -> io::Result<()> {
        self.wire.frame(SYNC, self.number, &[])
    }
}

fn name_of(path: &Path) -> io::Result<&[u8]> {
    let name = path.file_name().and_then(|name| name.to_str());
    name.map(str::as_bytes).ok_or_else(|| io::Error::from(ErrorKind::InvalidFilename))
}

/// What has come of a stream.
#[derive(Debug)]
pub struct Received {
    /// The bytes that were taken.
    pub bytes: u64,
    /// Why no more came; absent if the trace has its end.
    pub cut: Option<Cut>,
    /// Whether there is enough for a reader of traces.
    pub is_trace: bool,
}

/// Why a stream has no more.
#[derive(Debug, thiserror::Error)]
pub enum Cut {
    /// The other end has gone.
    #[error("the sender went before the end of its trace")]
    Ended,
    /// The other end could not send all of it.
    #[error("the sender could not send all of its trace")]
    Short,
    /// Nothing came for long, or the connection broke.
    #[error("the connection broke ({0})")]
    Broken(io::Error),
    /// The bytes are no stream.
    #[error("this is no stream of `krcu record --stream`: it does not begin with its head")]
    NoStream,
    /// They are no frame, or not the one that was sent.
    #[error("the bytes at {at} are not those that were sent ({why})")]
    Damaged {
        /// The place of the frame.
        at: u64,
        /// What is wrong.
        why: &'static str,
    },
    /// This machine's disk does not take it.
    #[error("the trace cannot be written here ({0})")]
    Disk(io::Error),
}

/// Takes a stream to its end, into this folder, which is there and empty.
///
/// # Errors
/// When the folder has a trace that cannot be read.
pub fn receive(from: impl Read, folder: &Path) -> Result<Received, TraceError> {
    let mut receiver = Receiver { from, folder: folder.to_owned(), files: BTreeMap::new(), bytes: 0 };
    let cut = receiver.take().err();
    let bytes = receiver.bytes;
    if !folder.join(meta::FILE).is_file() {
        return Ok(Received { bytes, cut: cut.or(Some(Cut::Ended)), is_trace: false });
    }
    let cut = cut.or(match Meta::load(folder)?.ended {
        None => Some(Cut::Ended),
        Some(End { how: How::CutShort, .. }) => Some(Cut::Short),
        Some(_) => None,
    });
    Ok(Received { bytes, cut, is_trace: true })
}

struct Receiver<From> {
    from: From,
    folder: PathBuf,
    files: BTreeMap<u32, Taken>,
    bytes: u64,
}

/// A file, and its name in the folder.
struct Taken {
    file: Box<dyn Appended>,
    path: PathBuf,
}

impl<From: Read> Receiver<From> {
    /// Takes every frame.
    fn take(&mut self) -> Result<(), Cut> {
        let mut head = [0; HEAD.len()];
        if self.read(&mut head)? < HEAD.len() || head != HEAD {
            return Err(Cut::NoStream);
        }
        self.bytes += HEAD.len() as u64;
        while self.frame()? {}
        Ok(())
    }

    /// Takes the next frame. False if the stream is over.
    fn frame(&mut self) -> Result<bool, Cut> {
        let mut frame = [0; FRAME_BYTES];
        match self.read(&mut frame)? {
            0 => return Ok(false),
            FRAME_BYTES => {}
            _ => return Err(Cut::Ended),
        }
        let [word, s0, s1, s2, s3, c0, c1, c2, c3] = frame;
        let size = usize::try_from(u32::from_le_bytes([s0, s1, s2, s3])).unwrap_or(usize::MAX);
        if !(NUMBER_BYTES..=NUMBER_BYTES + MOST_APPENDED).contains(&size) {
            return Err(self.damaged("its size cannot be"));
        }
        let mut body = vec![0; size];
        if self.read(&mut body)? < size {
            return Err(Cut::Ended);
        }
        if crc32fast::hash(&body) != u32::from_le_bytes([c0, c1, c2, c3]) {
            return Err(self.damaged("the checksum"));
        }
        let (number, rest) = body.split_at(NUMBER_BYTES);
        let number = number.try_into().map_or(0, u32::from_le_bytes);
        self.obey(word, number, rest)?;
        self.bytes += (FRAME_BYTES + size) as u64;
        Ok(true)
    }

    fn obey(&mut self, word: u8, number: u32, rest: &[u8]) -> Result<(), Cut> {
        let at = self.bytes;
        let unknown = Cut::Damaged { at, why: "a file that was not begun" };
        match word {
            FILE => {
                let path = self.path(rest)?;
                if self.files.len() >= MOST_FILES || self.files.contains_key(&number) {
                    return Err(self.damaged("a file that there is already"));
                }
                let file = Direct.file(&path).map_err(Cut::Disk)?;
                self.files.insert(number, Taken { file, path });
                Ok(())
            }
            APPEND => self.files.get(&number).ok_or(unknown)?.file.append(rest).map_err(Cut::Disk),
            SYNC => {
                self.files.get(&number).ok_or(unknown)?.file.sync().map_err(Cut::Disk)?;
                Direct.sync_folder(&self.folder).map_err(Cut::Disk)
            }
            RENAME => {
                let path = self.path(rest)?;
                let taken = self.files.get_mut(&number).ok_or(unknown)?;
                Direct.rename(&taken.path, &path).map_err(Cut::Disk)?;
                taken.path = path;
                Direct.sync_folder(&self.folder).map_err(Cut::Disk)
            }
            _ => Err(self.damaged("there is no such word")),
        }
    }

    /// The place of a file of this name. Only names of a trace's own files are taken, so nothing lands elsewhere.
    fn path(&self, name: &[u8]) -> Result<PathBuf, Cut> {
        let is_own = |byte: &u8| byte.is_ascii_alphanumeric() || b"-._".contains(byte);
        let is_name = (1..=MOST_NAME).contains(&name.len()) && name.iter().all(is_own) && name[0] != b'.';
        let name = str::from_utf8(name).ok().filter(|_| is_name);
        name.map(|name| self.folder.join(name))
            .ok_or_else(|| self.damaged("a name that no file of a trace has"))
    }

    fn damaged(&self, why: &'static str) -> Cut {
        Cut::Damaged { at: self.bytes, why }
    }

    /// Fills the buffer, unless the stream is over before. Gives how many bytes came.
    fn read(&mut self, buffer: &mut [u8]) -> Result<usize, Cut> {
        let mut came = 0;
        while let Some(rest) = buffer.get_mut(came..).filter(|rest| !rest.is_empty()) {
            match self.from.read(rest) {
                Ok(0) => break,
                Ok(more) => came += more,
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(Cut::Broken(error)),
            }
        }
        Ok(came)
    }
}
