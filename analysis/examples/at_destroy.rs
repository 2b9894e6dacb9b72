//! What was outstanding at each destroy, from the Parquet that `krcu analyze export` wrote: `at_destroy DATASET`, for the
//! benchmark that asks DuckDB and pandas the same.

use std::{env, error::Error, path::Path};

use krcu_analysis::{ask, tables::collect};
use polars::prelude::*;

fn main() -> Result<(), Box<dyn Error>> {
    let folder = env::args().nth(1).ok_or("usage: at_destroy DATASET")?;
    let table = |name: &str| {
        let files = Path::new(&folder).join(name).join("*/*/*.parquet");
        LazyFrame::scan_parquet(PlRefPath::try_from_path(&files)?, ScanArgsParquet::default())
    };
    let frame = collect(ask::outstanding::at_destroy_of(table("objects")?, table("destroys")?)?)?;
    let outstanding: u64 = frame.column("outstanding")?.u64()?.iter().flatten().sum();
    println!("{{\"destroys\": {}, \"outstanding\": {outstanding}}}", frame.height());
    Ok(())
}
