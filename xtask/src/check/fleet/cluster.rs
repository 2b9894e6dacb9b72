//! Cluster: a master and workers of Spark on loopback, which end with this process's use of them.

use std::fs::{self, File};
use std::net::{Ipv4Addr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};

use crate::progress::output_of;

/// How long a program of Spark may take to be ready: a virtual machine of Java on a busy computer.
const PATIENCE: Duration = Duration::from_secs(180);
/// How often it is looked at.
const GLANCE: Duration = Duration::from_millis(100);
/// What a worker says when it has found its master.
const READY: &str = "Successfully registered with master";

/// The programs of Spark, as the Python package has them.
#[derive(Debug, Clone)]
pub(crate) struct Spark {
    /// The Python that has the package.
    pub(crate) python: PathBuf,
    home: PathBuf,
}

impl Spark {
    /// Those of this Python.
    ///
    /// # Errors
    ///
    /// When it has no PySpark.
    pub(crate) fn of(python: &Path) -> Result<Spark> {
        let home = "import os, pyspark; print(os.path.dirname(pyspark.__file__))";
        let home = output_of(Command::new(python).args(["-c", home]))?;
        Ok(Spark { python: python.to_owned(), home: home.trim().into() })
    }

    /// The program that starts a class.
    fn program(&self) -> Command {
        Command::new(self.home.join("bin/spark-class"))
    }

    fn class(&self, mut command: Command, class: &str, log: &Path) -> Result<Command> {
        let out = File::create(log).with_context(|| log.display().to_string())?;
        command
            .arg(class)
            .env("SPARK_HOME", &self.home)
            .env("PYSPARK_PYTHON", &self.python)
            .env("SPARK_NO_DAEMONIZE", "1")
            .stdin(Stdio::null())
            .stderr(out.try_clone().context("a log")?)
            .stdout(out);
        Ok(command)
    }
}

/// A worker.
#[derive(Debug)]
struct Worker {
    child: Child,
}

/// A master with its workers. All of them are killed when this is dropped.
#[derive(Debug)]
pub(crate) struct Cluster {
    spark: Spark,
    folder: PathBuf,
    port: u16,
    master: Child,
    workers: Vec<Worker>,
    begun: usize,
}

impl Cluster {
    /// Starts a master and so many workers with one core each; their logs and files are in this folder.
    ///
    /// # Errors
    ///
    /// When one does not start.
    pub(crate) fn start(spark: &Spark, folder: &Path, workers: usize) -> Result<Cluster> {
        fs::create_dir_all(folder).with_context(|| folder.display().to_string())?;
        let port = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))
            .and_then(|listener| listener.local_addr())
            .context("looking for a free port")?
            .port();
        let log = folder.join("master.log");
        let port_text = port.to_string();
        let mut command = spark.class(spark.program(), "org.apache.spark.deploy.master.Master", &log)?;
        command.args(["--host", "127.0.0.1", "--port", &port_text, "--webui-port", "0"]);
        let master = command.spawn().context("starting the master of Spark")?;
        let mut cluster = Cluster {
            spark: spark.clone(),
            folder: folder.to_owned(),
            port,
            master,
            workers: Vec::new(),
            begun: 0,
        };
        wait_for(&log, "I have been elected leader")?;
        for _ in 0..workers {
            cluster.add_worker()?;
        }
        Ok(cluster)
    }

    /// What `--on` is told.
    pub(crate) fn name(&self) -> String {
        format!("spark://127.0.0.1:{}", self.port)
    }

    /// Starts one more worker.
    ///
    /// # Errors
    ///
    /// When it does not start.
    pub(crate) fn add_worker(&mut self) -> Result<()> {
        self.begin_worker(self.spark.program())
    }

    /// Starts one more worker, whose disk for temporary files has no room.
    ///
    /// # Errors
    ///
    /// When it does not start.
    pub(crate) fn add_worker_without_room(&mut self) -> Result<()> {
        let small = self.folder.join("small");
        fs::create_dir_all(&small).with_context(|| small.display().to_string())?;
        let mut command = Command::new("unshare");
        command
            .args(["--mount", "sh", "-c", "mount -t tmpfs -o size=4k none \"$TMPDIR\" && exec \"$@\"", "sh"])
            .arg(self.spark.program().get_program())
            .env("TMPDIR", small);
        self.begin_worker(command)
    }

    fn begin_worker(&mut self, program: Command) -> Result<()> {
        self.begun += 1;
        let log = self.folder.join(format!("worker-{}.log", self.begun));
        let mut command = self.spark.class(program, "org.apache.spark.deploy.worker.Worker", &log)?;
        command
            .args([
                "--host",
                "127.0.0.1",
                "--cores",
                "1",
                "--memory",
                "1g",
                "--webui-port",
                "0",
                "--work-dir",
            ])
            .arg(self.folder.join(format!("work-{}", self.begun)))
            .arg(self.name());
        self.workers.push(Worker { child: command.spawn().context("starting a worker of Spark")? });
        wait_for(&log, READY)
    }

    /// Kills the oldest worker and its executors, as a machine that loses its power does.
    ///
    /// # Errors
    ///
    /// When there is none.
    pub(crate) fn kill_worker(&mut self) -> Result<()> {
        if self.workers.is_empty() {
            bail!("no worker is left");
        }
        let mut worker = self.workers.remove(0);
        kill_with_children(worker.child.id());
        worker.child.wait().context("waiting for a killed worker")?;
        Ok(())
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        for child in self.workers.iter_mut().map(|worker| &mut worker.child).chain([&mut self.master]) {
            kill_with_children(child.id());
            // It was killed; how it ended says nothing.
            drop(child.wait());
        }
    }
}

/// Waits until a log has these words.
fn wait_for(log: &Path, words: &str) -> Result<()> {
    let since = Instant::now();
    while since.elapsed() < PATIENCE {
        if fs::read_to_string(log).is_ok_and(|text| text.contains(words)) {
            return Ok(());
        }
        thread::sleep(GLANCE);
    }
    bail!("{} does not say `{words}` after {} s", log.display(), PATIENCE.as_secs())
}

/// Kills a process that we have started, and all that it has started.
pub(crate) fn kill_with_children(process: u32) {
    let children = format!("/proc/{process}/task/{process}/children");
    let children = fs::read_to_string(children).unwrap_or_default();
    // The parent first, so that it starts no other in the place of one that dies.
    drop(Command::new("kill").args(["-9", &process.to_string()]).stderr(Stdio::null()).status());
    children.split_whitespace().filter_map(|child| child.parse().ok()).for_each(kill_with_children);
}
