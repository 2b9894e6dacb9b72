//! Data set: each table as a folder whose parts are by host and boot, or as one CSV file.

use std::{
    fs::{self, File},
    io::{BufWriter, Write},
    path::Path,
};

use anyhow::{Context as _, Result};
use krcu_ship::layout::safe;
use polars::prelude::*;

use crate::{
    facts::runs,
    load::Loaded,
    tables::{self, collect},
};

/// Rows that are read together.
const ROWS: u32 = 1 << 16;

/// `OUTPUT/TABLE/host=…/boot=…/TRACE.parquet`: what a program reads as one table with two more columns.
pub(super) fn parquet(loaded: &Loaded, output: &Path) -> Result<()> {
    let meta = &loaded.meta;
    for name in tables::NAMES {
        let folder = output
            .join(name)
            .join(format!("host={}", safe(&meta.host)))
            .join(format!("boot={}", safe(&meta.boot)));
        fs::create_dir_all(&folder).with_context(|| format!("{} cannot be made", folder.display()))?;
        let file = folder.join(format!("{}.parquet", safe(&runs::stem(meta))));
        let writing = || format!("writing {}", file.display());
        let to = File::create(&file).with_context(writing)?;
        // polars has a context of its own.
        anyhow::Context::with_context(write_parquet(&loaded.table(name)?, to), writing)?;
    }
    Ok(())
}

/// `OUTPUT/TABLE.csv`.
pub(super) fn csv(loaded: &Loaded, output: &Path) -> Result<()> {
    fs::create_dir_all(output).with_context(|| format!("{} cannot be made", output.display()))?;
    for name in tables::NAMES {
        let path = output.join(format!("{name}.csv"));
        let file = File::create(&path).with_context(|| format!("{} cannot be written", path.display()))?;
        let mut writer = None;
        let mut file = Some(BufWriter::new(file));
        let table = loaded.table(name)?;
        for_each_part(&table, |frame| {
            if let Some(file) = file.take() {
                writer = Some(CsvWriter::new(file).batched(frame.schema())?);
            }
            let Some(writer) = &mut writer else { return Ok(()) };
            if frame.height() > 0 { writer.write_batch(frame) } else { Ok(()) }
        })?;
        if let Some(mut writer) = writer {
            writer.finish()?;
        }
    }
    Ok(())
}

/// Writes a table as Parquet, a part at a time, and gives back its rows.
pub(crate) fn write_parquet(table: &LazyFrame, file: impl Write + Send) -> PolarsResult<u64> {
    let mut file = Some(file);
    let mut writer = None;
    let mut rows = 0;
    for_each_part(table, |frame| {
        rows += frame.height() as u64;
        if let Some(file) = file.take() {
            let options = ParquetWriter::new(file).with_compression(ParquetCompression::Snappy);
            writer = Some(options.batched(frame.schema())?);
        }
        let Some(writer) = &mut writer else { return Ok(()) };
        writer.write_batch(frame)
    })?;
    writer.map_or(Ok(rows), |writer| writer.finish().map(|_bytes| rows))
}

/// Hands a table over in parts, at least one, which may be empty.
fn for_each_part(
    table: &LazyFrame,
    mut each: impl FnMut(&DataFrame) -> PolarsResult<()>,
) -> PolarsResult<()> {
    let mut offset = 0i64;
    loop {
        let frame = collect(table.clone().slice(offset, ROWS))?;
        each(&frame)?;
        if frame.height() < ROWS as usize {
            return Ok(());
        }
        offset += i64::from(ROWS);
    }
}
