//! `krcu receive`: makes a trace of what `krcu record --stream` sends.

use std::{fs, io::BufReader, path::PathBuf, time::Duration};

use anyhow::Context as _;
use clap::Args;
use krcu_trace::{private, stream};

use crate::{
    outcome::EXIT_FAILED,
    quantity,
    say::say,
    stream::{Address, Listener},
};

/// Waits for one `krcu record --stream` on another machine, and writes the trace that it sends.
#[derive(Args, Clone, Debug)]
pub struct Options {
    /// Where to listen: tcp:ADDRESS:PORT, or vsock:PORT for a virtual machine of this host; `-` reads a stream from standard
    /// input
    #[arg(value_name = "FROM")]
    pub from: Address,
    /// The folder of the trace; it must not exist yet
    #[arg(long, short, value_name = "TRACE")]
    pub output: PathBuf,
    /// How long the sender may send nothing; a recorder sends something every second
    #[arg(long, value_name = "TIME", default_value = "60s", value_parser = quantity::span)]
    pub silence: Duration,
}

/// Runs `receive`; gives the status to exit with: 0 if the trace has its end.
///
/// # Errors
/// When nobody can connect, or nothing of a trace has come.
pub fn run(options: &Options) -> anyhow::Result<u8> {
    let trace = options.output.display();
    let listener = Listener::at(&options.from)?;
    private::folder(&options.output).with_context(|| match options.output.exists() {
        true => format!("{trace} is there already: name a new folder for the trace"),
        false => format!("cannot write the trace to {trace}: name a folder that can be made"),
    })?;
    if let Some(place) = listener.place() {
        say(format_args!("waiting for a stream at {place}"));
    }
    let received = listener.accept(options.silence).and_then(|sender| {
        let received = stream::receive(BufReader::new(sender.reader()), &options.output)?;
        Ok((sender, received))
    });
    let (sender, received) = received.inspect_err(|_| drop(fs::remove_dir(&options.output)))?;
    let bytes = received.bytes;
    let Some(cut) = received.cut else {
        // The sender says so if it does not hear it.
        let _ = sender.confirm();
        say(format_args!("the whole trace is in {trace} ({bytes} bytes came): see `krcu replay {trace}`"));
        return Ok(0);
    };
    if !received.is_trace {
        // Nothing in it is of use.
        drop(fs::remove_dir_all(&options.output));
        return Err(anyhow::Error::new(cut).context("no trace has come"));
    }
    say(format_args!("{cut}: {trace} has what came until then ({bytes} bytes): see `krcu replay {trace}`"));
    Ok(EXIT_FAILED)
}
