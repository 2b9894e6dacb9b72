//! Takes random walks of each kernel and prints what they found. `cargo xtask model --walk` runs it.
//!
//! `walk [--steps N] [--seed N] [--only KERNEL] [--on FAULT]... [--docs FILE --scripts DIR [--write]]`: with `--docs`
//! and `--scripts`, compares the results with those files, or writes them. The status says whether everything is as it
//! should be.

mod kept;

use std::{error::Error, path::PathBuf, process::ExitCode, time::Instant};

use krcu_reference::walk::{Course, Record, SEED, kernel::Known};

use kept::Kept;

// Small states come and go.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

struct Arguments {
    steps: u64,
    seed: u64,
    only: String,
    on: Vec<Known>,
    docs: Option<PathBuf>,
    scripts: Option<PathBuf>,
    write: bool,
}

fn arguments() -> Result<Arguments, Box<dyn Error>> {
    let mut given = std::env::args().skip(1);
    let mut arguments = Arguments {
        steps: 1_000_000,
        seed: SEED,
        only: String::new(),
        on: Vec::new(),
        docs: None,
        scripts: None,
        write: false,
    };
    while let Some(word) = given.next() {
        let mut value = || given.next().ok_or_else(|| format!("`{word}` needs a value"));
        match word.as_str() {
            "--steps" => arguments.steps = value()?.parse()?,
            "--seed" => arguments.seed = value()?.parse()?,
            "--only" => arguments.only = value()?,
            "--on" => arguments.on.push(known(&value()?)?),
            "--docs" => arguments.docs = Some(value()?.into()),
            "--scripts" => arguments.scripts = Some(value()?.into()),
            "--write" => arguments.write = true,
            _ => return Err(format!("there is no option `{word}`").into()),
        }
    }
    Ok(arguments)
}

fn known(name: &str) -> Result<Known, String> {
    let names: Vec<&str> = Known::ALL.into_iter().map(Known::name).collect();
    let found = Known::ALL.into_iter().find(|known| known.name() == name);
    found.ok_or_else(|| format!("there is no fault `{name}`; there are {}", names.join(", ")))
}

fn main() -> Result<ExitCode, Box<dyn Error>> {
    let Arguments { steps, seed, only, on, docs, scripts, write } = arguments()?;
    let threads = std::thread::available_parallelism()?.get();
    let begin = Instant::now();
    let course = Course { seed, steps, only: &only, on: &on, threads };
    let record = course.run(&|line: &str| eprintln!("{line}"));
    println!("{}seed {seed}; {:.0} s on {threads} threads", record.text(), begin.elapsed().as_secs_f64());
    let mut complaints = record.complaints();
    if let (Some(docs), Some(scripts)) = (&docs, &scripts) {
        let markdown = record.markdown();
        if write {
            kept(&record, &markdown).write(docs, scripts)?;
        } else {
            complaints.extend(kept(&record, &markdown).differences(docs, scripts)?);
        }
    }
    complaints.iter().for_each(|complaint| println!("NOT AS IT SHOULD BE: {complaint}"));
    Ok(if complaints.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// What is kept of the walks.
fn kept<'a>(record: &Record, markdown: &'a str) -> Kept<'a> {
    Kept {
        markdown,
        scripts: record.examples().into_iter().map(|example| (example.file, example.text)).collect(),
        finder: "the walks find",
        command: "cargo xtask model --walk --write",
    }
}
