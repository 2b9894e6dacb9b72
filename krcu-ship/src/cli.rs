//! The command line of `krcu-ship`, and one run from begin to end.

use std::{
    io::{self, BufRead as _, Write as _},
    path::{Path, PathBuf},
    time::{SystemTime, UNIX_EPOCH},
};

use anyhow::{Context as _, Result, bail};
use clap::Parser;

use crate::{
    destination::Destination,
    folder::Folder,
    metrics::Counts,
    sender::{self, Bound, Sent},
};

/// Brings finished traces to the folder of a fleet, each once.
///
/// A run that is ended goes on where it was when it is started again. Nothing is deleted.
#[derive(Debug, Parser)]
#[command(name = "krcu-ship", bin_name = "krcu ship", version)]
pub struct Cli {
    /// The fleet: a folder, or s3://BUCKET/PREFIX
    #[arg(long, value_name = "FLEET")]
    pub to: String,
    /// Traces, or folders with traces, as the agent's `record.folder`
    #[arg(value_name = "TRACE", required = true)]
    pub traces: Vec<PathBuf>,
    /// Ship no more than this in one run; what is left is for the next one
    #[arg(long, value_name = "SIZE", default_value = "10G", value_parser = size)]
    pub at_most: u64,
    /// Ship also traces without an end, whose recorder was killed or may still be at work
    #[arg(long)]
    pub unfinished: bool,
    /// Say that all is ready, wait for a line on standard input, and ship then; without a line, ship nothing. `krcu check --ship`
    /// asks for it
    #[arg(long, hide = true)]
    pub when_told: bool,
    /// Write what was done to this file, for the textfile collector of Prometheus' node exporter
    #[arg(long, value_name = "FILE")]
    pub metrics: Option<PathBuf>,
}

fn size(text: &str) -> Result<u64, String> {
    let read = parse_size::Config::new().with_binary().parse_size(text);
    read.map_err(|_| format!("`{text}` is no size: write a number with K, M or G, as in 64M"))
}

impl Cli {
    /// Ships.
    ///
    /// # Errors
    /// When a trace could not be shipped. The others are.
    pub fn run(&self) -> Result<()> {
        let to = destination(&self.to)?;
        if self.when_told && !is_told().context("standard input or output fails")? {
            return Ok(());
        }
        let mut bound = Bound { bytes: self.at_most, unfinished: self.unfinished };
        let mut counts = Counts::default();
        for trace in sender::traces(&self.traces)? {
            match sender::send(&trace, &*to, &mut bound) {
                Ok(Sent::Now(bytes)) => {
                    counts.shipped += 1;
                    counts.sent_bytes += bytes;
                }
                Ok(Sent::Before) => counts.before += 1,
                Ok(Sent::Unfinished) => counts.unfinished += 1,
                Ok(Sent::Left(bytes)) if bytes > self.at_most => {
                    counts.failed += 1;
                    eprintln!(
                        "krcu ship: {} has {bytes} bytes, more than --at-most {}: no run ships it until that is larger",
                        trace.display(),
                        self.at_most
                    );
                }
                Ok(Sent::Left(bytes)) => {
                    counts.left += 1;
                    counts.left_bytes += bytes;
                }
                Err(error) => {
                    counts.failed += 1;
                    eprintln!("krcu ship: {error:#}");
                }
            }
        }
        println!(
            "shipped {} traces, {} bytes sent; {} were there, {} have no end yet, {} are left for the next run, {} failed",
            counts.shipped, counts.sent_bytes, counts.before, counts.unfinished, counts.left, counts.failed
        );
        if let Some(path) = &self.metrics {
            let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
            counts.write(path, now).with_context(|| format!("{} cannot be written", path.display()))?;
        }
        if counts.failed > 0 {
            bail!("{} traces could not be shipped", counts.failed);
        }
        Ok(())
    }
}

/// Says that all is ready, and waits for a line. Answers whether one came.
fn is_told() -> io::Result<bool> {
    println!("ready");
    io::stdout().flush()?;
    Ok(io::stdin().lock().read_line(&mut String::new())? > 0)
}

fn destination(name: &str) -> Result<Box<dyn Destination>> {
    if name.contains("://") {
        return store(name);
    }
    Ok(Box::new(Folder::new(Path::new(name))?))
}

#[cfg(feature = "s3")]
fn store(name: &str) -> Result<Box<dyn Destination>> {
    Ok(Box::new(crate::store::Store::new(name)?))
}

#[cfg(not(feature = "s3"))]
fn store(name: &str) -> Result<Box<dyn Destination>> {
    bail!(
        "{name}: this krcu-ship was built without object stores: build it with `--features s3`, or name a folder"
    )
}
