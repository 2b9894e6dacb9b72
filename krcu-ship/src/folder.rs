//! Folder: a fleet on a mounted file system.

use std::{
    fs::{self, File, OpenOptions},
    io::{self, Seek as _, SeekFrom, Write as _},
    path::{Path, PathBuf},
};

use anyhow::{Context as _, Result, bail};

use crate::{
    destination::Destination,
    done::{self, Part},
};

/// The folder `FLEET/traces`.
#[derive(Debug)]
pub struct Folder {
    traces: PathBuf,
}

impl Folder {
    /// The traces of the fleet in this folder, which has to be there: a file system that is not mounted is none.
    ///
    /// # Errors
    /// When it is not.
    pub fn new(fleet: &Path) -> Result<Folder> {
        if !fleet.is_dir() {
            bail!("{} is no folder: create the fleet's folder, or mount it", fleet.display());
        }
        Ok(Folder { traces: fleet.join("traces") })
    }

    /// Where a file is until it is whole.
    fn partial(path: &Path) -> PathBuf {
        let name = path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
        path.with_file_name(format!(".{name}.partial"))
    }
}

/// The error of something that is there; none of something that is not.
fn present<T>(found: io::Result<T>, path: &Path) -> Result<Option<T>> {
    match found {
        Ok(found) => Ok(Some(found)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error).with_context(|| path.display().to_string()),
    }
}

impl Destination for Folder {
    fn size(&self, path: &str) -> Result<Option<u64>> {
        let path = self.traces.join(path);
        Ok(present(fs::metadata(&path), &path)?.map(|found| found.len()))
    }

    fn read(&self, path: &str) -> Result<Option<String>> {
        let path = self.traces.join(path);
        present(fs::read_to_string(&path), &path)
    }

    /// Goes on where an earlier run was ended. What it left is checked with the rest.
    fn put(&self, path: &str, from: &Path, part: &Part) -> Result<()> {
        let to = self.traces.join(path);
        let partial = Folder::partial(&to);
        let writing = || format!("{} cannot be written", partial.display());
        fs::create_dir_all(to.parent().unwrap_or(&self.traces)).with_context(writing)?;
        let mut source = File::open(from).with_context(|| from.display().to_string())?;
        let mut target = OpenOptions::new().create(true).append(true).open(&partial).with_context(writing)?;
        let begun = target.metadata().with_context(writing)?.len();
        if begun > part.bytes {
            target.set_len(0).with_context(writing)?;
        } else {
            source.seek(SeekFrom::Start(begun)).with_context(|| from.display().to_string())?;
        }
        io::copy(&mut source, &mut target).with_context(writing)?;
        target.sync_all().with_context(writing)?;
        let (bytes, sha256) = done::sum(&partial)?;
        if bytes != part.bytes || sha256 != part.sha256 {
            // The next run begins anew.
            fs::remove_file(&partial).with_context(writing)?;
            bail!("{} did not arrive as it is: ship it again", from.display());
        }
        fs::rename(&partial, &to).with_context(|| format!("{} cannot be written", to.display()))
    }

    fn write(&self, path: &str, text: &str) -> Result<()> {
        let to = self.traces.join(path);
        let partial = Folder::partial(&to);
        let writing = || format!("{} cannot be written", to.display());
        let mut file = File::create(&partial).with_context(writing)?;
        file.write_all(text.as_bytes()).and_then(|()| file.sync_all()).with_context(writing)?;
        fs::rename(&partial, &to).with_context(writing)
    }
}
