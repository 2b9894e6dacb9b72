//! `krcu agent`: watches until it is told to stop. A socket serves people, metrics serve machines, traces serve
//! later analysis, and the log has every verdict.
//!
//! One task owns the replay (`owner`). The other tasks get copies of its data through bounded queues.

use std::{
    fs,
    path::PathBuf,
    sync::Arc,
    time::{Duration, Instant},
};

use anyhow::Context as _;
use clap::Args;
use krcu_common::ABI_VERSION;
use krcu_report::{Hello, SCHEMA};
use tokio::sync::{mpsc, watch};

use crate::{
    engine::{AttachOptions, Attached, attach},
    error::VerbError,
    memory,
    pipeline::Pipeline,
    probe::LoadOptions,
    signals::Signals,
    sinks::{Names, Sinks},
};

pub mod config;
mod confine;
mod health;
mod http;
pub mod keys;
mod log;
mod metrics;
mod outside;
mod owner;
mod plain;
mod published;
mod recorder;
mod socket;
mod systemd;
mod told;

use config::{Config, Level};
use confine::Confined;
use health::Health;
use log::Log;
use owner::{Owner, Why};
use recorder::Recorder;

/// The file with this host's name.
const HOST_NAME: &str = "/proc/sys/kernel/hostname";
/// How many questions of clients may wait for the owner.
const MOST_ASKS: usize = 16;
/// How long the clients have to read the last report.
const CLOSE_WITHIN: Duration = Duration::from_secs(1);
/// How long the log may take to write its queue.
const LOG_WITHIN: Duration = Duration::from_secs(1);

/// Watches until a signal comes. Serves reports on a socket, serves metrics, keeps traces and writes a log.
#[derive(Args, Clone, Debug)]
pub struct Options {
    /// The configuration file; the default is /etc/krcu/agent.toml, if that exists
    #[arg(long, value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// Set one key of the configuration; this overrides the file. `--print-config` lists all keys
    #[arg(long, value_name = "KEY=VALUE", value_parser = parse_set)]
    pub set: Vec<(String, String)>,
    /// The path of the socket: the same as `--set socket.path=PATH`
    #[arg(long, value_name = "PATH")]
    pub socket: Option<String>,
    /// The address that serves the metrics: the same as `--set metrics.listen=ADDRESS`
    #[arg(long, value_name = "ADDRESS")]
    pub metrics: Option<String>,
    /// Keep traces in this folder: the same as `--set record.folder=FOLDER`
    #[arg(long, value_name = "FOLDER")]
    pub record: Option<String>,
    /// Check the configuration, say what is wrong with it, and exit
    #[arg(long, conflicts_with = "print_config")]
    pub check_config: bool,
    /// Print a configuration file with every key, its default and what it does, and exit
    #[arg(long)]
    pub print_config: bool,
    /// Print the whole of the verifier's log if the kernel refuses a probe
    #[arg(long)]
    pub verbose: bool,
}

fn parse_set(text: &str) -> Result<(String, String), String> {
    let (key, value) = text.split_once('=').ok_or("a key is set as in socket.every=1s")?;
    Ok((key.trim().to_owned(), value.trim().to_owned()))
}

impl Options {
    fn load(&self) -> Result<Config, config::ConfigError> {
        let named = [
            ("socket.path", &self.socket),
            ("metrics.listen", &self.metrics),
            ("record.folder", &self.record),
        ];
        let named = named.into_iter().filter_map(|(key, value)| Some((key.to_owned(), value.clone()?)));
        let options: Vec<(String, String)> = self.set.iter().cloned().chain(named).collect();
        Config::load(self.config.as_deref(), &options)
    }
}

/// Runs `agent`; gives the status to exit with.
///
/// # Errors
/// See [`VerbError`]; nothing stays attached.
pub fn run(options: &Options) -> Result<u8, VerbError> {
    if options.print_config {
        print!("{}", keys::example());
        return Ok(0);
    }
    let config = options.load().map_err(|error| VerbError::Usage(error.to_string()))?;
    if options.check_config {
        println!("the configuration is right");
        return Ok(0);
    }
    memory::small_pages();
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .max_blocking_threads(2)
        .build()
        .context("cannot start the event loop")?;
    let (log, writer) = Log::start(config.log.level).context("cannot start the log")?;
    let status = runtime.block_on(live(options.clone(), config, log));
    runtime.shutdown_timeout(Duration::from_millis(100));
    writer.finish(LOG_WITHIN);
    Ok(status?)
}

async fn live(options: Options, config: Config, log: Log) -> anyhow::Result<u8> {
    let signals = Signals::new()?;
    let health = Arc::new(Health::default());
    let manager = systemd::Manager::new();
    // An address or a socket that is in use is found before anything is attached.
    let socket = match config.socket.path.as_os_str().is_empty() {
        true => None,
        false => Some(socket::Bound::to(&config.socket.path, &config.socket.group)?),
    };
    let metrics = match config.metrics.listen {
        Some(address) => Some(http::listen(address).await?),
        None => None,
    };
    let outside = outside::Reader::new(config.probes.ring_bytes, config.probes.statistics)?;
    let attached = attach(AttachOptions {
        load: LoadOptions {
            ring_bytes: config.probes.ring_bytes,
            stacks: config.probes.stacks,
            queue_stacks: config.probes.queue_stacks,
            probe_log: false,
        },
        alloc_stacks: config.probes.alloc_stacks,
        verbose: options.verbose,
    })?;
    for why in &attached.withdrawn {
        log.say(Level::Warn, format!("without an optional probe: {why}"));
    }
    // Privileges are given up before anything else is opened, so that a file which can be written now can still
    // be written later.
    let confined = confine::confine(&config, options.config.as_deref(), &log);
    let confined = Confined { capabilities: confined.capabilities && !log.has_privileges(), ..confined };
    let _ = health.confined.set(confined);
    let mut recorder = recorder(&config, &attached, &log, &health)?;
    let hello = Arc::new(hello(&config, &attached)?);
    let (release, probes, watch) = (attached.release(), attached.probes.attached(), attached.watch.clone());
    let mut sinks = Sinks { names: recorder.as_ref().map(|_| Names::default()), ..Sinks::default() };
    if let Some(recorder) = &mut recorder {
        let reading = Pipeline::reading(&attached.probes)?;
        recorder.begin_first(&mut sinks, watch.attached, reading)?;
    }
    let mut watcher = attached.begin(sinks);
    watcher.pipeline.report();
    log.say(Level::Info, format!("watching Linux {release} with {probes} probes"));
    let (newest, receiver) = watch::channel(None);
    let (asks, asked) = mpsc::channel(MOST_ASKS);
    let has = health::Present {
        socket: socket.is_some(),
        metrics: metrics.is_some(),
        recorder: recorder.is_some(),
    };
    let clients = socket.map(|bound| {
        log.say(Level::Info, format!("krcu tui --socket {} shows it", bound.path().display()));
        let serve = socket::Serve { hello, newest: receiver.clone(), asks, health: Arc::clone(&health) };
        let most = config.socket.clients;
        tokio::spawn(async move { socket::serve(&bound, most, serve).await })
    });
    if let Some(listener) = metrics {
        let address = listener.local_addr().context("cannot say where metrics are")?;
        log.say(Level::Info, format!("metrics are at http://{address}/metrics"));
        let names = config.metrics.names.iter().cloned().chain(fs::read_to_string(HOST_NAME).ok());
        let names = names.map(|name| name.trim().to_owned()).collect();
        let answers = http::Answers { newest: receiver, health: Arc::clone(&health), names };
        tokio::spawn(http::serve(listener, config.metrics.connections, answers));
    }
    memory::give_back();
    let mut owner = Owner {
        watcher,
        config,
        again: Box::new(move || options.load()),
        log,
        newest,
        asks: asked,
        health,
        has,
        recorder,
        outside,
        manager,
        known: told::Known::default(),
        told: 0,
        trimmed: Instant::now(),
        filled: None,
    };
    let why: Why = owner.run(signals).await;
    let status = owner.stop(why).await;
    if let Some(clients) = clients {
        // Clients that do not read the last report in time are disconnected. The task deletes the socket's file.
        let abort = clients.abort_handle();
        if tokio::time::timeout(CLOSE_WITHIN, clients).await.is_err() {
            abort.abort();
            tokio::task::yield_now().await;
        }
    }
    Ok(status)
}

fn recorder(
    config: &Config,
    attached: &Attached,
    log: &Log,
    health: &Arc<Health>,
) -> anyhow::Result<Option<Recorder>> {
    if config.record.folder.as_os_str().is_empty() {
        return Ok(None);
    }
    Recorder::new(&config.record, attached.meta()?, &attached.watch, log.clone(), Arc::clone(health))
        .map(Some)
}

fn hello(config: &Config, attached: &Attached) -> anyhow::Result<Hello> {
    let meta = attached.meta()?;
    let since_attached = meta.clock.monotonic_ns.saturating_sub(attached.watch.attached.0);
    Ok(Hello {
        schema: SCHEMA,
        krcu: meta.krcu,
        abi: ABI_VERSION,
        host: meta.kernel.host.unwrap_or_default(),
        release: attached.release(),
        boot: meta.kernel.boot_id.unwrap_or_default(),
        pid: std::process::id(),
        attached_unix_ns: meta.clock.realtime_ns.saturating_sub(since_attached),
        possible_cpus: attached.watch.possible_cpus,
        // The longest time without a report: a reload may change the interval, and the agent may be busy.
        interval_ms: u32::try_from(config.socket.every.as_millis()).unwrap_or(u32::MAX).max(1000),
        undecidable: attached.probes.plan().undecidable.clone(),
    })
}
