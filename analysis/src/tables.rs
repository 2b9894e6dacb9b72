//! Tables: the rows of a replay, spilled to Parquet as they come, and scanned from there.
//!
//! A table in memory is at most [`ROWS`] rows; what was written is read by column and by row group, so that a trace
//! may be larger than memory. The folder is temporary and goes when this is dropped.

use std::{
    fs::File,
    path::PathBuf,
    sync::mpsc::{self, SyncSender},
    thread::{self, JoinHandle},
};

use polars::prelude::*;

use crate::{
    ask::{Columns, Needs},
    facts::{
        Sink,
        row::Rows,
        words::{
            self, Barriers, Batches, Caches, Callbacks, Destroys, Gaps, Graces, Modules, Objects, Runs,
            Sites, Verdicts,
        },
    },
    whatif::{self, words::WhatIfs},
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

/// A temporary folder of tables, which goes when this is dropped.
#[derive(Debug)]
pub(crate) struct Folder(tempfile::TempDir);

impl Folder {
    pub(crate) fn new() -> Result<Folder, TablesError> {
        let made = tempfile::Builder::new().prefix("krcu-analyze-").tempdir();
        made.map(Folder).map_err(|error| TablesError::Folder { folder: std::env::temp_dir(), error })
    }

    fn file(&self, name: &str) -> PathBuf {
        self.0.path().join(format!("{name}.parquet"))
    }

    pub(crate) fn scan(&self, name: &str) -> PolarsResult<LazyFrame> {
        let path = PlRefPath::try_from_path(&self.file(name))?;
        LazyFrame::scan_parquet(path, ScanArgsParquet { glob: false, ..ScanArgsParquet::default() })
    }
}

/// One table that is being written, in a thread of its own: of a large trace that is a quarter of the work.
pub(crate) struct Spill<R> {
    rows: R,
    full: SyncSender<R>,
    writer: JoinHandle<PolarsResult<()>>,
}

impl<R: Rows> Spill<R> {
    pub(crate) fn new(folder: &Folder, columns: Columns) -> Result<Spill<R>, TablesError> {
        let no_room = |error| TablesError::Folder { folder: folder.0.path().to_owned(), error };
        let file = File::create(folder.file(R::NAME)).map_err(no_room)?;
        let mut rows = R::new(|name| columns.has(name));
        let empty = rows.take().frame();
        let mut writer =
            ParquetWriter::new(file).with_compression(ParquetCompression::Snappy).batched(empty.schema())?;
        let (full, filled) = mpsc::sync_channel::<R>(1);
        let write = move || {
            for rows in filled {
                writer.write_batch(&rows.frame())?;
            }
            writer.finish().map(|_bytes| ())
        };
        let writer = thread::Builder::new().name(R::NAME.to_owned()).spawn(write).map_err(no_room)?;
        Ok(Spill { rows, full, writer })
    }

    /// Takes a row; false when what has been taken could not be written.
    pub(crate) fn push(&mut self, row: R::Row) -> bool {
        self.rows.push(row);
        self.rows.len() < ROWS || self.full.send(self.rows.take()).is_ok()
    }

    pub(crate) fn finish(mut self) -> PolarsResult<()> {
        if !self.rows.is_empty() {
            // Nobody takes it where the writer has failed, which it says below.
            let _ = self.full.send(self.rows.take());
        }
        drop(self.full);
        self.writer.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
    }
}

/// None for a table that nobody asks for.
fn wanted<R: Rows>(folder: &Folder, columns: Columns) -> Result<Option<Spill<R>>, TablesError> {
    (columns != Columns::None).then(|| Spill::new(folder, columns)).transpose()
}

/// The tables of a replay that runs.
pub struct Writing {
    folder: Folder,
    objects: Option<Spill<Objects>>,
    callbacks: Option<Spill<Callbacks>>,
    batches: Option<Spill<Batches>>,
    barriers: Option<Spill<Barriers>>,
    destroys: Option<Spill<Destroys>>,
    verdicts: Option<Spill<Verdicts>>,
    caches: Option<Spill<Caches>>,
    graces: Option<Spill<Graces>>,
    gaps: Option<Spill<Gaps>>,
    sites: Option<Spill<Sites>>,
    runs: Option<Spill<Runs>>,
    modules: Option<Spill<Modules>>,
    /// Whether rows could not be written: what is wrong is said at the end.
    has_failed: bool,
    wants_graces: bool,
    wants_batches: bool,
    wants_callbacks: bool,
}

impl Writing {
    /// Empty tables in a new temporary folder, as far as a question needs them.
    ///
    /// # Errors
    /// When there is no room for it.
    pub fn new(needs: Needs) -> Result<Writing, TablesError> {
        let folder = Folder::new()?;
        let whole = |is_needed| if is_needed { Columns::All } else { Columns::None };
        Ok(Writing {
            objects: wanted(&folder, needs.objects)?,
            callbacks: wanted(&folder, whole(needs.callbacks))?,
            batches: wanted(&folder, whole(needs.batches))?,
            barriers: wanted(&folder, Columns::All)?,
            destroys: wanted(&folder, Columns::All)?,
            verdicts: wanted(&folder, Columns::All)?,
            caches: wanted(&folder, Columns::All)?,
            graces: wanted(&folder, Columns::All)?,
            gaps: wanted(&folder, Columns::All)?,
            sites: wanted(&folder, Columns::All)?,
            runs: wanted(&folder, Columns::All)?,
            modules: wanted(&folder, Columns::All)?,
            has_failed: false,
            wants_graces: needs.callbacks || needs.objects.has("grace_over_at_ns"),
            wants_callbacks: needs.callbacks,
            wants_batches: needs.batches || needs.objects.has("batch"),
            folder,
        })
    }

    /// Whether a table could not be written: what follows is in vain.
    #[must_use]
    pub fn has_failed(&self) -> bool {
        self.has_failed
    }

    /// Every row has come.
    ///
    /// # Errors
    /// The first that could not be written.
    pub fn finish(self) -> Result<Tables, TablesError> {
        finish(self.objects)?;
        finish(self.callbacks)?;
        finish(self.batches)?;
        finish(self.barriers)?;
        finish(self.destroys)?;
        finish(self.verdicts)?;
        finish(self.caches)?;
        finish(self.graces)?;
        finish(self.gaps)?;
        finish(self.sites)?;
        finish(self.runs)?;
        finish(self.modules)?;
        Ok(Tables { folder: self.folder })
    }
}

fn finish<R: Rows>(table: Option<Spill<R>>) -> PolarsResult<()> {
    table.map_or(Ok(()), Spill::finish)
}

macro_rules! sink {
    ($($method:ident($row:ident) in $table:ident;)+) => {
        impl Sink for Writing {
            fn wants_graces(&self) -> bool {
                self.wants_graces
            }

            fn wants_batches(&self) -> bool {
                self.wants_batches
            }

            fn wants_callbacks(&self) -> bool {
                self.wants_callbacks
            }

            $(fn $method(&mut self, row: words::$row) {
                if let Some(table) = &mut self.$table {
                    self.has_failed |= !table.push(row);
                }
            })+
        }
    };
}

sink! {
    object(Object) in objects;
    callback(Callback) in callbacks;
    batch(Batch) in batches;
    barrier(Barrier) in barriers;
    destroy(Destroy) in destroys;
    verdict(VerdictRow) in verdicts;
    cache(Cache) in caches;
    grace(Grace) in graces;
    gap(Gap) in gaps;
    site(SiteRow) in sites;
    run(Run) in runs;
    module(Module) in modules;
}

/// The tables of a trace.
#[derive(Debug)]
pub struct Tables {
    folder: Folder,
}

/// The names of all tables.
pub const NAMES: [&str; 12] = [
    Objects::NAME,
    Callbacks::NAME,
    Batches::NAME,
    Barriers::NAME,
    Destroys::NAME,
    Verdicts::NAME,
    Caches::NAME,
    Graces::NAME,
    Gaps::NAME,
    Sites::NAME,
    Runs::NAME,
    Modules::NAME,
];

/// Every table as it leaves, and that of a what-if, without a row.
pub(crate) fn empty() -> Vec<(&'static str, DataFrame)> {
    fn of<R: Rows>() -> (&'static str, DataFrame) {
        (R::NAME, R::new(|_| true).frame())
    }
    let own = [
        of::<Objects>(),
        of::<Callbacks>(),
        of::<Batches>(),
        of::<Barriers>(),
        of::<Destroys>(),
        of::<Verdicts>(),
        of::<Caches>(),
        of::<Graces>(),
        of::<Gaps>(),
        of::<Sites>(),
        of::<Runs>(),
        of::<Modules>(),
        (WhatIfs::NAME, whatif::no_rows()),
    ];
    let with_run = |(name, mut frame): (&'static str, DataFrame)| {
        if frame.column("run").is_err() {
            let run = Column::new_empty("run".into(), &DataType::Int64);
            // The column is as long as the others, and none has its name.
            let _ = frame.insert_column(0, run);
        }
        (name, frame)
    };
    own.into_iter().map(with_run).collect()
}

impl Tables {
    /// A table, to be asked.
    ///
    /// # Errors
    /// When its file cannot be read; a question that needs more than it said fails here, or names the column.
    pub fn scan(&self, name: &str) -> PolarsResult<LazyFrame> {
        self.folder.scan(name)
    }

    /// The file of a table.
    #[must_use]
    pub fn file(&self, name: &str) -> PathBuf {
        self.folder.file(name)
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
