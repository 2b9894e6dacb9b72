//! Run: one verb from begin to end.

use std::{
    io::{self, IsTerminal as _, Read as _, Write as _},
    path::Path,
    thread,
};

use anyhow::{Context as _, Result, bail};
use krcu_analysis::{
    fleet::{committed, compact},
    show::{self, Cut, Format},
};
use krcu_ship::layout::{Fleet, day_of};

use crate::{
    ask::{self, answer::Answer, engine, question::Ask, regressions, sql},
    cli::{Cli, On, Verb},
    prune::{self, Kept},
    replay::{self, Done},
    report,
    spark::{self, Spark},
    time,
};

/// How a person is shown an answer.
const SHOWN: Cut = Cut { rows: 40, text: 72 };
/// Tasks for each processor of a machine: the last ones to end are short.
const PACKS_A_JOB: usize = 4;
/// Packs for a cluster of a size that is not known.
const PACKS_ON_SPARK: usize = 64;

/// Does what was asked.
///
/// # Errors
/// When something cannot be read, written or started.
pub fn run(cli: &Cli) -> Result<()> {
    match &cli.verb {
        Verb::Replay { fleet, on, again, jobs, program } => {
            replay(fleet, on, *again, *jobs, program.as_deref())
        }
        Verb::Ask { fleet, .. } => {
            exists(fleet)?;
            ask(&cli.verb)
        }
        Verb::Report { fleet, since, output } => {
            exists(fleet)?;
            report::write(&Fleet::new(fleet), *since, output)
        }
        Verb::Compact { fleet, day } => {
            exists(fleet)?;
            compact_days(&Fleet::new(fleet), day.as_deref())
        }
        Verb::Prune { fleet, traces, flagged, facts, delete } => {
            exists(fleet)?;
            prune::run(
                &Fleet::new(fleet),
                &Kept { traces: *traces, flagged: *flagged, facts: *facts },
                *delete,
            )
        }
    }
}

fn exists(fleet: &Path) -> Result<()> {
    if !fleet.is_dir() {
        bail!("{} is no folder: name the one that `krcu ship` fills", fleet.display());
    }
    Ok(())
}

fn replay(folder: &Path, on: &On, again: bool, jobs: Option<usize>, program: Option<&Path>) -> Result<()> {
    let fleet = Fleet::new(folder);
    if !fleet.traces().is_dir() {
        bail!("{} has no folder `traces`: name the folder that `krcu ship` fills", folder.display());
    }
    let program = replay::program(program)?;
    let processors = thread::available_parallelism().map_or(1, usize::from);
    let jobs = jobs.unwrap_or(processors);
    let spark = Spark::of(on);
    let at_least = if spark.is_some() { PACKS_ON_SPARK } else { jobs * PACKS_A_JOB };
    let plan = replay::plan(&fleet, again, at_least)?;
    for strange in &plan.strange {
        eprintln!("note: {strange} is no `day=D/host=H/boot=B/T.krcu`, and is left out");
    }
    let mut done = Done::default();
    if plan.due() > 0 {
        done = match &spark {
            Some(spark) => spark.replay(folder, &program, &plan, again)?,
            None => replay::on_this_machine(folder, &program, &plan, jobs, again)?,
        };
    }
    let count = done.replayed.values().sum::<usize>();
    let outcomes: Vec<String> =
        done.replayed.iter().map(|(outcome, count)| format!("{count} {}", outcome.word())).collect();
    let outcomes = if outcomes.is_empty() { String::new() } else { format!(" ({})", outcomes.join(", ")) };
    println!(
        "replayed {count} traces{outcomes}, {} events; the ledger had {}; {} are not whole yet",
        done.events,
        plan.known + done.known,
        plan.not_done
    );
    done.refused.sort_unstable();
    for (trace, why) in &done.refused {
        eprintln!("note: {trace} was refused: {why}");
    }
    for (trace, why) in &done.failed {
        eprintln!("krcu fleet: {trace} could not be replayed: {why}");
    }
    if !done.failed.is_empty() {
        bail!("{} traces could not be replayed: the same command tries them again", done.failed.len());
    }
    Ok(())
}

fn ask(verb: &Verb) -> Result<()> {
    let Verb::Ask { ask, fleet, on, since, by, sql: as_sql, job, digest, given, format, all } = verb else {
        return Ok(());
    };
    let question = ask.question(by).map_err(anyhow::Error::msg)?;
    if *as_sql {
        println!("{}", sql::text(&question));
        return Ok(());
    }
    show::check_destination(*format, io::stdout().is_terminal())?;
    let answer = if *given {
        let mut text = String::new();
        io::stdin().read_to_string(&mut text).context("reading the answer")?;
        Answer::of_lines(question.columns(), &text).map_err(anyhow::Error::msg)?
    } else {
        let facts = ask::facts(&Fleet::new(fleet), *since)?;
        if *job {
            println!("{}", spark::job(&question, &facts)?);
            return Ok(());
        }
        match Spark::of(on) {
            Some(spark) => spark.ask(&question, &facts)?,
            None => engine::ask(&question, &facts)?,
        }
    };
    if *digest {
        println!("{} {}", answer.digest(), answer.len());
        return Ok(());
    }
    let answer = if *ask == Ask::Regressions { regressions::of(&answer) } else { answer };
    let cut = if *all { Cut { rows: usize::MAX, text: usize::MAX } } else { SHOWN };
    let by = question.sums.first().map_or("", |(name, _, _)| *name);
    let mut out = io::stdout().lock();
    show::show(&answer.frame(by, *format == Format::Text)?, ask.word(), *format, cut, &mut out)?;
    out.flush().context("writing the answer")
}

fn compact_days(fleet: &Fleet, day: Option<&str>) -> Result<()> {
    let today = day_of(time::now_utc_ns());
    let days = match day {
        Some(day) => vec![day.to_owned()],
        None => committed::days(fleet)?.into_iter().filter(|day| *day < today).collect(),
    };
    for day in days {
        let gone = compact::compact(fleet, &day)?;
        println!("{day}: {gone} small files became one for each table");
    }
    Ok(())
}
