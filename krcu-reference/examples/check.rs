//! Checks every approach exhaustively and prints the table. `cargo xtask model` runs it.
//!
//! `check [--deep] [--judge] [--only NAME] [--brief] [--docs FILE --scripts DIR [--write]]`: with `--docs` and
//! `--scripts`, compares the results with those files, or writes them. With `--judge`, only the judge is checked and its
//! chapter compared or written; then `NAME` is a part of the names of its worlds, of wrong judges, or of rows. The status
//! says whether everything is as it should be.

mod kept;

use std::{error::Error, fs, path::PathBuf, process::ExitCode, time::Instant};

use krcu_reference::{
    check::{
        table::{self, Extent, Table},
        workload::Depth,
    },
    sound::report,
};

use kept::Kept;

// Most of the time of an exploration is spent on copies of small states.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

#[derive(Default)]
struct Arguments {
    deep: bool,
    judge: bool,
    only: String,
    docs: Option<PathBuf>,
    scripts: Option<PathBuf>,
    write: bool,
    brief: bool,
}

fn arguments() -> Result<Arguments, Box<dyn Error>> {
    let mut given = std::env::args().skip(1);
    let mut arguments = Arguments::default();
    while let Some(word) = given.next() {
        let mut value = || given.next().ok_or_else(|| format!("`{word}` needs a value"));
        match word.as_str() {
            "--deep" => arguments.deep = true,
            "--judge" => arguments.judge = true,
            "--write" => arguments.write = true,
            "--brief" => arguments.brief = true,
            "--only" => arguments.only = value()?,
            "--docs" => arguments.docs = Some(value()?.into()),
            "--scripts" => arguments.scripts = Some(value()?.into()),
            _ => return Err(format!("there is no option `{word}`").into()),
        }
    }
    Ok(arguments)
}

/// Checks the judge alone. Its chapter is the last of the document: it is printed, compared, or written.
fn judge(arguments: &Arguments, threads: usize) -> Result<ExitCode, Box<dyn Error>> {
    let begin = Instant::now();
    let judge = report::run(threads, &arguments.only, |line| {
        eprintln!("{:6.1} {line}", begin.elapsed().as_secs_f64());
    });
    let mut complaints = judge.complaints();
    let chapter = judge.markdown();
    if let Some(docs) = &arguments.docs {
        let kept = fs::read_to_string(docs)?;
        let before = kept.split(report::HEADING).next().unwrap_or_default();
        if arguments.write {
            fs::write(docs, format!("{before}{chapter}"))?;
        } else if kept != format!("{before}{chapter}") {
            complaints.push(format!("{} differs from what the check finds", docs.display()));
        }
    } else {
        println!("{chapter}");
    }
    complaints.iter().for_each(|complaint| println!("NOT AS IT SHOULD BE: {complaint}"));
    println!("{}; {:.0} s on {threads} threads", judge.totals(), begin.elapsed().as_secs_f64());
    Ok(if complaints.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn main() -> Result<ExitCode, Box<dyn Error>> {
    let arguments = arguments()?;
    let threads = std::thread::available_parallelism()?.get();
    if arguments.judge {
        return judge(&arguments, threads);
    }
    let depth = if arguments.deep { Depth::Deep } else { Depth::Bounded };
    let begin = Instant::now();
    let table = table::run(Extent { depth, only: &arguments.only, threads }, |line| {
        if !arguments.brief {
            eprintln!("{line}");
        }
    });
    if !arguments.brief {
        println!("{}", table.text());
    }
    println!("{}; {:.0} s on {threads} threads", table.totals(), begin.elapsed().as_secs_f64());
    let mut complaints = table.complaints();
    // The judge's worlds are no rows: they are left out where only some rows are asked for, and where those are larger.
    let of_rows = !arguments.only.is_empty() || arguments.deep;
    let judge = (!of_rows).then(|| {
        report::run(threads, "", |line| {
            if !arguments.brief {
                eprintln!("{line}");
            }
        })
    });
    if let Some(judge) = &judge {
        println!("{}", judge.totals());
        complaints.extend(judge.complaints());
    }
    let markdown = format!("{}{}", table.markdown(), judge.map(|judge| judge.markdown()).unwrap_or_default());
    if let (Some(docs), Some(scripts)) = (&arguments.docs, &arguments.scripts) {
        if arguments.write {
            kept(&table, &markdown).write(docs, scripts)?;
        } else {
            complaints.extend(kept(&table, &markdown).differences(docs, scripts)?);
        }
    }
    complaints.iter().for_each(|complaint| println!("NOT AS IT SHOULD BE: {complaint}"));
    Ok(if complaints.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// What is kept of the check.
fn kept<'a>(table: &Table, markdown: &'a str) -> Kept<'a> {
    Kept {
        markdown,
        scripts: table.counterexamples().into_iter().map(|example| (example.file, example.script)).collect(),
        finder: "the check finds",
        command: "cargo xtask model --write",
    }
}
