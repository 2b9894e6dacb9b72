//! Tables: the rows of a replay, spilled to Parquet as they come, and scanned from there.
//!
//! A table in memory is at most [`ROWS`] rows; what was written is read by column and by row group, so that a trace
//! may be larger than memory. The folder is temporary and goes when this is dropped.

use std::{
    fs::File,
    path::{Path, PathBuf},
};

use polars::prelude::*;

use crate::facts::{
    Sink,
    row::Rows,
    words::{self, Barriers, Batches, Caches, Destroys, Gaps, Graces, Objects, Sites, Verdicts},
};

/// Rows of a table that are kept before they are written.
const ROWS: usize = 1 << 16;

/// Why tables cannot be kept.
#[derive(Debug, thiserror::Error)]
pub enum TablesError {
    /// The temporary folder cannot be made, or a file in it.
    #[error("a temporary table cannot be written in {}", folder.display())]
    Folder {
        /// Where.
        folder: PathBuf,
        /// Why.
        #[source]
        error: std::io::Error,
    },
    /// polars says no.
    #[error("a table cannot be written or read")]
    Polars(#[from] PolarsError),
}

/// One table that is being written.
struct Spill<R> {
    rows: R,
    writer: polars::io::parquet::write::BatchedWriter<File>,
}

impl<R: Rows> Spill<R> {
    fn new(folder: &Path) -> Result<Spill<R>, TablesError> {
        let path = file(folder, R::NAME);
        let file =
            File::create(path).map_err(|error| TablesError::Folder { folder: folder.to_owned(), error })?;
        let empty = R::default().take();
        let writer =
            ParquetWriter::new(file).with_compression(ParquetCompression::Snappy).batched(empty.schema())?;
        Ok(Spill { rows: R::default(), writer })
    }

    fn push(&mut self, row: R::Row) -> PolarsResult<()> {
        self.rows.push(row);
        if self.rows.len() >= ROWS { self.flush() } else { Ok(()) }
    }

    fn flush(&mut self) -> PolarsResult<()> {
        if self.rows.is_empty() { Ok(()) } else { self.writer.write_batch(&self.rows.take()) }
    }

    fn finish(mut self) -> PolarsResult<()> {
        self.flush()?;
        self.writer.finish().map(|_bytes| ())
    }
}

fn file(folder: &Path, name: &str) -> PathBuf {
    folder.join(format!("{name}.parquet"))
}

/// The tables of a replay that runs.
pub struct Writing {
    folder: tempfile::TempDir,
    objects: Spill<Objects>,
    batches: Spill<Batches>,
    barriers: Spill<Barriers>,
    destroys: Spill<Destroys>,
    verdicts: Spill<Verdicts>,
    caches: Spill<Caches>,
    graces: Spill<Graces>,
    gaps: Spill<Gaps>,
    sites: Spill<Sites>,
    /// The first failure, after which nothing is written.
    failed: Option<PolarsError>,
}

impl Writing {
    /// Empty tables in a new temporary folder.
    ///
    /// # Errors
    /// When there is no room for it.
    pub fn new() -> Result<Writing, TablesError> {
        let folder = tempfile::Builder::new()
            .prefix("krcu-analyze-")
            .tempdir()
            .map_err(|error| TablesError::Folder { folder: std::env::temp_dir(), error })?;
        let path = folder.path();
        Ok(Writing {
            objects: Spill::new(path)?,
            batches: Spill::new(path)?,
            barriers: Spill::new(path)?,
            destroys: Spill::new(path)?,
            verdicts: Spill::new(path)?,
            caches: Spill::new(path)?,
            graces: Spill::new(path)?,
            gaps: Spill::new(path)?,
            sites: Spill::new(path)?,
            failed: None,
            folder,
        })
    }

    /// Whether a table could not be written: what follows is in vain.
    #[must_use]
    pub fn has_failed(&self) -> bool {
        self.failed.is_some()
    }

    /// Every row has come.
    ///
    /// # Errors
    /// The first that could not be written.
    pub fn finish(self) -> Result<Tables, TablesError> {
        if let Some(error) = self.failed {
            return Err(error.into());
        }
        self.objects.finish()?;
        self.batches.finish()?;
        self.barriers.finish()?;
        self.destroys.finish()?;
        self.verdicts.finish()?;
        self.caches.finish()?;
        self.graces.finish()?;
        self.gaps.finish()?;
        self.sites.finish()?;
        Ok(Tables { folder: self.folder })
    }

    fn note(&mut self, result: PolarsResult<()>) {
        if let Err(error) = result {
            self.failed.get_or_insert(error);
        }
    }
}

macro_rules! sink {
    ($($method:ident($row:ident) in $table:ident;)+) => {
        impl Sink for Writing {
            $(fn $method(&mut self, row: words::$row) {
                if self.failed.is_none() {
                    let result = self.$table.push(row);
                    self.note(result);
                }
            })+
        }
    };
}

sink! {
    object(Object) in objects;
    batch(Batch) in batches;
    barrier(Barrier) in barriers;
    destroy(Destroy) in destroys;
    verdict(VerdictRow) in verdicts;
    cache(Cache) in caches;
    grace(Grace) in graces;
    gap(Gap) in gaps;
    site(SiteRow) in sites;
}

/// The tables of a trace.
#[derive(Debug)]
pub struct Tables {
    folder: tempfile::TempDir,
}

/// The names of all tables.
pub const NAMES: [&str; 9] = [
    Objects::NAME,
    Batches::NAME,
    Barriers::NAME,
    Destroys::NAME,
    Verdicts::NAME,
    Caches::NAME,
    Graces::NAME,
    Gaps::NAME,
    Sites::NAME,
];

impl Tables {
    /// A table, to be asked.
    ///
    /// # Errors
    /// When its file cannot be read.
    pub fn scan(&self, name: &str) -> PolarsResult<LazyFrame> {
        let path = PlRefPath::try_from_path(&file(self.folder.path(), name))?;
        LazyFrame::scan_parquet(path, ScanArgsParquet { glob: false, ..ScanArgsParquet::default() })
    }

    /// The file of a table.
    #[must_use]
    pub fn file(&self, name: &str) -> PathBuf {
        file(self.folder.path(), name)
    }
}

/// Asks, in the engine that reads a part at a time.
///
/// # Errors
/// When polars cannot.
pub fn collect(question: LazyFrame) -> PolarsResult<DataFrame> {
    // A question without a sink of its own has one answer.
    Ok(question.collect_with_engine(Engine::Streaming)?.unwrap_single())
}
