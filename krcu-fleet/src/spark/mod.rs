//! Spark: the driver, a small Python program inside this one, and what it says.

use std::{
    io::{BufRead as _, BufReader, Read as _, Write as _},
    net::{Ipv4Addr, TcpStream, ToSocketAddrs as _, UdpSocket},
    path::{Path, PathBuf},
    process::{ChildStderr, Command, Stdio},
    thread,
};

use anyhow::{Context as _, Result, bail};
use krcu_analysis::fleet::committed::Committed;
use serde_json::{Value, json};

use crate::{
    ask::{answer::Answer, question::Question, sql},
    cli::On,
    replay::{Done, Line, Plan},
};

/// The driver.
const DRIVER: &str = include_str!("driver.py");

/// A cluster, and the Python that speaks to it.
#[derive(Clone, Debug)]
pub struct Spark {
    master: String,
    python: PathBuf,
}

impl Spark {
    /// The cluster that was named; none where this machine does the work.
    #[must_use]
    pub fn of(on: &On) -> Option<Spark> {
        on.on.clone().map(|master| Spark { master, python: on.python.clone() })
    }

    /// Replays the packs, each in a task.
    ///
    /// # Errors
    /// When the driver fails. What was replayed until then is in the ledger.
    pub fn replay(&self, fleet: &Path, program: &Path, plan: &Plan, again: bool) -> Result<Done> {
        let fleet = fleet.canonicalize().with_context(|| fleet.display().to_string())?;
        let job = json!({
            "verb": "replay", "fleet": fleet, "program": program, "packs": plan.packs, "again": again,
        });
        let mut done = Done::default();
        for line in self.run(job)?.lines() {
            let value: Value =
                serde_json::from_str(line).with_context(|| format!("the driver says {line}"))?;
            match (value["failed"].as_str(), value["why"].as_str()) {
                (Some(trace), Some(why)) => done.failed.push((trace.to_owned(), why.to_owned())),
                _ => done.add(&Line::parse(line)?),
            }
        }
        done.failed.sort_unstable();
        Ok(done)
    }

    /// Asks a question.
    ///
    /// # Errors
    /// When the driver fails, or there are no facts.
    pub fn ask(&self, question: &Question, facts: &Committed) -> Result<Answer> {
        let mut job = job(question, facts)?;
        job["verb"] = "ask".into();
        Answer::of_lines(question.columns(), &self.run(job)?).map_err(anyhow::Error::msg)
    }

    /// Runs the driver, and gives back what it prints.
    fn run(&self, mut job: Value) -> Result<String> {
        job["master"] = self.master.as_str().into();
        job["settings"] = json!({
            "spark.driver.host": self.own_address()?,
            "spark.ui.enabled": "false",
            "spark.ui.showConsoleProgress": "false",
            // A worker that dies takes its attempts with it; four more are for tasks that meet a second one.
            "spark.task.maxFailures": "8",
            "spark.sql.session.timeZone": "UTC",
            // Answers are small: Spark's 200 would be nearly all empty.
            "spark.sql.shuffle.partitions": "32",
        });
        let starting = || format!("{} cannot be started", self.python.display());
        let mut child = Command::new(&self.python)
            .args(["-c", DRIVER])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .with_context(starting)?;
        if let Some(mut stdin) = child.stdin.take() {
            // A driver that has ended takes no more; its status says why.
            drop(stdin.write_all(job.to_string().as_bytes()));
        }
        // Both are read at once: a pipe that nobody reads stops the driver.
        let stderr = child.stderr.take();
        let telling = thread::spawn(move || stderr.map(told).unwrap_or_default());
        let mut answer = String::new();
        if let Some(mut stdout) = child.stdout.take() {
            stdout.read_to_string(&mut answer).context("reading what the driver says")?;
        }
        let complaint = telling.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic));
        let status = child.wait().with_context(starting)?;
        if !status.success() {
            bail!(
                "the driver of Spark failed ({status}): {}; what was replayed is in the ledger, so the same \
                 command goes on from there",
                complaint.trim()
            );
        }
        Ok(answer)
    }

    /// The address of this machine that the cluster reaches: the one from which this machine reaches the master.
    fn own_address(&self) -> Result<String> {
        let unreachable = || format!("{} is no master of Spark: name it as spark://HOST:PORT", self.master);
        let Some(master) = self.master.strip_prefix("spark://") else { bail!(unreachable()) };
        let address = master.to_socket_addrs().with_context(unreachable)?.next().with_context(unreachable)?;
        TcpStream::connect(address).with_context(|| format!("{} does not answer", self.master))?;
        let socket = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0)).context("opening a socket")?;
        // A datagram socket that connects sends nothing: it only chooses the address.
        socket.connect(address).context("choosing an address")?;
        Ok(socket.local_addr().context("choosing an address")?.ip().to_string())
    }
}

/// A question and the files that count, for another engine.
///
/// # Errors
/// When there are no facts.
pub fn job(question: &Question, facts: &Committed) -> Result<Value> {
    let mut files = json!({});
    for table in [question.table, "runs"] {
        let of_table = facts.files.get(table).context("the fleet has no facts of these days")?;
        let paths: Vec<PathBuf> = of_table
            .iter()
            .map(|file| file.canonicalize())
            .collect::<Result<_, _>>()
            .context("a file of facts")?;
        files[table] = json!(paths);
    }
    Ok(json!({ "sql": sql::text(question), "files": files }))
}

/// Shows the driver's progress as it comes, and keeps its last complaint.
fn told(stderr: ChildStderr) -> String {
    let mut complaint = String::new();
    for line in BufReader::new(stderr).lines().map_while(Result::ok) {
        if line.starts_with("stage ") {
            eprintln!("krcu fleet: {line}");
        } else if !line.trim().is_empty() {
            complaint = line;
        }
    }
    complaint
}
