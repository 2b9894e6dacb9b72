//! Reads a trace and judges it, for benchmarks and profilers: `judge NAME.krcu`. It does what `krcu replay` does, without
//! the report.

use std::{env, error::Error, path::Path};

use krcu_model::State;
use krcu_trace::{Part, Reader};

fn main() -> Result<(), Box<dyn Error>> {
    let Some(folder) = env::args().nth(1) else { return Err("usage: judge NAME.krcu".into()) };
    let reader = Reader::open(Path::new(&folder))?;
    let mut state = State::new(reader.meta().watch()?);
    let mut events = reader.salvage()?;
    while let Some(part) = events.next_part() {
        match part {
            Part::Event(event) => state.step(event),
            Part::Run(run) => state.step_run(run),
        }
    }
    if let Some(damage) = events.into_damage() {
        return Err(damage.into());
    }
    let outstanding: u64 = state.destroys().map(|destroy| destroy.at_look.counts.outstanding).sum();
    println!(
        "{} events, {} destroys, {outstanding} outstanding at their looks",
        state.events(),
        state.destroys().len()
    );
    Ok(())
}
