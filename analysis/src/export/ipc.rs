//! Arrow files: what pandas' `read_feather`, pyarrow's `open_file`, polars' `read_ipc` and `scan_ipc` open as they are.
//!
//! They are not compressed, so that a program may map them. polars writes such files too; its feature for it compiles polars
//! anew in another form, and the crates of Arrow are here already, for traces.

use std::{
    fs::{self, File},
    io::BufWriter,
    path::Path,
    sync::Arc,
};

use anyhow::{Context as _, Result, bail};
use arrow_array::{
    ArrayRef, BooleanArray, Float64Array, Int32Array, Int64Array, RecordBatch, StringArray, UInt32Array,
    UInt64Array,
};
use arrow_ipc::writer::FileWriter;
use polars::prelude::{Column, DataType};

use crate::{
    load::Loaded,
    tables::{self, collect},
};

/// Rows of a batch.
const ROWS: u32 = 1 << 16;

/// `OUTPUT/TABLE.arrow`.
pub(super) fn write(loaded: &Loaded, output: &Path) -> Result<()> {
    fs::create_dir_all(output).with_context(|| format!("{} cannot be made", output.display()))?;
    for name in tables::NAMES {
        let path = output.join(format!("{name}.arrow"));
        table(loaded, name, &path).with_context(|| format!("{} cannot be written", path.display()))?;
    }
    Ok(())
}

fn table(loaded: &Loaded, name: &str, path: &Path) -> Result<()> {
    let file = File::create(path)?;
    let table = loaded.table(name)?;
    let mut writer: Option<FileWriter<BufWriter<File>>> = None;
    let mut file = Some(BufWriter::new(file));
    let mut offset = 0i64;
    loop {
        let frame = collect(table.clone().slice(offset, ROWS))?;
        let columns =
            frame.columns().iter().map(|column| Ok((column.name().to_string(), array(column)?, true)));
        let batch = RecordBatch::try_from_iter_with_nullable(columns.collect::<Result<Vec<_>>>()?)?;
        if let Some(file) = file.take() {
            writer = Some(FileWriter::try_new(file, &batch.schema())?);
        }
        let Some(writer) = &mut writer else { break };
        if batch.num_rows() > 0 {
            writer.write(&batch)?;
        }
        if batch.num_rows() < ROWS as usize {
            writer.finish()?;
            break;
        }
        offset += i64::from(ROWS);
    }
    Ok(())
}

/// A column of polars as one of Arrow's own crate: the tables have these types and no other.
fn array(column: &Column) -> Result<ArrayRef> {
    Ok(match column.dtype() {
        DataType::UInt32 => Arc::new(column.u32()?.iter().collect::<UInt32Array>()),
        DataType::UInt64 => Arc::new(column.u64()?.iter().collect::<UInt64Array>()),
        DataType::Int32 => Arc::new(column.i32()?.iter().collect::<Int32Array>()),
        DataType::Int64 => Arc::new(column.i64()?.iter().collect::<Int64Array>()),
        DataType::Float64 => Arc::new(column.f64()?.iter().collect::<Float64Array>()),
        DataType::Boolean => Arc::new(column.bool()?.iter().collect::<BooleanArray>()),
        DataType::String => Arc::new(column.str()?.iter().collect::<StringArray>()),
        other => bail!("a column of {other} has no type in an Arrow file"),
    })
}
