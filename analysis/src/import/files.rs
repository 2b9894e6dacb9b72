//! Files: what is refused before a line is read, the lines of a text that may be anything, and a file that is whole or
//! not there.

use std::{
    fs::{self, File},
    io::{BufRead as _, BufReader, BufWriter, Read as _, Write as _},
    os::unix::fs::MetadataExt as _,
    path::{Path, PathBuf},
};

use anyhow::{Context as _, Result, bail};

/// Bytes of the longest line that is read.
const LONGEST_LINE: u64 = 1 << 16;
/// How files begin that are no text, what they are, and what makes text of them.
const KINDS: [(&[u8], &str, &str); 8] = [
    (b"\x17\x08\x44tracing", "a recording of trace-cmd", "trace-cmd report FILE >trace.txt"),
    (b"PERFILE2", "a recording of perf", "perf script -i FILE -F comm,tid,cpu,time,event,trace >trace.txt"),
    (b"2ELIFREP", "a recording of perf", "perf script -i FILE -F comm,tid,cpu,time,event,trace >trace.txt"),
    (b"\x1f\x8b", "compressed", "gunzip <FILE >trace.txt"),
    (b"\xfd7zXZ", "compressed", "xz -d <FILE >trace.txt"),
    (b"\x28\xb5\x2f\xfd", "compressed", "zstd -d <FILE >trace.txt"),
    (b"\xff\xfe", "UTF-16", "iconv -f UTF-16 FILE >trace.txt"),
    (b"\x7fELF", "a program or a dump of a kernel", "crash, or contrib/krcu_outstanding.py for a dump"),
];

/// Refuses what cannot be imported, and an output that is the input.
///
/// # Errors
/// When the text cannot be opened, is no text, or is the output.
pub(super) fn refuse(text: &Path, output: &Path) -> Result<()> {
    let name = text.display();
    if text.is_dir() {
        bail!("{name} is a folder: a trace of krcu needs no import, so ask it: krcu analyze caches {name}");
    }
    let file = File::open(text).with_context(|| format!("{name} cannot be read"))?;
    if let (Ok(here), Ok(there)) = (file.metadata(), fs::metadata(output))
        && (here.dev(), here.ino()) == (there.dev(), there.ino())
    {
        bail!("{name} is the input and the output: name another file with -o");
    }
    let mut head = Vec::new();
    file.take(4096).read_to_end(&mut head).with_context(|| format!("{name} cannot be read"))?;
    if let Some((_, what, command)) = KINDS.into_iter().find(|(magic, ..)| head.starts_with(magic)) {
        bail!(
            "{name} is {what}, and this reads text. Make text of it: {}",
            command.replace("FILE", &name.to_string())
        );
    }
    if head.starts_with(b"krcu-script 1") {
        bail!("{name} is a script already, so ask it: krcu analyze caches {name}");
    }
    Ok(())
}

/// The lines of a text. A byte that is not UTF-8 becomes U+FFFD.
pub(super) struct Lines {
    path: PathBuf,
    reader: BufReader<File>,
}

impl Lines {
    pub(super) fn open(path: &Path) -> Result<Self> {
        let file = File::open(path).with_context(|| format!("{} cannot be read", path.display()))?;
        Ok(Self { path: path.to_owned(), reader: BufReader::new(file) })
    }

    /// The next line, and whether it is cut because it is too long.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub(super) fn next(&mut self) -> Result<Option<(String, bool)>> {
        let mut bytes = Vec::new();
        let failed = || format!("{} cannot be read", self.path.display());
        let read =
            self.reader.by_ref().take(LONGEST_LINE).read_until(b'\n', &mut bytes).with_context(failed)?;
        if read == 0 {
            return Ok(None);
        }
        let is_long = read as u64 == LONGEST_LINE && !bytes.ends_with(b"\n");
        if is_long {
            self.reader.skip_until(b'\n').with_context(failed)?;
        }
        Ok(Some((String::from_utf8_lossy(&bytes).into_owned(), is_long)))
    }
}

/// Writes a file. Until it is whole, an older one stays in its place.
///
/// # Errors
/// When it cannot be written; then nothing is left of it.
pub(super) fn write_whole(
    path: &Path,
    write: impl FnOnce(&mut BufWriter<&File>) -> Result<()>,
) -> Result<()> {
    let failed = || format!("{} cannot be written", path.display());
    // A link stays a link.
    let place = fs::canonicalize(path).unwrap_or_else(|_| path.to_owned());
    if fs::metadata(&place).is_ok_and(|there| !there.is_file()) {
        let file = File::options().write(true).open(&place).with_context(failed)?;
        let mut out = BufWriter::new(&file);
        write(&mut out)?;
        return out.flush().with_context(failed);
    }
    let folder = place.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let file = tempfile::NamedTempFile::new_in(folder).with_context(failed)?;
    let mut out = BufWriter::new(file.as_file());
    write(&mut out)?;
    out.flush().with_context(failed)?;
    drop(out);
    file.persist(&place).map(drop).with_context(failed)
}
