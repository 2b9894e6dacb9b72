//! A script as a trace: `from_script FILE.script NAME.krcu`, for those who have the text and want the folder.

use std::{env, error::Error, fs, path::Path};

use krcu_model::{event::Time, script};
use krcu_trace::{FORMAT, How, Limits, Meta, Writer, meta};

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = env::args().skip(1).collect();
    let [text, folder] = arguments.as_slice() else {
        return Err("usage: from_script FILE.script NAME.krcu".into());
    };
    let script = script::read(&fs::read_to_string(text)?)?;
    let kernel = meta::Kernel { possible_cpus: script.watch.possible_cpus, ..meta::Kernel::default() };
    let meta = Meta {
        format: FORMAT,
        abi: krcu_common::ABI_VERSION,
        krcu: env!("CARGO_PKG_VERSION").to_owned(),
        trace: format!("of {text}"),
        kernel,
        clock: meta::Clock::default(),
        watch: meta::Seen::of(&script.watch),
        probes: Vec::new(),
        undecidable: Vec::new(),
        command: Vec::new(),
        ended: None,
    };
    let mut writer = Writer::create(Path::new(folder), meta, Limits::default())?;
    let mut last = Time(0);
    for event in &script.events {
        last = last.max(event.time);
        writer.event(event);
    }
    writer.finish(How::Exit, last, meta::Run::default())?;
    Ok(())
}
