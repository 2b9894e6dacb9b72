//! Data set: each table as a folder whose parts are by host and boot, or as one CSV file.

use std::{
    fs::{self, File},
    io::BufWriter,
    path::Path,
};

use anyhow::{Context as _, Result};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use polars::prelude::*;

use crate::{
    load::Loaded,
    tables::{self, collect},
};

/// Rows that are read together.
const ROWS: u32 = 1 << 16;

/// `OUTPUT/TABLE/host=…/boot=…/TRACE.parquet`: what a program reads as one table with two more columns.
pub(super) fn parquet(loaded: &Loaded, output: &Path) -> Result<()> {
    let meta = &loaded.meta;
    let stem = meta.path.file_stem().map_or_else(|| "trace".into(), |stem| stem.to_string_lossy());
    for name in tables::NAMES {
        let folder = output
            .join(name)
            .join(format!("host={}", safe(&meta.host)))
            .join(format!("boot={}", safe(&meta.boot)));
        fs::create_dir_all(&folder).with_context(|| format!("{} cannot be made", folder.display()))?;
        let file = folder.join(format!("{}.parquet", safe(&stem)));
        fs::copy(loaded.tables.file(name), &file).with_context(|| format!("writing {}", file.display()))?;
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
        let mut offset = 0i64;
        loop {
            let frame = collect(loaded.tables.scan(name)?.slice(offset, ROWS))?;
            if let Some(file) = file.take() {
                writer = Some(CsvWriter::new(file).batched(frame.schema())?);
            }
            let Some(writer) = &mut writer else { break };
            if frame.height() > 0 {
                writer.write_batch(&frame)?;
            }
            if frame.height() < ROWS as usize {
                writer.finish()?;
                break;
            }
            offset += i64::from(ROWS);
        }
    }
    Ok(())
}

/// What is written as `%` and two digits in the name of a file and of a partition.
const ESCAPED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'.').remove(b'_').remove(b'-');

/// A name that is one part of a path and of a partition. It does not begin with a dot.
fn safe(name: &str) -> String {
    let safe = utf8_percent_encode(name, ESCAPED).to_string();
    safe.strip_prefix('.').map(|rest| format!("%2E{rest}")).unwrap_or(safe)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_host_cannot_leave_the_folder() {
        for (name, expected) in
            [("farm-7.lab", "farm-7.lab"), ("../etc", "%2E.%2Fetc"), ("a b=c", "a%20b%3Dc")]
        {
            assert_eq!(safe(name), expected);
        }
    }
}
