//! Takes random walks of each kernel and prints what they found. `cargo xtask model --walk` runs it.
//!
//! `walk [--steps N] [--seed N] [--only KERNEL] [--on FAULT]... [--docs FILE --scripts DIR [--write]]`: with `--docs`
//! and `--scripts`, compares the results with those files, or writes them. The status says whether everything is as it
//! should be.

use std::{
    collections::BTreeMap,
    error::Error,
    fs,
    path::{Path, PathBuf},
    process::ExitCode,
    time::Instant,
};

use krcu_reference::walk::{Course, Example, Record, SEED, kernel::Known};

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
        if write {
            keep(&record, docs, scripts)?;
        } else {
            complaints.extend(differences(&record, docs, scripts)?);
        }
    }
    complaints.iter().for_each(|complaint| println!("NOT AS IT SHOULD BE: {complaint}"));
    Ok(if complaints.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn keep(record: &Record, docs: &Path, scripts: &Path) -> Result<(), Box<dyn Error>> {
    if scripts.exists() {
        fs::remove_dir_all(scripts)?;
    }
    fs::create_dir_all(scripts)?;
    for Example { file, text } in record.examples() {
        fs::write(scripts.join(file), text)?;
    }
    Ok(fs::write(docs, record.markdown())?)
}

/// The files that differ from the results, or that are missing.
fn differences(record: &Record, docs: &Path, scripts: &Path) -> Result<Vec<String>, Box<dyn Error>> {
    let hint = "if the change is meant, `cargo xtask model --walk --write` writes it again";
    let mut found = Vec::new();
    if fs::read_to_string(docs).ok().as_deref() != Some(record.markdown().as_str()) {
        found.push(format!("{} differs from what the walks find: {hint}", docs.display()));
    }
    let mut expected: BTreeMap<String, String> =
        record.examples().into_iter().map(|example| (example.file, example.text)).collect();
    for entry in fs::read_dir(scripts)? {
        let path = entry?.path();
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        if expected.remove(&name) != fs::read_to_string(&path).ok() {
            found.push(format!("{} differs from what the walks find: {hint}", path.display()));
        }
    }
    found.extend(expected.into_keys().map(|name| format!("{name} is missing: {hint}")));
    Ok(found)
}
